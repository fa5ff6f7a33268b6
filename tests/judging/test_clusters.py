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


def tokens(texts: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return tokens of texts, five of which are of one document, in rows."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, texts)
    text = np.repeat(np.arange(texts), lengths)
    hard = rng.exponential(size=texts // 5 + 1)
    frame = pd.DataFrame({"seq_id": text, "doc": [f"d{one // 5}" for one in text]})
    frame["logprob"] = -rng.exponential(size=len(frame)) * hard[text // 5]
    frame["bytes"] = rng.integers(1, 7, len(frame))
    frame["w"] = rng.integers(1, 4, len(frame)) / 4
    return frame


@pytest.mark.parametrize("weighted", [False, True])
def test_sequences_of_tokens_may_come_in_clusters(weighted: bool) -> None:
    frame = tokens()
    found = ce_cli.evaluate(frame, cluster="doc", bytes_col="bytes", weight_col="w" if weighted else None, by="doc")
    weight = frame.w if weighted else 1.0
    whole = frame.assign(loss=-frame.logprob * weight, weight=weight, bytes=frame.bytes * weight)
    each = whole.groupby(["seq_id", "doc"])[["loss", "weight", "bytes"]].sum().reset_index()
    each["mean"], each["one"] = each["loss"] / each["weight"], 1.0
    for name, upper, lower, unit in (
        ("cross_entropy", "loss", "weight", 1.0),
        ("bits_per_token", "loss", "weight", math.log(2)),
        ("bits_per_byte", "loss", "bytes", math.log(2)),
        ("sequence_sum_mean", "loss", "one", 1.0),
        ("sequence_mean", "mean", "one", 1.0),
    ):
        mean, error, count = clustered(each[upper] / each[lower], each.doc, each[lower])
        assert found[name].value == pytest.approx(mean / unit, rel=1e-13)
        assert found[name].stderr == pytest.approx(error / unit, rel=1e-10)
    t = stats.t.ppf(0.975, count - 1)
    mean, error, _ = clustered(each["loss"] / each["weight"], each.doc, each["weight"])
    assert found["perplexity"].upper == pytest.approx(math.exp(mean + t * error), rel=1e-10)
    section = found.sections["clusters"]
    alone = ce_cli.evaluate(frame, weight_col="w" if weighted else None)
    assert (section["clusters"], section["largest"]) == (12, frame.doc.value_counts().max())
    assert section["stderr_independent"] == alone.cross_entropy.stderr
    # Tokens without sequences have the same clusters.
    loose = ce_cli.evaluate(
        frame.drop(columns="seq_id"), task="tokens", cluster="doc", weight_col="w" if weighted else None
    )
    assert loose["perplexity"].lower == pytest.approx(found["perplexity"].lower, rel=1e-10)


def test_a_sequence_has_one_cluster() -> None:
    frame = tokens()
    for doc in ("x", None):
        frame.loc[[0, 1, 2], "seq_id"] = 0
        frame.loc[1, "doc"] = doc
        for chunk in (1, 2, 100):
            with pytest.raises(CeError, match="the cluster is not that of the row before") as caught:
                ce_cli.evaluate(frame, cluster="doc", chunk_rows=chunk)
            problem = caught.value.problems[0]
            assert (problem.code, problem.column, problem.rows, problem.count) == ("bad_option", "doc", (2, 3), 2)


def test_infinite_and_lonely_clusters_of_tokens() -> None:
    frame = tokens()
    one = ce_cli.evaluate(frame.assign(doc="all"), cluster="doc")
    assert (one.cross_entropy.stderr, one["sequence_mean"].stderr) == (None, None)
    frame.loc[3, "logprob"] = -math.inf
    found = ce_cli.evaluate(frame, cluster="doc")
    assert found.cross_entropy.value == found["sequence_mean"].value == math.inf
    assert "stderr_independent" not in found.sections["clusters"]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1000), st.integers(1, 30), st.integers(1, 3))
def test_no_cut_of_the_work_changes_a_bit_of_clustered_tokens(texts: int, seed: int, chunk: int, jobs: int) -> None:
    frame, options = tokens(texts, seed), {"cluster": "doc", "bytes_col": "bytes", "by": "doc"}
    one = ce_cli.evaluate(frame, jobs=1, **options).to_dict()
    assert ce_cli.evaluate(frame, jobs=jobs, chunk_rows=chunk, **options).to_dict() == one


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
