"""Poisson(1) counts that depend on a seed, a replicate and a unit alone: what a streaming bootstrap resamples with.

The Poisson bootstrap draws for every unit and replicate how often the unit is in it, independently, instead of drawing n of n
units (Hanley & MacGibbon, "Creating non-parametric bootstrap samples using Poisson frequencies", 2006; Chamandy et al.,
"Estimating uncertainty for massive data streams", 2012). The draws here are a function of a counter, not of a stream, so that
no order of the units, no split of them and no version of NumPy can change one.

A 64-bit word per unit and four replicates is the finalizer of SplitMix64 over two words that are hashes themselves: one of
the unit, one of the seed and the four replicates. Each 16 bits of it are one draw from the table below. That is the
resolution: probabilities are multiples of 2**-16, each within 6e-5 of the Poisson law. The table has the law's mean and
variance, both exactly 1, and its third central moment to 0.1 %; no count is above 8, which the law exceeds once in 900,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ce_cli.kernels.hashing import Words, mixed

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints

Counts = npt.NDArray[np.uint8]

PER_WORD = 4  # draws of 16 bits
# How many of 2**16 words give 0, 1, …, 8. Of all tables with the mean and the variance of the law it is the nearest (χ²).
FREQUENCIES = (24107, 24113, 12055, 4017, 1004, 201, 33, 5, 1)

_THRESHOLDS = tuple(np.cumsum(FREQUENCIES)[:-1].astype(np.uint16))
_STEP = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio, by which SplitMix64 counts
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_TILE = 1 << 17  # counts at a time, so that what is made of them stays in the cache


def unit_words(rows: Ints) -> Words:
    """Return what stands for rows that are resampled one by one, by their numbers, `(n,) int64` from 0 on."""
    return mixed(rows.astype(np.uint64) * _STEP)


def replicate_words(seed: int, replicates: int) -> Words:
    """Return what stands for each four replicates, `(⌈replicates / 4⌉,) uint64`; more replicates leave the first as they are.

    seed: from 0 to 2**64 - 1.
    """
    start = mixed(np.array([seed], dtype=np.uint64) ^ _SECOND)
    groups = np.arange(1, -(-replicates // PER_WORD) + 1, dtype=np.uint64)
    return mixed(start + groups * _STEP)


def poisson_counts(units: Words, replicates: Words) -> Counts:
    """Return how often each unit is in each replicate, `(n, 4g) uint8`.

    units: `(n,) uint64`, hashes of the units (`unit_words`, or a hash of a cluster's name): equal words are one unit.
    replicates: `(g,) uint64`, from `replicate_words`.
    """
    words = units[:, np.newaxis] ^ replicates[np.newaxis, :]
    _mix(words)
    # Little-endian everywhere: which 16 bits are whose replicate must not depend on the machine.
    draws = words.astype("<u8", copy=False).view("<u2")
    counts: Counts = np.greater_equal(draws, _THRESHOLDS[0]).view(np.uint8)
    more = np.empty(draws.shape, dtype=np.bool_)
    for threshold in _THRESHOLDS[1:]:
        np.greater_equal(draws, threshold, out=more)
        np.add(counts, more.view(np.uint8), out=counts)
    return counts


def resampled_sums(units: Words, replicates: Words, columns: Floats) -> Floats:
    """Return the sums of every column over every replicate, `(p, 4g) float64`: Σ_i count[i, r] columns[p, i].

    units and replicates: as for `poisson_counts`. columns: `(p, n) float64`. The sums are exact, in whatever order they are
    added, where the columns are whole multiples of a power of two and 8 Σ_i abs(columns[p, i]) is at most 2**53 of them.
    """
    sums = np.zeros((len(columns), PER_WORD * len(replicates)))
    rows = max(1, _TILE // sums.shape[1])
    counts = np.empty((rows, sums.shape[1]))
    for start in range(0, len(units), rows):
        part = units[start : start + rows]
        weights = counts[: len(part)]
        weights[...] = poisson_counts(part, replicates)
        for total, column in zip(
            sums, columns, strict=True
        ):  # faster than one product of matrices, with so few columns
            total += column[start : start + rows] @ weights
    return sums


def _mix(words: Words) -> None:
    """Put `hashing.mixed` of 64-bit values in their place."""
    shifted = words >> np.uint64(30)
    words ^= shifted
    words *= _FIRST
    np.right_shift(words, np.uint64(27), out=shifted)
    words ^= shifted
    words *= _SECOND
    np.right_shift(words, np.uint64(31), out=shifted)
    words ^= shifted
