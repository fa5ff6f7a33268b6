"""Exact sums of float64 values and of products of two, so that no order, split or thread count can change a bit.

A value is cut into integer multiples of 2**(32 j), one part for each limb j that it reaches. The parts of a slice add up in
float64 without rounding, because each is below 2**36 and a slice has at most 2**14 rows; the limbs add up in int64. What
comes out is the exact sum as a fraction, rounded once, at the end, by whoever asks for a float. The idea of fixed exponent
bins is that of Demmel and Nguyen, "Parallel reproducible summation" (2015); here no bin is dropped, so the sum is exact.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.double import two_product

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.arrays import Floats, Ints

_LIMB_BITS = 32
_TOP_BITS = 36  # a part is below 2**36 units of its limb
_SLICE = 1 << 14  # rows: 2**36 * 2**14 < 2**53
_CARRY_EVERY = 1 << 25  # rows: 2**36 * 2**25 < 2**63
_WINDOW = 608  # limbs outside 2**±608 are reached by scaling with this power of two, a multiple of _LIMB_BITS

_ORDINARY = 2.0**200  # magnitudes in [1/this, this]: products of up to four of them stay exact in float64
_GROUP = 256  # exponents of other products are handled in groups of this many


class ExactSums:
    """Exact sums of finite float64 values, one sum per cell."""

    __slots__ = ("_limbs", "_uncarried", "cells")

    def __init__(self, cells: int = 1) -> None:
        self.cells = cells
        self._limbs: dict[int, Ints] = {}
        self._uncarried = 0

    def add(self, values: Floats, cell: Ints | None = None, exponent: int = 0) -> None:
        """Add values * 2**exponent to their cells.

        values: `(n,) float64`, finite. cell: `(n,) int64` in [0, cells); None: all to cell 0. exponent: a multiple of 32.
        """
        for start in range(0, len(values), _SLICE):
            stop = start + _SLICE
            self._add_slice(values[start:stop], None if cell is None else cell[start:stop], exponent // _LIMB_BITS)

    def merge(self, other: ExactSums) -> None:
        """Add the sums of another state with the same cells."""
        if other.cells != self.cells:
            raise ValueError(f"expected {self.cells} cells, but got {other.cells}")
        self._carry()
        for limb, parts in other._carried().items():
            self._limb(limb)[:] += parts
        self._uncarried = 1

    def totals(self) -> list[Fraction]:
        """Return the exact sum of every cell."""
        if not self._limbs:
            return [Fraction(0)] * self.cells
        lowest = min(self._limbs)
        sums = [0] * self.cells
        for limb, parts in self._limbs.items():
            shift = (limb - lowest) * _LIMB_BITS
            for cell in np.flatnonzero(parts).tolist():
                sums[cell] += int(parts[cell]) << shift
        return [_scaled(total, lowest * _LIMB_BITS) for total in sums]

    def total(self) -> Fraction:
        """Return the exact sum over all cells."""
        return sum(self.totals(), Fraction(0))

    def _add_slice(self, rest: Floats, cell: Ints | None, shift: int) -> None:
        self._uncarried += len(rest)
        if self._uncarried > _CARRY_EVERY:
            self._carry()
            self._uncarried += len(rest)
        top = _top_exponent(rest)
        if top is not None and top > _WINDOW:
            huge = np.abs(rest) >= 2.0**_TOP_BITS
            self._add_slice(np.where(huge, rest, 0.0) * 2.0**-_WINDOW, cell, shift + _WINDOW // _LIMB_BITS)
            rest = np.where(huge, 0.0, rest)
            top = _top_exponent(rest)
        while top is not None:
            if top < -_WINDOW:
                rest = rest * 2.0**_WINDOW
                shift -= _WINDOW // _LIMB_BITS
                top += _WINDOW
            limb = -((_TOP_BITS - top) // _LIMB_BITS)
            # Adding and taking away 1.5 * 2**52 units rounds to whole units, ties to even.
            rounder = math.ldexp(1.5, 52 + limb * _LIMB_BITS)
            part = rest + rounder
            part -= rounder
            self._add_part(part, cell, limb, shift)
            rest = rest - part
            top = _top_exponent(rest)

    def _add_part(self, part: Floats, cell: Ints | None, limb: int, shift: int) -> None:
        if cell is None:
            sums = np.add.reduce(part, keepdims=True)
        else:
            sums = np.bincount(cell, weights=part, minlength=self.cells)
        units = np.ldexp(sums, -limb * _LIMB_BITS).astype(np.int64)
        self._limb(limb + shift)[: len(units)] += units

    def _limb(self, limb: int) -> Ints:
        parts = self._limbs.get(limb)
        if parts is None:
            parts = self._limbs[limb] = np.zeros(self.cells, dtype=np.int64)
        return parts

    def _carried(self) -> dict[int, Ints]:
        copy = ExactSums(self.cells)
        copy._limbs = {limb: parts.copy() for limb, parts in self._limbs.items()}
        copy._carry()
        return copy._limbs

    def _carry(self) -> None:
        """Move what is beyond 32 bits of every limb to the next one; the sum stays the same."""
        self._uncarried = 0
        limb = min(self._limbs, default=0)
        while self._limbs and limb <= max(self._limbs):
            parts = self._limb(limb)
            over = (parts + (1 << (_LIMB_BITS - 1))) >> _LIMB_BITS
            if over.any():
                parts -= over << _LIMB_BITS
                self._limb(limb + 1)[:] += over
            limb += 1


class Factor(NamedTuple):
    """The values mantissa * 2**exponent; an exponent of None is 0 everywhere, with mantissas that are safe to multiply."""

    mantissa: Floats
    exponent: Ints | None

    def times(self, other: Factor) -> Factor:
        """Return the products, each rounded once, as in float64 with an unbounded exponent."""
        return Factor(self.mantissa * other.mantissa, _added(self.exponent, other.exponent))


def factor(values: Floats) -> Factor:
    """Return finite values in a form whose products neither overflow nor underflow."""
    size = np.abs(values)
    if size.size == 0 or (size.max() <= _ORDINARY and not ((size < 1 / _ORDINARY) & (size > 0)).any()):
        return Factor(values, None)
    mantissa, exponent = np.frexp(values)
    return Factor(mantissa, exponent.astype(np.int64))


def add_products(sums: ExactSums, a: Factor, b: Factor, cell: Ints | None = None) -> None:
    """Add the exact products a * b to `sums`."""
    product, error = two_product(a.mantissa, a.mantissa if b is a else b.mantissa)
    exponent = _added(a.exponent, b.exponent)
    for rows, power in _groups(exponent):
        where = None if cell is None else cell[rows]
        for part in (product, error):
            values = part[rows]
            if exponent is not None:
                values = np.ldexp(values, (exponent[rows] - power).astype(np.int32))
            sums.add(values, where, power)


def _groups(exponent: Ints | None) -> Iterator[tuple[slice | Ints, int]]:
    if exponent is None:
        yield slice(None), 0
        return
    group = exponent // _GROUP
    for number in np.unique(group).tolist():
        yield np.flatnonzero(group == number), number * _GROUP


def _added(a: Ints | None, b: Ints | None) -> Ints | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _top_exponent(values: Floats) -> int | None:
    """Return e with max |value| < 2**e, None where all are zero."""
    if values.size == 0:
        return None
    largest = max(float(values.max()), -float(values.min()))
    if largest == 0.0:
        return None
    if not math.isfinite(largest):
        raise ValueError("an exact sum takes finite values only")
    return math.frexp(largest)[1]


def _scaled(number: int, exponent: int) -> Fraction:
    return Fraction(number << exponent) if exponent >= 0 else Fraction(number, 1 << -exponent)
