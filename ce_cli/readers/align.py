"""Pairs predictions with labels: by position while the ids agree, and by a join where they do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.block import Pair
from ce_cli.columns import Kind
from ce_cli.errors import CeError, Problem
from ce_cli.readers.arrays import nulls, plain, texts, view
from ce_cli.readers.base import MALFORMED
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from ce_cli.arrays import Ints
    from ce_cli.columns import Layout
    from ce_cli.readers.base import DataSet, StoredColumns
    from ce_cli.workers import Workers

CHUNK_ROWS = 1 << 17


class OutOfOrderError(Exception):
    """The ids of the two files differ at some row: they must be joined."""


@dataclass(eq=False, repr=False)
class AlignmentCounts:
    """How many rows each side has, what found no partner, and what is wrong with the pairing as a whole.

    matched: predictions whose id has a label. without_id: whether some prediction has no id to look for.
    first_unmatched: the row and the id of the first prediction without a label.
    """

    predictions: int = 0
    labels: int = 0
    matched: int = 0
    without_id: bool = False
    first_unmatched: tuple[int, str] | None = None
    unmatched_predictions: Tally = field(default_factory=Tally)
    unmatched_labels: Tally = field(default_factory=Tally)
    differing_ids: Tally = field(default_factory=Tally)
    problems: list[Problem] = field(default_factory=list)

    def merge(self, other: AlignmentCounts) -> None:
        """Add what was counted of other rows."""
        self.predictions += other.predictions
        self.labels += other.labels
        self.matched += other.matched
        self.without_id |= other.without_id
        if other.first_unmatched is not None:
            self.note_unmatched(*other.first_unmatched)
        self.unmatched_predictions.merge(other.unmatched_predictions)
        self.unmatched_labels.merge(other.unmatched_labels)
        self.differing_ids.merge(other.differing_ids)
        self.problems += other.problems

    def note_unmatched(self, row: int, text: str) -> None:
        """Keep an id without a label, if none comes before it."""
        if self.first_unmatched is None or row < self.first_unmatched[0]:
            self.first_unmatched = row, text


class Ids(Enum):
    """Which ids are read: none where they are known to agree, those of the predictions where they are to be written besides."""

    NONE = auto()
    OF_PREDICTIONS = auto()
    BOTH = auto()


def wanted_columns(layout: Layout, *, ids: Ids = Ids.BOTH) -> tuple[dict[str, Kind], dict[str, Kind]]:
    """Return the columns to read from the predictions and from the labels, and how."""
    mine = dict.fromkeys(() if ids is Ids.NONE else layout.ids, Kind.TEXT)
    other = dict.fromkeys(layout.label_ids if ids is Ids.BOTH else (), Kind.TEXT)
    mine.update(dict.fromkeys(layout.scores.columns, Kind.NUMBER))
    (mine if layout.label_side == "predictions" else other).update(dict.fromkeys(layout.labels, layout.label_kind))
    shown = []
    for name, role in layout.roles.items():
        if name.startswith("show:"):
            shown.append(role)
        else:
            (mine if role.side == "predictions" else other)[role.column] = role.kind
    if layout.weight is not None:
        (mine if layout.weight_side == "predictions" else other)[layout.weight] = Kind.NUMBER
    for role in shown:  # a column that means something besides is read as that demands
        (mine if role.side == "predictions" else other).setdefault(role.column, role.kind)
    return mine, other


def stored_ids(predictions: DataSet, labels: DataSet | None, layout: Layout) -> StoredColumns | None:
    """Return the ids where they need not be decoded to be verified: both files store the same bytes for them.

    None where that cannot be told; they may be the same then nevertheless. None too where they are decoded for another reason.
    """
    if labels is None and wanted_columns(layout, ids=Ids.NONE)[0].keys() >= set(layout.ids):
        return None
    mine = predictions.stored(layout.ids)
    if mine is None or labels is None:
        return mine
    other = labels.stored(layout.label_ids)
    if other is None or mine.rows != other.rows:
        return None
    alike = all(one == two for one, two in zip_longest(mine.pieces(), other.pieces()))
    return mine if alike else None


def single_file(
    data: DataSet,
    layout: Layout,
    workers: Workers,
    chunk_rows: int,
    counts: AlignmentCounts,
    *,
    ids: Ids = Ids.BOTH,
    start: int = 0,
) -> Iterator[Pair]:
    """Yield the rows of one file that holds both scores and labels, with the `ids` that are wanted.

    start: the number of the first row.
    """
    columns, _ = wanted_columns(layout, ids=ids)
    for batch in data.batches(columns, workers):
        for offset in range(0, batch.num_rows, chunk_rows):
            part = batch.slice(offset, chunk_rows)
            rows = np.arange(start + offset, start + offset + part.num_rows)
            yield Pair(rows, rows, part, part)
        start += batch.num_rows
        counts.predictions += batch.num_rows
        counts.labels += batch.num_rows


def side_by_side(
    predictions: DataSet,
    labels: DataSet,
    layout: Layout,
    workers: Workers,
    chunk_rows: int,
    counts: AlignmentCounts,
    *,
    ids: Ids = Ids.BOTH,
    start: int = 0,
) -> Iterator[Pair]:
    """Yield the rows of two files that stand in the same order, with the `ids` that are wanted.

    start: the number of the first row.

    With those of both, raises OutOfOrderError at the first row where they differ or one file ends. Otherwise, or by
    position, unequal lengths are a problem, and ids that differ are counted.
    """
    mine, other = wanted_columns(layout, ids=ids)
    left, right = _Cursor(predictions.batches(mine, workers)), _Cursor(labels.batches(other, workers))
    empty = [data.path for data, cursor in ((predictions, left), (labels, right)) if not cursor.available()]
    if empty:
        raise CeError(*(Problem("no_samples", "there are no rows", file=path) for path in empty))
    while True:
        rows = min(left.available(), right.available(), chunk_rows)
        if rows == 0:
            break
        one, two = left.take(rows), right.take(rows)
        numbers = np.arange(start, start + rows)
        start += rows
        if ids is Ids.BOTH:
            _compare(one, two, layout, numbers, counts)
        counts.predictions += rows
        counts.labels += rows
        yield Pair(numbers, numbers, one, two)
    if left.available() or right.available():
        if layout.alignment == "id":
            raise OutOfOrderError
        counts.problems.append(_length_mismatch(predictions, labels, left.count_all(), right.count_all(), layout))


def same(one: pa.Array, two: pa.Array) -> bool:
    """Tell whether two columns hold the same values: integers by value, anything else by its text."""
    one, two = plain(one), plain(two)
    if one.type == two.type:
        return bool(one.equals(two))
    mine, other = view(one), view(two)
    whole = mine is not None and other is not None and mine.dtype.kind in "iu" and other.dtype.kind in "iu"
    if whole and one.null_count == two.null_count == 0:
        return bool(np.array_equal(mine, other))  # type: ignore[arg-type]
    return bool(texts(one).equals(texts(two)))


class _Cursor:
    """A stream of batches from which any number of rows can be taken."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._batch: pa.RecordBatch | None = None
        self._offset = 0
        self.done = 0

    def available(self) -> int:
        """Return how many rows can be taken at once, 0 at the end."""
        while self._batch is None or self._offset >= self._batch.num_rows:
            self._batch, self._offset = next(self._batches, None), 0
            if self._batch is None:
                self._batches = iter(())
                return 0
        return int(self._batch.num_rows) - self._offset

    def take(self, rows: int) -> pa.RecordBatch:
        """Return the next rows."""
        assert self._batch is not None  # the caller asked what is available
        part = self._batch.slice(self._offset, rows)
        self._offset += rows
        self.done += rows
        return part

    def count_all(self) -> int:
        """Read to the end and return how many rows there are."""
        total = self.done
        while rows := self.available():
            self.take(rows)
            total += rows
        return total


