"""How much of the loss comes from few rows: the worst 1 %, the infinite ones, those that were clipped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ce_cli.judging.base import Aspect, Judgement
from ce_cli.state.evaluation import objective
from ce_cli.state.histogram import LossHistogram

if TYPE_CHECKING:
    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import Options
    from ce_cli.report import Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

_WORST = 0.01  # of the rows


class ClippedLosses:
    """The losses of the rows of which a probability was clipped; all others are in the quantiles already."""

    def __init__(self) -> None:
        self.losses = LossHistogram()

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        flags = rows.scored.counted.get("clipped")
        if flags is not None and flags.any():
            loss, _ = objective(rows.scored, rows.weight)
            self.losses.add(loss[flags])

    def merge(self, other: ClippedLosses) -> None:
        """Add what another one has seen."""
        self.losses.merge(other.losses)


def _state(context: Context, options: Options) -> ClippedLosses:  # noqa: ARG001 - the same for all
    return ClippedLosses()


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:  # noqa: ARG001
    """Return the shares, from the same buckets as the quantiles: within 1 %. Every row counts once, whatever it weighs.

    Where rows have weights, a mean without some of them cannot be told from the buckets, and is absent.
    """
    losses, clipped = state.quantiles, state.aspects["concentration"].losses
    worst = losses.tail(math.ceil(_WORST * losses.n))
    section: dict[str, Any] = {"top_1pct_rows": worst.rows}
    plain, unit = not state.loss.weighted, context.plan.unit_size
    if worst.share is not None:
        section["top_1pct_share"] = worst.share
    if worst.mean is not None and plain:
        section["cross_entropy_without_top_1pct"] = worst.mean / unit
    section["infinite_rows"] = losses.infinite()
    section["infinite_share"] = 1.0 if losses.infinite() else 0.0
    if clipped.n:
        part = losses.beside(clipped)
        section["clipped_rows"] = part.rows
        if part.share is not None:
            section["clipped_share"] = part.share
        if part.mean is not None and plain:
            section["cross_entropy_without_clipped"] = part.mean / unit
    return Judgement(section)


ASPECT = Aspect(_state, _judge)
