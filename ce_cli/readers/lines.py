"""Text as lines with their numbers, for formats of one record a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ce_cli.errors import fail
from ce_cli.readers.csv_text import not_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.readers.streams import ByteStream

READ_BYTES = 1 << 20
LONGEST_LINE = 256 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its end; number: from 1; ended: whether the file has an end of line after it."""

    number: int
    text: str
    ended: bool


def lines(stream: ByteStream, path: str) -> Iterator[Line]:
    """Yield the lines of a text; memory is that of the longest one.

    Lines end with a newline, before which a carriage return is nothing; no other character ends one. Raises CeError:
    unreadable_file where the text is not UTF-8 or a line longer than `LONGEST_LINE` bytes.
    """
    number, pieces, held = 0, [], 0
    while fresh := stream.read(READ_BYTES):
        first, *others = fresh.split(b"\n")
        pieces.append(first)
        held += len(first)
        if others:
            number += 1
            yield _line(number, b"".join(pieces), path, ended=True)
            for raw in others[:-1]:
                number += 1
                yield _line(number, raw, path, ended=True)
            pieces, held = [others[-1]], len(others[-1])
        if held > LONGEST_LINE:
            raise fail(
                "unreadable_file",
                f"line {number + 1} is longer than {LONGEST_LINE >> 20} MiB",
                file=path,
                hint="write one record per line",
            )
    last = b"".join(pieces)
    if last:
        yield _line(number + 1, last, path, ended=False)


def _line(number: int, raw: bytes, path: str, *, ended: bool) -> Line:
    if number == 1:
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        return Line(number, raw.decode().removesuffix("\r"), ended)
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
