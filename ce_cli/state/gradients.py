"""The sum of the gradients of all rows, by column, and the weight that the mean divides by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.evaluation import objective
from ce_cli.state.exact import ExactSums
from ce_cli.state.products import add_products, factor

if TYPE_CHECKING:
    from fractions import Fraction

    from ce_cli.arrays import Floats, Ints
    from ce_cli.block import Scored


class GradientSums:
    """Σ w g of every column, and Σ w with w the weight of the row in the mean loss."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._sums = ExactSums(columns)
        self._weight = ExactSums()
        self._n = 0

    def add(self, scored: Scored, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - rows do not matter
        """Add rows of positive weight."""
        assert scored.gradient is not None  # this state is made only where they are wanted
        total = objective(scored, weight)[1]
        if total is None:
            self._n += len(scored.loss)
        else:
            self._weight.add(total)
        for column, values in enumerate(scored.gradient.T):
            cell = np.full(len(values), column)
            if weight is None:
                self._sums.add(values, cell)
            else:
                add_products(self._sums, factor(values), factor(weight), cell)

    def merge(self, other: GradientSums) -> None:
        """Add what another state has seen."""
        self._n += other._n
        self._sums.merge(other._sums)
        self._weight.merge(other._weight)

    def weight(self) -> Fraction:
        """Return Σ w."""
        return self._weight.total() + self._n

    def means(self) -> list[Fraction]:
        """Return Σ w g / Σ w of every column."""
        weight = self.weight()
        return [total / weight for total in self._sums.totals()]
