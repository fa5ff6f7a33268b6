from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state import exact, limbs
from ce_cli.state.exact import ExactSums
from ce_cli.state.extent import Extent, extent_of
from ce_cli.state.fractions import square_root, to_float
from ce_cli.state.products import add_products, factor
from tests.state import finite, fractions, mixed, weights


def total_of(values, **kwargs) -> Fraction:
    sums = ExactSums()
    sums.add(np.array(values, dtype=np.float64), **kwargs)
    return sums.total()


@given(st.lists(finite, max_size=40))
def test_a_sum_is_exact(values):
    assert total_of(values) == sum(fractions(values), Fraction(0))


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.0, -0.0],
        [5e-324],
        [5e-324] * 3 + [1e308] * 5,
        [1e308, 5e-324, -1e308],
        [1.7976931348623157e308] * 64,
        [2.0**970, 2.0**-1074, -(2.0**970), 2.0**36, 2.0**35, 2.0**-36],
        [2.0**608, -(2.0**609), 2.0**607, 2.0**-608, 2.0**-609],
        [1e16, 1.0, -1e16],
        [0.1] * 10,
        [2.0**35 - 2.0**-18] * 100,
    ],
)
def test_sums_at_the_ends_of_float64(values):
    assert total_of(values) == sum(fractions(values), Fraction(0))


@pytest.mark.parametrize("seed", [4])
def test_a_long_sum_over_several_slices_is_exact(seed):
    values = mixed(exact.SLICE_ROWS + 5000, seed)
    values[5000:] = np.random.default_rng(seed).uniform(2.0**35, 2.0**36, exact.SLICE_ROWS)
    cell = np.random.default_rng(seed).integers(0, 3, len(values))
    sums = ExactSums(3)
    sums.add(values, cell)
    for number, total in enumerate(sums.totals()):
        assert total == sum(fractions(values[cell == number]), Fraction(0))


def test_carrying_often_changes_nothing(monkeypatch):
    monkeypatch.setattr(limbs, "_CARRY_EVERY", 3)
    sums, expected = ExactSums(2), [Fraction(0), Fraction(0)]
    for seed in range(20):
        values, cell = mixed(50, seed), np.arange(50) % 2
        sums.add(values, cell)
        for number in (0, 1):
            expected[number] += sum(fractions(values[cell == number]))
    assert sums.totals() == expected


@pytest.mark.parametrize("top", [-1000, -600, -37, 0, 36, 37, 600, 1000])
@pytest.mark.parametrize("cells", [1, 2])
def test_a_full_slice_of_the_largest_mantissas(top, cells):
    value = math.ldexp(1 - 2.0**-53, top)
    values = np.full(exact.SLICE_ROWS, -value)
    sums = ExactSums(cells)
    sums.add(values, None if cells == 1 else np.full(len(values), 1))
    assert sums.total() == -len(values) * Fraction(value)


@given(st.lists(finite, max_size=10), st.sampled_from([-2048, -256, -32, 0, 32, 512, 1024]))
def test_an_exponent_scales(values, exponent):
    assert total_of(values, exponent=exponent) == sum(fractions(values), Fraction(0)) * Fraction(2) ** exponent


@given(st.lists(st.tuples(finite, st.integers(0, 4)), max_size=30))
def test_cells_are_kept_apart(rows):
    sums = ExactSums(5)
    sums.add(np.array([value for value, _ in rows]), np.array([cell for _, cell in rows], dtype=np.int64))
    expected = [sum((Fraction(value) for value, at in rows if at == cell), Fraction(0)) for cell in range(5)]
    assert sums.totals() == expected
    assert sums.total() == sum(expected)


def test_cells_must_agree():
    with pytest.raises(ValueError, match="expected 2 cells, but got 3"):
        ExactSums(2).merge(ExactSums(3))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_only_finite_values_are_taken(value):
    with pytest.raises(ValueError, match="finite"):
        total_of([1.0, value])


def test_merging_leaves_the_other_alone():
    one, other = ExactSums(), ExactSums()
    one.add(np.array([1.5]))
    other.add(mixed(100))
    before = other.total()
    for _ in range(100):
        one.merge(other)
    assert other.total() == before
    assert one.total() == Fraction(3, 2) + 100 * before


