"""Columns held in memory as small as they can be, from which rows are taken in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ce_cli.readers.arrays import plain, texts, view
from ce_cli.readers.growing import GrowingWhole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ce_cli.arrays import Ints
    from ce_cli.readers.growing import Whole

_MOST_WORDS = 1 << 12  # different texts of a column that are held once each


class Held(Protocol):
    """One column."""

    def take(self, rows: Ints) -> pa.Array:
        """Return some rows."""


class HeldColumns:
    """Collects columns batch by batch; then rows can be taken from them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._columns = {name: _Column() for name in names}
        self._held: dict[str, Held] = {}

    def add(self, batch: pa.RecordBatch, share: float = 1.0) -> None:
        """Add the next rows; with them, about that share of all rows is there."""
        for name, column in self._columns.items():
            column.add(batch.column(name), share)

    @property
    def nbytes(self) -> int:
        """How much memory they take so far."""
        return sum(column.nbytes for column in self._columns.values())

    def close(self) -> None:
        """Learn that there are no more rows."""
        for name, column in self._columns.items():
            self._held[name] = column.held()

    def take(self, rows: Ints) -> pa.RecordBatch:
        """Return some rows, `(n,)` positions in the whole."""
        arrays = [held.take(rows) for held in self._held.values()]
        return pa.RecordBatch.from_arrays(arrays, names=list(self._held))


class _Column:
    """Collects one column: whole numbers narrowly, few texts as numbers of words, anything else as it is."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []
        self._whole = GrowingWhole()
        self._type: pa.DataType | None = None
        self._dtype: np.dtype[Any] = np.dtype(np.int64)  # of what was narrowed
        self._words: dict[str | None, int] = {}
        self._plain_bytes = 0

    @property
    def nbytes(self) -> int:
        """How much memory the column takes so far."""
        return self._whole.nbytes + self._plain_bytes

    def add(self, column: pa.Array, share: float) -> None:
        """Add the next rows."""
        if not len(column):
            return
        if self._type is None or self._whole.size:
            narrow = self._narrow(column)
            if narrow is not None:
                self._whole.append(narrow, share)
                return
            self._widen()
        column = plain(column)
        self._type = self._type or column.type
        self._chunks.append(column)
        self._plain_bytes += column.nbytes

    def held(self) -> Held:
        """Return the whole column; this object is of no use then."""
        if self._whole.size:
            assert self._type is not None  # that of what was added
            return _Whole(self._whole.whole(), self._type, self._dtype, self._dictionary())
        if len({chunk.type for chunk in self._chunks}) > 1:  # a cell could not be read as a number
            self._chunks = [texts(chunk) for chunk in self._chunks]
        chunks, self._chunks = self._chunks, []
        return _Plain(pa.concat_arrays(chunks) if chunks else pa.nulls(0))

    def _narrow(self, column: pa.Array) -> Whole | None:
        """Return cells as whole numbers; None where they are not, or are of another type than those before."""
        if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
            return self._numbered(column)
        values = view(column)
        if values is None or column.null_count or self._words or self._type not in (None, column.type):
            return None
        whole = _as_whole(values)
        if whole is not None:
            self._type, self._dtype = column.type, values.dtype
        return whole

    def _numbered(self, column: pa.Array) -> Whole | None:
        if self._type is not None and not self._words:
            return None
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = view(coded.indices)
        if codes is None or coded.null_count or len(coded.dictionary) > _MOST_WORDS:
            return None
        words = plain(coded.dictionary)
        if not pa.types.is_string(words.type) or words.null_count:
            return None
        numbers = np.array([self._words.setdefault(word, len(self._words)) for word in words.to_pylist()], np.int64)
        self._type = pa.string()
        return numbers[codes] if len(self._words) <= _MOST_WORDS else None

    def _widen(self) -> None:
        """Return to the cells as they were."""
        if self._whole.size:
            assert self._type is not None  # that of what was added
            whole = _Whole(self._whole.whole(), self._type, self._dtype, self._dictionary())
            self._whole = GrowingWhole()
            self._chunks = [plain(whole.all())]
            self._plain_bytes = self._chunks[0].nbytes

    def _dictionary(self) -> pa.StringArray | None:
        from ce_cli.readers.build import texts as build_texts

        return build_texts(list(self._words)) if self._words else None


class _Whole:
    """Whole numbers; they leave in the type that they came in, or as what they number."""

    def __init__(self, values: Whole, type_: pa.DataType, dtype: np.dtype[Any], words: pa.StringArray | None) -> None:
        self._values = values
        self._type, self._dtype = type_, dtype
        self._words = words

    def take(self, rows: Ints) -> pa.Array:
        """Return some rows."""
        return self._array(self._values.take(rows))

    def all(self) -> pa.Array:
        """Return all rows."""
        return self._array(self._values)

    def _array(self, values: Whole) -> pa.Array:
        if self._words is None:
            return _primitive(values.astype(self._dtype, copy=False), self._type)
        codes = _primitive(values.astype(np.int32), pa.int32())
        return pa.DictionaryArray.from_arrays(codes, self._words)


class _Plain:
    """Cells of any type."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def take(self, rows: Ints) -> pa.Array:
        """Return some rows."""
        return self._array.take(_primitive(rows, pa.int64()))


def _as_whole(values: npt.NDArray[Any]) -> Whole | None:
    """Return numbers as integers, None where that would lose anything, or gain nothing as they would not be narrow."""
    if values.dtype.kind == "i":
        return values
    if values.dtype.kind == "u":
        return values.astype(np.int64) if int(values.max()) <= np.iinfo(np.int64).max else None
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int8)
    fits = np.array_equal(whole.astype(values.dtype).view(np.uint8), values.view(np.uint8))  # the sign of a zero counts
    return whole if fits else None


def _primitive(values: npt.NDArray[np.generic], type_: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
