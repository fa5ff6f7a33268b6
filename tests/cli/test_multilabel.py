"""Several labels in a row, by the real command: files, errors, the table, gates and single rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import ROOT, ce, lines, table, value, write

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "sample_data"
TASK = ("--task", "multilabel")
PREDICTIONS = lines("id,cat,dog,fox", (1, 0.9, 0.2, 0.5), (2, 0.3, 0.8, 0.1), (3, 0.5, 0.5, 0.7), (4, 0.25, 0.5, 0.7))
LABELS = lines("id,fox,dog,cat", (1, "", "False", "true"), (2, "", "", ""), (3, 0.25, 1, 0), (4, "?", 1, 0))
LOSSES = {
    "1": (-math.log(0.9), -math.log(0.8)),
    "3": (math.log(2), math.log(2), -0.25 * math.log(0.7) - 0.75 * math.log(0.3)),
    "4": (-math.log(0.75), math.log(2)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, p=PREDICTIONS, y=LABELS)
    return tmp_path


def test_cells_that_are_not_known_are_left_out(folder: Path) -> None:
    report = ce("p.csv", "--labels", "y.csv", *TASK, "--ignore-label", "?", "--json", cwd=folder, expect=0).json
    cells = [loss for row in LOSSES.values() for loss in row]
    assert value(report) == pytest.approx(sum(cells) / len(cells), rel=1e-14)
    assert value(report, "cross_entropy_label_sum") == pytest.approx(sum(cells) / 3, rel=1e-14)
    counts = report["counts"]
    assert (counts["rows"], counts["scored"], counts["ignored"], counts["cells"]) == (4, 3, 1, 7)
    assert [(row["class"], row["n"]) for row in report["per_class"]] == [("cat", 3), ("dog", 3), ("fox", 1)]
    assert report["columns"]["labels"] == ["cat", "dog", "fox"]
    assert report["per_class"][2]["prevalence"] == 0.25
    assert "recall" not in report["per_class"][2]
    assert report["signature"].startswith("ce|task:multilabel|input:probs|k:3|n:3|")
    assert "ignore:?" in report["signature"]
    worst = report["worst"][0]
    assert (worst["id"], worst["label"], worst["predicted"]) == ("3", "dog fox 0.25", "fox")
    assert worst["prob"] == pytest.approx(math.exp(-worst["loss"]), rel=1e-14)


def test_what_is_no_label_is_told_with_its_column(folder: Path) -> None:
    done = ce("p.csv", "--labels", "y.csv", *TASK, cwd=folder, expect=2)
    assert done.codes == ["unknown_label"]
    assert "y.csv, column fox, row 4: '?'" in done.err
    assert "--ignore-label" in done.err


def test_scores_are_checked_one_by_one(tmp_path: Path) -> None:
    rows = ((1, 0.9, ""), (2, 1.5, 0.8), (3, 0.5, "x"), (4, "nan", 0.1), (5, 0.9, 0.9))
    write(tmp_path, p=lines("id,prob_a,prob_b", *rows), y=lines("id,b,a", *((at, 1, 0) for at in range(1, 6))))
    done = ce("p.csv", "--labels", "y.csv", *TASK, "--json", cwd=tmp_path, expect=2)
    assert done.codes == ["missing_prediction", "not_a_number", "nan_prediction", "probability_out_of_range"]
    assert [error["column"] for error in done.json["errors"]] == ["prob_b", "prob_b", "prob_a", "prob_a"]
    options = ("--on-invalid", "drop", "--errors", "bad.csv", "--json")
    report = ce("p.csv", "--labels", "y.csv", *TASK, *options, cwd=tmp_path, expect=0).json
    assert (report["counts"]["invalid"], report["counts"]["scored"]) == (4, 1)
    assert value(report) == pytest.approx((-math.log(0.9) - math.log(0.1)) / 2, rel=1e-14)
    assert [row["row"] for row in table((tmp_path / "bad.csv").read_text())] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("scale", "rows", "code"),
    [("logit", ((1, "inf", 0),), "infinite_logit"), ("logprob", ((1, 0.5, -1),), "logprob_positive")],
)
def test_other_scales_are_checked_too(tmp_path: Path, scale: str, rows: tuple[object, ...], code: str) -> None:
    text = lines(f"id,{scale}_a,{scale}_b", *rows)  # type: ignore[arg-type]
    write(tmp_path, p=text, y=lines("id,a,b", (1, 0, 1)))
    assert ce("p.csv", "--labels", "y.csv", *TASK, cwd=tmp_path, expect=2).codes == [code]


def test_logits_of_which_none_is_finite_are_fine_here(tmp_path: Path) -> None:
    write(tmp_path, p=lines("logit_a,logit_b,label_a,label_b", ("-inf", "-inf", 0, 0), (0, 0, 1, 0)))
    assert value(ce("p.csv", *TASK, "--json", cwd=tmp_path, expect=0).json) == pytest.approx(math.log(2) / 2, rel=1e-15)


@pytest.mark.parametrize("option", [("--positive", "cat"), ("--row-sum", "normalize")])
def test_options_that_mean_nothing_here_are_refused(folder: Path, option: tuple[str, str]) -> None:
    done = ce("p.csv", "--labels", "y.csv", *TASK, *option, cwd=folder, expect=2)
    assert done.codes == ["bad_option"]
    assert f"{option[0]} does not apply to --task multilabel" in done.err


def test_one_label_column_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path, p=lines("id,prob_a,prob_b", (1, 0.5, 0.5)), y=lines("id,label", (1, "a")))
    done = ce("p.csv", "--labels", "y.csv", *TASK, cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]
    assert "--label-col" in done.err


def test_a_label_without_a_score_is_told(tmp_path: Path) -> None:
    write(tmp_path, p=lines("prob_a,prob_b,label_a,label_b,label_c", (0.5, 0.5, 1, 0, 1)))
    assert ce("p.csv", *TASK, cwd=tmp_path, expect=2).codes == ["ambiguous_columns"]


def test_nothing_but_unknown_cells(tmp_path: Path) -> None:
    write(tmp_path, p=lines("prob_a,prob_b,label_a,label_b", (0.5, 0.5, "", ""), (0.5, 0.5, "", "")))
    assert ce("p.csv", *TASK, cwd=tmp_path, expect=2).codes == ["no_scored_samples"]


def test_named_columns_go_with_the_scores_in_their_order(tmp_path: Path) -> None:
    write(tmp_path, p=lines("s1,s2,t1,t2", (0.9, 0.2, 1, 0), (0.7, 0.4, 0, 1)))
    columns = ("--pred-cols", "s1,s2", "--label-col", "t1,t2")
    report = ce("p.csv", *TASK, *columns, "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-sum(map(math.log, (0.9, 0.8, 0.3, 0.4))) / 4, rel=1e-14)
    assert report["classes"] == ["s1", "s2"]
    turned = ce("p.csv", *TASK, *columns, "--classes", "s2,s1", "--json", cwd=tmp_path, expect=0).json
    assert turned["columns"]["labels"] == ["t2", "t1"]
    assert value(turned) == value(report)
    renamed = ce("p.csv", *TASK, *columns, "--classes", "cat,dog", "--json", cwd=tmp_path, expect=0).json
    assert [row["class"] for row in renamed["per_class"]] == ["cat", "dog"]


def test_several_labels_without_the_task_ask_for_it(folder: Path) -> None:
    write(folder, y=lines("id,cat,dog,fox", (1, 1, 1, 0), (2, 0, 0, 0), (3, 0, 1, 0), (4, 1, 1, 1)))
    done = ce("p.csv", "--labels", "y.csv", cwd=folder, expect=2)
    assert done.codes == ["ambiguous_task"]
    assert "--task multilabel" in done.err


def test_gates(folder: Path) -> None:
    options = ("--ignore-label", "?", "--gate", "class[cat].skill > -1", "--gate", "class[cat].ece < 1")
    more = ("--gate", "counts.cells == 7", "--gate", "cross_entropy_label_sum.upper < 99")
    done = ce("p.csv", "--labels", "y.csv", *TASK, *options, *more, "--json", cwd=folder, expect=0)
    assert [gate["passed"] for gate in done.json["gates"]] == [True] * 4
    gate = ("--gate", "class[fox].prevalence > 30%")
    assert ce("p.csv", "--labels", "y.csv", *TASK, "--ignore-label", "?", *gate, cwd=folder).code == 1


def test_gates_on_labels_fail_where_classes_have_no_such_field(tmp_path: Path) -> None:
    write(tmp_path, p=lines("prob,label", (0.5, 1), (0.5, 0)))
    done = ce("p.csv", "--gate", "counts.cells > 0", "--gate", "class[1].skill > 0", "--json", cwd=tmp_path, expect=1)
    assert [gate["reason"] for gate in done.json["gates"]] == [
        "this report has no count cells",
        "class '1' has no skill in this report",
    ]
    assert "cells" not in done.json["counts"]
    assert {"prevalence", "skill", "ece"}.isdisjoint(done.json["per_class"][0])


def test_the_table_speaks_of_labels_and_cells(folder: Path) -> None:
    command = ("p.csv", "--labels", "y.csv", *TASK, "--ignore-label", "?")
    done = ce(*command, cwd=folder, expect=0)
    assert "multilabel, 3 labels: cat, dog, fox" in done.out
    assert "cells        7 known" in done.out
    heading = next(line for line in done.out.splitlines() if "prevalence" in line)
    assert heading.split() == ["label", "cells", "prevalence", "loss", "share", "skill", "ece", "recall"]
    assert max(map(len, done.out.splitlines())) <= 80
    wide = ce(*command, cwd=folder, env={"COLUMNS": "120"}, expect=0).out
    assert "mean prob" in next(line for line in wide.splitlines() if "prevalence" in line)


def test_single_rows(folder: Path) -> None:
    done = ce("p.csv", "-l", "y.csv", *TASK, "--ignore-label", "?", "--per-sample", "-", cwd=folder, expect=0)
    rows = table(done.out)
    assert list(rows[0]) == ["id", "cat", "dog", "fox", "loss_sum", "cells", "loss", "weight"]
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[3]["fox"] == "?"
    assert rows[1] == dict.fromkeys(rows[1], "") | {"id": "2"}
    for row in rows:
        if row["id"] in LOSSES:
            cells = LOSSES[row["id"]]
            assert float(row["loss"]) == pytest.approx(sum(cells) / len(cells), rel=1e-14)
            assert float(row["loss_sum"]) == pytest.approx(sum(cells), rel=1e-14)
            assert int(row["cells"]) == int(row["weight"]) == len(cells)


def test_labels_that_are_called_as_other_columns_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, p=lines("prob_loss,prob_row,label_loss,label_row", (0.5, 0.5, 1, 0)))
    write(tmp_path, q=lines("id,loss,row", (1, 0.5, 0.25)), y=lines("id,loss,row", (1, 1, 0)))
    rows = table(ce("q.csv", "-l", "y.csv", *TASK, "--per-sample", "-", cwd=tmp_path, expect=0).out)
    assert list(rows[0]) == ["id", "label_loss", "label_row", "loss_sum", "cells", "loss", "weight"]
    assert rows[0]["label_loss"] == "1"
    assert float(rows[0]["loss_sum"]) == pytest.approx(-math.log(0.5) - math.log(0.75), rel=1e-14)


def test_labels_beside_scores_with_a_prefix(tmp_path: Path) -> None:
    write(tmp_path, p=lines("id,cat,dog,prob_cat,prob_dog,age", (1, 1, -1, 0.9, 0.5, 30), (2, 0, 1, 0.2, 0.8, 40)))
    report = ce("p.csv", *TASK, "--ignore-label", "-1", "--json", cwd=tmp_path, expect=0).json
    assert report["columns"]["labels"] == ["cat", "dog"]
    assert value(report) == pytest.approx(-sum(map(math.log, (0.9, 0.8, 0.8))) / 3, rel=1e-14)


def test_a_word_far_below_the_first_rows(tmp_path: Path) -> None:
    rows = [(0.25, 0.5, 0, "true" if row == 90_000 else 1) for row in range(100_000)]
    write(tmp_path, p=lines("prob_a,prob_b,label_a,label_b", *rows))
    report = ce("p.csv", *TASK, "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-math.log(0.75 * 0.5) / 2, rel=1e-14)
    assert [row["prevalence"] for row in report["per_class"]] == [0, 1]
    assert "skill" not in report["metrics"]
    single = next(issue for issue in report["issues"] if issue["code"] == "single_class")
    assert single["message"].startswith("no label varies")


def test_percentages_and_log_probabilities_of_another_base(tmp_path: Path) -> None:
    write(tmp_path, p=lines("a,b,label_a,label_b", (75, 100, 1, 1)), q=lines("logprob_a,logprob_b", (-1, -2)))
    write(tmp_path, y=lines("label_b,label_a", (0, 1)))
    report = ce("p.csv", *TASK, "--input", "percent", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(-math.log(0.75) / 2, rel=1e-15)
    options = ("--align", "position", "--input-base", "2", "--base", "2")
    report = ce("q.csv", "-l", "y.csv", *TASK, *options, "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx((1 - math.log2(0.75)) / 2, rel=1e-15)
    assert value(report, "cross_entropy_label_sum") == pytest.approx(1 - math.log2(0.75), rel=1e-15)


NEIGHBOURS = ("traits/neighbours.csv", "--labels", "traits/labels.csv", "--task", "multilabel")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_names_of_labels_are_legible_in_any_width(width: int) -> None:
    page = ce(*NEIGHBOURS, cwd=SAMPLE, env={"COLUMNS": str(width)}, expect=0).out
    rows = page.partition("\nlabels  loss")[2].splitlines()[2:6]
    assert [row.split()[0] for row in rows] == ["even", "large", "prime", "loop"]
    assert max(map(len, page.splitlines())) <= width


def test_infinite_losses_leave_an_interval_of_the_others() -> None:
    page = ce(*NEIGHBOURS, "--by", "id:quantiles=2", cwd=SAMPLE, env={"COLUMNS": "100"}, expect=0).out
    assert "over all other cells\n               95 % confidence interval 0.01" in page
    heading, *rows = page.partition("\nslices by id")[2].splitlines()[1:4]
    assert heading.split() == ["slice", "rows", "loss", "infinite", "finite", "loss", "accuracy"]
    assert sum(int(row.split()[3]) for row in rows) == 4
