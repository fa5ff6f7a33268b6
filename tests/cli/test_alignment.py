"""How the rows of two files pair: never wrongly, and always said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests.cli.command import ce, lines, table, value, write

if TYPE_CHECKING:
    from pathlib import Path

PAIR = (-math.log(0.9) - math.log1p(-0.2)) / 2


def test_order_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    n = 3000
    prob, label, order = rng.random(n), rng.integers(0, 2, size=n), rng.permutation(n)
    write(
        tmp_path,
        p=lines("id,prob", *((f"k{i}", repr(float(p))) for i, p in enumerate(prob))),
        same=lines("id,label", *((f"k{i}", label[i]) for i in range(n))),
        shuffled=lines("label,id", *((label[i], f"k{i}") for i in order)),
    )
    expected = math.fsum(-math.log(p) if y else -math.log1p(-p) for p, y in zip(prob.tolist(), label, strict=True)) / n
    reports = [
        ce("p.csv", "-l", f"{name}.csv", "--json", "--per-sample", f"{name}_s.csv", *work, cwd=tmp_path, expect=0).json
        for name, work in (("same", ()), ("shuffled", ("--chunk-rows", "101", "-j", "3")))
    ]
    assert value(reports[0]) == pytest.approx(expected, rel=1e-15)
    assert reports[0]["metrics"] == reports[1]["metrics"]
    assert reports[0]["worst"] == reports[1]["worst"]
    assert reports[0]["alignment"] == reports[1]["alignment"] == "id"
    assert (tmp_path / "same_s.csv").read_bytes() == (tmp_path / "shuffled_s.csv").read_bytes()
    assert [row["id"] for row in table((tmp_path / "shuffled_s.csv").read_text())] == [f"k{i}" for i in range(n)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_join_that_needs_more_memory_than_it_may_take(tmp_path: Path, suffix: str) -> None:
    n = 20_000
    names = [f"k{number}" for number in range(n)]
    predictions = pa.table({"id": names, "prob": [0.5] * n})
    labels = pa.table({"id": names[::-1], "label": [number % 2 for number in range(n)]})
    for name, data in (("p", predictions), ("y", labels)):
        if suffix == "csv":
            pa_csv.write_csv(data, tmp_path / f"{name}.csv")
        else:
            pq.write_table(data, tmp_path / f"{name}.parquet")
    files = (f"p.{suffix}", "-l", f"y.{suffix}")
    done = ce(*files, "--join-memory", "100K", "--json", "--per-sample", "s.csv", cwd=tmp_path, expect=2)
    (error,) = done.json["errors"]
    assert (error["code"], error["file"]) == ("bad_option", f"y.{suffix}")
    assert "KiB of memory" in error["message"]
    assert "--join-memory 100 KiB" in error["message"]
    assert "sort both files" in error["hint"]
    assert not (tmp_path / "s.csv").exists()
    reports = [
        ce(*files, "--json", *more, cwd=tmp_path, env=env, expect=0).json
        for more, env in (((), None), (("--join-memory", "1.5MiB"), None), ((), {"CE_EVAL_JOIN_MEMORY": "2MB"}))
    ]
    assert reports[0] == reports[1] == reports[2]
    assert value(reports[0]) == pytest.approx(math.log(2), rel=1e-15)


def test_no_memory_is_needed_where_the_order_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\na,.9\nb,.2\n", l="id,label\na,1\nb,0\n")
    done = ce("p.csv", "-l", "l.csv", "--join-memory", "1B", "--json", cwd=tmp_path, expect=0)
    assert value(done.json) == pytest.approx(PAIR, rel=1e-15)
    done = ce("p.csv", "-l", "l.csv", "--join-memory", "lots", "--json", cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]


def test_ids_on_one_side_only(tmp_path: Path) -> None:
    write(
        tmp_path,
        p="id,prob\n8,.5\n2,.2\n7,.5\n1,.9\n",
        l="id,label\n1,1\n3,1\n2,0\n4,1\n5,0\n",
    )
    errors = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2).json["errors"]
    assert [(error["code"], error["file"], error["rows"], error["count"]) for error in errors] == [
        ("missing_id", "p.csv", [1, 3], 2),
        ("missing_id", "l.csv", [2, 4, 5], 3),
    ]
    done = ce("p.csv", "-l", "l.csv", "--missing", "drop", "--json", "--per-sample", "s.csv", cwd=tmp_path, expect=0)
    counts = done.json["counts"]
    assert (counts["rows"], counts["scored"], counts["dropped"]) == (4, 2, 2)
    assert (counts["unmatched_predictions"], counts["unmatched_labels"]) == (2, 3)
    assert done.json["inputs"]["labels"]["rows"] == 5
    assert value(done.json) == pytest.approx(PAIR, rel=1e-15)


@pytest.mark.parametrize("longer", ["predictions", "labels"])
def test_the_same_order_but_one_file_is_longer(longer: str, tmp_path: Path) -> None:
    rows = range(1, 8)
    many, few = [(i, 0.5) for i in rows], [(i, 1) for i in rows]
    write(
        tmp_path,
        p=lines("id,prob", *(many if longer == "predictions" else many[:4])),
        l=lines("id,label", *(few if longer == "labels" else few[:4])),
    )
    error = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2).json["error"]
    assert (error["code"], error["rows"], error["count"]) == ("missing_id", [5, 6, 7], 3)
    report = ce("p.csv", "-l", "l.csv", "--missing", "drop", "--json", cwd=tmp_path, expect=0).json
    assert report["counts"][f"unmatched_{longer}"] == 3
    assert report["counts"]["scored"] == 4


def test_disjoint_ids(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\na,.5\nb,.5\n", l="id,label\n1,1\n2,0\n")
    assert ce("p.csv", "-l", "l.csv", cwd=tmp_path, expect=2).codes == ["missing_id", "missing_id"]
    assert ce("p.csv", "-l", "l.csv", "--missing", "drop", cwd=tmp_path, expect=2).codes == ["no_scored_samples"]


@pytest.mark.parametrize("side", ["p", "l"])
def test_duplicates_in_another_order(side: str, tmp_path: Path) -> None:
    extra = {"p": "1,.5\n1,.4\n" if side == "p" else "", "l": "2,0\n2,0\n" if side == "l" else ""}
    write(tmp_path, p="id,prob\n2,.2\n1,.9\n" + extra["p"], l="id,label\n1,1\n2,0\n" + extra["l"])
    for work in (("-j", "1"), ("-j", "4", "--chunk-rows", "1", "--missing", "drop")):
        error = ce("p.csv", "-l", "l.csv", "--json", *work, cwd=tmp_path, expect=2).json["error"]
        assert (error["code"], error["file"], error["rows"], error["count"]) == (
            "duplicate_id",
            f"{side}.csv",
            [3, 4],
            2,
        )


def test_equal_sequences_with_duplicates_pair_unambiguously(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n1,.9\n1,.2\n", l="id,label\n1,1\n1,0\n")
    assert float(ce("p.csv", "-l", "l.csv", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(PAIR, rel=1e-15)


def test_unequal_lengths_by_position(tmp_path: Path) -> None:
    write(tmp_path, p="prob\n.5\n.5\n", l="label\n1\n0\n1\n", more="prob\n" + ".5\n" * 70_000)
    assert ce("p.csv", "-l", "l.csv", "--missing", "drop", cwd=tmp_path, expect=2).codes == ["length_mismatch"]
    error = ce("more.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=2).json["error"]
    assert "70000 predictions, but 3 labels" in error["message"].replace(",0", "0") or "70,000" in error["message"]


def test_by_position_although_the_ids_differ(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob\n1,.9\n9,.2\n", l="id,label\n1,1\n8,0\n")
    report = ce("p.csv", "-l", "l.csv", "--align", "position", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(PAIR, rel=1e-15)
    assert report["alignment"] == "position"
    assert any("different ids" in issue["message"] and issue["first_rows"] == [2] for issue in report["issues"])


def test_composite_keys(tmp_path: Path) -> None:
    write(
        tmp_path,
        p="doc,line,prob\nx,1,.9\nx,2,.2\nx|2,,.6\nx,2|,.7\n",
        l="LINE,Doc,label\n2|,x,1\n,x|2,1\n2,x,0\n1,x,1\n",
    )
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.6) + math.log(0.7)) / 4
    for options in (("--id-col", "doc", "--id-col", "line"), ()):
        report = ce("p.csv", "-l", "l.csv", *options, "--json", cwd=tmp_path, expect=0).json
        assert value(report) == pytest.approx(expected, rel=1e-15)
        assert report["columns"]["id"] == ["doc", "line"]


def test_a_malformed_row_does_not_hide_a_key_that_differs(tmp_path: Path) -> None:
    write(
        tmp_path,
        p="doc,line,prob\nx,1,.9\nx,2,.2\ny,1\ny,2,.3\n",
        l="doc,line,label\nx,2,0\nx,1,1\ny,1,1\ny,2,0\n",
    )
    assert ce("p.csv", "-l", "l.csv", cwd=tmp_path, expect=2).codes == ["malformed_row"]
    report = ce("p.csv", "-l", "l.csv", "--on-invalid", "drop", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-math.log(0.9 * 0.8 * 0.7) / 3, rel=1e-15)
    assert report["counts"]["dropped"] == 1


def test_keys_of_different_names(tmp_path: Path) -> None:
    write(tmp_path, p="image,prob\na,.9\nb,.2\n", l="filename,label\nb,0\na,1\n")
    report = ce("p.csv", "-l", "l.csv", "--id-col", "image=filename", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(PAIR, rel=1e-15)
    assert (report["alignment"], report["columns"]["id"]) == ("id", ["image"])
    report = ce("p.csv", "-l", "l.csv", "--json", cwd=tmp_path, expect=0).json
    assert report["alignment"] == "position"
    (issue,) = [issue for issue in report["issues"] if issue["code"] == "paired_by_position"]
    assert "image" in issue["message"]
    assert "filename" in issue["message"]


def test_an_unnamed_index_is_an_id_as_a_last_resort(tmp_path: Path) -> None:
    write(
        tmp_path,
        p=",prob\n0,.9\n1,.2\n",
        l=",label\n1,0\n0,1\n",
        named=",id,label\n1,1,0\n0,0,1\n",
        none="label\n1\n0\n",
    )
    for labels, alignment in (("l.csv", "id"), ("named.csv", "id"), ("none.csv", "position")):
        report = ce("p.csv", "-l", labels, "--json", cwd=tmp_path, expect=0).json
        assert value(report) == pytest.approx(PAIR, rel=1e-15)
        assert report["alignment"] == alignment


def test_indexes_of_data_frames_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prob": [0.9, 0.2], "__index_level_0__": [0, 1]}), tmp_path / "p.parquet")
    pq.write_table(pa.table({"label": [0, 1], "__index_level_0__": [1, 0]}), tmp_path / "l.parquet")
    done = ce("p.parquet", "-l", "l.parquet", "-q", cwd=tmp_path, expect=0)
    assert float(done.out) == pytest.approx(PAIR, rel=1e-15)


def test_large_integers_keep_every_digit(tmp_path: Path) -> None:
    big = 2**62
    write(tmp_path, p=f"id,prob\n{big + 1},.9\n{big},.2\n")
    pq.write_table(pa.table({"id": [big, big + 1], "label": [0, 1]}), tmp_path / "l.parquet")
    pq.write_table(pa.table({"id": pa.array([big + 1, big], pa.uint64()), "prob": [0.9, 0.2]}), tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        done = ce(name, "-l", "l.parquet", "-q", cwd=tmp_path, expect=0)
        assert float(done.out) == pytest.approx(PAIR, rel=1e-15)


@pytest.mark.parametrize("side", ["p", "l"])
def test_weights_in_either_file(side: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        p="id,prob,w\n1,.9,3\n2,.2,1\n" if side == "p" else "id,prob\n1,.9\n2,.2\n",
        l="id,label,w\n2,0,1\n1,1,3\n" if side == "l" else "id,label\n2,0\n1,1\n",
    )
    report = ce("p.csv", "-l", "l.csv", "--weight-col", "w", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-(3 * math.log(0.9) + math.log(0.8)) / 4, rel=1e-15)
    assert report["columns"]["weight"] == "w"


def test_weights_as_large_as_doubles_go(tmp_path: Path) -> None:
    write(tmp_path, p="prob,label,w\n.9,1,1e308\n.2,0,1e308\n.9,1,1e308\n.2,0,1e308\n")
    report = ce("p.csv", "--weight-col", "w", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(PAIR, rel=1e-15)


def test_labels_of_unequal_files_never_shift(tmp_path: Path) -> None:
    # Both files have as many rows, but each lacks one that the other has.
    write(tmp_path, p="id,prob\n1,.9\n2,.2\n4,.9\n", l="id,label\n1,1\n3,1\n4,0\n")
    assert ce("p.csv", "-l", "l.csv", cwd=tmp_path, expect=2).codes == ["missing_id", "missing_id"]
