"""Runs an evaluation: all rows, in order or by a join, on threads or in several processes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ce_cli.errors import CeError, Problem
from ce_cli.folding import Worker
from ce_cli.labels import not_one_class
from ce_cli.readers.align import (
    CHUNK_ROWS,
    AlignmentCounts,
    Ids,
    OutOfOrderError,
    side_by_side,
    single_file,
    stored_ids,
)
from ce_cli.readers.base import Divisible
from ce_cli.workers import Workers, default_jobs, killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ce_cli.arrays import Bools
    from ce_cli.block import Pair
    from ce_cli.checks import Faults
    from ce_cli.folding import RowSink
    from ce_cli.forks import Share
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context


_KEPT_CELLS = 1 << 20  # scores of rows that are kept until they are written
_WORTH_FORKING = 12 << 20  # bytes of both files: less is done before another process has begun
_MOST_SHARES = 500
_SHARES_EACH = 16  # at most, so that a process that is slowed down does not hold up the others at the end


class Watcher(Protocol):
    """Is told how far the work has come."""

    def update(self, rows: int, bytes_done: int) -> None:
        """Take the rows and bytes done so far."""


@dataclass(eq=False, repr=False)
class Outcome:
    """The merged statistics of a run."""

    state: EvalState
    counts: AlignmentCounts
    invalid: int
    fault_kinds: list[Problem]
    worst_ids: dict[int, str] = field(default_factory=dict)  # by row, where ids were verified without being read


class Job(NamedTuple):
    """What is to be evaluated, and how; `start` is the number of the first row.

    only: `(n,) bool` by the rows of the labels, which of them are to count; None for all.
    """

    predictions: DataSet
    labels: DataSet | None
    context: Context
    options: Options
    start: int = 0
    only: Bools | None = None

    def chunk_rows(self, sinks: Sequence[RowSink]) -> int:
        """Return how many rows make a piece of work: fewer where every row is kept, or holds a list of values."""
        kept = max(1, min(CHUNK_ROWS // 2, _KEPT_CELLS // max(1, self.context.plan.k)))
        rows = kept if sinks else CHUNK_ROWS
        return self.options.chunk_rows or (max(1, rows // 32) if "list" in self.context.layout.roles else rows)

    def bytes_read(self) -> int:
        """Return how much of both inputs has been read."""
        return self.predictions.bytes_read + (self.labels.bytes_read if self.labels is not None else 0)

    def shares(self, count: int) -> list[Job]:
        """Cut the rows into several parts for each of `count` processes; none where that cannot be done or does not pay."""
        files = self._files()
        parted = [file for file in files if isinstance(file, Divisible)]
        if count < 2 or len(parted) < len(files) or not self.worth_forking():
            return []
        cuts = [file.cuts() for file in parted]
        if len({own[-1] for own in cuts}) > 1:
            return []
        # At every cut the other file may have to be read from a little earlier on: so the fewest.
        starts = _spaced(min(cuts, key=len), max(1, cuts[0][-1] // min(_SHARES_EACH * count, _MOST_SHARES)))
        return [self._between(start, stop) for start, stop in pairwise(starts)] if len(starts) > count else []

    def worth_forking(self) -> bool:
        """Tell whether there is more to do than another process takes to begin."""
        return sum(file.total_bytes or 0 for file in self._files()) >= _WORTH_FORKING

    def _files(self) -> list[DataSet]:
        return [file for file in (self.predictions, self.labels) if file is not None]

    def _between(self, start: int, stop: int) -> Job:
        mine, other = self.predictions, self.labels
        assert isinstance(mine, Divisible)
        labels = other.between(start, stop) if isinstance(other, Divisible) else None
        return self._replace(predictions=mine.between(start, stop), labels=labels, start=self.start + start)


def _spaced(cuts: Sequence[int], least: int) -> list[int]:
    """Leave out cuts that are too near to the one before; the first and the last stay.

    A cut may be there twice: a row group or a part can be empty.
    """
    chosen = [cuts[0]]
    for cut in cuts[1:]:
        if cut - chosen[-1] >= least or chosen[-1] < cut == cuts[-1]:
            chosen.append(cut)
    return chosen


class Gathered(NamedTuple):
    """What a pass over some of the rows came to."""

    state: EvalState
    faults: Faults
    counts: AlignmentCounts

    def merge(self, other: Gathered) -> None:
        """Add what came of other rows."""
        self.state.merge(other.state)
        self.faults.merge(other.faults)
        self.counts.merge(other.counts)


def run(job: Job, sinks: Sequence[RowSink] = (), watcher: Watcher | None = None, *, forks: bool = False) -> Outcome:
    """Evaluate every row. Raises CeError with every kind of fault, unless invalid rows are to be dropped.

    forks: whether the process may be forked for a part of the work.
    """
    with Workers(job.options.jobs or default_jobs(), forks=forks) as workers:
        # Of rows whose ids were not read, those of the worst are looked up at the end, whichever share they were in.
        found_later = job.predictions.stored(job.context.layout.ids) is not None
        aligned = partial(_verified, written=bool(sinks), found_later=found_later)
        gathered = None
        with contextlib.suppress(OutOfOrderError):
            gathered = _taken(aligned, job, job, workers, sinks, watcher)
        if gathered is None:
            for sink in sinks:
                sink.restart()
            gathered = _by_join(job, workers, sinks, watcher)
        return _with_ids(concluded(job.context, gathered, drop=job.options.on_invalid == "drop"), job)


def _with_ids(outcome: Outcome, job: Job) -> Outcome:
    """Look up the ids of the worst rows where they were verified without being read."""
    rows = [row for _, row, (read, *_) in outcome.state.worst.rows if read is None]
    stored = job.predictions.stored(job.context.layout.ids) if rows else None
    if stored is None:
        return outcome
    cells = stored.cells(rows)
    return replace(outcome, worst_ids={row: "|".join(parts) for row, parts in cells.items()})


def in_order(job: Job, workers: Workers, counts: AlignmentCounts, rows: int, *, ids: Ids) -> Iterator[Pair]:
    """Yield the rows of files that stand in the same order. Raises OutOfOrderError where they do not."""
    layout, start = job.context.layout, job.start
    if job.labels is None:
        return single_file(job.predictions, layout, workers, rows, counts, ids=ids, start=start)
    return side_by_side(job.predictions, job.labels, layout, workers, rows, counts, ids=ids, start=start)


def _verified(
    job: Job, workers: Workers, counts: AlignmentCounts, rows: int, *, written: bool, found_later: bool
) -> Iterator[Pair]:
    """Do the same; ids are read where they are `written`, or cannot be verified or `found_later` otherwise."""
    stored = found_later and stored_ids(job.predictions, job.labels, job.context.layout) is not None
    ids = Ids.BOTH if not stored else Ids.OF_PREDICTIONS if written else Ids.NONE
    return in_order(job, workers, counts, rows, ids=ids)


def _by_join(job: Job, workers: Workers, sinks: Sequence[RowSink], watcher: Watcher | None) -> Gathered:
    """Take all rows of files in different orders."""
    from ce_cli.readers.join import Join, join_memory

    assert job.labels is not None  # one file is never out of order
    join = Join(job.labels, job.context.layout, workers, join_memory(job.options))

    def aligned(part: Job, some: Workers, counts: AlignmentCounts, rows: int) -> Iterator[Pair]:
        return join.pairs(part.predictions, some, rows, counts, start=part.start)

    gathered = _taken(aligned, job, job._replace(labels=None), workers, sinks, watcher)
    join.conclude(job.predictions, gathered.counts, workers, drop=job.options.missing == "drop")
    return gathered


def _taken(
    aligned: Callable[[Job, Workers, AlignmentCounts, int], Iterator[Pair]],
    job: Job,
    streamed: Job,
    workers: Workers,
    sinks: Sequence[RowSink],
    watcher: Watcher | None,
) -> Gathered:
    """Take all rows: in several processes where that can be done.

    streamed: what of the job is to be read.
    """
    shares = streamed.shares(workers.jobs) if workers.forks and not sinks else []
    if shares and workers.can_fork():
        return _spread(aligned, job, shares, workers, watcher)
    return _fold(aligned, job, workers, sinks, watcher)


def _fold(
    aligned: Callable[[Job, Workers, AlignmentCounts, int], Iterator[Pair]],
    job: Job,
    workers: Workers,
    sinks: Sequence[RowSink],
    watcher: Watcher | None,
) -> Gathered:
    """Take all rows in one process, but for encoding what is written of them."""
    counts = AlignmentCounts()
    worker = Worker(job.context, job.options, sinks, job.only)
    encoding = next((sink for sink in sinks if sink.encodes), None)
    with contextlib.ExitStack() as beside:
        scorers = workers
        if encoding is not None and job.worth_forking() and workers.can_fork():
            with contextlib.suppress(OSError):  # there can be no more processes
                encoding.encode_beside()
                scorers = beside.enter_context(Workers(workers.jobs - 1))
        writes = [beside.enter_context(scorers.behind(sink.write)) if sink.encodes else sink.write for sink in sinks]
        for prepared in scorers.ordered(worker, aligned(job, workers, counts, job.chunk_rows(sinks))):
            for write, rows in zip(writes, prepared, strict=True):
                write(rows)
            if watcher is not None:
                watcher.update(counts.predictions, job.bytes_read())
    state, faults = worker.accumulators.merged()
    for sink in sinks:
        sink.complete(state)
    return Gathered(state, faults, counts)


def _spread(
    aligned: Callable[[Job, Workers, AlignmentCounts, int], Iterator[Pair]],
    whole: Job,
    shares: Sequence[Job],
    workers: Workers,
    watcher: Watcher | None,
) -> Gathered:
    """Take the rows of all shares of a job, each in one of several processes."""
    from ce_cli.forks import WorkerKilledError

    rows = whole.predictions.rows() or 0
    size = sum(file.total_bytes or 0 for file in (whole.predictions, whole.labels) if file is not None)
    # Made once, of which every process has a copy: with it comes what would be imported in each of them.
    worker = Worker(whole.context, whole.options, (), whole.only)
    worker.accumulators.make()

    def take(share: Share[Job]) -> Gathered:
        counts = AlignmentCounts()
        with Workers(1) as alone:
            for job in share:
                for pair in aligned(job, alone, counts, job.chunk_rows(())):
                    worker(pair)
                    share.note(len(pair.rows))
        return Gathered(*worker.accumulators.merged(), counts)

    def watch(done: int) -> None:
        if watcher is not None:
            watcher.update(done, size * done // max(1, rows))

    try:
        gathered, *others = workers.spread(take, shares, watch)
    except WorkerKilledError as error:
        raise killed(error) from error
    for other in others:
        gathered.merge(other)
    return gathered


def concluded(context: Context, gathered: Gathered, *, drop: bool) -> Outcome:
    """Return what all rows came to. Raises CeError with every kind of fault, unless invalid rows are to be dropped."""
    state, faults, counts = gathered
    problems = faults.problems()
    unexpected = None
    if state.others:
        unexpected = not_one_class(state.others, context.plan.classes[1], context.labels_path, context.layout.label)
    fatal = [*counts.problems, *([] if unexpected is None else [unexpected])]
    if fatal or (problems and not drop):
        raise CeError(*fatal, *problems)
    if counts.predictions == 0:
        raise CeError(Problem("no_samples", "there are no rows", file=context.predictions_path))
    if state.scored == 0:
        raise CeError(*_nothing_scored(context, state, problems))
    return Outcome(state, counts, faults.invalid, problems)


def _nothing_scored(context: Context, state: EvalState, problems: list[Problem]) -> list[Problem]:
    if state.tallies["zero_weight"].count:
        weight = context.layout.weight
        side = context.labels_path if context.layout.weight_side == "labels" else context.predictions_path
        return [Problem("weights_sum_to_zero", "every weight is 0", file=side, column=weight)]
    hint = "every row was dropped as invalid or without a partner" if problems else "every row was ignored or dropped"
    return [
        Problem("no_scored_samples", "no row is left to score", file=context.predictions_path, hint=hint),
        *problems,
    ]
