"""A table that a process of its own encodes, so that it hinders nothing here: batches go to it through shared memory."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ce_cli.forks import Child, WorkerKilledError, awaited_children
from ce_cli.render.tables import ParquetTable
from ce_cli.workers import Workers, killed

if TYPE_CHECKING:
    from collections.abc import Callable

_SLOTS = 3
_SLOT_BYTES = 8 << 20
_NOTE = struct.Struct("<B?Q")  # a slot, whether a batch is complete with it, and the bytes in it


class Encoder:
    """Writes a Parquet table to an open file; only for a process without other threads.

    A batch is written into a slot of the shared memory, or into several, whose numbers go through one pipe; through another
    the process gives back the slots that it has read. Raises what the process raises, at one of the calls that follow: OSError
    for a disk that is full.
    """

    def __init__(self, raw: Any) -> None:
        self._memory = mmap.mmap(-1, _SLOTS * _SLOT_BYTES)
        given, self._give = os.pipe()
        self._returned, give_back = os.pipe()
        os.write(give_back, bytes(range(_SLOTS)))
        self._open = contextlib.ExitStack()
        self._open.enter_context(awaited_children())
        work = partial(_encode, self._memory, given, give_back, raw, os.getpid())
        self._child = Child(work, [self._give, self._returned])
        self._open.callback(self._child.end)
        os.close(given)
        os.close(give_back)
        self._open.callback(os.close, self._returned)
        self._giving = contextlib.ExitStack()
        self._giving.callback(os.close, self._give)
        self._open.enter_context(self._giving)

    def write(self, rows: pa.RecordBatch) -> None:
        """Write the next rows."""
        size = _written(rows, pa.MockOutputStream()).size()
        if size <= _SLOT_BYTES:
            self._fill(lambda slot: _written(rows, pa.FixedSizeBufferWriter(slot)), size, last=True)
            return
        whole = _written(rows, pa.BufferOutputStream()).getvalue()
        for start in range(0, size, _SLOT_BYTES):
            piece = whole.slice(start, min(_SLOT_BYTES, size - start))
            self._fill(partial(_copy, piece), len(piece), last=start + len(piece) == size)

    def _fill(self, write: Callable[[pa.Buffer], object], size: int, *, last: bool) -> None:
        """Give a slot to the process, once one is free; last: whether a batch is complete with it."""
        try:
            slot = os.read(self._returned, 1)
            if slot:
                write(pa.py_buffer(memoryview(self._memory)[slot[0] * _SLOT_BYTES :][:_SLOT_BYTES]))
                os.write(self._give, _NOTE.pack(slot[0], last, size))
                return
        except BrokenPipeError:
            pass
        self._finish()  # tells why nothing is read any more

    def close(self) -> None:
        """Wait until everything is written; the file stays open."""
        self._giving.close()
        self._finish()

    def _finish(self) -> None:
        try:
            self._child.result()
        except WorkerKilledError as error:
            raise killed(error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """End the process, whatever it has written."""
        self._open.close()


def _written(rows: pa.RecordBatch, sink: Any) -> Any:
    """Write a batch and what it takes to read it; return the sink."""
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return sink


def _copy(piece: pa.Buffer, slot: pa.Buffer) -> None:
    pa.FixedSizeBufferWriter(slot).write(piece)


def _encode(memory: mmap.mmap, given: int, give_back: int, raw: Any, parent: int) -> None:
    """Write what comes through the shared memory, reading on while a row group is encoded."""
    table: ParquetTable | None = None
    pieces: list[bytes] = []
    with contextlib.ExitStack() as beside:
        while note := os.read(given, _NOTE.size):  # a read of a pipe is not divided
            slot, last, size = _NOTE.unpack(note)
            pieces.append(memory[slot * _SLOT_BYTES : slot * _SLOT_BYTES + size])
            os.write(give_back, bytes([slot]))
            if not last:
                continue
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            for batch in pa.ipc.open_stream(data):
                if table is None:
                    table = ParquetTable(raw, batch.schema)
                    put = beside.enter_context(Workers(2).behind(table.write))
                put(batch)
    if os.getppid() != parent:  # which was killed, and with it the rest of the rows
        os._exit(1)
    if table is not None:
        table.close()
    raw.flush()
