"""Clustered standard errors, against the formula in NumPy and a simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import ce_cli
from ce_cli.errors import CeError


def clustered(x: Any, cluster: Any, weight: Any = None) -> tuple[float, float, int]:
    """Return the mean, its clustered standard error, and the number of clusters."""
    weight = np.ones(len(x)) if weight is None else np.asarray(weight)
    mean = np.average(x, weights=weight)
    sums = pd.Series(weight * (np.asarray(x) - mean)).groupby(np.asarray(cluster)).sum()
    count = len(sums)
    return mean, math.sqrt(count / (count - 1) * (sums**2).sum()) / weight.sum(), count


def binary(n: int = 300, seed: int = 0, users: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    return pd.DataFrame(
        {
            "prob": 1 / (1 + np.exp(-score)),
            "label": (rng.random(n) < 1 / (1 + np.exp(-score / 2))).astype(int),
            "user": rng.integers(0, users, n),
            "w": rng.choice([0.0, 0.5, 2.0], n),
        }
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_interval_is_that_of_clusters(weighted: bool) -> None:
    frame = binary()
    report = ce_cli.evaluate(frame, cluster="user", weight_col="w" if weighted else None)
    frame = frame[frame.w > 0] if weighted else frame
    loss = -np.log(np.where(frame.label == 1, frame.prob, 1 - frame.prob))
    mean, error, count = clustered(loss, frame.user, frame.w if weighted else None)
    metric = report.cross_entropy
    assert metric.value == pytest.approx(mean, rel=1e-13)
    assert metric.stderr == pytest.approx(error, rel=1e-11)
    bounds = stats.t.interval(0.95, count - 1, mean, error)
    assert (metric.lower, metric.upper) == pytest.approx(bounds, rel=1e-11)
    section = report.sections["clusters"]
    assert (section["column"], section["clusters"], section["largest"]) == (
        "user",
        count,
        frame.user.value_counts().max(),
    )
    assert (
        section["stderr_independent"]
        == ce_cli.evaluate(binary(), weight_col="w" if weighted else None)["cross_entropy"].stderr
    )


def test_clusters_of_the_labels_file() -> None:
    frame = binary()
    frame["id"] = np.arange(len(frame))
    shuffled = frame[["id", "label", "user"]].sample(frac=1, random_state=1)
    one = ce_cli.evaluate(frame[["id", "prob"]], shuffled, cluster="user")
    assert one.cross_entropy == ce_cli.evaluate(frame[["prob", "label", "user"]], cluster="user").cross_entropy


def test_the_distances_of_a_regression_are_clustered_too() -> None:
    rng = np.random.default_rng(2)
    n = 200
    frame = pd.DataFrame({"mean": rng.normal(size=n), "std": rng.uniform(0.5, 2, n), "user": rng.integers(0, 35, n)})
    frame["label"] = frame["mean"] + rng.normal(size=n)
    options: dict[str, Any] = {"task": "regression", "bins": "-8,-2,-1,0,1,2,8", "base": 2}
    report = ce_cli.evaluate(frame, cluster="user", **options)
    plain = ce_cli.evaluate(frame, **options)
    for name in ("cross_entropy", "log_score", "rps", "crps"):
        assert report[name].value == pytest.approx(plain[name].value, rel=1e-14), name
        assert report[name].stderr != plain[name].stderr
        frame["row"] = np.arange(n)
        alone = ce_cli.evaluate(frame, cluster="row", **options)[name]
        assert alone.stderr == pytest.approx(plain[name].stderr, rel=1e-11)


def test_the_sums_of_several_labels_are_clustered_too() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"user": rng.integers(0, 35, 150), "row": range(150)})
    for name in "ab":
        frame[f"prob_{name}"] = rng.random(150)
        frame[f"label_{name}"] = rng.integers(0, 2, 150)
    plain = ce_cli.evaluate(frame, task="multilabel", pred_cols="prob_*")
    alone = ce_cli.evaluate(frame, task="multilabel", cluster="row", pred_cols="prob_*")
    together = ce_cli.evaluate(frame, task="multilabel", cluster="user", pred_cols="prob_*")
    for name in ("cross_entropy", "cross_entropy_label_sum"):
        assert alone[name].stderr == pytest.approx(plain[name].stderr, rel=1e-11)
        assert together[name].stderr != plain[name].stderr


def test_few_clusters_are_told() -> None:
    codes = {issue.code for issue in ce_cli.evaluate(binary(users=29), cluster="user").issues}
    assert "few_clusters" in codes
    assert "few_clusters" not in {issue.code for issue in ce_cli.evaluate(binary(users=30), cluster="user").issues}


def test_one_cluster_has_no_interval() -> None:
    report = ce_cli.evaluate(binary(users=1), cluster="user")
    assert (report.cross_entropy.stderr, report.cross_entropy.lower) == (None, None)


def test_an_infinite_loss_has_no_interval_of_clusters_either() -> None:
    frame = binary()
    frame.loc[0, ["prob", "label"]] = [0.0, 1]
    report = ce_cli.evaluate(frame, cluster="user")
    assert (report.cross_entropy.value, report.cross_entropy.stderr) == (math.inf, None)


def test_a_row_without_a_cluster_is_told() -> None:
    frame = binary(20)
    frame["user"] = frame.user.astype(object)
    frame.loc[[4, 7], "user"] = None
    with pytest.raises(CeError) as caught:
        ce_cli.evaluate(frame, cluster="user")
    problem = caught.value.problems[0]
    assert (problem.code, problem.column, problem.rows) == ("missing_id", "user", (5, 8))


def test_the_clusters_of_tokens_are_their_sequences() -> None:
    frame = pd.DataFrame({"doc": [1, 1, 2], "logprob": [-1.0, -2.0, -0.5]})
    with pytest.raises(CeError, match="sequences are the clusters"):
        ce_cli.evaluate(frame, task="tokens", cluster="doc")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 80), st.integers(0, 1000), st.integers(1, 30), st.integers(1, 3))
def test_no_cut_of_the_work_changes_a_bit(n: int, seed: int, chunk: int, jobs: int) -> None:
    frame = binary(n, seed)
    frame["w"] += 0.1
    one = ce_cli.evaluate(frame, jobs=1, cluster="user", weight_col="w").to_dict()
    assert ce_cli.evaluate(frame, jobs=jobs, chunk_rows=chunk, cluster="user", weight_col="w").to_dict() == one


def test_the_interval_covers_what_it_says() -> None:
    """Of rows that depend on each other, the interval of independent ones covers far too seldom."""
    rng = np.random.default_rng(5)
    covered = {"user": 0, None: 0}
    runs, users, each = 300, 40, 5
    # With p = 0.9 or 0.1 the loss is one of two numbers, whose mean is known.
    truth = 0.7 * -math.log(0.9) + 0.3 * -math.log(0.1)
    for _ in range(runs):
        right = np.repeat(rng.random(users) < 0.7, each)
        frame = pd.DataFrame({"prob": np.where(right, 0.9, 0.1), "label": 1, "user": np.repeat(np.arange(users), each)})
        for column in covered:
            metric = ce_cli.evaluate(frame, cluster=column).cross_entropy
            covered[column] += (metric.lower or 0) <= truth <= (metric.upper or 0)
    assert 0.91 <= covered["user"] / runs <= 0.98
    assert covered[None] / runs < 0.75
