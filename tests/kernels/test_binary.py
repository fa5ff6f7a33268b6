from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels import binary
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

PROBS = sorted(
    {
        0.0, 5e-324, 1e-323, 2.2250738585072014e-308, 1e-300, 1e-100, 1e-17, 2.0**-53, 1e-16, 1e-8, 0.1, 0.25, 1 / 3,
        0.49999999999999994, 0.5, 0.5000000000000001, 0.75, 0.9, 0.999, 1 - 1e-8, 1 - 2.0**-52, 1 - 2.0**-53, 1.0,
    }
)  # fmt: skip
LOGITS = [
    sign * size
    for size in (
        0.0, 5e-324, 1e-300, 1e-17, 1e-8, 0.1, 0.5, 1.0, math.pi, 17.3, 36.7, 37.0, 40.0, 40.1, 300.7, 700.0, 700.3, 709.7,
        709.8, 710.5, 744.4, 745.0, 745.2, 746.0, 1e3, 1e10, 1e100, 1e308,
    )
    for sign in (1, -1)
] + [-math.inf]  # fmt: skip
# A base-2 log-probability below the normal range has too few bits for its multiple by ln 2: see the test of its own.
LOGPROBS = [
    -math.inf, -1e308, -1e100, -1e4, -746.0, -745.0, -744.4, -708.4, -700.3, -323.7, -307.0, -100.1, -40.1, -37.0, -36.7,
    -10.0, -math.pi, -1.0, -0.6931471805599454, -0.6931471805599453, -0.6931471805599452, -0.5, -0.30102999566398114, -0.1,
    -1e-8, -1.1e-16, -1e-17, -1e-300, -2.3e-308, 0.0, -0.0,
]  # fmt: skip
BASES = [None, 2.0, 10.0]

positive_halves = any_exponent(-1074, -1)
probabilities = st.one_of(positive_halves, positive_halves.map(lambda p: 1 - p), st.floats(0, 1))
logits = st.builds(math.copysign, any_exponent(-1074, 1023), st.sampled_from([1.0, -1.0])) | st.floats(-800, 800)
logprobs = st.one_of(any_exponent(-1000, 1000), st.floats(0, 800, allow_subnormal=False)).map(lambda size: -size)


def check_probabilities(probs):
    outcome = binary.from_probabilities(np.array(probs))
    with mpmath.workprec(BITS):
        assert_within(outcome.loss_positive, [minus_log(exact(p)) for p in probs], probs)
        assert_within(outcome.loss_negative, [minus_log(1 - exact(p)) for p in probs], probs)
        assert_relative(outcome.prob_negative, [1 - exact(p) for p in probs], probs)
    assert outcome.prob_positive.tolist() == probs


def check_logits(values):
    outcome = binary.from_logits(np.array(values))
    with mpmath.workprec(BITS):
        assert_within(outcome.loss_positive, [softplus(-exact(z)) for z in values], values)
        assert_within(outcome.loss_negative, [softplus(exact(z)) for z in values], values)
        assert_relative(outcome.prob_positive, [logistic(exact(z)) for z in values], values)
        assert_relative(outcome.prob_negative, [logistic(-exact(z)) for z in values], values)


def power(base, value):
    return mpmath.mpf(0) if math.isinf(value) else mpmath.exp(scaled(base, value))


def scaled(base, value):
    if math.isinf(value):
        return -mpmath.inf
    return exact(value) * (1 if base is None else mpmath.log(mpmath.mpf(base)))


def loss_of_the_other(base, value):
    """Return -log(1 - base**value), with enough bits for a difference of 1 and what is next to it."""
    top = scaled(base, value)
    if top == 0:
        return mpmath.inf
    if top == -mpmath.inf or top < -2000:
        return mpmath.mpf(0)
    return -mpmath.log1p(-mpmath.exp(top)) if top < -0.5 else -mpmath.log(-mpmath.expm1(top))


def check_logprobs(values, base):
    outcome = binary.from_logprobs(np.array(values), base)
    with mpmath.workprec(BITS):
        assert_within(outcome.loss_positive, [-scaled(base, v) for v in values], values)
        assert_within(outcome.loss_negative, [loss_of_the_other(base, v) for v in values], values)
        assert_relative(outcome.prob_positive, [power(base, v) for v in values], values)
        assert_relative(outcome.prob_negative, [1 - power(base, v) for v in values], values)


def test_probabilities_over_the_whole_range():
    check_probabilities(PROBS)


