"""The rows that moved most, against a sort of all rows, whatever the cuts and the order."""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.moved_rows import MovedRows

if TYPE_CHECKING:
    from ce_cli.arrays import Ints

LOSSES = st.sampled_from([0.0, 0.5, 1.0, 2.5, math.inf, math.nan])


def added(rows: list[tuple[float, float]], start: int, stop: int, top: int) -> MovedRows:
    losses = np.array(rows, dtype=np.float64).reshape(-1, 2)[start:stop]
    numbers = np.arange(start, start + len(losses))

    def describe(chosen: Ints) -> list[tuple[object, ...]]:
        return [(f"row {numbers[at]}",) for at in chosen.tolist()]

    moved = MovedRows(top)
    moved.add(losses[:, 0], losses[:, 1], ~np.isnan(losses).any(axis=1), numbers, describe)
    return moved


@given(rows=st.lists(st.tuples(LOSSES, LOSSES), max_size=40), cut=st.integers(0, 40), top=st.integers(0, 6))
def test_against_a_sort_of_all_rows(rows: list[tuple[float, float]], cut: int, top: int) -> None:
    moved = pickle.loads(pickle.dumps(added(rows, cut, len(rows), top)))
    moved.merge(added(rows, 0, cut, top))
    for found, sign in ((moved.worse, 1), (moved.better, -1)):
        steps = [(sign * (candidate - reference), at) for at, (reference, candidate) in enumerate(rows)]
        expected = sorted((-step, at) for step, at in steps if step > 0)[:top]
        assert [(negative, at) for negative, at, _ in found.rows] == expected
        assert [told for *_, told in found.rows] == [(*rows[at], f"row {at}") for _, at in expected]
