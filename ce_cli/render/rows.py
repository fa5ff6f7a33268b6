"""Files with one line per row: the losses of all rows, and the invalid rows."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ce_cli.outputs import OutputFile
from ce_cli.readers.arrays import plain, texts
from ce_cli.setup import make_task
from ce_cli.state.evaluation import objective
from ce_cli.tasks.base import Coded

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.engine import ScoredRows
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context


class RowFile:
    """Base of the row sinks: a context that commits what is complete and discards what is not."""

    wants_faults = False
    keeps_on_error = False  # whether the file is wanted where the evaluation itself fails

    def __init__(self, path: str, *, spool: bool = False) -> None:
        self._file = OutputFile(path, spool=spool)
        self._complete = False

    def complete(self, state: EvalState) -> None:  # noqa: ARG002 - most need no more than the rows
        """Learn that every row has been written, and what they come to."""
        self._complete = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or (self._complete and self.keeps_on_error):
            try:
                self._finish()
                with contextlib.suppress(BrokenPipeError):
                    self._file.commit()
            except BaseException:
                self._file.discard()
                raise
        else:
            self._abandon()
            self._file.discard()

    def restart(self) -> None:
        """Forget all rows."""
        self._abandon()
        self._file.open()

    def write(self, rows: ScoredRows) -> None:
        """Write the next rows."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Write what is still held back."""

    def _abandon(self) -> None:
        """Close whatever writes into the file."""


