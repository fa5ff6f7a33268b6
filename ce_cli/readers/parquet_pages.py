"""A few rows of a Parquet column, from the pages that have them.

A column chunk is one page after another, each of which begins with its size and its number of values and needs no other but the
dictionary, which comes first; pyarrow decodes from the first on. So it is given what looks to it like the same file, with the
wanted pages alone where the chunk begins.

Source: `PageHeader` in parquet.thrift of the Apache Parquet format; Thrift's compact protocol.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pyarrow._parquet import ColumnChunkMetaData

_STORED_BYTES, _DATA, _DICTIONARY, _DATA_V2 = 3, 5, 7, 8  # fields of a page header
_VALUES, _ENCODING = 1, {_DATA: 2, _DATA_V2: 4}  # fields of the header of a data page
_PLAIN = 0

# Types of fields in the compact protocol; of numbers from 16 to 64 bits all are stored in the same way.
_STOP, _TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, (4, 5, 6), 7, 8, 12


class UnknownPagesError(ValueError):
    """The pages are not as they are known here; a reader of the whole column chunk may know more."""


class _Page(NamedTuple):
    """Where a page begins and stops, its number of values, None for a dictionary, and whether it may need that."""

    start: int
    stop: int
    values: int | None
    coded: bool


class FewPages(io.RawIOBase):
    """What reads like a file of this size that has some bytes at one place, and nothing after them."""

    def __init__(self, size: int, start: int, content: bytes) -> None:
        super().__init__()
        self._size, self._start, self._content = size, start, content
        self._at = 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return the bytes from there on."""
        first = self._at - self._start
        piece = self._content[first : None if size < 0 else first + size] if first >= 0 else b""
        self._at += len(piece)
        return piece


def pages_with(path: Path, chunk: ColumnChunkMetaData, rows: Sequence[int]) -> tuple[FewPages, list[int]]:
    """Return a file that has the pages of some rows alone in the column chunk, and which values of these they are.

    rows: numbers from 0 within the row group, ascending; the column is not nested, and none of its cells is empty. Raises
    UnknownPagesError.
    """
    with path.open("rb") as file:
        dictionary, pages = None, []
        for page in _pages(file, chunk):
            if page.values is None:
                dictionary = page
            else:
                pages.append(page)
        if sum(page.values or 0 for page in pages) != chunk.num_values:
            raise UnknownPagesError(f"expected pages of {chunk.num_values} values")
        kept, values = _kept(pages, rows)
        if dictionary is not None and any(page.coded for page in kept):
            kept = [dictionary, *kept]
        content = b"".join(_bytes(file, page) for page in kept)
        return FewPages(file.seek(0, os.SEEK_END), _start(chunk), content), values


def _kept(pages: Sequence[_Page], rows: Sequence[int]) -> tuple[list[_Page], list[int]]:
    """Return the pages that have any of the rows, and which of their values these are."""
    kept: list[_Page] = []
    values: list[int] = []
    start = before = 0
    for page in pages:
        count = page.values or 0
        inside = [before + row - start for row in rows if start <= row < start + count]
        if inside:
            kept.append(page)
            values += inside
            before += count
        start += count
    return kept, values


def _bytes(file: BinaryIO, page: _Page) -> bytes:
    file.seek(page.start)
    return file.read(page.stop - page.start)


def _start(chunk: ColumnChunkMetaData) -> int:
    return int(chunk.dictionary_page_offset or chunk.data_page_offset)


def _pages(file: BinaryIO, chunk: ColumnChunkMetaData) -> Iterator[_Page]:
    start = _start(chunk)
    end = start + chunk.total_compressed_size
    while start < end:
        file.seek(start)
        header = _struct(file)
        stop = file.tell() + header.get(_STORED_BYTES, -1)
        if stop <= start:
            raise UnknownPagesError("a page header tells no size")
        if _DICTIONARY in header:
            yield _Page(start, stop, None, coded=False)
        for kind in _ENCODING.keys() & header.keys():
            data = header[kind]
            yield _Page(start, stop, data.get(_VALUES, 0), data.get(_ENCODING[kind]) != _PLAIN)
        start = stop


def _struct(file: BinaryIO) -> dict[int, Any]:
    """Read the fields of a struct that are numbers or structs themselves."""
    fields: dict[int, Any] = {}
    number = 0
    while (head := _byte(file)) != _STOP:
        number = number + (head >> 4) if head >> 4 else _integer(file)
        kind = head & 15
        if kind in _INTEGERS:
            fields[number] = _integer(file)
        elif kind == _STRUCT:
            fields[number] = _struct(file)
        elif kind in (_BYTE, _DOUBLE, _BINARY):
            file.seek({_BYTE: 1, _DOUBLE: 8}.get(kind) or _unsigned(file), os.SEEK_CUR)
        elif kind not in (_TRUE, _FALSE):
            raise UnknownPagesError(f"a page header has a field of type {kind}")
    return fields


def _integer(file: BinaryIO) -> int:
    """Read a signed integer: 0, -1, 1, -2 and so on are stored as 0, 1, 2, 3."""
    number = _unsigned(file)
    return (number >> 1) ^ -(number & 1)


def _unsigned(file: BinaryIO) -> int:
    """Read an integer, seven bits a byte, of which the last has no eighth."""
    number = shift = 0
    while (byte := _byte(file)) > 127:
        number |= (byte & 127) << shift
        shift += 7
    return number | byte << shift


def _byte(file: BinaryIO) -> int:
    byte = file.read(1)
    if not byte:
        raise UnknownPagesError("a page header is cut short")
    return byte[0]
