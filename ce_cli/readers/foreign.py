"""Files that hold no table that is read here: what they are, and what to do with them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ce_cli.errors import CeError, fail

_FRAME = "write it as Parquet: pandas.{}(…).to_parquet('FILE.parquet')"
_ARRAY = "read it with NumPy and pass the array to ce_cli.evaluate, or write it as CSV"
_ARROW = "write it as Parquet: pyarrow.parquet.write_table(pyarrow.feather.read_table(FILE), 'FILE.parquet')"
_SCHEMES = ("http://", "https://", "ftp://", "s3://", "gs://", "hf://", "az://", "abfs://", "file://")


class Foreign(NamedTuple):
    """What a file is, and how to turn it into something that is read."""

    what: str
    hint: str


_STARTS: dict[bytes, Foreign] = {
    b"ARROW1": Foreign("an Arrow (Feather) file", _ARROW),
    b"FEA1": Foreign("a Feather file", _ARROW),
    b"\x93NUMPY": Foreign("a NumPy array", _ARRAY),
    b"\x89HDF": Foreign("an HDF5 file", _FRAME.format("read_hdf")),
    b"SQLite": Foreign(
        "an SQLite database", "export the table: sqlite3 -header -csv FILE 'SELECT * FROM …' > FILE.csv"
    ),
    b"ORC": Foreign("an ORC file", _FRAME.format("read_orc")),
    b"Obj\x01": Foreign("an Avro file", "write it as Parquet or CSV"),
    b"\x80\x02": Foreign("a Python pickle", _FRAME.format("read_pickle")),
    b"\x80\x03": Foreign("a Python pickle", _FRAME.format("read_pickle")),
    b"\x80\x04": Foreign("a Python pickle", _FRAME.format("read_pickle")),
    b"\x80\x05": Foreign("a Python pickle", _FRAME.format("read_pickle")),
    b"\xff\xfe": Foreign("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    b"\xfe\xff": Foreign("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    b"\xfd7zXZ": Foreign("xz-compressed", "unpack it with xz -d, or compress it with gzip, bzip2 or zstd"),
    b"7z\xbc\xaf": Foreign("a 7z archive", "unpack it first"),
    b"%PDF": Foreign("a PDF document", "export the table as CSV"),
    b"\xd0\xcf\x11\xe0": Foreign("an old Excel workbook", "save the sheet as CSV UTF-8"),
}
# What a ZIP archive is, by the end of the file's name.
_ZIPPED: dict[str, Foreign] = {
    ".xlsx": Foreign("an Excel workbook", "save the sheet as CSV UTF-8"),
    ".ods": Foreign("an OpenDocument sheet", "save the sheet as CSV UTF-8"),
    ".npz": Foreign("an archive of NumPy arrays", _ARRAY),
    ".pt": Foreign("a PyTorch file", _ARRAY),
    ".pth": Foreign("a PyTorch file", _ARRAY),
}
_ZIP = Foreign("a ZIP archive", "unpack it first; gz, bz2 and zst files are read as they are")
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_PAGE = Foreign("a page of HTML or XML", "this may be an error page: look at the file, and download it again")


def check_table(path: str, head: bytes) -> None:
    """Raise unreadable_file where the first bytes of a file are those of a format that is not read here."""
    found = next((what for start, what in _STARTS.items() if head.startswith(start)), None)
    if head.startswith(b"PK\x03\x04"):
        found = _ZIPPED.get(Path(path).suffix.lower(), _ZIP)
    if found is not None:
        raise _refused(path, found)


def check_page(path: str, text: bytes) -> None:
    """Raise unreadable_file where a text is a page, such as the one that a server sends instead of a file."""
    if text.lstrip()[:20].lower().startswith(_PAGES):
        raise _refused(path, _PAGE)


def address(path: str) -> str | None:
    """Return what to do where a path is an address; None where it is none."""
    if not path.startswith(_SCHEMES):
        return None
    return f"only files on this machine are read: download it first, for example curl -sSL '{path}' | ce-eval -"


def _refused(path: str, found: Foreign) -> CeError:
    return fail("unreadable_file", f"this is {found.what}, not Parquet, CSV or JSON Lines", file=path, hint=found.hint)
