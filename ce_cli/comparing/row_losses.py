"""What one of several models says of each row: its loss, and all that the rows of the models are compared by."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.comparing.entrants import OWN_LABEL, OWN_WEIGHT
from ce_cli.folding import describer
from ce_cli.judging.slice_edges import interval_groups
from ce_cli.labels import without_zeros
from ce_cli.readers.align import same
from ce_cli.readers.arrays import numbers, texts
from ce_cli.readers.categories import groups_of
from ce_cli.readers.keys import text_words
from ce_cli.setup import make_task
from ce_cli.slicing import parse_all
from ce_cli.state.evaluation import objective
from ce_cli.state.groups import CLUSTER, crossed
from ce_cli.state.paired import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair
    from ce_cli.comparing.held_losses import HeldLosses
    from ce_cli.folding import ScoredRows
    from ce_cli.kernels.hashing import Words
    from ce_cli.plan import Options
    from ce_cli.slicing import Criterion
    from ce_cli.state.evaluation import EvalState
    from ce_cli.state.groups import Groups
    from ce_cli.tasks.base import Context


class RowLosses(NamedTuple):
    """What one model says of some rows; every array `(n,)`.

    rows: the numbers of their labels, from 0. loss: nats, NaN where the row is not scored. weight: NaN likewise, None for 1
    each. label: the class, as the reference numbers it, UNKNOWN for none; None where rows have no single class. odd: where the
    label differs from that of the reference, odd_weight: where the weight does; None for nowhere. groups: what the rows
    belong to, as the file of the reference has it; None for the other models. cells: of columns that every model may have of
    its own, a hash of each cell. describe: what is to be told of few rows by their positions; None where nobody asks.
    """

    rows: Ints
    loss: Floats
    weight: Floats | None
    label: Ints | None
    odd: Bools | None
    groups: Mapping[str, Groups] | None = None
    cells: Mapping[str, Words] | None = None
    odd_weight: Bools | None = None
    describe: Callable[[Ints], Sequence[tuple[object, ...]]] | None = None


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
        roles = context.layout.roles
        self._roles = {role: place for role, place in roles.items() if role.startswith(OWN_LABEL)}
        self._own_weight = roles.get(OWN_WEIGHT)
        self._context, self._task = context, make_task(context)
        self._weighted = _weighted(context)
        self._held = held
        self._model = model

    def encode_beside(self) -> None:
        """There is nothing to encode."""

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
            self._odd_weight(rows.pair),
            partial(self._describe, rows) if self._model and self._context.plan.top else None,
        )

    def write(self, prepared: RowLosses) -> None:
        """Hold what is to be paired later."""
        assert self._held is not None  # else nobody writes
        self._held.put(self._model, prepared)

    def restart(self) -> None:
        """Forget what was counted; what was held stays right, since the rows come again and say the same."""
        assert self._held is not None  # as in `write`
        self._held.forget(self._model)

    def complete(self, state: EvalState) -> None:
        """There is nothing to finish."""

    def _cells(self, pair: Pair) -> dict[str, Words]:
        found = {}
        for place in self._own.values():
            groups = groups_of((pair.predictions if place.side == "predictions" else pair.labels).column(place.column))
            names = pa.array([without_zeros(name) for name in groups.names], pa.string())
            found[place.column] = text_words(names)[groups.codes]
        return found

    def _describe(self, rows: ScoredRows, chosen: Ints) -> list[tuple[object, ...]]:
        """Return the id, the label, the prediction, its probability and the cells to be shown of scored rows."""
        found: dict[int, tuple[object, ...]] = {}
        everywhere = np.arange(len(rows.pair.rows))
        for piece in rows.pieces:
            at = everywhere[piece.at]
            there = np.flatnonzero(np.isin(at, chosen)) if piece.counts else at[:0]
            told = describer(self._context, self._task, rows.pair, at, piece.scored)(there)
            found.update(zip(at[there].tolist(), told, strict=True))
        return [found[position] for position in chosen.tolist()]

    def _odd_weight(self, pair: Pair) -> Bools | None:
        """Return where a weight beside a candidate's own labels is not that of the reference, if that is one at all."""
        reference = self._context.layout.weight
        if self._own_weight is None or reference is None:
            return None
        mine, other = (
            _values(column)
            for column in (pair.predictions.column(self._own_weight.column), pair.labels.column(reference))
        )
        differ: Bools = np.isfinite(other) & (mine != other)
        return differ if differ.any() else None

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


def _values(column: pa.Array) -> Floats:
    """Return a column as float64, NaN where a cell is empty or no number."""
    found = numbers(column)
    values = found.values.copy()
    if found.missing is not None:
        values[found.missing] = np.nan
    values[list(found.bad)] = np.nan
    return values


def _plain(cell: str | None) -> str | None:
    return None if cell is None else without_zeros(cell)


def _classes(scored: Any) -> Any:
    """Return the class of every row that was scored, None where a row may have several."""
    cell = getattr(scored, "cell", None)
    if cell is not None:
        return cell
    parts: Sequence[Any] = getattr(scored, "parts", ())
    return parts[0].label if len(parts) == 1 and parts[0].at is None and parts[0].share is None else None
