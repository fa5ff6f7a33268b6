"""Arrow columns as NumPy arrays, without copies where the types allow it.

`Array.to_numpy` and `pyarrow.array` import pandas where it is installed (0.3 s), so buffers are read directly here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ce_cli.arrays import Bools, Floats, Ints

_DTYPES: dict[pa.DataType, type[np.generic]] = {
    pa.float64(): np.float64,
    pa.float32(): np.float32,
    pa.float16(): np.float16,
    pa.int64(): np.int64,
    pa.int32(): np.int32,
    pa.int16(): np.int16,
    pa.int8(): np.int8,
    pa.uint64(): np.uint64,
    pa.uint32(): np.uint32,
    pa.uint16(): np.uint16,
    pa.uint8(): np.uint8,
}


_EXPONENT_FROM = 1e10  # Arrow writes floats from here on with an exponent


class Numbers(NamedTuple):
    """A column as numbers: `(n,) float64`; `missing` marks empty cells, `bad` those that are no number (with their text)."""

    values: Floats
    missing: Bools | None
    bad: dict[int, str]


def plain(array: pa.Array) -> pa.Array:
    """Return an array without a dictionary or an extension type around its values."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def view(array: pa.Array) -> npt.NDArray[Any] | None:
    """Return the values of a primitive numeric array, what is null being anything; None for other types."""
    dtype = _DTYPES.get(array.type)
    if dtype is None:
        return None
    values = np.frombuffer(array.buffers()[1], dtype=dtype) if len(array) else np.zeros(0, dtype=dtype)
    return values[array.offset : array.offset + len(array)]


