"""Sums over the replicates of a Poisson bootstrap, one pass over the data and exact.

Each replicate has every unit (a row, or all rows of a cluster) as often as `kernels.poisson` draws. Values are cut into parts
that are whole multiples of a power of two, so small that a dot product of counts and parts is exact in float64 whatever its
order; what comes out goes into `ExactSums`. So the sums, too, are the same for any order, split and number of threads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.poisson import replicate_words, resampled_sums
from ce_cli.state.exact import ExactSums
from ce_cli.state.extent import extent_of, top_exponent
from ce_cli.state.products import in_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from ce_cli.arrays import Floats
    from ce_cli.kernels.hashing import Words
    from ce_cli.state.products import Factor

_MANTISSA_BITS = 53
_SLICE = 1 << 14  # rows
_PART_BITS = 36  # counts of up to 2**3 of 2**14 rows of up to 2**36: 2**53, up to which float64 has every whole number
_FEW = 8  # a part that fewer than one row in so many needs is summed for those alone


class _Part(NamedTuple):
    """Values of a column, whole multiples of 2**exponent: `values` has the multiples, `(n,) float64`."""

    column: int
    values: Floats
    exponent: int


class ReplicateSums:
    """Σ count·value of some columns in every replicate.

    seed: from 0 to 2**64 - 1. A unit's counts depend on the seed, the replicate and the unit alone, so that states of the
    same seed describe the same replicates: differences between them are paired.
    """

    def __init__(self, seed: int, replicates: int, columns: int) -> None:
        self._replicates = replicates
        self._words = replicate_words(seed, replicates)
        self._sums = [ExactSums(replicates) for _ in range(columns)]
        self._units: tuple[int, int] | None = None  # the smallest and the largest

    @property
    def several(self) -> bool:
        """Whether there are at least two units: one alone is all that any replicate can have, and has no spread."""
        return self._units is not None and self._units[0] < self._units[1]

    def add(self, units: Words, columns: Sequence[Factor | None], *, repeated: bool = False) -> None:
        """Add rows.

        units: `(n,) uint64`, a hash of the unit of each (`kernels.poisson.unit_words`, or one of the cluster's name).
        columns: finite values, `(n,)` each, or None for 1 each. repeated: whether several rows may be of one unit.
        """
        if len(units):
            self._extend((int(units.min()), int(units.max())))
        for start in range(0, len(units), _SLICE):
            rows = slice(start, start + _SLICE)
            self._add_slice(units[rows], [None if one is None else one.at(rows) for one in columns], repeated=repeated)

    def merge(self, other: ReplicateSums) -> None:
        """Add what another state of the same seed has seen."""
        if not np.array_equal(other._words, self._words):
            raise ValueError("these sums belong to different replicates")
        if other._units is not None:
            self._extend(other._units)
        for mine, its in zip(self._sums, other._sums, strict=True):
            mine.merge(its)

    def totals(self) -> list[list[Fraction]]:
        """Return the exact sum of every column in every replicate."""
        return [sums.totals() for sums in self._sums]

    def _extend(self, units: tuple[int, int]) -> None:
        mine = self._units or units
        self._units = min(mine[0], units[0]), max(mine[1], units[1])

    def _add_slice(self, units: Words, columns: Sequence[Factor | None], *, repeated: bool) -> None:
        dense: list[_Part] = []
        for at, column in enumerate(columns):
            if column is None:
                dense.append(_Part(at, np.ones(len(units)), 0))
                continue
            for rows, values, power in in_range(column):
                for chosen, part in _cut(at, values, power):
                    if isinstance(rows, slice) and chosen is None:
                        dense.append(part)
                    else:
                        within = chosen if isinstance(rows, slice) else rows if chosen is None else rows[chosen]
                        self._add_parts(units[within], [part], repeated=repeated)
        self._add_parts(units, dense, repeated=repeated)

    def _add_parts(self, units: Words, parts: Sequence[_Part], *, repeated: bool) -> None:
        if not parts or not len(units):
            return
        stacked = np.stack([part.values for part in parts])
        if repeated:
            units, member = np.unique(units, return_inverse=True)
            stacked = np.stack([np.bincount(member, values, len(units)) for values in stacked])
        sums = resampled_sums(units, self._words, stacked)[:, : self._replicates].astype(np.int64)
        for part, numbers in zip(parts, sums, strict=True):
            self._sums[part.column].add_multiples(numbers, part.exponent)


def _cut(column: int, values: Floats, power: int) -> Iterator[tuple[np.ndarray | None, _Part]]:
    """Yield parts that add up to values * 2**power, and the rows that each is of; None for all."""
    rows = None
    while (top := top_exponent(extent_of(values))) is not None:
        unit = top - _PART_BITS
        rounder = math.ldexp(1.5, _MANTISSA_BITS - 1 + unit)
        part = values + rounder
        part -= rounder
        rest = values - part
        part *= math.ldexp(1.0, -unit)
        yield rows, _Part(column, part, power + unit)
        left = np.flatnonzero(rest)
        if len(left) * _FEW < len(rest):
            rows = left if rows is None else rows[left]
            rest = rest[left]
        values = rest
