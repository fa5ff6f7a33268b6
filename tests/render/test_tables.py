"""Tables read back as they were written, however the rows came."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ce_cli.render import tables
from ce_cli.render.tables import csv_text, named, open_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WHOLE = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]


def batch(columns: dict[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def write(path: Path, batches: Iterable[pa.RecordBatch]) -> pq.ParquetFile:
    batches = list(batches)
    with path.open("wb") as raw:
        writer = open_table(raw, batches[0].schema, parquet=True)
        for one in batches:
            writer.write(one)
        writer.close()
        assert not raw.closed
    return pq.ParquetFile(path)


def test_every_type_comes_back(tmp_path: Path) -> None:
    columns = {}
    for type_ in WHOLE:
        limits = np.iinfo(type_.to_pandas_dtype())
        columns[str(type_)] = pa.array([limits.min, None, limits.max, 3], type_)
    columns["double"] = pa.array([0.1, None, -np.inf, 5e-324])
    columns["half"] = pa.array([1.5, None, 2.0, 3.0], pa.float16())
    columns["large text"] = pa.array(["a", None, "b", "c"], pa.large_string())
    columns["time"] = pa.array([1, 2, None, 3], pa.timestamp("ns", tz="Europe/Zurich"))
    columns["duration"] = pa.array([1, 2, None, 3], pa.duration("ms"))
    columns["bytes"] = pa.array([b"a", None, b"", b"c"])
    columns["flags"] = pa.array([True, None, False, True])
    columns["lists"] = pa.array([[1, 2], None, [], [3]])
    rows = batch(columns)
    file = write(tmp_path / "t.parquet", [rows, rows])
    assert file.schema_arrow.equals(rows.schema)
    assert file.read().equals(pa.Table.from_batches([rows, rows]))


def test_a_dictionary_comes_back_as_text(tmp_path: Path) -> None:
    codes = pa.array([1, None, 0, 1], pa.int32())
    for count, kind in ((2, pa.dictionary(pa.int32(), pa.string())), (20_000, pa.string())):
        names = pa.array([f"class {number}" for number in range(count)])
        column = named(codes, names)
        assert column.type == kind
        read = write(tmp_path / "t.parquet", [batch({"c": column})] * 2).read()
        assert read.schema.field("c").type == pa.string()
        assert read["c"].to_pylist() == ["class 1", None, "class 0", "class 1"] * 2


@pytest.mark.parametrize("size", [1, 7, 1000, 2500])
def test_row_groups_do_not_depend_on_the_batches(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_GROUP_ROWS", 1000)
    rng = np.random.default_rng(1)
    prob = rng.random(2500)
    names = pa.array(["no", "yes"])
    whole = batch(
        {
            "row": pa.array(np.arange(2500)),
            "predicted": named(pa.array((prob > 0.5).astype(np.int32)), names),
            "prob": pa.array(prob),
        }
    )
    file = write(tmp_path / "t.parquet", [whole.slice(start, size) for start in range(0, 2500, size)])
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert sizes == [1000, 1000, 500]
    read = file.read()
    assert read["row"].to_pylist() == list(range(2500))
    assert np.array_equal(read["prob"].to_numpy(), prob)
    assert read["predicted"].to_pylist() == ["yes" if value > 0.5 else "no" for value in prob.tolist()]


def test_long_cells_are_not_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_GROUP_BYTES", 1 << 16)
    cells = [f"{number:08d}" * 500 for number in range(100)]
    batches = [batch({"id": pa.array(cells[start : start + 10])}) for start in range(0, 100, 10)]
    file = write(tmp_path / "t.parquet", batches)
    assert file.read()["id"].to_pylist() == cells
    assert 2 < file.num_row_groups < 10


def test_what_hardly_repeats_is_written_as_it_is(tmp_path: Path) -> None:
    n = 100_000
    rng = np.random.default_rng(1)
    rows = batch(
        {
            "row": pa.array(np.arange(n)),
            "loss": pa.array(rng.random(n)),
            "weight": pa.array(np.ones(n)),
            "few": pa.array(rng.integers(0, 4, n) / 4),
        }
    )
    file = write(tmp_path / "t.parquet", [rows])
    sizes = [file.metadata.row_group(0).column(at).total_compressed_size for at in range(4)]
    assert sizes[0] < n // 10
    assert 8 * n < sizes[1] < 8.5 * n
    assert sizes[2] < n // 100
    assert sizes[3] < n // 3
    assert file.read().equals(pa.Table.from_batches([rows]))


def test_lines_are_those_of_one_file() -> None:
    rng = np.random.default_rng(3)
    loss = np.concatenate([rng.random(20_000), [np.inf, 5e-324, 1e300, 0.1, -0.0, 1e10]])
    text = pa.array([f'a "{number}", b' for number in range(len(loss))])
    rows = batch({"id": text, "loss": pa.array(loss), "empty": pa.nulls(len(loss), pa.float64())})
    raw, expected = io.BytesIO(), io.BytesIO()
    writer = open_table(raw, rows.schema, parquet=False)
    writer.write(csv_text(rows.slice(0, 9000)))
    writer.write(rows.slice(9000))
    writer.close()
    pa_csv.write_csv(rows, expected, pa_csv.WriteOptions(quoting_style="needed"))
    assert raw.getvalue() == expected.getvalue()
    header, *cells = csv.reader(io.StringIO(raw.getvalue().decode()))
    assert header == ["id", "loss", "empty"]
    assert [float(cell[1]) for cell in cells] == loss.tolist()
    assert [cell[0] for cell in cells] == text.to_pylist()
