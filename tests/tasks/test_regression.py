"""Regression through bins, from tables to the report, against formulas written out row by row."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ce_cli import evaluate
from ce_cli.errors import CeError

ROWS, K = 60, 5
EDGES = (-4.0, -1.0, 0.0, 0.5, 2.0, 6.0)
HEADERS = ("p[-4,-1)", "p[-1,0)", "p[0,0.5)", "p[0.5,2)", "p[2,6]")


def data(seed: int = 0):
    generator = np.random.default_rng(seed)
    target = np.round(generator.uniform(-4, 6, ROWS), 2)
    logits = generator.normal(0, 2, (ROWS, K))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return target, logits, probs, np.round(generator.uniform(0.1, 3, ROWS), 3)


def table(scores, names, **more) -> pa.Table:
    return pa.table({**more, **{name: scores[:, k] for k, name in enumerate(names)}})


def bin_of(target: float) -> int:
    return K - 1 if target == EDGES[-1] else max(k for k in range(K) if EDGES[k] <= target)


def expected(target, probs, weight):
    cell = [bin_of(y) for y in target]
    loss = [-math.log(p[k]) for p, k in zip(probs, cell, strict=True)]
    log_score = [one + math.log(EDGES[k + 1] - EDGES[k]) for one, k in zip(loss, cell, strict=True)]
    rps = [sum((sum(p[: j + 1]) - (j >= k)) ** 2 for j in range(K - 1)) for p, k in zip(probs, cell, strict=True)]
    prior = np.bincount(cell, weights=weight, minlength=K) / weight.sum()
    return {
        "cross_entropy": np.average(loss, weights=weight),
        "log_score": np.average(log_score, weights=weight),
        "rps": np.average(rps, weights=weight),
        "crps": np.average([crps(p, y) for p, y in zip(probs, target, strict=True)], weights=weight),
        "prior_entropy": -sum(f * math.log(f) for f in prior if f),
        "accuracy": np.average(np.argmax(probs, axis=1) == cell, weights=weight),
    }


def crps(probs, target, points: int = 200_000) -> float:
    """Return the integral by the midpoint rule, with the jump on a border of cells."""
    total = 0.0
    for low, high in ((EDGES[0], target), (target, EDGES[-1])):
        x = low + (high - low) * (np.arange(points) + 0.5) / points
        cdf = np.interp(x, EDGES, np.concatenate([[0], np.cumsum(probs)]))
        total += float(np.square(cdf - (low == target)).mean() * (high - low))
    return total


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", ["probs", "percent", "logits", "logprobs"])
def test_bins_of_every_scale(scale, weighted):
    target, logits, probs, weight = data()
    scores = {"probs": probs, "percent": 100 * probs, "logits": logits, "logprobs": np.log(probs)}[scale]
    options = {"weight_col": "weight"} if weighted else {}
    frame = table(scores, ("b0", "b1", "b2", "b3", "b4"), y=target, weight=weight)
    report = evaluate(frame, bins=EDGES, pred_cols="b*", input=scale, **options)
    for name, value in expected(target, probs, weight if weighted else np.ones(ROWS)).items():
        assert report[name].value == pytest.approx(value, rel=1e-9 if name == "crps" else 1e-12), name
    assert report.task == "regression"
    assert report.skill.value == pytest.approx(1 - report.cross_entropy.value / report.prior_entropy.value)
    assert sum(row.n for row in report.per_class) == ROWS
    assert sum(row.share_of_loss or 0 for row in report.per_class) == pytest.approx(1)


def test_headers_tell_the_bins_in_any_order():
    target, _, probs, _ = data()
    frame = table(probs, HEADERS, wili=target)
    shuffled = frame.select(["wili", *(HEADERS[k] for k in (3, 0, 4, 2, 1))])
    one, two = evaluate(frame), evaluate(shuffled)
    assert one.metrics == two.metrics
    assert one.classes == ("[-4,-1)", "[-1,0)", "[0,0.5)", "[0.5,2)", "[2,6]")
    assert one.metrics == evaluate(frame, bins="-4,-1,0,0.5,2,6").metrics
    with pytest.raises(CeError, match="the headers have the bins"):
        evaluate(frame, bins="-4,-1,0,0.5,2,7")


def test_a_list_column_and_numbered_columns_out_of_order():
    target, _, probs, _ = data()
    wanted = evaluate(table(probs, HEADERS, y=target)).metrics
    numbered = table(probs, [f"prob_{k + 8}" for k in range(K)], y=target)
    assert evaluate(numbered, bins=EDGES).metrics == wanted
    by_text = numbered.select(["y", "prob_10", "prob_11", "prob_12", "prob_8", "prob_9"])
    assert evaluate(by_text, bins=EDGES).metrics == wanted
    assert evaluate(probs, target, bins=EDGES).metrics == wanted


def test_intervals_are_those_of_the_rows():
    target, _, probs, _ = data()
    report = evaluate(table(probs, HEADERS, y=target))
    for name in ("cross_entropy", "log_score", "rps", "crps"):
        metric = report[name]
        assert metric.stderr is not None
        margin = stats.t.ppf(0.975, ROWS - 1) * metric.stderr
        assert (metric.lower, metric.upper) == pytest.approx((metric.value - margin, metric.value + margin))
    rows = [
        sum((sum(p[: j + 1]) - (j >= bin_of(y))) ** 2 for j in range(K - 1)) for p, y in zip(probs, target, strict=True)
    ]
    assert report["rps"].stderr == pytest.approx(np.std(rows, ddof=1) / math.sqrt(ROWS), rel=1e-12)


def test_bases_change_what_has_a_unit():
    target, _, probs, _ = data()
    frame = table(probs, HEADERS, y=target)
    nats, bits = evaluate(frame), evaluate(frame, base="2")
    assert bits["log_score"].value == pytest.approx(nats["log_score"].value / math.log(2))
    assert (bits["rps"], bits["crps"]) == (nats["rps"], nats["crps"])


def test_an_infinite_loss_makes_the_log_score_infinite_and_nothing_else():
    probs = np.array([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [0.25, 0.5, 0.25]])
    report = evaluate(table(probs, ("p[0,1)", "p[1,2)", "p[2,3)"), y=[2.5, 2.5, 1.5]))
    assert report.cross_entropy.value == report["log_score"].value == math.inf
    assert report["log_score"].stderr is None
    assert report.cross_entropy_finite.value == pytest.approx(math.log(2))
    assert math.isfinite(report["rps"].value)
    assert math.isfinite(report["crps"].value)
    clipped = evaluate(table(probs, ("p[0,1)", "p[1,2)", "p[2,3)"), y=[2.5, 2.5, 1.5]), eps=1e-9)
    assert clipped.counts["clipped"] == 1
    assert clipped["crps"] == report["crps"]


def test_open_ended_bins_have_no_density_and_no_continuous_score():
    target, _, probs, _ = data()
    report = evaluate(probs, target, bins="-inf,-1,0,0.5,2,inf")
    assert "log_score" not in report
    assert "crps" not in report
    assert report["rps"].value == pytest.approx(evaluate(probs, target, bins=EDGES)["rps"].value)


# --- distributions


def masses(dist, mean, std):
    frozen = {
        "normal": stats.norm(mean, std),
        "laplace": stats.laplace(mean, std / math.sqrt(2)),
        "logistic": stats.logistic(mean, std * math.sqrt(3) / math.pi),
    }[dist]
    return np.diff([frozen.cdf(edge) for edge in EDGES])


@pytest.mark.parametrize("dist", [None, "normal", "laplace", "logistic"])
def test_a_mean_and_a_standard_deviation_are_taken_given_the_range(dist):
    target, _, _, weight = data()
    mean, std = target + np.sin(np.arange(ROWS)), 0.5 + weight
    raw = np.array([masses(dist or "normal", m, s) for m, s in zip(mean, std, strict=True)])
    report = evaluate(pa.table({"y": target, "mean": mean, "std": std}), bins=EDGES, dist=dist)
    wanted = expected(target, raw / raw.sum(axis=1, keepdims=True), np.ones(ROWS))
    for name, value in wanted.items():
        assert report[name].value == pytest.approx(value, rel=1e-8), name
    (issue,) = [issue for issue in report.issues if issue.code == "outside_mass"]
    assert f"{1 - raw.sum(axis=1).mean():.3g}" in issue.message
    assert f"dist:{dist or 'normal'}|" in report.signature


def test_a_far_tail_is_no_infinite_loss():
    frame = pa.table({"y": [0.5, 0.25], "mean": [400.0, 0.0], "std": [1.0, 1.0]})
    report = evaluate(frame, bins="-inf,1,inf")
    # The upper tail of the normal distribution by its continued fraction.
    tail = 399.0**2 / 2 + math.log(399 * math.sqrt(2 * math.pi)) + math.log1p(1 / 399.0**2)
    assert report.worst[0].loss == pytest.approx(tail, rel=1e-9)
    assert report.counts["infinite"] == 0


def test_point_predictions_with_a_spread():
    target, _, _, _ = data()
    prediction = target + np.cos(np.arange(ROWS))
    both = evaluate(pa.table({"y": target, "mean": prediction, "std": np.full(ROWS, 0.75)}), bins=EDGES)
    one = evaluate(pa.table({"y": target, "pred": prediction}), bins=EDGES, sigma=0.75)
    assert one.metrics == both.metrics
    residuals = target - prediction
    auto = evaluate(pa.table({"y": target, "pred": prediction}), bins=EDGES, sigma="auto")
    by_hand = evaluate(pa.table({"y": target, "pred": prediction}), bins=EDGES, sigma=float(np.std(residuals, ddof=1)))
    assert auto.cross_entropy.value == pytest.approx(by_hand.cross_entropy.value, rel=1e-13)
    assert any(issue.code == "optimistic_sigma" for issue in auto.issues)
    assert not any(issue.code == "optimistic_sigma" for issue in by_hand.issues)


# --- bins from targets


def test_quantile_and_uniform_bins():
    target, _, _, _ = data()
    frame = pa.table({"y": target, "mean": target, "std": np.ones(ROWS)})
    quantiles = ",".join(repr(float(edge)) for edge in np.quantile(target, [0, 0.25, 0.5, 0.75, 1]))
    assert evaluate(frame, bins="quantile:4").metrics == evaluate(frame, bins=quantiles).metrics
    even = ",".join(repr(float(edge)) for edge in np.linspace(target.min(), target.max(), 4))
    assert evaluate(frame, bins="uniform:3").metrics == evaluate(frame, bins=even).metrics


def test_quantiles_that_coincide_are_merged():
    target = [0.0] * 50 + [1.0, 2.0, 3.0, 4.0] * 5
    frame = pa.table({"y": target, "mean": target, "std": [1.0] * 70})
    report = evaluate(frame, bins="quantile:10")
    (issue,) = [issue for issue in report.issues if issue.code == "merged_bins"]
    assert issue.count == len(report.classes) < 10
    with pytest.raises(CeError, match="all targets are the same"):
        evaluate(frame.slice(0, 50), bins="quantile:10")


def test_ignored_targets_are_no_part_of_the_first_pass():
    frame = pa.table({"y": [1.0, 2.0, 3.0, -999.0], "pred": [1.5, 1.0, 4.0, 0.0]})
    report = evaluate(frame, bins="uniform:2", sigma="auto", ignore_label=["-999"])
    assert report.classes == ("[1,2)", "[2,3]")
    assert (report.counts["ignored"], report.counts["scored"]) == (1, 3)
    assert report.metrics == evaluate(frame.slice(0, 3), bins="uniform:2", sigma="auto").metrics


# --- targets


def gaussian(target, sigma):
    mass = np.diff(stats.norm(target, sigma).cdf(EDGES))
    return mass / mass.sum()


@pytest.mark.parametrize("sigma", [None, 0.6])
def test_gaussian_targets(sigma):
    target, _, probs, _ = data()
    widths = np.diff(EDGES)
    shares = np.array([gaussian(y, sigma or 0.75 * widths[bin_of(y)]) for y in target])
    frame = table(probs, HEADERS, y=target)
    report = evaluate(frame, targets="hl-gauss", sigma=sigma)
    hard = evaluate(frame)
    assert report.cross_entropy.value == pytest.approx(-(shares * np.log(probs)).sum(axis=1).mean(), rel=1e-12)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1).mean()
    assert report.label_entropy.value == pytest.approx(entropy, rel=1e-12)
    assert report.kl_divergence.value == pytest.approx(report.cross_entropy.value - entropy, rel=1e-10)
    assert report.cross_entropy_unsmoothed.value == hard.cross_entropy.value
    for name in ("log_score", "rps", "crps", "prior_entropy", "skill"):
        assert report[name] == hard[name], name


def test_targets_between_two_centres():
    probs = np.array([[0.1, 0.2, 0.5, 0.2]] * 3)
    report = evaluate(
        probs, np.array([0.3, -1.9, 1.5]), bins="-2,-1,0,1,2", targets="two-hot", class_weights={"[-2,-1)": 1}
    )
    by_hand = [-(0.2 * math.log(0.2) + 0.8 * math.log(0.5)), -math.log(0.1), -math.log(0.2)]
    assert report.cross_entropy.value == pytest.approx(np.mean(by_hand), rel=1e-14)


def test_smoothing_and_bin_weights():
    target, _, probs, _ = data()
    frame = table(probs, HEADERS, y=target)
    shares = 0.9 * np.eye(K)[[bin_of(y) for y in target]] + 0.1 / K
    factors = np.array([1, 1, 1, 3.0, 0])
    report = evaluate(frame, label_smoothing=0.1, class_weights={"[0.5,2)": 3, "[2,6]": 0})
    above, below = (shares * factors * -np.log(probs)).sum(), (shares * factors).sum()
    assert report.cross_entropy.value == pytest.approx(above / below, rel=1e-13)
    assert report.skill == evaluate(frame).skill
    plain = evaluate(frame, class_weights={"[2,6]": 0})
    assert plain.counts["zero_weight"] == sum(bin_of(y) == K - 1 for y in target)


# --- splits


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, ROWS),
    st.integers(1, 3),
    st.sampled_from([
        {"bins": EDGES, "pred_cols": "b*"},
        {"bins": "quantile:4", "pred_cols": "mean", "sigma": "auto"},
        {"bins": "uniform:3", "pred_cols": ["mean", "std"], "dist": "laplace", "targets": "two-hot"},
        {"bins": EDGES, "pred_cols": "b*", "targets": "hl-gauss", "weight_col": "weight"},
    ]),
)  # fmt: skip
def test_any_split_gives_the_same_bits(chunk, jobs, options):
    target, _, probs, weight = data(1)
    mean, std = target + np.sin(np.arange(ROWS)), 0.5 + weight
    names = [f"b{k}" for k in range(K)]
    predictions = table(probs, names, id=np.arange(ROWS), mean=mean, std=std, weight=weight)
    labels = pa.table({"id": np.arange(ROWS)[::-1], "y": target[::-1]})
    whole = evaluate(predictions, labels, jobs=1, **options)
    split = evaluate(predictions, labels, jobs=jobs, chunk_rows=chunk, **options)
    assert split.to_json() == whole.to_json()
