"""Single pages of a Parquet column."""

from __future__ import annotations

import datetime as dt
import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_only_the_pages_of_the_rows_are_read(tmp_path):
    path = tmp_path / "p.parquet"
    chunk = column_of(path, use_dictionary=False)
    source, values = pages_with(path, chunk, [5, 7, 993])
    assert values == [5, 7, 13]  # of the first and the last page
    source.seek(chunk.data_page_offset)
    content = source.read()
    assert 2 * 80 < len(content) < 2 * 80 + 200
    assert path.read_bytes()[chunk.data_page_offset :].startswith(content[: len(content) // 2])


def test_the_dictionary_comes_with_pages_that_need_it(tmp_path):
    path = tmp_path / "p.parquet"
    chunk = column_of(path)
    source, _ = pages_with(path, chunk, [500])
    source.seek(chunk.dictionary_page_offset)
    assert len(source.read()) > 8 * 1000


def test_a_file_of_few_pages_has_the_size_of_the_whole():
    file = FewPages(100, 10, b"abcdef")
    assert file.seek(0, os.SEEK_END) == file.tell() == 100
    assert (file.seek(12), file.read(2), file.read(), file.read(), file.tell()) == (12, b"cd", b"ef", b"", 16)
    assert (file.seek(-6, os.SEEK_CUR), file.read(1)) == (10, b"a")
    assert (file.seek(9), file.read(3)) == (9, b"")


def changed(path, chunk, at, byte):
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + at] = byte
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("at", "byte", "reason"),
    [
        pytest.param(0, 0x1A, "of type 10", id="a type that is not known"),
        pytest.param(0, 0x00, "no size", id="no fields"),
        pytest.param(5, 0xFF, "of type|no size|cut short|expected pages", id="another size"),
    ],
)
def test_headers_that_are_not_known(tmp_path, at, byte, reason):
    path = tmp_path / "p.parquet"
    chunk = column_of(path, use_dictionary=False)
    changed(path, chunk, at, byte)
    with pytest.raises(UnknownPagesError, match=reason):
        pages_with(path, chunk, [0])


def test_a_file_cut_short(tmp_path):
    path = tmp_path / "p.parquet"
    chunk = column_of(path, use_dictionary=False)
    path.write_bytes(path.read_bytes()[: chunk.data_page_offset + 3])
    with pytest.raises(UnknownPagesError, match="cut short"):
        pages_with(path, chunk, [0])


def test_pages_that_are_not_known_are_read_from_the_first_on(tmp_path, monkeypatch):
    from ce_cli.readers import parquet_chunks

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


def test_it_is_a_file_to_python_as_well():
    assert isinstance(FewPages(1, 0, b""), io.IOBase)
