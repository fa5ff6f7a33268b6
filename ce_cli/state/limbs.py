"""The integers that exact sums add up in: Python's own for one or two cells, 32-bit limbs in NumPy arrays for more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ce_cli.state.cell_sums import CellSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.arrays import Ints

MANTISSA_BITS = 53
_FINEST = 4400
_LIMB_BITS = 32
_MASK = (1 << _LIMB_BITS) - 1
_CARRY_EVERY = 1 << 30  # additions of less than 2**32 to an int64


class Into(Protocol):
    """What takes integers for some cells."""

    def add(self, sums: Any, unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent), as int64 has them, to the first cells."""

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""


class Totals(Into, Protocol):
    """One integer per cell, in some form."""

    def merge(self, other: Any) -> None:
        """Add other sums of the same form."""

    def by_cell(self) -> CellSums:
        """Return the sums."""


class Integers:
    """A whole number of units of 2**-4400 for each of a few cells: less than the last bit of a product of three float64."""

    __slots__ = ("values",)

    def __init__(self, cells: int) -> None:
        self.values = [0] * cells

    def add(self, sums: Sequence[int], unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent) to the first cells."""
        for cell, value in enumerate(sums):
            self.values[cell] += value << (unit + exponent + _FINEST)

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""
        unit = math.frexp(value)[1] - MANTISSA_BITS
        self.values[cell] += int(math.ldexp(value, -unit)) << (unit + exponent + _FINEST)

    def merge(self, other: Integers) -> None:
        """Add other sums."""
        self.values = [one + two for one, two in zip(self.values, other.values, strict=True)]

    def by_cell(self) -> CellSums:
        """Return the sums."""
        return CellSums(self.values.copy(), -_FINEST)


class Limbs:
    """Integers of 32-bit limbs for any number of cells."""

    __slots__ = ("_cells", "_limbs", "_uncarried")

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._limbs: dict[int, Ints] = {}
        self._uncarried = 0

    def add(self, sums: Ints | Sequence[int], unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent), `(c,) int64`, to the first cells."""
        self.add_at(slice(len(sums)), sums, unit, exponent)

    def add_at(self, cells: slice | Ints, sums: Ints | Sequence[int], unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent) to these cells, which are all different."""
        if self._uncarried >= _CARRY_EVERY:
            self._carry()
        self._uncarried += 1
        units = np.asarray(sums, dtype=np.int64)
        limb, shift = divmod(unit + exponent, _LIMB_BITS)
        low_bits = _LIMB_BITS - shift
        high = units >> low_bits
        self._limb(limb)[cells] += (units - (high << low_bits)) << shift
        self._limb(limb + 1)[cells] += high & _MASK
        self._limb(limb + 2)[cells] += high >> _LIMB_BITS

    def grow(self, cells: int) -> None:
        """Have room for this many cells, and for as many more if there are so many already."""
        if cells <= self._cells:
            return
        added = max(cells, 2 * self._cells) - self._cells
        self._limbs = {limb: np.pad(parts, (0, added)) for limb, parts in self._limbs.items()}
        self._cells += added

    def add_from(self, other: Limbs, cells: Ints) -> None:
        """Add the first cells of others to these cells, among which some may be the same."""
        self._carry()
        for limb, parts in other._carried().items():
            np.add.at(self._limb(limb), cells, parts[: len(cells)])
        self._carry()

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""
        unit = math.frexp(value)[1] - MANTISSA_BITS
        self.add([0] * cell + [int(math.ldexp(value, -unit))], unit, exponent)

    def merge(self, other: Limbs) -> None:
        """Add other sums."""
        self._carry()
        for limb, parts in other._carried().items():
            self._limb(limb)[:] += parts
        self._uncarried = 1

    def by_cell(self) -> CellSums:
        """Return the sums."""
        lowest = min(self._limbs, default=0)
        sums = [0] * self._cells
        for limb, parts in self._limbs.items():
            shift = (limb - lowest) * _LIMB_BITS
            there = np.flatnonzero(parts)
            for cell, part in zip(there.tolist(), parts[there].tolist(), strict=True):
                sums[cell] += part << shift
        return CellSums(sums, lowest * _LIMB_BITS)

    def _limb(self, limb: int) -> Ints:
        parts = self._limbs.get(limb)
        if parts is None:
            parts = self._limbs[limb] = np.zeros(self._cells, dtype=np.int64)
        return parts

    def _carried(self) -> dict[int, Ints]:
        copy = Limbs(self._cells)
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


class Chosen:
    """Some cells of many."""

    __slots__ = ("_cells", "_limbs")

    def __init__(self, limbs: Limbs, cells: Ints) -> None:
        self._limbs = limbs
        self._cells = cells

    def add(self, sums: Ints | Sequence[int], unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent) to the first cells."""
        self._limbs.add_at(self._cells[: len(sums)], sums, unit, exponent)

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""
        unit = math.frexp(value)[1] - MANTISSA_BITS
        self._limbs.add_at(self._cells[cell : cell + 1], [int(math.ldexp(value, -unit))], unit, exponent)
