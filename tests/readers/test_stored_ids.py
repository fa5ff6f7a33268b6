"""Ids that are verified by what two Parquet files store, without decoding them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli import evaluate
from ce_cli.columns import Kind, Layout, Role, Scores
from ce_cli.errors import CeError
from ce_cli.readers.align import stored_ids
from ce_cli.readers.files import open_data

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT = Layout(Scores(("prob",), (), None), ("label",), "labels", None, None, ("id",), "id", ("id",))


def written(path, ids, column, values, **options):
    pq.write_table(pa.table({"id": ids, column: values}), path, **options)
    return str(path)


def both(folder, ids, other=None, mine_options=None, other_options=None):
    """Write predictions and labels with these ids; return their paths."""
    n = len(ids)
    probs = (np.arange(n) * 37 % 101 + 1) / 103
    labels = np.arange(n) % 2
    predictions = written(folder / "p.parquet", ids, "prob", probs, **(mine_options or {}))
    return predictions, written(
        folder / "y.parquet", ids if other is None else other, "label", labels, **(other_options or {})
    )


def found(predictions, labels):
    return stored_ids(open_data(predictions), open_data(labels), LAYOUT)


@given(
    n=st.integers(1, 300),
    group=st.integers(1, 300),
    rows=st.lists(st.integers(0, 10**6), max_size=8),
    text=st.booleans(),
)
def test_cells_of_any_rows(tmp_path_factory, n, group, rows, text):
    folder = tmp_path_factory.mktemp("stored")
    ids = pa.array([f"k{i * 7}" for i in range(n)]) if text else pa.array([i * 7 for i in range(n)])
    options = {"row_group_size": group}
    ids_found = found(*both(folder, ids, mine_options=options, other_options=options))
    assert ids_found is not None
    wanted = {row % n for row in rows}
    cells = ids_found.cells(sorted(wanted))
    assert cells == {row: ((f"k{row * 7}" if text else str(row * 7)),) for row in wanted}


def test_worst_rows_have_their_ids(tmp_path: Path) -> None:
    ids = pa.array([f"k{i}" for i in range(1000)])
    grouped = {"row_group_size": 90}
    report = evaluate(*both(tmp_path, ids, mine_options=grouped, other_options=grouped))
    decoded = evaluate(*both(tmp_path, ids, mine_options=grouped, other_options={"row_group_size": 70}))
    assert [row.id for row in report.worst] == [f"k{row.row - 1}" for row in report.worst]
    assert report.worst == decoded.worst
    assert report.metrics == decoded.metrics


def test_parts_of_a_data_set(tmp_path: Path) -> None:
    for name, column in (("p", "prob"), ("y", "label")):
        folder = tmp_path / name
        folder.mkdir()
        for part in range(3):
            ids = [f"{part}-{i}" for i in range(50)]
            values = [0.01 + i % 7 / 10 for i in range(50)] if name == "p" else [i % 2 for i in range(50)]
            written(folder / f"part-{part}.parquet", ids, column, values)
    predictions, labels = str(tmp_path / "p"), str(tmp_path / "y")
    stored = found(predictions, labels)
    assert stored is not None
    assert stored.rows == 150
    report = evaluate(predictions, labels)
    assert [row.id for row in report.worst] == [f"{(row.row - 1) // 50}-{(row.row - 1) % 50}" for row in report.worst]


def test_one_file_does_not_decode_its_ids_either(tmp_path: Path) -> None:
    n = 400
    columns = {"id": [f"r{i}" for i in range(n)], "prob": [(i + 1) / (n + 1) for i in range(n)], "label": [0] * n}
    pq.write_table(pa.table(columns), tmp_path / "both.parquet", row_group_size=64)
    report = evaluate(str(tmp_path / "both.parquet"))
    assert [row.id for row in report.worst] == [f"r{i}" for i in range(n - 1, n - 1 - len(report.worst), -1)]


DAY = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("mine", "other", "options"),
    [
        pytest.param(pa.array([1, 2, 3]), pa.array([1, 2, 4]), {}, id="another id"),
        pytest.param(pa.array([1, 2, 3]), pa.array([1, 2, 3]), {"compression": "zstd"}, id="another codec"),
        pytest.param(pa.array([1, 2, 3]), pa.array([1, 2, 3]), {"use_dictionary": False}, id="another encoding"),
        pytest.param(pa.array([1, 2, 3]), pa.array([1, 2, 3]), {"row_group_size": 2}, id="other row groups"),
        pytest.param(
            pa.array([1, 2, 3]), pa.array([1, 2, 3], pa.timestamp("us")), {}, id="the same bits of another type"
        ),
        pytest.param(pa.array([1, 2, 3]), pa.array([1, 2]), {}, id="fewer rows"),
        pytest.param(pa.array([1, 2, 3]), pa.array(["1", "2", "3"]), {}, id="text"),
        pytest.param(pa.array([1, None, 3]), pa.array([1, None, 3]), {}, id="an empty id"),
        pytest.param(pa.array([1, 2, 3]), pa.array([1, 2, 3]), {"write_statistics": False}, id="no statistics"),
        pytest.param(pa.array([[1], [2], [3]]), pa.array([[1], [2], [3]]), {}, id="nested"),
    ],
)
def test_what_is_not_the_same_must_be_decoded(
    tmp_path: Path, mine: pa.Array, other: pa.Array, options: dict[str, object]
) -> None:
    predictions, labels = both(tmp_path, mine), tmp_path / "y.parquet"
    written(labels, other, "label", [0, 1, 0][: len(other)], **options)
    assert found(predictions[0], str(labels)) is None


def test_an_empty_id_is_still_told(tmp_path: Path) -> None:
    ids = pa.array([1, None, 3])
    with pytest.raises(CeError) as told:
        evaluate(*both(tmp_path, ids))
    assert told.value.code == "missing_id"


def test_a_difference_in_the_last_row_group_is_found(tmp_path: Path) -> None:
    n, grouped = 1000, {"row_group_size": 100}
    ids = [f"k{i}" for i in range(n)]
    other = [*ids[:-1], "z"]
    predictions, labels = both(tmp_path, pa.array(ids), pa.array(other), grouped, grouped)
    assert found(predictions, labels) is None
    with pytest.raises(CeError) as told:
        evaluate(predictions, labels)
    assert {problem.code for problem in told.value.problems} == {"missing_id"}


def test_ids_that_are_read_for_another_reason_are_not_looked_up_again(tmp_path):
    path = written(tmp_path / "p.parquet", [1, 1, 2], "logprob", [-1.0, -2.0, -3.0])
    roles = {"sequence": Role("id", "predictions", Kind.TEXT)}
    alone = Layout(Scores(("logprob",), (), None), (), "predictions", None, None, ("id",), "file", roles=roles)
    assert stored_ids(open_data(path), None, alone) is None
    assert stored_ids(open_data(path), None, alone._replace(roles={})) is not None
