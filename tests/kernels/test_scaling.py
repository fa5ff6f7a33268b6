from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from ce_cli.kernels import scaling
from ce_cli.kernels.scaling import BinaryOdds, ClassLogits, fit_line, fit_temperature


def classes(logits, label) -> ClassLogits:
    """Return rows with a class each, `(n,)`, or with shares of all, `(n, k)`."""
    z = np.array(logits, dtype=np.float64)
    z -= z.max(axis=1, keepdims=True)
    share = np.array(label, dtype=np.float64)
    if share.ndim == 1:
        share = np.eye(z.shape[1])[share.astype(int)]
    aim = np.where(share > 0, share * np.where(share > 0, z, 0.0), 0.0).sum(axis=1)
    return ClassLogits(z, aim, share.sum(axis=1))


def best(loss) -> float:
    """Return the temperature that a general minimiser finds."""
    found = minimize_scalar(lambda x: loss(math.exp(x)), bounds=(-8, 8), method="bounded", options={"xatol": 1e-11})
    return math.exp(-found.x)


@given(st.integers(0, 10_000), st.floats(0.05, 20), st.sampled_from([2, 3, 10]), st.booleans())
def test_the_temperature_of_classes_is_that_of_a_general_minimiser(seed: int, scale: float, k: int, soft: bool) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1, (80, k))
    noisy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = np.array([generator.choice(k, p=p) for p in noisy])
    share = generator.dirichlet(np.ones(k), 80) * 0.5 + np.eye(k)[label] * 0.5 if soft else np.eye(k)[label]
    weight = generator.random(80) + 0.1
    found = fit_temperature(classes(scale * logits, share), weight).temperature
    assume(found is not None)
    expected = best(lambda beta: -(weight * (share * log_softmax(beta * scale * logits, axis=1)).sum(axis=1)).sum())
    assume(1e-3 < expected < 1e3)
    assert found == pytest.approx(expected, rel=1e-5)


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-1, 1))
def test_the_temperature_of_odds_is_that_of_a_general_minimiser(seed: int, scale: float, shift: float) -> None:
    generator = np.random.default_rng(seed)
    odds = generator.normal(shift, 2, 100)
    outcome = (generator.random(100) < 1 / (1 + np.exp(-odds))).astype(float)
    rows = BinaryOdds(scale * odds, outcome)
    found = fit_temperature(rows, np.ones(100)).temperature
    assume(found is not None)
    expected = best(lambda beta: np.logaddexp(0, np.where(outcome > 0, -1, 1) * beta * scale * odds).sum())
    assume(1e-3 < expected < 1e3)
    assert found == pytest.approx(expected, rel=1e-5)


def test_at_the_temperature_the_slope_is_zero_to_rounding() -> None:
    generator = np.random.default_rng(0)
    rows = classes(generator.normal(0, 5, (500, 4)), generator.integers(0, 4, 500) * (generator.random(500) < 0.5))
    found = fit_temperature(rows, np.full(500, 1 / 500))
    assert found.temperature is not None
    slope, curvature = (values.mean() for values in rows.slopes(1 / found.temperature))
    assert abs(slope) < 1e-12 * curvature


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1.0, 1e5, 1e300])
def test_scores_of_any_size_have_a_temperature_in_proportion(scale: float) -> None:
    odds, outcome = np.array([1.0, 2.0, -0.5, 0.7, -1.0]), np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    ones = np.ones(5)
    plain = fit_temperature(BinaryOdds(odds, outcome), ones).temperature
    assert plain is not None
    scaled = fit_temperature(BinaryOdds(scale * odds, outcome), ones).temperature
    assert scaled == pytest.approx(scale * plain, rel=1e-9)
    logits = np.stack([np.zeros(5), odds], axis=1)
    assert fit_temperature(classes(scale * logits, outcome), ones).temperature == pytest.approx(scale * plain, rel=1e-9)


@pytest.mark.parametrize(
    ("odds", "outcome", "reason"),
    [
        ([1.0, -2.0, 0.5], [1.0, 0.0, 1.0], scaling.ALL_RIGHT),
        ([1.0, 3.0], [1.0, 1.0], scaling.ALL_RIGHT),
        ([1.0, -2.0, 0.5], [0.0, 1.0, 0.0], scaling.BACKWARDS),
        ([1.0, 1.0], [1.0, 0.0], scaling.BACKWARDS),
        ([0.0, 0.0], [1.0, 0.0], scaling.FLAT),
        ([0.0], [1.0], scaling.FLAT),
    ],
)
def test_where_there_is_no_best_temperature_it_says_why(odds, outcome, reason: str) -> None:
    rows = BinaryOdds(np.array(odds), np.array(outcome))
    assert fit_temperature(rows, np.ones(len(odds))) == (None, reason)
    logits = np.stack([np.zeros(len(odds)), odds], axis=1)
    assert fit_temperature(classes(logits, outcome), np.ones(len(odds))) == (None, reason)


