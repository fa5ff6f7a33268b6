"""The share of right predictions, and its standard error."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root
from ce_cli.state.products import factor, in_range

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats


class Hits:
    """Σw[correct] and Σw over the rows that can be right or wrong."""

    def __init__(self) -> None:
        self._correct, self._judged = 0, 0
        self._weights = {"correct": ExactSums(), "judged": ExactSums()}
        self._weight_squares = {"correct": ExactSums(), "judged": ExactSums()}
        self._weighed = 0

    def add(self, correct: Bools, judged: Bools | None, weight: Floats | None) -> None:
        """Add rows: correct and judged `(n,) bool` (judged None: all are), weight `(n,) float64` or None for 1 each."""
        hits = correct if judged is None else correct & judged
        if weight is None:
            self._correct += int(np.count_nonzero(hits))
            self._judged += len(correct) if judged is None else int(np.count_nonzero(judged))
            return
        self._weights["correct"].add(weight * hits)
        self._weights["judged"].add(weight if judged is None else weight * judged)
        by_weight = factor(weight)
        squares = by_weight.times(by_weight)
        self._weighed += len(weight) if judged is None else int(np.count_nonzero(judged))
        for name, flags in (("correct", hits), ("judged", judged)):
            for rows, values, power in in_range(squares):
                counted = values if flags is None else values * flags[rows]
                self._weight_squares[name].add(counted, None, power)

    def merge(self, other: Hits) -> None:
        """Add what another state has seen."""
        self._correct += other._correct
        self._judged += other._judged
        for name, sums in self._weights.items():
            sums.merge(other._weights[name])
        for name, sums in self._weight_squares.items():
            sums.merge(other._weight_squares[name])
        self._weighed += other._weighed

    def rate(self) -> Fraction | None:
        """Return the weighted share of right ones, None where no row was judged."""
        judged = self._weights["judged"].total() + self._judged
        return (self._weights["correct"].total() + self._correct) / judged if judged else None

    def standard_error(self) -> float | None:
        """Return the standard error of the rate with rows that are independent; None for fewer than two that were judged.

        That is √(n/(n-1) · Σw²([correct] - rate)²) / Σw, each w² being rounded once.
        """
        rate, n = self.rate(), self.n
        if rate is None or n < 2:
            return None
        if not self._weighed:
            return square_root(rate * (1 - rate) / (n - 1))
        right = self._weight_squares["correct"].total()
        wrong = self._weight_squares["judged"].total() - right
        squares = right * (1 - rate) ** 2 + wrong * rate**2
        return square_root(Fraction(n, n - 1) * squares / self._weights["judged"].total() ** 2)

    @property
    def n(self) -> int:
        """How many rows were judged."""
        return self._judged + self._weighed
