"""The share of right predictions, and its standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root
from ce_cli.state.spread import Spread

if TYPE_CHECKING:
    from fractions import Fraction

    from ce_cli.arrays import Bools, Floats


class Hits:
    """Σw[correct] and Σw over the rows that can be right or wrong."""

    def __init__(self) -> None:
        self._correct, self._judged = 0, 0
        self._weights = {"correct": ExactSums(), "judged": ExactSums()}
        self._spread = Spread()

    def add(self, correct: Bools, judged: Bools | None, weight: Floats | None) -> None:
        """Add rows: correct and judged `(n,) bool` (judged None: all are), weight `(n,) float64` or None for 1 each."""
        hits = correct if judged is None else correct & judged
        if weight is None:
            self._correct += int(np.count_nonzero(hits))
            self._judged += len(correct) if judged is None else int(np.count_nonzero(judged))
            return
        self._weights["correct"].add(weight * hits)
        self._weights["judged"].add(weight if judged is None else weight * judged)
        if judged is None:
            self._spread.add(hits.astype(np.float64), weight)
        else:
            self._spread.add(hits[judged].astype(np.float64), weight[judged])

    def merge(self, other: Hits) -> None:
        """Add what another state has seen."""
        self._correct += other._correct
        self._judged += other._judged
        for name, sums in self._weights.items():
            sums.merge(other._weights[name])
        self._spread.merge(other._spread)

    def rate(self) -> Fraction | None:
        """Return the weighted share of right ones, None where no row was judged."""
        judged = self._weights["judged"].total() + self._judged
        return (self._weights["correct"].total() + self._correct) / judged if judged else None

    def standard_error(self) -> float | None:
        """Return the standard error of the rate with rows that are independent; None for fewer than two that were judged."""
        rate = self.rate()
        if rate is None or self.n < 2:
            return None
        if self._spread.n:
            return self._spread.standard_error(rate, self._weights["judged"].total())
        return square_root(rate * (1 - rate) / (self._judged - 1))

    @property
    def n(self) -> int:
        """How many rows were judged."""
        return self._judged + self._spread.n
