"""Single pages of a Parquet column."""

from __future__ import annotations

import datetime as dt
import io
import os
import tracemalloc
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli import evaluate
from ce_cli.errors import CeError
from ce_cli.readers import parquet_chunks
from ce_cli.readers.arrays import cell_text
from ce_cli.readers.files import open_data
from ce_cli.readers.parquet_pages import FewPages, UnknownPagesError, pages_with

DAY = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
KINDS = {
    "numbers": lambda i: i * i - 50,
    "few texts": lambda i: f"k{i % 5}",
    "texts": lambda i: f"row {i:x}",
    "floats": lambda i: i / 7,
    "days": lambda i: DAY + dt.timedelta(days=i),
    "bytes": lambda i: f"{i}".encode(),
    "flags": lambda i: i % 3 == 0,
}


@given(
    kind=st.sampled_from(sorted(KINDS)),
    n=st.integers(1, 400),
    group=st.integers(1, 400),
    page=st.integers(1, 60),
    rows=st.sets(st.integers(0, 399), min_size=1, max_size=6),
    version=st.sampled_from(["1.0", "2.0"]),
    codec=st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4"]),
    dictionary=st.booleans(),
    checksums=st.booleans(),
)
def test_cells_are_those_of_the_whole_column(
    tmp_path_factory, kind, n, group, page, rows, version, codec, dictionary, checksums
):
    path = tmp_path_factory.mktemp("pages") / "p.parquet"
    table = pa.table(
        {"before": range(n), "id": [KINDS[kind](i) for i in range(n)], "other": [f"{i % 2}" for i in range(n)]}
    )
    pq.write_table(
        table,
        path,
        row_group_size=group,
        data_page_size=1,
        write_batch_size=page,
        data_page_version=version,
        compression=codec,
        use_dictionary=dictionary,
        write_page_checksum=checksums,
    )
    stored = open_data(str(path)).stored(("id", "other"))
    assert stored is not None
    wanted = sorted({row % n for row in rows})
    whole = pq.read_table(path).combine_chunks()
    expected = {row: tuple(cell_text(whole.column(name).chunk(0), row) for name in ("id", "other")) for row in wanted}
    assert stored.cells(wanted) == expected
    if "text" in kind or kind == "numbers":
        assert expected == {row: (str(KINDS[kind](row)), str(row % 2)) for row in wanted}


def column_of(path, **options):
    """Write a thousand numbers, of which each page has ten; return their column chunk."""
    numbers = pa.table({"id": [i * 37 % 1009 for i in range(1000)]})
    pq.write_table(numbers, path, data_page_size=1, write_batch_size=10, compression="none", **options)
    return pq.read_metadata(path).row_group(0).column(0)


def few_pages(path, chunk, rows):
    """Return what a file of few pages has from where the column chunk begins, and which values the rows are."""
    with path.open("rb") as file:
        source, values = pages_with(file, chunk, rows)
        source.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
        return source.read(), values


def test_only_the_pages_of_the_rows_are_read(tmp_path):
    path = tmp_path / "p.parquet"
    chunk = column_of(path, use_dictionary=False)
    content, values = few_pages(path, chunk, [5, 7, 993])
    assert values == [5, 7, 13]  # of the first and the last page
    assert 2 * 80 < len(content) < 2 * 80 + 200
    assert path.read_bytes()[chunk.data_page_offset :].startswith(content[: len(content) // 2])


def test_the_dictionary_comes_with_pages_that_need_it(tmp_path):
    path = tmp_path / "p.parquet"
    chunk = column_of(path)
    assert len(few_pages(path, chunk, [500])[0]) > 8 * 1000


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=4),
    st.lists(st.tuples(st.integers(0, 99), st.integers(-1, 60)), max_size=5),
)
def test_a_file_of_few_pages_reads_like_their_bytes(cuts, reads):
    data = bytes(range(100))
    pages = [SimpleNamespace(start=start, stop=start + size) for start, size in cuts]
    content = b"".join(data[page.start : page.stop] for page in pages)
    file = FewPages(io.BytesIO(data), 10, pages)
    assert file.seek(0, os.SEEK_END) == file.tell() == 100
    for place, size in reads:
        whole = (b"?" * 10 + content)[: 100 if size < 0 else place + size]
        assert file.seek(place) == place
        assert file.read(size) == (whole[place:] if place >= 10 else b"")
    file.seek(10)
    file.seek(3, os.SEEK_CUR)
    assert file.tell() == 13


