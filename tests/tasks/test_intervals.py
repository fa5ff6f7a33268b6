"""Intervals of means over rows, against the formulas written out with numpy for data of every task."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ce_cli

N = 90


def by_hand(total, size, clusters, confidence=0.95):
    """Return mean, standard error and bounds of Σ total / Σ size with each cluster as one observation."""
    total, size = (pd.Series(values).groupby(clusters).sum().to_numpy() for values in (total, size))
    total, size = total[size > 0], size[size > 0]
    count, mean = len(size), total.sum() / size.sum()
    error = math.sqrt(count / (count - 1) * np.sum((total - mean * size) ** 2)) / size.sum()
    margin = stats.t.ppf((1 + confidence) / 2, count - 1) * error
    return mean, error, mean - margin, mean + margin


def assert_interval(metric, expected):
    assert (metric.value, metric.stderr, metric.lower, metric.upper) == pytest.approx(expected, rel=1e-10)


@pytest.fixture
def labels_data():
    """Return rows of 4 labels of which some are not known and some are ties, with weights and users."""
    rng = np.random.default_rng(11)
    prob = rng.uniform(0.02, 0.98, (N, 4))
    label = (rng.uniform(size=(N, 4)) < prob).astype(float)
    label[rng.uniform(size=(N, 4)) < 0.1] = 0.5
    label[rng.uniform(size=(N, 4)) < 0.3] = np.nan
    label[:, 0] = np.where(np.isnan(label).all(axis=1), 1.0, label[:, 0])
    label[3] = [0.5, np.nan, np.nan, np.nan]  # known, and neither right nor wrong
    frame = pd.DataFrame({f"prob_{name}": prob[:, at] for at, name in enumerate("abcd")})
    for at, name in enumerate("abcd"):
        frame[f"label_{name}"] = label[:, at]
    frame["w"] = rng.choice([0.0, 0.5, 1.0, 3.0], N)
    frame["user"] = rng.integers(0, 25, N).astype(str)
    return frame, prob, label


def figures_of_labels(prob, label, weight):
    """Return Σ and the number of cells of each row, by metric."""
    known, judged = ~np.isnan(label), ~np.isnan(label) & (label != 0.5)
    right = ((prob > 0.5) == (label > 0.5)) & judged
    squares = np.where(known, (prob - label) ** 2, 0.0)
    losses = np.where(known, -(label * np.log(prob) + (1 - label) * np.log(1 - prob)), 0.0)
    return {
        "accuracy": (weight * right.sum(axis=1), weight * judged.sum(axis=1)),
        "brier": (weight * squares.sum(axis=1), weight * known.sum(axis=1)),
        "cross_entropy": (weight * losses.sum(axis=1), weight * known.sum(axis=1)),
        "cross_entropy_label_sum": (weight * losses.sum(axis=1), weight),
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_cells_of_a_row_are_one_observation(labels_data, weighted, clustered):
    frame, prob, label = labels_data
    weight = frame["w"].to_numpy() if weighted else np.ones(N)
    options = {**({"weight_col": "w"} if weighted else {}), **({"cluster": "user"} if clustered else {})}
    report = ce_cli.evaluate(frame, task="multilabel", **options)
    clusters = frame["user"] if clustered else np.arange(N)
    for name, sums in figures_of_labels(prob, label, weight).items():
        assert_interval(report.metrics[name], by_hand(*sums, clusters))
    assert report.metrics["cross_entropy_finite"] == report.metrics["cross_entropy"]


def test_the_smoothed_loss_of_labels_has_the_plain_one_beside_it(labels_data):
    frame, prob, label = labels_data
    class_weights = np.array([1.0, 2.0, 0.5, 1.0])
    options = {"label_smoothing": 0.1, "class_weights": dict(zip("abcd", class_weights, strict=True))}
    known = ~np.isnan(label)
    losses = np.where(known, -(label * np.log(prob) + (1 - label) * np.log(1 - prob)), 0.0)
    sums = (losses * class_weights).sum(axis=1), (known * class_weights).sum(axis=1)
    for extra, clusters in (({}, np.arange(N)), ({"cluster": "user"}, frame["user"])):
        report = ce_cli.evaluate(frame, task="multilabel", **options, **extra)
        assert_interval(report.metrics["cross_entropy_unsmoothed"], by_hand(*sums, clusters))


@pytest.mark.parametrize("options", [{}, {"cluster": "user", "bootstrap": 100, "weight_col": "w"}])
def test_intervals_of_labels_do_not_depend_on_the_cut(labels_data, options):
    frame, *_ = labels_data
    whole = ce_cli.evaluate(frame, task="multilabel", **options)
    for jobs, chunk in ((1, 1), (2, 7), (3, 40)):
        again = ce_cli.evaluate(frame, task="multilabel", jobs=jobs, chunk_rows=chunk, **options)
        assert (again.metrics, again.sections) == (whole.metrics, whole.sections)


def test_labels_that_are_all_right_have_an_interval_of_no_length(labels_data):
    frame, prob, label = labels_data
    for at, name in enumerate("abcd"):
        frame[f"label_{name}"] = np.where(np.isnan(label[:, at]), np.nan, prob[:, at] > 0.5)
    accuracy = ce_cli.evaluate(frame, task="multilabel").metrics["accuracy"]
    assert (accuracy.value, accuracy.stderr, accuracy.lower, accuracy.upper) == (1.0, 0.0, 1.0, 1.0)


def test_one_row_of_labels_has_no_interval(labels_data):
    frame, *_ = labels_data
    metrics = ce_cli.evaluate(frame[:1], task="multilabel").metrics
    assert all(metric.stderr is None for metric in metrics.values())


def test_an_infinite_cell_leaves_the_other_means_theirs(labels_data):
    frame, prob, label = labels_data
    frame.loc[0, ["prob_a", "label_a"]] = [0.0, 1.0]
    prob[0, 0], label[0, 0] = 0.0, 1.0
    metrics = ce_cli.evaluate(frame, task="multilabel").metrics
    assert math.isinf(metrics["cross_entropy"].value)
    assert math.isinf(metrics["cross_entropy_label_sum"].value)
    assert metrics["cross_entropy"].stderr is metrics["cross_entropy_label_sum"].stderr is None
    with np.errstate(all="ignore"):
        sums = figures_of_labels(prob, label, np.ones(N))
    for name in ("accuracy", "brier"):
        assert_interval(metrics[name], by_hand(*sums[name], np.arange(N)))
    known = ~np.isnan(label)
    known[0, 0] = False
    with np.errstate(all="ignore"):
        losses = np.where(known, -(label * np.log(prob) + (1 - label) * np.log(1 - prob)), 0.0)
    found = metrics["cross_entropy_finite"]
    assert_interval(found, by_hand(losses.sum(axis=1), known.sum(axis=1), np.arange(N)))


def test_the_bootstrap_of_labels_agrees_with_the_formula(labels_data):
    frame, prob, label = labels_data
    sums = figures_of_labels(prob, label, frame["w"].to_numpy())
    report = ce_cli.evaluate(frame, task="multilabel", weight_col="w", bootstrap=4000)
    for name in ("accuracy", "brier", "cross_entropy"):
        found = report.sections["bootstrap"]["metrics"][name]
        mean, error, lower, upper = by_hand(*sums[name], np.arange(N))
        assert found["value"] == pytest.approx(mean, rel=1e-12)
        assert found["stderr"] == pytest.approx(error, rel=0.08)
        assert (found["lower"], found["upper"]) == pytest.approx((lower, upper), abs=0.3 * error)


@pytest.fixture
def shares_data():
    """Return rows with soft labels of three classes, with weights and users."""
    rng = np.random.default_rng(12)
    prob, label = rng.dirichlet(np.ones(3), N), rng.dirichlet(np.ones(3), N)
    label[:20] = np.eye(3)[rng.integers(0, 3, 20)]
    frame = pd.DataFrame({f"prob_{name}": prob[:, at] for at, name in enumerate("abc")})
    for at, name in enumerate("abc"):
        frame[f"label_{name}"] = label[:, at]
    frame["w"], frame["user"] = rng.choice([0.5, 1.0, 3.0], N), rng.integers(0, 25, N).astype(str)
    return frame, prob, label


@pytest.mark.parametrize("clustered", [False, True])
def test_what_soft_labels_are_judged_by_has_intervals(shares_data, clustered):
    frame, prob, label = shares_data
    class_weights = np.array([1.0, 2.0, 0.5])
    weight = frame["w"].to_numpy()
    options = {"task": "multiclass", "weight_col": "w", **({"cluster": "user"} if clustered else {})}
    clusters = frame["user"] if clustered else np.arange(N)
    entropy, kl = stats.entropy(label, axis=1), stats.entropy(label, prob, axis=1)
    middle = (label + prob) / 2
    js = (stats.entropy(label, middle, axis=1) + stats.entropy(prob, middle, axis=1)) / 2
    right = prob.argmax(axis=1) == label.argmax(axis=1)
    report = ce_cli.evaluate(frame, **options)
    rows = {
        "label_entropy": entropy,
        "kl_divergence": kl,
        "js_divergence": js,
        "accuracy": right.astype(float),
        "brier": ((prob - label) ** 2).sum(axis=1),
    }
    for name, values in rows.items():
        assert_interval(report.metrics[name], by_hand(weight * values, weight, clusters))
    further = {"label_smoothing": 0.1, "class_weights": dict(zip("abc", class_weights, strict=True))}
    found = ce_cli.evaluate(frame, **options, **further).metrics["cross_entropy_unsmoothed"]
    sums = -(label * np.log(prob)) @ class_weights, label @ class_weights
    assert_interval(found, by_hand(*(weight * one for one in sums), clusters))


@pytest.mark.parametrize("clustered", [False, True])
def test_spread_targets_and_scores_of_distance_have_intervals(clustered):
    rng = np.random.default_rng(13)
    prob, target = rng.dirichlet(np.ones(4), N), rng.uniform(0, 4, N)
    frame = pd.DataFrame({f"prob_[{at},{at + 1})": prob[:, at] for at in range(4)})
    frame["target"], frame["user"] = target, rng.integers(0, 25, N).astype(str)
    report = ce_cli.evaluate(frame, targets="two-hot", **({"cluster": "user"} if clustered else {}))
    clusters = frame["user"] if clustered else np.arange(N)
    cell = target.astype(int)
    outcomes = np.cumsum(np.eye(4)[cell], axis=1)
    rps = ((np.cumsum(prob, axis=1) - outcomes) ** 2)[:, :3].sum(axis=1)
    assert_interval(report.metrics["rps"], by_hand(rps, np.ones(N), clusters))
    loss = -np.log(prob[np.arange(N), cell])
    assert_interval(report.metrics["cross_entropy_unsmoothed"], by_hand(loss, np.ones(N), clusters))
    assert_interval(report.metrics["log_score"], by_hand(loss, np.ones(N), clusters))
    right = (prob.argmax(axis=1) == cell).astype(float)
    assert_interval(report.metrics["accuracy"], by_hand(right, np.ones(N), clusters))
    for name in ("label_entropy", "kl_divergence", "js_divergence", "crps"):
        assert report.metrics[name].stderr > 0


def test_hard_rows_in_clusters_have_accuracy_and_brier_score():
    rng = np.random.default_rng(14)
    prob = rng.uniform(size=N)
    frame = pd.DataFrame({"prob": prob, "label": rng.choice([0.0, 0.5, 1.0, 0.25], N)})
    frame["user"] = rng.integers(0, 25, N).astype(str)
    label = frame["label"].to_numpy()
    metrics = ce_cli.evaluate(frame, cluster="user").metrics
    judged = label != 0.5
    right = ((prob > 0.5) == (label > 0.5)) & judged
    assert_interval(metrics["accuracy"], by_hand(right * 1.0, judged * 1.0, frame["user"]))
    assert_interval(metrics["brier"], by_hand((prob - label) ** 2, np.ones(N), frame["user"]))


@pytest.mark.parametrize("infinite", [False, True])
@pytest.mark.parametrize("cluster", [None, "doc"])
def test_tokens_of_a_sequence_are_one_observation_of_the_accuracy(infinite, cluster):
    rng = np.random.default_rng(15)
    prob = rng.dirichlet(np.ones(3), N)
    token = rng.integers(0, 3, N)
    if infinite:
        prob[5], token[5] = [0.0, 0.5, 0.5], 0
    frame = pd.DataFrame({f"prob_{name}": prob[:, at] for at, name in enumerate("abc")})
    frame["token"], frame["w"] = np.array(list("abc"))[token], rng.choice([0.5, 1.0, 3.0], N)
    frame["seq"] = np.sort(rng.integers(0, 20, N))
    frame["doc"] = [f"doc {seq // 3}" for seq in frame["seq"]]
    options = {"task": "tokens", "token_col": "token", "sequence_col": "seq", "weight_col": "w", "cluster": cluster}
    report = ce_cli.evaluate(frame, **options)
    weight, right = frame["w"].to_numpy(), prob.argmax(axis=1) == token
    assert_interval(report.metrics["accuracy"], by_hand(weight * right, weight, frame[cluster or "seq"]))
    assert ce_cli.evaluate(frame, **options, jobs=2, chunk_rows=4).metrics == report.metrics


def test_a_cluster_without_a_value_is_no_observation_of_a_mean():
    frame = pd.DataFrame({"prob": [0.3, 0.6, 0.2, 0.9, 0.0, 0.0], "label": [0, 1, 0, 1, 1, 1], "user": list("aabbcc")})
    metrics = ce_cli.evaluate(frame, cluster="user").metrics
    losses = -np.log([0.7, 0.6, 0.8, 0.9])
    assert_interval(metrics["cross_entropy_finite"], by_hand(losses, np.ones(4), list("aabb")))
    assert_interval(metrics["accuracy"], by_hand(np.array([1.0, 1, 1, 1, 0, 0]), np.ones(6), frame["user"]))


def test_the_plain_loss_of_smoothed_tokens_has_the_interval_of_sequences():
    rng = np.random.default_rng(16)
    prob, token = rng.dirichlet(np.ones(3), N), rng.integers(0, 3, N)
    frame = pd.DataFrame({f"prob_{name}": prob[:, at] for at, name in enumerate("abc")})
    frame["token"], frame["seq"] = np.array(list("abc"))[token], np.sort(rng.integers(0, 20, N))
    options = {"task": "tokens", "token_col": "token", "sequence_col": "seq", "label_smoothing": 0.1}
    found = ce_cli.evaluate(frame, **options).metrics["cross_entropy_unsmoothed"]
    assert_interval(found, by_hand(-np.log(prob[np.arange(N), token]), np.ones(N), frame["seq"]))
