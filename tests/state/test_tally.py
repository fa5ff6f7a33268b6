from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.errors import FIRST_ROWS
from ce_cli.state.tally import Tally

some_rows = st.lists(st.integers(0, 10**12), unique=True, max_size=40)


@given(some_rows, st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_lowest_rows_are_kept_in_any_order_of_arrival(rows, size, random):
    tally = Tally()
    shuffled = list(rows)
    random.shuffle(shuffled)
    for start in range(0, len(shuffled), size):
        tally.add(np.array(sorted(shuffled[start : start + size]), dtype=np.int64))
    assert tally.count == len(rows)
    assert tally.first == tuple(row + 1 for row in sorted(rows)[:FIRST_ROWS])


def test_rows_are_numbered_from_one():
    tally = Tally()
    tally.add(np.array([0, 4], dtype=np.int64))
    assert tally == Tally(2, (1, 5))
    assert all(type(row) is int for row in tally.first)


def test_one_row_may_count_for_several():
    tally = Tally()
    tally.add(np.array([4, 7]), 5)
    tally.merge(Tally(2, (1, 2)))
    assert tally == Tally(7, (1, 2, 5, 8))
