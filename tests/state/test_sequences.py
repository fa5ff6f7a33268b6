from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.groups import CLUSTER
from ce_cli.state.run_sums import rounded, run_sums
from ce_cli.state.runs import RunGroups, Runs
from ce_cli.state.sequences import SequenceStatistics
from tests.state import sizes, weights


@dataclass
class Rows:
    run: np.ndarray | None
    total: np.ndarray
    tokens: np.ndarray | None = None
    smoothed: tuple[np.ndarray, np.ndarray | None] | None = None
    correct: np.ndarray | None = None


def note(state: SequenceStatistics, ids: list[int], start: int, loss: np.ndarray, weight: np.ndarray | None) -> None:
    """Give a block to a state; a loss of NaN is a token without a score, of one byte like every other."""
    keys = np.array(ids)
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    run = np.cumsum(np.append(True, keys[1:] != keys[:-1])) - 1
    unscored = np.isnan(loss)
    ends = np.append(starts[1:], len(ids)) - 1
    cluster = (keys // 21).astype(np.uint64)  # three sequences each
    state.note(
        Runs(
            starts,
            start + starts,
            start + ends,
            keys[starts],
            np.bincount(run[unscored], minlength=len(starts)),
            {"bytes": run_sums(np.ones(len(ids)), starts)},
            {CLUSTER: RunGroups(cluster[starts], cluster[ends], starts[:0], {})},
        )
    )
    there = np.flatnonzero(~unscored)
    if len(there):
        run = None if len(there) == len(ids) and len(ids) % 2 else run[there]
        state.add(Rows(run, loss[there], correct=loss[there] < 1), None if weight is None else weight[there], there)


def gathered(
    ids: list[int],
    loss: np.ndarray,
    weight: np.ndarray | None,
    cuts: list[int],
    order: list[int],
    workers: int,
    clustered: bool = False,
) -> SequenceStatistics:
    """Return what some workers gather of blocks that come in some order."""
    states = [SequenceStatistics({"bytes": True}, clustered=clustered) for _ in range(workers)]
    edges = sorted({0, *(cut for cut in cuts if cut < len(ids)), len(ids)})
    blocks = list(pairwise(edges))
    for number in sorted(range(len(blocks)), key=lambda one: order[one % len(order)]):
        a, b = blocks[number]
        note(states[number % workers], ids[a:b], a, loss[a:b], None if weight is None else weight[a:b])
    merged = SequenceStatistics({"bytes": True}, clustered=clustered)
    for state in states:
        merged.merge(pickle.loads(pickle.dumps(state)))
    return merged.closed()


def result(state: SequenceStatistics) -> tuple[Any, ...]:
    counts = (state.sequences, state.unscored_sequences, state.infinite, state.tokens(), state.repeated())
    if state.sequences:
        counts = (*counts, *state.hits())
    if not state.sequences or state.infinite == state.sequences:
        return counts
    return (
        *counts,
        state.ratio("loss", "weight"),
        state.ratio("loss", "bytes"),
        state.mean("loss"),
        state.mean("mean"),
    )


@st.composite
def data(draw: st.DrawFn) -> tuple[list[int], np.ndarray, np.ndarray | None]:
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    ids = [7 * number for number, length in enumerate(lengths) for _ in range(length)]
    n = len(ids)
    some = st.one_of(sizes.filter(lambda value: value < 1e300), st.just(math.nan), st.just(0.25), st.just(math.inf))
    loss = np.array(draw(st.lists(some, min_size=n, max_size=n)))
    weight = draw(st.one_of(st.none(), st.lists(weights.filter(lambda w: 1e-5 < w < 1e5), min_size=n, max_size=n)))
    return ids, loss, None if weight is None else np.array(weight)


@given(data(), st.data())
def test_cuts_orders_and_workers_change_no_bit(rows: tuple[Any, ...], draw: st.DataObject) -> None:
    n = len(rows[0])
    clustered = draw.draw(st.booleans())
    whole = gathered(*rows, [], [0], 1, clustered)
    cuts = draw.draw(st.lists(st.integers(1, max(1, n - 1)), max_size=10))
    order = draw.draw(st.permutations(range(11)))
    assert result(gathered(*rows, cuts, order, draw.draw(st.integers(1, 3)), clustered)) == result(whole)


@given(data())
def test_figures_are_those_of_exact_arithmetic(rows: tuple[Any, ...]) -> None:
    ids, loss, weight = rows
    state = gathered(ids, loss, weight, [3, 4], [0], 1)
    by = np.ones(len(ids)) if weight is None else weight
    sequences = []
    for _, members in groupby(range(len(ids)), key=ids.__getitem__):
        all_of = list(members)
        scored = [one for one in all_of if not math.isnan(loss[one])]
        if scored and all(math.isfinite(loss[one]) for one in scored):
            a = float(sum(Fraction(float(loss[one] * by[one])) for one in scored))
            b = float(sum(Fraction(float(by[one])) for one in scored))
            sequences.append((Fraction(a), Fraction(b), len(all_of)))
    if not sequences or state.infinite:
        return
    c = len(sequences)
    assert state.sequences == c
    mean = sum(a for a, _, _ in sequences) / sum(b for _, b, _ in sequences)
    found = state.ratio("loss", "weight")
    assert found.value == mean
    if c > 1:
        denominator = float(sum(b for _, b, _ in sequences))
        square = Fraction(c, c - 1) * sum((a - mean * b) ** 2 for a, b, _ in sequences)
        expected = float(mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator) / mpmath.mpf(denominator))
        assert found.error == pytest.approx(expected, rel=1e-14)
    assert state.mean("loss").value == sum(a for a, _, _ in sequences) / c
    assert state.total("bytes") == sum(n for _, _, n in sequences)


