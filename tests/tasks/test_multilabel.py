"""Rows with several labels, from a table to the report, against scikit-learn and mpmath."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import mpmath
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import entropy
from scipy.stats import t as student
from sklearn.metrics import brier_score_loss, d2_log_loss_score, log_loss

from ce_cli import evaluate
from ce_cli.block import Block
from ce_cli.plan import EvalPlan, Scale
from ce_cli.state.evaluation import EvalState
from ce_cli.tasks.base import Context
from ce_cli.tasks.multilabel import MultilabelTask

NAMES = ("cat", "dog", "fox", "owl")
INF = math.inf
PLAN = EvalPlan(
    task="multilabel",
    scale=Scale.PROBS,
    input_base="e",
    classes=NAMES,
    single_score=False,
    score_dtype="float64",
    eps=None,
    row_sum="strict",
    alignment="file",
    weighted=False,
    base="e",
    confidence=0.95,
    ece_bins=15,
    top=4,
    on_invalid="error",
)


def data(n: int = 300, *, soft: bool = False, unknown: float = 0.0, seed: int = 3) -> dict[str, np.ndarray]:
    """Return probabilities, labels (NaN where unknown) and weights."""
    generator = np.random.default_rng(seed)
    logits = generator.normal([-2, -1, 0, 1], 1.5, (n, 4))
    label = (generator.random((n, 4)) < expit(logits)).astype(float)
    if soft:
        label = np.where(generator.random((n, 4)) < 0.3, generator.integers(0, 5, (n, 4)) / 4, label)
    label[generator.random((n, 4)) < unknown] = math.nan
    return {"logit": logits, "prob": expit(logits), "label": label, "weight": generator.uniform(0.1, 4, n)}


def table(rows: dict[str, np.ndarray], scale: str = "prob") -> pa.Table:
    scores = rows[scale] if scale != "logprob" else np.log(rows["prob"])
    columns: dict[str, Any] = {f"{scale}_{name}": scores[:, at] for at, name in enumerate(NAMES)}
    for at, name in reversed(list(enumerate(NAMES))):  # matched by name
        cells = [None if math.isnan(cell) else cell for cell in rows["label"][:, at].tolist()]
        columns[f"label_{name}"] = pa.array(cells, pa.float64())
    return pa.table({**columns, "w": rows["weight"]})


def run(rows: dict[str, np.ndarray], scale: str = "prob", **options: Any):
    return evaluate(table(rows, scale), task="multilabel", **options)


def brute_force(rows, *, epsilon=0.0, by_label=(1, 1, 1, 1), weighted=False) -> tuple[float, float]:
    """Return the mean over cells and the mean over rows of the sum over cells, cell by cell."""
    above = below = rows_weight = mpmath.mpf(0)
    for label, logit, weight in zip(
        rows["label"].tolist(), rows["logit"].tolist(), rows["weight"].tolist(), strict=True
    ):
        own = mpmath.mpf(weight if weighted else 1)
        known = [at for at in range(4) if not math.isnan(label[at]) and by_label[at]]
        rows_weight += own if known else 0
        for at in known:
            e, z = mpmath.mpf(epsilon), mpmath.mpf(logit[at])
            y = mpmath.mpf(label[at]) * (1 - e) + e / 2
            cell = own * by_label[at]
            above += cell * (y * mpmath.log1p(mpmath.exp(-z)) + (1 - y) * mpmath.log1p(mpmath.exp(z)))
            below += cell
    return float(above / below), float(above / rows_weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("by_label", [(1, 1, 1, 1), (2, 1, 0.5, 3), (1, 0, 1, 1)])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize(("soft", "unknown"), [(False, 0.0), (True, 0.3)])
@pytest.mark.parametrize("scale", ["logit", "prob", "logprob"])
def test_the_loss_against_mpmath(scale, soft, unknown, epsilon, by_label, weighted):
    rows = data(60, soft=soft, unknown=unknown)
    options: dict[str, Any] = {"label_smoothing": epsilon, "weight_col": "w" if weighted else None}
    if by_label != (1, 1, 1, 1):
        options["class_weights"] = dict(zip(NAMES, by_label, strict=True))
    report = run(rows, scale, **options)
    mean, label_sum = brute_force(rows, epsilon=epsilon, by_label=by_label, weighted=weighted)
    assert report.cross_entropy.value == pytest.approx(mean, rel=1e-13)
    assert report.cross_entropy_label_sum.value == pytest.approx(label_sum, rel=1e-13)
    if epsilon:
        unsmoothed, _ = brute_force(rows, by_label=by_label, weighted=weighted)
        assert report.cross_entropy_unsmoothed.value == pytest.approx(unsmoothed, rel=1e-13)


def test_the_binary_smoothing_that_leaves_the_other_side_all_of_it():
    rows = data(40)
    others = run(rows, label_smoothing=0.1, label_smoothing_kind="others")
    assert others.cross_entropy.value == pytest.approx(brute_force(rows, epsilon=0.2)[0], rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_label_by_label_against_scikit_learn(weighted):
    rows = data(unknown=0.2)
    report = run(rows, weight_col="w" if weighted else None)
    counts, weights, losses, priors, briers = [], [], [], [], []
    for at, row in enumerate(report.per_class):
        known = ~np.isnan(rows["label"][:, at])
        label, prob = rows["label"][known, at], rows["prob"][known, at]
        by = rows["weight"][known] if weighted else np.ones(known.sum())
        loss = log_loss(label, prob, sample_weight=by)
        rate = float(np.average(label, weights=by))
        assert (row.name, row.n) == (NAMES[at], int(known.sum()))
        assert row.weight == pytest.approx(by.sum(), rel=1e-14)
        assert row.cross_entropy == pytest.approx(loss, rel=1e-13)
        assert row.prevalence == pytest.approx(rate, rel=1e-13)
        assert row.mean_prob == pytest.approx(np.average(prob, weights=by), rel=1e-13)
        assert row.skill == pytest.approx(d2_log_loss_score(label, prob, sample_weight=by), rel=1e-12)
        assert row.recall == pytest.approx(np.average(prob[label == 1] > 0.5, weights=by[label == 1]), rel=1e-13)
        assert row.ece == pytest.approx(expected_calibration_error(prob, label, by), rel=1e-12)
        counts.append(row.n)
        weights.append(by.sum())
        losses.append(loss)
        priors.append(entropy([rate, 1 - rate]))
        briers.append(brier_score_loss(label, prob, sample_weight=by))
    assert report.counts["cells"] == sum(counts)
    assert report.cross_entropy.value == pytest.approx(np.average(losses, weights=weights), rel=1e-13)
    assert report.macro_cross_entropy.value == pytest.approx(np.mean(losses), rel=1e-13)
    assert report.prior_entropy.value == pytest.approx(np.average(priors, weights=weights), rel=1e-13)
    skill = 1 - np.average(losses, weights=weights) / np.average(priors, weights=weights)
    assert report.skill.value == pytest.approx(skill, rel=1e-12)
    assert report.brier.value == pytest.approx(np.average(briers, weights=weights), rel=1e-12)
    known = ~np.isnan(rows["label"])
    by = np.repeat(rows["weight"] if weighted else np.ones(len(known)), 4).reshape(known.shape)[known]
    hits = (rows["prob"] > 0.5)[known] == (rows["label"][known] == 1)
    assert report.accuracy.value == pytest.approx(np.average(hits, weights=by), rel=1e-13)
    assert report.ece.value == pytest.approx(expected_calibration_error(rows["prob"][known], rows["label"][known], by))
    shares = [row.share_of_loss for row in report.per_class]
    assert shares == pytest.approx(np.multiply(losses, weights) / np.dot(losses, weights), rel=1e-12)


def expected_calibration_error(prob, label, weight, bins: int = 15) -> float:
    edges = np.arange(bins + 1) / bins
    member = np.maximum(np.searchsorted(edges, prob, side="left"), 1)
    gaps = [abs(np.sum((weight * (label - prob))[member == number])) for number in range(1, bins + 1)]
    return float(np.sum(gaps) / weight.sum())


@pytest.mark.parametrize("weighted", [False, True])
def test_the_standard_error_is_that_of_rows_as_clusters(weighted):
    rows = data(unknown=0.2)
    report = run(rows, weight_col="w" if weighted else None)
    label, prob = rows["label"], rows["prob"]
    loss = np.where(label == 1, -np.log(prob), -np.log1p(-prob))
    by = np.where(np.isnan(label), 0.0, (rows["weight"] if weighted else np.ones(len(label)))[:, None])
    mean = np.sum(by * np.where(by > 0, loss, 0.0)) / by.sum()
    clusters = np.sum(by * np.where(by > 0, loss - mean, 0.0), axis=1)
    there = int((by > 0).any(axis=1).sum())
    error = math.sqrt(there / (there - 1) * np.sum(clusters**2)) / by.sum()
    metric = report.cross_entropy
    assert report.counts["scored"] == there < 301
    assert metric.value == pytest.approx(mean, rel=1e-13)
    assert metric.stderr == pytest.approx(error, rel=1e-12)
    assert metric.upper == pytest.approx(mean + student.ppf(0.975, there - 1) * error, rel=1e-12)
    sums = np.where(by > 0, loss, 0.0).sum(axis=1)[(by > 0).any(axis=1)]
    if not weighted:
        assert report.cross_entropy_label_sum.stderr == pytest.approx(sums.std(ddof=1) / math.sqrt(there), rel=1e-12)


def test_soft_labels_have_an_entropy():
    rows = data(soft=True, unknown=0.1)
    rows["label"][0] = [0.5, 0.5, 1.0, 0.0]
    report = run(rows)
    known = ~np.isnan(rows["label"])
    y, p = rows["label"][known], rows["prob"][known]
    expected = np.mean([entropy([share, 1 - share]) for share in y])
    divergence = np.mean([entropy([share, 1 - share], [prob, 1 - prob]) for share, prob in zip(y, p, strict=True)])
    assert report.label_entropy.value == pytest.approx(expected, rel=1e-12)
    assert report.kl_divergence.value == pytest.approx(divergence, rel=1e-12)
    assert report.cross_entropy.value == pytest.approx(expected + divergence, rel=1e-12)
    judged = y != 0.5
    assert report.accuracy.value == pytest.approx(np.mean((p > 0.5)[judged] == (y > 0.5)[judged]))
    assert report.per_class[0].prevalence == pytest.approx(np.nanmean(rows["label"][:, 0]))
    ties = next(issue for issue in report.issues if issue.code == "ties")
    assert ties.count == int((rows["label"] == 0.5).any(axis=1).sum())


def test_infinite_cells():
    rows = data(50)
    rows["label"][:3, :2] = 1
    rows["prob"][0, 0] = rows["prob"][0, 1] = rows["prob"][2, 0] = 0.0
    rows["prob"][4] = 1.0
    rows["label"][4] = 0.0
    report = run(rows)
    assert report.counts["infinite"] == 7
    issue = next(issue for issue in report.issues if issue.code == "infinite")
    assert (issue.count, issue.first_rows) == (7, (1, 3, 5))
    assert "cells" in issue.message
    assert report.cross_entropy.value == report.cross_entropy_label_sum.value == INF
    assert report.cross_entropy.stderr is None
    with np.errstate(divide="ignore"):
        loss = np.where(rows["label"] == 1, -np.log(rows["prob"]), -np.log1p(-rows["prob"]))
    assert report.cross_entropy_finite.value == pytest.approx(loss[np.isfinite(loss)].mean(), rel=1e-13)
    assert report.quantiles["1"] == INF
    assert [row.row for row in report.worst[:3]] == [1, 3, 5]
    assert [row.cross_entropy == INF for row in report.per_class] == [True] * 4
    assert report.skill.value == -INF


def test_an_infinite_cell_of_a_label_that_weighs_nothing_costs_nothing():
    rows = data(50)
    rows["label"][7, 1], rows["prob"][7, 1] = 1.0, 0.0
    report = run(rows, class_weights={"dog": 0})
    assert report.counts["infinite"] == 0
    assert math.isfinite(report.cross_entropy.value)


def test_rows_without_a_known_cell_are_ignored():
    rows = data(40)
    rows["label"][[3, 5]] = math.nan
    rows["label"][7, 1:] = math.nan
    report = run(rows)
    assert (report.counts["ignored"], report.counts["scored"], report.counts["cells"]) == (2, 38, 38 * 4 - 3)
    assert next(issue for issue in report.issues if issue.code == "ignored").first_rows == (4, 6)


def test_rows_whose_known_labels_weigh_nothing_count_as_weighing_nothing():
    rows = data(40)
    rows["label"][7, [0, 2, 3]] = math.nan
    report = run(rows, class_weights={"dog": 0})
    assert (report.counts["zero_weight"], report.counts["scored"]) == (1, 39)


@pytest.mark.parametrize("scale", ["prob", "logit"])
def test_extreme_scores(scale):
    scores = {"prob": [1e-300, 1.0 - 2**-53], "logit": [-1e308, 745.0]}[scale]
    columns = {f"{scale}_a": [scores[0]], f"{scale}_b": [scores[1]], "label_a": [1], "label_b": [1]}
    report = evaluate(pa.table(columns), task="multilabel")
    with mpmath.workdps(400):
        if scale == "prob":
            losses = [-mpmath.log(mpmath.mpf(score)) for score in scores]
        else:
            losses = [mpmath.mpf(1e308), mpmath.log1p(mpmath.exp(-745))]
        assert report.cross_entropy.value == pytest.approx(float(sum(losses) / 2), rel=1e-15)
        assert report.per_class[1].cross_entropy == pytest.approx(float(losses[1]), rel=1e-12, abs=5e-324)


@settings(max_examples=25)
@given(
    rows=st.integers(1, 60),
    chunk=st.integers(1, 70),
    jobs=st.integers(1, 3),
    seed=st.integers(0, 1000),
    options=st.fixed_dictionaries(
        {},
        optional={
            "weight_col": st.just("w"),
            "label_smoothing": st.just(0.1),
            "class_weights": st.just({"dog": 2.0, "owl": 0.0}),
            "eps": st.just(1e-3),
        },
    ),
)
def test_any_split_gives_the_same_bits(rows, chunk, jobs, seed, options):
    drawn = data(rows, soft=seed % 2 == 0, unknown=0.4 * (seed % 3 == 0), seed=seed)
    drawn["label"][0] = [1, 0, 0.25, 1]
    drawn["prob"][np.random.default_rng(seed).random((rows, 4)) < 0.02] = 0.0
    whole = run(drawn, jobs=1, **options).to_dict()
    parts = run(drawn, jobs=jobs, chunk_rows=chunk, **options).to_dict()
    assert json.dumps(parts) == json.dumps(whole)


def test_many_labels():
    generator = np.random.default_rng(0)
    prob = generator.random((300, 1200)).astype(np.float32)
    label = (generator.random((300, 1200)) < prob).astype(np.int8)
    scores = pa.table({f"prob_{at}": prob[:, at] for at in range(1200)})
    labels = pa.table({f"label_{at}": label[:, at] for at in range(1200)})
    report = evaluate(scores, labels, task="multilabel")
    wide = prob.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(label == 1, -np.log(wide), -np.log1p(-wide))
    assert report.cross_entropy.value == pytest.approx(loss.mean(), rel=1e-13)
    assert [row.cross_entropy for row in report.per_class] == pytest.approx(loss.mean(axis=0), rel=1e-12)
    assert report.cross_entropy_label_sum.value == pytest.approx(loss.sum(axis=1).mean(), rel=1e-13)


def test_published_examples():
    """The examples in the documentation of keras.losses.BinaryCrossentropy, which gives three digits."""
    columns = {"prob_a": [0.6, 0.4], "prob_b": [0.4, 0.6], "label_a": [0, 0], "label_b": [1, 0]}
    assert evaluate(pa.table(columns), task="multilabel").cross_entropy.value == pytest.approx(0.815, abs=5e-4)
    logits, labels = [-18.6, 0.51, 2.94, -12.8], [0, 1, 0, 0]
    columns = {f"logit_{at}": [logit] for at, logit in enumerate(logits)}
    columns |= {f"label_{at}": [label] for at, label in enumerate(labels)}
    assert evaluate(pa.table(columns), task="multilabel").cross_entropy.value == pytest.approx(0.865, abs=5e-4)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([True, False, None]),
        pa.array([1, 0, None], pa.int8()),
        pa.array([1, 0, None], pa.float32()),
        pa.array(["TRUE", "false", None]),
        pa.array(["1.0", "0", None]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_cells_of_any_type(column):
    scores = {"prob_a": [0.75, 0.25, 0.5], "prob_b": [0.5, 0.5, 0.5], "prob_c": [0.5, 0.5, 0.5]}
    labels = {"label_a": column, "label_b": [1, 0, 1], "label_c": pa.nulls(3)}
    report = evaluate(pa.table({**scores, **labels}), task="multilabel")
    assert [row.n for row in report.per_class] == [2, 3, 0]
    assert report.cross_entropy.value == pytest.approx((-2 * math.log(0.75) + 3 * math.log(2)) / 5, rel=1e-14)
    assert report.per_class[2].prevalence is None


def test_a_list_of_scores():
    scores = pa.FixedSizeListArray.from_arrays(pa.array([0.9, 0.1, 0.3, 0.8], pa.float32()), 2)
    table = pa.table({"prob": scores, "label_1": [1, 0], "label_0": [1, 0]})
    wide = np.array([[0.9, 0.1], [0.3, 0.8]], dtype=np.float32).astype(float)
    expected = -(np.log(wide[0]).sum() + np.log1p(-wide[1]).sum()) / 4
    report = evaluate(table, task="multilabel")
    assert report.classes == ("0", "1")
    assert report.cross_entropy.value == pytest.approx(expected, rel=1e-14)
    named = evaluate(table, task="multilabel", classes=["a", "b"], label_col="label_0,label_1")
    assert named.classes == ("a", "b")
    assert named.cross_entropy.value == report.cross_entropy.value


def test_labels_in_another_order_of_rows_and_columns():
    rows = data(50, unknown=0.1)
    ids = np.arange(50)
    scores = pa.table({"id": ids, **{name: rows["prob"][:, at] for at, name in enumerate(NAMES)}})
    turned = np.random.default_rng(0).permutation(50)
    cells = {
        name: pa.array([None if math.isnan(cell) else cell for cell in rows["label"][turned, at]])
        for at, name in reversed(list(enumerate(NAMES)))
    }
    report = evaluate(scores, pa.table({"id": ids[turned], **cells}), task="multilabel")
    assert report.cross_entropy.value == run(rows).cross_entropy.value


def test_the_frame_has_what_labels_have():
    columns = run(data(30)).to_frame().columns
    assert list(columns[-3:]) == ["prevalence", "skill", "ece"]


def test_statistics_survive_a_pickle_and_a_merge():
    rows = data(80, soft=True, unknown=0.2)
    rows["prob"][3, 1] = 0.0
    cells = np.isnan(rows["label"])
    known = ~cells
    block = Block(None, np.where(cells, 0.0, rows["label"]), rows["prob"], None, soft=True, extra={"known": known})
    task = MultilabelTask(Context(PLAN._replace(soft=True), None, None, "p", "y"))  # type: ignore[arg-type]

    def figures(pieces):
        state = EvalState(task._context.plan, task.statistics())
        for piece in pieces:
            other = EvalState(task._context.plan, task.statistics())
            there = piece[known[piece].any(axis=1)]
            other.update(task.score(block.take(there)), None, there, lambda chosen: [()] * len(chosen))
            state.merge(pickle.loads(pickle.dumps(other)))
        return task.summarize(state)

    order = np.random.default_rng(0).permutation(80)
    assert figures([np.arange(80)]) == figures([order[:7], order[7:8], order[8:], order[:0]])


def test_soft_cells_count_wherever_they_stand():
    hard, soft = {"label_a": 0.0}, {"label_a": 0.5}
    rows = [{"prob_a": 0.4, "prob_b": 0.6, "label_b": 1.0, **which} for which in [hard] * 300 + [soft] * 300]
    one, other = (evaluate(pa.Table.from_pylist(part), task="multilabel") for part in (rows, rows[::-1]))
    assert one.metrics == other.metrics
    assert one.label_entropy.value == pytest.approx(np.log(2) / 4, rel=1e-14)
