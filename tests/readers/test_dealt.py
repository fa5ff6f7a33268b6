"""Rows that are dealt out in one pass: each reader gets what it would have read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ce_cli.columns import Kind
from ce_cli.readers import dealt
from ce_cli.readers.chosen import ChosenRows, chosen_rows, distinct
from ce_cli.readers.dealt import Dealt
from ce_cli.readers.files import open_data
from ce_cli.workers import Workers
from tests.cli.command import ce

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {"id": Kind.TEXT, "prob": Kind.NUMBER}


def long(order: str, n: int = 4000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    whole = pd.concat(
        [pd.DataFrame({"id": np.arange(n), "model": name, "prob": rng.uniform(size=n)}) for name in ("a", "b", "c")]
    )
    if order == "alternate":
        return whole.sort_values(["id", "model"], kind="stable")
    return whole if order == "blocks" else whole.sample(frac=1, random_state=2)


def table(batches: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches)


@pytest.mark.parametrize("most", [1 << 26, 1 << 12, 0])
@pytest.mark.parametrize("order", ["alternate", "blocks", "mixed"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_reader_gets_its_rows(
    suffix: str, order: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealt, "_MOST_WAITING", most)
    path = tmp_path / f"long.{suffix}"
    frame = long(order)
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False, row_group_size=500)
    data = open_data(str(path))
    rows = chosen_rows(data, "model", distinct(data, "model"))
    whole = Dealt(data, "model")
    readers = {name: whole.reader(one, COLUMNS) for name, one in rows.items()}
    with Workers(1) as workers:
        streams = {name: reader.batches(COLUMNS, workers) for name, reader in readers.items()}
        found: dict[str, list[pa.RecordBatch]] = {name: [] for name in streams}
        left = dict(streams)
        while left:  # in turn, as a comparison asks them
            for name, stream in list(left.items()):
                batch = next(stream, None)
                if batch is None:
                    del left[name]
                else:
                    found[name].append(batch)
        for name, one in rows.items():
            assert table(found[name]).equals(table(list(one.batches(COLUMNS, workers))))
            assert len(table(found[name])) == 4000


def test_who_wants_a_column_in_another_way_reads_by_himself(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    long("blocks", 10).to_csv(path, index=False)
    data = open_data(str(path))
    rows = chosen_rows(data, "model", ["a", "b"])
    whole = Dealt(data, "model")
    assert not isinstance(whole.reader(rows["a"], COLUMNS), ChosenRows)
    assert isinstance(whole.reader(rows["b"], {"id": Kind.NUMBER}), ChosenRows)
    assert rows["a"].sample().num_rows == rows["b"].sample().num_rows == 10


@pytest.mark.parametrize("order", ["alternate", "blocks", "mixed"])
def test_the_command_says_the_same_in_any_order(order: str, tmp_path: Path) -> None:
    frames = dict(iter(long("blocks", 300).groupby("model")))
    labels = pd.DataFrame({"id": np.arange(300), "label": np.arange(300) % 2})
    labels.to_csv(tmp_path / "y.csv", index=False)
    long(order, 300).to_csv(tmp_path / "long.csv", index=False)
    for name, rows in frames.items():
        rows.drop(columns="model").to_csv(tmp_path / f"{name}.csv", index=False)
    expected = ce("a.csv", "b.csv", "c.csv", "-l", "y.csv", "--json", cwd=tmp_path, expect=0).json
    options = ("--model-col", "model", "--reference", "a", "-l", "y.csv", "--json", "--chunk-rows", "50")
    found = ce("long.csv", *options, cwd=tmp_path, expect=0).json
    by_name = {one["model"]: one for one in found["comparison"]}
    assert [by_name[name] for name in "bc"] == expected["comparison"]


def test_a_row_with_too_few_cells_is_told(tmp_path: Path) -> None:
    text = "id,model,prob,label\n1,a,0.5,1\n1,b,0.5,1\n2,a,0.5,0\n2,b\n"
    (tmp_path / "long.csv").write_text(text)
    done = ce("long.csv", "--model-col", "model", cwd=tmp_path, expect=2)
    assert "malformed_row" in done.codes
