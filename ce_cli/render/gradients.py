"""The gradient of the mean loss with respect to the logits of every row, as CSV or Parquet."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ce_cli.render.rows import RowFile, arrow_array, identity
from ce_cli.render.tables import open_table
from ce_cli.setup import make_task
from ce_cli.state.fractions import to_float

if TYPE_CHECKING:
    from ce_cli.folding import ScoredRows
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context


class GradientFile(RowFile):
    """The gradients of all rows, in the order of the predictions.

    Columns: the ids, or `row` from 1 where there are none; `grad_CLASS` for every score. A row that was left out is empty in
    these. What the mean divides by is known only at the end, so that the rows wait in a temporary file.
    """

    def __init__(self, path: str, context: Context) -> None:
        super().__init__(path, spool=True)
        self._context = context
        self._parquet = path.lower().endswith(".parquet")
        self._names = [f"grad_{name}" for name in make_task(context).gradient_names()]
        self._waiting: Any = None
        self._writer: Any = None
        self._scale = 1.0

    def prepare(self, rows: ScoredRows) -> pa.RecordBatch:
        """Return the gradients before they are divided."""
        n = len(rows.pair.rows)
        there = np.zeros(n, dtype=np.bool_)
        whole = np.zeros((len(self._names), n))
        for piece in rows.pieces:
            there[piece.at] = True
            if piece.counts:
                gradient = piece.scored.gradient
                weight = piece.block.weight
                whole[:, piece.at] = (gradient if weight is None else gradient * weight[:, None]).T
        columns = identity(rows, self._context, self._names)
        columns.update(
            {name: arrow_array(pa.float64(), values, there) for name, values in zip(self._names, whole, strict=True)}
        )
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def write(self, prepared: pa.RecordBatch) -> None:
        """Take the next rows."""
        if self._writer is None:
            self._waiting = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the rows have been written
            self._writer = pa.ipc.new_stream(self._waiting, prepared.schema)
        self._writer.write_batch(prepared)

    def complete(self, state: EvalState) -> None:
        """Learn what the mean divides by."""
        super().complete(state)
        weight = state.parts["gradients"].weight()
        self._scale = to_float(weight) if weight else 1.0

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._waiting.seek(0)
        with contextlib.suppress(BrokenPipeError), pa.ipc.open_stream(self._waiting) as waiting:
            out = open_table(self._file.raw, waiting.schema, parquet=self._parquet)
            for batch in waiting:
                out.write(self._scaled(batch))
            out.close()
        self._waiting.close()

    def _scaled(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in self._names:
            values = np.frombuffer(columns[name].buffers()[1], dtype=np.float64)[: batch.num_rows]
            valid = columns[name].buffers()[0]
            scaled = pa.py_buffer(values / self._scale + 0.0)
            columns[name] = pa.Array.from_buffers(pa.float64(), batch.num_rows, [valid, scaled])
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._waiting.close()
        self._writer = self._waiting = None
