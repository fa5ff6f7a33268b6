"""The pass over several models: their rows side by side, checked and scored as ever, and the losses of each row together.

Where the rows of all files stand in the same order, they stream and nothing is held. In another order each model is joined with
the labels by itself, and its losses are held by the row of the label: 8 bytes for each row and model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.columns import listed
from ce_cli.comparing.disagreement import Disagreement
from ce_cli.comparing.held_losses import HeldLosses
from ce_cli.comparing.row_losses import Grouping, LossSink
from ce_cli.engine import Gathered, Job, Outcome, concluded, in_order, run
from ce_cli.errors import CeError, Problem, fail
from ce_cli.folding import Worker
from ce_cli.judging.slices import MOST_SLICES
from ce_cli.kernels.poisson import unit_words
from ce_cli.plan import BALANCED
from ce_cli.readers.align import AlignmentCounts, Ids, OutOfOrderError, wanted_columns
from ce_cli.readers.chosen import ChosenRows
from ce_cli.readers.dealt import Dealt
from ce_cli.readers.join import NO_COMMON_ID
from ce_cli.readers.keys import text_words
from ce_cli.readers.lockstep import Shared, in_step
from ce_cli.state.groups import CLUSTER
from ce_cli.state.moved_rows import MovedRows
from ce_cli.state.paired import PairedLosses
from ce_cli.workers import Workers, default_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ce_cli.arrays import Bools, Ints
    from ce_cli.block import Pair
    from ce_cli.comparing.entrants import Entrant
    from ce_cli.comparing.row_losses import RowLosses
    from ce_cli.engine import Watcher
    from ce_cli.folding import RowSink
    from ce_cli.kernels.hashing import Words
    from ce_cli.plan import Options
    from ce_cli.state.groups import Groups
    from ce_cli.state.paired_totals import PairedTotals


class _LeftOut:
    """Which rows some models have scored and others not: a bit for each row of the pieces that have any."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[int, bytes]] = {}  # by the first row: how many there are, and their bits

    def add(self, rows: Ints, left_out: Bools) -> None:
        """Add rows one after another."""
        if left_out.any():
            self._pieces[int(rows[0])] = len(rows), np.packbits(left_out).tobytes()

    def merge(self, other: _LeftOut) -> None:
        self._pieces |= other._pieces

    def others(self, size: int) -> Bools:
        """Return which of all rows are none of them."""
        found = np.ones(size, dtype=np.bool_)
        for first, (count, bits) in self._pieces.items():
            flags = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=count)
            found[first : first + count] = flags == 0
        return found


class _Together(NamedTuple):
    """What is gathered of all models; each thread has one at a time."""

    paired: PairedLosses
    odd: Disagreement
    moved: list[MovedRows]  # by candidate
    left_out: _LeftOut

    def add(self, found: Sequence[RowLosses]) -> None:
        """Add the same rows of every model."""
        rows, weight, label = found[0].rows, found[0].weight, found[0].label
        losses = np.stack([one.loss for one in found])
        there = ~np.isnan(losses)
        common: Bools = np.logical_and.reduce(there, axis=0)
        if not common.all():
            self.left_out.add(rows, np.logical_or.reduce(there, axis=0) & ~common)
        for one in found:
            if one.odd is not None:
                self.odd.labels.add(rows[one.odd])
            if one.odd_weight is not None:
                self.odd.weights.add(rows[one.odd_weight])
        for one, has, moved in zip(found[1:], there[1:], self.moved, strict=True):
            both = there[0] & has
            if weight is not None and one.weight is not None:
                self.odd.weights.add(rows[both & (weight != one.weight)])
            for (column, mine), cells in zip((found[0].cells or {}).items(), (one.cells or {}).values(), strict=True):
                self.odd.add_cells(column, rows[both & (mine != cells)])
            if one.describe is not None:
                moved.add(losses[0], one.loss, common, rows, one.describe)
        self.paired.add(losses, weight, label, found[0].groups, _units(rows, found[0].groups))

    def merge(self, other: _Together) -> None:
        self.paired.merge(other.paired)
        self.odd.merge(other.odd)
        for mine, theirs in zip(self.moved, other.moved, strict=True):
            mine.merge(theirs)
        self.left_out.merge(other.left_out)


class Paired(NamedTuple):
    """What came of every model by itself, and of all of them together; the models as they were evaluated.

    moved: by candidate. common: what came of every model on the common rows alone, which is that by itself where no model
    has scored another row. Where sequences are paired there is neither.
    """

    entrants: Sequence[Entrant]
    outcomes: list[Outcome]
    losses: PairedLosses | PairedTotals
    moved: Sequence[MovedRows] = ()
    common: Sequence[Outcome] = ()

    @property
    def same_rows(self) -> bool:
        """Whether no model has scored a row, or a sequence, that another has not."""
        return all(scored == self.losses.n for scored in self.losses.scored)


class _Pass(NamedTuple):
    """What a pass over the rows came to; `common` tells which of the rows of the labels all models have scored."""

    outcomes: list[Outcome]
    together: _Together
    common: Callable[[], Bools]


