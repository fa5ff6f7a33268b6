"""The join by id, for files in different orders: the labels are held in memory, the predictions stream past them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ce_cli.block import Pair
from ce_cli.errors import FIRST_ROWS, CeError, Problem, fail
from ce_cli.readers.align import AlignmentCounts, wanted_columns
from ce_cli.readers.arrays import nulls, plain, texts, view
from ce_cli.readers.base import MALFORMED, malformed_hint
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.arrays import Bools, Ints
    from ce_cli.columns import Layout
    from ce_cli.readers.base import DataSet
    from ce_cli.workers import Workers

_SEPARATOR = "\x1f"


def joined(
    predictions: DataSet,
    labels: DataSet,
    layout: Layout,
    workers: Workers,
    chunk_rows: int,
    counts: AlignmentCounts,
    *,
    drop: bool,
) -> Iterator[Pair]:
    """Yield the predictions in their own order, each with the label of the same id.

    Duplicate ids are a problem, and so are ids on one side only unless they are to be dropped; those are counted.
    """
    mine, other = wanted_columns(layout)
    table = _all_rows(labels, other, workers)
    index = _LabelIndex(table, layout, labels.path, predictions.sample())
    counts.labels = table.num_rows
    faults = _JoinFaults(index, layout, predictions.path, labels.path)
    start = 0
    for batch in predictions.batches(mine, workers):
        at = index.find(batch)
        at = faults.without_id(batch, at)
        rows = np.arange(start, start + batch.num_rows)
        faults.note(batch, rows, at)
        start += batch.num_rows
        counts.predictions = start
        found = np.flatnonzero(at != -1)
        if index.repeated is None:
            yield from _pairs(batch, rows, at, found, table, chunk_rows)
    faults.finish(counts, drop=drop)


def _pairs(
    batch: pa.RecordBatch, rows: Ints, at: Ints, found: Ints, table: pa.RecordBatch, chunk_rows: int
) -> Iterator[Pair]:
    for offset in range(0, len(found), chunk_rows):
        chosen = found[offset : offset + chunk_rows]
        mine = batch.slice(offset, len(chosen)) if len(found) == batch.num_rows else batch.take(_indices(chosen))
        # A malformed row has no label; whichever stands in its place is not looked at.
        labels = np.maximum(at[chosen], 0)
        yield Pair(rows[chosen], labels, mine, table.take(_indices(labels)))


def _indices(positions: Ints) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(positions), [None, pa.py_buffer(np.ascontiguousarray(positions))])


def _all_rows(labels: DataSet, columns: Any, workers: Workers) -> pa.RecordBatch:
    # Batches may differ in type where a cell could not be read as a number; dictionaries would have to be unified.
    batches, wrong, why, start = [], Tally(), "", 0
    for batch in labels.batches(columns, workers):
        if MALFORMED in batch.schema.names:
            bad = np.flatnonzero(_malformed_rows(batch))
            why = why or batch.column(MALFORMED)[int(bad[0])].as_py()
            wrong.add(start + bad)
        batches.append({name: plain(batch.column(name)) for name in columns})
        start += batch.num_rows
    if wrong.count:
        raise CeError(malformed(labels.path, wrong, why))
    arrays = []
    for name in columns:
        parts = [batch[name] for batch in batches]
        if len({part.type for part in parts}) > 1:
            parts = [texts(part) for part in parts]
        arrays.append(pa.concat_arrays(parts) if parts else pa.nulls(0))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _malformed_rows(batch: pa.RecordBatch) -> Bools:
    fine = nulls(batch.column(MALFORMED))
    return np.ones(batch.num_rows, dtype=np.bool_) if fine is None else ~fine


class _LabelIndex:
    """Where each id stands in the labels."""

    def __init__(self, table: pa.RecordBatch, layout: Layout, path: str, other: pa.Table) -> None:
        import pandas as pd

        self._layout, self._path = layout, path
        columns = [table.column(name) for name in layout.label_ids]
        self._as_integers = len(columns) == 1 and _is_integer(columns[0]) and _is_integer(other.column(layout.ids[0]))
        keys = self._keys(columns)
        self._index = pd.Index(keys)
        self.size = table.num_rows
        self.repeated = None
        if not self._index.is_unique:
            self.repeated = self._duplicates(self._index, path)
            self._index = pd.Index(pd.unique(keys))

    def find(self, batch: pa.RecordBatch) -> Ints:
        """Return the row of the labels for every prediction, -1 where there is none."""
        columns = [batch.column(name) for name in self._layout.ids]
        at = np.asarray(self._index.get_indexer(self._keys(columns)), dtype=np.int64)
        if self._as_integers and (missing := nulls(columns[0])) is not None:
            at[missing] = -1
        return at

    def text(self, row: int) -> str:
        """Return the id of a label row, as people write it."""
        return show_key(str(self._index[row]))

    def _keys(self, columns: list[pa.Array]) -> Any:
        if self._as_integers:
            values = view(plain(columns[0]))
            if values is not None and values.dtype.kind in "iu":
                return values.astype(np.int64, copy=False)
            raise fail("schema_mismatch", "some parts have whole numbers as ids and others have not", file=self._path)
        return np.array(key_texts(columns), dtype=object)

    def _duplicates(self, index: Any, path: str) -> Problem:
        again = np.flatnonzero(index.duplicated())
        return _duplicate(self._layout.label_ids, path, again, show_key(str(index[again[0]])))


class _JoinFaults:
    """Duplicate ids and ids without a partner."""

    def __init__(self, index: _LabelIndex, layout: Layout, predictions: str, labels: str) -> None:
        self._index, self._layout = index, layout
        self._predictions, self._labels = predictions, labels
        self._seen = np.zeros(index.size, dtype=np.bool_)
        self._repeated: list[int] = []
        self._repeats = 0
        self._first_repeat = ""
        self._lonely = Tally()
        self._first_lonely = ""
        self._unclear = False

    def note(self, batch: pa.RecordBatch, rows: Ints, at: Ints) -> None:
        """Look at one batch."""
        found = at[at >= 0]
        if self._seen[found].any() or len(np.unique(found)) < len(found):
            self._note_repeats(batch, rows, at)
        self._seen[found] = True
        lonely = np.flatnonzero(at == -1)
        if len(lonely):
            if not self._lonely.count:
                self._first_lonely = self._text(batch, int(lonely[0]))
            self._lonely.add(rows[lonely])

    def without_id(self, batch: pa.RecordBatch, at: Ints) -> Ints:
        """Return `at` with -2 for rows without an id, malformed ones among them: the checks of rows tell what is wrong."""
        bad = _malformed_rows(batch) if MALFORMED in batch.schema.names else np.zeros(len(at), dtype=np.bool_)
        if len(self._layout.ids) == 1 and (empty := nulls(batch.column(self._layout.ids[0]))) is not None:
            bad |= empty
        if not bad.any():
            return at
        self._unclear = True
        return np.where(bad, -2, at)

    def finish(self, counts: AlignmentCounts, *, drop: bool) -> None:
        """Add what was found to the counts."""
        repeated = self._index.repeated is not None
        unlabelled = np.zeros(0, dtype=np.int64) if repeated else np.flatnonzero(~self._seen)
        counts.unmatched_predictions = self._lonely
        counts.unmatched_labels.add(unlabelled)
        problems = []
        if self._repeats:
            problem = _duplicate(self._layout.ids, self._predictions, np.array(self._repeated), self._first_repeat)
            problems.append(replace(problem, count=self._repeats))
        if self._index.repeated is not None:
            problems.append(self._index.repeated)
        if self._lonely.count and not drop:
            message = f"id {self._first_lonely!r} has no label in {self._labels}"
            problems.append(
                self._missing(self._predictions, self._layout.ids, message, self._lonely.first, self._lonely.count)
            )
        # A row without an id may be the one that a label waits for: then only the row is at fault.
        if len(unlabelled) and not drop and not self._unclear:
            message = f"id {self._index.text(int(unlabelled[0]))!r} has no prediction in {self._predictions}"
            rows = tuple((unlabelled[:FIRST_ROWS] + 1).tolist())
            problems.append(self._missing(self._labels, self._layout.label_ids, message, rows, len(unlabelled)))
        counts.problems += problems

    def _missing(self, file: str, columns: tuple[str, ...], message: str, rows: tuple[int, ...], count: int) -> Problem:
        hint = "pass --missing drop to leave out what has no partner"
        if not self._seen.any():
            hint = "no id is in both files: compare how they are written, and name other key columns with --id-col"
        return Problem("missing_id", message, file, ", ".join(columns), rows, count, hint)

    def _note_repeats(self, batch: pa.RecordBatch, rows: Ints, at: Ints) -> None:
        seen = set(np.flatnonzero(self._seen[np.maximum(at, 0)] & (at >= 0)).tolist())
        first: set[int] = set()
        for position, label in enumerate(at.tolist()):
            if label < 0:
                continue
            if position in seen or label in first:
                if not self._repeats:
                    self._first_repeat = self._text(batch, position)
                self._repeats += 1
                if len(self._repeated) < FIRST_ROWS:
                    self._repeated.append(int(rows[position]))
            first.add(label)

    def _text(self, batch: pa.RecordBatch, row: int) -> str:
        return show_key(key_texts([batch.column(name).slice(row, 1) for name in self._layout.ids])[0])


def key_texts(columns: list[pa.Array]) -> list[str]:
    """Return the key of every row as one text; the parts of a composite key cannot run into each other."""
    parts = [[cell or "" for cell in texts(column).to_pylist()] for column in columns]
    if len(parts) == 1:
        return parts[0]
    return [_SEPARATOR.join(map(_escaped, row)) for row in zip(*parts, strict=True)]


def _escaped(cell: str) -> str:
    return cell.replace("\x1e", "\x1e0").replace(_SEPARATOR, "\x1e1")


def show_key(key: str) -> str:
    """Return a key as people write it."""
    return key.replace(_SEPARATOR, "|")


def malformed(path: str, rows: Tally, why: str) -> Problem:
    """Return the problem of rows with the wrong number of cells."""
    return Problem("malformed_row", why, path, rows=rows.first, count=rows.count, hint=malformed_hint(why))


def _duplicate(columns: tuple[str, ...], path: str, rows: Ints, text: str) -> Problem:
    return Problem(
        "duplicate_id",
        f"id {text!r} occurs more than once",
        file=path,
        column=", ".join(columns),
        rows=tuple((rows[:FIRST_ROWS] + 1).tolist()),
        count=len(rows),
        hint="ids must be unique to join files in different orders; name more key columns with --id-col",
    )


def _is_integer(column: Any) -> bool:
    return bool(pa.types.is_integer(column.type) and column.type != pa.uint64() and column.null_count == 0)
