"""Ids as keys that can be looked up: whole numbers as numbers, anything else by its text, in as little memory as will do.

A whole number is the same id as its digits, whatever the type of its column: what is written as integers are written is held
as integers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ce_cli.kernels.hashing import PADDING, WORD, Texts, Words, chained, mixed, same_texts, text_hashes
from ce_cli.readers.arrays import nulls, plain, texts, view
from ce_cli.readers.build import texts as build_texts
from ce_cli.readers.growing import Growing, GrowingWhole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.arrays import Bools, Ints
    from ce_cli.readers.growing import Whole

_DIGITS = re.compile(r"0|-?[1-9][0-9]*")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_POWERS = np.array([10**exponent for exponent in range(1, 20)], dtype=np.uint64)

BLOCK_ROWS = 1 << 17  # rows of the labels that are worked on at a time


class Cells(Protocol):
    """One part of the keys of some rows."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def hashes(self, start: int, stop: int) -> Words:
        """Return the hashes of consecutive rows."""

    def same(self, at: Ints, other: Cells, where: Ints) -> Bools:
        """Tell for pairs of rows whether this part is the same; `other` is of the same kind."""

    def text(self, row: int) -> str:
        """Return the part of one row as people write it."""

    def like(self, column: pa.Array) -> tuple[Cells, Bools | None]:
        """Return a column of another file as cells of this kind, and where they are; None for everywhere."""


class WholeCells:
    """Integers, in the narrowest type that holds them all."""

    def __init__(self, values: Whole) -> None:
        self.values = values

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.values)

    def hashes(self, start: int, stop: int) -> Words:
        """Return the hashes of consecutive rows."""
        return mixed(self.values[start:stop].astype(np.int64).view(np.uint64))

    def same(self, at: Ints, other: Cells, where: Ints) -> Bools:
        """Compare the numbers."""
        assert isinstance(other, WholeCells)
        return np.equal(self.values[at], other.values[where])

    def text(self, row: int) -> str:
        """Return the digits."""
        return str(int(self.values[row]))

    def like(self, column: pa.Array) -> tuple[WholeCells, Bools | None]:
        """Return what is a whole number in another column."""
        values, valid = whole_cells(column)
        return WholeCells(values), valid


class TextCells:
    """Texts; an empty cell is the empty text."""

    def __init__(self, held: Texts) -> None:
        self.held = held

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.held.offsets) - 1

    def hashes(self, start: int, stop: int) -> Words:
        """Return the hashes of consecutive rows."""
        return text_hashes(Texts(self.held.words, self.held.offsets[start : stop + 1]))

    def same(self, at: Ints, other: Cells, where: Ints) -> Bools:
        """Compare the bytes."""
        assert isinstance(other, TextCells)
        return same_texts(self.held, at, other.held, where)

    def text(self, row: int) -> str:
        """Return the text."""
        start, stop = self.held.offsets[row : row + 2].tolist()
        return self.held.words.view(np.uint8)[start:stop].tobytes().decode("utf-8", "replace")

    def like(self, column: pa.Array) -> tuple[TextCells, None]:
        """Return another column as text."""
        return TextCells(_texts_of(column)), None


def text_words(column: pa.Array) -> Words:
    """Return a hash of the text of every cell, `(n,) uint64`, whatever the type of the column; empty cells are alike."""
    cells = TextCells(_texts_of(column))
    return cells.hashes(0, cells.rows)


class KeyBuilder:
    """Collects one column of ids: integers as long as all cells are, texts from the first one on that is not."""

    def __init__(self) -> None:
        self._whole: GrowingWhole | None = GrowingWhole()
        self._texts = GrowingTexts()

    @property
    def nbytes(self) -> int:
        """How much memory the ids take so far."""
        return self._texts.nbytes if self._whole is None else self._whole.nbytes

    @property
    def span(self) -> int | None:
        """How many whole numbers there are from the least to the greatest; None where ids are texts."""
        return None if self._whole is None else self._whole.span

    def add(self, column: pa.Array, share: float = 1.0) -> None:
        """Add the next rows; with them, about that share of all rows is there."""
        if not len(column):
            return
        if self._whole is not None:
            values = all_whole(column)
            if values is not None:
                self._whole.append(values, share)
                return
            earlier, self._whole = self._whole.whole(), None
            for start in range(0, len(earlier), BLOCK_ROWS):
                self._texts.append(_digits(earlier[start : start + BLOCK_ROWS]), share)
        self._texts.append(_filled(column), share)

    def cells(self) -> Cells:
        """Return all cells; the builder is of no use then."""
        return TextCells(self._texts.whole()) if self._whole is None else WholeCells(self._whole.whole())


