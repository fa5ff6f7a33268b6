"""Everything that one pass over the data gathers; it merges, pickles, and refuses what belongs to another plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ce_cli.errors import fail
from ce_cli.state.extent import extent_of
from ce_cli.state.histogram import LossHistogram
from ce_cli.state.moments import Moments
from ce_cli.state.tally import Tally
from ce_cli.state.worst import WorstRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Objective, Scored
    from ce_cli.plan import EvalPlan
    from ce_cli.state.extent import Extent

_MOST_OTHERS = 100  # texts beside the positive class: two are an error already
_FURTHER = "one of many further labels"
TALLIES = ("infinite", "clipped", "above_one", "renormalized", "uneven", "ignored", "zero_weight", "ties", "unscored")


class Statistic(Protocol):
    """What a task gathers beside the loss: state(A ∪ B) = state(A) merged with state(B), to the last bit."""

    def add(self, scored: Any, weight: Floats | None, rows: Ints) -> None:
        """Add rows of positive weight: what the task scored, `(n,) float64` or None for 1 each, their numbers from 0."""

    def merge(self, other: Any) -> None:
        """Add what another one has seen."""


class EvalState:
    """The statistics of the scored rows: those of the loss, `parts`, those of the task, `aspects`, what else is asked."""

    def __init__(
        self, plan: EvalPlan, parts: Mapping[str, Statistic], aspects: Mapping[str, Any] | None = None
    ) -> None:
        self.plan = plan
        self.parts: dict[str, Any] = dict(parts)
        self.aspects: dict[str, Any] = dict(aspects or {})
        # Where a statistic of the task takes rows in clusters, nobody asks for the error of independent ones.
        self.loss = Moments(spread=not any(getattr(part, "clusters", False) for part in parts.values()))
        self.quantiles = LossHistogram()
        self.worst = WorstRows(plan.top)
        self.tallies = {name: Tally() for name in TALLIES}
        self.others: dict[str, Tally] = {}
        self.scored = 0
        self.unfolded = 0  # values beyond the first in rows that hold several
        self.max_row_sum_error: float | None = None

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
        whole, total_weight = objective(scored, weight)
        loss, extent = whole, extent_of(whole)
        finite = extent
        if scored.infinite is not None and scored.finite is not None:
            self.tallies["infinite"].add(rows[scored.infinite > 0], int(scored.infinite.sum()))
            loss, total_weight = weighed(scored.finite, weight)
            finite = extent_of(loss)
        self._add_losses(loss, total_weight, rows, finite)
        self.quantiles.add(whole, extent)
        self.worst.add(whole, rows, describe, extent)
        for name, flags in scored.counted.items():
            self.tally(name, flags, rows)
        for part in self.parts.values():
            part.add(scored, weight, rows)

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
        self.loss.merge(other.loss)
        self.quantiles.merge(other.quantiles)
        self.worst.merge(other.worst)
        for name, part in other.parts.items():
            self.parts[name].merge(part)
        for name, aspect in other.aspects.items():
            self.aspects[name].merge(aspect)
        for name, tally in other.tallies.items():
            self.tallies[name].merge(tally)
        for text, tally in other.others.items():
            self.others.setdefault(text, Tally()).merge(tally)
        self.scored += other.scored
        self.unfolded += other.unfolded
        if other.max_row_sum_error is not None:
            self.note_sum_error(np.array([other.max_row_sum_error]))

    def _add_losses(self, loss: Floats, weight: Floats | None, rows: Ints, extent: Extent) -> None:
        if weight is not None and not weight.all():
            # A class may weigh nothing.
            loss, weight, rows = loss[weight > 0], weight[weight > 0], rows[weight > 0]
            extent = extent_of(loss)
        if extent.largest == np.inf:
            finite = loss < np.inf
            self.tally("infinite", ~finite, rows)
            loss, weight = loss[finite], None if weight is None else weight[finite]
            extent = extent_of(loss)
        if len(loss):
            self.loss.add(loss, weight, extent)


def averaged(scored: Scored, weight: Floats | None) -> tuple[Floats, Floats | None, Bools | None]:
    """Return the losses of which the mean is taken, what each weighs in it, and which rows make that mean infinite.

    The last is None where there is none. A row with several losses of which some are infinite has the mean of the others; any
    other infinite loss is there.
    """
    loss, total_weight = objective(scored, weight)
    if scored.infinite is not None and scored.finite is not None:
        some = scored.infinite > 0
        return (*weighed(scored.finite, weight), some if some.any() else None)
    infinite = np.isinf(loss)
    if total_weight is not None:
        infinite &= total_weight > 0
    return loss, total_weight, infinite if infinite.any() else None


def objective(scored: Scored, weight: Floats | None) -> tuple[Floats, Floats | None]:
    """Return the loss to be averaged and what each row weighs in it."""
    if scored.objective is None:
        return scored.loss, weight
    return weighed(scored.objective, weight)


def weighed(objective: Objective, weight: Floats | None) -> tuple[Floats, Floats | None]:
    """Return the values of rows and what each weighs with the weight of the row, bad_weight beyond the range of float64."""
    own = objective.weight
    if own is None or weight is None:
        return objective.loss, weight if own is None else own
    with np.errstate(over="ignore"):
        total = own * weight
    if total.size and float(total.max()) == np.inf:
        raise fail(
            "bad_weight",
            "the weight of a row, times that of its class or the number of its values, is beyond the range of float64",
            hint="weigh rows by smaller numbers: only their ratios matter",
        )
    return objective.loss, total
