"""Quantiles of the loss from a histogram with logarithmic buckets."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.state.extent import extent_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.arrays import Floats, Ints
    from ce_cli.state.extent import Extent

# A bucket is a float64's exponent and the first 7 bits of its mantissa: 1/128 wide, so its middle is within 0.4 %.
_SHIFT = 52 - 7
_PER_OCTAVE = 1 << 7
_TINY_OCTAVES = 64  # subnormal losses are scaled by 2**64, so that they too have 7 bits
_ZERO = -_TINY_OCTAVES * _PER_OCTAVE  # the bucket of a loss of exactly 0, below all others
_INFINITE = 0x7FF << 7  # the bucket of inf, above all others


class LossHistogram:
    """Counts of losses (>= 0, `inf` included) by bucket; any quantile with a relative error of at most 0.5 %."""

    def __init__(self) -> None:
        self._n = 0
        self._largest = 0.0
        self._lowest = 0
        self._counts: Ints = np.zeros(0, dtype=np.int64)

    def add(self, loss: Floats, extent: Extent | None = None) -> None:
        """Add losses, `(n,) float64`, none of them NaN or negative. extent: bounds of them, where they are known."""
        if len(loss) == 0:
            return
        extent = extent_of(loss) if extent is None else extent
        self._n += len(loss)
        self._largest = max(self._largest, extent.largest)
        lowest, highest = _bucket_of(np.array(extent) + 0.0).tolist()  # 0.0 for -0.0
        bucket = _bucket_of(loss) if lowest < _PER_OCTAVE else _bucket_of_normal(loss)
        bucket -= lowest
        counts = np.zeros(highest - lowest + 1, dtype=np.int64)
        np.add.at(counts, bucket, 1)
        self._add_counts(lowest, counts)

    def merge(self, other: LossHistogram) -> None:
        """Add what another state has seen."""
        self._n += other._n
        self._largest = max(self._largest, other._largest)
        if other._n:
            self._add_counts(other._lowest, other._counts)

    def _add_counts(self, lowest: int, counts: Ints) -> None:
        if len(self._counts) == 0:
            self._lowest = lowest
        low = min(self._lowest, lowest)
        size = max(self._lowest + len(self._counts), lowest + len(counts)) - low
        if size > len(self._counts):
            wider = np.zeros(size, dtype=np.int64)
            wider[self._lowest - low :][: len(self._counts)] = self._counts
            self._lowest, self._counts = low, wider
        self._counts[lowest - low :][: len(counts)] += counts

    def quantile(self, q: float) -> float:
        """Return the loss of the row of rank ⌈q n⌉ within 0.5 %; exact for q = 1. NaN without rows."""
        if self._n == 0:
            return math.nan
        if q >= 1:
            return self._largest
        rank = max(1, math.ceil(q * self._n))
        position = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(_middle(self._lowest + position), self._largest)

    def between(self, edges: Sequence[float]) -> list[int]:
        """Return how many losses lie in [e_k, e_{k+1}) for increasing edges, the last of them infinite, and how many are.

        Each counts where the middle of its bucket lies, so that edges are moved by 0.5 % at most.
        """
        found = [0] * len(edges)
        for at in np.flatnonzero(self._counts).tolist():
            middle = _middle(self._lowest + at)
            found[bisect_right(edges, middle) - 1] += int(self._counts[at])
        return found

    @property
    def n(self) -> int:
        """How many losses there are."""
        return self._n

    def infinite(self) -> int:
        """Return how many losses are infinite."""
        place = _INFINITE - self._lowest
        return int(self._counts[place]) if 0 <= place < len(self._counts) else 0

    def tail(self, rows: int) -> Tail:
        """Return what the `rows` largest losses come to, each taken as the middle of its bucket."""
        return self._without(self._largest_counts(rows))

    def beside(self, part: LossHistogram) -> Tail:
        """Return what a part of these losses comes to."""
        counts = np.zeros_like(self._counts)
        counts[part._lowest - self._lowest :][: len(part._counts)] = part._counts
        return self._without(counts)

    def _without(self, counts: Ints) -> Tail:
        """Return what the losses come to of which each bucket has so many, `(m,) int64`, and what is left of it."""
        there = np.flatnonzero(self._counts)
        middles = _middles(self._lowest + there)
        taken, left = counts[there], (self._counts - counts)[there]
        finite = middles < np.inf
        scale = float(middles[finite].max(initial=0.0)) or 1.0  # so that no sum is beyond the range of float64
        part, others = (_sum(middles / scale, number) for number in (taken, left))
        share = part / (part + others) if 0 < part + others < math.inf else None
        rest = int(left.sum())
        return Tail(int(taken.sum()), share, _sum(middles, left / rest) if rest else None)

    def _largest_counts(self, rows: int) -> Ints:
        """Return how many of the `rows` largest losses each bucket has."""
        above = np.cumsum(self._counts[::-1])[::-1] - self._counts
        counts: Ints = np.clip(rows - above, 0, self._counts)
        return counts


class Tail(NamedTuple):
    """Some of the losses: how many, their share of the sum of all, and the mean of the others.

    share: None where a loss is infinite or all are 0. mean: None where no other is left; nats.
    """

    rows: int
    share: float | None
    mean: float | None


def _bucket_of_normal(loss: Floats) -> Ints:
    bucket: Ints = np.ascontiguousarray(loss).view(np.int64) >> _SHIFT
    return bucket


def _bucket_of(loss: Floats) -> Ints:
    bucket = _bucket_of_normal(loss)
    tiny = bucket < _PER_OCTAVE
    if tiny.any():
        scaled = loss[tiny] * 2.0**_TINY_OCTAVES + 0.0  # 0.0 for -0.0
        moved = (scaled.view(np.int64) >> _SHIFT) - _TINY_OCTAVES * _PER_OCTAVE
        bucket[tiny] = moved
    return bucket


def _sum(values: Floats, times: Floats | Ints) -> float:
    """Return Σ value · times with inf · 0 = 0, rounded once."""
    some = times > 0
    return math.fsum((values[some] * times[some]).tolist())


def _middles(numbers: Ints) -> Floats:
    """Return the middle of each bucket, `(m,) int64` in ascending order to `(m,) float64`."""
    usual = slice(int(np.searchsorted(numbers, _PER_OCTAVE)), int(np.searchsorted(numbers, _INFINITE)))
    middles = np.full(len(numbers), np.inf)
    middles[: usual.start] = [_middle(number) for number in numbers[: usual.start].tolist()]
    middles[usual] = ((numbers[usual] << _SHIFT) + (1 << (_SHIFT - 1))).view(np.float64)
    return middles


def _middle(number: int) -> float:
    if number == _ZERO:
        return 0.0
    tiny = number < _PER_OCTAVE
    bits = np.array((number + _TINY_OCTAVES * _PER_OCTAVE if tiny else number) << _SHIFT, dtype=np.int64)
    low = float(bits.view(np.float64))
    if math.isinf(low):
        return low
    middle = float((bits + (1 << (_SHIFT - 1))).view(np.float64))
    if not tiny:
        return middle
    # In units of the smallest float; a bucket of one such unit is its lower end.
    return math.ldexp(math.floor(math.ldexp(middle, 1074 - _TINY_OCTAVES)), -1074)
