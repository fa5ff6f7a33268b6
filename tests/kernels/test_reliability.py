from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from ce_cli.kernels.binary import from_probabilities
from ce_cli.kernels.reliability import Forecasts, decomposition, equal_mass, wilson


def forecasts(prob, outcome, weight=None) -> Forecasts:
    p = np.array(prob, dtype=np.float64)
    sides = from_probabilities(p)
    w = np.ones(len(p)) if weight is None else np.array(weight, dtype=np.float64)
    return Forecasts(p, sides.loss_positive, sides.loss_negative, np.array(outcome, dtype=np.float64), w)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 12), (3, 12), (12, 12), (499, 1000)])
def test_the_interval_of_a_rate_is_scipys(hits: int, n: int, confidence: float) -> None:
    expected = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    assert wilson(hits / n, n, confidence) == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


@given(st.floats(0, 1), st.floats(0.5, 1e12))
def test_an_interval_of_a_rate_holds_it(rate: float, n: float) -> None:
    lower, upper = wilson(rate, n, 0.95)
    assert 0 <= lower <= rate + 1e-15
    assert rate - 1e-15 <= upper <= 1


@pytest.mark.parametrize("bins", [1, 4, 10])
def test_bins_of_equal_mass_are_those_of_scikit_learn(bins: int) -> None:
    generator = np.random.default_rng(bins)
    prob = generator.beta(0.6, 0.8, 40 * bins)
    outcome = generator.random(len(prob)) < prob
    number = equal_mass(prob, np.ones(len(prob)), bins)
    assert np.bincount(number).tolist() == [40] * bins
    rate, mean = calibration_curve(outcome, prob, n_bins=bins, strategy="quantile")
    assert [outcome[number == at].mean() for at in range(bins)] == pytest.approx(rate)
    assert [prob[number == at].mean() for at in range(bins)] == pytest.approx(mean)


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.9, 1.0]), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_equal_probabilities_share_a_bin_and_bins_increase(prob: list[float], bins: int) -> None:
    number = equal_mass(np.array(prob), np.ones(len(prob)), bins)
    by_prob = {p: {int(at) for at, q in zip(number, prob, strict=True) if q == p} for p in prob}
    assert all(len(found) == 1 for found in by_prob.values())
    order = [by_prob[p] for p in sorted(by_prob)]
    assert [max(found) for found in order] == sorted(max(found) for found in order)
    assert 0 <= number.min() <= number.max() < bins


def test_a_weight_counts_as_that_many_rows() -> None:
    generator = np.random.default_rng(1)
    prob, outcome, weight = generator.random(60), generator.integers(0, 2, 60), generator.integers(1, 6, 60)
    repeated = [np.repeat(values, weight) for values in (prob, outcome)]
    one, many = decomposition(forecasts(prob, outcome, weight)), decomposition(forecasts(*repeated))
    assert one[:4] == pytest.approx(many[:4], rel=1e-13)
    bins = equal_mass(prob, weight.astype(float), 5)
    assert np.repeat(bins, weight).tolist() == equal_mass(repeated[0], np.ones(len(repeated[0])), 5).tolist()


probs = st.one_of(st.floats(0.001, 0.999), st.sampled_from([0.25, 0.5, 0.75]))
rows = st.lists(
    st.tuples(probs, st.sampled_from([0.0, 1.0]), st.floats(0.01, 10)),
    min_size=2,
    max_size=60,
)


@given(rows)
def test_the_parts_of_the_loss_are_those_of_scikit_learns_isotonic_regression(data) -> None:
    prob, outcome, weight = map(np.array, zip(*data, strict=True))
    found = decomposition(forecasts(prob, outcome, weight))
    rank = np.unique(prob, return_inverse=True)[1].astype(float)  # between neighbouring float64 it interpolates to NaN
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(rank, outcome, weight).predict(rank)
    mean = np.average(outcome, weights=weight)
    loss = [
        log_loss(outcome, np.clip(p, 1e-300, 1), sample_weight=weight, labels=[0, 1])
        for p in (prob, fitted, np.full(len(prob), mean))
    ]
    assert found.score == pytest.approx(loss[0], abs=1e-12)
    assert found.miscalibration == pytest.approx(loss[0] - loss[1], abs=1e-9)
    assert found.discrimination == pytest.approx(loss[2] - loss[1], abs=1e-9)
    assert found.uncertainty == pytest.approx(loss[2], abs=1e-9)
    assert found.miscalibration - found.discrimination + found.uncertainty == pytest.approx(found.score, abs=1e-12)
    assert found.miscalibration >= 0
    assert 0 <= found.discrimination <= found.uncertainty + 1e-15


@given(rows, st.floats(0.2, 5))
def test_a_monotone_change_of_the_probabilities_changes_the_miscalibration_alone(data, power: float) -> None:
    prob, outcome, weight = map(np.array, zip(*data, strict=True))
    one, two = (decomposition(forecasts(p, outcome, weight)) for p in (prob, prob**power))
    assert one.discrimination == pytest.approx(two.discrimination, abs=1e-12)
    assert one.uncertainty == two.uncertainty


def test_soft_outcomes_are_pooled_as_they_are() -> None:
    found = decomposition(forecasts([0.2, 0.4, 0.4, 0.9], [0.5, 0.25, 0.75, 1.0]))
    entropy = -(0.5 * math.log(0.5)) * 2
    rate = 2.5 / 4
    # The first three have a mean of 0.5, the last is sure.
    assert found.discrimination == pytest.approx(found.uncertainty - entropy * 3 / 4, abs=1e-15)
    assert found.uncertainty == pytest.approx(-(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)), abs=1e-15)
    assert found.steps == 2


def test_an_infinite_loss_is_miscalibration() -> None:
    found = decomposition(forecasts([0.0, 0.0, 1.0, 0.5], [1.0, 0.0, 1.0, 0.0]))
    assert (found.score, found.miscalibration) == (math.inf, math.inf)
    assert 0 <= found.discrimination <= found.uncertainty < math.inf
    sure = decomposition(forecasts([0.0, 0.0, 1.0], [0.0, 0.0, 1.0]))
    assert (sure.score, sure.miscalibration, sure.steps) == (0.0, 0.0, 2)
    assert sure.discrimination == sure.uncertainty


def test_one_class_has_no_uncertainty() -> None:
    found = decomposition(forecasts([0.25, 0.5], [1.0, 1.0]))
    assert found.score == found.miscalibration == pytest.approx(1.5 * math.log(2))
    assert (found.discrimination, found.uncertainty, found.steps) == (0.0, 0.0, 1)
