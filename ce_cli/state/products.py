"""Exact sums of products of float64 values of any magnitude, and exact inner products of ordinary ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.double import two_product
from ce_cli.state.exact import SLICE_ROWS
from ce_cli.state.extent import Extent, extent_of, top_exponent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.state.exact import Adder, ExactSums

_ORDINARY = 2.0**200  # magnitudes in [1/this, this]: products of up to four of them stay exact in float64
_PRODUCT_BITS = 18  # 2**(18 + 18) units in each of 2**17 rows: 2**53
_PRODUCT_PARTS = 4
_GROUP = 256  # exponents of other products are handled in groups of this many


class Factor(NamedTuple):
    """The values mantissa * 2**exponent; an exponent of None is 0 everywhere, with mantissas that are safe to multiply.

    extent: bounds of the values where there are no exponents; None where they are not known.
    """

    mantissa: Floats
    exponent: Ints | None
    extent: Extent | None = None

    def at(self, rows: Ints | Bools | slice) -> Factor:
        """Return some of the values."""
        return Factor(self.mantissa[rows], None if self.exponent is None else self.exponent[rows], self.extent)

    def times(self, other: Factor) -> Factor:
        """Return the products, each rounded once, as in float64 with an unbounded exponent."""
        extent = None if self.extent is None or other.extent is None else self.extent.times(other.extent)
        return Factor(self.mantissa * other.mantissa, _added(self.exponent, other.exponent), extent)


def factor(values: Floats, extent: Extent | None = None) -> Factor:
    """Return finite values in a form whose products neither overflow nor underflow. extent: theirs, where it is known."""
    extent = extent_of(values) if extent is None else extent
    if extent.magnitude <= _ORDINARY and (extent.least >= 1 / _ORDINARY or _no_tiny(np.abs(values))):
        return Factor(values, None, extent)
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
        add_inner_products(vectors, sums)
        return
    ones = Factor(np.ones(len(vectors[0].mantissa)), None)
    for (i, j), total in sums.items():
        add_products(total, vectors[i], ones if j == -1 else vectors[j])


def add_inner_products(vectors: Sequence[Factor], sums: Mapping[tuple[int, int], ExactSums]) -> None:
    """Add the exact inner products of some pairs of vectors: sums[i, j] takes Σ vectors[i] * vectors[j].

    An index of -1 stands for a vector of ones. vectors: without exponents. They are cut into parts of 18 bits, so that an
    ordinary dot product adds the products of two parts without rounding, in whatever order it does. Rows with more bits than
    four parts hold are few.
    """
    for start in range(0, len(vectors[0].mantissa), SLICE_ROWS):
        _add_slice_products([vector.at(slice(start, start + SLICE_ROWS)) for vector in vectors], sums)


def _add_slice_products(vectors: Sequence[Factor], sums: Mapping[tuple[int, int], ExactSums]) -> None:
    n = len(vectors[0].mantissa)
    parts = np.empty((len(vectors), _PRODUCT_PARTS, n))
    beyond = np.zeros(n, dtype=np.bool_)  # np.union1d would import numpy.ma: 15 ms
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
            left = [Factor(np.ones(len(long)), None) if at == -1 else vectors[at].at(long) for at in (i, j)]
            add_products(total, left[0], left[1])


def _dots(one: Floats, two: Floats | None, *, same: bool) -> list[float]:
    """Return numbers whose exact sum is the inner product of the vectors that have these parts (None: of ones)."""
    if two is None:
        return [np.add.reduce(part) for part in one]
    if same:
        size = range(len(one))
        return [np.dot(one[a], one[b]) * (1.0 if a == b else 2.0) for a in size for b in range(a + 1)]
    return [np.dot(a, b) for a in one for b in two]


def _cut_for_products(vector: Factor, parts: Floats) -> Floats:
    """Fill parts, `(4, n)`, with multiples of smaller and smaller units that add up to the vector; return what is left."""
    rest = vector.mantissa
    top = top_exponent(extent_of(rest) if vector.extent is None else vector.extent)
    if top is None:
        parts[:] = 0.0
        return rest
    left = np.empty_like(rest)
    for part in parts:
        top -= _PRODUCT_BITS
        rounder = math.ldexp(1.5, 52 + top)
        np.add(rest, rounder, out=part)
        part -= rounder
        rest = np.subtract(rest, part, out=left)
    return rest


def _no_tiny(size: Floats) -> bool:
    least = size.min(initial=np.inf)
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
