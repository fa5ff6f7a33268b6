from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels import pair
from tests.kernels import (
    BITS,
    any_exponent,
    assert_relative,
    assert_rows_stand_alone,
    assert_within,
    exact,
    logistic,
    minus_log,
    softplus,
)

INF = math.inf
BASES = [None, 2.0, 10.0]
LOGIT_PAIRS = [
    (0.0, 0.0), (-0.0, 0.0), (0.1, 40.1), (40.3, 0.1), (0.1, 700.1), (700.3, -0.6), (0.1, 745.3), (745.0, 0.0), (-0.3, 0.3),
    (1e-300, -1e-300), (1e-17, 1.0), (1.0, 1e-17), (1e308, 1e308), (1e308, 0.1), (-1e308, 9e307), (1e308, -1e308),
    (-1e308, 1e308), (-INF, 0.0), (3.3, -INF), (-INF, -1e308), (123456789.1, 123456750.7), (1e16, 1e16 - 2), (36.4, 0.1),
    (5e-324, 0.0), (1.7976931348623157e308, 1e292),
]  # fmt: skip

any_logit = st.one_of(
    st.builds(math.copysign, any_exponent(), st.sampled_from([1.0, -1.0])), st.floats(-800, 800), st.just(-INF)
)


def gap(one: float, other: float) -> mpmath.mpf:
    if other == -INF:
        return mpmath.inf
    return -mpmath.inf if one == -INF else exact(one) - exact(other)


def check_logits(pairs):
    negative, positive = np.array(pairs).T.copy()
    outcome = pair.from_logits(negative, positive)
    with mpmath.workprec(BITS):
        assert_within(outcome.loss_positive, [softplus(gap(n, p)) for n, p in pairs], pairs)
        assert_within(outcome.loss_negative, [softplus(gap(p, n)) for n, p in pairs], pairs)
        assert_relative(outcome.prob_positive, [logistic(gap(p, n)) for n, p in pairs], pairs)
        assert_relative(outcome.prob_negative, [logistic(gap(n, p)) for n, p in pairs], pairs)
    assert not np.signbit(np.concatenate(outcome)).any()


def test_logits_over_the_whole_range():
    check_logits(LOGIT_PAIRS)


@given(any_logit, any_logit)
def test_any_logits(negative, positive):
    check_logits([(negative, max(positive, -1e308) if negative == -INF else positive)])


def test_swapping_the_logits_swaps_the_losses():
    negative, positive = np.array(LOGIT_PAIRS).T.copy()
    one, other = pair.from_logits(negative, positive), pair.from_logits(positive, negative)
    assert one.loss_positive.tobytes() == other.loss_negative.tobytes()
    assert one.loss_negative.tobytes() == other.loss_positive.tobytes()


def test_probabilities_are_taken_as_they_are():
    probs = [0.0, 5e-324, 1e-300, 2.0**-53, 0.1, 0.5, 0.7, 1 - 2.0**-53, 1.0]
    negative, positive = (grid.ravel().copy() for grid in np.meshgrid(probs, probs))
    outcome = pair.from_probabilities(negative, positive)
    with mpmath.workprec(BITS):
        assert_within(outcome.loss_negative, [minus_log(exact(p)) for p in negative], negative.tolist())
        assert_within(outcome.loss_positive, [minus_log(exact(p)) for p in positive], positive.tolist())
    assert outcome.prob_negative.tolist() == negative.tolist()
    assert outcome.prob_positive.tolist() == positive.tolist()
    assert not np.signbit(np.concatenate(outcome)).any()


@pytest.mark.parametrize("base", BASES)
def test_logprobs_are_taken_as_they_are(base):
    logs = [-INF, -1e308, -745.0, -700.3, -307.1, -40.1, -1.0, -0.3, -1e-17, -1e-300, -5e-324, 0.0, -0.0]
    negative, positive = (grid.ravel().copy() for grid in np.meshgrid(logs, logs))
    outcome = pair.from_logprobs(negative, positive, base)
    with mpmath.workprec(BITS):
        scale = mpmath.mpf(1) if base is None else mpmath.log(mpmath.mpf(base))
        scaled = {v: -mpmath.inf if v == -INF else exact(v) * scale for v in logs}
        probs = {v: mpmath.mpf(0) if v == -INF else mpmath.exp(scaled[v]) for v in logs}
        for got, probability, given_logs in (
            (outcome.loss_negative, outcome.prob_negative, negative.tolist()),
            (outcome.loss_positive, outcome.prob_positive, positive.tolist()),
        ):
            assert_within(got, [-scaled[v] for v in given_logs], given_logs)
            assert_relative(probability, [probs[v] for v in given_logs], given_logs)
    assert not np.signbit(np.concatenate(outcome)).any()


def sample(dtype):
    generator = np.random.default_rng(3)
    scores = generator.normal(0, 30, (203, 2))
    scores[:6] = [(0, 0), (-INF, 1), (1, -INF), (1e38, -1e38), (40.1, 0.1), (700.3, 0.1)]
    return scores.astype(dtype).astype(np.float64)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_stand_alone(dtype):
    logits = sample(dtype)
    assert_rows_stand_alone(pair.from_logits, *logits.T.copy())
    probs = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    assert_rows_stand_alone(pair.from_probabilities, *probs.T.copy())
    for base in BASES:
        assert_rows_stand_alone(
            lambda one, other, base=base: pair.from_logprobs(one, other, base), *(-np.abs(logits)).T.copy()
        )


def test_strided_sources_give_the_same_bits():
    scores = sample(np.float64)
    columns = pair.from_logits(*scores.T.copy())
    for got, expected in zip(pair.from_logits(*map(np.ascontiguousarray, scores.T)), columns, strict=True):
        assert got.tobytes() == expected.tobytes()
