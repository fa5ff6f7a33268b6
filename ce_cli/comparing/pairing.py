"""The pass over several models: their rows side by side, checked and scored as ever, and the losses of each row together.

Where the rows of all files stand in the same order, they stream and nothing is held. In another order each model is joined with
the labels by itself, and its losses are held by the row of the label: 8 bytes for each row and model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.comparing.entrants import OWN_LABEL
from ce_cli.engine import Gathered, Job, Outcome, Worker, concluded, in_order, run
from ce_cli.errors import CeError, Problem
from ce_cli.judging.slice_edges import interval_groups
from ce_cli.judging.slices import MOST_SLICES
from ce_cli.kernels.poisson import unit_words
from ce_cli.labels import without_zeros
from ce_cli.readers.align import AlignmentCounts, Ids, OutOfOrderError, same, wanted_columns
from ce_cli.readers.arrays import texts
from ce_cli.readers.categories import groups_of
from ce_cli.readers.keys import text_words
from ce_cli.readers.lockstep import Shared, in_step
from ce_cli.slicing import parse_all
from ce_cli.state.evaluation import objective
from ce_cli.state.groups import CLUSTER, crossed, present
from ce_cli.state.paired import UNKNOWN, PairedLosses
from ce_cli.state.tally import Tally
from ce_cli.workers import Workers, default_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair
    from ce_cli.comparing.entrants import Entrant
    from ce_cli.engine import RowSink, ScoredRows, Watcher
    from ce_cli.kernels.hashing import Words
    from ce_cli.plan import Options
    from ce_cli.slicing import Criterion
    from ce_cli.state.evaluation import EvalState
    from ce_cli.state.groups import Groups
    from ce_cli.state.paired_totals import PairedTotals
    from ce_cli.tasks.base import Context

_UNSET = UNKNOWN - 1
_HELD_ROWS = 1 << 16


class RowLosses(NamedTuple):
    """What one model says of some rows; every array `(n,)`.

    rows: the numbers of their labels, from 0. loss: nats, NaN where the row is not scored. weight: NaN likewise, None for 1
    each. label: the class, as the reference numbers it, UNKNOWN for none; None where rows have no single class. odd: where the
    label differs from that of the reference; None for nowhere. groups: what the rows
    belong to, as the file of the reference has it; None for the other models. cells: of columns that every model may have of
    its own, a hash of each cell.
    """

    rows: Ints
    loss: Floats
    weight: Floats | None
    label: Ints | None
    odd: Bools | None
    groups: Mapping[str, Groups] | None = None
    cells: Mapping[str, Words] | None = None


class Grouping:
    """What rows belong to, by the columns that --by and --cluster name."""

    def __init__(self, context: Context, options: Options) -> None:
        self._layout, self._edges = context.layout, context.edges
        self.slices = {"*".join(part.text for part in parts): parts for parts in parse_all(options.by)}
        self.clustered = options.cluster is not None

    def groups(self, pair: Pair) -> dict[str, Groups] | None:
        """Return the groups of the rows of a pair, None where none are asked for."""
        found = {by: crossed([self._part(part, pair) for part in parts]) for by, parts in self.slices.items()}
        if self.clustered:
            found[CLUSTER] = groups_of(self._column(CLUSTER, pair))
        return found or None

    def _part(self, part: Criterion, pair: Pair) -> Groups:
        column = self._column(f"by:{part.column}", pair)
        if not part.cuts:
            return groups_of(column)
        return interval_groups(column, self._edges[part.text] if part.edges is None else part.edges)[0]

    def _column(self, role: str, pair: Pair) -> pa.Array:
        place = self._layout.roles[role]
        return (pair.predictions if place.side == "predictions" else pair.labels).column(place.column)


class LossSink:
    """Takes the loss of every row of one model."""

    wants_faults = False
    encodes = False

    def __init__(
        self,
        context: Context,
        classes: Sequence[str],
        grouping: Grouping | None = None,
        held: HeldLosses | None = None,
        model: int = 0,
        own: Sequence[str] = (),
    ) -> None:
        self._grouping = grouping
        self._own = {role: context.layout.roles[role] for role in own}
        number = {name: at for at, name in enumerate(classes)}
        self._code = np.array([number.get(name, UNKNOWN) for name in context.plan.classes], dtype=np.int64)
        self._roles = {role: place for role, place in context.layout.roles.items() if role.startswith(OWN_LABEL)}
        self._weighted = _weighted(context)
        self._held = held
        self._model = model

    def prepare(self, rows: ScoredRows) -> RowLosses:
        """Return the losses."""
        n = len(rows.pair.rows)
        loss, label = np.full(n, np.nan), np.full(n, UNKNOWN, dtype=np.int64)
        weight = np.full(n, np.nan) if self._weighted else None
        classed = False
        for piece in rows.pieces:
            if not piece.counts:
                continue
            own, weights = objective(piece.scored, piece.block.weight)
            loss[piece.at] = own
            if weight is not None:
                weight[piece.at] = 1.0 if weights is None else weights
            code = _classes(piece.scored)
            if code is not None:
                classed = True
                label[piece.at] = self._code[code]
        if weight is not None:
            loss[~(weight > 0)] = np.nan  # its class weighs nothing
        groups = None if self._grouping is None else self._grouping.groups(rows.pair)
        return RowLosses(
            rows.pair.label_rows,
            loss,
            weight,
            label if classed else None,
            self._odd(rows.pair),
            groups,
            self._cells(rows.pair),
        )

    def write(self, prepared: RowLosses) -> None:
        """Hold what is to be paired later."""
        assert self._held is not None  # else nobody writes
        self._held.put(self._model, prepared)

    def restart(self) -> None:
        """Forget what was counted; what was held stays right, since the rows come again and say the same."""
        assert self._held is not None  # as in `write`
        self._held.odd[self._model] = _Odd()

    def complete(self, state: EvalState) -> None:
        """There is nothing to finish."""

    def _cells(self, pair: Pair) -> dict[str, Words]:
        found = {}
        for place in self._own.values():
            groups = groups_of((pair.predictions if place.side == "predictions" else pair.labels).column(place.column))
            names = pa.array([without_zeros(name) for name in groups.names], pa.string())
            found[place.column] = text_words(names)[groups.codes]
        return found

    def _odd(self, pair: Pair) -> Bools | None:
        odd = None
        for role, place in self._roles.items():
            mine, other = pair.predictions.column(place.column), pair.labels.column(role.partition(":")[2])
            if same(mine, other):
                continue
            cells = zip(texts(mine).to_pylist(), texts(other).to_pylist(), strict=True)
            differ = np.array([_plain(one) != _plain(two) for one, two in cells])
            odd = differ if odd is None else odd | differ
        return odd


def _weighted(context: Context) -> bool:
    """Tell whether rows weigh differently, by themselves, by their class or by how many labels of them are known."""
    plan = context.plan
    return plan.weighted or plan.class_weights is not None or plan.task == "multilabel"


def _plain(cell: str | None) -> str | None:
    return None if cell is None else without_zeros(cell)


def _classes(scored: Any) -> Any:
    """Return the class of every row that was scored, None where a row may have several."""
    cell = getattr(scored, "cell", None)
    if cell is not None:
        return cell
    parts: Sequence[Any] = getattr(scored, "parts", ())
    return parts[0].label if len(parts) == 1 and parts[0].at is None and parts[0].share is None else None


@dataclass
class _Odd:
    """Rows on which the models do not agree about what is to be agreed upon."""

    labels: Tally = field(default_factory=Tally)
    weights: Tally = field(default_factory=Tally)
    columns: dict[str, Tally] = field(default_factory=dict)

    def add_cells(self, column: str, rows: Ints) -> None:
        """Add rows, ascending, whose cells of a column are not those of the reference."""
        if len(rows):
            self.columns.setdefault(column, Tally()).add(rows)

    def merge(self, other: _Odd) -> None:
        self.labels.merge(other.labels)
        self.weights.merge(other.weights)
        for column, tally in other.columns.items():
            self.columns.setdefault(column, Tally()).merge(tally)

    def problems(self, entrants: Sequence[Entrant]) -> list[Problem]:
        found = []
        for tally, what, option in ((self.labels, "label", "--labels"), (self.weights, "weight", "--weight-col")):
            hint = f"models are compared on the same {what}s: name those that are right with {option}"
            found.append(_unlike(tally, what, entrants, hint))
        for column, tally in sorted(self.columns.items()):
            hint = "models are compared on the same slices and clusters: put the column into the file of --labels alone"
            found.append(_unlike(tally, f"column {column}", entrants, hint, column))
        return [problem for problem in found if problem.count]


def _unlike(tally: Tally, what: str, entrants: Sequence[Entrant], hint: str, column: str | None = None) -> Problem:
    rows = f"{tally.count:,} row{'' if tally.count == 1 else 's'}"
    file = _judge(entrants)
    message = f"the models are not judged alike: in {rows} of {file} the {what} is not the same for all of them"
    return Problem("bad_option", message, column=column, rows=tally.first, count=tally.count, hint=hint)


def _judge(entrants: Sequence[Entrant]) -> str:
    first = entrants[0]
    return (first.labels or first.predictions).path


class _Together(NamedTuple):
    """What is gathered of all models; each thread has one at a time."""

    paired: PairedLosses
    odd: _Odd

    def add(self, found: Sequence[RowLosses]) -> None:
        """Add the same rows of every model."""
        weight, label = found[0].weight, found[0].label
        losses = np.stack([one.loss for one in found])
        for one in found:
            if one.odd is not None:
                self.odd.labels.add(found[0].rows[one.odd])
        for one in found[1:]:
            if weight is not None and one.weight is not None:
                there = ~np.isnan(one.loss) & ~np.isnan(found[0].loss)
                self.odd.weights.add(found[0].rows[there & (weight != one.weight)])
        for one in found[1:]:
            both = ~np.isnan(one.loss) & ~np.isnan(found[0].loss)
            for (column, mine), cells in zip((found[0].cells or {}).items(), (one.cells or {}).values(), strict=True):
                self.odd.add_cells(column, found[0].rows[both & (mine != cells)])
        self.paired.add(losses, weight, label, found[0].groups, _units(found[0].rows, found[0].groups))

    def merge(self, other: _Together) -> None:
        self.paired.merge(other.paired)
        self.odd.merge(other.odd)


class Paired(NamedTuple):
    """What came of every model by itself, and of all of them together; the models as they were evaluated."""

    outcomes: list[Outcome]
    losses: PairedLosses | PairedTotals
    entrants: Sequence[Entrant]


def run_together(entrants: Sequence[Entrant], options: Options, watcher: Watcher | None = None) -> Paired:
    """Evaluate all models on every row; the first is the reference. Raises CeError with every kind of fault."""
    try:
        return _in_step(entrants, options, watcher)
    except OutOfOrderError:
        return _by_row(entrants, watcher)


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
    return _Together(losses, _Odd())


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


def _in_step(entrants: Sequence[Entrant], options: Options, watcher: Watcher | None) -> Paired:
    """Take the rows of all models side by side. Raises OutOfOrderError where one stands in another order."""
    classes = entrants[0].context.plan.classes
    counts = [AlignmentCounts() for _ in entrants]
    jobs = _shared(entrants)
    grouping = _grouping(entrants[0])
    own = _own_columns(entrants)
    teams = [
        Worker(one.context, one.options, [LossSink(one.context, classes, grouping if at == 0 else None, own=own)])
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
    outcomes = concluded_all([partial(_conclude, *both) for both in zip(entrants, gathered, strict=True)])
    return _paired(entrants, outcomes, whole)


def _conclude(entrant: Entrant, gathered: Gathered) -> Outcome:
    return concluded(entrant.context, gathered, drop=entrant.options.on_invalid == "drop")


def concluded_all(concluding: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    """Return the outcomes of all models, or raise with the problems of all of them, each told once."""
    outcomes: list[Outcome] = []
    problems: list[Problem] = []
    for conclude in concluding:
        try:
            outcomes.append(conclude())
        except CeError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise CeError(*map(_with_pattern, problems))
    return outcomes


def _with_pattern(problem: Problem) -> Problem:
    """Say what may be wrong where files that were taken for models do not have the same rows."""
    if problem.code not in ("missing_id", "length_mismatch"):
        return problem
    hint = "if these files are the parts of one data set, and no models, name their folder or quote the pattern: 'parts/*.csv'"
    return replace(problem, hint=f"{problem.hint}; {hint}" if problem.hint else hint)


def _paired(entrants: Sequence[Entrant], outcomes: list[Outcome], together: _Together) -> Paired:
    problems = together.odd.problems(entrants)
    if problems:
        raise CeError(*problems)
    if together.paired.n == 0:
        raise CeError(Problem("no_scored_samples", "no row was scored by all models", hint="look at each by itself"))
    return Paired(outcomes, together.paired, entrants)


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
    return jobs


def _bytes_read(entrants: Sequence[Entrant]) -> int:
    files = {id(file): file for one in entrants for file in (one.predictions, one.labels) if file is not None}
    return sum(file.bytes_read for file in files.values())


class HeldLosses:
    """The losses of every model by the row of the label, `8` bytes each, and the weight and the class of each row."""

    def __init__(self, models: int) -> None:
        self._losses = [np.zeros(0)] * models
        self._weight: Floats | None = None
        self._label: Ints | None = None
        self._groups: dict[str, _HeldGroups] = {}
        self._cells: list[Words] = []  # of the reference
        self.odd = [_Odd() for _ in range(models)]

    def put(self, model: int, found: RowLosses) -> None:
        """Hold the losses of some rows of one model."""
        if not len(found.rows):
            return
        size = int(found.rows.max()) + 1
        self._losses[model] = _grown(self._losses[model], size, np.nan)
        self._losses[model][found.rows] = found.loss
        there = ~np.isnan(found.loss)
        if found.odd is not None:
            self.odd[model].labels.add(np.sort(found.rows[found.odd]))
        rows = found.rows[there]
        if found.weight is not None:
            self._put_weight(model, rows, found.weight[there])
        if found.label is not None:
            self._label = _grown(np.zeros(0, dtype=np.int64) if self._label is None else self._label, size, _UNSET)
            self._label[rows] = found.label[there]
        self._put_cells(model, found.rows, there, found.cells or {})
        for name, groups in (found.groups or {}).items():
            self._groups.setdefault(name, _HeldGroups()).put(found.rows, groups)

    def pieces(self) -> Iterator[tuple[Floats, Floats | None, Ints | None, Mapping[str, Groups] | None]]:
        """Yield the losses of all models, the weights, the classes and the groups of a few rows at a time."""
        size = max(len(losses) for losses in self._losses)
        losses = [_fitted(own, size, np.nan) for own in self._losses]
        weight = None if self._weight is None else _fitted(self._weight, size, 1.0)
        label = None if self._label is None else _fitted(self._label, size, UNKNOWN)
        for start in range(0, size, _HELD_ROWS):
            at = slice(start, start + _HELD_ROWS)
            code = None if label is None else np.maximum(label[at], UNKNOWN)
            groups = {
                name: held.piece(at, min(size, start + _HELD_ROWS) - start) for name, held in self._groups.items()
            }
            yield np.stack([own[at] for own in losses]), None if weight is None else weight[at], code, groups or None

    def _put_cells(self, model: int, rows: Ints, there: Bools, cells: Mapping[str, Words]) -> None:
        """Hold the cells of the reference, which comes first, and compare with them those of the other models."""
        if model == 0:
            size = int(rows.max()) + 1
            before = self._cells or [np.zeros(0, dtype=np.uint64) for _ in cells]
            self._cells = [_grown(held, size, 0) for held in before]
            for held, own in zip(self._cells, cells.values(), strict=True):
                held[rows] = own
            return
        reference = _fitted(self._losses[0], int(rows.max()) + 1, np.nan)[rows]
        both = there & ~np.isnan(reference)
        for (column, own), held in zip(cells.items(), self._cells, strict=True):
            self.odd[model].add_cells(column, np.sort(rows[both][own[both] != held[rows[both]]]))

    def _put_weight(self, model: int, rows: Ints, weight: Floats) -> None:
        size = int(rows.max()) + 1 if len(rows) else 0
        before = np.zeros(0) if self._weight is None else self._weight
        self._weight = _grown(before, size, np.nan)
        held = self._weight[rows]
        self.odd[model].weights.add(np.sort(rows[~np.isnan(held) & (held != weight)]))
        self._weight[rows] = np.where(np.isnan(held), weight, held)


class _HeldGroups:
    """Which group every row belongs to; a row that the reference has not got belongs to none, and is not common anyway."""

    def __init__(self) -> None:
        self._index: dict[Any, int] = {}
        self._codes = np.zeros(0, dtype=np.int32)

    def put(self, rows: Ints, groups: Groups) -> None:
        own = np.array([self._index.setdefault(name, len(self._index)) for name in groups.names], dtype=np.int32)
        self._codes = _grown(self._codes, int(rows.max()) + 1, 0)
        self._codes[rows] = own[groups.codes]

    def piece(self, at: slice, size: int) -> Groups:
        return present(_fitted(self._codes[at], size, 0).astype(np.int64), [*self._index])


def _fitted(values: Any, size: int, fill: float) -> Any:
    """Return an array of this size."""
    if len(values) >= size:
        return values[:size]
    return np.append(values, np.full(size - len(values), fill, dtype=values.dtype))


def _grown(values: Any, size: int, fill: float) -> Any:
    """Return an array of at least this size, twice as large as before where it has to grow."""
    if len(values) >= size:
        return values
    grown = np.full(max(size, 2 * len(values)), fill, dtype=values.dtype)
    grown[: len(values)] = values
    return grown


def _by_row(entrants: Sequence[Entrant], watcher: Watcher | None) -> Paired:
    """Take one model after another, each joined with the labels, and pair what they have at the end."""
    held = HeldLosses(len(entrants))
    own = _own_columns(entrants)
    grouping = _grouping(entrants[0])
    classes = entrants[0].context.plan.classes
    concluding = [
        partial(
            run,
            Job(one.predictions, one.labels, one.context, one.options),
            [LossSink(one.context, classes, grouping if model == 0 else None, held, model, own)],
            watcher,
        )
        for model, one in enumerate(entrants)
    ]
    outcomes = concluded_all(concluding)
    whole = _empty(entrants)
    start = 0
    for losses, weight, label, groups in held.pieces():
        rows = np.arange(start, start + losses.shape[1])
        whole.paired.add(losses, weight, label, groups, _units(rows, groups))
        start += losses.shape[1]
    for odd in held.odd:
        whole.odd.merge(odd)
    return _paired(entrants, outcomes, whole)
