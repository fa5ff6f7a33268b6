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


def blocks(stream: ByteStream, path: str) -> Iterator[bytes]:
    """Yield the bytes of a text cut behind ends of lines, about `READ_BYTES` at a time.

    Only the last block may lack the end of its last line. Raises CeError unreadable_file at a line that is longer than
    `LONGEST_LINE` bytes.
    """
    pieces: list[bytes] = []
    held = 0
    while fresh := stream.read(READ_BYTES):
        cut = fresh.rfind(b"\n") + 1
        if cut:
            yield b"".join([*pieces, fresh[:cut]])
            pieces, held = [], 0
        pieces.append(fresh[cut:])
        held += len(fresh) - cut
        if held > LONGEST_LINE:
            raise fail(
                "unreadable_file",
                f"a line is longer than {LONGEST_LINE >> 20} MiB",
                file=path,
                hint="write one record per line",
            )
    if held:
        yield b"".join(pieces)


def lines(stream: ByteStream, path: str) -> Iterator[Line]:
    """Yield the lines of a text; memory is that of a block, or of the longest line.

    Lines end with a newline, before which a carriage return is nothing; no other character ends one. Raises CeError
    unreadable_file where the text is not UTF-8, and as `blocks` does.
    """
    number = 0
    for block in blocks(stream, path):
        for line in lines_of(block, path, number):
            number = line.number
            yield line


def lines_of(block: bytes, path: str, before: int = 0) -> Iterator[Line]:
    """Yield the lines of one block, `before` the number of lines that come before it."""
    raws = block.split(b"\n")
    last = raws.pop()
    for number, raw in enumerate(raws, before + 1):
        yield Line(number, _decoded(raw, number, path), ended=True)
    if last:
        yield Line(before + len(raws) + 1, _decoded(last, before + len(raws) + 1, path), ended=False)


def _decoded(raw: bytes, number: int, path: str) -> str:
    if number == 1:
        raw = raw.removeprefix(_BYTE_ORDER_MARK)
    try:
        return raw.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
