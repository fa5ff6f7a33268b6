from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels.double import (
    differences_are_exact,
    exp_of_sum,
    log_of_base,
    scaled_by_log,
    two_difference,
    two_product,
)
from tests.kernels import BITS, any_exponent, assert_within, exact

signed = st.builds(math.copysign, any_exponent(), st.sampled_from([1.0, -1.0]))
LOGS = [-5e-324, -1e-300, -1e-17, -0.3, -1.0, -math.pi, -40.25, -700.1, -743.9, -1e5 / 3, -1e200, -1e289]


@given(signed, signed)
def test_a_difference_and_its_error_are_the_exact_difference(a, b):
    with np.errstate(over="ignore"):
        expected = np.float64(a) - np.float64(b)
    difference, error = two_difference(np.array([a]), np.array([b]))
    assert difference[0] == expected
    if np.isfinite(expected):
        assert Fraction(float(difference[0])) + Fraction(float(error[0])) == Fraction(a) - Fraction(b)
    else:
        assert error[0] == 0


numbers = st.one_of(
    st.floats(width=16, allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(-(2**54), 2**54).map(float),
    st.sampled_from([0.0, -math.inf, 1.0, 2.0**-29, 1 + 2.0**-23, 2.0**30, 5e-324, 1e308]),
    signed,
)


@given(st.lists(numbers, max_size=6))
def test_differences_that_are_said_to_be_exact_are(values):
    if not differences_are_exact(np.array(values)):
        return
    finite = [value for value in values if math.isfinite(value)]
    for a in finite:
        for b in finite:
            if math.isfinite(a - b):
                assert Fraction(a - b) == Fraction(a) - Fraction(b)


def test_where_differences_are_said_to_be_exact():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 4, (100, 100)).astype(np.float32)
    assert differences_are_exact(logits.astype(np.float64))
    assert differences_are_exact(logits.astype(np.float16).astype(np.float64))
    assert differences_are_exact(np.array([0.0, -math.inf, 3.0, -(2.0**51)]))
    assert differences_are_exact(np.zeros(3))
    assert not differences_are_exact(generator.normal(0, 4, 100))
    assert not differences_are_exact(np.array([1.0, 2.0**-53]))


def test_a_difference_broadcasts_over_a_column():
    a = np.array([[1.0, 1e-30], [5e-324, 3.0]])
    difference, error = two_difference(a, np.array([[1e-17], [1.0]]))
    assert difference.shape == error.shape == (2, 2)
    for row, other in enumerate((1e-17, 1.0)):
        for column in range(2):
            total = Fraction(float(difference[row, column])) + Fraction(float(error[row, column]))
            assert total == Fraction(float(a[row, column])) - Fraction(other)


@pytest.mark.parametrize(("a", "b"), [(-math.inf, 0.0), (-math.inf, -1e308), (1e308, -1e308), (0.0, -math.inf)])
def test_an_infinite_difference_has_no_error(a, b):
    difference, error = two_difference(np.array([a, 1.0]), np.array([b, 1e-20]))
    assert math.isinf(difference[0])
    assert error[0] == 0
    assert error[1] == -1e-20


@given(
    st.builds(math.copysign, any_exponent(-400, 400), st.sampled_from([1.0, -1.0])),
    st.builds(math.copysign, any_exponent(-400, 400), st.sampled_from([1.0, -1.0])),
)
def test_a_product_and_its_error_are_the_exact_product(a, b):
    product, error = two_product(np.array([a]), np.array([b]))
    assert product[0] == a * b
    assert Fraction(float(product[0])) + Fraction(float(error[0])) == Fraction(a) * Fraction(b)


@given(st.builds(math.copysign, any_exponent(-400, 400), st.sampled_from([1.0, -1.0])))
def test_a_square_and_its_error_are_the_exact_square(a):
    values = np.array([a])
    product, error = two_product(values, values)
    assert Fraction(float(product[0])) + Fraction(float(error[0])) == Fraction(a) ** 2


@pytest.mark.parametrize("base", [2.0, 10.0])
def test_scaling_by_the_logarithm_of_a_base_keeps_a_hundred_bits(base):
    values = np.array([value for value in LOGS if value < -1e-250])
    high, low = scaled_by_log(values, base)
    with mpmath.workprec(BITS):
        for value, first, second in zip(values.tolist(), high.tolist(), low.tolist(), strict=True):
            expected = exact(value) * mpmath.log(mpmath.mpf(base))
            assert abs(exact(first) + exact(second) - expected) < abs(expected) * mpmath.mpf(2) ** -100


@pytest.mark.parametrize("base", [None, 2.0, 10.0])
def test_scaling_keeps_zeros_and_infinities(base):
    high, _ = scaled_by_log(np.array([0.0, -math.inf, -1e308]), base)
    assert high[0] == 0
    assert high[1] == -math.inf
    assert high[2] == (-math.inf if base == 10 else -1e308 * (1.0 if base is None else math.log(base)))


def test_scaling_copies():
    values = np.array([-1.0, -2.0])
    high, low = scaled_by_log(values, None)
    high[:] = 0
    assert values.tolist() == [-1.0, -2.0]
    assert low is None


@pytest.mark.parametrize("base", [2.0, 10.0])
def test_powers_of_a_base_are_right_far_down(base):
    values = np.array([value for value in LOGS if value * math.log(base) > -700])
    got = exp_of_sum(*scaled_by_log(values, base))
    with mpmath.workprec(BITS):
        assert_within(got, [mpmath.power(mpmath.mpf(base), exact(value)) for value in values], values.tolist(), 2)


def test_whole_powers_of_two_come_back_as_they_are():
    powers = np.arange(0.0, -1022.0, -1.0)
    got = exp_of_sum(*scaled_by_log(powers, 2.0))
    assert np.abs(got / np.ldexp(1.0, powers.astype(int)) - 1).max() <= 2.0**-52


def test_the_logarithm_of_a_base():
    assert log_of_base(None) == 1.0
    with mpmath.workprec(200):
        assert log_of_base(2.0) == float(mpmath.log(2))
        assert log_of_base(10.0) == float(mpmath.log(10))


singles = st.one_of(
    st.floats(width=32, allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.0**-29, 1 + 2.0**-23, 2.0**30, 2.0**-149, 3 * 2.0**-126, 2.0**28, 2.0**29 + 64]),
)


@given(st.lists(singles, max_size=6))
def test_differences_of_float32_that_are_said_to_be_exact_are(values):
    array = np.array(values, dtype=np.float32)
    if not differences_are_exact(array):
        return
    finite = array[np.isfinite(array)].astype(np.float64).tolist()
    for a in finite:
        for b in finite:
            assert Fraction(a - b) == Fraction(a) - Fraction(b)


def test_where_differences_of_float32_are_said_to_be_exact():
    generator = np.random.default_rng(0)
    assert differences_are_exact(generator.normal(0, 4, (100, 100)).astype(np.float32))
    assert differences_are_exact(np.array([0.0, -math.inf, 3.0, -(2.0**28)], dtype=np.float32))
    assert not differences_are_exact(np.array([1.1e-9, 30.3, 25.7], dtype=np.float32))
