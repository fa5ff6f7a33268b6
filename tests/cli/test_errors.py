"""Every error: its code, where it is, what it says, and the exit code 2."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ce_cli.errors import CODES
from tests.cli.command import ce, lines, table, write

if TYPE_CHECKING:
    from pathlib import Path

LABELS = "id,label\n1,1\n2,0\n3,1\n"
CLASS_LABELS = "id,label\n1,a\n2,b\n3,c\n"
PREDICTIONS = "id,prob\n1,0.9\n2,0.2\n3,0.6\n"
POSITION = {"file": None, "column": None, "rows": []}


class Case(NamedTuple):
    """One fault: the files, the options, and what the first error says."""

    code: str
    predictions: str | bytes | None
    labels: str | bytes | None
    options: tuple[str, ...]
    where: dict[str, Any]
    says: str = ""
    hint: str | None = ""  # "" is not looked at, None: there is none


def scores(*rows: str, header: str = "id,prob_a,prob_b,prob_c") -> str:
    return lines(header, *rows)


CASES = {
    "bad_option": Case("bad_option", PREDICTIONS, LABELS, ("--eps", "0.6"), POSITION, "0.6"),
    "unknown option": Case("bad_option", PREDICTIONS, LABELS, ("--colour-scheme",), POSITION, "--colour-scheme"),
    "bad_gate": Case("bad_gate", PREDICTIONS, LABELS, ("--gate", "loss < 1"), POSITION, "loss", "cross_entropy"),
    "unwritable_output": Case(
        "unwritable_output", PREDICTIONS, LABELS, ("--per-sample", "no/x.csv"), {"file": "no/x.csv"}, "no"
    ),
    "no_such_file": Case("no_such_file", None, LABELS, (), {"file": "p.csv"}),
    "unreadable_file": Case("unreadable_file", b"PAR1 and no more of it", LABELS, (), {"file": "p.csv"}),
    "not text": Case("unreadable_file", PREDICTIONS, "id,label\n1,caf\xe9\n".encode("cp1252"), (), {"file": "l.csv"}),
    "broken gzip": Case("unreadable_file", b"\x1f\x8bgarbage, garbage", LABELS, (), {"file": "p.csv"}),
    "malformed_row": Case(
        "malformed_row",
        "id,prob\n1,0.9\n2,0.2,5\n3,0.6\n",
        LABELS,
        (),
        {"file": "p.csv", "rows": [2], "count": 1},
        "expected 2 cells, but got 3",
    ),
    "no_header": Case("no_header", "0.9\n0.2\n", "1\n0\n", (), {"file": "p.csv"}, "0.9", "--no-header"),
    "no header, many columns": Case(
        "no_header", "0.9,0.1\n0.2,0.8\n", LABELS, (), {"file": "p.csv"}, "0.9", "--no-header"
    ),
    "no header, whole numbers": Case("no_header", "prob\n0.1\n", "1\n0\n", (), {"file": "l.csv"}, "1", "--no-header"),
    "duplicate_column": Case(
        "duplicate_column", "id,prob,prob\n1,0.9,0.9\n", LABELS, (), {"file": "p.csv", "column": "prob"}, "prob"
    ),
    "unknown_column": Case(
        "unknown_column",
        PREDICTIONS,
        LABELS,
        ("--label-col", "lable"),
        {"file": "l.csv", "column": "lable"},
        "lable",
        "label",
    ),
    "unknown score": Case(
        "unknown_column",
        PREDICTIONS,
        LABELS,
        ("--pred-cols", "nope"),
        {"file": "p.csv", "column": "nope"},
        "nope",
        "prob",
    ),
    "unknown weight": Case("unknown_column", PREDICTIONS, LABELS, ("--weight-col", "w"), {"column": "w"}, "w", "label"),
    "unknown id": Case(
        "unknown_column", PREDICTIONS, LABELS, ("--id-col", "nr"), {"file": "p.csv", "column": "nr"}, "nr"
    ),
    "ambiguous_columns": Case(
        "ambiguous_columns",
        "id,age,x\n1,61,0.9\n2,44,0.2\n3,18,0.6\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "age"},
        "age",
        "--pred-cols",
    ),
    "no_samples": Case("no_samples", "id,prob\n", "id,label\n", (), {"file": "p.csv"}),
    "empty file": Case("no_samples", "", LABELS, (), {"file": "p.csv"}, "empty"),
    "length_mismatch": Case(
        "length_mismatch", "prob\n0.9\n0.2\n", "label\n1\n0\n1\n", (), {"file": "p.csv"}, "2 predictions, but 3"
    ),
    "duplicate_id": Case(
        "duplicate_id",
        "id,prob\n3,0.6\n1,0.9\n3,0.5\n2,0.2\n3,0.4\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "id", "rows": [3, 5], "count": 2},
        "'3'",
    ),
    "missing_id": Case(
        "missing_id",
        "id,prob\n1,0.9\n2,0.2\n3,0.6\n7,0.5\n8,0.5\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "id", "rows": [4, 5], "count": 2},
        "'7'",
        "--missing drop",
    ),
    "missing prediction of an id": Case(
        "missing_id",
        PREDICTIONS,
        LABELS + "9,1\n",
        (),
        {"file": "l.csv", "column": "id", "rows": [4], "count": 1},
        "'9'",
    ),
    "empty id": Case(
        "missing_id",
        "id,prob\n1,0.9\n,0.2\n3,0.6\n",
        "id,label\n1,1\n,0\n3,1\n",
        (),
        {"column": "id", "rows": [2]},
        "empty",
    ),
    "missing_label": Case(
        "missing_label",
        PREDICTIONS,
        "id,label\n1,\n2,0\n3,\n",
        (),
        {"file": "l.csv", "column": "label", "rows": [1, 3], "count": 2},
    ),
    "unknown_label": Case(
        "unknown_label",
        scores("1,.2,.3,.5", "2,.2,.3,.5", "3,.2,.3,.5"),
        "id,label\n1,a\n2,zebra\n3,c\n",
        (),
        {"file": "l.csv", "column": "label", "rows": [2], "count": 1},
        "'zebra' is not one of the classes a, b, c",
        "--classes",
    ),
    "unknown truth": Case(
        "unknown_label", PREDICTIONS, "id,label\n1,1\n2,-1\n3,1\n", (), {"rows": [2], "count": 1}, "'-1'", "--positive"
    ),
    "third label": Case(
        "unknown_label",
        "id,prob_spam\n1,.9\n2,.2\n3,.6\n",
        "id,label\n1,spam\n2,ham\n3,eggs\n",
        (),
        {"file": "l.csv", "column": "label", "rows": [3], "count": 1},
        "'eggs'",
    ),
    "missing_prediction": Case(
        "missing_prediction",
        "id,prob\n1,\n2,0.2\n3,\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "prob", "rows": [1, 3], "count": 2},
    ),
    "not_a_number": Case(
        "not_a_number",
        "id,prob\n1,0.9\n2,NA\n3,0.6\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "prob", "rows": [2], "count": 1},
        "'NA'",
    ),
    "nan_prediction": Case(
        "nan_prediction",
        "id,prob\n1,0.9\n2,nan\n3,NaN\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "prob", "rows": [2, 3], "count": 2},
    ),
    "probability_out_of_range": Case(
        "probability_out_of_range",
        "id,prob\n1,0.9\n2,-0.25\n3,0.6\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "prob", "rows": [2], "count": 1},
        "-0.25 is not a probability",
    ),
    "percent_out_of_range": Case(
        "probability_out_of_range",
        "id,prob\n1,90\n2,120\n3,6\n",
        LABELS,
        ("--input", "percent"),
        {"rows": [2]},
        "120.0",
    ),
    "row_sum": Case(
        "row_sum",
        scores("1,.2,.3,.5", "2,.6,.6,.2", "3,.2,.3,.5"),
        CLASS_LABELS,
        (),
        {"file": "p.csv", "column": None, "rows": [2], "count": 1},
        "1.4",
        "--row-sum normalize",
    ),
    "infinite_logit": Case(
        "infinite_logit",
        scores("1,2,3,5", "2,2,inf,5", "3,-inf,1,1", header="id,logit_a,logit_b,logit_c"),
        CLASS_LABELS,
        (),
        {"file": "p.csv", "column": "logit_b", "rows": [2], "count": 1},
        "inf",
    ),
    "undefined_row": Case(
        "undefined_row",
        scores("1,2,3,5", "2,-inf,-inf,-inf", "3,1,1,1", header="id,logit_a,logit_b,logit_c"),
        CLASS_LABELS,
        (),
        {"file": "p.csv", "rows": [2], "count": 1},
        "-inf",
    ),
    "logprob_positive": Case(
        "logprob_positive",
        "id,logprob\n1,-0.1\n2,0.5\n3,-1\n",
        LABELS,
        (),
        {"column": "logprob", "rows": [2], "count": 1},
        "0.5",
    ),
    "sentinel_logprob": Case(
        "sentinel_logprob",
        "id,logprob\n1,-0.1\n2,-9999\n3,-3.4028234663852886e38\n",
        LABELS,
        (),
        {"file": "p.csv", "column": "logprob", "rows": [2, 3], "count": 2},
        "-9999",
    ),
    "bad_weight": Case(
        "bad_weight",
        PREDICTIONS,
        "id,label,w\n1,1,nan\n2,0,\n3,1,inf\n",
        ("--weight-col", "w"),
        {"file": "l.csv", "column": "w", "rows": [1, 2, 3], "count": 3},
        "nan",
    ),
    "word as weight": Case(
        "bad_weight",
        PREDICTIONS,
        "id,label,w\n1,1,1\n2,0,heavy\n3,1,1\n",
        ("--weight-col", "w"),
        {"rows": [2]},
        "heavy",
    ),
    "negative_weight": Case(
        "negative_weight",
        "id,prob,w\n1,0.9,1\n2,0.2,-0.5\n3,0.6,1\n",
        LABELS,
        ("--weight-col", "w"),
        {"file": "p.csv", "column": "w", "rows": [2], "count": 1},
        "-0.5",
    ),
    "weights_sum_to_zero": Case(
        "weights_sum_to_zero",
        PREDICTIONS,
        "id,label,w\n1,1,0\n2,0,0\n3,1,0\n",
        ("--weight-col", "w"),
        {"file": "l.csv", "column": "w"},
    ),
    "no_scored_samples": Case(
        "no_scored_samples", PREDICTIONS, LABELS, ("--ignore-label", "0", "--ignore-label", "1"), {"file": "p.csv"}
    ),
    "label named twice": Case("bad_option", PREDICTIONS, LABELS, ("--classes", "a,a"), POSITION, "twice"),
    "delimiter beyond ASCII": Case("bad_option", PREDICTIONS, LABELS, ("--delimiter", "\xe9"), POSITION, "delimiter"),
    "quotation mark as delimiter": Case("bad_option", PREDICTIONS, LABELS, ("--delimiter", '"'), POSITION, "delimiter"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_fault_has_its_code_place_and_words(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    write(
        tmp_path,
        **{stem: content for stem, content in (("p", case.predictions), ("l", case.labels)) if content is not None},
    )
    done = ce("p.csv", "-l", "l.csv", "--json", *case.options, cwd=tmp_path, expect=2)
    error = done.json["error"]
    assert error == done.json["errors"][0]
    assert error["code"] == case.code
    assert {key: error[key] for key in case.where} == case.where
    assert case.says in error["message"]
    assert case.hint is None or case.hint in (error["hint"] or "")
    first = done.err.splitlines()[0]
    place = [
        error["file"],
        error["column"] and f"column {error['column']}",
        error["rows"] and f"row {error['rows'][0]}",
    ]
    where = ", ".join(part for part in place if part)
    assert first == f"ce-eval: error[{case.code}]: {where + ': ' if where else ''}{error['message']}"
    if error["count"] > 1 and error["rows"]:
        rows = ", ".join(map(str, error["rows"]))
        assert f"  {error['count']} rows are affected, the first: {rows}" in done.err.splitlines()
    if error["hint"]:
        assert f"  hint: {error['hint']}" in done.err.splitlines()


def test_parts_of_other_columns(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.csv").write_text(PREDICTIONS)
    (tmp_path / "d" / "2.csv").write_text("id,p\n4,0.5\n")
    write(tmp_path, l=LABELS)
    error = ce("d", "-l", "l.csv", "--json", cwd=tmp_path, expect=2).json["error"]
    assert (error["code"], error["file"]) == ("schema_mismatch", os.path.join("d", "2.csv"))  # noqa: PTH118
    assert "prob" in error["message"]


def test_every_code_that_applies_is_tested() -> None:
    later = {"bad_bins", "ambiguous_task", "target_out_of_range"}
    assert {case.code for case in CASES.values()} | {"schema_mismatch"} | later == set(CODES)


# Row i mod 40 of these is at fault in its own way; the rows differ so that every chunking has some in each chunk.
KINDS = {
    2: (",.3,.5", "a", "1", "missing_prediction"),
    5: ("x,.3,.5", "a", "1", "not_a_number"),
    8: ("nan,.3,.5", "a", "1", "nan_prediction"),
    11: ("1.5,.3,.5", "a", "1", "probability_out_of_range"),
    14: (".5,.3,.5", "a", "1", "row_sum"),
    17: (".2,.3,.5", "zebra", "1", "unknown_label"),
    20: (".2,.3,.5", "", "1", "missing_label"),
    23: (".2,.3,.5", "a", "-1", "negative_weight"),
    26: (".2,.3,.5", "a", "nan", "bad_weight"),
    29: (",x,nan", "", "-1", "missing_label"),  # the earliest check alone speaks
    32: ("nan,7,.5", "b", "", "nan_prediction"),
}
MANY = 400


def many_faults(folder: Path) -> dict[str, list[int]]:
    """Write files in which every kind of fault occurs ten times; return the rows of each code."""
    fine = (".2,.3,.5", "b", "1", "")
    rows = [KINDS.get(number % 40, fine) for number in range(1, MANY + 1)]
    write(
        folder,
        p=scores(*(f"r{number},{row[0]}" for number, row in enumerate(rows, 1))),
        l=lines("id,label,w", *(f"r{number},{row[1]},{row[2]}" for number, row in enumerate(rows, 1))),
    )
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        if row[3]:
            found.setdefault(row[3], []).append(number)
    return found


WORK = (("--jobs", "1"), ("--jobs", "4"), ("--jobs", "1", "--chunk-rows", "1"), ("--jobs", "4", "--chunk-rows", "7"))


def test_all_kinds_are_told_together_in_the_order_of_the_codes(tmp_path: Path) -> None:
    found = many_faults(tmp_path)
    told = [ce("p.csv", "-l", "l.csv", "--weight-col", "w", "--json", *work, cwd=tmp_path, expect=2) for work in WORK]
    errors = told[0].json["errors"]
    assert [error["code"] for error in errors] == [code for code in CODES if code in found]
    for error in errors:
        assert error["rows"] == found[error["code"]][:5]
        assert error["count"] == len(found[error["code"]])
    for other in told[1:]:
        assert other.out == told[0].out
        assert other.err == told[0].err


@pytest.mark.parametrize("mode", ["error", "drop"])
@pytest.mark.parametrize("order", ["same", "shuffled"])
def test_every_invalid_row_is_listed(tmp_path: Path, mode: str, order: str) -> None:
    found = many_faults(tmp_path)
    if order == "shuffled":
        header, *rows = (tmp_path / "l.csv").read_text().splitlines()
        (tmp_path / "l.csv").write_text(lines(header, *reversed(rows)))
    options = ("--weight-col", "w", "--json", "--errors", "e.csv", "--on-invalid", mode, "--chunk-rows", "7")
    done = ce("p.csv", "-l", "l.csv", *options, cwd=tmp_path, expect=2 if mode == "error" else 0)
    text = (tmp_path / "e.csv").read_text()
    assert text.startswith("row,id,column,value,code,message\n")
    listed = table(text)
    expected = sorted((row, code) for code, rows in found.items() for row in rows)
    assert [(int(row["row"]), row["code"]) for row in listed] == expected
    assert all(row["id"] == f"r{row['row']}" for row in listed)
    by_code = {row["code"]: row for row in listed}
    assert (by_code["not_a_number"]["column"], by_code["not_a_number"]["value"]) == ("prob_a", "x")
    assert (by_code["unknown_label"]["column"], by_code["unknown_label"]["value"]) == ("label", "zebra")
    assert by_code["negative_weight"]["column"] == "w"
    assert all(row["message"] for row in listed)
    if mode == "drop":
        counts = done.json["counts"]
        assert counts["invalid"] == counts["dropped"] == len(expected)
        assert counts["scored"] == MANY - len(expected)
        assert counts["rows"] == MANY
        told = [issue["count"] for issue in done.json["issues"] if issue["code"] == "invalid_rows"]
        assert sorted(told) == sorted(map(len, found.values()))


def test_dropping_all_rows_leaves_nothing_to_score(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n1,7\n2,x\n", l="id,label\n1,1\n2,0\n")
    done = ce("p.csv", "-l", "l.csv", "--on-invalid", "drop", "--json", cwd=tmp_path, expect=2)
    assert set(done.codes) == {"no_scored_samples", "not_a_number", "probability_out_of_range"}


def test_a_list_of_errors_without_any(tmp_path: Path) -> None:
    write(tmp_path, p=PREDICTIONS, l=LABELS)
    ce("p.csv", "-l", "l.csv", "-q", "--errors", "e.csv", cwd=tmp_path, expect=0)
    assert (tmp_path / "e.csv").read_text() == "row,id,column,value,code,message\n"


LOGITS, PERCENT = "--input logits", "--input percent"
SCALES = {
    "all columns like logits": (scores("1,-1.5,2,-3", "2,1.5,-.5,3"), LOGITS),
    "one column stays a probability": (scores("1,-1.5,.2,-3", "2,1.5,.5,3"), None),
    "percent": (scores("1,20,30,50", "2,0,100,0"), PERCENT),
    "above 100": (scores("1,20,.3,50", "2,0,.5,101"), None),
    "one score, negative": ("id,prob\n1,-1.25\n2,2.5\n", LOGITS),
    "one score, percent": ("id,prob\n1,20\n2,70\n", PERCENT),
}


@pytest.mark.parametrize("name", SCALES)
def test_hints_about_the_scale_only_where_they_fit(name: str, tmp_path: Path) -> None:
    text, hint = SCALES[name]
    write(tmp_path, p=text, l="id,label\n1,a\n2,b\n" if "prob_a" in text else "id,label\n1,1\n2,0\n")
    errors = ce("p.csv", "-l", "l.csv", "--json", "--chunk-rows", "1", cwd=tmp_path, expect=2).json["errors"]
    assert errors[0]["code"] == "probability_out_of_range"
    hints = " ".join(error["hint"] or "" for error in errors)
    assert [wanted for wanted in (LOGITS, PERCENT) if wanted in hints] == ([hint] if hint else [])


def test_missing_files_are_told_together(tmp_path: Path) -> None:
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2)
    assert {(error["code"], error["file"]) for error in done.json["errors"]} == {
        ("no_such_file", "p.csv"),
        ("no_such_file", "l.csv"),
    }


def test_duplicates_on_both_sides_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n2,.5\n1,.5\n1,.4\n", l="id,label\n1,1\n2,0\n2,1\n")
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2)
    assert [(error["code"], error["file"], error["rows"]) for error in done.json["errors"]] == [
        ("duplicate_id", "p.csv", [3]),
        ("duplicate_id", "l.csv", [3]),
    ]


def test_one_code_in_both_files_is_told_for_each(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n1,.9\n2\n3,.6\n", l="id,label\n1,1\n2,0\n3\n")
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2)
    assert [(error["code"], error["file"], error["rows"], error["count"]) for error in done.json["errors"]] == [
        ("malformed_row", "p.csv", [2], 1),
        ("malformed_row", "l.csv", [3], 1),
    ]


def test_faults_of_the_pairing_do_not_hide_those_of_rows(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n1,.9\n2,1.2\n3,.6\n4,.5\n", l="id,label\n1,1\n2,0\n3,yes\n5,0\n")
    write(tmp_path, short="prob\n.9\n1.2\n.6\n", y="label\n1\n0\n")
    for files, codes, listed in (
        (("p.csv", "-l", "l.csv"), ["missing_id", "missing_id", "unknown_label", "probability_out_of_range"], 2),
        (("short.csv", "-l", "y.csv"), ["length_mismatch", "probability_out_of_range"], 1),
    ):
        done = ce(*files, "--errors", "e.csv", cwd=tmp_path, expect=2)
        assert done.codes == codes
        found = [row["code"] for row in table((tmp_path / "e.csv").read_text())]
        assert sorted(found) == sorted(codes[-listed:])
        (tmp_path / "e.csv").unlink()


@pytest.mark.parametrize("labels", [None, "l.csv"])
def test_every_row_is_counted_once(labels: str | None, tmp_path: Path) -> None:
    rows = {  # of the two files, and of both in one
        "scored": ("1,.9,1", "1,1"),
        "ignored, without an id": (",.2,1", ",-1"),
        "malformed, ignored": ("3,.6", "3,-1"),
        "malformed there": ("7,.6,1", "7,-1,8"),
        "ignored": ("4,.5,1", "4,-1"),
        "without weight": ("5,.4,0", "5,0"),
        "invalid": ("6,7,1", "6,0"),
        "invalid, but ignored": ("8,7,1", "8,-1"),
        "scored too": ("9,.3,2", "9,0"),
    }
    write(
        tmp_path,
        p=lines("id,prob,w", *(mine for mine, _ in rows.values())),
        l=lines("id,label", *(other for _, other in rows.values())),
        one=lines("id,prob,w,label", *(f"{mine},{other.split(',', 1)[1]}" for mine, other in rows.values())),
    )
    files = ("one.csv",) if labels is None else ("p.csv", "-l", labels)
    options = ("--ignore-label", "-1", "--weight-col", "w", "--on-invalid", "drop", "--json")
    for work in WORK:
        counts = ce(*files, *options, *work, cwd=tmp_path, expect=0).json["counts"]
        parts = [counts[name] for name in ("scored", "ignored", "dropped", "zero_weight", "unscored")]
        assert sum(parts) == counts["rows"] == len(rows)
        assert counts["scored"] == 2


def test_malformed_rows_do_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n1,0.9\n2,0.2,5\n3,7\n", l=LABELS)
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2)
    assert [(error["code"], error["rows"]) for error in done.json["errors"]] == [
        ("malformed_row", [2]),
        ("probability_out_of_range", [3]),
    ]


def test_malformed_rows_by_number_in_a_large_file(tmp_path: Path) -> None:
    rows = [f"{number},0.5" for number in range(1, 700_001)]
    bad = [3, 100_000, 250_001, 400_000, 555_555, 700_000]
    for number in bad:
        rows[number - 1] += ",1"
    write(tmp_path, p=lines("key,prob", *rows), l=lines("label", *(["1", "0"] * 350_000)))
    for jobs in ("1", "4"):
        done = ce("p.csv", "-l", "l.csv", "--json", "--jobs", jobs, cwd=tmp_path, expect=2)
        error = done.json["error"]
        assert (error["code"], error["rows"], error["count"]) == ("malformed_row", bad[:5], 6)


def test_a_list_of_another_length(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"probs": [[0.5, 0.5], [0.2, 0.3, 0.5], [0.1, 0.9]], "label": [0, 1, 1]}), tmp_path / "p.parquet"
    )
    error = ce("p.parquet", "--json", cwd=tmp_path, expect=2).json["error"]
    assert (error["code"], error["column"], error["rows"]) == ("malformed_row", "probs", [2])
    assert "expected a list of 2 scores, but got one of 3" in error["message"]


@pytest.mark.parametrize("how", ["environment", "file"])
def test_json_errors_wherever_the_option_comes_from(how: str, tmp_path: Path) -> None:
    if how == "file":
        (tmp_path / "ce-eval.toml").write_text("json = true\n")
    done = ce("p.csv", cwd=tmp_path, env={"CE_EVAL_JSON": "1"} if how == "environment" else {}, expect=2)
    assert done.json["error"]["code"] == "no_such_file"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not hold for this user")
def test_a_file_without_permission(tmp_path: Path) -> None:
    write(tmp_path, p=PREDICTIONS, l=LABELS)
    (tmp_path / "p.csv").chmod(0)
    assert ce("p.csv", "-l", "l.csv", cwd=tmp_path, expect=2).codes == ["unreadable_file"]


@pytest.mark.parametrize("column", ["id", "label"])
def test_text_of_a_parquet_file_that_is_not_utf8(column: str, tmp_path: Path) -> None:
    bad = pa.StringArray.from_buffers(
        3, pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0])), pa.py_buffer(b"ab\xe9t\xe9")
    )
    columns = {"id": pa.array(["1", "2", "3"]), "prob": pa.array([0.9, 0.2, 0.6]), "label": pa.array(["1", "0", "1"])}
    pq.write_table(pa.table({**columns, column: bad}), tmp_path / "p.parquet")
    done = ce("p.parquet", "--json", cwd=tmp_path, expect=2)
    assert done.codes == ["unreadable_file"]
    assert r"\xe9t\xe9" in done.err
    assert "not UTF-8" in done.err
