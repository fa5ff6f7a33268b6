"""What every aspect of judging a number is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Block, Pair
    from ce_cli.columns import Layout
    from ce_cli.plan import Options
    from ce_cli.report import Issue, Metric, Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context


class JudgedRows(NamedTuple):
    """Scored rows that count, with the columns of both files.

    scored: what the task made of them, `(n,)` each. weight: `(n,) float64`, positive, or None for 1 each. rows: `(n,) int64`,
    their numbers in the predictions, from 0. block: the valid scores and labels. at: their positions in the pair, None where
    they are all of it.
    """

    scored: Any
    weight: Floats | None
    rows: Ints
    block: Block
    at: Ints | None
    pair: Pair
    layout: Layout

    def column(self, role: str) -> pa.Array:
        """Return the cells of these rows in the column that has a role (a key of `Layout.roles`)."""
        place = self.layout.roles[role]
        batch = self.pair.predictions if place.side == "predictions" else self.pair.labels
        column = batch.column(place.column)
        if self.at is None:
            return column
        return column.take(pa.Array.from_buffers(pa.int64(), len(self.at), [None, pa.py_buffer(self.at)]))

    def numbers(self, role: str, chosen: Bools) -> Ints:
        """Return the numbers of some of these rows, from 0 and ascending, in the file that has the column of a role."""
        if self.layout.roles[role].side == "predictions":
            return self.rows[chosen]
        rows = self.pair.label_rows if self.at is None else self.pair.label_rows[self.at]
        return np.sort(rows[chosen])


class AspectState(Protocol):
    """What one pass gathers for an aspect: state(A ∪ B) = state(A) merged with state(B), to the last bit; it pickles."""

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""

    def merge(self, other: Any) -> None:
        """Add what another one has seen."""


class Judgement(NamedTuple):
    """What an aspect adds to a report: a section of plain JSON values, metrics in place of those of the task, issues."""

    section: Any = None
    metrics: Mapping[str, Metric] = {}
    issues: tuple[Issue, ...] = ()


class Aspect(NamedTuple):
    """One question about the number.

    state: returns an empty state. judge: returns what the merged state (`state.aspects[name]`) says, given the
    report as it is without it.
    """

    state: Callable[[Context, Options], AspectState]
    judge: Callable[[Context, Options, EvalState, Report], Judgement]


class Asked(NamedTuple):
    """When an aspect is in question, and what loads it: only what is wanted is imported."""

    wanted: Callable[[Options], bool]
    load: Callable[[], Aspect]