class PerSampleFile(RowFile):
    """The loss of every row, in the order of the predictions, as CSV or Parquet.

    Columns: the ids, or `row` from 1 where there are none; label, as the file has it; predicted; prob, of the label; loss,
    in the report's unit; weight. A row that was left out has an empty predicted, prob and loss.
    """

    def __init__(self, path: str, context: Context) -> None:
        # Rows that went to standard output cannot be taken back when the files turn out to need a join.
        super().__init__(path, spool=context.plan.alignment == "id")
        self._context = context
        self._unit = context.plan.unit_size
        self._parquet = path.lower().endswith(".parquet")
        self._task = make_task(context)
        self._columns: dict[str, Any] = {}
        self._waiting: list[ScoredRows] = []
        self._writer: Any = None
        self._left = False

    def write(self, rows: ScoredRows) -> None:
        """Write the next rows; where the reader of a pipe has left, they go nowhere, and the evaluation goes on."""
        if self._left:
            return
        if rows.pieces and not self._columns:
            first = rows.pieces[0].scored
            self._columns = {**self._task.sample_columns(first), "loss": first.loss, "weight": None}
        for ready in self._known(rows):
            batch = self._batch(ready)
            try:
                if self._writer is None:
                    self._writer = open_table(self._file.raw, batch.schema, parquet=self._parquet)
                self._writer.write(batch)
            except BrokenPipeError:
                self._left = True
                return

    def _known(self, rows: ScoredRows) -> list[ScoredRows]:
        """Return the rows that can be written: none until it is known which columns the task has."""
        self._waiting.append(rows)
        if not (self._columns or rows.pieces):
            return []
        ready, self._waiting = self._waiting, []
        return ready

    def _batch(self, rows: ScoredRows) -> pa.RecordBatch:
        layout = self._context.layout
        columns = identity(rows, self._context, {"label", *self._columns})
        labels = {"label": layout.labels[0]} if len(layout.labels) == 1 else self._label_names({*columns})
        columns.update({name: plain(rows.pair.labels.column(column)) for name, column in labels.items()})
        columns.update(self._scored_columns(rows))
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _label_names(self, ids: set[str]) -> dict[str, str]:
        """Return the columns of several labels by their names, told apart from those of the other columns."""
        taken = ids | {"row", *self._columns}
        return {distinct(name, taken, "label_"): name for name in self._context.layout.labels}

    def _scored_columns(self, rows: ScoredRows) -> dict[str, pa.Array]:
        """Return the columns of the task, then loss and weight; a row that was left out is empty in all of them."""
        n = len(rows.pair.rows)
        there = np.zeros(n, dtype=np.bool_)
        whole = {name: np.ones(n, dtype=_kind(values)) for name, values in self._columns.items()}
        for piece in rows.pieces:
            there[piece.at] = True
            loss, weight = objective(piece.scored, piece.block.weight)
            told = {**self._task.sample_columns(piece.scored), "loss": loss / self._unit, "weight": weight}
            for name, values in told.items():
                if values is not None:
                    whole[name][piece.at] = values.codes if isinstance(values, Coded) else values
        return {name: self._array(name, values, there) for name, values in whole.items()}

    def _array(self, name: str, values: npt.NDArray[Any], there: Bools) -> pa.Array:
        array = arrow_array(pa.int64() if values.dtype == np.int64 else pa.float64(), values, there)
        like = self._columns[name]
        return text_array(list(like.names)).take(array) if isinstance(like, Coded) else array

    def _finish(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.close()
        except BrokenPipeError:
            self._left = True

    def _abandon(self) -> None:
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            self._finish()
        self._writer, self._waiting = None, []


def _kind(values: Any) -> type[np.int64 | np.float64]:
    """Return how a column is held: names by their numbers."""
    return np.int64 if isinstance(values, Coded) or (values is not None and values.dtype.kind in "iub") else np.float64


def distinct(name: str, taken: Collection[str], prefix: str) -> str:
    """Return a name that none of the other columns has, with a prefix where it needs one."""
    while name in taken:
        name = prefix + name
    return name


class ErrorsFile(RowFile):
    """Every invalid row as CSV: row (from 1), id, column, value, code, message."""

    wants_faults = True
    keeps_on_error = True

    def __init__(self, path: str, context: Context) -> None:
        super().__init__(path)
        self._context = context
        self._start()

    def write(self, rows: ScoredRows) -> None:
        """Write the faults among the next rows, by row."""
        ids = self._context.layout.ids
        numbers: dict[int, int] = {}
        if rows.faults:
            numbers = {int(number) + 1: position for position, number in enumerate(rows.pair.rows.tolist())}
        for fault in sorted(rows.faults, key=lambda fault: fault.row):
            position = numbers[fault.row]
            cells = [texts(rows.pair.predictions.column(name).slice(position, 1))[0].as_py() or "" for name in ids]
            self._csv.writerow([fault.row, "|".join(cells), fault.column or "", fault.value, fault.code, fault.message])

    def restart(self) -> None:
        """Forget all rows."""
        super().restart()
        self._start()

    def _start(self) -> None:
        self._text = io.TextIOWrapper(self._file.raw, encoding="utf-8", newline="", write_through=True)
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(["row", "id", "column", "value", "code", "message"])

    def _finish(self) -> None:
        self._text.flush()
        self._text.detach()

    _abandon = _finish


def open_table(raw: Any, schema: pa.Schema, *, parquet: bool) -> Any:
    """Return a writer of batches to an open file, as Parquet or CSV."""
    if parquet:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(raw, schema)
    import pyarrow.csv as pa_csv

    return pa_csv.CSVWriter(
        pa.PythonFile(raw, mode="w"), schema, write_options=pa_csv.WriteOptions(quoting_style="needed")
    )


def identity(rows: ScoredRows, context: Context, taken: Collection[str]) -> dict[str, pa.Array]:
    """Return the columns that tell which row is which: the ids, by names that are not taken; else its number from 1."""
    others = {"row", *taken}
    columns = {distinct(name, others, "id_"): plain(rows.pair.predictions.column(name)) for name in context.layout.ids}
    return columns or {"row": arrow_array(pa.int64(), rows.pair.rows + 1)}


def arrow_array(type_: pa.DataType, values: Floats | Ints, valid: Bools | None = None) -> pa.Array:
    """Return an Arrow array of these values, null where they are not valid."""
    bitmap = None
    if valid is not None and not valid.all():
        bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(type_, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


def text_array(words: list[str]) -> pa.Array:
    """Return text as Arrow has it, without pyarrow.array, which imports pandas."""
    encoded = [word.encode() for word in words]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(words), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )
