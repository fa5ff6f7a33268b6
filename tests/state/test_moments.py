from __future__ import annotations

import math
import statistics
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.fractions import to_float
from ce_cli.state.moments import Moments
from tests.state import fractions, sizes, weighted_mean, weights


def moments_of(values, weight=None) -> Moments:
    state = Moments()
    state.add(np.array(values, dtype=np.float64), None if weight is None else np.array(weight))
    return state


def root(value: Fraction) -> mpmath.mpf:
    with mpmath.workprec(400):
        return mpmath.sqrt(mpmath.mpf(value.numerator) / value.denominator)


def standard_error(values, weight) -> mpmath.mpf:
    """Return √(n/(n-1) · Σw²(x-μ)²) / Σw by its definition."""
    mean, n = weighted_mean(values, weight), len(values)
    squares = sum((w * (x - mean)) ** 2 for x, w in zip(fractions(values), fractions(weight), strict=True))
    return root(Fraction(n, n - 1) * squares / sum(fractions(weight)) ** 2)


def assert_close(got: float, expected: mpmath.mpf, slack: float = 0.0):
    error = abs(mpmath.mpf(got) - expected)
    assert error <= expected * mpmath.mpf(2) ** -52 + mpmath.mpf(slack) + mpmath.mpf(5e-324), (got, expected)


@given(st.lists(sizes, min_size=1, max_size=30))
def test_the_mean_is_exact(values):
    assert moments_of(values).mean() == sum(fractions(values)) / len(values)


@given(st.lists(st.tuples(sizes, weights), min_size=1, max_size=30))
def test_the_weighted_mean_is_exact(rows):
    values, weight = zip(*rows, strict=True)
    state = moments_of(values, weight)
    assert state.mean() == weighted_mean(values, weight)
    assert state.weight() == sum(fractions(weight))


@given(st.lists(sizes, min_size=2, max_size=20))
def test_the_standard_error_is_right_to_the_last_digit(values):
    assert_close(moments_of(values).standard_error(), standard_error(values, [1.0] * len(values)))


@given(st.lists(st.tuples(sizes, weights), min_size=2, max_size=20))
def test_the_weighted_standard_error_is_right(rows):
    values, weight = zip(*rows, strict=True)
    # Each product wx is rounded once, so the error may be the last bit of the largest of them.
    largest = max(w * x for x, w in zip(fractions(values), fractions(weight), strict=True)) / sum(fractions(weight))
    slack = float(largest) * 2.0**-51 * math.sqrt(len(values))
    assert_close(moments_of(values, weight).standard_error(), standard_error(values, weight), slack)


def test_against_statistics():
    values = np.random.default_rng(0).exponential(0.4, 501).tolist()
    state = moments_of(values)
    assert to_float(state.mean()) == statistics.mean(values)
    assert state.standard_error() == pytest.approx(statistics.stdev(values) / math.sqrt(501), rel=1e-14)


def test_weights_of_one_change_nothing():
    values = np.random.default_rng(1).exponential(0.4, 100)
    plain, weighted = moments_of(values), moments_of(values, np.ones(100))
    assert weighted.mean() == plain.mean()
    assert weighted.standard_error() == plain.standard_error()


def test_scaling_the_weights_by_a_power_of_two_changes_nothing():
    generator = np.random.default_rng(2)
    values, weight = generator.exponential(0.4, 100), generator.uniform(0.1, 3, 100)
    states = [moments_of(values, np.ldexp(weight, power)) for power in (0, -900, 900)]
    assert len({(state.mean(), state.standard_error()) for state in states}) == 1


@pytest.mark.parametrize(
    ("values", "mean", "error"),
    [
        ([1e308, 0.0], 5e307, 5e307),
        ([1.5e308, 1.7e308], 1.6e308, 1e307),
        ([1e-200, 3e-200], 2e-200, 1e-200),
        ([5e-324, 1.5e-323], 1e-323, 5e-324),
    ],
)
def test_nothing_overflows_or_underflows(values, mean, error):
    for weight in (None, [1.0, 1.0], [1e300, 1e300], [1e-300, 1e-300]):
        state = moments_of(values, weight)
        assert to_float(state.mean()) == pytest.approx(mean, rel=1e-15, abs=0)
        assert state.standard_error() == pytest.approx(error, rel=1e-14, abs=0)


def test_equal_values_have_no_error():
    assert moments_of([0.1] * 7).standard_error() == 0.0
    assert moments_of([0.1] * 7, [0.3, 0.7, 1e-300, 1e300, 1.1, 5.0, 0.1]).standard_error() < 1e-16


def test_too_few_rows():
    empty = Moments()
    assert empty.mean() is None
    assert empty.standard_error() is None
    one = moments_of([0.25])
    assert one.mean() == Fraction(1, 4)
    assert one.standard_error() is None


def test_without_the_spread_there_is_no_standard_error():
    one, two = Moments(spread=False), Moments(spread=False)
    one.add(np.array([1.0, 1e300, 0.1]), None)
    two.add(np.array([2.0, 5e-324]), None)
    one.merge(two)
    assert one.mean() == sum(fractions([1.0, 1e300, 0.1, 2.0, 5e-324])) / 5
    assert one.standard_error() is None