@given(probabilities)
def test_any_probability(prob):
    check_probabilities([prob])


def test_the_ends_of_probabilities():
    outcome = binary.from_probabilities(np.array([0.0, 1.0]))
    assert outcome.loss_positive.tolist() == [math.inf, 0.0]
    assert outcome.loss_negative.tolist() == [0.0, math.inf]
    assert not np.signbit(np.concatenate(outcome)).any()


def test_a_tiny_probability_gives_a_tiny_loss_and_not_zero():
    outcome = binary.from_probabilities(np.array([5e-324, 1e-300]))
    assert outcome.loss_negative.tolist() == [5e-324, 1e-300]


def test_logits_over_the_whole_range():
    check_logits(LOGITS)


@given(logits)
def test_any_logit(logit):
    check_logits([logit])


def test_the_ends_of_logits():
    outcome = binary.from_logits(np.array([-math.inf, 1e308, -1e308, 0.0, -0.0]))
    assert outcome.loss_positive.tolist() == [math.inf, 0.0, 1e308, math.log(2), math.log(2)]
    assert outcome.loss_negative.tolist() == [0.0, 1e308, 0.0, math.log(2), math.log(2)]
    assert outcome.prob_positive.tolist() == [0.0, 1.0, 0.0, 0.5, 0.5]
    assert not np.signbit(np.concatenate(outcome)).any()


def test_the_losses_of_opposite_logits_are_each_others():
    values = np.array([z for z in LOGITS if math.isfinite(z)])
    one, other = binary.from_logits(values), binary.from_logits(-values)
    assert one.loss_positive.tobytes() == other.loss_negative.tobytes()


@pytest.mark.parametrize("base", BASES)
def test_logprobs_over_the_whole_range(base):
    check_logprobs(LOGPROBS, base)


@pytest.mark.parametrize("base", BASES)
@given(logprob=logprobs)
def test_any_logprob(base, logprob):
    check_logprobs([logprob], base)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("logprob", [-5e-324, -1.5e-323, -1e-318, -1e-310])
def test_a_subnormal_logprob(base, logprob):
    check_logprobs([logprob], base)


@pytest.mark.parametrize("base", BASES)
def test_the_ends_of_logprobs(base):
    outcome = binary.from_logprobs(np.array([-math.inf, 0.0, -0.0]), base)
    assert outcome.loss_positive.tolist() == [math.inf, 0.0, 0.0]
    assert outcome.loss_negative.tolist() == [0.0, math.inf, math.inf]
    assert outcome.prob_positive.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("base", BASES)
def test_no_zero_of_a_logprob_is_negative(base):
    outcome = binary.from_logprobs(np.array([-math.inf, 0.0, -0.0]), base)
    for name, values in outcome._asdict().items():
        assert not np.signbit(values).any(), name


def test_inputs_are_left_alone():
    for kernel, values in (
        (binary.from_probabilities, PROBS),
        (binary.from_logits, LOGITS),
        (binary.from_logprobs, LOGPROBS),
    ):
        given_values = np.array(values)
        kernel(given_values)
        assert given_values.tobytes() == np.array(values).tobytes()


def sample(kernel, dtype):
    generator = np.random.default_rng(7)
    z = generator.normal(0, 30, 203)
    z[:8] = [0, -0.0, 745, -745, 1e-300, -1e38, 40, 700]
    values = {
        binary.from_probabilities: 1 / (1 + np.exp(-np.clip(z, -700, 700))),
        binary.from_logits: z,
        binary.from_logprobs: -np.abs(z),
    }[kernel]
    return values.astype(dtype).astype(np.float64)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", [binary.from_probabilities, binary.from_logits, binary.from_logprobs])
def test_rows_stand_alone(kernel, dtype):
    assert_rows_stand_alone(kernel, sample(kernel, dtype))


@pytest.mark.parametrize("base", [2.0, 10.0])
def test_rows_of_scaled_logprobs_stand_alone(base):
    assert_rows_stand_alone(lambda values: binary.from_logprobs(values, base), sample(binary.from_logprobs, np.float64))


def test_strided_sources_give_the_same_bits():
    values = sample(binary.from_logits, np.float64)
    table = np.empty((len(values), 3))
    table[:, 1] = values
    reverse = np.ascontiguousarray(values[::-1])[::-1]
    for source in (table[:, 1], reverse):
        for got, expected in zip(
            binary.from_logits(np.ascontiguousarray(source)), binary.from_logits(values), strict=True
        ):
            assert got.tobytes() == expected.tobytes()
