"""The rows of several models in one file, dealt out to a reader for each in one pass over the file.

What one reader is not yet asked for waits: a little of it in memory, the rest in a temporary file. Where the rows of the models
alternate hardly anything waits; where each model has a block of its own, the blocks before the last one do.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.readers.arrays import nulls, plain, texts, view
from ce_cli.readers.base import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.readers.base import DataSet
    from ce_cli.readers.chosen import ChosenRows
    from ce_cli.workers import Workers

_MOST_WAITING = 1 << 26  # bytes in memory, of all readers together


class Dealt:
    """A data set whose rows go to several readers by the value of a column.

    Readers say with `reader` which columns they want before the first of them reads. Where two want a column in different
    ways, the second reads the file by itself.
    """

    def __init__(self, data: DataSet, column: str) -> None:
        self.data = data
        self._column = column
        self._wanted: dict[str, Kind] = {column: Kind.TEXT}
        self._queues: dict[str, _Queue] = {}
        self._file = _TemporaryPieces()
        self._batches: Iterator[pa.RecordBatch] | None = None

    def reader(self, rows: ChosenRows, columns: Mapping[str, Kind]) -> DealtRows | ChosenRows:
        """Return what reads these columns of the rows of one value."""
        if any(self._wanted.get(name, kind) is not kind for name, kind in columns.items()):
            return rows
        self._wanted.update(columns)
        self._queues[rows.value] = _Queue(self._file)
        return DealtRows(self, rows)

    def next_of(self, value: str, workers: Workers) -> pa.RecordBatch | None:
        """Return the next rows of a value, None at the end."""
        if self._batches is None:
            self._batches = self.data.batches(self._wanted, workers)
        queue = self._queues[value]
        while not queue:
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._deal(batch)
        return queue.pop()

    def _deal(self, batch: pa.RecordBatch) -> None:
        codes = texts(plain(batch.column(self._column))).dictionary_encode(null_encoding="encode")
        place: Any = view(codes.indices)
        malformed: Any = False
        if MALFORMED in batch.schema.names:  # such a row may be of any of them, and is told for what it is
            fine = nulls(batch.column(MALFORMED))
            malformed = True if fine is None else ~fine
        held: dict[str, set[int]] = {}
        for code, text in enumerate(codes.dictionary.to_pylist()):
            held.setdefault(text or "", set()).add(code)
        most = _MOST_WAITING // len(self._queues)
        for value, queue in self._queues.items():
            rows = np.flatnonzero(np.logical_or.reduce([place == code for code in held.get(value, {-1})]) | malformed)
            if len(rows):
                taken = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)])
                queue.push(batch.take(taken), most)


class DealtRows:
    """The rows of one value; what is asked of them beside their batches, `ChosenRows` answers."""

    def __init__(self, dealt: Dealt, rows: ChosenRows) -> None:
        self._dealt = dealt
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns that were asked for; only once."""
        while (batch := self._dealt.next_of(self._rows.value, workers)) is not None:
            yield batch.select([*columns, *((MALFORMED,) if MALFORMED in batch.schema.names else ())])


class _Queue:
    """Batches that wait: the first of them in memory or in pieces of a file, the last ones in memory."""

    def __init__(self, file: _TemporaryPieces) -> None:
        self._file = file
        self._pieces: deque[tuple[int, int]] = deque()  # in the file: where each begins, and its size
        self._ready: deque[pa.RecordBatch] = deque()  # before the pieces
        self._last: deque[pa.RecordBatch] = deque()  # after them
        self._bytes = 0  # of those

    def __bool__(self) -> bool:
        return bool(self._ready or self._pieces or self._last)

    def push(self, batch: pa.RecordBatch, most: int) -> None:
        """Put a batch to the end; what takes more bytes than `most` goes to the file."""
        self._last.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > most:
            self._write()

    def pop(self) -> pa.RecordBatch:
        """Take the first batch."""
        if not self._ready and self._pieces:
            self._ready.extend(self._read(*self._pieces.popleft()))
        if self._ready:
            return self._ready.popleft()
        batch = self._last.popleft()
        self._bytes -= batch.nbytes
        return batch

    def _write(self) -> None:
        """Move what waits at the end into the file, a piece for each run of batches of the same columns."""
        while self._last:
            schema, sink = self._last[0].schema, pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, schema) as stream:
                while self._last and self._last[0].schema.equals(schema):
                    stream.write_batch(self._last.popleft())
            self._pieces.append(self._file.append(sink.getvalue()))
        self._bytes = 0

    def _read(self, start: int, size: int) -> list[pa.RecordBatch]:
        with pa.ipc.open_stream(self._file.read(start, size)) as stream:
            return list(stream)


class _TemporaryPieces:
    """A temporary file of pieces, which is there once the first is appended and goes with this object."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def append(self, piece: pa.Buffer) -> tuple[int, int]:
        """Write a piece to the end; return where it begins, and its size."""
        if self._file is None:
            import tempfile

            self._file = tempfile.TemporaryFile(prefix="ce-eval-")  # noqa: SIM115 - lives as long as this
            weakref.finalize(self, self._file.close)
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(piece)
        return start, piece.size

    def read(self, start: int, size: int) -> pa.Buffer:
        """Return a piece."""
        assert self._file is not None  # it was written
        self._file.seek(start)
        return pa.py_buffer(self._file.read(size))
