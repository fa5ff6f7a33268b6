"""Ratios of sums against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.groups import Groups
from ce_cli.state.paired_totals import PairedTotals
from ce_cli.state.ratios import ratio_of, ratio_variance, total_of

VALUES = st.lists(st.tuples(st.floats(-1e200, 1e200), st.floats(1e-200, 1e200)), min_size=1, max_size=20)


@given(VALUES)
def test_a_ratio_and_its_error_are_exact_until_they_are_rounded(pairs: list[tuple[float, float]]) -> None:
    upper, lower = (np.array(values) for values in zip(*pairs, strict=True))
    exact = [(Fraction(a), Fraction(b)) for a, b in pairs]
    whole = sum(b for _, b in exact)
    ratio = sum(a for a, _ in exact) / whole
    found = ratio_of(upper, lower)
    assert found.value == ratio
    assert total_of(lower) == whole
    if len(pairs) == 1:
        assert found.error is None
        return
    n = len(pairs)
    variance = Fraction(n, n - 1) * sum((a - ratio * b) ** 2 for a, b in exact) / whole**2
    assert ratio_variance(upper, lower, ratio, whole) == variance


def test_totals_of_units_and_of_their_clusters() -> None:
    rng = np.random.default_rng(0)
    losses, size = rng.exponential(size=(2, 50)), rng.integers(1, 9, 50).astype(float)
    codes = np.arange(50) // 5
    alone = PairedTotals([50, 51], losses, size, per="token")
    grouped = PairedTotals([50, 51], losses, size, per="token", clusters=Groups(codes, list(range(10))))
    difference = losses[1] - losses[0]
    mean = difference.sum() / size.sum()
    error = math.sqrt(50 / 49 * ((difference - mean * size) ** 2).sum()) / size.sum()
    clustered = np.bincount(codes, difference - mean * size)
    by_cluster = math.sqrt(10 / 9 * (clustered**2).sum()) / size.sum()
    for found, expected, units in ((alone, error, 50), (grouped, by_cluster, 10)):
        one = found.difference(1)
        assert (one.mean, one.stderr) == (pytest.approx(mean, rel=1e-13), pytest.approx(expected, rel=1e-12))
        assert (one.n, one.units, found.scored) == (50, units, [50, 51])
    assert alone.mean(1) == total_of(losses[1]) / total_of(size)


def test_nothing_to_divide_by_has_no_mean() -> None:
    losses = np.array([[np.inf, 1.0], [np.inf, 2.0]])
    found = PairedTotals([2, 2], losses, np.array([1.0, 0.0]), per="byte").difference(1)
    assert (found.mean, found.stderr, found.losses, found.ties, found.infinite) == (None, None, 1, 1, 1)