def run_together(entrants: Sequence[Entrant], options: Options, watcher: Watcher | None = None) -> Paired:
    """Evaluate all models on every row; the first is the reference. Raises CeError with every kind of fault.

    Where rows may be left out and models have not scored the same ones, a second pass looks at the common rows alone.
    """
    first = _pass(entrants, options, watcher)
    together = first.together
    paired = Paired(entrants, first.outcomes, together.paired, together.moved, first.outcomes)
    if paired.same_rows:
        return paired
    if options.class_weights == BALANCED:
        raise _unbalanced()
    again = _pass(bare(entrants), options, None, first.common())
    return paired._replace(moved=again.together.moved, common=again.outcomes)


def _unbalanced() -> CeError:
    return fail(
        "bad_option",
        "--class-weights balanced weighs the classes of each model by its own rows, and these are not the same rows",
        hint="give the weights themselves (--class-weights a=2,b=1), or each model the same rows",
    )


def bare(entrants: Sequence[Entrant]) -> list[Entrant]:
    """Return models without what is asked beside the metrics, none of which is told of the common rows."""
    return [one._replace(options=replace(one.options, by=(), bootstrap=None, calibration=False)) for one in entrants]


def _pass(entrants: Sequence[Entrant], options: Options, watcher: Watcher | None, only: Bools | None = None) -> _Pass:
    """Take all rows, or `only` some rows of the labels."""
    try:
        return _in_step(entrants, options, watcher, only)
    except OutOfOrderError:
        return _by_row(entrants, watcher, only)


def _empty(entrants: Sequence[Entrant]) -> _Together:
    plan, options = entrants[0].context.plan, entrants[0].options
    single = not plan.soft and plan.task != "multilabel"
    grouping = _grouping(entrants[0])
    losses = PairedLosses(
        len(entrants),
        plan.k if single else 0,
        clustered=grouping.clustered,
        slices=tuple(grouping.slices),
        most=MOST_SLICES,
        bootstrap=None if options.bootstrap is None else (options.seed, options.bootstrap),
    )
    moved = [MovedRows(plan.top) for _ in entrants[1:]]
    return _Together(losses, Disagreement(), moved, _LeftOut())


def _units(rows: Ints, groups: Mapping[str, Groups] | None) -> Words:
    """Return what stands for rows that are resampled: their clusters, or the numbers of their labels."""
    if groups is None or CLUSTER not in groups:
        return unit_words(rows)
    clusters = groups[CLUSTER]
    return text_words(pa.array(clusters.names, pa.string()))[clusters.codes]


def _grouping(reference: Entrant) -> Grouping:
    return Grouping(reference.context, reference.options)


def _own_columns(entrants: Sequence[Entrant]) -> list[str]:
    """Return the roles of slices and clusters that files of several models have, which may not say the same."""
    if len({id(one.predictions) for one in entrants}) == 1:
        return []
    roles = [role for role in entrants[0].context.layout.roles if role == CLUSTER or role.startswith("by:")]
    return [role for role in roles if any(one.context.layout.roles[role].side == "predictions" for one in entrants)]


def _in_step(entrants: Sequence[Entrant], options: Options, watcher: Watcher | None, only: Bools | None) -> _Pass:
    """Take the rows of all models side by side. Raises OutOfOrderError where one stands in another order."""
    classes = entrants[0].context.plan.classes
    counts = [AlignmentCounts() for _ in entrants]
    jobs = _shared(entrants)
    grouping = _grouping(entrants[0])
    own = _own_columns(entrants)
    teams = [
        Worker(
            one.context,
            one.options,
            [LossSink(one.context, classes, grouping if at == 0 else None, model=at, own=own)],
            only,
        )
        for at, one in enumerate(entrants)
    ]
    free: list[_Together] = []
    everyone: list[_Together] = []

    def take(pairs: list[Pair]) -> None:
        found = [worker(pair)[0] for worker, pair in zip(teams, pairs, strict=True)]
        try:
            mine = free.pop()
        except IndexError:
            mine = _empty(entrants)
            everyone.append(mine)
        try:
            mine.add(found)
        finally:
            free.append(mine)

    with Workers(options.jobs or default_jobs()) as workers:
        sinks: list[RowSink] = [LossSink(one.context, classes) for one in entrants]
        rows = min(job.chunk_rows(sinks) for job in jobs)
        streams = [in_order(job, workers, count, rows, ids=Ids.BOTH) for job, count in zip(jobs, counts, strict=True)]
        for _ in workers.ordered(take, in_step(streams)):
            if watcher is not None:
                watcher.update(sum(count.predictions for count in counts), _bytes_read(entrants))
    gathered = [Gathered(*worker.accumulators.merged(), count) for worker, count in zip(teams, counts, strict=True)]
    whole = _empty(entrants)
    for one in everyone:
        whole.merge(one)
    outcomes = concluded_all([partial(_conclude, *both) for both in zip(entrants, gathered, strict=True)], entrants)
    _check_common(entrants, whole)
    return _Pass(outcomes, whole, lambda: whole.left_out.others(max(count.labels for count in counts)))