@given(data())
def test_clusters_hold_the_hits_of_all_their_sequences(rows: tuple[Any, ...]) -> None:
    ids, loss, weight = rows
    state = gathered(ids, loss, weight, [3, 4], [0], 1, clustered=True)
    by = np.ones(len(ids)) if weight is None else weight
    clusters: dict[int, list[Fraction]] = {}
    for at in np.flatnonzero(~np.isnan(loss)).tolist():
        own = clusters.setdefault(ids[at] // 21, [Fraction(0), Fraction(0)])
        own[0] += Fraction(float(by[at])) * int(loss[at] < 1)
        own[1] += Fraction(float(by[at]))
    if not clusters:
        return
    a, b = (sum(own[part] for own in clusters.values()) for part in (0, 1))
    c, (found, count) = len(clusters), state.hits()
    assert (count, found.error is None) == (c, c == 1)
    assert float(found.value or 0) == pytest.approx(float(a / b), rel=1e-13)
    if found.error is not None:
        square = Fraction(c, c - 1) * sum((h - a / b * w) ** 2 for h, w in clusters.values()) / Fraction(b) ** 2
        assert found.error == pytest.approx(float(square) ** 0.5, rel=1e-9, abs=1e-15)


def test_a_sequence_that_comes_back_is_noticed_wherever_the_cuts_are() -> None:
    ids, loss = [1, 1, 2, 1, 3, 3, 2], np.full(7, 0.5)
    for cuts in ([], [1], [3], [1, 2, 3, 4, 5, 6], [4]):
        again = gathered(ids, loss, None, cuts, [2, 1, 0], 2).repeated()
        assert (again.count, again.first) == (2, (4, 7)), cuts


def test_rows_that_were_left_out_do_not_cut_a_sequence() -> None:
    state = SequenceStatistics({"bytes": True})
    note(state, [1, 5], 0, np.array([1.0, 2.0]), None)
    note(state, [5, 6], 9, np.array([4.0, 8.0]), None)
    whole = state.closed()
    assert (whole.sequences, whole.repeated().count) == (3, 0)
    assert whole.mean("loss").value == 5


@given(st.lists(st.lists(st.one_of(sizes, sizes.map(lambda value: -value)), min_size=1, max_size=5), min_size=1))
def test_sums_of_runs_are_rounded_once(runs: list[list[float]]) -> None:
    runs = [[value / 8 for value in run] for run in runs]
    values = np.array([value for run in runs for value in run])
    starts = np.cumsum([0, *map(len, runs[:-1])])
    found = rounded(run_sums(values, starts), len(runs))
    for total, run in zip(found.tolist(), runs, strict=True):
        assert total == float(sum(map(Fraction, run), Fraction(0)))


def test_an_infinite_loss_is_counted_by_its_sequence() -> None:
    state = SequenceStatistics({"bytes": True})
    note(state, [1, 1, 2], 0, np.array([1.0, math.inf, 2.0]), None)
    whole = state.closed()
    assert (whole.sequences, whole.infinite, whole.tokens()) == (2, 1, 3)


def test_a_sum_beyond_the_range_of_float64_is_infinite() -> None:
    for cuts in ([], [1]):
        state = gathered([1, 1, 1, 2], np.array([1e308, 1e308, 1e308, 2.0]), None, cuts, [0], 1)
        assert (state.sequences, state.infinite) == (2, 1)


@pytest.mark.parametrize("usual", [2, 40, 70_000])
@pytest.mark.parametrize("spread", [0.0, 8.0, 300.0])
def test_sums_of_many_runs_are_exact(usual: int, spread: float) -> None:
    generator = np.random.default_rng(int(usual + spread))
    values = generator.exponential(2, 100_000) * np.exp(generator.normal(0, spread / 3, 100_000).clip(-spread, spread))
    values[generator.random(len(values)) < 0.1] = 0.0
    starts = np.append(0, np.sort(generator.choice(np.arange(1, 100_000), 100_000 // usual, replace=False)))
    parts = run_sums(values, starts)
    exact = np.array([math.fsum(run.tolist()) for run in np.split(values, starts[1:])])
    assert (rounded(parts, len(starts)) == exact).all()
    few = slice(0, 50)
    for at, run in enumerate(np.split(values, starts[1:])[few]):
        assert sum(Fraction(float(part[at])) for part in parts) == sum(map(Fraction, run.tolist()))


def test_ordinary_losses_take_two_parts() -> None:
    generator = np.random.default_rng(3)
    starts = np.arange(0, 60_000, 20)
    assert len(run_sums(generator.exponential(2, 60_000), starts)) == 2
