"""Calibration error over bins of equal width."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.state.cell_sums import CellSums
from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root, to_float
from ce_cli.state.products import add_products, factor

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints


_NEAR = 2.0**-20  # far more than the rounding of p·B, for any number of bins up to 2**32


class CalibrationErrors(NamedTuple):
    """What bins tell of how far the rate of outcomes is from what was predicted.

    l1: the expected calibration error Σ_b (W_b/W) |ȳ_b - p̄_b| (Naeini, Cooper & Hauskrecht 2015).
    l2: √(Σ_b (W_b/W) (ȳ_b - p̄_b)²).
    l2_debiased: √max(0, Σ_b (W_b/W) [(ȳ_b - p̄_b)² - ȳ_b(1 - ȳ_b)/(n_b - 1)]) over the bins with n_b >= 2 (Kumar, Liang & Ma,
    "Verified uncertainty calibration", 2019). With weights, n_b is the effective number of rows of the bin, (Σw)²/Σw² (Kish
    1965), and bins with fewer than 2 are left out.
    largest: the maximum calibration error max_b |ȳ_b - p̄_b| (Naeini, Cooper & Hauskrecht 2015).
    """

    l1: float
    l2: float
    l2_debiased: float
    largest: float


class _Columns(NamedTuple):
    """Σw, Σw², Σwp and Σwy of some cells, those of probabilities of 0 before those of the bins."""

    weight: CellSums
    squares: CellSums
    prob: CellSums
    outcome: CellSums


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
        outcomes = self._outcomes()
        return [outcomes.some(cells).total() for cells in self._of_groups()]

    def probs_of_outcomes(self) -> CellSums:
        """Return Σ(1-p) of the rows whose outcome is false, and Σp of those where it is true.

        Of those of weight 1, with an outcome that was given as bool.
        """
        misses = int(self._counts_by_outcome[0::2].sum())
        low, high = self._by_outcome()
        return CellSums([-sum(low.units), sum(high.units)], low.exponent) + CellSums([misses, 0])

    def errors(self) -> CalibrationErrors:
        """Return the errors over the bins of all groups together; 0 without rows."""
        filled = _filled(self._over_groups())
        squares, debiased = Fraction(0), Fraction(0)
        for share, gap, rate, n in filled:
            squares += gap**2 * share
            if n >= 2:
                debiased += share * (gap**2 - rate * (1 - rate) / (n - 1))
        largest = max((abs(gap) for _, gap, _, _ in filled), default=Fraction(0))
        return CalibrationErrors(
            _l1(filled), square_root(squares), square_root(max(Fraction(0), debiased)), to_float(largest)
        )

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
        """Return the expected calibration error of each group alone, 0 for one without rows."""
        columns = self._columns()
        return [_l1(_filled(_Columns(*(column.some(cells) for column in columns)))) for cells in self._of_groups()]

    def _over_groups(self) -> _Columns:
        """Return the sums of every cell over all groups."""
        size = self._bins + 1
        cells = [slice(at, None, size) for at in range(size)]
        return _Columns(
            *(CellSums([sum(column.units[of]) for of in cells], column.exponent) for column in self._columns())
        )

    def _columns(self) -> _Columns:
        """Return the sums of every cell."""
        low, high = self._by_outcome()
        prob = self._sums["prob"].by_cell() + low + high
        if self._weighted:
            return _Columns(
                self._sums["weight"].by_cell(), self._sums["weight_squares"].by_cell(), prob, self._outcomes()
            )
        rows = CellSums(self._counts().tolist())
        return _Columns(rows, rows, prob, self._outcomes())

    def _of_groups(self) -> list[slice]:
        size = self._bins + 1
        return [slice(start, start + size) for start in range(0, self._cells, size)]

    def _by_outcome(self) -> tuple[CellSums, CellSums]:
        """Return Σp of every cell, of its rows whose outcome is false and of those where it is true."""
        sums = self._prob_by_outcome.by_cell()
        return sums.some(slice(0, None, 2)), sums.some(slice(1, None, 2))

    def _outcomes(self) -> CellSums:
        """Return Σwy of every cell."""
        return self._sums["outcome"].by_cell() + CellSums(self._counts_by_outcome[1::2].tolist())

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


def _first_joined(sums: CellSums) -> list[Fraction]:
    cells = sums.fractions()
    return [cells[0] + cells[1], *cells[2:]]


def _errors_of_product(edges: Floats) -> tuple[bool, bool]:
    """Tell whether ⌈p·B⌉, computed in float64, is below the right bin for any p, and whether it is above it for any.

    The rounded product is monotonic in p, so that it is enough to look at each edge and at the next number above it.
    """
    whole = np.arange(len(edges), dtype=np.float64)
    bins = len(edges) - 1
    above = np.nextafter(edges[:-1], 2.0) * bins
    return bool((above <= whole[:-1]).any()), bool((edges * bins > whole).any())
