"""Calibration error over bins of equal width."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.exact import ExactSums, add_products, factor
from ce_cli.state.fractions import square_root, to_float

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints


class CalibrationBins:
    """Σw, Σwp and Σwy by bin of the predicted probability p; y is the outcome in [0, 1].

    Bins are closed on the right, with edges k/B as float64 has them; a p of 0 is in the first.
    """

    def __init__(self, bins: int) -> None:
        self._edges = np.arange(bins + 1) / bins
        self._n = np.zeros(bins, dtype=np.int64)
        self._sums = {name: ExactSums(bins) for name in ("weight", "prob", "outcome", "weight_squares")}
        self._weighted = False

    def add(self, prob: Floats, outcome: Floats, weight: Floats | None) -> None:
        """Add rows: prob and outcome `(n,) float64`, weight `(n,) float64`, positive, or None for 1 each."""
        cell = self._bin_of(prob)
        self._n += np.bincount(cell, minlength=len(self._n))
        if weight is None:
            self._sums["prob"].add(prob, cell)
            self._sums["outcome"].add(outcome, cell)
            return
        self._weighted = True
        by_weight = factor(weight)
        add_products(self._sums["prob"], factor(prob), by_weight, cell)
        add_products(self._sums["outcome"], factor(outcome), by_weight, cell)
        add_products(self._sums["weight_squares"], by_weight, by_weight, cell)
        self._sums["weight"].add(weight, cell)

    def merge(self, other: CalibrationBins) -> None:
        """Add what another state has seen."""
        self._n += other._n
        self._weighted |= other._weighted
        for name, sums in self._sums.items():
            sums.merge(other._sums[name])

    def l1(self) -> float:
        """Return the expected calibration error Σ_b (W_b/W) |ȳ_b - p̄_b| (Naeini, Cooper & Hauskrecht 2015)."""
        return to_float(sum((abs(gap) * share for share, gap, _, _ in self._bins()), Fraction(0)))

    def l2(self) -> float:
        """Return √(Σ_b (W_b/W) (ȳ_b - p̄_b)²)."""
        return square_root(sum((gap**2 * share for share, gap, _, _ in self._bins()), Fraction(0)))

    def l2_debiased(self) -> float:
        """Return √max(0, Σ_b (W_b/W) [(ȳ_b - p̄_b)² - ȳ_b(1 - ȳ_b)/(n_b - 1)]) over the bins with n_b >= 2.

        Source: Kumar, Liang & Ma, "Verified uncertainty calibration" (2019). With weights, n_b is the effective number of
        rows of the bin, (Σw)²/Σw² (Kish 1965), and bins with fewer than 2 are left out.
        """
        total = Fraction(0)
        for share, gap, rate, n in self._bins():
            if n >= 2:
                total += share * (gap**2 - rate * (1 - rate) / (n - 1))
        return square_root(max(Fraction(0), total))

    def _bins(self) -> list[tuple[Fraction, Fraction, Fraction, Fraction]]:
        """Return (W_b/W, ȳ_b - p̄_b, ȳ_b, n_b) of every bin with rows."""
        prob, outcome = self._sums["prob"].totals(), self._sums["outcome"].totals()
        weight, size = self._weights()
        total = sum(weight, Fraction(0))
        return [
            (w / total, (y - p) / w, y / w, n) for w, p, y, n in zip(weight, prob, outcome, size, strict=True) if w
        ]

    def _weights(self) -> tuple[list[Fraction], list[Fraction]]:
        rows = [Fraction(n) for n in self._n.tolist()]
        if not self._weighted:
            return rows, rows
        weight, squares = self._sums["weight"].totals(), self._sums["weight_squares"].totals()
        return weight, [w**2 / s if s else Fraction(0) for w, s in zip(weight, squares, strict=True)]

    def _bin_of(self, prob: Floats) -> Ints:
        bins = len(self._n)
        cell = np.ceil(prob * bins).astype(np.int64)
        cell -= 1
        np.clip(cell, 0, bins - 1, out=cell)
        # The product is rounded: compare with the edges themselves, which are what the definition names.
        cell += prob > self._edges.take(cell + 1)
        cell -= prob <= self._edges.take(cell)
        np.clip(cell, 0, bins - 1, out=cell)
        return cell
