"""Paired losses against scipy and plain arithmetic, whatever the cuts and the order."""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ce_cli.state.groups import CLUSTER, Groups
from ce_cli.state.paired import UNKNOWN, PairedLosses

if TYPE_CHECKING:
    from random import Random

LOSSES = st.floats(0, 1e3) | st.sampled_from([math.inf, math.nan, 0.0, 1e-300, 1e300])


def test_two_models_against_scipy() -> None:
    rng = np.random.default_rng(1)
    losses = rng.exponential(size=(3, 400))
    state = PairedLosses(3, 0)
    state.add(losses, None, None)
    for at in (1, 2):
        found = state.difference(at)
        expected = stats.ttest_rel(losses[at], losses[0])
        assert found.mean is not None
        assert found.stderr is not None
        assert found.mean / found.stderr == pytest.approx(expected.statistic, rel=1e-13)
        assert found.mean == pytest.approx((losses[at] - losses[0]).mean(), rel=1e-12)
        assert (found.wins, found.losses) == ((losses[at] < losses[0]).sum(), (losses[at] > losses[0]).sum())
        assert (found.n, found.ties, found.infinite) == (400, 0, 0)


def test_weights_and_classes_add_up() -> None:
    rng = np.random.default_rng(2)
    losses, weight, label = rng.exponential(size=(2, 300)), rng.exponential(size=300), rng.integers(0, 4, 300)
    state = PairedLosses(2, 5)
    state.add(losses, weight, label)
    found = state.difference(1)
    difference = losses[1] - losses[0]
    mean = (weight * difference).sum() / weight.sum()
    error = math.sqrt(300 / 299 * (weight**2 * (difference - mean) ** 2).sum()) / weight.sum()
    assert found.mean == pytest.approx(mean, rel=1e-12)
    assert found.stderr == pytest.approx(error, rel=1e-12)
    parts = state.by_class(1)
    assert [part.n for part in parts] == [*np.bincount(label).tolist(), 0]
    assert math.fsum(part.contribution or 0.0 for part in parts) == pytest.approx(mean, rel=1e-12)
    for at, part in enumerate(parts[:4]):
        mine = label == at
        assert part.mean == pytest.approx((weight * difference)[mine].sum() / weight[mine].sum(), rel=1e-11)


def test_only_common_rows_count() -> None:
    losses = np.array([[1.0, math.nan, 3.0, math.inf], [2.0, 5.0, math.nan, 1.0]])
    state = PairedLosses(2, 0)
    state.add(losses, None, None)
    assert (state.n, state.scored) == (2, [3, 3])
    found = state.difference(1)
    assert (found.mean, found.stderr, found.infinite) == (None, None, 1)
    assert (found.wins, found.losses, found.ties) == (1, 1, 0)
    assert float(state.mean(1) or 0) == 1.5


def test_two_infinite_losses_are_a_tie() -> None:
    state = PairedLosses(2, 1)
    state.add(np.full((2, 3), math.inf), None, np.zeros(3, dtype=np.int64))
    assert state.difference(1)[:2] == (3, None)
    assert (state.difference(1).ties, state.by_class(1)[0].mean) == (3, None)


def test_rows_without_a_class_have_no_part_in_any() -> None:
    state = PairedLosses(2, 2)
    state.add(np.array([[1.0, 2.0], [3.0, 5.0]]), None, np.array([0, UNKNOWN]))
    one, two = state.by_class(1)
    assert (one.n, one.mean, one.contribution) == (1, 2.0, None)
    assert (two.n, two.mean) == (0, None)


def test_different_comparisons_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different comparisons"):
        PairedLosses(2, 3).merge(PairedLosses(3, 3))


def figures(state: PairedLosses) -> list[object]:
    return [
        state.n,
        state.scored,
        state.infinite,
        *(state.mean(at) for at in range(state.models)),
        *(state.difference(at) for at in range(1, state.models)),
        *(state.by_class(at) for at in range(1, state.models)),
    ]


@given(
    rows=st.lists(st.tuples(LOSSES, LOSSES, LOSSES, st.floats(1e-3, 1e3), st.integers(-1, 2)), min_size=1, max_size=30),
    cut=st.integers(0, 30),
    weighted=st.booleans(),
)
def test_any_cut_in_any_order_gives_the_same_bits(
    rows: list[tuple[float, float, float, float, int]], cut: int, weighted: bool
) -> None:
    losses = np.array([row[:3] for row in rows]).T
    weight = np.array([row[3] for row in rows]) if weighted else None
    label = np.array([row[4] for row in rows])
    whole, one, two = (PairedLosses(3, 3) for _ in range(3))
    whole.add(losses, weight, label)
    one.add(losses[:, :cut], None if weight is None else weight[:cut], label[:cut])
    two.add(losses[:, cut:], None if weight is None else weight[cut:], label[cut:])
    two = pickle.loads(pickle.dumps(two))
    two.merge(one)
    assert figures(two) == figures(whole)


@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_clusters_of_slices_do_not_depend_on_cuts_and_too_many_slices_are_left_out(shuffle: Random, parts: int) -> None:
    rng = np.random.default_rng(3)
    losses, slices, clusters = rng.exponential(size=(2, 200)), rng.integers(0, 12, 200), rng.integers(0, 9, 200)
    losses[1, 5] = math.inf
    order = list(range(200))
    shuffle.shuffle(order)
    states = []
    for rows in np.array_split(np.array(order), parts):
        states.append(PairedLosses(2, 0, clustered=True, slices=("by",), most=3))
        for some in np.array_split(rows, 6):
            groups = {
                name: Groups(np.searchsorted(found, codes[some]), [*map(str, found.tolist())])
                for name, codes in ((CLUSTER, clusters), ("by", slices))
                for found in [np.unique(codes[some])]
            }
            states[-1].add(losses[:, some], None, None, groups)
    for other in states[1:]:
        states[0].merge(pickle.loads(pickle.dumps(other)))
    found = {name: one for _, name, one in states[0].by_slice(1)}
    kept = sorted({str(name) for name in slices})[:3]
    assert [*found] == kept
    for name in kept:
        own = slices == int(name)
        difference = losses[1, own] - losses[0, own]
        one = found[name]
        assert one.n == own.sum()
        if np.isinf(difference).any():
            assert (one.mean, one.stderr) == (None, None)
            continue
        assert one.units == len({*clusters[own].tolist()})
        sums = np.bincount(clusters[own], difference - difference.mean(), minlength=9)
        error = math.sqrt(one.units / (one.units - 1) * (sums**2).sum()) / own.sum()
        assert one.stderr == pytest.approx(error, rel=1e-10)