def _compare(one: pa.RecordBatch, two: pa.RecordBatch, layout: Layout, rows: Ints, counts: AlignmentCounts) -> None:
    """Compare the ids of paired rows: raise where they must agree, count where they need not."""
    keys = [(one.column(mine), two.column(other)) for mine, other in zip(layout.ids, layout.label_ids, strict=True)]
    if all(same(mine, other) for mine, other in keys):
        return
    malformed = any(MALFORMED in batch.schema.names for batch in (one, two))
    if layout.alignment == "id" and not malformed and all(map(_plainly_compared, chain.from_iterable(keys))):
        raise OutOfOrderError
    differ = np.zeros(len(rows), dtype=np.bool_)
    for mine, other in keys:
        pairs = zip(texts(mine).to_pylist(), texts(other).to_pylist(), strict=True)
        differ |= np.array([left != right for left, right in pairs])
    for batch in (one, two):
        if MALFORMED in batch.schema.names:  # such a row has no id, and is told for what it is
            fine = nulls(batch.column(MALFORMED))
            differ &= False if fine is None else fine
    if differ.any() and layout.alignment == "id":
        raise OutOfOrderError
    counts.differing_ids.add(rows[differ])


def _plainly_compared(array: pa.Array) -> bool:
    """Tell whether cells that differ also differ in their text: NaN is not even equal to itself."""
    import pyarrow as pa

    return bool(pa.types.is_integer(array.type) or pa.types.is_string(array.type))


def _length_mismatch(predictions: DataSet, labels: DataSet, mine: int, other: int, layout: Layout) -> Problem:
    return Problem(
        "length_mismatch",
        f"{mine} predictions, but {other} labels in {labels.path}",
        file=predictions.path,
        count=abs(mine - other),
        hint="rows are paired by position here and need equal lengths; to join them, give both files an id column"
        if not layout.ids
        else "with --align position the files need equal lengths; without it they are joined by id",
    )