@given(st.lists(st.tuples(finite, finite), max_size=20))
def test_products_are_exact(rows):
    sums = ExactSums()
    a, b = (np.array([row[side] for row in rows], dtype=np.float64) for side in (0, 1))
    add_products(sums, factor(a), factor(b))
    assert sums.total() == sum((Fraction(x) * Fraction(y) for x, y in rows), Fraction(0))


@given(st.lists(st.tuples(finite, weights), min_size=1, max_size=20))
def test_squares_of_rounded_products_are_exact(rows):
    sums = ExactSums()
    values, by = (np.array([row[side] for row in rows]) for side in (0, 1))
    product = factor(values).times(factor(by))
    add_products(sums, product, product)
    exponents = [0] * len(rows) if product.exponent is None else product.exponent.tolist()
    rounded = [Fraction(m) * Fraction(2) ** e for m, e in zip(product.mantissa.tolist(), exponents, strict=True)]
    assert sums.total() == sum((value**2 for value in rounded), Fraction(0))
    for value, (x, w) in zip(rounded, rows, strict=True):
        wanted = Fraction(x) * Fraction(w)
        assert abs(value - wanted) <= abs(wanted) / 2**53


@given(st.lists(st.tuples(finite, weights, st.integers(0, 2)), max_size=20))
def test_products_go_to_their_cells(rows):
    sums = ExactSums(3)
    a, b = (np.array([row[side] for row in rows], dtype=np.float64) for side in (0, 1))
    add_products(sums, factor(a), factor(b), np.array([row[2] for row in rows], dtype=np.int64))
    for cell, total in enumerate(sums.totals()):
        assert total == sum((Fraction(x) * Fraction(w) for x, w, at in rows if at == cell), Fraction(0))


@given(st.fractions(min_value=0))
def test_a_square_root_is_the_nearest_float(value):
    got = Fraction(square_root(value))
    if value == 0:
        assert got == 0
        return
    step = Fraction(math.ulp(float(got)))
    assert (got - step * Fraction(501, 1000)) ** 2 <= value <= (got + step * Fraction(501, 1000)) ** 2


@pytest.mark.parametrize("exponent", [-2148, -2000, -1074, -600, 0, 600, 2046])
def test_a_square_root_of_an_extreme_size(exponent):
    root = math.ldexp(1.0, exponent // 2)
    assert square_root(Fraction(2) ** (exponent // 2 * 2)) == root
    assert square_root(9 * Fraction(2) ** (exponent // 2 * 2)) == 3 * root


def test_the_root_of_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="at least 0"):
        square_root(Fraction(-1, 10**30))


@given(st.fractions())
def test_to_float_is_the_nearest(value):
    assert to_float(value) == value.numerator / value.denominator


def test_to_float_beyond_its_range():
    assert to_float(Fraction(10) ** 400) == math.inf
    assert to_float(-(Fraction(10) ** 400)) == -math.inf
    assert to_float(Fraction(1, 10**400)) == 0.0


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20),
    st.integers(1, 3),
    st.floats(0, 1e308),
    st.floats(0, 1e308),
)
def test_bounds_that_are_not_reached(values, cells, below, above):
    array = np.array(values, dtype=np.float64)
    least, largest = min(values, default=0.0), max(values, default=0.0)
    loose = Extent(max(least - below, -1e308), min(largest + above, 1e308))
    if not (loose.least <= least and largest <= loose.largest):
        return
    cell = np.arange(len(values)) % cells
    sums = ExactSums(cells)
    sums.add(array, cell, extent=loose)
    assert sums.totals() == [sum(map(Fraction, values[at::cells]), Fraction(0)) for at in range(cells)]


@pytest.mark.parametrize("value", [1e-300, 5e-324, 1.5, 1e300, -2.5e-310])
def test_slices_that_do_not_reach_the_bounds_of_all(value):
    for values in (np.r_[np.zeros(exact.SLICE_ROWS), [value] * 5], np.r_[[value] * 5, np.zeros(exact.SLICE_ROWS)]):
        sums = ExactSums()
        sums.add(values, extent=extent_of(values))
        assert sums.total() == 5 * Fraction(value)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_what_was_told_does_not_change(cells):
    sums = ExactSums(cells)
    sums.add(np.ones(cells), np.arange(cells))
    told = sums.by_cell()
    sums.add(np.ones(cells), np.arange(cells))
    sums.add_one(1.0)
    assert told.fractions() == [1] * cells
