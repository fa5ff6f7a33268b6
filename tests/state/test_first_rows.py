from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.first_rows import FirstRows


def table(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"half": rows / 2, "pair": np.stack([rows, -rows], axis=1)}


@given(st.integers(0, 30), st.lists(st.integers(1, 40), min_size=1, max_size=12), st.randoms())
def test_any_split_and_order_keeps_the_same(limit, sizes, random):
    total = sum(sizes)
    bounds = np.cumsum([0, *sizes])
    blocks = [np.arange(start, stop) for start, stop in pairwise(bounds)]
    random.shuffle(blocks)
    states = [FirstRows(limit) for _ in range(3)]
    for block in blocks:
        state = random.choice(states)
        if state.wants(block):
            state.add(block, table(block))
        else:
            assert block[0] >= limit
    whole = FirstRows(limit)
    for state in states:
        whole.merge(pickle.loads(pickle.dumps(state)))
    found = whole.columns()
    expected = np.arange(min(limit, total))
    if len(expected) == 0:
        assert found == {}
        return
    assert found["row"].tolist() == expected.tolist()
    for name, values in table(expected).items():
        assert found[name].tolist() == values.tolist()


def test_many_small_pieces_become_few():
    state = FirstRows(10_000)
    for row in range(3000):
        state.add(np.array([row]), table(np.array([row])))
    assert len([*state.pieces("half")]) < 300
    assert state.columns()["row"].tolist() == list(range(3000))


def test_what_is_kept_is_a_copy():
    rows, values = np.arange(5), np.zeros(5)
    state = FirstRows(3)
    state.add(rows, {"value": values})
    values[:] = 1
    assert state.columns()["value"].tolist() == [0, 0, 0]
    assert state.columns()["value"].base is None
