"""Exact sums of many cells at once: without a fraction of its own for each of them, which takes most of the time."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEAN_BITS = 128


class CellSums:
    """Exact sums, one for each cell: `units` whole numbers of 2**exponent."""

    __slots__ = ("exponent", "units")

    def __init__(self, units: list[int], exponent: int = 0) -> None:
        self.units = units
        self.exponent = exponent

    def __add__(self, other: CellSums) -> CellSums:
        """Return the sums of each cell in both, for the same cells."""
        exponent = min(self.exponent, other.exponent)
        pairs = zip(self._in_units(exponent), other._in_units(exponent), strict=True)
        return CellSums([one + two for one, two in pairs], exponent)

    def some(self, cells: slice) -> CellSums:
        """Return the sums of some cells."""
        return CellSums(self.units[cells], self.exponent)

    def fractions(self) -> list[Fraction]:
        """Return the sum of every cell."""
        return [_scaled(unit, self.exponent) for unit in self.units]

    def floats(self) -> list[float]:
        """Return the nearest float64 of every cell, ±inf beyond its range."""
        more, divisor = _ratio(self.exponent)
        return [_quotient(unit * more, divisor) for unit in self.units]

    def total(self) -> Fraction:
        """Return the sum of all cells."""
        return _scaled(sum(self.units), self.exponent)

    def weighted(self, factors: Sequence[float] | None) -> Fraction:
        """Return the exact sum of all cells, each times a finite factor of its own, None for 1 each."""
        if factors is None:
            return self.total()
        ratios = [factor.as_integer_ratio() for factor in factors]
        common = max((divisor for _, divisor in ratios), default=1)  # all are powers of two
        products = (
            unit * number * (common // divisor) for unit, (number, divisor) in zip(self.units, ratios, strict=True)
        )
        return _scaled(sum(products), self.exponent) / common

    def shares(self) -> list[float]:
        """Return the nearest float64 of what part of the sum of all cells, which is not 0, each has."""
        whole = sum(self.units)
        return [_quotient(unit, whole) for unit in self.units]

    def over(self, divisors: CellSums) -> list[float | None]:
        """Return the nearest float64 of each cell's quotient with that of another; None where that is 0."""
        more, less = _ratio(self.exponent - divisors.exponent)
        pairs = zip(self.units, divisors.units, strict=True)
        return [_quotient(unit * more, divisor * less) if divisor else None for unit, divisor in pairs]

    def mean_over(self, divisors: CellSums) -> float:
        """Return the nearest float64 of the mean of the quotients with another's cells, which are not negative.

        Those where that cell is 0 do not count; the mean of none is 0. As so many divisors have no common one of any use, every
        quotient is cut 128 bits below the largest; where it then remains open which float64 is nearest, fractions tell.
        """
        found = [(unit, divisor) for unit, divisor in zip(self.units, divisors.units, strict=True) if divisor]
        count, exponent = max(len(found), 1), self.exponent - divisors.exponent
        size = max((unit.bit_length() - divisor.bit_length() for unit, divisor in found if unit), default=0)
        shift = _MEAN_BITS - size
        cut = sum(_shifted(unit, shift) // _shifted(divisor, -shift) for unit, divisor in found)
        more, less = _ratio(exponent - shift)
        low, high = (_quotient(bound * more, count * less) for bound in (cut, cut + len(found)))
        if low == high:
            return low
        whole = sum((Fraction(unit, divisor) for unit, divisor in found), Fraction(0))
        more, less = _ratio(exponent)
        return _quotient(whole.numerator * more, whole.denominator * count * less)

    def _in_units(self, exponent: int) -> list[int]:
        shift = self.exponent - exponent
        return [unit << shift for unit in self.units] if shift else self.units


def _quotient(number: int, divisor: int) -> float:
    """Return the nearest float64 of a quotient, ±inf beyond its range."""
    try:
        return number / divisor  # rounded once, whatever the size of the integers
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _scaled(number: int, exponent: int) -> Fraction:
    """Return number * 2**exponent."""
    return Fraction(number << exponent) if exponent >= 0 else Fraction(number, 1 << -exponent)


def _ratio(exponent: int) -> tuple[int, int]:
    """Return 2**exponent as a factor and a divisor."""
    return 1 << max(exponent, 0), 1 << max(-exponent, 0)


def _shifted(number: int, bits: int) -> int:
    return number << bits if bits > 0 else number
