"""The join by id, for files in different orders: the labels are held in memory, the predictions stream past them."""

from __future__ import annotations

import mmap
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.block import Pair
from ce_cli.columns import Kind, is_index
from ce_cli.errors import FIRST_ROWS, CeError, Problem, fail, shortened
from ce_cli.plan import bytes_of
from ce_cli.process import machine_memory
from ce_cli.readers.align import AlignmentCounts, Ids, wanted_columns
from ce_cli.readers.arrays import cell_text, nulls
from ce_cli.readers.base import MALFORMED, malformed_hint
from ce_cli.readers.held import HeldColumns
from ce_cli.readers.key_index import index_bytes, index_of
from ce_cli.readers.keys import KeyBuilder
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.arrays import Bools, Ints
    from ce_cli.columns import Layout
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.workers import Workers

NO_COMMON_ID = "no id is in both files: compare how they are written, and name other key columns with --id-col"


class JoinMemory(NamedTuple):
    """How much memory the labels may take, in bytes, and whether that was asked for."""

    limit: int
    given: bool


def join_memory(options: Options) -> JoinMemory:
    """Return how much memory a join may take: what was asked for, or a quarter of the machine's."""
    if options.join_memory is None:
        return JoinMemory(machine_memory() // 4, given=False)
    limit = bytes_of(options.join_memory)
    assert limit is not None  # checked with the options
    return JoinMemory(limit, given=True)


class _Located(NamedTuple):
    """A batch of the predictions and where its ids stand in the labels: -1 nowhere, -2 for a row without an id."""

    batch: pa.RecordBatch
    at: Ints
    pairs: list[tuple[Ints, Ints, pa.RecordBatch, pa.RecordBatch]]  # as `Pair`, the rows counted from the batch's first


def joined(
    predictions: DataSet,
    labels: DataSet,
    layout: Layout,
    workers: Workers,
    chunk_rows: int,
    counts: AlignmentCounts,
    *,
    drop: bool,
    memory: JoinMemory | None = None,
) -> Iterator[Pair]:
    """Yield the predictions in their own order, each with the label of the same id.

    Duplicate ids are a problem, and so are ids on one side only unless they are to be dropped; those are counted.
    memory: raises CeError as soon as the labels turn out to need more; None for no limit.
    """
    join = Join(labels, layout, workers, memory)
    yield from join.pairs(predictions, workers, chunk_rows, counts)
    join.conclude(predictions, counts, workers, drop=drop)


class Join:
    """The labels in memory, and where each id stands in them.

    Threads, and processes forked from here on, may look up the ids of different predictions at the same time.
    """

    def __init__(self, labels: DataSet, layout: Layout, workers: Workers, memory: JoinMemory | None) -> None:
        self._layout, self._path = layout, labels.path
        _, self._columns = wanted_columns(layout, ids=Ids.NONE)
        self._held = HeldColumns(self._columns)
        self._keys = [KeyBuilder() for _ in layout.label_ids]
        self._rows = 0
        self._read(labels, workers, memory)
        self._held.close()
        keys, self._keys = self._keys, []
        self._index = index_of([key.cells() for key in keys])
        # Which labels were found; a map is shared with the processes that are forked.
        self._seen = np.frombuffer(mmap.mmap(-1, max(1, self._rows)), dtype=np.bool_)[: self._rows]

    def pairs(
        self, predictions: DataSet, workers: Workers, chunk_rows: int, counts: AlignmentCounts, *, start: int = 0
    ) -> Iterator[Pair]:
        """Yield some of the predictions, the first of which is row `start`, each with the label of the same id."""
        mine, _ = wanted_columns(self._layout)
        for located in workers.ordered(partial(self._locate, chunk_rows), predictions.batches(mine, workers)):
            self._count(located, start, counts)
            for rows, at, one, two in located.pairs:
                yield Pair(rows + start, at, one, two)
            start += located.batch.num_rows

    def conclude(self, predictions: DataSet, counts: AlignmentCounts, workers: Workers, *, drop: bool) -> None:
        """Add to the counts of all predictions what is wrong with the ids."""
        repeated = len(self._index.repeats) > 0
        unlabelled = np.zeros(0, dtype=np.int64) if repeated else np.flatnonzero(~self._seen)
        counts.labels = self._rows
        counts.unmatched_labels.add(unlabelled)
        if np.count_nonzero(self._seen) < counts.matched:
            counts.problems.append(self._repeats(predictions, workers))
        if repeated:
            again = Tally()
            again.add(self._index.repeats)
            counts.problems.append(_duplicate(self._layout.label_ids, self._path, again, self._index.first_repeat))
        lonely = counts.unmatched_predictions
        if counts.first_unmatched is not None and not drop:
            message = f"id {shortened(counts.first_unmatched[1])!r} has no label in {self._path}"
            counts.problems.append(
                self._missing(predictions.path, self._layout.ids, message, lonely.first, lonely.count)
            )
        # A row without an id may be the one that a label waits for: then only the row is at fault.
        if len(unlabelled) and not drop and not counts.without_id:
            message = f"id {shortened(self._index.text(int(unlabelled[0])))!r} has no prediction in {predictions.path}"
            rows = tuple((unlabelled[:FIRST_ROWS] + 1).tolist())
            counts.problems.append(self._missing(self._path, self._layout.label_ids, message, rows, len(unlabelled)))

    def _locate(self, chunk_rows: int, batch: pa.RecordBatch) -> _Located:
        """Find the labels of a batch, and note that they were found."""
        columns = [batch.column(name) for name in self._layout.ids]
        at = self._index.find(columns)
        bad = without_id(batch, columns)
        if bad is not None:
            at[bad] = -2
        found = None if len(at) and int(at.min()) >= 0 else np.flatnonzero(at >= 0)
        self._seen[at if found is None else at[found]] = True
        return _Located(batch, at, [] if len(self._index.repeats) else [*self._pairs(batch, at, chunk_rows)])

    def _count(self, located: _Located, start: int, counts: AlignmentCounts) -> None:
        """Count what was found of one batch, whose first row is `start`."""
        at = located.at
        counts.predictions += len(at)
        if not len(at) or int(at.min()) >= 0:
            counts.matched += len(at)
            return
        counts.matched += int(np.count_nonzero(at >= 0))
        counts.without_id |= bool((at == -2).any())
        lonely = np.flatnonzero(at == -1)
        if len(lonely):
            first = int(lonely[0])
            counts.unmatched_predictions.add(start + lonely)
            counts.note_unmatched(start + first, self._text(located.batch, first))

    def _pairs(
        self, batch: pa.RecordBatch, at: Ints, chunk_rows: int
    ) -> Iterator[tuple[Ints, Ints, pa.RecordBatch, pa.RecordBatch]]:
        # A malformed row has no label; whichever stands in its place is not looked at.
        whole = not len(at) or int(at.min()) >= 0
        there = np.arange(len(at)) if whole else np.flatnonzero(at != -1)
        whole = len(there) == len(at)
        for offset in range(0, len(there), chunk_rows):
            rows = there[offset : offset + chunk_rows]
            mine = batch.slice(offset, len(rows)) if whole else batch.take(indices(rows))
            labels = np.maximum(at[rows], 0)
            yield rows, labels, mine, self._held.take(labels)

    def _read(self, labels: DataSet, workers: Workers, memory: JoinMemory | None) -> None:
        wanted = {**dict.fromkeys(self._layout.label_ids, Kind.TEXT), **self._columns}
        wrong, why = Tally(), ""
        for batch in labels.batches(wanted, workers):
            if MALFORMED in batch.schema.names:
                bad = np.flatnonzero(_malformed_rows(batch))
                why = why or batch.column(MALFORMED)[int(bad[0])].as_py()
                wrong.add(self._rows + bad)
            self._rows += batch.num_rows
            share = _share_read(labels, self._rows)
            for key, name in zip(self._keys, self._layout.label_ids, strict=True):
                key.add(batch.column(name), share or 1.0)
            self._held.add(batch, share or 1.0)
            if memory is not None:
                self._check_memory(labels, memory, share)
        if wrong.count:
            raise CeError(malformed(labels.path, wrong, why))

    def _check_memory(self, labels: DataSet, memory: JoinMemory, share: float | None) -> None:
        """Raise where what is held so far and the least that an index of all rows takes are beyond the limit."""
        held = self._held.nbytes + sum(key.nbytes for key in self._keys)
        if held + index_bytes(self._keys, max(self._rows, labels.rows() or 0)) <= memory.limit:
            return
        rows = round(self._rows / (share or 1.0))
        needed = held / (share or 1.0) + index_bytes(self._keys, rows)
        limit = f"--join-memory {in_units(memory.limit)}" if memory.given else f"the {in_units(memory.limit)} allowed"
        raise fail(
            "bad_option",
            f"the ids of the two files differ in order, and to join them the labels need "
            f"{'more than' if share is None else 'about'} {in_units(needed)} of memory, but {limit} is the limit",
            file=labels.path,
            hint="sort both files by their ids, so that rows pair as they stand and nothing is held; or allow more with "
            "--join-memory",
        )

    def _missing(self, file: str, columns: tuple[str, ...], message: str, rows: tuple[int, ...], count: int) -> Problem:
        hint = "pass --missing drop to leave out what has no partner"
        if not self._seen.any():
            hint = NO_COMMON_ID
        if all(map(is_index, columns)) and file.startswith("<"):
            hint += "; frames pair by their index: pass .to_numpy() of both to pair by position"
        return Problem("missing_id", message, file, ", ".join(columns), rows, count, hint)

    def _repeats(self, predictions: DataSet, workers: Workers) -> Problem:
        """Read the ids of the predictions once more, to tell which of them occur again."""
        seen = np.zeros(self._rows, dtype=np.bool_)
        repeats, first, start = Tally(), "", 0
        ids = dict.fromkeys(self._layout.ids, Kind.TEXT)
        for batch in predictions.batches(ids, workers):
            columns = [batch.column(name) for name in self._layout.ids]
            at = self._index.find(columns)
            bad = without_id(batch, columns)
            there = np.flatnonzero(at >= 0 if bad is None else (at >= 0) & ~bad)
            again = np.ones(len(there), dtype=np.bool_)
            again[np.unique(at[there], return_index=True)[1]] = False
            again |= seen[at[there]]
            seen[at[there]] = True
            if again.any():
                first = first or self._text(batch, int(there[again.argmax()]))
                repeats.add(start + there[again])
            start += batch.num_rows
        from ce_cli.readers.repeats import by_model
        from ce_cli.readers.repeats import repeats as again_in

        looked = again_in(predictions, self._layout.ids, self._layout.scores.columns)
        hint = None if looked is None or looked.apart is None else by_model(looked.apart)
        return _duplicate(self._layout.ids, predictions.path, repeats, first, hint)

    def _text(self, batch: pa.RecordBatch, row: int) -> str:
        return "|".join(cell_text(batch.column(name), row) for name in self._layout.ids)


def _share_read(data: DataSet, rows: int) -> float | None:
    """Return about which share of all rows the first `rows` are, None where that is not known."""
    total = data.rows()
    if total is not None:
        return rows / max(rows, total, 1)
    if not data.total_bytes or not data.bytes_read:
        return None
    return min(1.0, data.bytes_read / data.total_bytes)


def without_id(batch: pa.RecordBatch, columns: list[pa.Array]) -> Bools | None:
    """Return which rows have no id, malformed ones among them, None where all have: the checks of rows tell what is wrong."""
    bad = _malformed_rows(batch) if MALFORMED in batch.schema.names else None
    empty = nulls(columns[0]) if len(columns) == 1 else None
    if bad is None or empty is None:
        return empty if bad is None else bad
    return bad | empty


def indices(positions: Ints) -> pa.Array:
    """Return positions as an Arrow array."""
    return pa.Array.from_buffers(pa.int64(), len(positions), [None, pa.py_buffer(np.ascontiguousarray(positions))])


def in_units(size: float) -> str:
    """Return a number of bytes as people write it."""
    units = ["TiB", "GiB", "MiB", "KiB", "B"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop()
    return f"{size:.0f} {units[-1]}" if size >= 100 or size == int(size) else f"{size:.1f} {units[-1]}"


def _malformed_rows(batch: pa.RecordBatch) -> Bools:
    fine = nulls(batch.column(MALFORMED))
    return np.ones(batch.num_rows, dtype=np.bool_) if fine is None else ~fine


def malformed(path: str, rows: Tally, why: str) -> Problem:
    """Return the problem of rows with the wrong number of cells."""
    return Problem("malformed_row", why, path, rows=rows.first, count=rows.count, hint=malformed_hint(why))


def _duplicate(columns: tuple[str, ...], path: str, rows: Tally, text: str, hint: str | None = None) -> Problem:
    return Problem(
        "duplicate_id",
        f"id {shortened(text)!r} occurs more than once",
        file=path,
        column=", ".join(columns),
        rows=rows.first,
        count=rows.count,
        hint=hint or "ids must be unique to join files in different orders; name more key columns with --id-col",
    )
