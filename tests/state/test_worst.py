from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.worst import WorstRows

some_losses = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, math.inf, 1e308, 5e-324]), max_size=60)


def add(state: WorstRows, loss, row):
    row = np.array(row, dtype=np.int64)
    state.add(np.array(loss, dtype=np.float64), row, lambda chosen: [(f"row {row[at]}",) for at in chosen])


def sorted_rows(losses, top):
    """Sort everything: the largest losses first, and the lowest rows among equals."""
    order = sorted(range(len(losses)), key=lambda row: (-losses[row], row))[:top]
    return [(losses[row], row, (f"row {row}",)) for row in order]


def shown(state: WorstRows):
    return [(-negative, row, words) for negative, row, words in state.rows]


@given(some_losses, st.integers(0, 7), st.integers(1, 9))
def test_against_sorting(losses, top, block):
    state = WorstRows(top)
    for start in range(0, len(losses), block):
        part = losses[start : start + block]
        add(state, part, range(start, start + len(part)))
    assert shown(state) == sorted_rows(losses, top)


@given(some_losses, st.integers(0, 7), st.randoms(use_true_random=False))
def test_rows_may_come_in_any_order(losses, top, random):
    order = list(range(len(losses)))
    random.shuffle(order)
    state = WorstRows(top)
    for start in range(0, len(order), 5):
        part = order[start : start + 5]
        add(state, [losses[row] for row in part], part)
    assert shown(state) == sorted_rows(losses, top)


def test_few_rows_are_described():
    asked = []

    def describe(chosen):
        asked.extend(chosen.tolist())
        return [() for _ in chosen]

    state = WorstRows(2)
    state.add(np.arange(1000.0), np.arange(1000), describe)
    state.add(np.arange(500.0), np.arange(1000, 1500), describe)
    assert asked == [999, 998]


def test_a_tie_with_the_last_one_goes_to_the_lower_row():
    state = WorstRows(1)
    add(state, [2.0], [7])
    add(state, [2.0], [3])
    add(state, [2.0], [5])
    assert shown(state) == [(2.0, 3, ("row 3",))]


@pytest.mark.parametrize("top", [0, 3])
def test_an_empty_block_changes_nothing(top):
    state = WorstRows(top)
    add(state, [], [])
    assert state.rows == []
