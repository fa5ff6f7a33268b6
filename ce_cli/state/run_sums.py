"""Sums of runs of values, exact however long: as arrays that add up to them, each of which needed no rounding."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.state.fractions import to_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.arrays import Floats, Ints

_MANTISSA_BITS = 53
_MOST_BITS = 51  # that can be cut by adding and subtracting a constant
_SAFE = 2.0**600  # magnitudes up to here can be, in units from 2 to the power of the next line on
_LEAST_UNIT = -900
_FEW = 4  # a part of this many is few
_HUGE = 2.0**1000


def run_parts(run: Ints) -> tuple[Ints, Ints]:
    """Return the runs that some rows belong to, and where each of them begins."""
    changes = np.ones(len(run), dtype=np.bool_)
    np.not_equal(run[1:], run[:-1], out=changes[1:])
    starts = np.flatnonzero(changes)
    return run[starts], starts


def spread_runs(values: Any, which: Ints, count: int) -> Any:
    """Return values of some of `count` runs, by their positions, with 0 for the others."""
    result = np.zeros(count, dtype=values.dtype)
    result[which] = values
    return result


def run_sums(values: Floats, starts: Ints) -> list[Floats]:
    """Return arrays `(m,) float64` that add up, exactly, to the sums of runs of values.

    values: `(n,) float64`, finite. starts: `(m,) int64`, where each run begins, ascending from 0. Values
    are cut into parts, whole multiples of a power of two, with so few bits that their sums need no rounding: the longest run
    decides how few.
    """
    count = len(starts)
    if count == len(values):
        return [values]
    longest = int(np.diff(starts, append=len(values)).max())
    bits = min(_MOST_BITS, _MANTISSA_BITS - (longest - 1).bit_length())
    found: list[Floats] = []
    rest, size = values, _size(values)
    while size:
        unit = math.frexp(size)[1] - bits
        if size > _SAFE or unit < _LEAST_UNIT:
            return _slow_sums(values, starts)
        rounder = math.ldexp(1.5, 52 + unit)
        part = rest + rounder
        part -= rounder
        found.append(np.add.reduceat(part, starts))
        rest = np.subtract(rest, part, out=part)
        size = _size(rest)
        if size and np.count_nonzero(rest) < len(rest) // _FEW:
            # What two parts do not hold is that of few rows, if of any.
            left = np.flatnonzero(rest)
            which, where = run_parts(np.searchsorted(starts, left, side="right") - 1)
            return found + [spread_runs(part, which, count) for part in run_sums(rest[left], where)]
    return found or [np.zeros(count)]


def _size(values: Floats) -> float:
    """Return the largest magnitude."""
    return max(float(values.max()), -float(values.min()))


def _slow_sums(values: Floats, starts: Ints) -> list[Floats]:
    """Return the same for values at the ends of float64: each sum as its nearest float64 and what is left, and so on."""
    parts: list[list[float]] = []
    for run in np.split(values, starts[1:]):
        left, found = sum(map(Fraction, run.tolist()), Fraction(0)), []
        while left:
            nearest = to_float(left)
            if math.isinf(nearest):
                nearest = math.copysign(1.7976931348623157e308, nearest)
            found.append(nearest)
            left -= Fraction(nearest)
        parts.append(found)
    most = max(map(len, parts), default=0)
    return [np.array([one[at] if at < len(one) else 0.0 for one in parts]) for at in range(max(1, most))]


def rounded(parts: Sequence[Floats], n: int) -> Floats:
    """Return the sums of arrays of `n` values, each rounded once; infinite beyond the range of float64."""
    if len(parts) == 1:
        return parts[0]
    if not parts or n == 0:
        return np.zeros(n)
    if any(float(np.abs(part).max()) > _HUGE for part in parts):
        rows = zip(*(part.tolist() for part in parts), strict=True)
        return np.array([to_float(sum(map(Fraction, row), Fraction(0))) for row in rows])
    sums: Floats = parts[0] + parts[1]
    left = np.flatnonzero(np.logical_or.reduce([part != 0 for part in parts[2:]])) if len(parts) > 2 else ()
    if len(left):
        sums[left] = [math.fsum(row) for row in zip(*(part[left].tolist() for part in parts), strict=True)]
    return sums
