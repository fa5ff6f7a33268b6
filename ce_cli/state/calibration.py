"""Calibration error over bins of equal width."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.exact import ExactSums, add_products, factor
from ce_cli.state.fractions import square_root, to_float

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints


class CalibrationBins:
    """Σw, Σwp and Σwy by bin of the predicted probability p; y is the outcome in [0, 1].

    Bins are closed on the right, with edges k/B as float64 has them; a p of 0 is in the first.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._edges = np.arange(bins + 1) / bins
        self._too_low, self._too_high = _errors_of_product(self._edges)
        # Cell 0 holds the probabilities of exactly 0; it counts as part of the first bin.
        self._n = np.zeros(bins + 1, dtype=np.int64)
        self._hits = np.zeros(bins + 1, dtype=np.int64)
        self._sums = {name: ExactSums(bins + 1) for name in ("weight", "prob", "outcome", "weight_squares")}
        self._weighted = False

    def add(self, prob: Floats, outcome: Floats | Bools, weight: Floats | None) -> None:
        """Add rows: prob `(n,) float64`, outcome `(n,) float64` or bool, weight `(n,) float64`, positive, or None for 1."""
        cell = self._cell_of(prob)
        if weight is None:
            self._sums["prob"].add(prob, cell)
            self._add_outcomes(outcome, cell)
            return
        self._weighted = True
        self._n += np.bincount(cell, minlength=self._bins + 1)
        by_weight = factor(weight)
        add_products(self._sums["prob"], factor(prob), by_weight, cell)
        add_products(self._sums["outcome"], factor(outcome.astype(np.float64)), by_weight, cell)
        add_products(self._sums["weight_squares"], by_weight, by_weight, cell)
        self._sums["weight"].add(weight, cell)

    def merge(self, other: CalibrationBins) -> None:
        """Add what another state has seen."""
        self._n += other._n
        self._hits += other._hits
        self._weighted |= other._weighted
        for name, sums in self._sums.items():
            sums.merge(other._sums[name])

    def l1(self) -> float:
        """Return the expected calibration error Σ_b (W_b/W) |ȳ_b - p̄_b| (Naeini, Cooper & Hauskrecht 2015)."""
        return to_float(sum((abs(gap) * share for share, gap, _, _ in self._filled()), Fraction(0)))

    def l2(self) -> float:
        """Return √(Σ_b (W_b/W) (ȳ_b - p̄_b)²)."""
        return square_root(sum((gap**2 * share for share, gap, _, _ in self._filled()), Fraction(0)))

    def l2_debiased(self) -> float:
        """Return √max(0, Σ_b (W_b/W) [(ȳ_b - p̄_b)² - ȳ_b(1 - ȳ_b)/(n_b - 1)]) over the bins with n_b >= 2.

        Source: Kumar, Liang & Ma, "Verified uncertainty calibration" (2019). With weights, n_b is the effective number of
        rows of the bin, (Σw)²/Σw² (Kish 1965), and bins with fewer than 2 are left out.
        """
        total = Fraction(0)
        for share, gap, rate, n in self._filled():
            if n >= 2:
                total += share * (gap**2 - rate * (1 - rate) / (n - 1))
        return square_root(max(Fraction(0), total))

    def _filled(self) -> list[tuple[Fraction, Fraction, Fraction, Fraction]]:
        """Return (W_b/W, ȳ_b - p̄_b, ȳ_b, n_b) of every bin with rows."""
        prob, outcome = self._totals("prob"), self._totals("outcome")
        weight, size = self._weights()
        total = sum(weight, Fraction(0))
        return [(w / total, (y - p) / w, y / w, n) for w, p, y, n in zip(weight, prob, outcome, size, strict=True) if w]

    def _weights(self) -> tuple[list[Fraction], list[Fraction]]:
        if not self._weighted:
            rows = _first_joined([Fraction(n) for n in self._n.tolist()])
            return rows, rows
        weight, squares = self._totals("weight"), self._totals("weight_squares")
        return weight, [w**2 / s if s else Fraction(0) for w, s in zip(weight, squares, strict=True)]

    def _totals(self, name: str) -> list[Fraction]:
        totals = self._sums[name].totals()
        if name == "outcome":
            totals = [total + hits for total, hits in zip(totals, self._hits.tolist(), strict=True)]
        return _first_joined(totals)

    def _add_outcomes(self, outcome: Floats | Bools, cell: Ints) -> None:
        if outcome.dtype != np.bool_:
            self._n += np.bincount(cell, minlength=self._bins + 1)
            self._sums["outcome"].add(outcome.astype(np.float64, copy=False), cell)
            return
        by_outcome = np.zeros(2 * (self._bins + 1), dtype=np.int64)
        np.add.at(by_outcome, np.add(2 * cell, outcome, dtype=np.int64), 1)
        self._n += by_outcome[0::2] + by_outcome[1::2]
        self._hits += by_outcome[1::2]

    def _cell_of(self, prob: Floats) -> Ints:
        """Return 1 + the bin of every probability, 0 for a probability of 0."""
        product = prob * self._bins
        cell = np.ceil(product, out=product).astype(np.int64)
        if self._too_low:
            cell += prob > self._edges.take(cell)
        if self._too_high:
            cell -= (prob <= self._edges.take(np.maximum(cell - 1, 0))) & (cell > 1)
        return cell


def _first_joined(cells: list[Fraction]) -> list[Fraction]:
    return [cells[0] + cells[1], *cells[2:]]


def _errors_of_product(edges: Floats) -> tuple[bool, bool]:
    """Tell whether ⌈p·B⌉, computed in float64, is below the right bin for any p, and whether it is above it for any.

    The rounded product is monotonic in p, so that it is enough to look at each edge and at the next number above it.
    """
    whole = np.arange(len(edges), dtype=np.float64)
    bins = len(edges) - 1
    above = np.nextafter(edges[:-1], 2.0) * bins
    return bool((above <= whole[:-1]).any()), bool((edges * bins > whole).any())
