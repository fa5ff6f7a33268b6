from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ce_cli.columns import Kind
from ce_cli.errors import CeError
from ce_cli.readers import csv_text
from ce_cli.readers.base import MALFORMED
from ce_cli.readers.csv_format import CsvData
from ce_cli.readers.csv_text import Dialect, blocks, first_record, sniff
from ce_cli.readers.streams import FileSource
from ce_cli.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

# A quotation mark may stand inside an unquoted cell (5" disk) but not at its start, where it would open a quoted one.
unquoted = st.text(st.sampled_from("ab5é \";'"), max_size=5).filter(lambda cell: not cell.startswith('"'))
quoted = st.text(st.sampled_from('ab,"\n\ré '), max_size=8).map(lambda cell: '"' + cell.replace('"', '""') + '"')
cells = st.one_of(unquoted, quoted)
endings = st.sampled_from(["\n", "\r\n"])
block_sizes = st.integers(1, 40)
fixture_per_test = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def records(text: str, width: int) -> list[list[str]]:
    """Return the rows as Python reads them; a blank line is an empty cell in one column, and nothing in several."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if width > 1:
        return [row for row in rows if row]
    while rows and not rows[-1]:
        rows.pop()
    return [row or [""] for row in rows]


def read_all(path: Path, text: str, size: int, *, jobs: int = 1, **options) -> tuple[list[list[str]], dict[int, str]]:
    """Return the rows as the reader yields them with blocks of `size` bytes, an empty cell as "", and the malformed ones."""
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "BLOCK_BYTES", size)
        data = CsvData(str(path), FileSource(path), **options)
        with Workers(jobs) as workers:
            batches = list(data.batches(dict.fromkeys(data.names, Kind.TEXT), workers))
    columns = [[cell for batch in batches for cell in batch.column(name).to_pylist()] for name in data.names]
    reasons = [
        reason
        for batch in batches
        for reason in (
            batch.column(MALFORMED).to_pylist() if MALFORMED in batch.schema.names else [None] * batch.num_rows
        )
    ]
    rows = [["" if cell is None else cell for cell in row] for row in zip(*columns, strict=True)]
    return rows, {number: reason for number, reason in enumerate(reasons, 1) if reason is not None}


def read(path: Path, text: str, size: int, *, jobs: int = 1, **options) -> list[list[str]]:
    """Return the rows of a file of which none is malformed."""
    rows, malformed = read_all(path, text, size, jobs=jobs, **options)
    assert malformed == {}
    return rows


@fixture_per_test
@given(
    st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1)),
    endings,
    block_sizes,
    st.booleans(),
    st.sampled_from([1, 3]),
    st.lists(st.integers(0, 9), max_size=3),
)
def test_tables_are_read_as_python_reads_them(folder, rows, ending, size, closed, jobs, blanks):
    width = len(rows[0])
    lines = [",".join(row) for row in rows]
    for at in blanks:
        lines.insert(at % (len(lines) + 1), "")
    text = ending.join([",".join("wxyz"[:width]), *lines]) + (ending if closed else "")
    assert read(folder / "t.csv", text, size, jobs=jobs) == records(text, width)[1:]


@fixture_per_test
@given(st.lists(st.one_of(cells, st.just("")), max_size=15), endings, block_sizes, st.integers(0, 5))
def test_one_column_with_blank_lines(folder, rows, ending, size, after):
    text = ending.join(["name", *rows]) + ending * after
    assert read(folder / "t.csv", text, size) == records(text, 1)[1:]


@fixture_per_test
@given(
    st.lists(st.tuples(unquoted.map(lambda cell: cell.replace(";", "'")), quoted), min_size=1, max_size=12),
    endings,
    block_sizes,
    st.sampled_from("\t;|"),
)
def test_other_delimiters(folder, rows, ending, size, delimiter):
    text = ending.join([f"w{delimiter}x", *(delimiter.join(row) for row in rows), ""])
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row][1:]
    assert read(folder / "t.csv", text, size) == expected


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_last_cell_of_blanks_without_a_line_end(folder, size):
    assert read(folder / "t.csv", "name\na\n ", size) == read(folder / "t.csv", "name\na\n \n", size) == [["a"], [" "]]


class Stream:
    """The bytes of a text, given out a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def skip(self, size: int) -> None:
        self._data.seek(size)

    def read(self, size: int) -> bytes:
        return self._data.read(size)


