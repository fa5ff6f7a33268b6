"""Exact sums of float64 values and of products of two, so that no order, split or thread count can change a bit.

A slice of values is cut into parts, each a whole multiple of a power of two and so small a one that int64 holds the sum of all
rows: 45 bits a part, at most 2**17 rows. The sums of the parts go into an integer: Python's own for one or two
cells, 32-bit limbs in NumPy arrays for more. What comes out is the exact sum as a fraction, rounded once, at the end, by
whoever asks for a float. Cutting by adding and subtracting a large constant is that of Demmel and Nguyen, "Parallel
reproducible summation" (2015); here nothing is dropped, so the sum is exact.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ce_cli.kernels.double import two_product

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints

_FEW_CELLS = 2
_FEW_ROWS = 32
_MANTISSA_BITS = 53
_FINEST = 4400
_LIMB_BITS = 32
_MASK = (1 << _LIMB_BITS) - 1
_SLICE = 1 << 17  # rows
_PART_BITS = 45  # 2**45 units in each of 2**17 rows: 2**62, what int64 holds
_MOST_PARTS = 4  # that are cut from all rows before those that have no more bits are left out
_CARRY_EVERY = 1 << 30  # additions of less than 2**32 to an int64
_WINDOW = 608  # exponents beyond ±608 are reached by scaling with this power of two

_ORDINARY = 2.0**200  # magnitudes in [1/this, this]: products of up to four of them stay exact in float64
_PRODUCT_BITS = 18  # 2**(18 + 18) units in each of 2**17 rows: 2**53
_PRODUCT_PARTS = 4
_GROUP = 256  # exponents of other products are handled in groups of this many


class Adder:
    """Takes finite float64 values, each for one of some cells."""

    __slots__ = ("_into", "cells")

    def __init__(self, cells: int, into: _Into) -> None:
        self.cells = cells
        self._into = into

    def add(self, values: Floats, cell: Ints | None = None, exponent: int = 0) -> None:
        """Add values * 2**exponent to their cells.

        values: `(n,) float64`, finite. cell: `(n,) int64` in [0, cells); None: all to cell 0.
        """
        for start in range(0, len(values), _SLICE):
            stop = start + _SLICE
            self._add_slice(values[start:stop], None if cell is None else cell[start:stop], exponent)

    def add_one(self, value: float) -> None:
        """Add one finite value to the first cell."""
        self._into.add_one(0, value, 0)

    def add_multiples(self, numbers: Ints, exponent: int) -> None:
        """Add numbers * 2**exponent, `(cells,) int64`, one to each cell."""
        self._into.add(numbers.tolist() if self.cells <= _FEW_CELLS else numbers, exponent, 0)

    def _add_slice(self, rest: Floats, cell: Ints | None, exponent: int) -> None:
        least, top = _exponents(rest)
        if top is not None and top > _WINDOW:
            huge = np.abs(rest) >= 1.0
            self._add_slice(np.where(huge, rest, 0.0) * 2.0**-_WINDOW, cell, exponent + _WINDOW)
            rest = np.where(huge, 0.0, rest)
            least, top = _exponents(rest)
        while top is not None:
            if top < -_WINDOW:
                rest = rest * 2.0**_WINDOW
                exponent -= _WINDOW
                least, top = _exponents(rest)
                assert top is not None  # there is still something left
            parts = 0 if least is None else -((least - _MANTISSA_BITS - top) // _PART_BITS)
            unit = top - _PART_BITS
            if least is not None and parts <= _MOST_PARTS:  # they hold all bits of all values
                for _ in range(parts - 1):
                    rest = self._cut(rest, cell, unit, exponent)
                    unit -= _PART_BITS
                self._take(rest, cell, unit, exponent)
                return
            # Two parts hold all bits of values within a factor of 2**37 of the largest: often only few are left.
            rest = self._cut(self._cut(rest, cell, unit, exponent), cell, unit - _PART_BITS, exponent)
            if not rest.any():
                return
            at = np.flatnonzero(rest)
            rest, cell = rest[at], None if cell is None else cell[at]
            if len(at) <= _FEW_ROWS:
                for row, value in enumerate(rest.tolist()):
                    self._into.add_one(0 if cell is None else int(cell[row]), value, exponent)
                return
            least, top = _exponents(rest)

    def _cut(self, rest: Floats, cell: Ints | None, unit: int, exponent: int) -> Floats:
        """Add the part of values below 2**45 units of 2**unit that is whole in them; return what is left."""
        moved, rounder = self._take(rest, cell, unit, exponent)
        moved -= rounder
        return np.subtract(rest, moved, out=moved)

    def _take(self, rest: Floats, cell: Ints | None, unit: int, exponent: int) -> tuple[Floats, float]:
        """Add that part; return the values moved to where float64 has this unit, and by how much they were.

        The last bits of what was moved are then the units, an integer; so the sums need no rounding in whatever order.
        """
        rounder = math.ldexp(1.5, _MANTISSA_BITS - 1 + unit)
        moved = rest + rounder
        bits = moved.view(np.int64)
        zero = int(np.float64(rounder).view(np.int64))
        if cell is None or self.cells == 1:
            self._into.add([_modulo(int(np.add.reduce(bits)) - len(bits) * zero)], unit, exponent)
        elif self.cells == _FEW_CELLS:
            mask = np.negative(cell)  # all ones in the second cell
            second = _modulo(int(np.add.reduce(bits & mask)) + int(np.add.reduce(mask)) * zero)
            first = _modulo(int(np.add.reduce(bits)) - len(bits) * zero - second)
            self._into.add([first, second], unit, exponent)
        else:
            sums = np.zeros(self.cells, dtype=np.int64)
            np.add.at(sums, cell, bits - zero)  # faster than bincount
            self._into.add(sums, unit, exponent)
        return moved, rounder


class ExactSums(Adder):
    """Exact sums of finite float64 values, one sum per cell."""

    __slots__ = ("_totals",)

    def __init__(self, cells: int = 1) -> None:
        self._totals: _Totals = _Integers(cells) if cells <= _FEW_CELLS else _Limbs(cells)
        super().__init__(cells, self._totals)

    def merge(self, other: ExactSums) -> None:
        """Add the sums of another state with the same cells."""
        if other.cells != self.cells:
            raise ValueError(f"expected {self.cells} cells, but got {other.cells}")
        self._totals.merge(other._totals)

    def totals(self) -> list[Fraction]:
        """Return the exact sum of every cell."""
        return self._totals.totals()

    def total(self) -> Fraction:
        """Return the exact sum over all cells."""
        return sum(self.totals(), Fraction(0))


class GrowingSums:
    """Exact sums of finite float64 values, one per cell, for as many cells as come."""

    __slots__ = ("_limbs", "cells")

    def __init__(self) -> None:
        self.cells = 0
        self._limbs = _Limbs(0)

    def grow(self, cells: int) -> None:
        """Have at least this many cells; the new ones are 0."""
        self.cells = max(self.cells, cells)
        self._limbs.grow(self.cells)

    def at(self, cells: Ints) -> Adder:
        """Return what adds to some cells, `(m,) int64`, all different, as if they were those from 0 to m - 1."""
        return Adder(len(cells), _Chosen(self._limbs, cells))

    def add_from(self, other: GrowingSums, cells: Ints) -> None:
        """Add the sum of every cell of another state to one of these cells, `(other.cells,) int64`; several may meet."""
        self._limbs.add_from(other._limbs, cells)

    def totals(self) -> list[Fraction]:
        """Return the exact sum of every cell."""
        return self._limbs.totals()[: self.cells]

    def rounded(self) -> tuple[Floats, Fraction]:
        """Return the nearest float64 of the sum of every cell, and the exact sum over all of them; faster than `totals`."""
        units, exponent = self._limbs.units()
        units = units[: self.cells]
        scale = 1 << abs(exponent)
        floats = [_quotient(unit, scale) if exponent < 0 else _quotient(unit * scale, 1) for unit in units]
        return np.array(floats, dtype=np.float64), _scaled(sum(units), exponent)


def _modulo(number: int) -> int:
    """Return what a sum modulo 2**64 is, of which it is known that it fits into int64."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


