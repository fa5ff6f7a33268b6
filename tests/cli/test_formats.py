"""The same rows in every format that people have give the same number."""

from __future__ import annotations

import bz2
import decimal
import gzip
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import ce, lines, table, value, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = [(3, 0.6, 1), (1, 0.9, 1), (2, 0.2, 0)]
ONE = [0.9, 0.2, 0.6]
P = lines("id,prob", *((key, prob) for key, prob, _ in ROWS))
L = lines("id,label", *((key, label) for key, _, label in sorted(ROWS)))
EXPECTED = math.fsum([-math.log(0.9), -math.log1p(-0.2), -math.log(0.6)]) / 3


def quoted(text: str) -> str:
    return "".join(",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in text.splitlines())


def blank_separated(text: str) -> str:
    return "".join("  " + line.replace(",", "   ") + " \n" for line in text.splitlines())


TEXTS: dict[str, Callable[[str], bytes]] = {
    "p.csv": str.encode,
    "p.tsv": lambda text: text.replace(",", "\t").encode(),
    "tabs.csv": lambda text: text.replace(",", "\t").encode(),
    "semicolons.txt": lambda text: text.replace(",", ";").encode(),
    "pipes.csv": lambda text: text.replace(",", "|").encode(),
    "blanks.txt": lambda text: blank_separated(text).encode(),
    "bom.csv": lambda text: b"\xef\xbb\xbf" + quoted(text).encode(),
    "crlf.csv": lambda text: text.replace("\n", "\r\n").encode(),
    "cr.csv": lambda text: text.replace("\n", "\r").encode(),
    "blanks_crlf.txt": lambda text: blank_separated(text).replace("\n", "\r\n").encode(),
    "no_last_newline.csv": lambda text: text.rstrip("\n").encode(),
    "blank_lines.csv": lambda text: text.replace("\n", "\n\n").encode(),
    "spaces.csv": lambda text: text.replace(",", ", ").encode(),
    "p.csv.gz": lambda text: gzip.compress(text.encode()),
    "suffixless_gzip": lambda text: gzip.compress(text.encode()),
    "members.csv.gz": lambda text: gzip.compress(text[:12].encode()) + gzip.compress(text[12:].encode()),
    "p.csv.bz2": lambda text: bz2.compress(text.encode()),
    "p.csv.zst": lambda text: bytes(memoryview(pa.Codec("zstd").compress(text.encode()))),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(TEXTS[name](P))
    write(tmp_path, l=L)
    assert float(ce(name, "-l", "l.csv", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(EXPECTED, rel=1e-15)


def decimals(values: list[float]) -> pa.Array:
    return pa.array([decimal.Decimal(str(number)) for number in values])


IDS: dict[str, Callable[[list[int]], pa.Array]] = {
    "int64": pa.array,
    "int8": lambda keys: pa.array(keys, pa.int8()),
    "uint64": lambda keys: pa.array(keys, pa.uint64()),
    "text": lambda keys: pa.array(map(str, keys)),
    "large text": lambda keys: pa.array(map(str, keys), pa.large_string()),
    "dictionary": lambda keys: pa.array(map(str, keys)).dictionary_encode(),
}
SCORES: dict[str, Callable[[list[float]], pa.Array]] = {
    "float64": pa.array,
    "float32": lambda values: pa.array(values, pa.float32()),
    "float16": lambda values: pa.array(np.array(values, dtype=np.float16)),
    "decimal": decimals,
    "text": lambda values: pa.array(map(str, values)),
    "dictionary": lambda values: pa.array(values).dictionary_encode(),
}
LABELS: dict[str, Callable[[list[int]], pa.Array]] = {
    "int64": pa.array,
    "bool": lambda labels: pa.array([label == 1 for label in labels]),
    "float64": lambda labels: pa.array(map(float, labels)),
    "text": lambda labels: pa.array(map(str, labels)),
    "large text": lambda labels: pa.array([f"{label}.0" for label in labels], pa.large_string()),
    "dictionary": lambda labels: pa.array(["False", "True"][label] for label in labels).dictionary_encode(),
}
PRECISION = {"float32": 1e-7, "float16": 1e-3}


@pytest.mark.parametrize(("ids", "scores", "labels"), list(zip(IDS, SCORES, LABELS, strict=True)))
def test_parquet_types(ids: str, scores: str, labels: str, tmp_path: Path) -> None:
    keys, probs, _ = zip(*ROWS, strict=True)
    predictions = pa.table({"id": IDS[ids](list(keys)), "prob": SCORES[scores](list(probs))})
    pq.write_table(predictions, tmp_path / "p.parquet", row_group_size=2)
    pq.write_table(pa.table({"label": LABELS[labels]([1, 0, 1]), "id": [1, 2, 3]}), tmp_path / "l.parquet")
    done = ce("p.parquet", "-l", "l.parquet", "-q", cwd=tmp_path, expect=0)
    assert float(done.out) == pytest.approx(EXPECTED, rel=PRECISION.get(scores, 1e-15))
    write(tmp_path, l=L)
    assert ce("p.parquet", "-l", "l.csv", "-q", cwd=tmp_path, expect=0).out == done.out


LISTS = {
    "list": lambda rows: pa.array(rows),
    "large list": lambda rows: pa.array(rows, pa.large_list(pa.float32())),
    "fixed-size list": lambda rows: pa.array(rows, pa.list_(pa.float64(), 3)),
}


@pytest.mark.parametrize("kind", LISTS)
def test_list_columns(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(500, 3)).astype(np.float32).astype(np.float64)
    label = rng.integers(0, 3, size=500)
    pq.write_table(
        pa.table({"logits": LISTS[kind](logits.tolist()), "label": label}), tmp_path / "p.parquet", row_group_size=64
    )
    report = ce("p.parquet", "--json", "--chunk-rows", "33", cwd=tmp_path, expect=0).json
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(500), label]
    assert value(report) == pytest.approx(math.fsum(losses) / 500, rel=1e-14)
    assert (report["input"], report["classes"]) == ("logits", ["0", "1", "2"])


def test_names_for_a_list(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"probs": [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], "label": ["ant", "cat"]}), tmp_path / "p.parquet"
    )
    report = ce("p.parquet", "--json", "--classes", "ant,bee,cat", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-(math.log(0.7) + math.log(0.6)) / 2, rel=1e-15)


def test_nulls_in_parquet(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "id": [1, 2, 3, 4],
        "probs": pa.array([[0.5, 0.3, 0.2], None, [0.5, None, 0.5], [0.1, 0.1, 0.8]], pa.list_(pa.float32(), 3)),
        "label": [0, 1, 2, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "p.parquet", row_group_size=3)
    errors = ce("p.parquet", "--json", cwd=tmp_path, expect=2).json["errors"]
    assert [(error["code"], error["rows"]) for error in errors] == [
        ("missing_label", [4]),
        ("missing_prediction", [2, 3]),
    ]


def test_an_empty_parquet_file(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"prob": pa.array([], pa.float64()), "label": pa.array([], pa.int64())}), tmp_path / "p.parquet"
    )
    assert ce("p.parquet", cwd=tmp_path, expect=2).codes == ["no_samples"]


