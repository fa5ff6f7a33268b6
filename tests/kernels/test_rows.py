"""Sums along the rows of a matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels.rows import FEW_COLUMNS, row_squares, row_sums

KS = [1, 2, 3, 8, 10, FEW_COLUMNS, FEW_COLUMNS + 1, 128, 129, 1000]


def matrix(n, k, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (n, k)) * 10.0 ** np.random.default_rng(seed + 1).integers(
        -9, 9, (n, k)
    )


@pytest.mark.parametrize("k", KS)
def test_they_are_the_sums(k):
    values = np.abs(matrix(50, k))
    for got, terms in ((row_sums(values), values), (row_squares(values), np.square(values))):
        expected = np.array([math.fsum(row) for row in terms.tolist()])
        assert (np.abs(got - expected) <= k * 2.0**-53 * expected).all()


@given(n=st.integers(1, 5), k=st.integers(1, FEW_COLUMNS), seed=st.integers(0, 1000))
def test_few_columns_give_the_same_bits_however_they_lie(n, k, seed):
    values = matrix(n, k, seed)
    tall = np.asfortranarray(np.concatenate([values, values, values]))
    for sums in (row_sums, row_squares):
        expected = sums(values).tobytes()
        assert sums(np.asfortranarray(values)).tobytes() == expected
        assert sums(tall[n : 2 * n]).tobytes() == expected
        assert b"".join(sums(values[row : row + 1]).tobytes() for row in range(n)) == expected


@pytest.mark.parametrize("k", KS)
def test_rows_stand_alone(k):
    values = matrix(20, k)
    for sums in (row_sums, row_squares):
        assert b"".join(sums(values[row : row + 1]).tobytes() for row in range(20)) == sums(values).tobytes()


def test_arguments_are_left_alone():
    values = matrix(4, 3)
    before = values.tobytes()
    row_sums(values)
    row_squares(values)
    assert values.tobytes() == before
