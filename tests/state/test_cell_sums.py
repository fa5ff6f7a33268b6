from __future__ import annotations

import math
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.cell_sums import CellSums
from ce_cli.state.fractions import to_float

exponents = st.integers(-1200, 1200)
wholes = st.one_of(st.integers(-9, 9), st.integers(-(1 << 80), 1 << 80), st.integers(-(1 << 2200), 1 << 2200))
positive = st.one_of(st.integers(0, 3), st.integers(0, 1 << 80), st.integers(1 << 2100, 1 << 2200))
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
    assert len(sums) == len(units)
    assert sums.fractions() == expected
    assert sums.total() == sums.weighted(None) == sum(expected)
    assert sums.floats() == list(map(to_float, expected))
    assert sums.some(slice(1, None, 2)).fractions() == expected[1::2]
    if sum(expected):
        assert sums.shares() == [to_float(value / sum(expected)) for value in expected]


@given(pairs, exponents, exponents)
def test_of_other_units(cells, exponent, other):
    units, divisors = zip(*cells, strict=True)
    sums, others = CellSums(list(units), exponent), CellSums(list(divisors), other)
    mine, theirs = exact(units, exponent), exact(divisors, other)
    assert (sums + others).fractions() == [one + two for one, two in zip(mine, theirs, strict=True)]
    assert sums.over(others) == list(map(nearest, quotients(mine, theirs)))
    assert sums == CellSums([unit << 3 for unit in units], exponent - 3)
    assert sums != CellSums([*units[:-1], units[-1] + 1], exponent)


@given(st.lists(st.tuples(wholes, st.floats(allow_nan=False, allow_infinity=False)), max_size=12), exponents)
def test_factors_of_cells(cells, exponent):
    units, factors = zip(*cells, strict=True) if cells else ((), ())
    expected = sum((one * Fraction(by) for one, by in zip(exact(units, exponent), factors, strict=True)), Fraction(0))
    assert CellSums(list(units), exponent).weighted(factors) == expected


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=12), exponents, exponents)
def test_mean_of_quotients_has_more_bits_than_a_float(cells, exponent, other):
    units, divisors = zip(*cells, strict=True)
    there = [one for one in quotients(exact(units, exponent), exact(divisors, other)) if one is not None]
    found = CellSums(list(units), exponent).mean_over(CellSums(list(divisors), other))
    expected = sum(there, Fraction(0)) / max(len(there), 1)
    assert abs(found - expected) <= expected / (1 << 120)
    if all(divisor.bit_count() < 2 for divisor in divisors) and max(units) < 1 << 60:
        assert found == expected  # nothing is cut of what is short


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_float64(sign):
    huge = CellSums([sign * 3, 0], 1023)
    assert huge.floats() == [sign * math.inf, 0.0]
    assert CellSums([sign], 2000).over(CellSums([1], -2000)) == [sign * math.inf]
    assert CellSums([sign], -2000).over(CellSums([1], 2000)) == [0.0]
    assert CellSums([sign * (2**53 - 1)], 971).floats() == [sign * sys.float_info.max]