class GrowingTexts:
    """Texts one after another."""

    def __init__(self) -> None:
        self._bytes = Growing(np.uint8)
        self._offsets = Growing(np.int32)
        self._offsets.append(np.zeros(1, dtype=np.int32))

    @property
    def nbytes(self) -> int:
        """How much memory they take."""
        return self._bytes.nbytes + self._offsets.nbytes

    def append(self, cells: pa.StringArray, share: float = 1.0) -> None:
        """Add texts at the end; with them, about that share of all that will come is there."""
        starts, body = _parts_of(cells)
        end = self._bytes.size
        if self._offsets.dtype == np.int32 and end + len(body) > np.iinfo(np.int32).max:
            narrow, self._offsets = self._offsets.whole(), Growing(np.int64)
            self._offsets.append(narrow, share)
        offsets = starts[1:].astype(self._offsets.dtype)
        offsets += end - int(starts[0])
        self._bytes.append(body, share)
        self._offsets.append(offsets, share)

    def whole(self) -> Texts:
        """Return all texts; no more are to come."""
        self._bytes.append(np.zeros(PADDING + -self._bytes.size % WORD, dtype=np.uint8))
        return Texts(self._bytes.whole().view("<u8"), self._offsets.whole())


def all_whole(column: pa.Array) -> Whole | None:
    """Return a column as integers, None where a cell is empty or not written as an integer is."""
    column = plain(column)
    if column.null_count or pa.types.is_null(column.type):
        return None
    values = view(column)
    if values is not None and values.dtype.kind == "i":
        return values
    if values is not None and values.dtype.kind == "u":
        return values.astype(np.int64) if not len(values) or int(values.max()) <= _MOST else None
    return _parsed(texts(column))


def whole_cells(column: pa.Array) -> tuple[Whole, Bools | None]:
    """Return a column as integers, and which cells are written as integers are; None for all."""
    column = plain(column)
    missing = nulls(column)
    there = None if missing is None else ~missing
    values = view(column)
    if values is not None and values.dtype.kind in "iu":
        beyond = values > _MOST if values.dtype == np.uint64 else None
        if beyond is not None and beyond.any():
            there = ~beyond if there is None else there & ~beyond
        return values.astype(np.int64, copy=False), there
    cells = texts(column)
    parsed = _parsed(cells)
    if parsed is not None:
        return parsed, there
    numbers = [_number(cell) for cell in cells.to_pylist()]
    return (
        np.array([0 if number is None else number for number in numbers], dtype=np.int64),
        np.array([number is not None for number in numbers], dtype=np.bool_),
    )


def _number(cell: str | None) -> int | None:
    if cell is None or len(cell) > 20 or not _DIGITS.fullmatch(cell):
        return None
    number = int(cell)
    return number if _LEAST <= number <= _MOST else None


def _parsed(cells: pa.StringArray) -> Ints | None:
    """Return texts as the integers that they spell, None where one that is not empty spells none or spells it otherwise."""
    offsets, body = _parts_of(cells)
    # Only digits and signs: Arrow also reads 0xFF, which is as long as the digits of its value may be.
    if not len(body) or int(body.min()) < ord("-") or int(body.max()) > ord("9"):
        return None
    try:
        values = view(cells.cast(pa.int64()))
    except pa.ArrowInvalid:
        return None
    assert values is not None  # int64 has a view
    size = np.where(values < 0, -values, values).view(np.uint64)
    digits = np.searchsorted(_POWERS, size, side="right") + 1 + (values < 0)
    fits = digits == np.diff(offsets)
    missing = nulls(cells)
    return values if (fits if missing is None else fits | missing).all() else None


def _digits(values: Whole) -> pa.StringArray:
    whole = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)]).cast(pa.string())


def _filled(column: pa.Array) -> pa.StringArray:
    """Return a column as text, the empty one for an empty cell."""
    cells = texts(column)
    missing = nulls(cells)
    if missing is not None and np.diff(_parts_of(cells)[0])[missing].any():
        cells = build_texts([cell or "" for cell in cells.to_pylist()])  # bytes where there is no cell
    return cells


def _parts_of(cells: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return where texts start and end in the buffer of their bytes, and those bytes that are theirs."""
    if not len(cells):
        return np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.uint8)
    _, starts, body = cells.buffers()
    offsets = np.frombuffer(starts, dtype=np.int32)[cells.offset : cells.offset + len(cells) + 1]
    whole = np.zeros(0, dtype=np.uint8) if body is None else np.frombuffer(body, dtype=np.uint8)
    return offsets, whole[int(offsets[0]) : int(offsets[-1])]


def _texts_of(column: pa.Array) -> Texts:
    held = GrowingTexts()
    held.append(_filled(column))
    return held.whole()


def row_hashes(parts: Sequence[Cells], start: int, stop: int) -> Words:
    """Return the hashes of the keys of consecutive rows."""
    hashes = parts[0].hashes(start, stop)
    for part in parts[1:]:
        hashes = chained(hashes, part.hashes(start, stop))
    return hashes


def same_keys(parts: Sequence[Cells], at: Ints, others: Sequence[Cells], where: Ints) -> Bools:
    """Tell for pairs of rows whether their keys are the same."""
    same = parts[0].same(at, others[0], where)
    for part, other in zip(parts[1:], others[1:], strict=True):
        same &= part.same(at, other, where)
    return same