def damaged(path, at, data):
    """Write these bytes over those of a file."""
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("at", "data", "reason"),
    [
        pytest.param(0, b"\x1a", "of type 10", id="a type that is not known"),
        pytest.param(0, b"\x00", "field 1 ", id="no fields"),
        pytest.param(1, b"\x04", "no header of its type", id="another type of page"),
        pytest.param(5, b"\x1c", "field 3 |of type|cut short", id="a struct for a size"),
        pytest.param(5, b"\x15\x01", "field 3 ", id="a negative size"),
        pytest.param(5, b"\x15\xfe" + b"\xff" * 7 + b"\x7f", "within the column chunk|of type", id="a huge size"),
        pytest.param(1, b"\xff" * 300, "too long a number", id="a number without end"),
        pytest.param(0, b"\x1c" * 300, "too deep", id="structs without end"),
        pytest.param(2, b"\x18" + b"\xff" * 8 + b"\x7f", "too long", id="a huge text"),
        pytest.param(8, b"\x24", "no header of its type", id="a number for a header"),
    ],
)
def test_headers_that_are_not_known(tmp_path, at, data, reason):
    path = tmp_path / "p.parquet"
    chunk = column_of(path, use_dictionary=False)
    assert path.read_bytes()[chunk.data_page_offset :].startswith(bytes.fromhex("150015ac0115ac012c"))
    damaged(path, chunk.data_page_offset + at, data)
    with pytest.raises(UnknownPagesError, match=reason):
        few_pages(path, chunk, [0])


def test_more_pages_than_are_worth_a_look(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"id": range(3000)}), path, data_page_size=1, write_batch_size=1, use_dictionary=False)
    with pytest.raises(UnknownPagesError, match="too many"):
        few_pages(path, pq.read_metadata(path).row_group(0).column(0), [0])
    stored = open_data(str(path)).stored(("id",))
    assert stored is not None
    assert stored.cells([2999, 17]) == {2999: ("2999",), 17: ("17",)}


def test_a_file_cut_short(tmp_path):
    path = tmp_path / "p.parquet"
    chunk = column_of(path, use_dictionary=False)
    path.write_bytes(path.read_bytes()[: chunk.data_page_offset + 3])
    with pytest.raises(UnknownPagesError, match="cut short"):
        few_pages(path, chunk, [0])


def test_pages_that_are_not_known_are_read_from_the_first_on(tmp_path, monkeypatch):
    def unknown(*_):
        raise UnknownPagesError("of a kind to come")

    path = tmp_path / "p.parquet"
    column_of(path)
    stored = open_data(str(path)).stored(("id",))
    assert stored is not None
    expected = {row: (str(row * 37 % 1009),) for row in (0, 5, 999)}
    assert stored.cells([999, 0, 5]) == expected
    monkeypatch.setattr(parquet_chunks, "pages_with", unknown)
    assert stored.cells([999, 0, 5]) == expected


@given(
    page=st.integers(1, 9),
    at=st.integers(0, 40),
    data=st.one_of(
        st.binary(min_size=1, max_size=4),
        st.sampled_from([b"\xff" * 5000, b"\xcc" * 9000, b"l" * 9000, b"\x00" * 50, b"\x15\x80\x80\x80\x80\x80\x20"]),
    ),
)
def test_a_damaged_page_is_told_or_does_not_matter(tmp_path_factory, page, at, data):
    """A reader of the whole column chunk tells of damage, passes over it, or cannot see it."""
    n = 1000
    folder = tmp_path_factory.mktemp("damaged")
    columns = {"prob": [(i + 1) / (n + 1) for i in range(n)], "label": [0] * n}
    table = pa.table({"id": range(n), **columns})
    options = {"data_page_size": 1, "write_batch_size": 100, "compression": "none", "use_dictionary": False}
    pq.write_table(table, folder / "p.parquet", **options)
    chunk = pq.read_metadata(folder / "p.parquet").row_group(0).column(0)
    size = chunk.total_compressed_size // 10
    place = chunk.data_page_offset + page * size + at
    damaged(folder / "p.parquet", place, data[: max(1, chunk.data_page_offset + chunk.total_compressed_size - place)])
    problems = set()
    try:
        evaluate(str(folder / "p.parquet"), id_col=["id"])
    except CeError as error:
        problems = {problem.code for problem in error.problems}
    assert problems <= {"unreadable_file"}


def test_nested_columns_and_names_that_look_so_are_decoded(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"a.b": ["flat"], "a": [{"b": "nested"}], "c": [[1]]}), path)
    data = open_data(str(path))
    assert data.stored(("a.b",)) is not None
    assert data.stored(("a.b",)).cells([0]) == {0: ("flat",)}
    assert data.stored(("c",)) is data.stored(("a",)) is None


def test_many_rows_take_no_more_memory_than_few(tmp_path):
    path = tmp_path / "p.parquet"
    n = 400_000
    pq.write_table(pa.table({"id": [f"{i:064d}" for i in range(n)]}), path, use_dictionary=False, compression="none")
    stored = open_data(str(path)).stored(("id",))
    assert stored is not None
    rows = list(range(0, n, 400))
    tracemalloc.start()
    try:
        cells = stored.cells(rows)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cells == {row: (f"{row:064d}",) for row in rows}
    assert most < 5 << 20  # of 27 MB