@given(st.lists(st.tuples(cells, cells), max_size=20), endings, block_sizes, st.booleans())
def test_blocks_are_cut_between_records(rows, ending, size, single):
    text = ending.join([*(",".join(row) for row in rows), ""])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "BLOCK_BYTES", size)
        dialect = Dialect(",", b"\n")
        parts = [bytes(block).decode() for block in blocks(Stream(text.encode()), 0, dialect, "t", single=single)]
    # Only blank lines at the end may be left out.
    assert text.startswith("".join(parts))
    assert not text[len("".join(parts)) :].strip()
    pieces = [row for part in parts for row in csv.reader(io.StringIO(part, newline="")) if row]
    assert pieces == [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def test_blocks_are_about_as_large_as_asked(monkeypatch):
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 100)
    text = "".join(f'{at},"a\nb",5" disk\n' for at in range(200)).encode()
    parts = [bytes(block) for block in blocks(Stream(text), 0, Dialect(",", b"\n"), "t")]
    assert b"".join(parts) == text
    assert len(parts) > 20
    assert max(map(len, parts)) < 130


def test_a_record_longer_than_many_blocks(folder):
    long = "x\n" * 500
    text = f'w,x\n1,"{long}"\n2,y\n'
    assert read(folder / "t.csv", text, 64) == [["1", long], ["2", "y"]]


def test_a_quotation_mark_that_is_never_closed(folder, monkeypatch):
    monkeypatch.setattr(csv_text, "_LONGEST_RECORD", 500)
    with pytest.raises(CeError) as caught:
        read(folder / "t.csv", 'w,x\n1,"y\n' + "2,z\n" * 400, 64)
    assert caught.value.code == "malformed_row"


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("size", [1, 5, 17, 64, 10_000])
def test_rows_of_another_width_are_numbered_from_the_first_data_row(folder, size, jobs):
    expected = {
        4: "expected 2 cells, but got 1",
        12: "expected 2 cells, but got 3",
        30: "expected 2 cells, but got 3",
    }
    lines = [f'{at},"a\nb"' for at in range(30)]
    lines[3], lines[11], lines[29] = "3", "11,x,y", '29,"a",b'
    for blanks in ([], [0, 5, 9]):
        some = list(lines)
        for at in reversed(blanks):
            some.insert(at, "")
        rows, malformed = read_all(folder / "t.csv", "\n".join(["w,x", *some, ""]), size, jobs=jobs)
        assert malformed == expected, blanks
        assert rows == [["", ""] if at + 1 in expected else [str(at), "a\nb"] for at in range(30)], blanks


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_blank_separated_text(folder, size, ending):
    text = ending.join(["  w   x", "1 \t 2", "   3  4  ", "5 6", ""])
    assert read(folder / "t.txt", text, size) == [["1", "2"], ["3", "4"], ["5", "6"]]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_byte_order_mark_is_skipped(folder, size):
    assert read(folder / "t.csv", "\ufeffw,x\n1,2\n", size) == [["1", "2"]]
    assert read(folder / "t.csv", "\ufeff1,2\n3,4\n", size, header=False) == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_old_mac_line_ends(folder, size):
    assert read(folder / "t.csv", 'w,x\r1,"a\rb"\r3,4\r', size) == [["1", "a\rb"], ["3", "4"]]


@pytest.mark.parametrize(
    ("head", "delimiter", "newline"),
    [
        (b"a,b\n1,2\n", ",", b"\n"),
        (b"a\tb\n1\t2\n", "\t", b"\n"),
        (b"a;b\r\n1,5;2\r\n", ";", b"\n"),
        (b"a|b\n1|2\n", "|", b"\n"),
        (b'"a,b"\tc\n1\t2\n', "\t", b"\n"),
        (b"a\n1\n", ",", b"\n"),
        (b"a b\n1 2\n", " ", b"\n"),
        (b"a b\n1 2 3\n4 5\n", ",", b"\n"),
        (b"a,b\r1,2\r", ",", b"\r"),
        (b"", ",", b"\n"),
    ],
)
def test_the_dialect(head, delimiter, newline):
    dialect = sniff(head, None)
    assert (dialect.delimiter, dialect.newline) == (delimiter, newline)
    assert sniff(head, ":").delimiter == ":"


@pytest.mark.parametrize(
    ("head", "cells_", "end"),
    [
        (b"a,b\n1,2\n", ["a", "b"], 4),
        (b"\n\r\na,b\n", ["a", "b"], 7),
        (b'"a\nb", c \n1,2\n', ["a\nb", "c"], 10),
        (b'"say ""hi""",b\n', ['say "hi"', "b"], 15),
        (b"a,b", ["a", "b"], 3),
        (b"\n\n", [], 2),
    ],
)
def test_the_first_record(head, cells_, end):
    assert first_record(head, Dialect(",", b"\n"), "t") == (cells_, end)


def test_bytes_that_are_no_utf8(folder):
    (folder / "t.csv").write_bytes(b"w,x\n1,\xe9\n")
    data = CsvData(str(folder / "t.csv"), FileSource(folder / "t.csv"))
    with pytest.raises(CeError) as caught, Workers(1) as workers:
        list(data.batches({"x": Kind.TEXT}, workers))
    assert caught.value.code == "unreadable_file"
