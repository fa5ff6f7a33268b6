"""The library: what it takes besides paths, and how frames pair."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ce_cli import CeError, compare, evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBS, LABELS = [0.9, 0.2, 0.6], [1, 0, 1]
EXPECTED = -(math.log(0.9) + math.log(0.8) + math.log(0.6)) / 3
SHUFFLED = [2, 0, 1]


def frames(index: Sequence[Any], name: str | None, order: list[int]) -> tuple[pd.DataFrame, pd.Series]:
    """Return scores in the order of the index and labels in another."""
    scores = pd.DataFrame({"prob": PROBS}, index=pd.Index(index, name=name))
    return scores, pd.Series(LABELS, index=scores.index, name="label").iloc[order]


# --- arrays


def test_an_array_of_one_column_is_one_score():
    column = np.array(PROBS).reshape(-1, 1)
    for options in ({}, {"positive": 1}):
        report = evaluate(column, LABELS, **options)
        assert report.to_dict() == evaluate(column[:, 0], LABELS, **options).to_dict()
        assert report.cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)


def test_arrays_of_classes_and_labels_as_numbers_or_text():
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    expected = pytest.approx(-(math.log(0.7) + math.log(0.8) + math.log(0.6)) / 3, rel=1e-15)
    report = evaluate(probs, np.array([0, 1, 2]))
    assert (report.classes, report.cross_entropy.value) == (("0", "1", "2"), expected)
    names = ["cat", "dog", "fox"]
    report = evaluate(probs, np.array(names), classes=names)
    assert (report.classes, report.cross_entropy.value) == (tuple(names), expected)
    with pytest.raises(CeError) as caught:
        evaluate(probs, np.array(names))
    assert caught.value.code == "unknown_label"


def test_options_may_be_whole_numbers():
    numbers = evaluate([*PROBS, 0.5], [*LABELS, -100], class_weights={0: 1, 1: 2}, ignore_label=-100, positive=1)
    texts = evaluate([*PROBS, 0.5], [*LABELS, -100], class_weights={"0": 1, "1": 2}, ignore_label="-100", positive="1")
    assert numbers.to_dict() == texts.to_dict()
    assert (numbers.counts["scored"], numbers.counts["ignored"]) == (3, 1)
    assert numbers.cross_entropy.value == pytest.approx(-(2 * math.log(0.54) + math.log(0.8)) / 5, rel=1e-15)


def test_two_columns_of_one_name_in_a_table():
    table = pa.Table.from_arrays([pa.array([0.5]), pa.array([0.5]), pa.array([1])], names=["prob", "prob", "label"])
    with pytest.raises(CeError) as caught:
        evaluate(table)
    assert caught.value.code == "duplicate_column"


# --- frames


@pytest.mark.parametrize("stored", [False, True], ids=["made", "read"])
@pytest.mark.parametrize(
    ("index", "name", "key"),
    [
        ([7, 5, 9], "id", "id"),
        ([7, 5, 9], "nr", "nr"),
        ([7, 5, 9], None, "__index_level_0__"),
        (["a", "b", "c"], None, "__index_level_0__"),
        (range(3), "id", "id"),
        ([2, 0, 1], None, "__index_level_0__"),
    ],
)
def test_frames_pair_by_their_index(
    index: Sequence[Any], name: str | None, key: str, stored: bool, tmp_path: Path
) -> None:
    scores, labels = frames(index, name, SHUFFLED)
    if stored:
        scores.to_parquet(tmp_path / "p.parquet")
        labels.to_frame().to_parquet(tmp_path / "y.parquet")
        scores, labels = pd.read_parquet(tmp_path / "p.parquet"), pd.read_parquet(tmp_path / "y.parquet")["label"]
    report = evaluate(scores, labels)
    assert report.cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)
    assert (report.alignment, report.columns.id) == ("id", (key,))


@pytest.mark.parametrize("stored", [False, True], ids=["made", "read"])
def test_an_index_that_only_counts_rows_is_no_key(stored: bool, tmp_path: Path) -> None:
    scores, labels = frames(range(3), None, [0, 1, 2])
    if stored:
        scores.to_parquet(tmp_path / "p.parquet")
        scores = pd.read_parquet(tmp_path / "p.parquet")
    report = evaluate(scores, labels)
    assert report.cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)
    assert (report.alignment, report.columns.id) == ("position", ())
    assert "paired_by_position" not in [issue.code for issue in report.issues]


@pytest.mark.parametrize("moved", ["scores", "labels", "both"])
def test_an_index_that_counts_on_one_side_only_is_a_key_of_both(moved: str) -> None:
    scores, labels = frames(range(3), None, SHUFFLED if moved != "scores" else [0, 1, 2])
    scores = scores if moved == "labels" else scores.iloc[[1, 2, 0]]
    for given in (scores, scores["prob"]):
        report = evaluate(given, labels)
        assert report.cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)
        assert (report.alignment, report.columns.id) == ("id", ("__index_level_0__",))
    found = compare({"a": scores, "b": scores}, labels)
    assert found["b"].cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)


def test_indexes_of_other_rows_are_told_and_arrays_go_by_position():
    scores, labels = frames([7, 5, 9], None, [0, 1, 2])
    with pytest.raises(CeError, match=r"missing_id.*\.to_numpy\(\) of both") as told:
        evaluate(scores, labels.reset_index(drop=True))
    assert {problem.code for problem in told.value.problems} == {"missing_id"}
    report = evaluate(scores["prob"].to_numpy(), labels.to_numpy())
    assert report.cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)
    by_place = evaluate(scores, labels.reset_index(drop=True), align="position")
    assert by_place.cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)


def test_a_named_index_on_one_side_only_is_warned_of():
    scores, labels = frames([7, 5, 9], "case", [0, 1, 2])
    for other in (labels.to_numpy(), labels.reset_index(drop=True)):
        (issue,) = [one for one in evaluate(scores, other).issues if one.code == "paired_by_position"]
        assert "case" in issue.message
    assert issue.severity == "warning"  # the other index could be the same key


def test_a_label_that_is_nan_is_missing():
    labels = np.array([1.0, math.nan, 1.0])
    for given in (labels, labels.tolist(), labels.astype(object), pd.Series(labels)):
        with pytest.raises(CeError) as told:
            evaluate(np.array(PROBS), given)
        (problem,) = told.value.problems
        assert (problem.code, problem.rows) == ("missing_label", (2,))
        report = evaluate(np.array(PROBS), given, on_invalid="drop")
        assert report.cross_entropy.value == pytest.approx(-(math.log(0.9) + math.log(0.6)) / 2, rel=1e-15)


# --- what is told


def test_an_error_tells_where_how_often_and_what_to_do_one_problem_a_line():
    with pytest.raises(CeError) as told:
        evaluate(np.array([1.5, math.nan, 2.5]), [1, 0, 1])
    first, second = str(told.value).split("\n")
    assert first.startswith("[nan_prediction] <predictions>, column prob, row 2: NaN is not a score; hint: ")
    assert second.startswith("[probability_out_of_range] <predictions>, column prob, row 1: 1.5 ")
    assert "(2 rows are affected, the first: 1, 3); hint: " in second
    again = pickle.loads(pickle.dumps(told.value))
    assert (str(again), again.problems) == (str(told.value), told.value.problems)


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"bootstap": 100}, "bootstrap"),
        ({"gate": "skill > 0"}, "gates"),
        ({"weight-col": "w"}, "weight_col"),
        ({"per_samples": "x.csv"}, "per_sample"),
    ],
)
def test_near_names_of_an_unknown_argument(options: dict[str, Any], meant: str) -> None:
    with pytest.raises(CeError, match=f"there is no option .*did you mean ({meant}|.* or {meant})"):
        evaluate(np.array(PROBS), LABELS, **options)


@pytest.mark.parametrize("options", [{"models": "m_*"}, {"model_col": "model"}, {"reference": "a"}])
def test_evaluate_names_compare(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(CeError, match=rf"evaluate\(\) is for one model, but got {name}; hint: compare\(\) takes"):
        evaluate("nowhere.csv", **options)


def test_several_paths_are_no_predictions():
    for several in (["a.csv", "b.csv"], (Path("a.csv"),)):
        with pytest.raises(
            CeError, match=r"is for one model, but got a list of . paths; hint: several models: compare\("
        ):
            evaluate(several, LABELS)
    assert evaluate([str(prob) for prob in PROBS], LABELS).cross_entropy.value == pytest.approx(EXPECTED, rel=1e-15)


def test_every_column_of_a_composite_key_counts_whatever_its_type():
    """The first column is encoded and agrees row by row; only the second one tells the rows apart."""
    doc = pd.Categorical(["x", "x", "y", "y"])
    scores = pd.DataFrame({"doc": doc, "line": [1, 2, 1, 2], "prob": [0.9, 0.2, 0.8, 0.3]})
    labels = pd.DataFrame({"doc": doc, "line": [2, 1, 2, 1], "label": [0, 1, 0, 1]})
    report = evaluate(scores, labels)
    assert report.cross_entropy.value == pytest.approx(-(math.log(0.9 * 0.8) + math.log(0.8 * 0.7)) / 4, rel=1e-15)
    assert report.columns.id == ("doc", "line")


def test_a_frame_with_two_columns_of_one_name():
    with pytest.raises(CeError) as caught:
        evaluate(pd.DataFrame([[0.1, 0.2, 1]], columns=["prob", "prob", "label"]))
    assert caught.value.code == "duplicate_column"


def test_labels_in_one_column_of_an_array():
    assert evaluate(np.array([0.25, 0.5]), np.array([[0], [1]])).counts["scored"] == 2
    with pytest.raises(CeError, match="2 label columns, but only one score"):
        evaluate(np.array([0.25, 0.5]), np.array([[0, 1], [1, 0]]))


def test_labels_as_an_array_with_a_column_for_each_class():
    probs, label = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), np.array([0, 2])
    hard = evaluate(probs, label)
    assert evaluate(probs, np.eye(3)[label]).cross_entropy == hard.cross_entropy
    several = evaluate(probs, np.array([[1, 1, 0], [0, 0, 1]]), task="multilabel")
    assert several.cross_entropy.value == pytest.approx(-np.log([0.7, 0.2, 0.9, 0.9, 0.7, 0.6]).mean(), rel=1e-14)


def test_a_gate_and_a_base_as_people_write_them():
    report = evaluate(np.array([0.25, 0.5]), np.array([0, 1]), gates="accuracy > 0.1", base=2)
    assert (report.passed, report.unit) == (True, "bits")


def test_a_list_as_a_label_is_told():
    table = pa.table({"label": [[0, 1], [1, 0]], "prob_a": [0.5, 0.5], "prob_b": [0.5, 0.5]})
    with pytest.raises(CeError, match="holds a list") as caught:
        evaluate(table)
    assert caught.value.code == "bad_option"


def test_an_empty_id_is_a_fault_of_its_row_also_in_a_join():
    predictions = pa.table({"id": ["2", None, "1"], "prob": [0.25, 0.5, 0.5]})
    labels = pa.table({"id": ["1", "2"], "label": [1, 0]})
    with pytest.raises(CeError) as caught:
        evaluate(predictions, labels)
    assert [(p.code, p.rows, p.message) for p in caught.value.problems] == [("missing_id", (2,), "the id is empty")]
    report = evaluate(predictions, labels, on_invalid="drop")
    assert (report.counts["scored"], report.counts["invalid"], report.counts["unmatched_labels"]) == (2, 1, 0)


def test_the_parts_of_a_data_set_are_named_in_their_order(tmp_path: Path):
    for name, prob in (("b", 0.25), ("a", 0.5)):
        (tmp_path / f"{name}.csv").write_text(f"prob,label\n{prob},1\n")
    (note,) = [issue for issue in evaluate(tmp_path).issues if issue.code == "parts"]
    assert (note.count, note.message.rpartition(": ")[2]) == (2, "a.csv, b.csv")
