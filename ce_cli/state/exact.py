"""Exact sums of float64 values, so that no order, split or thread count can change a bit.

A slice of values is cut into parts, each a whole multiple of a power of two and so small a one that int64 holds the sum of all
rows: 45 bits a part, at most 2**17 rows. The sums of the parts go into an integer: Python's own for one or two
cells, 32-bit limbs in NumPy arrays for more. What comes out is the exact sum as a fraction, rounded once, at the end, by
whoever asks for a float. Cutting by adding and subtracting a large constant is that of Demmel and Nguyen, "Parallel
reproducible summation" (2015); here nothing is dropped, so the sum is exact.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.state.extent import extent_of, top_exponent
from ce_cli.state.limbs import MANTISSA_BITS, Chosen, Integers, Limbs

if TYPE_CHECKING:
    from fractions import Fraction

    from ce_cli.arrays import Floats, Ints
    from ce_cli.state.cell_sums import CellSums
    from ce_cli.state.extent import Extent
    from ce_cli.state.limbs import Into, Totals

_FEW_CELLS = 2
_FEW_ROWS = 32
SLICE_ROWS = 1 << 17
_PART_BITS = 45  # 2**45 units in each of 2**17 rows: 2**62, what int64 holds
_MOST_PARTS = 4  # that are cut from all rows before those that have no more bits are left out
_WINDOW = 608  # exponents beyond ±608 are reached by scaling with this power of two


class _Places(NamedTuple):
    """The cells that values belong to, None where all go to the first.

    Of two cells: all ones where it is the second, and how often it is.
    """

    cell: Ints | None
    mask: Ints | None = None
    seconds: int = 0


class Adder:
    """Takes finite float64 values, each for one of some cells."""

    __slots__ = ("_into", "cells")

    def __init__(self, cells: int, into: Into) -> None:
        self.cells = cells
        self._into = into

    def add(self, values: Floats, cell: Ints | None = None, exponent: int = 0, extent: Extent | None = None) -> None:
        """Add values * 2**exponent to their cells.

        values: `(n,) float64`, finite. cell: `(n,) int64` in [0, cells); None: all to cell 0. extent: bounds of the values,
        where they are known.
        """
        for start in range(0, len(values), SLICE_ROWS):
            some = values[start : start + SLICE_ROWS]
            places = self._places(None if cell is None else cell[start : start + SLICE_ROWS])
            self._add_slice(some, places, exponent, extent_of(some) if extent is None else extent)

    def add_one(self, value: float) -> None:
        """Add one finite value to the first cell."""
        self._into.add_one(0, value, 0)

    def add_multiples(self, numbers: Ints, exponent: int) -> None:
        """Add numbers * 2**exponent, `(cells,) int64`, one to each cell."""
        self._into.add(numbers.tolist() if self.cells <= _FEW_CELLS else numbers, exponent, 0)

    def _places(self, cell: Ints | None) -> _Places:
        if cell is None or self.cells == 1:
            return _Places(None)
        if self.cells > _FEW_CELLS:
            return _Places(cell)
        mask = np.negative(cell)
        return _Places(cell, mask, -int(np.add.reduce(mask)))

    def _add_slice(self, rest: Floats, places: _Places, exponent: int, extent: Extent) -> None:
        top = top_exponent(extent)
        if top is not None and top > _WINDOW:
            huge = np.abs(rest) >= 1.0
            high = np.where(huge, rest, 0.0) * 2.0**-_WINDOW
            self._add_slice(high, places, exponent + _WINDOW, extent_of(high))
            rest = np.where(huge, 0.0, rest)
            extent = extent_of(rest)
            top = top_exponent(extent)
        while top is not None:
            if top < -_WINDOW:
                rest = rest * 2.0**_WINDOW
                exponent -= _WINDOW
                extent = extent_of(rest)
                top = top_exponent(extent)
                if top is None:  # the bounds were not reached
                    return
            unit = top - _PART_BITS
            parts = _parts_of_all(extent, top)
            if parts is not None and parts <= _MOST_PARTS:
                for _ in range(parts - 1):
                    rest = self._cut(rest, places, unit, exponent)
                    unit -= _PART_BITS
                self._take(rest, places, unit, exponent)
                return
            # Two parts hold all bits of values within a factor of 2**37 of the largest: often only few are left.
            rest = self._cut(self._cut(rest, places, unit, exponent), places, unit - _PART_BITS, exponent)
            if not rest.any():
                return
            at = np.flatnonzero(rest)
            rest, cell = rest[at], None if places.cell is None else places.cell[at]
            if len(at) <= _FEW_ROWS:
                for row, value in enumerate(rest.tolist()):
                    self._into.add_one(0 if cell is None else int(cell[row]), value, exponent)
                return
            places, extent = self._places(cell), extent_of(rest)
            top = top_exponent(extent)

    def _cut(self, rest: Floats, places: _Places, unit: int, exponent: int) -> Floats:
        """Add the part of values below 2**45 units of 2**unit that is whole in them; return what is left."""
        moved, rounder = self._take(rest, places, unit, exponent)
        moved -= rounder
        return np.subtract(rest, moved, out=moved)

    def _take(self, rest: Floats, places: _Places, unit: int, exponent: int) -> tuple[Floats, float]:
        """Add that part; return the values moved to where float64 has this unit, and by how much they were.

        The last bits of what was moved are then the units, an integer; so the sums need no rounding in whatever order.
        """
        rounder = math.ldexp(1.5, MANTISSA_BITS - 1 + unit)
        moved = rest + rounder
        bits = moved.view(np.int64)
        zero = int(np.float64(rounder).view(np.int64))
        if places.cell is None:
            self._into.add([_modulo(int(np.add.reduce(bits)) - len(bits) * zero)], unit, exponent)
        elif places.mask is not None:
            second = _modulo(int(np.add.reduce(bits & places.mask)) - places.seconds * zero)
            first = _modulo(int(np.add.reduce(bits)) - len(bits) * zero - second)
            self._into.add([first, second], unit, exponent)
        else:
            sums = np.zeros(self.cells, dtype=np.int64)
            np.add.at(sums, places.cell, bits - zero)  # faster than bincount
            self._into.add(sums, unit, exponent)
        return moved, rounder


class ExactSums(Adder):
    """Exact sums of finite float64 values, one sum per cell."""

    __slots__ = ("_totals",)

    def __init__(self, cells: int = 1) -> None:
        self._totals: Totals = Integers(cells) if cells <= _FEW_CELLS else Limbs(cells)
        super().__init__(cells, self._totals)

    def merge(self, other: ExactSums) -> None:
        """Add the sums of another state with the same cells."""
        if other.cells != self.cells:
            raise ValueError(f"expected {self.cells} cells, but got {other.cells}")
        self._totals.merge(other._totals)

    def by_cell(self) -> CellSums:
        """Return the exact sums."""
        return self._totals.by_cell()

    def totals(self) -> list[Fraction]:
        """Return the exact sum of every cell."""
        return self.by_cell().fractions()

    def total(self) -> Fraction:
        """Return the exact sum over all cells."""
        return self.by_cell().total()


class GrowingSums:
    """Exact sums of finite float64 values, one per cell, for as many cells as come."""

    __slots__ = ("_limbs", "cells")

    def __init__(self) -> None:
        self.cells = 0
        self._limbs = Limbs(0)

    def grow(self, cells: int) -> None:
        """Have at least this many cells; the new ones are 0."""
        self.cells = max(self.cells, cells)
        self._limbs.grow(self.cells)

    def at(self, cells: Ints) -> Adder:
        """Return what adds to some cells, `(m,) int64`, all different, as if they were those from 0 to m - 1."""
        return Adder(len(cells), Chosen(self._limbs, cells))

    def add_from(self, other: GrowingSums, cells: Ints) -> None:
        """Add the sum of every cell of another state to one of these cells, `(other.cells,) int64`; several may meet."""
        self._limbs.add_from(other._limbs, cells)

    def totals(self) -> list[Fraction]:
        """Return the exact sum of every cell."""
        return self._by_cell().fractions()

    def rounded(self) -> tuple[Floats, Fraction]:
        """Return the nearest float64 of the sum of every cell, and the exact sum over all of them; faster than `totals`."""
        sums = self._by_cell()
        return np.array(sums.floats(), dtype=np.float64), sums.total()

    def _by_cell(self) -> CellSums:
        return self._limbs.by_cell().some(slice(self.cells))


def _modulo(number: int) -> int:
    """Return what a sum modulo 2**64 is, of which it is known that it fits into int64."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _parts_of_all(extent: Extent, top: int) -> int | None:
    """Return how many parts hold all bits of all values below 2**top; None where a value may be zero or negative."""
    return -((math.frexp(extent.least)[1] - MANTISSA_BITS - top) // _PART_BITS) if extent.least > 0 else None
