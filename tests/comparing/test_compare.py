"""Comparisons against pandas merges and scipy, through the library."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ce_cli import CeError, compare, evaluate
from ce_cli.comparing.entrants import split_name, with_names
from ce_cli.kernels.holm import adjusted
from ce_cli.render.comparison import render_comparison

if TYPE_CHECKING:
    from ce_cli import Comparison

SAMPLES = Path(__file__).parents[2] / "sample_data"
CLASSES = ["ant", "bee", "cat"]


def frames(
    n: int = 200, models: int = 3, seed: int = 0, *, shuffled: bool = False
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    labels = pd.DataFrame({"id": np.arange(n), "label": np.array(CLASSES)[truth]})
    found = {}
    for at in range(models):
        scores = rng.normal(size=(n, 3)) + (1 + 0.2 * at) * np.eye(3)[truth]
        probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        frame = pd.DataFrame({"id": np.arange(n), **{f"prob_{name}": probs[:, k] for k, name in enumerate(CLASSES)}})
        found[f"m{at}"] = frame.sample(frac=1, random_state=at).reset_index(drop=True) if shuffled else frame
    return found, labels


def losses(frame: pd.DataFrame, labels: pd.DataFrame) -> pd.Series:
    """Return the loss by id, from a merge."""
    both = frame.merge(labels, on="id")
    return pd.Series(
        [-math.log(row[f"prob_{row['label']}"]) for _, row in both.iterrows()], index=both["id"]
    ).sort_index()


@pytest.mark.parametrize("shuffled", [False, True])
def test_paired_t_tests_agree_with_scipy(shuffled: bool) -> None:
    models, labels = frames(shuffled=shuffled)
    found = compare(models, labels)
    by_id = {name: losses(frame, labels) for name, frame in models.items()}
    p = []
    for row in found.comparison:
        expected = stats.ttest_rel(by_id[row.model], by_id["m0"])
        assert row.difference is not None
        assert row.difference.value == pytest.approx((by_id[row.model] - by_id["m0"]).mean(), rel=1e-11)
        low, high = expected.confidence_interval()
        assert (row.difference.lower, row.difference.upper) == (
            pytest.approx(low, rel=1e-9),
            pytest.approx(high, rel=1e-9),
        )
        assert row.t == pytest.approx(expected.statistic, rel=1e-9)
        assert row.df == expected.df
        assert row.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert row.wins == (by_id[row.model] < by_id["m0"]).sum()
        needed = stats.t.ppf(0.975, row.df) + stats.t.ppf(0.8, row.df)
        assert row.smallest_detectable == pytest.approx(needed * (row.difference.stderr or 0), rel=1e-11)
        p.append(expected.pvalue)
    small, large = sorted(p)
    adjusted = sorted(row.p_adjusted or 0.0 for row in found.comparison)
    assert adjusted == [pytest.approx(2 * small, rel=1e-9), pytest.approx(max(2 * small, large), rel=1e-9)]


def test_holm_by_hand() -> None:
    assert adjusted(np.array([0.01, 0.04, 0.03])).tolist() == [0.03, 0.06, 0.06]
    assert adjusted(np.array([0.5, 0.6])).tolist() == [1.0, 1.0]
    assert adjusted(np.array([])).tolist() == []


def test_every_model_has_the_report_that_it_would_have_alone() -> None:
    models, labels = frames()
    found = compare(models, labels)
    for name, frame in models.items():
        alone, mine = evaluate(frame, labels).to_dict(), found[name].to_dict()
        assert mine.pop("inputs") is not None
        assert alone.pop("inputs") is not None
        mine.pop("deltas", None)
        assert mine == alone
    assert [rank.cross_entropy.value for rank in found.ranking] == sorted(
        found[name].cross_entropy.value for name in models
    )


def test_the_ranking_and_the_deltas() -> None:
    models, labels = frames()
    found = compare(models, labels, base="2", reference="m1")
    assert found.reference.name == "m1"
    assert [model.name for model in found.models] == ["m1", "m0", "m2"]
    one, two = found["m1"], found["m2"]
    assert two.deltas["accuracy"].value == two.accuracy.value - one.accuracy.value
    assert two.deltas["cross_entropy"].value == pytest.approx(
        two.cross_entropy.value - one.cross_entropy.value, rel=1e-9
    )
    assert one.deltas == {}
    assert list(found.to_frame()["model"]) == [rank.model for rank in found.ranking]
    assert list(found.to_frame("comparison")["model"]) == ["m0", "m2"]
    with pytest.raises(KeyError, match="there is no model 'm9'"):
        found["m9"]


def same(one: Comparison, two: Comparison) -> bool:
    def plain(found: Comparison) -> dict[str, Any]:
        document = json.loads(found.to_json())
        for model in document["models"]:
            for name in ("worst", "issues"):
                model.pop(name)
        return document

    return plain(one) == plain(two)


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(1, 3), st.sampled_from([1, 3, 7, 100]))
def test_chunks_jobs_and_order_change_no_bit(n: int, jobs: int, chunk: int) -> None:
    models, labels = frames(n, seed=n)
    expected = compare(models, labels, jobs=1)
    assert same(compare(models, labels, jobs=jobs, chunk_rows=chunk), expected)
    models["m1"] = models["m1"].iloc[::-1].reset_index(drop=True)
    assert same(compare(models, labels, jobs=jobs, chunk_rows=chunk), expected)


def test_labels_in_the_files_pair_by_id_and_must_agree() -> None:
    models, labels = frames(models=2)
    expected = compare(models, labels)
    own = {name: frame.merge(labels, on="id") for name, frame in models.items()}
    for step in (1, -1):
        own["m1"] = own["m1"].iloc[::step].reset_index(drop=True)
        found = compare(own)
        assert found.comparison[0].p == expected.comparison[0].p
        assert found["m1"].cross_entropy == expected["m1"].cross_entropy
        wrong = own["m1"].copy()
        at = int(np.flatnonzero(wrong["id"] == 7)[0])
        wrong.loc[at, "label"] = "ant" if wrong.loc[at, "label"] != "ant" else "bee"
        with pytest.raises(CeError, match="the label is not the same for all of them") as caught:
            compare({**own, "m1": wrong})
        assert caught.value.problems[0].rows == (8,)


def test_rows_that_one_model_lacks_are_left_out_and_counted() -> None:
    models, labels = frames(models=3)
    models["m1"] = models["m1"].iloc[10:].reset_index(drop=True)
    with pytest.raises(CeError, match="missing_id"):
        compare(models, labels)
    found = compare(models, labels, missing="drop")
    by_id = {name: losses(frame, labels) for name, frame in models.items()}
    assert [row.rows for row in found.comparison] == [190, 190]
    assert [(row.only_model, row.only_reference) for row in found.comparison] == [(0, 10), (10, 10)]
    expected = stats.ttest_rel(by_id["m2"].iloc[10:], by_id["m0"].iloc[10:])
    assert found.comparison[1].p == pytest.approx(expected.pvalue, rel=1e-9)
    assert [issue.count for issue in found.issues if issue.code == "uncommon_rows"] == [10, 10]
    assert found["m0"].counts["scored"] == 200


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1, "class_weights": {"ant": 2}}, {"base": "2", "cluster": "c"}]
)
@pytest.mark.parametrize("how", ["missing", "on_invalid"])
def test_figures_of_different_rows_are_compared_on_the_common_ones(how: str, options: dict[str, Any]) -> None:
    models, labels = frames(models=3)
    labels["c"] = np.arange(len(labels)) % 30
    easy = set(losses(models["m1"], labels).sort_values().index[:120].tolist())
    there = labels["id"].isin(easy)
    common = compare({name: frame[there] for name, frame in models.items()}, labels[there], **options)
    if how == "missing":
        models["m1"] = models["m1"][there].reset_index(drop=True)
    else:
        models["m1"].loc[~there, "prob_ant"] = 2.0
    gates = ["delta.skill > -9", "delta.cross_entropy < 9", "model[m0].delta.skill < 9"]
    drop: dict[str, Any] = {how: "drop", **options}
    found = compare(models, labels, gates=gates, **drop)
    assert common.same_rows
    assert not found.same_rows
    assert found.ranking == common.ranking
    assert all(rank.skill for rank in found.ranking)
    assert [dict(model.shared) for model in found.models] == [dict(model.shared) for model in common.models]
    assert [model.report.deltas for model in found.models] == [model.report.deltas for model in common.models]
    alone = evaluate(models["m0"], labels, **options)
    assert dict(found["m0"].metrics) == dict(alone.metrics)
    assert [gate.passed for gate in found.gates] == [True] * 4 + [False]
    assert found.gates[4].reason == "m0 is the reference: the others are compared with it"
    assert same(compare(models, labels, gates=gates, **drop, jobs=3, chunk_rows=7), found)
    page = render_comparison(found, width=120, color=False)
    for text in ("of the 120 common rows", "own rows", "skill"):
        assert text in page.partition("differences from")[0]
    asked: dict[str, Any] = {"by": "c", "calibration": True, "bootstrap": 200}
    with_more = compare(models, labels, **drop, **asked)
    assert with_more.ranking == found.ranking
    assert with_more["m1"].slices
    document = json.loads(found.to_json())
    assert document["models"][0]["common_metrics"]["skill"]["value"] == found.models[0].shared["skill"].value
    assert "common_metrics" not in json.loads(common.to_json())["models"][0]


@pytest.mark.parametrize("order", [1, -1])
def test_skill_of_the_common_rows_where_labels_are_soft_or_several(order: int) -> None:
    rng = np.random.default_rng(4)
    n = 90
    rows = {"id": np.arange(n), "label_a": rng.integers(0, 2, n), "label_b": rng.integers(0, 2, n)}
    labels = pd.DataFrame(rows)
    one = pd.DataFrame({"id": rows["id"], "prob_a": rng.uniform(0.1, 0.9, n), "prob_b": rng.uniform(0.1, 0.9, n)})
    two = one.assign(prob_a=rng.uniform(0.1, 0.9, n)).iloc[20:][::order].reset_index(drop=True)
    found = compare({"one": one, "two": two}, labels, task="multilabel", missing="drop")
    expected = evaluate(one.iloc[20:], labels.iloc[20:], task="multilabel")
    assert found.ranking[0].prior_entropy == expected["prior_entropy"]
    assert {rank.model: rank.skill for rank in found.ranking}["one"] == expected["skill"]
    soft = pd.DataFrame({"id": rows["id"], "label": rng.uniform(size=n)})
    binary = {"one": one[["id", "prob_a"]], "two": two[["id", "prob_a"]]}
    binary = {name: frame.rename(columns={"prob_a": "prob"}) for name, frame in binary.items()}
    found = compare(binary, soft, missing="drop")
    expected = evaluate(binary["one"].iloc[20:], soft.iloc[20:])
    assert {rank.model: rank.skill for rank in found.ranking}["one"] == expected["skill"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_rows_that_moved_most_against_pandas(order: int) -> None:
    models, labels = frames(models=3)
    labels["text"] = [f"t{at}" if at % 3 else None for at in range(len(labels))]
    models["m1"] = models["m1"].iloc[20:][::order].reset_index(drop=True)
    at = labels.loc[50, "label"]
    for name, row in (("m2", 50), ("m0", 60)):  # an infinite loss of each
        at = labels.loc[row, "label"]
        models[name].loc[row, [f"prob_{one}" for one in CLASSES]] = [0.0 if one == at else 0.5 for one in CLASSES]
    with np.errstate(divide="ignore"):
        both = {name: frame.merge(labels, on="id").set_index("id") for name, frame in models.items()}
        by_id = {
            name: -np.log(
                pd.Series([row[f"prob_{row['label']}"] for _, row in frame.iterrows()], frame.index)
            ).sort_index()
            for name, frame in both.items()
        }
    found = compare(models, labels, missing="drop", top=4, show=["text", "prob_ant"])
    for one in found.comparison:
        difference = (by_id[one.model] - by_id["m0"]).loc[20:]
        worse = difference.sort_values(ascending=False, kind="stable").index[:4].tolist()
        better = difference.sort_values(kind="stable").index[:4].tolist()
        assert [row.row - 1 for row in one.worse_rows] == worse
        assert [row.row - 1 for row in one.better_rows] == better
        for row in (*one.worse_rows, *one.better_rows):
            key = row.row - 1
            assert (row.id, row.label) == (str(key), labels.loc[key, "label"])
            assert row.loss == pytest.approx(by_id[one.model][key], rel=1e-12)
            assert row.reference_loss == pytest.approx(by_id["m0"][key], rel=1e-12)
            assert row.difference == row.loss - row.reference_loss  # exactly
            mine = both[one.model].loc[key]
            assert row.predicted == CLASSES[int(np.argmax([mine[f"prob_{name}"] for name in CLASSES]))]
            assert row.shown["text"] == labels.loc[key, "text"] or (row.shown["text"] is None and key % 3 == 0)
            assert float(row.shown["prob_ant"] or 0) == mine["prob_ant"]
    again = compare(models, labels, missing="drop", top=4, show=["text", "prob_ant"], jobs=3, chunk_rows=7)
    assert again.comparison == found.comparison
    page = render_comparison(found, width=80, color=False)
    assert "rows of m1  losses in nats, where it loses most and where it gains most" in page
    assert max(map(len, page.splitlines())) <= 80
    json.loads(found.to_json())
    none = compare(models, labels, missing="drop", top=0)
    assert not none.comparison[0].worse_rows
    assert "rows of m1" not in render_comparison(none, width=80, color=False)


def test_models_that_agree_moved_no_row() -> None:
    models, labels = frames(30, models=1)
    row = compare({"a": models["m0"], "b": models["m0"]}, labels).comparison[0]
    assert row.worse_rows == row.better_rows == ()


def test_calibration_has_a_line_for_each_model() -> None:
    models, labels = frames()
    found = compare(models, labels, calibration=True)
    lines = render_comparison(found, width=120, color=False).partition("\ncalibration")[2].splitlines()
    assert [line.split()[0] for line in lines[2:5]] == list(models)
    assert lines[2].split()[1] == f"{found['m0'].metrics['ece'].value:.5f}"
    assert "calibration" not in render_comparison(compare(models, labels), width=120, color=False)


def test_invalid_rows_of_one_model_are_left_out_of_all() -> None:
    models, labels = frames(models=2)
    models["m1"].loc[3, "prob_ant"] = 2.0
    with pytest.raises(CeError, match="probability_out_of_range"):
        compare(models, labels)
    assert compare(models, labels, on_invalid="drop").comparison[0].rows == 199


def test_infinite_losses_have_no_test_but_wins() -> None:
    models, labels = frames(50, models=2)
    at = labels.loc[0, "label"]
    models["m1"].loc[0, [f"prob_{name}" for name in CLASSES]] = [0.0 if name == at else 0.5 for name in CLASSES]
    found = compare(
        models, labels, gates=["delta.cross_entropy < inf", "delta.cross_entropy.upper < 1", "delta.skill < 0"]
    )
    row = found.comparison[0]
    assert (row.p, row.t, row.detected, row.infinite) == (None, None, None, 1)
    assert row.difference is not None
    assert (row.difference.value, row.difference.lower) == (math.inf, None)
    assert row.wins + row.losses == 50
    assert [gate.passed for gate in found.gates] == [False, False, True]
    assert any(issue.code == "no_paired_test" for issue in found.issues)
    swapped = compare({"b": models["m1"], "a": models["m0"]}, labels)
    assert swapped.comparison[0].difference == found.comparison[0].difference.__class__(-math.inf)
    twice = compare({"a": models["m1"], "b": models["m1"]}, labels)
    assert twice.comparison[0].difference is None
    assert twice.comparison[0].ties == 50
    json.loads(twice.to_json())


def test_a_model_against_itself() -> None:
    models, labels = frames(50, models=1)
    found = compare({"a": models["m0"], "b": models["m0"]}, labels, gates="model[a].delta.skill < 1")
    page = render_comparison(found, width=80, color=False)
    assert "b: its loss is that of a in every row" in page
    assert "in 80 of 100 cases" not in page
    assert found.gates[0].reason == "a is the reference: the others are compared with it"
    row = found.comparison[0]
    assert (row.t, row.p, row.detected, row.ties, row.share_improved) == (0.0, 1.0, False, 50, 0.0)
    assert row.difference is not None
    assert (row.difference.value, row.difference.lower, row.difference.upper) == (0.0, 0.0, 0.0)


def test_one_row_has_no_interval() -> None:
    models, labels = frames(1, models=2)
    row = compare(models, labels).comparison[0]
    assert row.difference is not None
    assert (row.p, row.difference.stderr, row.rows) == (None, None, 1)


def test_weights_and_rows_of_weight_zero() -> None:
    models, labels = frames(models=2)
    labels["weight"] = np.random.default_rng(5).integers(0, 3, len(labels)).astype(float)
    row = compare(models, labels, weight_col="weight").comparison[0]
    difference = losses(models["m1"], labels) - losses(models["m0"], labels)
    weight = labels["weight"]
    mean = (weight * difference).sum() / weight.sum()
    n = int((weight > 0).sum())
    error = math.sqrt(n / (n - 1) * (weight**2 * (difference - mean) ** 2).sum()) / weight.sum()
    assert row.difference is not None
    assert (row.rows, row.difference.value) == (n, pytest.approx(mean, rel=1e-10))
    assert row.difference.stderr == pytest.approx(error, rel=1e-10)
    assert row.only_model == row.only_reference == 0


@pytest.mark.parametrize("step", [1, -1])
def test_weights_that_differ_are_refused(step: int) -> None:
    models, labels = frames(20, models=2)
    models = {name: frame.assign(weight=1.0 + at) for at, (name, frame) in enumerate(models.items())}
    models["m1"] = models["m1"].iloc[::step].reset_index(drop=True)
    with pytest.raises(CeError, match="the weight is not the same"):
        compare(models, labels, weight_col="weight")


@pytest.mark.parametrize("chunk_rows", [7, 1000])
@pytest.mark.parametrize("step", [1, -1])
def test_weights_beside_own_labels_that_differ_are_refused(step: int, chunk_rows: int) -> None:
    models, labels = frames(20, models=2)
    weight = np.linspace(0, 2, 20)
    models = {name: frame.merge(labels, on="id").assign(weight=weight) for name, frame in models.items()}
    models["m1"] = models["m1"].rename(columns={"weight": "Weight"}).iloc[::step].reset_index(drop=True)
    expected = compare(models, weight_col="weight", chunk_rows=chunk_rows)
    models["m1"].loc[models["m1"]["id"].isin([0, 7]), "Weight"] = [3.0, np.nan]
    with pytest.raises(CeError, match="in 2 rows of <m0> the weight is not the same for all of them") as caught:
        compare(models, weight_col="weight", chunk_rows=chunk_rows)
    assert [(problem.count, problem.rows) for problem in caught.value.problems] == [(2, (1, 8))]
    models["m1"] = models["m1"].drop(columns="Weight")  # then those of the reference count
    assert compare(models, weight_col="weight", chunk_rows=chunk_rows).comparison == expected.comparison


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("option", ["by", "cluster"])
def test_slices_and_clusters_that_differ_are_refused(option: str, step: int) -> None:
    models, labels = frames(60, models=2)
    device = np.array(["x", "y"])[np.arange(60) % 2]
    models = {name: frame.assign(device=device) for name, frame in models.items()}
    asked: dict[str, Any] = {option: "device"}
    models["m1"] = models["m1"].iloc[::step].reset_index(drop=True)
    compare(models, labels, **asked)
    models["m1"].loc[models["m1"]["id"].isin([4, 9]), "device"] = "z"
    with pytest.raises(CeError, match="in 2 rows of <labels> the column device is not the same") as caught:
        compare(models, labels, **asked, chunk_rows=7)
    (problem,) = caught.value.problems
    assert (problem.column, problem.rows, problem.count) == ("device", (5, 10), 2)
    models["m1"] = models["m1"].drop(columns="device")  # then it is that of the labels
    compare(models, labels.assign(device=device), **asked)


@pytest.mark.parametrize("chunk_rows", [7, 1000])
@pytest.mark.parametrize("what", ["weight", "label"])
def test_a_row_that_differs_is_counted_once_where_the_pass_begins_again(what: str, chunk_rows: int) -> None:
    rng = np.random.default_rng(2)
    one = pd.DataFrame({"id": [f"k{at}" for at in range(100)], "prob": rng.uniform(0.1, 0.9, 100)})
    one = one.assign(label=[0, 1] * 50, weight=1.0)
    two = one.copy()
    two.loc[6, what] = 1 if what == "label" else 2.0
    two = two.iloc[[*range(98), 99, 98]].reset_index(drop=True)  # seen to be in another order at the end only
    labels = one[["id", "label"]] if what == "weight" else None
    models = {
        name: frame.drop(columns="label") if what == "weight" else frame for name, frame in (("one", one), ("two", two))
    }
    with pytest.raises(CeError, match=f"in 1 row of .* the {what} is not the same") as caught:
        compare(models, labels, weight_col="weight", chunk_rows=chunk_rows)
    assert [(problem.count, problem.rows) for problem in caught.value.problems] == [(1, (7,))]


def sliced(n: int = 300) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    models, labels = frames(n, seed=1)
    rng = np.random.default_rng(1)
    labels["g"] = rng.choice(["x", "y", "z"], n, p=[0.5, 0.45, 0.05])
    labels["c"] = rng.integers(0, 40, n)
    labels["age"] = rng.uniform(0, 90, n)
    return models, labels


def test_clusters_are_one_observation_each() -> None:
    models, labels = sliced()
    row = compare(models, labels, cluster="c").comparison[0]
    difference = losses(models["m1"], labels) - losses(models["m0"], labels)
    sums = (difference - difference.mean()).groupby(labels["c"]).sum()
    count = len(sums)
    error = math.sqrt(count / (count - 1) * (sums**2).sum()) / len(labels)
    assert row.difference is not None
    assert (row.df, row.difference.stderr) == (count - 1, pytest.approx(error, rel=1e-11))
    assert row.p == pytest.approx(2 * stats.t.sf(abs(difference.mean() / error), count - 1), rel=1e-9)
    alone = compare(models, labels.assign(c=labels["id"]), cluster="c").comparison[0]
    assert alone.p == pytest.approx(compare(models, labels).comparison[0].p, rel=1e-9)
    one = compare(models, labels.assign(c=1), cluster="c").comparison[0]
    assert (one.p, one.detected) == (None, None)


@pytest.mark.parametrize("cluster", [None, "c"])
def test_the_bootstrap_of_a_difference_agrees_with_its_t_interval(cluster: str | None) -> None:
    models, labels = sliced()
    settings: dict[str, Any] = {"bootstrap": 1000, "seed": 7, "cluster": cluster}
    found = compare(models, labels, **settings)
    for row in found.comparison:
        assert row.difference is not None
        assert row.bootstrap is not None
        assert row.bootstrap.stderr == pytest.approx(row.difference.stderr, rel=0.1)
        assert row.bootstrap.lower == pytest.approx(row.difference.lower, abs=0.25 * (row.difference.stderr or 0))
        assert abs(row.bootstrap.p - (row.p or 0)) < 0.05
    models["m2"] = models["m2"].iloc[::-1].reset_index(drop=True)
    assert compare(models, labels, **settings, jobs=2, chunk_rows=17).comparison == found.comparison


def test_the_bootstrap_of_a_single_cluster_tells_nothing() -> None:
    models, labels = sliced()
    labels = labels.assign(patient="a")
    assert all(row.bootstrap is None for row in compare(models, labels, bootstrap=100, cluster="patient").comparison)


def test_where_the_difference_comes_from_by_slice() -> None:
    models, labels = sliced()
    found = compare(models, labels, by=["g", "age:edges=50"], gates=["slice[g=x].cross_entropy > 0"])
    difference = losses(models["m1"], labels) - losses(models["m0"], labels)
    parts = {part.by["g"]: part for part in found.comparison[0].by_slice if "g" in part.by}
    for name, part in parts.items():
        own = difference[labels["g"] == name]
        assert part.difference is not None
        assert (part.n, part.difference.value) == (len(own), pytest.approx(own.mean(), rel=1e-10))
        assert part.difference.stderr == pytest.approx(own.sem(), rel=1e-10)
        assert part.small is (len(own) < 30)
    total = math.fsum(part.contribution or 0.0 for part in parts.values())
    assert total == pytest.approx(difference.mean(), rel=1e-10)
    assert {part.by["age"] for part in found.comparison[0].by_slice if "age" in part.by} == {"<50", ">=50"}
    assert found.passed
    json.loads(found.to_json())


@pytest.mark.parametrize("weighted", [False, True])
def test_clusters_are_the_observations_of_a_slice(weighted: bool) -> None:
    models, labels = sliced()
    labels["weight"] = np.random.default_rng(5).choice([0.0, 0.5, 2.0], len(labels)) if weighted else 1.0
    weight = labels["weight"]
    found = compare(models, labels, by="g", cluster="c", weight_col="weight" if weighted else None)
    difference = losses(models["m1"], labels) - losses(models["m0"], labels)
    for part in found.comparison[0].by_slice:
        own = (labels["g"] == part.by["g"]) & (weight > 0)
        mean = np.average(difference[own], weights=weight[own])
        sums = ((difference - mean) * weight)[own].groupby(labels["c"][own]).sum()
        error = math.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / weight[own].sum()
        assert part.difference is not None
        assert part.difference.value == pytest.approx(mean, rel=1e-9)
        assert part.difference.stderr == pytest.approx(error, rel=1e-9)
        assert part.difference.upper == pytest.approx(mean + stats.t.ppf(0.975, len(sums) - 1) * error, rel=1e-8)
    alone = compare(models, labels.assign(c=labels["g"]), by="g", cluster="c")
    assert all(part.difference and part.difference.upper is None for part in alone.comparison[0].by_slice)


@pytest.mark.parametrize("options", [{}, {"jobs": 3, "chunk_rows": 7}])
def test_groups_do_not_depend_on_the_order_of_rows(options: dict[str, Any]) -> None:
    models, labels = sliced(120)
    settings: dict[str, Any] = {"by": ["g", "g*age:quantiles=3"], "cluster": "c"}
    expected = compare(models, labels, **settings)
    models["m2"] = models["m2"].iloc[::-1].reset_index(drop=True)
    assert compare(models, labels, **settings, **options).comparison == expected.comparison


def test_a_slice_with_an_infinite_loss_has_no_difference() -> None:
    models, labels = sliced(60)
    at = labels.loc[0, "label"]
    models["m1"].loc[0, [f"prob_{name}" for name in CLASSES]] = [0.0 if name == at else 0.5 for name in CLASSES]
    parts = {part.by["g"]: part for part in compare(models, labels, by="g").comparison[0].by_slice}
    assert parts[labels.loc[0, "g"]].difference is None
    assert all(part.contribution is None for part in parts.values())
    assert any(part.difference is not None for part in parts.values())


def test_columns_of_a_wide_frame() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 100)
    wide = pd.DataFrame({"id": range(100), "y": y, "A": rng.uniform(size=100), "B": 0.25 + 0.5 * y, "w": 1.0})
    found = compare(wide, models=["B", "A"])
    assert [model.name for model in found.models] == ["B", "A"]
    expected = evaluate(wide[["y", "A"]])
    assert found["A"].cross_entropy == expected.cross_entropy
    assert [model.name for model in compare(wide, models="[AB]").models] == ["A", "B"]
    with pytest.raises(CeError, match="only one model"):
        compare(wide, models="A")
    with pytest.raises(CeError, match="unknown_column"):
        compare(wide, models=["A", "C"])
    with pytest.raises(CeError, match="both name the scores"):
        compare(wide, models=["A", "B"], pred_cols="A")


def test_families_of_columns() -> None:
    models, labels = frames(60, models=2)
    wide = labels.copy()
    for name, frame in models.items():
        for column in frame.columns.drop("id"):
            wide[f"{name}_{column}"] = frame[column]
    found = compare(wide, models=["m0", "m1"])
    expected = compare(models, labels)
    assert found.comparison[0].p == expected.comparison[0].p
    assert found["m1"].classes == tuple(CLASSES)


def test_patterns_for_families_of_columns() -> None:
    models, labels = frames(60, models=3)
    wide = labels.copy()
    for name, frame in models.items():
        for column in frame.columns.drop("id"):
            wide[f"{name}_{column}"] = frame[column]
    expected = compare(models, labels)
    for pattern in ("m*", "*", "m?"):
        found = compare(wide, models=pattern)
        assert [model.name for model in found.models] == list(models)
        assert [row.p for row in found.comparison] == [row.p for row in expected.comparison]
        assert found["m2"].classes == tuple(CLASSES)
    assert [model.name for model in compare(wide, models=["m2", "m[01]"]).models] == ["m2", "m0", "m1"]
    with pytest.raises(CeError, match="'x\\*' matches no column of numbers and no family") as caught:
        compare(wide, models="x*")
    hint = caught.value.problems[0].hint
    assert hint is not None
    assert hint.startswith("the models could be: m0, m1, m2, m0_prob_ant")
    assert "NAME_prob_CLASS are one model" in hint


def test_a_pattern_takes_families_and_the_columns_that_are_left() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 40)
    p = rng.uniform(0.1, 0.9, (3, 40))
    wide = pd.DataFrame({"y": y, "A_prob_0": 1 - p[0], "A_prob_1": p[0], "B": p[1], "C_prob_1": p[2]})
    assert [model.name for model in compare(wide, models="[ABC]*").models] == ["A", "B", "C_prob_1"]
    found = compare(wide, models=["A", "C"])
    assert found["A"].cross_entropy.value == pytest.approx(-np.log(np.where(y, p[0], 1 - p[0])).mean(), rel=1e-12)
    assert found["C"].cross_entropy.value == pytest.approx(-np.log(np.where(y, p[2], 1 - p[2])).mean(), rel=1e-12)


@pytest.mark.parametrize("blockwise", [False, True])
def test_rows_of_a_long_frame(blockwise: bool) -> None:
    models, labels = frames(300)
    long = pd.concat([frame.assign(model=name) for name, frame in models.items()])
    long = long if blockwise else long.sort_values(["id", "model"])
    long = long.reset_index(drop=True)
    expected = compare(models, labels)
    found = compare(long, labels, model_col="model")
    assert [row.p for row in found.comparison] == [row.p for row in expected.comparison]
    alone = compare(long.merge(labels, on="id"), model_col="model")
    assert {row.model: row.wins for row in alone.comparison} == {row.model: row.wins for row in expected.comparison}


def test_gates_hold_for_every_candidate_or_for_the_one_they_name() -> None:
    models, labels = frames()
    texts = ["delta.cross_entropy <= 0", "model[m0].cross_entropy > 0", "model[x].skill > 0", "cross_entropy < 99"]
    found = compare(models, labels, gates=texts)
    told = [(gate.model, gate.expression) for gate in found.gates]
    assert told[:2] == [("m1", texts[0]), ("m2", texts[0])]
    assert told[2:] == [("m0", texts[1]), ("x", texts[2]), ("m1", texts[3]), ("m2", texts[3])]
    reason = found.gates[3].reason
    assert reason is not None
    assert "there is no model 'x'; the models are 'm0', 'm1', 'm2'" in reason
    assert not found.passed


def test_a_report_as_baseline(tmp_path: Path) -> None:
    models, labels = frames(models=2)
    before = evaluate(models["m0"], labels)
    path = tmp_path / "before.json"
    path.write_text(before.to_json())
    found = evaluate(
        models["m1"], labels, baseline=path, gates=["delta.accuracy >= -1", "delta.cross_entropy.upper < 1"]
    )
    assert found.deltas["cross_entropy"].value == found.cross_entropy.value - before.cross_entropy.value
    assert found.deltas["cross_entropy"].upper is None
    assert [gate.passed for gate in found.gates] == [True, False]
    assert [issue.code for issue in found.issues if "baseline" in issue.code] == ["unpaired_baseline"]
    assert found.to_dict()["deltas"]["accuracy"] == {"value": found.accuracy.value - before.accuracy.value}
    fewer = evaluate(models["m1"].iloc[:50], labels.iloc[:50], baseline=path)
    assert "unlike_baseline" in [issue.code for issue in fewer.issues]
    with pytest.raises(CeError, match="its unit is nats, but here it is bits"):
        evaluate(models["m1"], labels, baseline=path, base=2)
    path.write_text(compare(models, labels).to_json())
    with pytest.raises(CeError, match="compares several models"):
        evaluate(models["m1"], labels, baseline=path)
    for text in ("[]", "{", '{"schema": "ce-eval/2"}', '{"schema": "ce-eval/1", "errors": []}'):
        path.write_text(text)
        with pytest.raises(CeError):
            evaluate(models["m1"], labels, baseline=path)


def test_a_baseline_in_memory(tmp_path: Path) -> None:
    models, labels = frames(models=2)
    before = evaluate(models["m0"], labels)
    path = tmp_path / "before.json"
    path.write_text(before.to_json())
    deltas = [evaluate(models["m1"], labels, baseline=one).deltas for one in (path, before, before.to_dict())]
    assert deltas[0] == deltas[1] == deltas[2]
    both = compare(models, labels)
    for wrong, why in (
        (models["m0"], "but got a DataFrame"),
        (3, "but got 3"),
        (both, "compares several models"),
        (both.to_dict(), "compares several models"),
        ({}, "of schema None"),
    ):
        with pytest.raises(CeError, match=why):
            evaluate(models["m1"], labels, baseline=wrong)
    for earlier in (path, before, before.to_dict(), both):
        with pytest.raises(CeError, match="compare pairs rows, and an earlier report has none"):
            compare({"new": models["m1"]}, labels, baseline=earlier)


@pytest.mark.parametrize("name", ["reference", "model_col", "weight_col", "label_col", "models"])
def test_what_is_no_name_is_refused(name: str) -> None:
    models, labels = frames(10, models=2)
    for wrong in (models["m0"], evaluate(models["m0"], labels)):
        options: Any = {name: wrong}
        with pytest.raises(
            CeError, match=f"{name} takes (a model's name|a column's name|the names of columns), but got a"
        ):
            compare(models, labels, **options)


def test_models_are_told_apart_and_have_rows() -> None:
    models, labels = frames(10, models=2)
    with pytest.raises(CeError, match="two models have the same name"):
        compare({1: models["m0"], "1": models["m1"]}, labels)
    with pytest.raises(CeError, match="one of the models is called 'baseline' already"):
        compare({"baseline": models["m0"]}, labels, baseline=models["m1"])
    with pytest.raises(CeError, match="there are no predictions to compare"):
        compare({}, labels)
    with pytest.raises(CeError, match="the predictions are a Report"):
        compare({"a": models["m0"], "b": evaluate(models["m1"], labels)}, labels)
    assert compare({1: models["m0"], 2: models["m1"]}, labels, reference=2).reference.name == "2"


def test_predictions_as_baseline_are_the_reference() -> None:
    models, labels = frames(models=2)
    found = compare({"new": models["m1"]}, labels, baseline=models["m0"])
    assert (found.reference.name, found.candidates[0].name) == ("baseline", "new")


def test_what_cannot_be_compared_is_refused() -> None:
    models, labels = frames(models=2)
    without = {name: frame.drop(columns="id") for name, frame in models.items()}
    with pytest.raises(CeError, match="share no key"):
        compare(without, labels["label"])
    found = compare(without, labels["label"], align="position")
    assert found.comparison[0].p == compare(models, labels).comparison[0].p
    with pytest.raises(CeError, match="only one model"):
        compare({"a": models["m0"]}, labels)
    with pytest.raises(CeError, match="--reference 'x' is not one of the models"):
        compare(models, labels, reference="x")
    with pytest.raises(CeError, match="evaluate\\(\\) is for one model"):
        evaluate(models["m0"], labels, models=["a", "b"])
    with pytest.raises(CeError, match="only one of them can be"):
        compare(models["m0"], labels, models=["a", "b"], model_col="m")
    single = pd.DataFrame({"id": labels["id"], "prob": 0.5})
    with pytest.raises(CeError):
        compare({"a": models["m0"], "b": single}, labels)


def test_lengths_that_differ_by_position() -> None:
    models, labels = frames(models=2)
    models["m1"] = models["m1"].iloc[:150]
    with pytest.raises(CeError, match="length_mismatch"):
        compare(models, labels, align="position")


@pytest.mark.parametrize(
    ("one", "two", "labels", "options"),
    [
        ("diabetes/bayesian_ridge.csv", "diabetes/boosting.parquet", "diabetes/labels.csv", {"bins": "0,100,200,400"}),
        ("traits/logistic.csv", "traits/neighbours.csv", "traits/labels.csv", {"task": "multilabel", "eps": 1e-9}),
        ("topics/logistic.csv", "topics/naive_bayes.csv", "topics/labels.csv", {}),
        ("topics/logistic.csv", "topics/naive_bayes.csv", "topics/labels.csv", {"label_smoothing": 0.1}),
        ("digits/logistic.parquet", "digits/neighbours.csv", "digits/labels.parquet", {"class_weights": "balanced"}),
    ],
)
def test_tasks_agree_with_their_per_sample_files(
    one: str, two: str, labels: str, options: dict[str, Any], tmp_path: Path
) -> None:
    if "bins" in options:
        rows = pd.read_csv(SAMPLES / one)
        rows["mean"] += 20
        rows.to_csv(tmp_path / "shifted.csv", index=False)
        files = [SAMPLES / one, tmp_path / "shifted.csv"]
    else:
        files = [SAMPLES / one, SAMPLES / two]
    found = compare(dict(zip("ab", files, strict=True)), SAMPLES / labels, **options)
    alone = [evaluate(file, SAMPLES / labels, **options) for file in files]
    row = found.comparison[0]
    assert row.difference is not None
    if math.isfinite(alone[1].cross_entropy.value):
        expected = alone[1].cross_entropy.value - alone[0].cross_entropy.value
        assert row.difference.value == pytest.approx(expected, rel=1e-9)
        assert row.p is not None
    assert [found[name].cross_entropy for name in "ab"] == [report.cross_entropy for report in alone]
    if row.by_class and row.p is not None:
        total = math.fsum(part.contribution or 0.0 for part in row.by_class)
        assert total == pytest.approx(row.difference.value, rel=1e-9)


def test_bins_that_differ_are_refused(tmp_path: Path) -> None:
    labels = pd.DataFrame({"id": [1, 2], "target": [0.5, 1.5]})
    one = pd.DataFrame({"id": [1, 2], "p[0,1)": [0.5, 0.5], "p[1,2)": [0.5, 0.5]})
    two = pd.DataFrame({"id": [1, 2], "p[0,1.2)": [0.5, 0.5], "p[1.2,2)": [0.5, 0.5]})
    with pytest.raises(CeError, match="different bins"):
        compare({"a": one, "b": two}, labels)


def test_names_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.csv").write_text("x\n")
    assert split_name("a=b.csv") == (None, "a=b.csv")
    assert split_name("new=x.csv") == ("new", "x.csv")
    assert split_name("dir/new=x.csv") == (None, "dir/new=x.csv")
    assert with_names(["x.csv.gz", "dir/y.parquet"]) == {"x": "x.csv.gz", "y": "dir/y.parquet"}
    assert with_names(["one/p.csv", "two/p.csv"]) == {"one/p": "one/p.csv", "two/p": "two/p.csv"}
    assert with_names(["p.csv", "p.csv"]) == {"p": "p.csv", "p#2": "p.csv"}
    assert with_names(["p=a.csv", "p.csv"]) == {"p": "a.csv", "p#2": "p.csv"}
    with pytest.raises(CeError, match="two models are called 'a'"):
        with_names(["a=x.csv", "a=y.csv"])


def test_several_models_have_names():
    with pytest.raises(CeError) as told:
        compare(["old.csv", "new.csv"], "labels.csv")
    assert [problem.code for problem in told.value.problems] == ["bad_option"]
    assert "mapping" in told.value.problems[0].message


def test_balanced_weights_want_the_same_rows() -> None:
    models, labels = frames(60, models=2)
    assert compare(models, labels, class_weights="balanced").comparison[0].difference.value is not None
    fewer = {**models, "m1": models["m1"].iloc[:-9]}
    with pytest.raises(CeError, match="balanced weighs the classes of each model by its own rows"):
        compare(fewer, labels, class_weights="balanced", missing="drop")
