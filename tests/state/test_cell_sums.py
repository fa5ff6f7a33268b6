from __future__ import annotations

import math
import sys
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ce_cli.state.cell_sums import CellSums
from ce_cli.state.fractions import to_float

MIDDLE = (1 << 53) + 3  # of two float64, of which the larger one is even

exponents = st.integers(-1200, 1200)
wholes = st.one_of(st.integers(-9, 9), st.integers(-(1 << 80), 1 << 80), st.integers(-(1 << 2200), 1 << 2200))
positive = st.one_of(st.integers(0, 3), st.integers(0, 1 << 80), st.integers(1 << 2100, 1 << 2200))
near = st.sampled_from([1, 2, 3, 5, 1 << 53, (1 << 53) + 1, (1 << 54) - 1, 10**20])
pairs = st.lists(st.tuples(wholes, positive), min_size=1, max_size=12)


def nearest(value: Fraction | None) -> float | None:
    return None if value is None else to_float(value)


def exact(units, exponent):
    return [Fraction(unit) * Fraction(2) ** exponent for unit in units]


def quotients(ones, others):
    return [one / other if other else None for one, other in zip(ones, others, strict=True)]


@given(st.lists(wholes, max_size=12), exponents)
def test_one_unit_for_all_cells(units, exponent):
    sums, expected = CellSums(units, exponent), exact(units, exponent)
    assert sums.fractions() == expected
    assert sums.total() == sums.weighted(None) == sum(expected)
    assert sums.floats() == list(map(to_float, expected))
    assert sums.some(slice(1, None, 2)).fractions() == expected[1::2]


@given(st.lists(st.one_of(positive, near), min_size=1, max_size=12).filter(any))
def test_shares_of_the_whole(units):
    assert CellSums(units, -7).shares() == [to_float(Fraction(unit, sum(units))) for unit in units]


@given(pairs, exponents, st.one_of(exponents, st.sampled_from(["-1", "0", "+1"])))
def test_of_other_units(cells, exponent, other):
    other = exponent + int(other) if isinstance(other, str) else other
    units, divisors = zip(*cells, strict=True)
    sums, others = CellSums(list(units), exponent), CellSums(list(divisors), other)
    mine, theirs = exact(units, exponent), exact(divisors, other)
    assert (sums + others).fractions() == [one + two for one, two in zip(mine, theirs, strict=True)]
    assert sums.over(others) == list(map(nearest, quotients(mine, theirs)))


@given(st.lists(st.tuples(wholes, st.floats(allow_nan=False, allow_infinity=False)), max_size=12), exponents)
def test_factors_of_cells(cells, exponent):
    units, factors = zip(*cells, strict=True) if cells else ((), ())
    expected = sum((one * Fraction(by) for one, by in zip(exact(units, exponent), factors, strict=True)), Fraction(0))
    assert CellSums(list(units), exponent).weighted(factors) == expected


@given(
    st.lists(st.tuples(st.one_of(positive, near), st.one_of(positive, near)), max_size=12),
    exponents,
    st.one_of(st.integers(-3, 3), exponents),
)
@example([(1, 1), (0, 1 << 2100)], 0, 0)
@example([((1 << 53) + 1, 1), (1, 1 << 200)], 0, 0)  # just above the middle of two floats, by less than what is cut
@example([(3 * MIDDLE + 1, 3), (3 * MIDDLE + 1, 3), (3 * MIDDLE - 2, 3)], 0, 0)
@example([], 0, 0)
def test_mean_of_quotients(cells, exponent, apart):
    units, divisors = zip(*cells, strict=True) if cells else ((), ())
    other = exponent + apart
    there = [one for one in quotients(exact(units, exponent), exact(divisors, other)) if one is not None]
    found = CellSums(list(units), exponent).mean_over(CellSums(list(divisors), other))
    assert found == to_float(sum(there, Fraction(0)) / max(len(there), 1))


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_float64(sign):
    huge = CellSums([sign * 3, 0], 1023)
    assert huge.floats() == [sign * math.inf, 0.0]
    assert CellSums([sign], 2000).over(CellSums([1], -2000)) == [sign * math.inf]
    assert CellSums([sign], -2000).over(CellSums([1], 2000)) == [0.0]
    assert CellSums([sign * (2**53 - 1)], 971).floats() == [sign * sys.float_info.max]