def _conclude(entrant: Entrant, gathered: Gathered) -> Outcome:
    return concluded(entrant.context, gathered, drop=entrant.options.on_invalid == "drop")


def concluded_all(concluding: Sequence[Callable[[], Outcome]], entrants: Sequence[Entrant]) -> list[Outcome]:
    """Return the outcomes of all models, or raise with the problems of all of them, each told once."""
    outcomes: list[Outcome] = []
    problems: list[Problem] = []
    for conclude in concluding:
        try:
            outcomes.append(conclude())
        except CeError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems and entrants[0].options.model_col is not None:
        raise CeError(*_of_rows(problems, entrants))
    if problems:
        raise CeError(*map(_with_pattern, problems))
    return outcomes


def _of_rows(problems: Sequence[Problem], entrants: Sequence[Entrant]) -> Sequence[Problem]:
    """Return the problems of models that are rows of one file; one where no id is common: then they are no models."""
    strangers = {problem.file for problem in problems if problem.hint == NO_COMMON_ID}
    if len(strangers) < len(entrants):  # the reference is among them, once or more
        return problems
    column, names = entrants[0].options.model_col, [entrant.name for entrant in entrants]
    message = f"--model-col {column}: its {len(names)} values ({listed(names, 5)}) have no id in common"
    hint = "it names the column that says whose a row is: each model has a row of the same id; pass --id-col where the ids "
    hint += "are in another column, or leave --model-col out to evaluate all rows as those of one model"
    file = entrants[0].predictions.path.removesuffix(f" ({column}={names[0]})")
    return [Problem("bad_option", message, file=file, column=column, hint=hint)]


def _with_pattern(problem: Problem) -> Problem:
    """Say what may be wrong where files that were taken for models do not have the same rows."""
    if problem.code not in ("missing_id", "length_mismatch"):
        return problem
    hint = "if these files are the parts of one data set, and no models, name their folder or quote the pattern: 'parts/*.csv'"
    return replace(problem, hint=f"{problem.hint}; {hint}" if problem.hint else hint)


def _check_common(entrants: Sequence[Entrant], together: _Together) -> None:
    problems = together.odd.problems(entrants)
    if problems and together.odd.weights.count and entrants[0].options.class_weights == BALANCED:
        raise _unbalanced()
    if problems:
        raise CeError(*problems)
    if together.paired.n == 0:
        raise CeError(Problem("no_scored_samples", "no row was scored by all models", hint="look at each by itself"))


def _shared(entrants: Sequence[Entrant]) -> list[Job]:
    """Return what each model reads, such that every file is read and parsed once for all of them."""
    shared: dict[int, Shared] = {}
    jobs = []
    for entrant in entrants:
        mine, other = wanted_columns(entrant.context.layout)
        predictions, labels = entrant.predictions, entrant.labels
        one: Any = shared.setdefault(id(predictions), Shared(predictions)).reader(mine)
        two: Any = None if labels is None else shared.setdefault(id(labels), Shared(labels)).reader(other)
        jobs.append(Job(one, two, entrant.context, entrant.options))
    dealt: dict[int, Dealt] = {}
    for each in shared.values():
        if isinstance(each.data, ChosenRows):
            whole = each.data.data
            each.data = dealt.setdefault(id(whole), Dealt(whole, each.data.column)).reader(each.data, each.columns)
    return jobs


def _bytes_read(entrants: Sequence[Entrant]) -> int:
    files = {id(file): file for one in entrants for file in (one.predictions, one.labels) if file is not None}
    return sum(file.bytes_read for file in files.values())


def _by_row(entrants: Sequence[Entrant], watcher: Watcher | None, only: Bools | None) -> _Pass:
    """Take one model after another, each joined with the labels, and pair what they have at the end."""
    held = HeldLosses(len(entrants), entrants[0].context.plan.top)
    own = _own_columns(entrants)
    grouping = _grouping(entrants[0])
    classes = entrants[0].context.plan.classes
    concluding = [
        partial(
            run,
            Job(one.predictions, one.labels, one.context, one.options, only=only),
            [LossSink(one.context, classes, grouping if model == 0 else None, held, model, own)],
            watcher,
        )
        for model, one in enumerate(entrants)
    ]
    outcomes = concluded_all(concluding, entrants)
    whole = _empty(entrants)
    start = 0
    for losses, weight, label, groups in held.pieces():
        rows = np.arange(start, start + losses.shape[1])
        whole.paired.add(losses, weight, label, groups, _units(rows, groups))
        start += losses.shape[1]
    for odd in held.odd:
        whole.odd.merge(odd)
    for moved, own_moved in zip(whole.moved, held.moved[1:], strict=True):
        moved.merge(own_moved)
    _check_common(entrants, whole)
    return _Pass(outcomes, whole, held.common)
