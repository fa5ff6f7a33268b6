from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.histogram import LossHistogram
from tests.state import sizes

WITHIN = Fraction(5, 1000)
LEVELS = (0.001, 0.1, 0.5, 0.9, 0.99, 1.0)

losses = st.one_of(sizes, st.just(math.inf), st.just(1.7976931348623157e308))


def histogram_of(values) -> LossHistogram:
    state = LossHistogram()
    state.add(np.array(values, dtype=np.float64))
    return state


def assert_close(got: float, expected: float):
    if math.isinf(expected) or expected == 0:
        assert got == expected
    else:
        assert math.isfinite(got)
        assert abs(Fraction(got) - Fraction(expected)) <= WITHIN * Fraction(expected)


@given(st.lists(losses, min_size=1, max_size=40))
def test_against_numpy(values):
    state = histogram_of(values)
    for level in LEVELS:
        assert_close(state.quantile(level), float(np.quantile(values, level, method="inverted_cdf")))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 99, 100, 101, 1000, 12_345])
def test_ranks_are_those_of_numpy(n):
    values = 1.02 ** np.arange(n % 4000)
    values = np.random.default_rng(n).permutation(values if len(values) == n else np.resize(values, n))
    state = histogram_of(values)
    for level in LEVELS:
        assert_close(state.quantile(level), float(np.quantile(values, level, method="inverted_cdf")))


def test_every_octave():
    for exponent in range(-1074, 1024):
        for mantissa in (1.0, 1.0039, 1.0079, 1.5, 1.995, 2 - 2.0**-52):
            value = math.ldexp(mantissa, exponent)
            assert_close(histogram_of([value, math.inf]).quantile(0.5), value)


def test_every_small_subnormal():
    for units in range(1, 600):
        value = units * 5e-324
        assert_close(histogram_of([value, 1.0]).quantile(0.5), value)


@pytest.mark.parametrize("value", [8.98e307, 9e307, 1e308, 1.7e308, 1.7976931348623157e308])
@pytest.mark.parametrize("larger", [1.7976931348623157e308, math.inf])
def test_losses_next_to_the_largest_float(value, larger):
    assert_close(histogram_of([value, value, larger]).quantile(0.5), value)


def test_zeros_and_infinities_are_exact():
    state = histogram_of([0.0, 0.0, 0.0, math.inf])
    assert [state.quantile(level) for level in (0.5, 0.75, 0.76, 1.0)] == [0.0, 0.0, math.inf, math.inf]
    assert histogram_of([0.0]).quantile(1.0) == 0.0


def test_zero_and_the_smallest_subnormal_are_told_apart():
    state = histogram_of([0.0, 5e-324])
    assert state.quantile(0.5) == 0.0
    assert state.quantile(1.0) == 5e-324


def test_the_largest_loss_is_exact_and_nothing_is_above_it():
    values = np.random.default_rng(0).exponential(1, 1000)
    state = histogram_of(values)
    assert state.quantile(1.0) == values.max()
    assert state.quantile(0.9999) <= values.max()


def test_without_rows_there_is_no_quantile():
    assert math.isnan(LossHistogram().quantile(0.5))
    assert math.isnan(histogram_of([]).quantile(1.0))


def test_a_strided_block():
    values = np.random.default_rng(1).exponential(1, 200)
    state = LossHistogram()
    state.add(values[::2])
    assert state.quantile(0.5) == histogram_of(values[::2].copy()).quantile(0.5)


def test_losses_between_edges_are_counted() -> None:
    generator = np.random.default_rng(5)
    losses = np.concatenate([generator.exponential(1.0, 5000), [0.0, 0.0, math.inf], generator.exponential(1e-3, 500)])
    state = LossHistogram()
    state.add(losses)
    edges = (0.0, 0.001, 0.01, 0.1, 1.0, 10.0, math.inf)
    counts = state.between(edges)
    exact, _ = np.histogram(losses[losses < math.inf], bins=edges[:-1])
    assert counts[-1] == 1
    assert sum(counts) == len(losses)
    near = [sum(abs(loss / edge - 1) < 0.01 for edge in edges[1:-1]) for loss in losses if 0 < loss < math.inf]
    assert np.abs(np.array(counts[:5]) - exact).sum() <= 2 * sum(near)
    assert LossHistogram().between(edges) == [0] * 7


def test_the_tail_against_numpy():
    generator = np.random.default_rng(2)
    for n in (1, 2, 7, 100, 5000):
        values = generator.exponential(1, n) ** 3
        ordered = np.sort(values)[::-1]
        state = histogram_of(values)
        for rows in {1, math.ceil(n / 100), n // 2, n}:
            tail = state.tail(rows)
            assert tail.rows == rows
            assert tail.share == pytest.approx(ordered[:rows].sum() / ordered.sum(), rel=0.01)
            if rows < n:
                assert tail.mean == pytest.approx(ordered[rows:].mean(), rel=0.005)
            else:
                assert (tail.share, tail.mean) == (1.0, None)


def test_a_part_against_numpy():
    generator = np.random.default_rng(3)
    values = generator.exponential(1, 1000)
    chosen = generator.random(1000) < 0.1
    part = histogram_of(values).beside(histogram_of(values[chosen]))
    assert part.rows == chosen.sum()
    assert part.share == pytest.approx(values[chosen].sum() / values.sum(), rel=0.01)
    assert part.mean == pytest.approx(values[~chosen].mean(), rel=0.005)


def test_tails_of_infinite_zero_and_huge_losses():
    state = histogram_of([math.inf, 1.0, 3.0])
    assert state.infinite() == 1
    assert state.tail(1).share is None
    assert state.tail(1).mean == pytest.approx(2.0, rel=0.005)
    assert state.tail(0).mean == math.inf
    assert histogram_of([math.inf]).tail(1) == (1, None, None)
    zeros = histogram_of([0.0, 0.0])
    assert (zeros.tail(1).share, zeros.tail(1).mean, zeros.infinite()) == (None, 0.0, 0)
    huge = histogram_of([1.7e308] * 10)
    assert huge.tail(1).share == pytest.approx(0.1, rel=1e-12)
    assert huge.tail(1).mean == pytest.approx(1.7e308, rel=0.005)
    tiny = histogram_of([5e-324] * 4)
    assert tiny.tail(1).share == pytest.approx(0.25)


@given(st.lists(losses, min_size=1, max_size=60))
def test_the_mean_beside_any_tail(values):
    state = histogram_of(values)
    for rows in range(len(values)):
        rest = sorted(values)[: len(values) - rows]
        mean = math.inf if math.inf in rest else float(sum(map(Fraction, rest)) / len(rest))
        assert state.tail(rows).mean == pytest.approx(mean, rel=0.006, abs=1e-321)
