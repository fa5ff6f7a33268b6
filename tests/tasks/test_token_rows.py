from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.block import Pair
from ce_cli.columns import Kind, Layout, Role, Scores
from ce_cli.tasks.token_rows import Sequences, sequences_of

_LAYOUT = Layout(
    Scores(("logprob",), (), "logprobs"),
    (),
    "predictions",
    None,
    None,
    (),
    "file",
    roles={"sequence": Role("seq_id", "predictions", Kind.TEXT)},
)


def found(ids: pa.Array) -> Sequences:
    rows = np.arange(len(ids))
    batch = pa.RecordBatch.from_arrays([ids], names=["seq_id"])
    return sequences_of(_LAYOUT, Pair(rows, rows, batch, batch))


def key(name: Any, kind: pa.DataType | None = None) -> int:
    keys = found(pa.array([name], kind)).keys()
    assert keys is not None
    return int(keys[0])


texts = st.one_of(
    st.text(max_size=20), st.sampled_from(["", "0", "7", "-7", "07", "7.0", "+7", "x"]), st.integers().map(str)
)


@given(st.lists(texts, min_size=1, max_size=30))
def test_runs_and_keys_of_texts(ids: list[str]) -> None:
    sequences = found(pa.array(ids, pa.string()))
    starts = [0, *(at + 1 for at, (one, two) in enumerate(pairwise(ids)) if one != two)]
    keys = sequences.keys()
    assert keys is not None
    assert sequences.starts.tolist() == starts
    assert sequences.names() == [ids[at] for at in starts]
    assert sequences.run().tolist() == [sum(start <= at for start in starts) - 1 for at in range(len(ids))]
    # One key for one text, whatever stands beside it, and another one for every other.
    assert keys.tolist() == [key(ids[at]) for at in starts]
    assert len(set(keys.tolist())) == len({ids[at] for at in starts})


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
def test_whole_numbers_are_keys_themselves(ids: list[int]) -> None:
    sequences, same = found(pa.array(ids, pa.int64())), found(pa.array([str(one) for one in ids]))
    assert sequences.keys().tolist() == same.keys().tolist() == [ids[at] for at in sequences.starts]  # type: ignore[union-attr]
    assert sequences.names() == same.names()
    assert sequences.starts.tolist() == same.starts.tolist()


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_numbers_beyond_int64_go_by_their_text(number: int) -> None:
    assert key(number, pa.uint64()) == key(str(number)) != key(number - 2**64, pa.int64())
    sequences = found(pa.array([1, 1, number, number], pa.uint64()))
    assert sequences.keys().tolist() == [1, key(str(number))]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.uint64()])
def test_numbers_of_every_width(kind: pa.DataType) -> None:
    sequences = found(pa.array([3, 3, 100, 3], kind))
    assert sequences.keys().tolist() == [3, 100, 3]  # type: ignore[union-attr]
    assert found(pa.array([3, 3, 100, 3]).slice(1)).keys().tolist() == [3, 100, 3]  # type: ignore[union-attr]


def test_an_empty_id_is_one_of_its_own() -> None:
    sequences = found(pa.array([5, None, None, 5], pa.int64()))
    assert sequences.names() == ["5", "", "5"]
    assert sequences.keys().tolist() == [5, key(""), 5]  # type: ignore[union-attr]


def test_many_alike_texts_have_different_keys() -> None:
    names = [f"{kind}-{number:0{width}}" for kind in ("doc", "d") for width in (1, 9) for number in range(1 << 14)]
    keys = found(pa.array(names)).keys()
    assert len(np.unique(keys)) == len(set(names))  # type: ignore[arg-type]
    bits = np.unpackbits(keys.view(np.uint8)).reshape(-1, 64).mean(axis=0)  # type: ignore[union-attr]
    assert np.abs(bits - 0.5).max() < 0.02
