"""The command on regressions through bins: what it takes the columns for, and what it says of faults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import ce, lines, table, value, write

if TYPE_CHECKING:
    from pathlib import Path

BINS = lines(
    ("id", "y", '"p[0,1)"', '"p[1,2)"', '"p[2,4)"'),
    (1, 0.5, 0.5, 0.25, 0.25),
    (2, 1, 0.25, 0.5, 0.25),
    (3, 3.5, 0.25, 0.25, 0.5),
)
MEANS = lines(("y", "mean", "std"), (0.5, 0.4, 1), (1, 1.5, 0.5), (3.5, 3, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, p=BINS, m=MEANS)
    return tmp_path


def test_headers_alone(folder: Path) -> None:
    report = ce("p.csv", "--json", cwd=folder, expect=0).json
    assert (report["task"], report["classes"]) == ("regression", ["[0,1)", "[1,2)", "[2,4)"])
    assert value(report) == pytest.approx(math.log(2))
    assert value(report, "log_score") == pytest.approx(math.log(2) + math.log(2) / 3)
    assert report["columns"]["labels"] == ["y"]


def test_the_page(folder: Path) -> None:
    page = ce("p.csv", cwd=folder, expect=0).out
    assert "task         regression, 3 bins: [0,1), [1,2), [2,4)\n" in page
    assert "log_score" in page
    assert "bins  loss in nats" in page


def test_rows(folder: Path) -> None:
    rows = table(ce("p.csv", "--per-sample", "-", cwd=folder, expect=0).out)
    assert list(rows[0]) == ["id", "label", "bin", "prob", "log_score", "rps", "crps", "loss", "weight"]
    assert [row["bin"] for row in rows] == ["[0,1)", "[1,2)", "[2,4)"]
    assert [row["label"] for row in rows] == ["0.5", "1", "3.5"]
    assert [float(row["rps"]) for row in rows] == [0.25 + 0.0625, 0.0625 + 0.0625, 0.0625 + 0.25]


def test_targets_in_another_file_in_another_order(folder: Path) -> None:
    without = [row.split(",", 2) for row in BINS.splitlines()]
    predictions = lines(*(f"{id_},{bins}" for id_, _, bins in without))
    write(folder, q=predictions, l=lines(("id", "wili"), (3, 3.5), (1, 0.5), (2, 1)))
    assert ce("q.csv", "-l", "l.csv", "-q", cwd=folder, expect=0).out == ce("p.csv", "-q", cwd=folder, expect=0).out


def test_class_names_that_look_like_bins_stay_classes(folder: Path) -> None:
    write(folder, c=lines(("label", '"prob_[0,1)"', '"prob_[1,2)"'), ('"[0,1)"', 0.9, 0.1), ('"[1,2)"', 0.2, 0.8)))
    report = ce("c.csv", "--json", cwd=folder, expect=0).json
    assert (report["task"], report["classes"]) == ("binary", ["[0,1)", "[1,2)"])


def test_standard_input_is_read_twice_where_it_must(folder: Path) -> None:
    done = ce("-", "--bins", "quantile:2", "--json", cwd=folder, stdin=MEANS.encode(), expect=0)
    report = done.json
    assert report["classes"] == ["[0.5,1)", "[1,3.5]"]
    assert "|bins:quantile:2|dist:normal|" in report["signature"]


def test_edges_from_a_file(folder: Path) -> None:
    (folder / "edges.txt").write_text("edge\n0\n1\n2\n4\n")
    by_file = ce("m.csv", "--bins", "edges.txt", "--json", cwd=folder, expect=0).json
    assert by_file["classes"] == ["[0,1)", "[1,2)", "[2,4]"]
    assert by_file["metrics"] == ce("m.csv", "--bins", "0,1,2,4", "--json", cwd=folder, expect=0).json["metrics"]


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("9", "target_out_of_range", "row 2: 9.0 is in none of the bins, which go from [0,1) to [2,4)"),
        ("4", "target_out_of_range", "4.0 is in none"),
        ("-0.1", "target_out_of_range", "-0.1 is in none"),
        ("inf", "target_out_of_range", "inf is in none"),
        ("", "missing_label", "the target is empty"),
        ("low", "not_a_number", "'low' is no target"),
        ("nan", "not_a_number", "'nan' is no target"),
    ],
)
def test_faulty_targets(target: str, code: str, message: str, folder: Path) -> None:
    write(folder, p=BINS.replace("2,1,", f"2,{target},"))
    done = ce("p.csv", cwd=folder, expect=2)
    assert done.codes == [code]
    assert message in done.err
    report = ce("p.csv", "--on-invalid", "drop", "--errors", "e.csv", "--json", cwd=folder, expect=0).json
    assert (report["counts"]["invalid"], report["counts"]["scored"]) == (1, 2)
    assert code in (folder / "e.csv").read_text()
    if target:
        ignored = ce("p.csv", "--ignore-label", target, "--json", cwd=folder, expect=0).json
        assert (ignored["counts"]["ignored"], ignored["counts"]["scored"]) == (1, 2)


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ("1.5,0", "not_a_number"),
        ("1.5,-1", "not_a_number"),
        ("1.5,inf", "not_a_number"),
        ("inf,1", "not_a_number"),
        ("x,1", "not_a_number"),
        ("nan,1", "nan_prediction"),
        (",1", "missing_prediction"),
        ("1e300,1", "undefined_row"),
    ],
)
def test_faulty_distributions(cells: str, code: str, folder: Path) -> None:
    write(folder, m=MEANS.replace("1.5,0.5", cells))
    assert ce("m.csv", "--bins", "0,1,2,4", cwd=folder, expect=2).codes == [code]
    report = ce("m.csv", "--bins", "0,1,2,4", "--on-invalid", "drop", "--json", cwd=folder, expect=0).json
    assert report["counts"]["invalid"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("m.csv", "--task", "regression"), "bad_bins", "needs bins"),
        (("m.csv", "--bins", "0,1,1"), "bad_bins", "increase"),
        (("m.csv", "--bins", "0,4"), "bad_bins", "fewer than two bins"),
        (("m.csv", "--bins", "0,nan,4"), "bad_bins", "NaN"),
        (("m.csv", "--bins", "nowhere.txt"), "bad_bins", "nowhere.txt"),
        (("m.csv", "--bins", "quantile:1"), "bad_bins", "fewer than two bins"),
        (("m.csv", "--bins", "0,1,2,4", "--sigma", "1"), "bad_option", "column std has one for each row"),
        (("m.csv", "--bins", "0,1,2,4", "--pred-cols", "mean"), "bad_option", "pass --sigma"),
        (("m.csv", "--bins", "0,1,2,4", "--pred-cols", "mean", "--dist", "normal"), "bad_option", "--sigma"),
        (("m.csv", "--bins", "0,1,2,4", "--input", "logits"), "bad_option", "--input"),
        (("m.csv", "--bins", "0,1,2,4", "--eps", "auto"), "bad_option", "--eps"),
        (("m.csv", "--bins", "0,1,2,4", "--row-sum", "raw"), "bad_option", "--row-sum"),
        (("m.csv", "--bins", "0,1,2,4", "--positive", "a"), "bad_option", "--positive"),
        (("m.csv", "--bins", "0,1,2,4", "--classes", "a,b,c"), "bad_option", "--classes"),
        (("m.csv", "--bins", "0,1,inf", "--targets", "two-hot"), "bad_option", "open-ended"),
        (("m.csv", "--bins", "0,1,inf", "--targets", "hl-gauss"), "bad_option", "open-ended"),
        (("m.csv", "--bins", "0,1,4", "--targets", "hl-gauss", "--sigma", "auto"), "bad_option", "--sigma auto"),
        (("m.csv", "--bins", "0,1,4", "--targets", "hl-gauss", "--pred-cols", "mean"), "bad_option", "in a column std"),
        (("m.csv", "--bins", "0,1,4", "--sigma", "0"), "bad_option", "--sigma takes"),
        (("m.csv", "--task", "multiclass", "--bins", "0,1,4"), "bad_option", "does not apply to --task multiclass"),
        (("p.csv", "--bins", "0,1,4"), "bad_bins", "leave --bins out"),
        (("p.csv", "--pred-cols", "p*", "--dist", "normal"), "bad_option", "no column for its standard deviation"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], code: str, message: str, folder: Path) -> None:
    done = ce(*arguments, cwd=folder, expect=2)
    assert done.codes == [code]
    assert message in done.err


def test_the_number_of_columns(folder: Path) -> None:
    write(folder, k=lines(("y", "prob_0", "prob_1"), (0.5, 0.5, 0.5)))
    done = ce("k.csv", "--bins", "0,1,2,4", cwd=folder, expect=2)
    assert done.codes == ["bad_bins"]
    assert "makes 3 bins, but there are 2 scores: prob_0, prob_1" in done.err


def test_two_readings(folder: Path) -> None:
    both = lines(("y", "mean", "std", "prob_0", "prob_1"), (0.5, 0.5, 1, 0.5, 0.5), (1.5, 1, 1, 0.25, 0.75))
    write(folder, b=both)
    done = ce("b.csv", "--bins", "0,1,2", cwd=folder, expect=2)
    assert done.codes == ["ambiguous_columns"]
    assert "--dist" in done.err
    by_bins = ce("b.csv", "--bins", "0,1,2", "--pred-cols", "prob_*", "--json", cwd=folder, expect=0).json
    by_dist = ce("b.csv", "--bins", "0,1,2", "--dist", "normal", "--json", cwd=folder, expect=0).json
    assert (by_bins["input"], by_dist["input"]) == ("probs", "distribution")


def test_a_gate_on_a_bin(folder: Path) -> None:
    ce("p.csv", "--gate", "class[[0,1)].cross_entropy < 0.7", "--gate", "crps < 1", cwd=folder, expect=0)
    ce("p.csv", "--gate", "class[[1,2)].n > 1", cwd=folder, expect=1)