def parquet_bytes(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


STREAMS = {
    "text": P.encode(),
    "gzip": gzip.compress(P.encode()),
    "parquet": parquet_bytes(id=[3, 1, 2], prob=[0.6, 0.9, 0.2]),
}


@pytest.mark.parametrize("name", STREAMS)
def test_standard_input(name: str, tmp_path: Path) -> None:
    write(tmp_path, l=L)
    done = ce("-", "-l", "l.csv", "-q", cwd=tmp_path, stdin=STREAMS[name], expect=0)
    assert float(done.out) == pytest.approx(EXPECTED, rel=1e-15)


def test_text_from_standard_input_that_is_said_to_be_parquet(tmp_path: Path) -> None:
    done = ce("-", "--format", "parquet", cwd=tmp_path, stdin=b"prob,label\n.9,1\n.2,0\n", expect=2)
    assert done.codes == ["unreadable_file"]


def test_one_file_from_standard_input(tmp_path: Path) -> None:
    text = lines("prob,label", *(("0.25", number % 2) for number in range(100_000)))
    report = ce("-", "--json", cwd=tmp_path, stdin=text.encode(), expect=0).json
    assert report["counts"]["scored"] == 100_000
    assert value(report) == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2, rel=1e-15)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed_text_from_standard_input_needs_no_disk(compress: Any, tmp_path: Path) -> None:
    text = lines("prob,label", *((f"0.{number % 9 + 1}", number % 2) for number in range(100_000)))
    nowhere = {"TMPDIR": str(tmp_path / "absent")}
    plain = ce("-", "--json", cwd=tmp_path, stdin=text.encode(), expect=0).json
    report = ce("-", "--json", cwd=tmp_path, stdin=compress(text.encode()), env=nowhere, expect=0).json
    assert report == plain