class _Into(Protocol):
    """What takes integers for some cells."""

    def add(self, sums: Any, unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent), as int64 has them, to the first cells."""

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""


class _Totals(_Into, Protocol):
    """One integer per cell, in some form."""

    def merge(self, other: Any) -> None:
        """Add other sums of the same form."""

    def totals(self) -> list[Fraction]:
        """Return the sums."""


class _Integers:
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
        unit = math.frexp(value)[1] - _MANTISSA_BITS
        self.values[cell] += int(math.ldexp(value, -unit)) << (unit + exponent + _FINEST)

    def merge(self, other: _Integers) -> None:
        """Add other sums."""
        self.values = [one + two for one, two in zip(self.values, other.values, strict=True)]

    def totals(self) -> list[Fraction]:
        """Return the sums."""
        return [Fraction(value, 1 << _FINEST) for value in self.values]


class _Limbs:
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

    def add_from(self, other: _Limbs, cells: Ints) -> None:
        """Add the first cells of others to these cells, among which some may be the same."""
        self._carry()
        for limb, parts in other._carried().items():
            np.add.at(self._limb(limb), cells, parts[: len(cells)])
        self._carry()

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""
        unit = math.frexp(value)[1] - _MANTISSA_BITS
        self.add([0] * cell + [int(math.ldexp(value, -unit))], unit, exponent)

    def merge(self, other: _Limbs) -> None:
        """Add other sums."""
        self._carry()
        for limb, parts in other._carried().items():
            self._limb(limb)[:] += parts
        self._uncarried = 1

    def totals(self) -> list[Fraction]:
        """Return the sums."""
        units, exponent = self.units()
        return [_scaled(unit, exponent) for unit in units]

    def units(self) -> tuple[list[int], int]:
        """Return the sums as integers in units of a power of two, and its exponent."""
        lowest = min(self._limbs, default=0)
        sums = [0] * self._cells
        for limb, parts in self._limbs.items():
            shift = (limb - lowest) * _LIMB_BITS
            there = np.flatnonzero(parts)
            for cell, part in zip(there.tolist(), parts[there].tolist(), strict=True):
                sums[cell] += part << shift
        return sums, lowest * _LIMB_BITS

    def _limb(self, limb: int) -> Ints:
        parts = self._limbs.get(limb)
        if parts is None:
            parts = self._limbs[limb] = np.zeros(self._cells, dtype=np.int64)
        return parts

    def _carried(self) -> dict[int, Ints]:
        copy = _Limbs(self._cells)
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


class _Chosen:
    """Some cells of many."""

    __slots__ = ("_cells", "_limbs")

    def __init__(self, limbs: _Limbs, cells: Ints) -> None:
        self._limbs = limbs
        self._cells = cells

    def add(self, sums: Ints | Sequence[int], unit: int, exponent: int) -> None:
        """Add integers in units of 2**(unit + exponent) to the first cells."""
        self._limbs.add_at(self._cells[: len(sums)], sums, unit, exponent)

    def add_one(self, cell: int, value: float, exponent: int) -> None:
        """Add value * 2**exponent to one cell."""
        unit = math.frexp(value)[1] - _MANTISSA_BITS
        self._limbs.add_at(self._cells[cell : cell + 1], [int(math.ldexp(value, -unit))], unit, exponent)


class Factor(NamedTuple):
    """The values mantissa * 2**exponent; an exponent of None is 0 everywhere, with mantissas that are safe to multiply."""

    mantissa: Floats
    exponent: Ints | None

    def at(self, rows: Ints | Bools | slice) -> Factor:
        """Return some of the values."""
        return Factor(self.mantissa[rows], None if self.exponent is None else self.exponent[rows])

    def times(self, other: Factor) -> Factor:
        """Return the products, each rounded once, as in float64 with an unbounded exponent."""
        return Factor(self.mantissa * other.mantissa, _added(self.exponent, other.exponent))


def factor(values: Floats) -> Factor:
    """Return finite values in a form whose products neither overflow nor underflow."""
    size = np.abs(values)
    if size.size == 0 or (size.max() <= _ORDINARY and _no_tiny(size)):
        return Factor(values, None)
    mantissa, exponent = np.frexp(values)
    return Factor(mantissa, exponent.astype(np.int64))


def add_products(sums: Adder, a: Factor, b: Factor, cell: Ints | None = None) -> None:
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


def in_range(values: Factor) -> Iterator[tuple[slice | Ints, Floats, int]]:
    """Yield rows, their values as float64 below 2**256 in magnitude, and the exponent by which those are to be raised."""
    for rows, power in _groups(values.exponent):
        mantissa = values.mantissa[rows]
        if values.exponent is not None:
            mantissa = np.ldexp(mantissa, (values.exponent[rows] - power).astype(np.int32))
        yield rows, mantissa, power


def add_pairs(vectors: Sequence[Factor], sums: Mapping[tuple[int, int], ExactSums]) -> None:
    """Add the exact inner products of some pairs of vectors of any magnitudes, as `add_inner_products` does."""
    if all(vector.exponent is None for vector in vectors):
        add_inner_products([vector.mantissa for vector in vectors], sums)
        return
    ones = Factor(np.ones(len(vectors[0].mantissa)), None)
    for (i, j), total in sums.items():
        add_products(total, vectors[i], ones if j == -1 else vectors[j])


def add_inner_products(vectors: Sequence[Floats], sums: Mapping[tuple[int, int], ExactSums]) -> None:
    """Add the exact inner products of some pairs of vectors: sums[i, j] takes Σ vectors[i] * vectors[j].

    An index of -1 stands for a vector of ones. vectors: `(n,) float64` each, with ordinary magnitudes (those of a `Factor`
    without exponents). They are cut into parts of 18 bits, so that an ordinary dot product adds the products of two parts
    without rounding, in whatever order it does. Rows with more bits than four parts hold are few.
    """
    for start in range(0, len(vectors[0]), _SLICE):
        _add_slice_products([vector[start : start + _SLICE] for vector in vectors], sums)


def _add_slice_products(vectors: Sequence[Floats], sums: Mapping[tuple[int, int], ExactSums]) -> None:
    parts = np.empty((len(vectors), _PRODUCT_PARTS, len(vectors[0])))
    beyond = np.zeros(len(vectors[0]), dtype=np.bool_)  # np.union1d would import numpy.ma: 15 ms
    for vector, own in zip(vectors, parts, strict=True):
        rest = _cut_for_products(vector, own)
        if rest.any():
            beyond |= rest != 0.0
    long = np.flatnonzero(beyond)
    if len(long):
        parts[:, :, long] = 0.0
    for (i, j), total in sums.items():
        for dot in _dots(parts[i], None if j == -1 else parts[j], same=i == j):
            total.add_one(float(dot))
        if len(long):
            left = [np.ones(len(long)) if at == -1 else vectors[at][long] for at in (i, j)]
            add_products(total, Factor(left[0], None), Factor(left[1], None))


def _dots(one: Floats, two: Floats | None, *, same: bool) -> list[float]:
    """Return numbers whose exact sum is the inner product of the vectors that have these parts (None: of ones)."""
    if two is None:
        return [np.add.reduce(part) for part in one]
    if same:
        size = range(len(one))
        return [np.dot(one[a], one[b]) * (1.0 if a == b else 2.0) for a in size for b in range(a + 1)]
    return [np.dot(a, b) for a in one for b in two]


def _cut_for_products(vector: Floats, parts: Floats) -> Floats:
    """Fill parts, `(4, n)`, with multiples of smaller and smaller units that add up to the vector; return what is left."""
    top = top_exponent(vector)
    if top is None:
        parts[:] = 0.0
        return vector
    rest = vector
    for part in parts:
        top -= _PRODUCT_BITS
        rounder = math.ldexp(1.5, 52 + top)
        np.add(rest, rounder, out=part)
        part -= rounder
        rest = rest - part
    return rest


def _exponents(values: Floats) -> tuple[int | None, int | None]:
    """Return e with |value| >= 2**(e - 1) for all, None where some are zero or negative, and `top_exponent`."""
    least = float(values.min()) if values.size else 0.0
    return (math.frexp(least)[1] if least > 0 else None), top_exponent(values)


def _no_tiny(size: Floats) -> bool:
    least = size.min()
    return bool(least >= 1 / _ORDINARY or (least == 0 and not ((size < 1 / _ORDINARY) & (size > 0)).any()))


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


def top_exponent(values: Floats) -> int | None:
    """Return e with max |value| < 2**e, None where all are zero."""
    if values.size == 0:
        return None
    largest = max(float(values.max()), -float(values.min()))
    if largest == 0.0:
        return None
    if not math.isfinite(largest):
        raise ValueError("an exact sum takes finite values only")
    return math.frexp(largest)[1]


def _quotient(number: int, divisor: int) -> float:
    """Return the nearest float64 of a quotient, ±inf beyond its range."""
    try:
        return number / divisor  # rounded once, whatever the size of the integers
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _scaled(number: int, exponent: int) -> Fraction:
    return Fraction(number << exponent) if exponent >= 0 else Fraction(number, 1 << -exponent)
