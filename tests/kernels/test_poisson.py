"""Poisson counts against the law itself, and against each other where they must be independent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ce_cli.kernels import poisson
from ce_cli.kernels.hashing import mixed

WORD = (1 << 64) - 1
# Of the first three rows, in eight replicates, with a seed of 1: a report must be the same in years to come.
KNOWN = [[1, 1, 1, 0, 1, 0, 0, 0], [1, 0, 1, 2, 2, 0, 2, 0], [2, 1, 2, 1, 0, 0, 1, 1]]


def splitmix(value):
    """Return the finalizer of SplitMix64 in plain integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)


def counts_of(rows=2000, replicates=200, seed=0, first=0):
    units = poisson.unit_words(np.arange(first, first + rows))
    return poisson.poisson_counts(units, poisson.replicate_words(seed, replicates)).astype(np.int64)


def test_table_has_the_moments_of_the_law():
    k = np.arange(len(poisson.FREQUENCIES))
    frequencies = np.array(poisson.FREQUENCIES)
    assert frequencies.sum() == 1 << 16
    assert (k * frequencies).sum() == 1 << 16
    assert ((k - 1) ** 2 * frequencies).sum() == 1 << 16
    assert ((k - 1) ** 3 * frequencies).sum() / (1 << 16) == pytest.approx(1, rel=2e-3)
    assert np.abs(frequencies / (1 << 16) - stats.poisson(1).pmf(k)).max() < 6e-5


def test_counts_are_those_of_the_words_one_by_one():
    seed, rows, replicates = 12345678901234567890, [0, 1, 7, 2**40], 10
    step = 0x9E3779B97F4A7C15
    start = splitmix(seed ^ 0x94D049BB133111EB)
    expected = []
    for row in rows:
        unit = splitmix((row * step) & WORD)
        counts = []
        for group in range(1, -(-replicates // 4) + 1):
            word = splitmix(unit ^ splitmix((start + group * step) & WORD))
            for part in range(4):
                draw = word >> (16 * part) & 0xFFFF
                counts.append(sum(draw >= edge for edge in np.cumsum(poisson.FREQUENCIES)[:-1].tolist()))
        expected.append(counts)
    found = poisson.poisson_counts(poisson.unit_words(np.array(rows)), poisson.replicate_words(seed, replicates))
    assert found.tolist() == expected


def test_known_counts_never_change():
    assert counts_of(3, 8, 1).tolist() == KNOWN


@pytest.mark.parametrize("seed", [0, 1, 2**63 + 5])
def test_counts_follow_the_poisson_law(seed):
    counts = counts_of(5000, 400, seed)
    observed = np.bincount(counts.ravel(), minlength=8)
    observed = [*observed[:7], observed[7:].sum()]
    law = stats.poisson(1)
    expected = counts.size * np.array([*law.pmf(np.arange(7)), law.sf(6)])
    assert stats.chisquare(observed, expected).pvalue > 1e-4


@pytest.mark.parametrize("axis", ["units", "replicates"])
def test_every_unit_and_replicate_follows_the_law(axis):
    counts = counts_of(2000, 2000, 3)
    sums = counts.sum(axis=1 if axis == "units" else 0)
    # A sum of 2,000 counts is Poisson(2000); 2,000 such sums.
    assert stats.kstest(stats.poisson(2000).cdf(sums), "uniform").pvalue > 1e-3
    dispersion = ((sums - 2000) ** 2).sum() / 2000
    assert stats.chi2(2000).sf(dispersion) > 1e-4
    assert stats.chi2(2000).cdf(dispersion) > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 64])
def test_neighbours_are_independent(lag):
    counts = counts_of(3000, 512, 9) - 1
    limit = 4.5 / math.sqrt(counts.size)
    assert abs((counts[lag:] * counts[:-lag]).mean()) < limit
    assert abs((counts[:, lag:] * counts[:, :-lag]).mean()) < limit
    square = counts**2 - 1
    assert abs((square[lag:] * square[:-lag]).mean()) / square.var() < limit
    assert abs((square[:, lag:] * square[:, :-lag]).mean()) / square.var() < limit
    # The product over a rectangle of two units and two replicates: pairwise independent counts may still fail here.
    rectangle = counts[lag:, lag:] * counts[:-lag, lag:] * counts[lag:, :-lag] * counts[:-lag, :-lag]
    assert abs(rectangle.mean()) < limit


@pytest.mark.parametrize("other", [1, 2, 3, 2**32, 2**63])
def test_seeds_are_independent(other):
    one, two = counts_of(3000, 400, 0) - 1, counts_of(3000, 400, other) - 1
    limit = 4.5 / math.sqrt(one.size)
    assert abs((one * two).mean()) < limit
    assert abs((one[:, 4:] * two[:, :-4]).mean()) < limit
    assert abs((one[1:] * two[:-1]).mean()) < limit


def test_rank_one_units_and_replicates_leave_no_trace_in_the_spectrum():
    counts = counts_of(1000, 1000, 5) - 1.0
    largest = np.linalg.norm(counts, 2) / math.sqrt(1000)
    assert largest == pytest.approx(2.0, abs=0.1)  # Marchenko and Pastur: √n (1 + 1) for a square matrix


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, WORD))
def test_counts_do_not_depend_on_what_is_asked_together(cut, replicates, seed):
    whole = counts_of(300, 160, seed)
    assert (counts_of(cut, 160, seed) == whole[:cut]).all()
    assert (counts_of(300 - cut, 160, seed, first=cut) == whole[cut:]).all()
    few = counts_of(300, replicates, seed)
    assert (few == whole[:, : few.shape[1]]).all()


def test_equal_words_are_one_unit():
    units = mixed(np.array([5, 6, 5], dtype=np.uint64))
    counts = poisson.poisson_counts(units, poisson.replicate_words(0, 100))
    assert (counts[0] == counts[2]).all()
    assert (counts[0] != counts[1]).any()


@given(st.integers(0, 400), st.sampled_from([4, 7, 1000, 3000]))
def test_sums_are_those_of_whole_numbers(rows, replicates):
    rng = np.random.default_rng(rows)
    columns = rng.integers(-(2**40), 2**40, (3, rows))
    units, words = poisson.unit_words(np.arange(rows)), poisson.replicate_words(4, replicates)
    sums = poisson.resampled_sums(units, words, columns.astype(np.float64))
    assert (sums == columns @ poisson.poisson_counts(units, words).astype(np.int64)).all()