def test_parquet_that_was_compressed_once_more(tmp_path: Path) -> None:
    twice = gzip.compress(parquet_bytes(prob=[0.25, 0.75], label=[1, 0]))
    report = ce("-", "--json", cwd=tmp_path, stdin=twice, expect=0).json
    assert value(report) == pytest.approx(-math.log(0.25), rel=1e-15)


def test_compressed_text_that_is_cut_off(tmp_path: Path) -> None:
    text = lines("prob,label", *((f"0.{number * 7919 % 99991:05d}", number % 2) for number in range(100_000)))
    done = ce("-", "--json", cwd=tmp_path, stdin=gzip.compress(text.encode())[:-20_000], expect=2)
    assert done.codes == ["unreadable_file"]


def test_labels_from_standard_input(tmp_path: Path) -> None:
    write(tmp_path, p=P)
    done = ce("p.csv", "-l", "-", "-q", cwd=tmp_path, stdin=L.encode(), expect=0)
    assert float(done.out) == pytest.approx(EXPECTED, rel=1e-15)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of POSIX")
@pytest.mark.parametrize("rows", [3, 200_000])
def test_a_pipe_by_its_path_loses_no_rows(rows: int, tmp_path: Path) -> None:
    text = lines(*(("0.25", number % 2) for number in range(rows)))
    done = ce("/dev/stdin", "--no-header", "--label-col", "2", "--json", cwd=tmp_path, stdin=text.encode())
    if done.code == 0:
        assert done.json["counts"]["rows"] == rows
    else:
        assert (done.code, done.codes) == (2, ["unreadable_file"])


