"""Bytes from files, from standard input and from compressed ones, with a count of those read."""

from __future__ import annotations

import io
import weakref
from pathlib import Path
from typing import Any, BinaryIO, cast

from ce_cli.errors import fail

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\x28\xb5\x2f\xfd", "zstd"))
_MAGIC_BYTES = 6
BINARY_MAGIC = (b"PAR1", b"ARRO")
_COPY_BYTES = 1 << 20
HEAD_BYTES = 1 << 18


class ByteStream:
    """The (decompressed) bytes of one file from its start; `consumed` counts the bytes taken from the file itself."""

    def __init__(self, raw: BinaryIO, head: bytes = b"") -> None:
        self._head = head
        self._raw = raw
        self._codec = compression(head or (raw.peek(4)[:4] if isinstance(raw, io.BufferedReader) else b""))
        self._stream: Any = raw if self._codec is None else _decompressed(_Chained(head, raw), self._codec)
        if self._codec is not None:
            self._head = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        data = self._some(size)
        while data and len(data) < size and (more := self._some(size - len(data))):
            data += more
        return data

    def skip(self, size: int) -> None:
        """Read and forget bytes."""
        while size > 0:
            taken = len(self.read(min(size, _COPY_BYTES)))
            if taken == 0:
                return
            size -= taken

    def consumed(self) -> int:
        """Return how far the file itself has been read, in bytes; 0 where that cannot be told."""
        try:
            return self._raw.tell()
        except (OSError, ValueError):
            return 0

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def _some(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return cast("bytes", self._stream.read(size))


class _Chained:
    """Bytes already read, then the rest of a stream: what a decompressor wants to see as one file."""

    def __init__(self, head: bytes, raw: BinaryIO) -> None:
        self._head, self._raw, self.closed = head, raw, False

    def read(self, size: int = -1) -> bytes:
        if self._head:
            taken, self._head = (self._head[:size], self._head[size:]) if size >= 0 else (self._head, b"")
            return taken
        return self._raw.read(size)

    def close(self) -> None:
        self.closed = True


def compression(head: bytes) -> str | None:
    """Return the codec that the first bytes of a file tell."""
    return next((codec for magic, codec in _MAGIC if head.startswith(magic)), None)


def _decompressed(raw: object, codec: str) -> object:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)


class _Decompressed:
    """The contents of a compressed stream; `read` returns fewer bytes than it is asked for only at the end."""

    def __init__(self, raw: BinaryIO, codec: str) -> None:
        self._raw = raw
        self._stream: Any = _decompressed(raw, codec)

    def read(self, size: int) -> bytes:
        pieces = []
        while size > 0 and (piece := cast("bytes", self._stream.read(size))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def tell(self) -> int:
        return self._raw.tell()

    def close(self) -> None:
        self._raw.close()


class FileSource:
    """A file that can be opened any number of times."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size: int | None = path.stat().st_size

    def open(self) -> ByteStream:
        """Return its bytes from the start."""
        return ByteStream(self.path.open("rb"))

    def head(self) -> bytes:
        """Return its first bytes as they are."""
        with self.path.open("rb") as file:
            return file.read(_MAGIC_BYTES)

    def preview(self) -> bytes:
        """Return the beginning of its contents, decompressed."""
        return _preview(self.open())

    def local(self) -> Path:
        """Return where it lies, for formats that jump in it."""
        return self.path


class PipeSource:
    """Text from a pipe, decompressed as it comes: its head is looked at first and then read again with the rest."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._head: bytes | None = None
        self._opened = False
        self.size: int | None = None

    def open(self) -> ByteStream:
        """Return its bytes: at the first call only the head, which is kept; at the second all of them."""
        head = self.preview()
        if not self._opened:
            self._opened = True
            return ByteStream(_in_memory(head))
        return ByteStream(self._raw, head)

    def head(self) -> bytes:
        """Return its first bytes, which are text."""
        return self.preview()[:_MAGIC_BYTES]

    def preview(self) -> bytes:
        """Return the beginning of it, which is kept."""
        if self._head is None:
            self._head = self._raw.read(HEAD_BYTES)
        return self._head

    def spooled(self) -> SpooledSource:
        """Return it copied to disk, for formats that are opened more than once."""
        return SpooledSource(_Chained(self.preview(), self._raw))

    def local(self) -> Path:
        """Not to be had from a pipe."""
        raise AssertionError("what jumps in a file must be spooled")


class SpooledSource:
    """A stream copied to a temporary file first, for what is read twice or out of order."""

    def __init__(self, raw: BinaryIO | _Chained) -> None:
        import tempfile

        self._file = tempfile.NamedTemporaryFile(prefix="ce-eval-")  # noqa: SIM115 - lives as long as the source
        weakref.finalize(self, self._file.close)
        while block := raw.read(_COPY_BYTES):
            self._file.write(block)
        self._file.flush()
        self.size: int | None = self._file.tell()

    def open(self) -> ByteStream:
        """Return its bytes from the start."""
        return ByteStream(self.local().open("rb"))

    def head(self) -> bytes:
        """Return its first bytes as they are."""
        with self.local().open("rb") as file:
            return file.read(_MAGIC_BYTES)

    def preview(self) -> bytes:
        """Return the beginning of its contents, decompressed."""
        return _preview(self.open())

    def local(self) -> Path:
        """Return where the copy lies."""
        return Path(self._file.name)


Source = FileSource | PipeSource | SpooledSource


def standard_input(raw: io.BufferedReader, *, spool: bool) -> Source:
    """Return a stream as a source; it is spooled to disk where that is asked for, or where it is no text."""
    head = raw.peek(4)[:4]
    if not head:
        raise fail("no_samples", "standard input is empty", file="-")
    if spool or head in BINARY_MAGIC:
        return SpooledSource(raw)
    codec = compression(head)
    return PipeSource(raw if codec is None else cast("BinaryIO", _Decompressed(raw, codec)))


def _preview(stream: ByteStream) -> bytes:
    try:
        return stream.read(HEAD_BYTES)
    finally:
        stream.close()


def _in_memory(data: bytes) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(cast("Any", io.BytesIO(data))))
