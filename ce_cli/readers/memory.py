"""Data that is in memory already: Arrow tables, pandas and other frames, NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ce_cli.errors import fail
from ce_cli.readers.base import check_distinct, sample_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.columns import Kind
    from ce_cli.readers.base import Meaning
    from ce_cli.workers import Workers

_BATCH_ROWS = 1 << 17
_EXPECTED = "a table, a data frame, an array or the path of a file"


class TableData:
    """An Arrow table."""

    headerless = False
    meaning: Meaning | None = None
    total_bytes: int | None = None
    bytes_read = 0

    def __init__(self, path: str, table: pa.Table) -> None:
        self.path = path
        self.names = tuple(table.column_names)
        check_distinct(self.names, path)
        self._table = table

    def sample(self) -> pa.Table:
        """Return the first rows."""
        return self._table.slice(0, sample_rows(len(self.names)))

    def rows(self) -> int | None:
        """Return the number of rows."""
        return int(self._table.num_rows)

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - nothing to parse
        """Yield the columns."""
        chosen = self._table.select(list(columns))
        for batch in chosen.to_batches(max_chunksize=_BATCH_ROWS):
            if batch.num_rows:
                yield batch

    def stored(self, columns: Sequence[str]) -> None:
        """There is nothing to decode."""


def indexes_tell(*data: Any) -> bool:
    """Tell whether several of these are frames or series of pandas, and the index of any does more than count its rows.

    Rows with the same index belong together then, wherever they stand: so pandas itself pairs them.
    """
    indexes = [one.index for one in data if hasattr(one, "index") and hasattr(one, "iloc")]
    return len(indexes) > 1 and not all(map(_counts_rows, indexes))


def table_of(data: Any, column: str, *, indexed: bool = False) -> pa.Table:
    """Return in-memory data as an Arrow table.

    data: an Arrow table or anything that speaks the Arrow C stream interface; a pandas frame or series; a NumPy array or a
    sequence, `(n,)` for one column of the given name or `(n, k)` for one list column of that name. indexed: whether the index
    of a frame is a column though it only counts the rows.
    """
    if isinstance(data, pa.Table):
        return data
    if hasattr(data, "to_frame") and hasattr(data, "index") and not hasattr(data, "columns"):
        data = data.to_frame(name=data.name if data.name is not None else column)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        check_distinct(tuple(map(str, data.columns)), f"<{column}>")
        return pa.Table.from_pandas(data, preserve_index=indexed or not _counts_rows(data.index))
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    values = _array(data, column)
    if column == "label" and values.ndim == 2 and values.shape[1] > 1:
        names = [f"label_{number}" for number in range(values.shape[1])]
        return pa.Table.from_arrays([_cells(np.ascontiguousarray(part), column) for part in values.T], names=names)
    return pa.Table.from_arrays([_array_of(values, column)], names=[column])


def _array(data: Any, column: str) -> np.ndarray[Any, Any]:
    """Return an array or a sequence as an array. Raises bad_option where it is neither."""
    if not hasattr(data, "__array__") and (not isinstance(data, Sequence) or isinstance(data, (str, bytes))):
        raise fail("bad_option", f"expected {_EXPECTED}, but got {type(data).__name__}", hint=_hint(data))
    try:
        return np.asarray(data)
    except ValueError as error:
        what = "labels" if column == "label" else "scores"
        message = f"expected the same number of {what} in each row, but it differs"
        raise fail("bad_option", message, hint="pad the rows, or write a column for each class") from error


def _hint(data: Any) -> str | None:
    if isinstance(data, Mapping):
        return "make it a table: pandas.DataFrame(data) or pyarrow.table(data)"
    return "make it a list: list(data)" if isinstance(data, Iterable) else None


def _cells(values: Any, column: str) -> pa.Array:
    try:
        return pa.array(values, from_pandas=column == "label")  # a label that is NaN is an empty cell, as in a frame
    except pa.ArrowException as error:
        what = "labels" if column == "label" else "scores"
        raise fail("bad_option", f"these are no {what}: {error}", hint="pass numbers or text") from error


def _counts_rows(index: Any) -> bool:
    """Tell whether the index of a frame only numbers its rows, as pandas does by itself."""
    numbered = index.nlevels == 1 and index.name is None and index.dtype.kind == "i"
    return bool(numbered and (np.asarray(index) == np.arange(len(index))).all())


def _array_of(values: np.ndarray[Any, Any], column: str) -> pa.Array:
    if column == "label" and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1:
        return _cells(values.tolist() if values.dtype == object else values, column)
    if values.ndim == 2 and column != "label":
        return pa.FixedSizeListArray.from_arrays(_cells(values.reshape(-1), column), values.shape[1])
    expected = "one label for each row" if column == "label" else "one or two dimensions"
    raise fail("bad_option", f"expected {expected}, but got an array of shape {values.shape}")
