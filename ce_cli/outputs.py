"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


# Files with a line per row, by the option that names them: the suffixes they may have, and whether - is standard output.
TABLES: dict[str, tuple[tuple[str, ...], bool]] = {
    "per_sample": ((".csv", ".parquet"), True),
    "per_sequence": ((".csv", ".parquet"), True),
    "gradients": ((".csv", ".parquet"), True),
    "errors": ((".csv",), False),
}


def check_writable(path: str | None, option: str, suffixes: tuple[str, ...], *, stream: bool = False) -> None:
    """Raise CeError where a file could not be written, before any work is done; `-` is right where a stream is."""
    if path is None or (stream and path == "-"):
        return
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise fail("bad_option", f"{option} takes a file ending in {' or '.join(suffixes)}, but got {path!r}")
    folder = target.parent
    if target.is_dir():
        raise fail("unwritable_output", f"{option}: this is a folder", file=path)
    if not folder.is_dir():
        raise fail(
            "unwritable_output", f"{option}: the folder {folder} does not exist", file=path, hint="create it first"
        )
    if not os.access(folder, os.W_OK):
        raise fail("unwritable_output", f"{option}: the folder {folder} cannot be written to", file=path)


def check_outputs(outputs: Mapping[str, str], inputs: Iterable[str | None], *, stream: bool = False) -> None:
    """Check the files that hold a line per row, by the names of their options in `TABLES`.

    None of them may be an input or another output, and only one can go to standard output.
    """
    taken = {_resolved(path): path for path in inputs if path not in (None, "-")}
    streams = [name for name, path in outputs.items() if path == "-"]
    if len(streams) > 1:
        raise fail("bad_option", f"{_flag(streams[0])} - and {_flag(streams[1])} - cannot share standard output")
    for name, path in outputs.items():
        suffixes, streamable = TABLES[name]
        check_writable(path, _flag(name), suffixes, stream=stream and streamable)
        if path == "-":
            continue
        if _resolved(path) in taken:
            raise fail(
                "bad_option",
                f"{_flag(name)} would overwrite {path!r}, which is in use already",
                hint="name another file",
            )
        taken[_resolved(path)] = path


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _resolved(path: str | None) -> Path:
    return Path(path or "").resolve()


class OutputFile:
    """A file written beside its place, then renamed. `-` is standard output, with `spool` all of it at the end."""

    def __init__(self, path: str, *, spool: bool = False) -> None:
        self.path = path
        self._spool = spool
        self._temporary: Path | None = None
        self.raw: Any = None
        self.open()

    def open(self) -> None:
        """Start, or start again."""
        import tempfile

        if self.path == "-":
            self.raw = tempfile.TemporaryFile() if self._spool else sys.stdout.buffer  # noqa: SIM115 - closed by commit
            return
        self.discard()
        target = Path(self.path)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        self._temporary = Path(name)
        self.raw = os.fdopen(handle, "wb")

    def commit(self) -> None:
        """Put the file in its place, with the permissions that a new file has."""
        if self._temporary is None:
            self._to_standard_output()
            return
        self.raw.close()
        umask = os.umask(0)
        os.umask(umask)
        self._temporary.chmod(0o666 & ~umask)
        self._temporary.replace(self.path)
        self._temporary = None

    def _to_standard_output(self) -> None:
        if self._spool:
            import shutil

            self.raw.seek(0)
            shutil.copyfileobj(self.raw, sys.stdout.buffer)
            self.raw.close()
        sys.stdout.buffer.flush()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._temporary is not None:
            self.raw.close()
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()
            self._temporary = None
