"""The standard error of a mean that is known exactly, from squares that are rounded once: at a fraction of `Moments`' cost."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from ce_cli.state.exact import ExactSums
from ce_cli.state.extent import extent_of
from ce_cli.state.fractions import square_root
from ce_cli.state.products import factor, in_range

if TYPE_CHECKING:
    from ce_cli.arrays import Floats
    from ce_cli.state.extent import Extent
    from ce_cli.state.products import Factor

_NOISE = Fraction(1, 1 << 50)  # three roundings of a product, relative to the sum of squares


class Spread:
    """Σw²x², Σw²x and Σw², of products rounded to float64 but summed exactly: no order or split changes a bit."""

    def __init__(self) -> None:
        self.n = 0
        self._weighted = False
        self._least, self._largest = math.inf, -math.inf
        self._squares, self._cross, self._weight_squares = ExactSums(), ExactSums(), ExactSums()

    def add(self, values: Floats, weights: Floats | None, extent: Extent | None = None) -> None:
        """Add finite values, `(n,) float64`, with positive weights, `(n,) float64` or None for 1 each.

        extent: that of the values, where it is known.
        """
        if len(values) == 0:
            return
        self.n += len(values)
        extent = extent_of(values) if extent is None else extent
        self._least, self._largest = min(self._least, extent.least), max(self._largest, extent.largest)
        value = factor(values, extent)
        if weights is None:
            _add(self._squares, value.times(value))
            return
        self._weighted = True
        weight = factor(weights)
        product = value.times(weight)
        _add(self._squares, product.times(product))
        _add(self._cross, product.times(weight))
        _add(self._weight_squares, weight.times(weight))

    def merge(self, other: Spread) -> None:
        """Add what another state has seen."""
        self.n += other.n
        self._least, self._largest = min(self._least, other._least), max(self._largest, other._largest)
        self._weighted |= other._weighted
        self._squares.merge(other._squares)
        self._cross.merge(other._cross)
        self._weight_squares.merge(other._weight_squares)

    def standard_error(self, mean: Fraction, weight: Fraction) -> float | None:
        """Return √(n/(n-1) · Σw²(x-μ)²) / Σw from μ and Σw, s/√n without weights; None for fewer than two rows.

        None too for values that differ, but by no more than the rounding of the squares tells: about 3e-8 of their root mean.
        """
        if self.n < 2:
            return None
        if self._least == self._largest:
            return 0.0
        squares = self._squares.total()
        if self._weighted:
            left = squares - 2 * mean * self._cross.total() + mean**2 * self._weight_squares.total()
        else:
            left = squares - mean**2 * self.n
        if left <= squares * _NOISE:
            return None
        return square_root(Fraction(self.n, self.n - 1) * left / weight**2)


def _add(sums: ExactSums, values: Factor) -> None:
    if values.exponent is None:
        sums.add(values.mantissa, extent=values.extent)
        return
    for _, part, power in in_range(values):
        sums.add(part, None, power)
