"""What is done with some pairs of rows: checked, scored, folded into states, and prepared for whoever wants every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ce_cli.checks import Faults
from ce_cli.judging.aspects import wanted
from ce_cli.judging.base import JudgedRows
from ce_cli.readers.arrays import cell_text
from ce_cli.setup import make_task
from ce_cli.state.evaluation import EvalState
from ce_cli.tasks.base import Unfolding, slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ce_cli.arrays import Bools, Ints
    from ce_cli.block import Block, Pair
    from ce_cli.checks import FaultRow
    from ce_cli.plan import Options
    from ce_cli.tasks.base import Checked, Context, Task


class Piece(NamedTuple):
    """Some rows of a pair by their positions in it: what was scored, and whether they count (or weigh nothing)."""

    at: Ints | slice
    block: Block
    scored: Any
    counts: bool


class ScoredRows(NamedTuple):
    """What a consumer of single rows gets: a pair, what some of its rows score, and what is wrong with others."""

    pair: Pair
    pieces: list[Piece]
    faults: list[FaultRow]


class RowSink(Protocol):
    """Takes every row in order: the per-sample file, the list of invalid rows."""

    @property
    def wants_faults(self) -> bool:
        """Whether it is the invalid rows that are to be told, not the scored ones."""

    @property
    def encodes(self) -> bool:
        """Whether writing takes so long that it is better done beside the work on further rows."""

    def encode_beside(self) -> None:
        """Have a process of its own do that; for the main thread of a process without others, before the first row."""

    def prepare(self, rows: ScoredRows) -> Any:
        """Return what is to be written of some rows, in any order and on any thread."""

    def write(self, prepared: Any) -> None:
        """Take the next rows, as `prepare` gave them."""

    def restart(self) -> None:
        """Forget all rows: the files turned out to need a join."""

    def complete(self, state: EvalState) -> None:
        """Learn that there are no more rows, and what they come to."""


class _Accumulators:
    """A state for each thread that needs one at a time; their order never matters."""

    def __init__(self, context: Context, task: Task, options: Options) -> None:
        self._context = context
        self._task = task
        self._options = options
        self._free: list[tuple[EvalState, Faults]] = []
        self._all: list[tuple[EvalState, Faults]] = []

    def take(self) -> tuple[EvalState, Faults]:
        """Return a state that no other thread uses."""
        try:
            return self._free.pop()
        except IndexError:
            made = (self._empty(), Faults())
            self._all.append(made)
            return made

    def make(self) -> None:
        """Have the first of them before anyone asks for it."""
        self.give_back(self.take())

    def give_back(self, state: tuple[EvalState, Faults]) -> None:
        """Let others use a state."""
        self._free.append(state)

    def merged(self) -> tuple[EvalState, Faults]:
        """Return all states as one, which is the first of them."""
        if not self._all:
            return self.take()
        (state, faults), *others = self._all
        for one, two in others:
            state.merge(one)
            faults.merge(two)
        return state, faults

    def _empty(self) -> EvalState:
        aspects = {name: aspect.state(self._context, self._options) for name, aspect in wanted(self._options).items()}
        return EvalState(self._context.plan, self._task.statistics(), aspects)


class Worker:
    """Checks, scores and folds one pair, and returns what each sink is to write of it; called on any thread."""

    def __init__(self, context: Context, options: Options, sinks: Sequence[RowSink], only: Bools | None = None) -> None:
        self._context = context
        self._only = only
        self._task: Task = make_task(context)
        # A protocol is looked for in every name that an object has: 13 µs.
        self._unfolding = self._task if isinstance(self._task, Unfolding) else None
        self._sinks = sinks
        self._keep_rows = any(not sink.wants_faults for sink in sinks)
        self._keep_faults = any(sink.wants_faults for sink in sinks)
        self.accumulators = _Accumulators(context, self._task, options)

    def __call__(self, pair: Pair) -> list[Any]:
        """Take a pair."""
        accumulated = self.accumulators.take()
        try:
            rows = self._fold(pair, *accumulated)
        finally:
            self.accumulators.give_back(accumulated)
        return [sink.prepare(rows) for sink in self._sinks]

    def _fold(self, pair: Pair, state: EvalState, faults: Faults) -> ScoredRows:
        pieces: list[Piece] = []
        kept: list[FaultRow] = []
        offset = 0
        if self._unfolding is not None:
            before, pair = len(pair.rows), self._unfolding.unfold(pair)
            state.unfolded += len(pair.rows) - before
        for part in slices(pair, self._task.block_rows(pair)):
            checked = self._task.check(part, faults, keep=self._keep_faults)
            kept += checked.faults
            self._note(checked, part, state)
            for block, counts in self._by_weight(self._chosen(checked.block, part)):
                if not counts:
                    rows = part.rows[block.at]
                    state.tally("zero_weight", np.ones(len(rows), dtype=np.bool_), rows)
                    if not self._keep_rows:
                        continue
                scored = self._task.score(block)
                if counts:
                    rows = part.rows if block.at is None else part.rows[block.at]
                    describe = describer(self._context, self._task, part, block.at, scored)
                    state.update(scored, block.weight, rows, describe)
                    if state.aspects:
                        judged = JudgedRows(scored, block.weight, rows, block, block.at, part, self._context.layout)
                        for aspect in state.aspects.values():
                            aspect.add(judged)
                if self._keep_rows:
                    whole = slice(offset, offset + len(part.rows))
                    at = whole if block.at is None else block.at + offset
                    pieces.append(Piece(at, block, scored, counts=counts))
            offset += len(part.rows)
        return ScoredRows(pair, pieces, kept)

    def _chosen(self, block: Block, part: Pair) -> Block:
        """Return the rows of a block that are to count."""
        if self._only is None:
            return block
        return block.take(self._only[part.label_rows if block.at is None else part.label_rows[block.at]])

    def _by_weight(self, block: Block) -> Iterator[tuple[Block, bool]]:
        """Cut a block into the rows that count and those that weigh nothing, by themselves or by their class."""
        counted = None if block.weight is None else block.weight > 0
        by_class = self._task.counted(block)
        if by_class is not None:
            counted = by_class if counted is None else counted & by_class
        if counted is None or counted.all():
            yield block, True
            return
        yield block.take(counted), True
        yield block.take(~counted), False

    def _note(self, checked: Checked, part: Pair, state: EvalState) -> None:
        at = slice(None) if checked.block.at is None else checked.block.at
        rows = part.rows[at]
        state.tallies["ignored"].add(part.rows[checked.ignored])
        if checked.unscored is not None:
            state.tallies["unscored"].add(part.rows[checked.unscored])
        for name, told in checked.told.items():
            state.parts[name].note(told)
        for name, flags in checked.notes.flags.items():
            state.tally(name, None if flags is None else flags[at], rows)
        if checked.notes.sum_error is not None:
            state.note_sum_error(checked.notes.sum_error[at])
        for text, positions in checked.others.items():
            state.note_other(text, part.label_rows[positions])


def describer(
    context: Context, task: Task, part: Pair, at: Ints | None, scored: Any
) -> Callable[[Ints], list[tuple[object, ...]]]:
    """Return what tells of a few scored rows their id, label, prediction, probability and the cells that are to be shown.

    at: the positions of what was scored in the pair, None for all of it.
    """

    def describe(chosen: Ints) -> list[tuple[object, ...]]:
        there = [name for name in context.layout.ids if name in part.predictions.schema.names]
        shown = [
            (part.predictions if role.side == "predictions" else part.labels).column(role.column)
            for name, role in context.layout.roles.items()
            if name.startswith("show:")
        ]
        result: list[tuple[object, ...]] = []
        for position in chosen.tolist():
            row = position if at is None else int(at[position])
            ids = [cell_text(part.predictions.column(name), row) for name in there]
            told = task.describe(part, row, scored, position)
            cells = tuple(cell_text(column, row) if column[row].is_valid else None for column in shown)
            result.append(("|".join(ids) if ids else None, *told, cells))
        return result

    return describe
