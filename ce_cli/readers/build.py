"""Cells of Python as Arrow columns, through buffers: `pyarrow.array` imports pandas where it is installed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence


def texts(cells: Sequence[str | None]) -> pa.Array:
    """Return a text column; what UTF-8 cannot hold (half of a surrogate pair) becomes a question mark."""
    encoded = [b"" if cell is None else cell.encode("utf-8", "replace") for cell in cells]
    return pa.Array.from_buffers(
        pa.string(), len(cells), [_validity(cells), _offsets(list(map(len, encoded))), pa.py_buffer(b"".join(encoded))]
    )


def floats(cells: Sequence[float | None]) -> pa.Array:
    """Return a column of float64; a whole number beyond its range becomes infinite."""
    values = np.array([0.0 if cell is None else _float(cell) for cell in cells], dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(cells), [_validity(cells), pa.py_buffer(values)])


def integers(cells: Sequence[int | None]) -> pa.Array:
    """Return a column of int64."""
    values = np.array([0 if cell is None else cell for cell in cells], dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(cells), [_validity(cells), pa.py_buffer(values)])


def float_lists(cells: Sequence[Sequence[float | None] | None]) -> pa.Array:
    """Return a column of lists of float64."""
    filled = [() if cell is None else cell for cell in cells]
    return pa.Array.from_buffers(
        pa.list_(pa.float64()),
        len(cells),
        [_validity(cells), _offsets(list(map(len, filled)))],
        children=[floats(list(chain.from_iterable(filled)))],
    )


def lone_list(values: pa.Array, at: int, rows: int) -> pa.Array:
    """Return a column of lists in which one row has these values and all others are empty."""
    offsets = np.where(np.arange(rows + 1) > at, len(values), 0).astype(np.int32)
    filled = pa.py_buffer(np.packbits(np.arange(rows) == at, bitorder="little"))
    return pa.Array.from_buffers(pa.list_(values.type), rows, [filled, pa.py_buffer(offsets)], children=[values])


def _float(cell: float) -> float:
    try:
        return float(cell)
    except OverflowError:
        return float("inf") if cell > 0 else float("-inf")


def _offsets(sizes: list[int]) -> pa.Buffer:
    offsets = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return pa.py_buffer(offsets)


def _validity(cells: Sequence[object]) -> pa.Buffer | None:
    filled = np.array([cell is not None for cell in cells], dtype=np.bool_)
    return None if filled.all() else pa.py_buffer(np.packbits(filled, bitorder="little"))
