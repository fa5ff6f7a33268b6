"""Calibration error over bins of equal width."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root, to_float
from ce_cli.state.products import add_products, factor

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints


_NEAR = 2.0**-20  # far more than the rounding of p·B, for any number of bins up to 2**32


class _Columns(NamedTuple):
    """Σw, Σw², Σwp and Σwy of some cells, those of probabilities of 0 before those of the bins."""

    weight: list[Fraction]
    squares: list[Fraction]
    prob: list[Fraction]
    outcome: list[Fraction]


class FilledBin(NamedTuple):
    """A bin with rows: (lower, upper], their number, the effective one, their weight, and the weighted means."""

    lower: float
    upper: float
    n: int
    effective: float
    weight: float
    predicted: float
    observed: float


class CalibrationBins:
    """Σw, Σwp and Σwy by bin of the predicted probability p; y is the outcome in [0, 1].

    Bins are closed on the right, with edges k/B as float64 has them; a p of 0 is in the first. With several groups each
    row belongs to one, which has bins of its own beside those that all groups have together.
    """

    def __init__(self, bins: int, groups: int = 1) -> None:
        self._bins, self._groups = bins, groups
        self._edges = np.arange(bins + 1) / bins
        self._too_low, self._too_high = _errors_of_product(self._edges)
        # Cell 0 of a group holds the probabilities of exactly 0; it counts as part of the first bin.
        self._cells = groups * (bins + 1)
        self._n = np.zeros(self._cells, dtype=np.int64)
        # Rows of weight 1 with an outcome of 0 or 1 have two places for each cell, one for either, and are only counted there.
        self._counts_by_outcome = np.zeros(2 * self._cells, dtype=np.int64)
        self._prob_by_outcome = ExactSums(2 * self._cells)
        self._sums = {name: ExactSums(self._cells) for name in ("weight", "prob", "outcome", "weight_squares")}
        self._weighted = False

    def add(self, prob: Floats, outcome: Floats | Bools, weight: Floats | None, group: Ints | None = None) -> None:
        """Add rows.

        prob: `(n,) float64`. outcome: `(n,) float64` or bool. weight: `(n,) float64`, positive, or None for 1 each. group:
        `(n,) int64`, None where there is only one.
        """
        if len(prob) == 0:
            return
        cell = self._cell_of(prob)
        if group is not None:
            cell += group * (self._bins + 1)
        if weight is None and outcome.dtype == np.bool_:
            place = np.add(2 * cell, outcome, dtype=np.int64)
            np.add.at(self._counts_by_outcome, place, 1)
            self._prob_by_outcome.add(prob, place)
            return
        self._n += np.bincount(cell, minlength=self._cells)
        if weight is None:
            self._sums["prob"].add(prob, cell)
            self._sums["outcome"].add(outcome.astype(np.float64, copy=False), cell)
            return
        self._weighted = True
        by_weight = factor(weight)
        add_products(self._sums["prob"], factor(prob), by_weight, cell)
        add_products(self._sums["outcome"], factor(outcome.astype(np.float64)), by_weight, cell)
        add_products(self._sums["weight_squares"], by_weight, by_weight, cell)
        self._sums["weight"].add(weight, cell)

    def merge(self, other: CalibrationBins) -> None:
        """Add what another state has seen."""
        self._n += other._n
        self._counts_by_outcome += other._counts_by_outcome
        self._prob_by_outcome.merge(other._prob_by_outcome)
        self._weighted |= other._weighted
        for name, sums in self._sums.items():
            sums.merge(other._sums[name])

    def outcomes(self) -> list[Fraction]:
        """Return Σwy of every group."""
        totals = self._totals("outcome")
        return [sum(totals[cells], Fraction(0)) for cells in self._of_groups()]

    def by_outcome(self) -> list[tuple[int, Fraction]]:
        """Return the number and Σp of the rows whose outcome is false, and of those where it is true.

        Of those of weight 1, with an outcome that was given as bool.
        """
        counts, probs = self._counts_by_outcome, self._prob_by_outcome.totals()
        return [(int(counts[outcome::2].sum()), sum(probs[outcome::2], Fraction(0))) for outcome in (0, 1)]

    def l1(self) -> float:
        """Return the expected calibration error Σ_b (W_b/W) |ȳ_b - p̄_b| (Naeini, Cooper & Hauskrecht 2015)."""
        return _l1(self._filled())

    def largest(self) -> float:
        """Return the maximum calibration error max_b |ȳ_b - p̄_b| (Naeini, Cooper & Hauskrecht 2015)."""
        return to_float(max(abs(gap) for _, gap, _, _ in self._filled()))

    def filled(self) -> list[FilledBin]:
        """Return the bins that have rows, of all groups together."""
        size = self._bins + 1
        counts = self._counts().reshape(self._groups, size).sum(axis=0).tolist()
        joined = zip(*map(_first_joined, self._over_groups()), strict=True)
        found = []
        for at, (weight, squares, prob, outcome) in enumerate(joined):
            n = counts[at + 1] + (counts[0] if at == 0 else 0)
            if n:
                means = to_float(prob / weight), to_float(outcome / weight)
                lower, upper = self._edges[at : at + 2].tolist()
                found.append(FilledBin(lower, upper, n, to_float(weight**2 / squares), to_float(weight), *means))
        return found

    def l1_by_group(self) -> list[float]:
        """Return the same for each group alone, 0 for one without rows."""
        columns = self._columns()
        return [_l1(_filled(_Columns(*(column[cells] for column in columns)))) for cells in self._of_groups()]

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
        """Return what `_filled` does of all groups together."""
        return _filled(self._over_groups())

    def _over_groups(self) -> _Columns:
        """Return the sums of every cell over all groups."""
        size = self._bins + 1
        return _Columns(*([sum(column[at::size], Fraction(0)) for at in range(size)] for column in self._columns()))

    def _columns(self) -> _Columns:
        """Return the sums of every cell."""
        prob, outcome = self._totals("prob"), self._totals("outcome")
        if self._weighted:
            return _Columns(self._totals("weight"), self._totals("weight_squares"), prob, outcome)
        rows = [Fraction(n) for n in self._counts().tolist()]
        return _Columns(rows, rows, prob, outcome)

    def _of_groups(self) -> list[slice]:
        size = self._bins + 1
        return [slice(start, start + size) for start in range(0, self._cells, size)]

    def _totals(self, name: str) -> list[Fraction]:
        totals = self._sums[name].totals()
        if name == "outcome":
            totals = [total + hits for total, hits in zip(totals, self._counts_by_outcome[1::2].tolist(), strict=True)]
        if name == "prob":
            probs = self._prob_by_outcome.totals()
            totals = [total + low + high for total, low, high in zip(totals, probs[0::2], probs[1::2], strict=True)]
        return totals

    def _counts(self) -> Ints:
        """Return the number of rows of every cell."""
        return self._n + self._counts_by_outcome[0::2] + self._counts_by_outcome[1::2]

    def _cell_of(self, prob: Floats) -> Ints:
        """Return 1 + the bin of every probability, 0 for a probability of 0."""
        product = prob * self._bins
        upper = np.ceil(product)
        cell = upper.astype(np.int64)
        below = np.subtract(upper, product, out=product)
        # Only a product that is a whole number, or just above one, may have been rounded across an edge.
        if self._too_low and below.min() == 0:
            cell += prob > self._edges.take(cell)
        if self._too_high and below.max() > 1 - _NEAR:
            cell -= (prob <= self._edges.take(np.maximum(cell - 1, 0))) & (cell > 1)
        return cell


def _l1(filled: list[tuple[Fraction, Fraction, Fraction, Fraction]]) -> float:
    return to_float(sum((abs(gap) * share for share, gap, _, _ in filled), Fraction(0)))


def _filled(columns: _Columns) -> list[tuple[Fraction, Fraction, Fraction, Fraction]]:
    """Return (W_b/W, ȳ_b - p̄_b, ȳ_b, n_b) of every bin with rows."""
    bins = list(zip(*map(_first_joined, columns), strict=True))
    total = sum((weight for weight, _, _, _ in bins), Fraction(0))
    return [
        (w / total, (y - p) / w, y / w, w**2 / squares if squares else Fraction(0)) for w, squares, p, y in bins if w
    ]


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
