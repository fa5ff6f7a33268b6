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
_END = _NOTE.pack(_SLOTS, True, 0)  # there are no more rows


class Encoder:
    """Writes a Parquet table to an open file.

    A batch is written into a slot of the shared memory, or into several, whose numbers go through one pipe; through another
    the process gives back the slots that it has read. Without the last note, as where this process is killed, it leaves the
    table incomplete.

    To be made, closed and discarded by the main thread, and made while there is no other. Raises what the process raises,
    at one of the calls that follow and at every one after that: OSError for a disk that is full.
    """

    def __init__(self, raw: Any) -> None:
        self._memory = mmap.mmap(-1, _SLOTS * _SLOT_BYTES)
        self._error: Exception | None = None
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            given, self._give = os.pipe()
            theirs.callback(os.close, given)
            ours.callback(os.close, self._give)
            self._returned, give_back = os.pipe()
            theirs.callback(os.close, give_back)
            ours.callback(os.close, self._returned)
            os.write(give_back, bytes(range(_SLOTS)))
            ours.enter_context(awaited_children())
            self._child = Child(
                partial(_encode, self._memory, given, give_back, raw),
                lambda child: ours.callback(child.end),
                [self._give, self._returned],
            )
            self._open = ours.pop_all()

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

    def close(self) -> None:
        """Wait until everything is written; the file stays open."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._give, _END)
        error = self._told()
        self.discard()
        if error is not None:
            raise error

    def discard(self) -> None:
        """End the process, whatever it has written."""
        self._open.close()

    def _fill(self, write: Callable[[pa.Buffer], object], size: int, *, last: bool) -> None:
        """Give a slot to the process, once one is free; last: whether a batch is complete with it."""
        if self._error is not None:
            raise self._error
        with contextlib.suppress(BrokenPipeError):
            slot = os.read(self._returned, 1)
            if slot:
                write(pa.py_buffer(memoryview(self._memory)[slot[0] * _SLOT_BYTES :][:_SLOT_BYTES]))
                os.write(self._give, _NOTE.pack(slot[0], last, size))
                return
        self._error = self._told() or BrokenPipeError()
        raise self._error

    def _told(self) -> Exception | None:
        """Return what went wrong in the process, once it has ended."""
        if self._error is None:
            try:
                self._child.result()
            except WorkerKilledError as error:
                return killed(error)
            except Exception as error:
                return error
        return self._error


def _written(rows: pa.RecordBatch, sink: Any) -> Any:
    """Write a batch and what it takes to read it; return the sink."""
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return sink


def _copy(piece: pa.Buffer, slot: pa.Buffer) -> None:
    pa.FixedSizeBufferWriter(slot).write(piece)


def _encode(memory: mmap.mmap, given: int, give_back: int, raw: Any) -> None:
    """Write what comes through the shared memory, reading on while a row group is encoded."""
    table: ParquetTable | None = None
    pieces: list[bytes] = []
    with contextlib.ExitStack() as beside:
        while (note := os.read(given, _NOTE.size)) != _END:  # a read of a pipe is not divided
            if not note:  # the other process is gone, and with it the rest of the rows
                os._exit(1)
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
    if table is not None:
        table.close()
    raw.flush()