@pytest.mark.parametrize("how", ["d", "d/part-*.csv"])
def test_parts_of_one_data_set(how: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    # The last part has the columns in another order, and one has no rows.
    (tmp_path / "d" / "part-0.csv").write_text("id,prob\n")
    (tmp_path / "d" / "part-1.csv").write_text("id,prob\n1,0.9\n2,0.2\n")
    (tmp_path / "d" / "part-2.csv").write_text("prob,id\n0.6,3\n")
    (tmp_path / "d" / ".hidden").write_text("not a part")
    write(tmp_path, l=L)
    report = ce(how, "-l", "l.csv", "--json", "--per-sample", "s.csv", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(EXPECTED, rel=1e-15)
    assert report["inputs"]["predictions"] == {"path": how, "rows": 3}
    assert [row["id"] for row in table((tmp_path / "s.csv").read_text())] == ["1", "2", "3"]


def test_quoted_cells(tmp_path: Path) -> None:
    rows = [("line\nbreak, comma", 0.5, 'say "cat"'), ("  blank ", 0.25, "d\r\nog"), ("", 0.75, 'say "cat"')]
    cells = ['"' + name.replace('"', '""') + '"' for name, _, _ in rows]
    truth = ['"' + label.replace('"', '""') + '"' for _, _, label in rows]
    text = '"prob_say ""cat""","prob_d\r\nog",name,label\n'
    text += "".join(
        f"{prob},{1 - prob},{cell},{label}\n" for (_, prob, _), cell, label in zip(rows, cells, truth, strict=True)
    )
    write(tmp_path, p=text)
    report = ce("p.csv", "--json", cwd=tmp_path, expect=0).json
    assert report["classes"] == ['say "cat"', "d\r\nog"]
    assert value(report) == pytest.approx(-(math.log(0.5) + math.log(0.75) + math.log(0.75)) / 3, rel=1e-15)


STRAY = {
    "one that never closes": ("prob,label,note", 2000, {900: '.5,1,"n'}),
    "two far apart": ("prob,label,note", 2000, {900: '.5,1,"n', 1500: '.5,1,"m'}),
    "two in neighbouring rows": ("prob,label,note", 4, {1: '.5,1,"b', 3: '.5,1,"d'}),
    "in the first column": ("note,prob,label", 4, {1: '"b,.5,1', 3: '"d,.5,1'}),
    "one that closes inside a cell": ("prob,label,note", 4, {1: '.5,1,"a" b'}),
    "the last character": ("prob,label,note", 4, {3: '.5,1,"'}),
}


@pytest.mark.parametrize("name", STRAY)
def test_stray_quotation_marks_never_swallow_rows(name: str, tmp_path: Path) -> None:
    header, count, stray = STRAY[name]
    plain = "x,.5,1" if header.startswith("note") else ".5,1,x"
    write(tmp_path, p=lines(header, *(stray.get(row, plain) for row in range(count))))
    for options in (("-j", "1"), ("-j", "2", "--on-invalid", "drop")):
        done = ce("p.csv", "--label-col", "label", "--pred-cols", "prob", *options, cwd=tmp_path, expect=2)
        assert done.codes == ["malformed_row"]
        assert "quotation mark" in done.err


def test_quotation_marks_that_are_meant(tmp_path: Path) -> None:
    notes = ['"a ""b"" c"', '5" disk', '""', '""""', '"x"""', '12" 3"', "plain"]
    write(tmp_path, p=lines("prob,label,key", *(f".5,1,{note}" for note in notes)))
    ce("p.csv", "--id-col", "key", "--per-sample", "s.csv", "-q", cwd=tmp_path, expect=0)
    keys = [row["key"] for row in table((tmp_path / "s.csv").read_text())]
    assert keys == ['a "b" c', '5" disk', "", '"', 'x"', '12" 3"', "plain"]


def test_quoted_newlines_across_blocks(tmp_path: Path) -> None:
    filler = '"' + "a,\n" * 100 + '5"" disk"'
    rows = [f"{number},{filler},0.{1 + number % 9},{number % 2}" for number in range(30_000)]
    write(tmp_path, p=lines("id,note,prob,label", *rows))
    probs = [(1 + number % 9) / 10 for number in range(30_000)]
    expected = math.fsum(-math.log(p if number % 2 else 1 - p) for number, p in enumerate(probs)) / 30_000
    assert float(ce("p.csv", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(expected, rel=1e-14)


def test_files_without_header(tmp_path: Path) -> None:
    write(tmp_path, p="0.9,0.1,0\n0.2,0.7,0.1\n", l="0\n1\n", one="0.9,yes\n0.2,no\n")
    report = ce("p.csv", "-l", "l.csv", "--no-header", "--json", cwd=tmp_path, expect=0).json
    assert report["columns"]["scores"] == ["1", "2", "3"]
    assert report["classes"] == ["0", "1", "2"]
    assert value(report) == pytest.approx(-(math.log(0.9) + math.log(0.7)) / 2, rel=1e-15)
    options = ("--no-header", "--label-col", "2", "--positive", "yes")
    report = ce("one.csv", *options, "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2, rel=1e-15)


def test_an_empty_line_in_one_column_is_an_empty_cell(tmp_path: Path) -> None:
    write(tmp_path, p="prob\n0.9\n0.2\n0.6\n", l="label\n1\n\n1\n", trailing="label\n1\n0\n1\n\n\n")
    error = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2).json["error"]
    assert (error["code"], error["rows"]) == ("missing_label", [2])
    done = ce("p.csv", "-l", "trailing.csv", "-q", cwd=tmp_path, expect=0)
    assert float(done.out) == pytest.approx(EXPECTED, rel=1e-15)


@pytest.mark.parametrize(("positive", "negative"), [("1", "0"), ("spam", "ham")])
def test_an_ignored_label_is_no_class_of_a_lone_score(positive: str, negative: str, tmp_path: Path) -> None:
    write(tmp_path, p=f"prob_spam,label\n.9,{positive}\n.5,-100\n.2,{negative}\n")
    report = ce("p.csv", "--ignore-label", "-100", "--json", cwd=tmp_path, expect=0).json
    assert report["classes"] == [negative, positive]
    assert (report["counts"]["scored"], report["counts"]["ignored"]) == (2, 1)
    assert value(report) == pytest.approx(-math.log(0.9 * 0.8) / 2, rel=1e-15)


def test_null_spellings_and_leading_zeros_are_ordinary_names(tmp_path: Path) -> None:
    names = ["NA", "null", "None", "nan", "01", "1"]
    probs = [0.05, 0.1, 0.15, 0.2, 0.2, 0.3]
    rows = [(name, *probs) for name in names]
    write(
        tmp_path,
        p=lines(("id", *(f"prob_{name}" for name in names)), *rows),
        l=lines("id,label", *((name, name) for name in reversed(names))),
    )
    report = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=0).json
    assert report["classes"] == names
    assert value(report) == pytest.approx(-math.fsum(map(math.log, probs)) / 6, rel=1e-15)
    assert {row["class"]: row["n"] for row in report["per_class"]} == dict.fromkeys(names, 1)


@pytest.mark.parametrize(
    "mark", ["\ufeffid,prob\n1,0.9\n".encode("utf-16-le"), "\ufeffid,prob\n1,0.9\n".encode("utf-16-be")]
)
def test_utf16(mark: bytes, tmp_path: Path) -> None:
    write(tmp_path, p=mark, l=L)
    assert ce("p.csv", "-l", "l.csv", cwd=tmp_path, expect=2).codes == ["unreadable_file"]


def test_windows_1252_late_in_a_large_file(tmp_path: Path) -> None:
    rows = [f"{number},name,0.5,1\n" for number in range(400_000)]
    rows[399_000] = "399000,caf\xe9,0.5,1\n"
    write(tmp_path, p=("id,name,prob,label\n" + "".join(rows)).encode("cp1252"))
    options = ("--label-col", "name", "--positive", "name", "--json")
    error = ce("p.csv", *options, cwd=tmp_path, expect=2).json["error"]
    assert (error["code"], error["file"], error["message"]) == ("unreadable_file", "p.csv", "this is not UTF-8 text")


def test_truncated_gzip(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    text = lines("prob,label", *((repr(float(prob)), 1) for prob in rng.random(60_000)))
    data = gzip.compress(text.encode())
    (tmp_path / "p.csv.gz").write_bytes(data[: len(data) * 2 // 3])
    done = ce("p.csv.gz", "--per-sample", "s.csv", cwd=tmp_path, expect=2)
    assert done.codes == ["unreadable_file"]
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv.gz"]


def test_truncated_parquet(tmp_path: Path) -> None:
    whole = parquet_bytes(prob=np.linspace(0, 1, 50_000), label=[1, 0] * 25_000)
    (tmp_path / "p.parquet").write_bytes(whole[: len(whole) // 2])
    assert ce("p.parquet", cwd=tmp_path, expect=2).codes == ["unreadable_file"]
    damaged = bytearray(whole)
    damaged[1000:3000] = bytes(2000)
    (tmp_path / "p.parquet").write_bytes(damaged)
    assert ce("p.parquet", cwd=tmp_path).code in (0, 2)


def test_a_cell_of_a_million_characters(tmp_path: Path) -> None:
    write(
        tmp_path,
        p=f'id,note,prob,label\n1,{"x" * 1_000_000},0.9,1\n2,"{"y," * 500_000}",0.2,0\n{"z" * 1_000_000},,0.6,1\n',
    )
    report = ce("p.csv", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(EXPECTED, rel=1e-15)


def test_two_thousand_columns(tmp_path: Path) -> None:
    k = 2000
    names = [f"c{number}" for number in range(k)]
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(30, k))
    label = rng.integers(0, k, size=30)
    rows = [[*map(repr, row.tolist()), names[truth]] for row, truth in zip(logits, label, strict=True)]
    write(tmp_path, p=lines([*(f"logit_{name}" for name in names), "label"], *rows))
    pq.write_table(
        pa.table(
            {**{f"logit_{name}": logits[:, at] for at, name in enumerate(names)}, "label": [names[at] for at in label]}
        ),
        tmp_path / "p.parquet",
    )
    report = ce("p.csv", "--json", cwd=tmp_path, expect=0).json
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(30), label]
    assert value(report) == pytest.approx(math.fsum(expected) / 30, rel=1e-14)
    assert ce("p.parquet", "--json", cwd=tmp_path, expect=0).json["metrics"] == report["metrics"]


def test_a_csv_of_float64_gives_the_bits_of_the_parquet_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    prob = np.concatenate([rng.random(2000), 10.0 ** rng.uniform(-300, 0, 500), 1 - 10.0 ** rng.uniform(-16, -1, 500)])
    label = rng.integers(0, 2, size=3000)
    write(tmp_path, p=lines("prob,label", *((repr(float(p)), y) for p, y in zip(prob, label, strict=True))))
    pq.write_table(pa.table({"prob": prob, "label": label}), tmp_path / "p.parquet", row_group_size=100)
    runs = [("p.csv", "-j", "1"), ("p.csv", "-j", "3", "--chunk-rows", "11"), ("p.parquet", "--chunk-rows", "97")]
    first, *others = [ce(*run, "--json", cwd=tmp_path, expect=0).json for run in runs]
    expected = (
        math.fsum(-math.log(p) if y else -math.log1p(-p) for p, y in zip(prob.tolist(), label, strict=True)) / 3000
    )
    assert value(first) == pytest.approx(expected, rel=1e-15)
    assert all(other["metrics"] == first["metrics"] for other in others)
    assert all(other["quantiles"] == first["quantiles"] for other in others)
