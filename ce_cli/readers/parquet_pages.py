"""A few rows of a Parquet column, from the pages that have them.

A column chunk is one page after another, each of which begins with its size and its number of values and needs no other but the
dictionary, which comes first; pyarrow decodes from the first on. So it is given what looks to it like the same file, with the
wanted pages alone where the chunk begins.

Source: `PageHeader` in parquet.thrift of the Apache Parquet format; Thrift's compact protocol.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyarrow._parquet import ColumnChunkMetaData

_TYPE, _STORED_BYTES = 1, 3  # fields of a page header
_DICTIONARY = 2  # types of pages
_HEADERS = {0: 5, _DICTIONARY: 7, 3: 8}  # by the type of the page, the field that has the header of that type
_VALUES, _ENCODINGS = 1, {0: 2, 3: 4}  # fields of the headers of data pages
_PLAIN = 0
_MOST_PAGES = 1 << 10  # more take longer to look at than to decode
_DEEPEST = 8

# Types of fields in the compact protocol; of numbers from 16 to 64 bits all are stored in the same way.
_STOP, _TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, (4, 5, 6), 7, 8, 12
_LONGEST_NUMBER = 10  # bytes


class UnknownPagesError(ValueError):
    """The pages are not as they are known here; a reader of the whole column chunk may know more."""


class _Page(NamedTuple):
    """Where a page begins and stops, its number of values, None for a dictionary, and whether it may need that."""

    start: int
    stop: int
    values: int | None
    coded: bool


class FewPages(io.RawIOBase):
    """What reads like a file of the same size that has some pages of it, one after another, at one place, and then ends."""

    def __init__(self, file: BinaryIO, start: int, pages: Sequence[_Page]) -> None:
        super().__init__()
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._pages = pages
        self._starts = [*accumulate((page.stop - page.start for page in pages), initial=start)]
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
        end = self._size if size < 0 else self._at + size
        pieces = []
        first = bisect_right(self._starts, self._at) - 1
        for page, start in zip(self._pages[max(0, first) :], self._starts[max(0, first) :], strict=False):
            skipped = self._at - start
            wanted = min(page.stop - page.start, end - start) - skipped
            if skipped < 0 or wanted <= 0:
                break
            self._file.seek(page.start + skipped)
            pieces.append(self._file.read(wanted))
            self._at += len(pieces[-1])
        return b"".join(pieces)


def pages_with(file: BinaryIO, chunk: ColumnChunkMetaData, rows: Sequence[int]) -> tuple[FewPages, list[int]]:
    """Return a file that has the pages of some rows alone in the column chunk, and which values of these they are.

    rows: numbers from 0 within the row group, ascending; the column is not nested, and none of its cells is empty. Raises
    UnknownPagesError.
    """
    dictionary, pages = None, []
    for page in _pages(file, chunk):
        if page.values is not None:
            pages.append(page)
        elif dictionary is None and not pages:
            dictionary = page
        else:
            raise UnknownPagesError("a dictionary comes late")
        if len(pages) > _MOST_PAGES:
            raise UnknownPagesError("there are too many pages")
    if sum(page.values or 0 for page in pages) != chunk.num_values:
        raise UnknownPagesError(f"expected pages of {chunk.num_values} values")
    kept, values = _kept(pages, rows)
    if dictionary is not None and any(page.coded for page in kept):
        kept = [dictionary, *kept]
    return FewPages(file, _start(chunk), kept), values


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


def _start(chunk: ColumnChunkMetaData) -> int:
    return int(chunk.dictionary_page_offset or chunk.data_page_offset)


def _pages(file: BinaryIO, chunk: ColumnChunkMetaData) -> Iterator[_Page]:
    start = _start(chunk)
    end = start + chunk.total_compressed_size
    while start < end:
        file.seek(start)
        header = _struct(file)
        kind, stop = _number(header, _TYPE), file.tell() + _number(header, _STORED_BYTES)
        if not start < stop <= end:
            raise UnknownPagesError("a page does not end within the column chunk")
        if kind in _HEADERS:  # others are passed over
            own = header.get(_HEADERS[kind])
            if not isinstance(own, dict):
                raise UnknownPagesError("a page has no header of its type")
            if kind == _DICTIONARY:
                yield _Page(start, stop, None, coded=False)
            else:
                yield _Page(start, stop, _number(own, _VALUES), _number(own, _ENCODINGS[kind]) != _PLAIN)
        start = stop


def _number(fields: dict[int, Any], field: int) -> int:
    found = fields.get(field)
    if not isinstance(found, int) or found < 0:
        raise UnknownPagesError(f"field {field} of a page header is no number from 0 on")
    return found


def _struct(file: BinaryIO, depth: int = 0) -> dict[int, Any]:
    """Read the fields of a struct that are numbers or structs themselves."""
    if depth > _DEEPEST:
        raise UnknownPagesError("a page header is too deep")
    fields: dict[int, Any] = {}
    number = 0
    while (head := _byte(file)) != _STOP:
        number = number + (head >> 4) if head >> 4 else _integer(file)
        kind = head & 15
        if kind in _INTEGERS:
            fields[number] = _integer(file)
        elif kind == _STRUCT:
            fields[number] = _struct(file, depth + 1)
        elif kind in (_BYTE, _DOUBLE, _BINARY):
            _skip(file, {_BYTE: 1, _DOUBLE: 8}.get(kind) or _unsigned(file))
        elif kind not in (_TRUE, _FALSE):
            raise UnknownPagesError(f"a page header has a field of type {kind}")
    return fields


def _skip(file: BinaryIO, size: int) -> None:
    if size >> 31:
        raise UnknownPagesError("a page header is too long")
    file.seek(size, os.SEEK_CUR)


def _integer(file: BinaryIO) -> int:
    """Read a signed integer: 0, -1, 1, -2 and so on are stored as 0, 1, 2, 3."""
    number = _unsigned(file)
    return (number >> 1) ^ -(number & 1)


def _unsigned(file: BinaryIO) -> int:
    """Read an integer, seven bits a byte, of which the last has no eighth."""
    number = 0
    for place in range(_LONGEST_NUMBER):
        byte = _byte(file)
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number
    raise UnknownPagesError("a page header has too long a number")


def _byte(file: BinaryIO) -> int:
    byte = file.read(1)
    if not byte:
        raise UnknownPagesError("a page header is cut short")
    return byte[0]