def nulls(array: pa.Array) -> Bools | None:
    """Return which cells are null, None where none is."""
    if array.null_count == 0:
        return None
    validity = array.buffers()[0]
    if validity is None:  # of a type that has no values but null
        return np.ones(len(array), dtype=np.bool_)
    first, skipped = divmod(array.offset, 8)
    used = np.frombuffer(validity, dtype=np.uint8)[first : first + (skipped + len(array) + 7) // 8]
    empty: Bools = np.unpackbits(used, bitorder="little")[skipped : skipped + len(array)] == 0
    return empty


def numbers(array: pa.Array) -> Numbers:
    """Return a column as float64."""
    array = plain(array)
    missing = nulls(array)
    raw = view(array)
    if raw is None and (pa.types.is_boolean(array.type) or pa.types.is_decimal(array.type)):
        raw = view(array.cast(pa.int8() if pa.types.is_boolean(array.type) else pa.float64()))
    if raw is None:
        return _from_text(array, missing)
    values = raw if raw.dtype == np.float64 else raw.astype(np.float64)
    if missing is not None:
        values = np.where(missing, 0.0, values)
    return Numbers(values, missing, {})


def texts(array: pa.Array) -> pa.Array:
    """Return a column as text: an integer as its digits, 1.0 as 1, a date as ISO 8601 has it."""
    array = plain(array)
    if pa.types.is_string(array.type):
        return array
    if pa.types.is_null(array.type) or pa.types.is_nested(array.type):
        return pa.array([None if cell is None else str(cell) for cell in array.to_pylist()], pa.string())
    if pa.types.is_floating(array.type):
        return _float_texts(array.cast(pa.float32()) if pa.types.is_float16(array.type) else array)
    return array.cast(pa.string())


def _float_texts(array: pa.Array) -> pa.Array:
    """Return floats in their shortest form, but whole numbers up to 2**53 as their digits."""
    values = view(array)
    assert values is not None  # floats have a view
    if not np.fmax.reduce(np.abs(values), initial=0.0) >= _EXPONENT_FROM:
        return array.cast(pa.string())
    whole = [
        cell is not None and _EXPONENT_FROM <= abs(cell) < 2**53 and cell.is_integer() for cell in array.to_pylist()
    ]
    shortest = array.cast(pa.string()).to_pylist()
    cells = [
        str(int(value)) if is_whole else text for value, text, is_whole in zip(values, shortest, whole, strict=True)
    ]
    return pa.array(cells, pa.string())


def cell_text(array: pa.Array, row: int) -> str:
    """Return one cell as text, empty where there is none."""
    cell = array[row]
    if pa.types.is_dictionary(array.type) or pa.types.is_string(array.type) or pa.types.is_integer(array.type):
        value = cell.as_py()
        return "" if value is None else str(value)
    if pa.types.is_float64(array.type):
        value = cell.as_py()
        return "" if value is None else _shortest(value)
    text = texts(array.slice(row, 1))[0].as_py()
    return "" if text is None else str(text)


def cell_texts(array: pa.Array) -> list[str | None]:
    """Return a short column as text."""
    if pa.types.is_string(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_integer(array.type):
        return [None if cell is None else str(cell) for cell in array.to_pylist()]
    if pa.types.is_floating(array.type):
        return [None if cell is None else _shortest(cell) for cell in array.to_pylist()]
    return texts(array).to_pylist()  # type: ignore[no-any-return]


def _shortest(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 2**53 else repr(value)


def stacked(batch: pa.RecordBatch, names: Sequence[str]) -> npt.NDArray[Any] | None:
    """Return number columns side by side, `(n, k)` in their dtype; None where they differ in it or any cell is empty.

    They are in C order.
    """
    part = batch.select(list(names))
    types = set(part.schema.types)
    dtype = _DTYPES.get(types.pop()) if len(types) == 1 else None
    if dtype is None or part.num_rows == 0:
        return None
    try:
        # One call for all columns: with a thousand of them, the calls for each cost more than the numbers.
        cells = memoryview(part.to_tensor())
    except pa.ArrowException:
        return None
    return np.frombuffer(cells, dtype=dtype).reshape(part.num_rows, part.num_columns)


def few_stacked(batch: pa.RecordBatch, names: Sequence[str]) -> npt.NDArray[Any] | None:
    """Return what `stacked` does, column by column in memory: there, a few of them take a quarter of the time."""
    columns = [batch.column(name) for name in names]
    filled = [found for column in columns if not column.null_count and (found := view(column)) is not None]
    if len(filled) < len(columns) or len({column.type for column in columns}) > 1:
        return None
    return np.stack(filled).T


def list_size(type_: pa.DataType) -> int | None:
    """Return the size that a fixed-size list type has."""
    return int(type_.list_size) if pa.types.is_fixed_size_list(type_) else None


def is_list(type_: pa.DataType) -> bool:
    """Tell whether a type is a list of numbers."""
    lists = pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    return lists and _DTYPES.get(type_.value_type) is not None


class Matrix(NamedTuple):
    """A list column: `(n, k)` in the dtype of the file; `missing` marks rows with a null, `sizes` rows of another length."""

    values: npt.NDArray[Any]
    missing: Bools | None
    sizes: dict[int, int]


def matrix(array: pa.Array, k: int) -> Matrix:
    """Return a list column as a matrix; rows that do not fit are zero and named."""
    array = plain(array)
    rows = len(array)
    starts, sizes = _list_bounds(array, k)
    cells = array.values
    flat = view(cells)
    assert flat is not None  # the layout admits only lists of numbers
    row_nulls = nulls(array)
    if (sizes == k).all() and row_nulls is None:
        first = int(starts[0]) if rows else 0
        values = flat[first : first + rows * k].reshape(rows, k)
        null_cells = nulls(cells)
        if null_cells is None:
            return Matrix(values, None, {})
        return Matrix(values, any_in_row(null_cells[first : first + rows * k].reshape(rows, k)), {})
    values = np.zeros((rows, k), dtype=flat.dtype)
    empty = np.zeros(rows, dtype=np.bool_)
    if row_nulls is not None:
        empty |= row_nulls
    null_cells = nulls(cells)
    wrong: dict[int, int] = {}
    for row in range(rows):
        start, size = int(starts[row]), int(sizes[row])
        if empty[row]:
            continue
        if size != k:
            wrong[row] = size
            continue
        values[row] = flat[start : start + k]
        empty[row] = null_cells is not None and bool(null_cells[start : start + k].any())
    return Matrix(values, empty, wrong)


def any_in_row(flags: Bools) -> Bools:
    """Return which rows of `(n, k)` flags have any set."""
    rows: Bools = np.logical_or.reduce(flags, axis=1)
    return rows


def _list_bounds(array: pa.Array, k: int) -> tuple[Ints, Ints]:
    rows = len(array)
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return (np.arange(rows, dtype=np.int64) + array.offset) * size, np.full(rows, size, dtype=np.int64)
    dtype = np.int64 if pa.types.is_large_list(array.type) else np.int32
    if rows == 0:
        return np.zeros(0, dtype=np.int64), np.full(0, k, dtype=np.int64)
    offsets = np.frombuffer(array.buffers()[1], dtype=dtype)[array.offset : array.offset + rows + 1].astype(np.int64)
    return offsets[:-1], np.diff(offsets)


def _from_text(array: pa.Array, missing: Bools | None) -> Numbers:
    try:
        values = view(texts(array).cast(pa.float64()))
        assert values is not None  # float64 has a view
        return Numbers(values if missing is None else np.where(missing, 0.0, values), missing, {})
    except pa.ArrowInvalid:
        pass
    values, bad = np.zeros(len(array)), {}
    for row, cell in enumerate(texts(array).to_pylist()):
        if cell is None:
            continue
        try:
            values[row] = number(cell)
        except ValueError:
            bad[row] = cell
    return Numbers(values, missing, bad)


def number(text: str) -> float:
    """Return the number that a text is; raises ValueError where it is none."""
    if "_" in text:  # Python reads 1_000
        raise ValueError(text)
    return float(text)
