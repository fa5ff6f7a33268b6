"""Sums by group: exact, whatever the order in which groups are met and however the rows are cut."""

from __future__ import annotations

import pickle
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.groups import Groups, GroupSums, crossed, present

ROWS = st.lists(
    st.tuples(
        st.sampled_from([f"g{number}" for number in range(12)]),
        st.floats(min_value=0, max_value=1e300, allow_subnormal=True),
        st.floats(min_value=1e-300, max_value=1e300),
        st.integers(0, 2),
    ),
    max_size=60,
)


def gather(rows: list[tuple[str, float, float, int]], cuts: list[int]) -> GroupSums:
    """Add rows in pieces, to two states in turn, which are merged after a journey through pickle."""
    states = [GroupSums(("loss", "product"), widths={"by_class": 3}) for _ in range(2)]
    bounds = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    for turn, (start, stop) in enumerate(pairwise(bounds)):
        part, state = rows[start:stop], states[turn % 2]
        names = sorted({name for name, *_ in part}, reverse=bool(turn % 3))
        groups = Groups(np.array([names.index(name) for name, *_ in part]), names)
        loss, weight = np.array([row[1] for row in part]), np.array([row[2] for row in part])
        placed = state.place(groups)
        state.count("n", placed)
        state.add("loss", placed, loss)
        state.add("product", placed, loss, weight)
        state.add("by_class", placed.within(np.array([row[3] for row in part]), 3), weight)
    merged = pickle.loads(pickle.dumps(states[1]))
    merged.merge(states[0])
    return merged  # type: ignore[no-any-return]


def told(state: GroupSums) -> dict[str, tuple[object, ...]]:
    by_class = state.totals("by_class")
    return {
        name: (
            state.counts("n")[at],
            state.totals("loss")[at],
            state.totals("product")[at],
            by_class[3 * at : 3 * at + 3],
        )
        for at, name in enumerate(state.names)
    }


@given(ROWS, st.lists(st.integers(0, 100), max_size=8))
def test_sums_are_exact_however_rows_are_cut(rows: list[tuple[str, float, float, int]], cuts: list[int]) -> None:
    expected: dict[str, tuple[object, ...]] = {}
    for name in {name for name, *_ in rows}:
        own = [(Fraction(loss), Fraction(weight), kind) for group, loss, weight, kind in rows if group == name]
        expected[name] = (
            len(own),
            sum(loss for loss, _, _ in own),
            sum(loss * weight for loss, weight, _ in own),
            [sum((weight for _, weight, kind in own if kind == which), Fraction(0)) for which in range(3)],
        )
    assert told(gather(rows, cuts)) == expected


def test_groups_that_get_one_name_are_added() -> None:
    rows = [("a", 1.0, 2.0, 0), ("b", 2.0, 3.0, 1), ("c", 4.0, 5.0, 2), ("a", 8.0, 1.0, 2)]
    merged = gather(rows, []).renamed(lambda name: "rest" if name > "a" else name)
    assert told(merged) == {
        "a": (2, Fraction(9), Fraction(10), [2, 0, 1]),
        "rest": (2, Fraction(6), Fraction(26), [0, 3, 5]),
    }


def test_a_sum_that_one_state_gave_up_is_gone() -> None:
    one, two = gather([("a", 1.0, 1.0, 0)], []), gather([("b", 1.0, 1.0, 0)], [])
    two.drop("by_class")
    one.merge(two)
    assert not one.has("by_class")
    assert one.totals("loss") == [1, 1]


def test_crossed_groups_are_pairs_that_occur() -> None:
    one = present(np.array([0, 1, 0, 1]), ["x", "y"])
    two = present(np.array([2, 2, 0, 2]), ["p", "unused", "q"])
    both = crossed([one, two])
    assert [both.names[code] for code in both.codes] == [("x", "q"), ("y", "q"), ("x", "p"), ("y", "q")]
    assert len(both.names) == 3


def test_names_that_do_not_occur_make_no_group_and_equal_ones_a_single_one() -> None:
    groups = present(np.array([3, 1, 2]), ["unused", "a", "b", "a"])
    assert [groups.names[code] for code in groups.codes] == ["a", "a", "b"]
    assert sorted(groups.names) == ["a", "b"]
