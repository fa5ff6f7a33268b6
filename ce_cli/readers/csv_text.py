"""Delimited text: the dialect, the cuts between blocks, and the rows that do not fit."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.errors import CeError, fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.readers.streams import ByteStream

BLOCK_BYTES = 3 << 20
_LONGEST_RECORD = 32 << 20
_BLANKS = re.compile(rb"[ \t]+")
_LIST_LINES = 50  # that are looked at
_LOG_PROBABILITIES = re.compile(rb"\s*(?:(?:-\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|-?0(?:\.0*)?|-inf)(?:[ \t]+|$))*")
_BLANK_EDGES = re.compile(rb"(?m)^ | $")


class Dialect(NamedTuple):
    """How the bytes of a text file are to be cut into cells."""

    delimiter: str
    newline: bytes
    blank_separated: bool = False
    skip: int = 0  # bytes before the first record: a byte-order mark


def sniff(head: bytes, delimiter: str | None) -> Dialect:
    """Tell the dialect from the first bytes of a file; a delimiter that is given is believed."""
    skip = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    newline = b"\r" if b"\n" not in head and b"\r" in head else b"\n"
    if delimiter is not None:
        return Dialect(delimiter, newline, skip=skip)
    lines = [line.strip(b"\r") for line in head[skip:].split(newline)[:20]]
    lines = [line for line in lines if line.strip()]
    if not lines:
        return Dialect(",", newline, skip=skip)
    counts = {mark: _outside_quotes(lines[0]).count(mark) for mark in (b",", b"\t", b";", b"|")}
    best = max(counts, key=lambda mark: counts[mark])
    if counts[best]:
        return Dialect(best.decode(), newline, skip=skip)
    widths = {len(line.split()) for line in lines[:-1] or lines}
    if len(widths) == 1 and widths != {1} and b'"' not in lines[0]:
        return Dialect(" ", newline, blank_separated=True, skip=skip)
    return Dialect(",", newline, skip=skip)


def holds_lists(head: bytes) -> bool:
    """Tell whether a text is a log-probability per token, those of one sequence on each line, without any header.

    Lines of equal length could as well be the rows of a table, and are left to whoever says so.
    """
    lines = head.splitlines()
    lines = lines[: -1 if len(lines) > 1 else None][:_LIST_LINES]
    if len({len(line.split()) for line in lines}) < 2:
        return False
    return all(_LOG_PROBABILITIES.fullmatch(line) for line in lines) and any(b"-" in line for line in lines)


def first_record(head: bytes, dialect: Dialect, path: str) -> tuple[list[str], int]:
    """Return the cells of the first record that is not blank and the offset of the byte after it."""
    start = dialect.skip
    while start < len(head):
        end = _record_end(head, start, dialect, path)
        record = head[start:end]
        if record.strip():
            return _cells(record, dialect, path), end
        start = end
    return [], len(head)


def blocks(
    stream: ByteStream, start: int, dialect: Dialect, path: str, *, single: bool = False
) -> Iterator[memoryview]:
    """Yield the records from byte `start` on in blocks of about `BLOCK_BYTES`, cut between records.

    In a file of a `single` column a blank line is an empty cell, but those after the last record are nothing.
    """
    stream.skip(start)
    rest = b""
    while fresh := stream.read(BLOCK_BYTES):
        data = rest + fresh if rest else fresh
        cut = _last_cut(data, dialect, path)
        if single:
            cut = _before_blanks(data, cut)
        if cut:
            yield _prepared(memoryview(data)[:cut], dialect)
        elif len(data) > _LONGEST_RECORD:
            raise unclosed_quote(path)
        rest = data[cut:]
    if _ends_inside_quotes(rest, dialect, path):
        raise unclosed_quote(path)
    if rest.strip(b"\r\n"):
        yield _prepared(memoryview(rest), dialect)


def _prepared(block: memoryview, dialect: Dialect) -> memoryview:
    if not dialect.blank_separated:
        return block
    return memoryview(_BLANK_EDGES.sub(b"", _BLANKS.sub(b" ", block).replace(b" \r\n", b"\n")))


def _before_blanks(data: bytes, cut: int) -> int:
    """Move a cut back behind the newline of the last record that is not blank."""
    for tail in (4096, cut):
        start = max(0, cut - tail)
        text = data[start:cut]
        kept = len(text.rstrip(b"\r\n"))
        if kept:
            ending = 2 if text[kept : kept + 2] == b"\r\n" else 1
            return start + min(len(text), kept + ending)
    return 0


def _last_cut(buffer: bytes, dialect: Dialect, path: str) -> int:
    """Return the offset after the last newline that ends a record, 0 where there is none."""
    last = buffer.rfind(dialect.newline)
    if last < 0 or buffer.find(b'"', 0, last) < 0:
        return last + 1
    data = np.frombuffer(buffer, dtype=np.uint8)
    newlines = np.flatnonzero(data == dialect.newline[0])
    inside = _quoted_at(data, newlines, dialect, path)
    outside = newlines[~inside]
    return int(outside[-1]) + 1 if len(outside) else 0


def _quoted_at(data: np.ndarray, at: np.ndarray, dialect: Dialect, path: str) -> np.ndarray:
    """Tell for each offset whether it lies inside a quoted cell, the data starting outside of one."""
    quotes = np.flatnonzero(data == ord('"'))
    starts = _starts_cell(data, quotes, dialect)
    ends = _ends_cell(data, quotes, dialect)
    if not (starts[0::2].all() and ends[1::2].all()):
        quotes = _real_quotes(data, quotes, starts, ends, path)
    inside: np.ndarray = np.searchsorted(quotes, at) % 2 == 1
    return inside


def _ends_inside_quotes(data: bytes, dialect: Dialect, path: str) -> bool:
    characters = np.frombuffer(data, dtype=np.uint8)
    return bool(_quoted_at(characters, np.array([len(data)]), dialect, path)[0]) if ord('"') in characters else False


def unclosed_quote(path: str) -> CeError:
    """Return the error for a quotation mark that never closes, or closes inside a cell."""
    return fail(
        "malformed_row",
        "a quotation mark opens a cell and does not close it before the next delimiter or line",
        file=path,
        hint="write a quotation mark inside a cell twice, and the cell in quotation marks",
    )


def _starts_cell(data: np.ndarray, quotes: np.ndarray, dialect: Dialect) -> np.ndarray:
    before = data[np.maximum(quotes - 1, 0)]
    starts: np.ndarray = np.isin(before, [ord(dialect.delimiter), ord("\n"), ord("\r")]) | (quotes == 0)
    return starts


def _ends_cell(data: np.ndarray, quotes: np.ndarray, dialect: Dialect) -> np.ndarray:
    after = data[np.minimum(quotes + 1, len(data) - 1)]
    ends: np.ndarray = np.isin(after, [ord(dialect.delimiter), ord("\n"), ord("\r")]) | (quotes == len(data) - 1)
    return ends


def _real_quotes(data: np.ndarray, quotes: np.ndarray, starts: np.ndarray, ends: np.ndarray, path: str) -> np.ndarray:
    """Return the quotation marks that open or close a cell, without those inside an unquoted one (5" disk)."""
    kept: list[int] = []
    is_open, skipped = False, -1
    for offset, opens, closes in zip(quotes.tolist(), starts.tolist(), ends.tolist(), strict=True):
        if offset == skipped:
            continue
        if is_open and offset + 1 < len(data) and data[offset + 1] == ord('"'):
            skipped = offset + 1
        elif is_open and not closes:
            raise unclosed_quote(path)
        elif is_open or opens:
            kept.append(offset)
            is_open = not is_open
    return np.array(kept, dtype=np.int64)


def _record_end(head: bytes, start: int, dialect: Dialect, path: str) -> int:
    data = np.frombuffer(head, dtype=np.uint8, offset=start)
    newlines = np.flatnonzero(data == dialect.newline[0])
    if b'"' in head[start:] and len(newlines):
        newlines = newlines[~_quoted_at(data, newlines, dialect, path)]
    return start + int(newlines[0]) + 1 if len(newlines) else len(head)


def _cells(record: bytes, dialect: Dialect, path: str) -> list[str]:
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    if dialect.blank_separated:
        return text.split()
    cells = next(csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), delimiter=dialect.delimiter))
    return [cell.strip() for cell in cells]


def not_utf8(path: str) -> Exception:
    """Return the error for bytes that are no UTF-8 text."""
    return fail(
        "unreadable_file",
        "this is not UTF-8 text",
        file=path,
        hint="convert it, for example with: iconv -f LATIN1 -t UTF-8, and check --format",
    )


def _outside_quotes(line: bytes) -> bytes:
    return re.sub(rb'"[^"]*"', b"", line)
