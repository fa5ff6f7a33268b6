"""Losses of rows that have several cells."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels.cells import row_losses

INF = math.inf


@pytest.mark.parametrize("k", [1, 2, 7, 200])
@pytest.mark.parametrize("weighed", [False, True])
def test_against_mpmath(k, weighed):
    generator = np.random.default_rng(k)
    losses = generator.exponential(1, (50, k)) * 10.0 ** generator.integers(-12, 12, (50, k))
    amount = generator.choice([0.0, 0.25, 1.0, 3.0], (50, k)) if weighed else None
    found = row_losses(losses, amount)
    for row in range(50):
        amounts = [mpmath.mpf(1)] * k if amount is None else list(map(mpmath.mpf, amount[row].tolist()))
        total = mpmath.fsum(a * mpmath.mpf(loss) for a, loss in zip(amounts, losses[row].tolist(), strict=True))
        weight = mpmath.fsum(amounts)
        assert found.weight[row] == float(weight)
        assert found.total[row] == pytest.approx(float(total), rel=1e-14, abs=0)
        assert found.mean[row] == pytest.approx(float(total / weight) if weight else 0.0, rel=1e-14, abs=0)
    assert not found.infinite.any()
    assert np.array_equal(found.mean, found.finite_mean)
    assert np.array_equal(found.weight, found.finite_weight)


def test_infinite_cells_are_counted_and_left_out_of_the_finite_mean():
    losses = np.array([[1.0, INF, 3.0], [INF, INF, INF], [1.0, 2.0, 3.0], [INF, 4.0, 0.0]])
    amount = np.array([[1.0, 2.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    found = row_losses(losses, amount)
    assert found.mean.tolist() == [INF, INF, 2.5, 2.0]
    assert found.total.tolist() == [INF, INF, 5.0, 4.0]
    assert found.weight.tolist() == [4.0, 2.0, 2.0, 2.0]
    assert found.infinite.tolist() == [1, 2, 0, 0]
    assert found.finite_mean.tolist() == [2.0, 0.0, 2.5, 2.0]
    assert found.finite_weight.tolist() == [2.0, 0.0, 2.0, 2.0]


def test_a_row_without_a_cell_that_weighs_anything():
    found = row_losses(np.array([[INF, 1.0]]), np.zeros((1, 2)))
    assert [float(values[0]) for values in found] == [0.0] * 6


def test_a_mean_does_not_overflow_with_its_sum():
    found = row_losses(np.array([[1e308, 1.5e308], [INF, 1.0]]), None)
    assert found.mean.tolist() == [1.25e308, INF]
    assert found.infinite.tolist() == [0, 1]
    assert found.finite_mean.tolist() == [1.25e308, 1.0]


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32), st.booleans())
def test_a_row_does_not_depend_on_its_neighbours(n, k, seed, weighed):
    generator = np.random.default_rng(seed)
    losses = np.where(generator.random((n, k)) < 0.1, INF, generator.exponential(1, (n, k)))
    amount = generator.choice([0.0, 1.0], (n, k)) if weighed else None
    whole = row_losses(losses, amount)
    for row in range(n):
        one = row_losses(losses[[row]], None if amount is None else amount[[row]])
        assert [values[0] for values in one] == [values[row] for values in whole]
    ones = row_losses(losses, np.ones((n, k)))
    assert all(np.array_equal(a, b) for a, b in zip(ones, row_losses(losses, None), strict=True))
