"""Everything that one pass over the data gathers; it merges, pickles, and refuses what belongs to another plan."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.calibration import CalibrationBins
from ce_cli.state.classes import ClassSums, LabelledRows
from ce_cli.state.exact import ExactSums, add_products, factor
from ce_cli.state.histogram import LossHistogram
from ce_cli.state.hits import Hits
from ce_cli.state.moments import Moments
from ce_cli.state.tally import Tally
from ce_cli.state.worst import WorstRows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Scored
    from ce_cli.plan import EvalPlan

_MOST_OTHERS = 100  # texts beside the positive class: two are an error already
_FURTHER = "one of many further labels"
TALLIES = ("infinite", "clipped", "above_one", "renormalized", "uneven", "ignored", "zero_weight", "ties")


class EvalState:
    """The statistics of the scored rows."""

    def __init__(self, plan: EvalPlan) -> None:
        self.plan = plan
        self.loss = Moments()
        self.classes = ClassSums(plan.k)
        self.calibration = CalibrationBins(plan.ece_bins)
        self.quantiles = LossHistogram()
        self.worst = WorstRows(plan.top)
        self.tallies = {name: Tally() for name in TALLIES}
        self.others: dict[str, Tally] = {}
        self.scored = 0
        self.max_row_sum_error: float | None = None
        self._brier = ExactSums()
        self._hits = Hits()

    def update(
        self,
        scored: Scored,
        weight: Floats | None,
        rows: Ints,
        describe: Callable[[Ints], Sequence[tuple[object, ...]]],
    ) -> None:
        """Add rows of positive weight.

        weight: `(n,) float64` or None for 1 each. rows: `(n,) int64`, their numbers from 0. describe: see `WorstRows.add`.
        """
        n = len(scored.loss)
        if n == 0:
            return
        self.scored += n
        loss, total_weight = _objective(scored, weight)
        self._add_losses(loss, total_weight, rows)
        self._add_classes(scored, weight)
        self.calibration.add(scored.confidence, scored.outcome, weight)
        self.quantiles.add(loss)
        self.worst.add(loss, rows, describe)
        if weight is None:
            self._brier.add(scored.brier)
        else:
            add_products(self._brier, factor(scored.brier), factor(weight))
        self.tally("clipped", scored.clipped, rows)
        if scored.judged is not None:
            self.tally("ties", ~scored.judged, rows)

    def tally(self, name: str, flags: Bools | None, rows: Ints) -> None:
        """Count the rows where `flags` is true."""
        if flags is not None and flags.any():
            self.tallies[name].add(rows[flags])

    def note_other(self, text: str, rows: Ints) -> None:
        """Count rows whose label is not the positive class, by their text."""
        if len(rows):
            known = text if text in self.others or len(self.others) < _MOST_OTHERS else _FURTHER
            self.others.setdefault(known, Tally()).add(np.sort(rows))

    def note_sum_error(self, error: Floats) -> None:
        """Note by how much rows miss a sum of 1."""
        if len(error):
            self.max_row_sum_error = max(self.max_row_sum_error or 0.0, float(error.max()))

    def merge(self, other: EvalState) -> None:
        """Add what another state of the same plan has seen."""
        if other.plan != self.plan:
            raise ValueError("these states belong to different plans")
        for name in ("loss", "classes", "calibration", "quantiles", "worst", "_brier", "_hits"):
            getattr(self, name).merge(getattr(other, name))
        for name, tally in other.tallies.items():
            self.tallies[name].merge(tally)
        for text, tally in other.others.items():
            self.others.setdefault(text, Tally()).merge(tally)
        self.scored += other.scored
        if other.max_row_sum_error is not None:
            self.note_sum_error(np.array([other.max_row_sum_error]))

    def brier(self) -> Fraction:
        """Return Σ w·brier / Σ w."""
        return self._brier.total() / sum((total.weight for total in self.classes.totals()), Fraction(0))

    def accuracy(self) -> Fraction | None:
        """Return the weighted share of right predictions among the rows that can be right or wrong; None without any."""
        return self._hits.rate()

    def _add_losses(self, loss: Floats, weight: Floats | None, rows: Ints) -> None:
        if weight is not None and not weight.all():
            # A class may weigh nothing.
            loss, weight, rows = loss[weight > 0], weight[weight > 0], rows[weight > 0]
        if len(loss) and float(loss.max()) == np.inf:
            finite = loss < np.inf
            self.tally("infinite", ~finite, rows)
            loss, weight = loss[finite], None if weight is None else weight[finite]
        if len(loss):
            self.loss.add(loss, weight)

    def _add_classes(self, scored: Scored, weight: Floats | None) -> None:
        self._hits.add(scored.correct, scored.judged, weight)
        for part in scored.parts:
            if part.at is None:
                rows = LabelledRows(part.label, part.loss, part.prob, scored.correct, scored.judged)
                self.classes.add(rows, weight)
                continue
            correct = scored.predicted[part.at] == part.label
            judged = None if scored.judged is None else scored.judged[part.at]
            rows = LabelledRows(part.label, part.loss, part.prob, correct, judged, part.share)
            self.classes.add(rows, None if weight is None else weight[part.at])


def _objective(scored: Scored, weight: Floats | None) -> tuple[Floats, Floats | None]:
    """Return the loss to be averaged and what each row weighs in it."""
    if scored.objective is None:
        return scored.loss, weight
    own = scored.objective.weight
    return scored.objective.loss, weight if own is None else own if weight is None else own * weight