def test_a_class_of_probability_zero_stays_at_it() -> None:
    logits = [[0.0, 1.0, -math.inf], [2.0, -math.inf, 0.0], [0.0, 0.5, -math.inf]]
    rows = classes(logits, [1, 0, 0])
    found = fit_temperature(rows, np.ones(3)).temperature
    odds = BinaryOdds(np.array([1.0, 2.0, -0.5]), np.ones(3))
    assert found == pytest.approx(fit_temperature(odds, np.ones(3)).temperature)
    assert rows.losses(0.7) == pytest.approx(odds.losses(0.7), rel=1e-15)


def test_rows_of_weight_zero_have_no_part_in_a_fit() -> None:
    generator = np.random.default_rng(3)
    odds, outcome = generator.normal(0, 2, 60), generator.integers(0, 2, 60).astype(float)
    odds += outcome
    weight = (np.arange(60) % 3 > 0).astype(float)
    some = BinaryOdds(odds[weight > 0], outcome[weight > 0])
    whole = BinaryOdds(odds, outcome)
    assert fit_temperature(whole, weight).temperature == pytest.approx(fit_temperature(some, np.ones(40)).temperature)
    assert fit_line(whole, weight)[:2] == pytest.approx(fit_line(some, np.ones(40))[:2])


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-3, 3), st.booleans())
def test_the_line_is_that_of_logistic_regression(seed: int, scale: float, shift: float, weighted: bool) -> None:
    generator = np.random.default_rng(seed)
    odds = generator.normal(0, 2, 120)
    outcome = generator.random(120) < 1 / (1 + np.exp(-(0.7 * odds + shift)))
    weight = generator.random(120) + 0.1 if weighted else np.ones(120)
    found = fit_line(BinaryOdds(scale * odds, outcome.astype(float)), weight)
    assume(found.slope is not None)
    model = LogisticRegression(C=math.inf, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    model.fit(odds[:, None], outcome, sample_weight=weight)
    assert scale * found.slope == pytest.approx(model.coef_[0, 0], rel=1e-5, abs=1e-6)
    assert found.intercept == pytest.approx(model.intercept_[0], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("odds", "outcome", "reason"),
    [
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], scaling.ONE_CLASS),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], scaling.ONE_CLASS),
        ([1.0, 2.0, 3.0], [0.0, 1.0, 1.0], scaling.SEPARABLE),
        ([1.0, 2.0, 2.0], [1.0, 0.0, 0.0], scaling.SEPARABLE),
        ([1.0, 2.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0], scaling.SEPARABLE),
        ([1.0, 1.0], [0.0, 1.0], scaling.FLAT),
        ([1.0, 2.0, 3.0], [0.0, 5e-324, 1e-20], scaling.ONE_CLASS),
    ],
)
def test_where_there_is_no_best_line_it_says_why(odds, outcome, reason: str) -> None:
    found = fit_line(BinaryOdds(np.array(odds), np.array(outcome)), np.ones(len(odds)))
    assert found == (None, None, reason)


def test_a_soft_outcome_is_of_both_classes() -> None:
    odds, outcome = np.array([-1.0, 1.0]), np.array([0.25, 0.75])
    found = fit_line(BinaryOdds(odds, outcome), np.ones(2))
    assert found.slope == pytest.approx(math.log(3))
    assert found.intercept == pytest.approx(0, abs=1e-12)


def test_losses_keep_their_digits() -> None:
    rows = classes([[0.0, -50.0], [-50.0, 0.0]], [0, 0])
    assert rows.losses(1.0) == pytest.approx([math.exp(-50), 50 + math.exp(-50)], rel=1e-15)
    odds = BinaryOdds(np.array([50.0, -50.0]), np.array([1.0, 1.0]))
    assert odds.losses(1.0) == pytest.approx([math.exp(-50), 50 + math.exp(-50)], rel=1e-15)


def test_a_line_is_found_in_few_steps(monkeypatch) -> None:
    counted, losses = [], BinaryOdds.losses
    monkeypatch.setattr(BinaryOdds, "losses", lambda *given: counted.append(1) or losses(*given))
    for seed in range(100, 320):
        generator = np.random.default_rng(seed)
        n = int(generator.integers(50, 4000))
        odds = generator.normal(generator.normal(), generator.exponential() * 3, n)
        rate = 1 / (1 + np.exp(-generator.normal(0.8, 0.5) * odds + generator.normal()))
        outcome = (generator.random(n) < rate).astype(float)
        fit_line(BinaryOdds(odds, outcome), generator.exponential(size=n))
        assert len(counted) < 30, seed
        counted.clear()
