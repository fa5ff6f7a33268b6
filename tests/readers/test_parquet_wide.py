"""Parquet with wide rows: the same cells however they are held, in batches of bounded size."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ce_cli.columns import Kind
from ce_cli.readers import build, parquet_wide
from ce_cli.readers.files import open_data
from ce_cli.tasks.planning import describe
from ce_cli.workers import Workers

ROWS = 23


@pytest.fixture
def table():
    """Return numbers, words and empty cells in many columns."""
    rng = np.random.default_rng(5)
    columns = {f"p_{at}": pa.array(rng.random(ROWS), mask=rng.random(ROWS) < 0.1) for at in range(40)}
    words = pa.array([None if row % 5 == 0 else f"w{row % 3}" for row in range(ROWS)])
    return pa.table({"id": [f"i{row}" for row in range(ROWS)], **columns, "word": words})


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("slab_bytes", [1, 50_000])
def test_row_groups_that_are_turned_have_the_same_cells(table, tmp_path, monkeypatch, jobs, slab_bytes):
    pq.write_table(table, tmp_path / "wide.parquet", row_group_size=10)
    monkeypatch.setattr(parquet_wide, "_HELD_BYTES", 0)
    monkeypatch.setattr(parquet_wide, "_SLAB_BYTES", slab_bytes)
    data = open_data(str(tmp_path / "wide.parquet"))
    wanted = {"word": Kind.CATEGORY, "p_7": Kind.NUMBER, "id": Kind.TEXT, **{f"p_{at}": Kind.NUMBER for at in range(5)}}
    with Workers(jobs) as workers:
        batches = list(data.batches(wanted, workers))
    found = pa.Table.from_batches(
        [batch.cast(pa.schema([(n, table.schema.field(n).type) for n in wanted])) for batch in batches]
    )
    assert found.to_pydict() == table.select(list(wanted)).to_pydict()
    assert data.sample().to_pydict() == table.to_pydict()


def test_few_columns_are_read_at_once(table, tmp_path):
    pq.write_table(table, tmp_path / "narrow.parquet")
    assert parquet_wide.slabs_of(pq.read_metadata(tmp_path / "narrow.parquet"), range(42)) is None


def test_slabs_hold_every_column_once(table, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_wide, "_HELD_BYTES", 0)
    pq.write_table(table, tmp_path / "wide.parquet")
    slabs = parquet_wide.slabs_of(pq.read_metadata(tmp_path / "wide.parquet"), range(42))
    assert [leaf for slab in slabs for leaf in slab] == list(range(42))


@pytest.mark.parametrize("groups", [1, 40])
def test_batches_are_bounded_by_the_widest_row_group(tmp_path, groups, monkeypatch):
    monkeypatch.setattr(parquet_wide, "_EXACT_CHUNKS", 20)
    schema = pa.schema([("label", pa.int64()), ("logprobs", pa.list_(pa.float32()))])
    with pq.ParquetWriter(tmp_path / "lists.parquet", schema, use_dictionary=False) as writer:
        for size in [2] * groups + [20_000]:
            lists = pa.array([np.random.default_rng(0).random(size, dtype=np.float32)] * 300, schema.field(1).type)
            writer.write_table(pa.table([pa.array(range(300)), lists], schema=schema))
    with Workers(1) as workers:
        sizes = [
            batch.nbytes
            for batch in open_data(str(tmp_path / "lists.parquet")).batches({"logprobs": Kind.NUMBER}, workers)
        ]
    assert max(sizes) <= 8 << 20


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list, lambda type_: pa.list_(type_, 3)])
@pytest.mark.parametrize("dtype", [pa.float16(), pa.float32(), pa.float64()])
def test_the_sample_has_the_first_list_alone(tmp_path, kind, dtype):
    cells = [None, None, *([[np.float16(1.5), np.float16(-2), np.float16(0)]] * 30)]
    table = pa.table({"label": list(range(32)), "logits": pa.array(cells, kind(dtype))})
    pq.write_table(table, tmp_path / "lists.parquet", row_group_size=2)
    info = describe(open_data(str(tmp_path / "lists.parquet")))
    assert info.columns["logits"].size == 3
    assert info.columns["logits"].dtype == {"halffloat": "float16", "float": "float32", "double": "float64"}[str(dtype)]
    assert len(info.columns["label"].cells) == 32


def test_a_list_column_without_a_list_has_no_size(tmp_path):
    pq.write_table(pa.table({"x": pa.array([None, None], pa.list_(pa.float32()))}), tmp_path / "empty.parquet")
    assert describe(open_data(str(tmp_path / "empty.parquet"))).columns["x"].size is None


def test_a_lone_list():
    column = build.lone_list(pa.array([1.0, 2.0]), 1, 3)
    column.validate(full=True)
    assert column.to_pylist() == [None, [1.0, 2.0], None]


@pytest.mark.parametrize("words", [3, 400])
def test_words_of_any_number_are_categories(tmp_path, monkeypatch, words):
    table = pa.table({"word": [f"a-long-word-{row % words:05}" for row in range(400)], "p": np.arange(400.0)})
    pq.write_table(
        table, tmp_path / "wide.parquet", dictionary_pagesize_limit=500, data_page_size=100, write_batch_size=9
    )
    monkeypatch.setattr(parquet_wide, "_HELD_BYTES", 0)
    monkeypatch.setattr(parquet_wide, "_SLAB_BYTES", 1)
    monkeypatch.setattr("ce_cli.readers.parquet_format._BATCH_ROWS", 50)
    data = open_data(str(tmp_path / "wide.parquet"))
    with Workers(1) as workers:
        batches = list(data.batches({"word": Kind.CATEGORY, "p": Kind.NUMBER}, workers))
    assert len(batches) == 8
    assert [word for batch in batches for word in batch.column("word").to_pylist()] == table["word"].to_pylist()
