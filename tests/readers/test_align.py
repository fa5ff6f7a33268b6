from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.columns import Kind, Layout, Scores
from ce_cli.errors import CeError
from ce_cli.readers.align import AlignmentCounts, OutOfOrderError, same, side_by_side, single_file, wanted_columns
from ce_cli.workers import Workers
from tests.readers import Chunked, cuts_of, layout_of


def rows_of(pairs):
    """Return (row, label row, score, label) of every row of every pair."""
    result = []
    for pair in pairs:
        assert len(pair.rows) == len(pair.label_rows) == pair.predictions.num_rows == pair.labels.num_rows
        scores, labels = pair.predictions.column("prob").to_pylist(), pair.labels.column("label").to_pylist()
        result += zip(pair.rows.tolist(), pair.label_rows.tolist(), scores, labels, strict=True)
    return result


def align(mine, other, layout, chunk_rows=1 << 16, counts=None):
    with Workers(1) as workers:
        counts = counts if counts is not None else AlignmentCounts()
        rows = rows_of(side_by_side(mine, other, layout, workers, chunk_rows, counts))
    if counts.problems:
        raise CeError(*counts.problems)
    return rows


@given(st.integers(1, 40), cuts_of(40), cuts_of(40), st.integers(1, 50), st.sampled_from(["id", "position"]))
def test_any_chunking_of_either_side(n, mine, other, chunk_rows, alignment):
    predictions = Chunked("p", {"id": list(range(n)), "prob": [at / 64 for at in range(n)]}, mine)
    labels = Chunked("y", {"id": list(range(n)), "label": [str(at) for at in range(n)]}, other)
    counts = AlignmentCounts()
    got = align(predictions, labels, layout_of(("id",), alignment=alignment), chunk_rows, counts)
    assert got == [(at, at, at / 64, str(at)) for at in range(n)]
    assert counts.differing_ids.count == 0
    assert (counts.predictions, counts.labels) == (n, n)


@given(st.integers(1, 40), cuts_of(40), st.integers(1, 50))
def test_one_file(n, cuts, chunk_rows):
    data = Chunked("p", {"prob": [at / 64 for at in range(n)], "label": [str(at) for at in range(n)]}, cuts)
    layout = Layout(Scores(("prob",), (), None), ("label",), "predictions", None, None, (), "file")
    counts = AlignmentCounts()
    with Workers(1) as workers:
        pairs = list(single_file(data, layout, workers, chunk_rows, counts))
    assert all(len(pair.rows) <= chunk_rows for pair in pairs)
    assert rows_of(pairs) == [(at, at, at / 64, str(at)) for at in range(n)]
    assert counts.predictions == counts.labels == n


@given(st.integers(1, 30), st.integers(0, 29), cuts_of(30), cuts_of(30), st.integers(1, 9))
def test_one_id_that_differs_asks_for_a_join(n, at, mine, other, chunk_rows):
    ids = list(range(n))
    changed = [*ids]
    changed[at % n] = 99
    predictions = Chunked("p", {"id": ids, "prob": [0.5] * n}, mine)
    labels = Chunked("y", {"id": changed, "label": ["0"] * n}, other)
    with pytest.raises(OutOfOrderError):
        align(predictions, labels, layout_of(("id",)), chunk_rows)
    counts = AlignmentCounts()
    got = align(predictions, labels, layout_of(("id",), alignment="position"), chunk_rows, counts)
    assert len(got) == n
    assert (counts.differing_ids.count, counts.differing_ids.first) == (1, (at % n + 1,))


def test_every_row_that_differs_is_counted_once():
    predictions = Chunked("p", {"a": [1, 2, 3, 4, 5], "b": ["u", "v", "w", "x", "y"], "prob": [0.5] * 5}, [2])
    labels = Chunked("y", {"a": [1, 9, 3, 4, 5], "b": ["u", "V", "w", "x", "Y"], "label": ["0"] * 5}, [3])
    counts = AlignmentCounts()
    align(predictions, labels, layout_of(("a", "b"), alignment="position"), 5, counts)
    assert (counts.differing_ids.count, counts.differing_ids.first) == (2, (2, 5))


@pytest.mark.parametrize(("mine", "other"), [(3, 5), (5, 3), (1, 2), (2, 1)])
def test_unequal_lengths(mine, other):
    predictions = Chunked("p", {"id": list(range(mine)), "prob": [0.5] * mine}, [1])
    labels = Chunked("y", {"id": list(range(other)), "label": ["0"] * other}, [2])
    with pytest.raises(OutOfOrderError):
        align(predictions, labels, layout_of(("id",)))
    with pytest.raises(CeError) as caught:
        align(predictions, labels, layout_of((), alignment="position"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.count) == ("length_mismatch", abs(mine - other))
    assert f"{mine} predictions" in problem.message
    assert f"{other} labels" in problem.message


@pytest.mark.parametrize("alignment", ["id", "position"])
@pytest.mark.parametrize(("mine", "other", "empty"), [(0, 2, ["p"]), (2, 0, ["y"]), (0, 0, ["p", "y"])])
def test_a_side_without_rows_is_told_before_anything_else(mine, other, empty, alignment):
    predictions = Chunked("p", {"id": list(range(mine)), "prob": [0.5] * mine}, [0, 1])
    labels = Chunked("y", {"id": list(range(other)), "label": ["0"] * other}, [0])
    with pytest.raises(CeError) as caught:
        align(predictions, labels, layout_of(("id",), alignment=alignment))
    assert [(problem.code, problem.file) for problem in caught.value.problems] == [
        ("no_samples", path) for path in empty
    ]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (pa.array([1, 2]), pa.array([1, 2], pa.int32()), True),
        (pa.array([1, 2]), pa.array(["1", "2"]), True),
        (pa.array([1, 2]), pa.array(["01", "2"]), False),
        (pa.array(["a", "b"]), pa.array(["a", "b"]).dictionary_encode(), True),
        (pa.array(["a", "b"]), pa.array(["a", "b"], pa.large_string()), True),
        (pa.array(["a", "b"]), pa.array(["a", "c"], pa.large_string()), False),
        (pa.array([1, None]), pa.array([1, None], pa.int32()), True),
        (pa.array([1, None]), pa.array([1, 0], pa.int32()), False),
        (pa.array([1, 2], pa.uint64()), pa.array([1, 2]), True),
        (pa.array([2**63 + 1], pa.uint64()), pa.array([2**63], pa.uint64()), False),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([-1]), False),
        (pa.array([1.0, 2.0]), pa.array([1, 2]), True),
        (pa.array([1.5]), pa.array(["1.5"]), True),
    ],
)
def test_ids_of_two_types(one, other, equal):
    assert same(one, other) is equal
    assert same(other, one) is equal
    assert same(one.slice(1), other.slice(1)) is (equal or same(one[1:], other[1:]))


def test_the_columns_that_are_read():
    layout = Layout(
        Scores(("p_a", "p_b"), ("a", "b"), "probs"), ("y",), "labels", "w", "labels", ("ID",), "id", ("id",)
    )
    assert wanted_columns(layout) == (
        {"ID": Kind.TEXT, "p_a": Kind.NUMBER, "p_b": Kind.NUMBER},
        {"id": Kind.TEXT, "y": Kind.CATEGORY, "w": Kind.NUMBER},
    )
    assert np.all([kind is not None for kind in wanted_columns(layout)[0].values()])
