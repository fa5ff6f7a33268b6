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

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.engine import ScoredRows
    from ce_cli.tasks.base import Context

_COLUMNS = ("row", "label", "predicted", "prob", "loss", "weight")


class RowFile:
    """Base of the row sinks: a context that commits what is complete and discards what is not."""

    wants_faults = False
    keeps_on_error = False  # whether the file is wanted where the evaluation itself fails

    def __init__(self, path: str, *, spool: bool = False) -> None:
        self._file = OutputFile(path, spool=spool)
        self._complete = False

    def complete(self) -> None:
        """Learn that every row has been written."""
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
        self._names = _text_array(list(context.plan.classes))
        self._writer: Any = None
        self._left = False

    def write(self, rows: ScoredRows) -> None:
        """Write the next rows; where the reader of a pipe has left, they go nowhere, and the evaluation goes on."""
        if self._left:
            return
        batch = self._batch(rows)
        try:
            if self._writer is None:
                self._writer = self._open(batch.schema)
            if self._parquet:
                self._writer.write_batch(batch)
            else:
                self._writer.write(batch)
        except BrokenPipeError:
            self._left = True

    def _batch(self, rows: ScoredRows) -> pa.RecordBatch:
        n = len(rows.pair.rows)
        loss, prob = np.zeros(n), np.zeros(n)
        predicted = np.zeros(n, dtype=np.int64)
        there = np.zeros(n, dtype=np.bool_)
        for at, _, scored in rows.pieces:
            objective = scored.loss if scored.objective is None else scored.objective.loss
            loss[at], prob[at], predicted[at], there[at] = objective, scored.prob_label, scored.predicted, True
        if self._unit != 1.0:
            loss /= self._unit
        layout = self._context.layout
        columns = {_id_name(name): plain(rows.pair.predictions.column(name)) for name in layout.ids}
        if not columns:
            columns = {"row": _array(pa.int64(), rows.pair.rows + 1)}
        columns["label"] = plain(rows.pair.labels.column(layout.label))
        columns["predicted"] = self._names.take(_array(pa.int64(), predicted, there))
        columns["prob"] = _array(pa.float64(), prob, there)
        columns["loss"] = _array(pa.float64(), loss, there)
        columns["weight"] = _array(pa.float64(), self._weights(rows, n), there)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _weights(self, rows: ScoredRows, n: int) -> Floats:
        weights = np.ones(n)
        for at, weight, scored in rows.pieces:
            if weight is not None:
                weights[at] = weight
            if scored.objective is not None and scored.objective.weight is not None:
                weights[at] *= scored.objective.weight
        return weights

    def _open(self, schema: pa.Schema) -> Any:
        if self._parquet:
            import pyarrow.parquet as pq

            return pq.ParquetWriter(self._file.raw, schema)
        import pyarrow.csv as pa_csv

        options = pa_csv.WriteOptions(quoting_style="needed")
        return pa_csv.CSVWriter(pa.PythonFile(self._file.raw, mode="w"), schema, write_options=options)

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
        self._writer = None


def _id_name(name: str) -> str:
    """Return the name of an id column, told apart from those of the other columns."""
    return f"id_{name}" if name in _COLUMNS else name


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


def _array(type_: pa.DataType, values: Floats | Ints, valid: Bools | None = None) -> pa.Array:
    bitmap = None
    if valid is not None and not valid.all():
        bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(type_, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


def _text_array(words: list[str]) -> pa.Array:
    """Return text as Arrow has it, without pyarrow.array, which imports pandas."""
    encoded = [word.encode() for word in words]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(words), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )
