"""Files with one line per row: the losses of all rows, and the invalid rows."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from ce_cli.outputs import OutputFile
from ce_cli.readers.arrays import plain, texts
from ce_cli.render.tables import csv_text, named, open_table
from ce_cli.setup import make_task
from ce_cli.state.evaluation import objective
from ce_cli.tasks.base import Coded

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.folding import Piece, ScoredRows
    from ce_cli.render.tables import TableWriter
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context


class RowFile:
    """Base of the row sinks: a context that commits what is complete and discards what is not."""

    wants_faults = False
    encodes = False
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

    def encode_beside(self) -> None:
        """Have a process of its own encode the rows, where that takes long."""

    def prepare(self, rows: ScoredRows) -> Any:
        """Return what is to be written of some rows, in any order and on any thread."""
        return rows

    def write(self, prepared: Any) -> None:
        """Write the next rows, as `prepare` gave them."""
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
        self._columns: dict[str, _Column] = {}
        self._waiting: list[ScoredRows | _Prepared] = []
        self._writer: TableWriter | None = None
        self._left = False

    @property
    def encodes(self) -> bool:  # type: ignore[override]
        """Whether writing takes long."""
        return self._parquet

    def encode_beside(self) -> None:
        """Have a process of its own encode the rows."""
        from ce_cli.render.encoder import Encoder

        self._writer = Encoder(self._file.raw)

    def prepare(self, rows: ScoredRows) -> ScoredRows | _Prepared:
        """Return the columns, as text for CSV; the rows themselves as long as none has told which columns the task has."""
        if rows.pieces and not self._columns:
            first = rows.pieces[0].scored
            told = {**self._task.sample_columns(first), "loss": first.loss, "weight": None}
            self._columns = {name: _column(values) for name, values in told.items()}
        return self._prepared(rows) if self._columns else rows

    def write(self, prepared: ScoredRows | _Prepared) -> None:
        """Write the next rows; where the reader of a pipe has left, they go nowhere, and the evaluation goes on."""
        if self._left:
            return
        self._waiting.append(prepared)
        if not self._columns:
            return
        ready, self._waiting = self._waiting, []
        for one in ready:
            schema, content = one if isinstance(one, _Prepared) else self._prepared(one)
            try:
                if self._writer is None:
                    self._writer = open_table(self._file.raw, schema, parquet=self._parquet)
                self._writer.write(content)
            except BrokenPipeError:
                self._left = True
                return

    def _prepared(self, rows: ScoredRows) -> _Prepared:
        layout = self._context.layout
        columns = identity(rows, self._context, {"label", *self._columns})
        labels = {"label": layout.labels[0]} if len(layout.labels) == 1 else self._label_names({*columns})
        columns.update({name: plain(rows.pair.labels.column(column)) for name, column in labels.items()})
        columns.update(self._scored_columns(rows))
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        return _Prepared(batch.schema, batch if self._parquet else csv_text(batch))

    def _label_names(self, ids: set[str]) -> dict[str, str]:
        """Return the columns of several labels by their names, told apart from those of the other columns."""
        taken = ids | {"row", *self._columns}
        return {distinct(name, taken, "label_"): name for name in self._context.layout.labels}

    def _scored_columns(self, rows: ScoredRows) -> dict[str, pa.Array]:
        """Return the columns of the task, then loss and weight; a row that was left out is empty in all of them."""
        n = len(rows.pair.rows)
        at = rows.pieces[0].at if len(rows.pieces) == 1 else None
        if isinstance(at, slice) and at.stop - at.start == n:
            whole, there = self._told(rows.pieces[0]), None
        else:
            there = np.zeros(n, dtype=np.bool_)
            whole = {name: np.ones(n, dtype=column.dtype) for name, column in self._columns.items()}
            for piece in rows.pieces:
                there[piece.at] = True
                for name, values in self._told(piece).items():
                    whole[name][piece.at] = values
        return {name: column.array(whole[name], there) for name, column in self._columns.items()}

    def _told(self, piece: Piece) -> dict[str, npt.NDArray[Any]]:
        """Return what was scored of some rows, as it is held in the columns."""
        loss, weight = objective(piece.scored, piece.block.weight)
        told = {
            **self._task.sample_columns(piece.scored),
            "loss": loss if self._unit == 1 else loss / self._unit,
            "weight": np.ones(len(loss)) if weight is None else weight,
        }
        return {
            name: (values.codes if isinstance(values, Coded) else values).astype(self._columns[name].dtype, copy=False)
            for name, values in told.items()
        }

    def _finish(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.close()
        except BrokenPipeError:
            self._left = True

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.discard()
        self._writer, self._waiting = None, []


class _Prepared(NamedTuple):
    """Rows as they are written: a batch for Parquet, lines for CSV."""

    schema: pa.Schema
    content: pa.RecordBatch | pa.Buffer


class _Column(NamedTuple):
    """How a column is held: names by their numbers."""

    dtype: type[np.int32 | np.int64 | np.float64]
    names: pa.Array | None

    def array(self, values: npt.NDArray[Any], valid: Bools | None) -> pa.Array:
        """Return the column, null where it is not valid."""
        if self.names is None:
            return arrow_array(pa.int64() if self.dtype is np.int64 else pa.float64(), values, valid)
        return named(arrow_array(pa.int32(), values, valid), self.names)


def _column(values: Any) -> _Column:
    if isinstance(values, Coded):
        return _Column(np.int32, text_array(list(values.names)))
    return _Column(np.int64 if values is not None and values.dtype.kind in "iub" else np.float64, None)


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
