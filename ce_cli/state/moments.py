"""A weighted mean and its standard error."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root
from ce_cli.state.products import add_pairs, factor

if TYPE_CHECKING:
    from ce_cli.arrays import Floats
    from ce_cli.state.extent import Extent


class Moments:
    """The mean and the standard error of finite values; exact until the last rounding, so nothing cancels or overflows.

    spread: whether the standard error is wanted, where values have no weights.
    """

    def __init__(self, *, spread: bool = True) -> None:
        self.n = 0
        self._spread = spread
        self._weighted = False
        self._values = ExactSums()
        self._squares = ExactSums()
        self._weights = ExactSums()
        self._weight_squares = ExactSums()
        self._cross = ExactSums()

    def add(self, values: Floats, weights: Floats | None, extent: Extent | None = None) -> None:
        """Add finite values, `(n,) float64`, with positive weights, `(n,) float64` or None for 1 each.

        extent: bounds of the values, where they are known.
        """
        self.n += len(values)
        if weights is None and not self._spread:
            self._values.add(values, extent=extent)
            return
        value = factor(values, extent)
        if weights is None:
            add_pairs([value], {(0, -1): self._values, (0, 0): self._squares})
            return
        self._weighted = True
        weight = factor(weights)
        pairs = {
            (1, -1): self._weights,
            (0, 1): self._values,
            (2, 2): self._squares,
            (2, 1): self._cross,
            (1, 1): self._weight_squares,
        }
        add_pairs([value, weight, value.times(weight)], pairs)

    def merge(self, other: Moments) -> None:
        """Add what another state has seen."""
        self.n += other.n
        self._weighted |= other._weighted
        for name in ("_values", "_squares", "_weights", "_weight_squares", "_cross"):
            getattr(self, name).merge(getattr(other, name))

    @property
    def weighted(self) -> bool:
        """Whether values had weights."""
        return self._weighted

    def weight(self) -> Fraction:
        """Return Σw."""
        return self._weights.total() if self._weighted else Fraction(self.n)

    def mean(self) -> Fraction | None:
        """Return Σwx / Σw, None without rows."""
        return self._values.total() / self.weight() if self.n else None

    def standard_error(self) -> float | None:
        """Return √(n/(n-1) · Σw²(x-μ)²) / Σw, which is s/√n without weights; None for fewer than two rows, or unwanted."""
        mean = self.mean()
        if mean is None or self.n < 2 or not self._spread:
            return None
        if self._weighted:
            squares = self._squares.total() - 2 * mean * self._cross.total() + mean**2 * self._weight_squares.total()
        else:
            squares = self._squares.total() - mean**2 * self.n
        return square_root(Fraction(self.n, self.n - 1) * squares / self.weight() ** 2)
