from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from ce_cli.state.calibration import CalibrationBins
from tests.state import weights

BINS = 15
probs = st.one_of(
    st.floats(0, 1),
    st.integers(0, BINS).map(lambda k: k / BINS),
    st.integers(1, BINS).map(lambda k: math.nextafter(k / BINS, 0)),
    st.integers(0, BINS - 1).map(lambda k: math.nextafter(k / BINS, 1)),
)
outcomes = st.sampled_from([0.0, 1.0, 0.25, 0.5])


def calibration_of(prob, outcome, weight=None, bins=BINS) -> CalibrationBins:
    state = CalibrationBins(bins)
    by = None if weight is None else np.array(weight, dtype=np.float64)
    state.add(np.array(prob, dtype=np.float64), np.array(outcome, dtype=np.float64), by)
    return state


def bin_of(prob: float, bins: int) -> int:
    """Return the first bin whose right edge is not below p."""
    return next(k for k in range(bins) if prob <= (k + 1) / bins)


def brute_force(prob, outcome, weight, bins=BINS):
    """Return the three errors by their definitions: squares are summed exactly and rooted at the end."""
    total = sum(map(Fraction, weight))
    l1 = l2 = debiased = Fraction(0)
    for k in range(bins):
        rows = [
            (Fraction(p), Fraction(y), Fraction(w))
            for p, y, w in zip(prob, outcome, weight, strict=True)
            if bin_of(p, bins) == k
        ]
        if not rows:
            continue
        mass = sum(w for _, _, w in rows)
        mean_prob, rate = (sum(w * row[side] for row in rows for w in row[2:]) / mass for side in (0, 1))
        gap, share = rate - mean_prob, mass / total
        l1 += share * abs(gap)
        l2 += share * gap**2
        size = mass**2 / sum(w**2 for _, _, w in rows)
        if size >= 2:
            debiased += share * (gap**2 - rate * (1 - rate) / (size - 1))
    return float(l1), l2, max(debiased, Fraction(0))


def assert_root(got: float, square: Fraction):
    assert got >= 0
    step = Fraction(math.ulp(got))
    low, high = max(Fraction(got) - step, Fraction(0)), Fraction(got) + step
    assert low**2 <= square <= high**2


def assert_agrees(state, expected):
    assert state.errors().l1 == expected[0]
    assert_root(state.errors().l2, expected[1])
    assert_root(state.errors().l2_debiased, expected[2])


@given(st.lists(st.tuples(probs, outcomes), min_size=1, max_size=40))
def test_against_the_definitions(rows):
    prob, outcome = zip(*rows, strict=True)
    assert_agrees(calibration_of(prob, outcome), brute_force(prob, outcome, [1.0] * len(rows)))


@given(st.lists(st.tuples(probs, outcomes, weights), min_size=1, max_size=25))
def test_against_the_definitions_with_weights(rows):
    prob, outcome, weight = zip(*rows, strict=True)
    assert_agrees(calibration_of(prob, outcome, weight), brute_force(prob, outcome, weight))


@pytest.mark.parametrize("bins", [1, 2, 3, 7, 10, 15, 49, 100])
def test_edges_belong_to_the_bin_below(bins):
    edges = np.arange(bins + 1) / bins
    prob = np.concatenate(
        [edges, np.nextafter(edges[:-1], 1), np.nextafter(edges[1:], 0), (edges[1:] + edges[:-1]) / 2]
    )
    # Outcomes without a pattern, so that a row in the wrong bin changes the result.
    outcome = np.random.default_rng(bins).integers(0, 2, len(prob)).astype(float)
    weight = np.random.default_rng(bins + 1).uniform(0.5, 2, len(prob))
    assert_agrees(calibration_of(prob, outcome, None, bins), brute_force(prob, outcome, np.ones(len(prob)), bins))
    assert_agrees(calibration_of(prob, outcome, weight, bins), brute_force(prob, outcome, weight, bins))


@pytest.mark.parametrize("bins", [7, 15, 1000])
def test_many_random_probabilities(bins):
    generator = np.random.default_rng(bins)
    prob = np.concatenate([generator.random(3000), generator.integers(0, bins + 1, 1000) / bins])
    outcome = (generator.random(4000) < prob).astype(float)
    edges = np.arange(1, bins + 1) / bins
    cell = np.searchsorted(edges, prob, side="left")
    rows = [np.flatnonzero(cell == number) for number in range(bins)]
    expected = math.fsum(abs(math.fsum(outcome[at] - prob[at])) for at in rows) / 4000
    assert calibration_of(prob, outcome, bins=bins).errors().l1 == pytest.approx(expected, rel=1e-12)


def test_an_edge_counts_in_the_bin_below_it():
    # 1/3 is the right edge of the fifth bin, where it meets 0.3; just above it, it is alone in the sixth.
    together = calibration_of([0.3, 1 / 3], [0.0, 1.0])
    apart = calibration_of([0.3, math.nextafter(1 / 3, 1)], [0.0, 1.0])
    assert together.errors().l1 == pytest.approx(0.5 - (0.3 + 1 / 3) / 2, rel=1e-15)
    assert apart.errors().l1 == pytest.approx((0.3 + 2 / 3) / 2, rel=1e-15)


def test_zero_is_in_the_first_bin_and_one_in_the_last():
    assert calibration_of([0.0, 1 / BINS, 1.0, 14.5 / BINS], [1.0, 0.0, 0.0, 1.0]).errors().l1 == pytest.approx(
        (abs(1 - 1 / BINS) + abs(1 - 29.5 / BINS)) / 4, rel=1e-14
    )
    state = calibration_of([0.0, 5e-324, 1.0, 1 - 2.0**-53], [0.0, 0.0, 1.0, 1.0])
    assert state.errors().l2_debiased == state.errors().l2 == pytest.approx(2.0**-54 / math.sqrt(2), rel=1e-12)


def test_one_bin_is_the_distance_of_the_means():
    generator = np.random.default_rng(4)
    prob, outcome, weight = generator.random(300), generator.integers(0, 2, 300).astype(float), generator.random(300)
    state = calibration_of(prob, outcome, weight, bins=1)
    expected = abs(np.average(outcome, weights=weight) - np.average(prob, weights=weight))
    assert state.errors().l1 == pytest.approx(expected, rel=1e-12)
    assert state.errors().l2 == pytest.approx(expected, rel=1e-12)


def test_constant_forecasts_leave_the_brier_score_as_the_decomposition_says():
    """With one probability per bin the Brier score is the squared L2 error and the variance of the outcomes in the bins."""
    generator = np.random.default_rng(5)
    prob = (generator.integers(0, BINS, 2000) + 0.5) / BINS
    outcome = (generator.random(2000) < prob**1.5).astype(float)
    rates = {p: outcome[prob == p].mean() for p in np.unique(prob)}
    within = np.mean([rates[p] * (1 - rates[p]) for p in prob])
    state = calibration_of(prob, outcome)
    assert state.errors().l2 ** 2 + within == pytest.approx(brier_score_loss(outcome, prob), rel=1e-12)


def test_bins_with_a_single_row_are_left_out_of_the_debiased_error():
    state = calibration_of([0.01, 0.5, 0.51], [1.0, 1.0, 0.0])
    assert state.errors().l2_debiased == 0.0
    assert calibration_of([0.01], [1.0]).errors().l2_debiased == 0.0
    assert calibration_of([0.01], [1.0]).errors().l2 == pytest.approx(0.99)


def test_without_rows_there_is_no_error():
    state = CalibrationBins(BINS)
    assert state.errors() == (0.0, 0.0, 0.0, 0.0)


@given(
    st.lists(st.tuples(probs, outcomes, weights, st.integers(0, 2)), min_size=1, max_size=40),
    st.integers(0, 40),
    st.booleans(),
)
def test_groups_have_bins_of_their_own_beside_the_common_ones(rows, cut, weighted):
    def state_of(some):
        state = CalibrationBins(BINS, 3)
        prob, outcome, weight, group = (np.array(column) for column in zip(*some, strict=True)) if some else [None] * 4
        if some:
            state.add(prob.astype(float), outcome, weight.astype(float) if weighted else None, group.astype(np.int64))
        return state

    state, rest = state_of(rows[:cut]), state_of(rows[cut:])
    state.merge(rest)
    by = [row[2] if weighted else 1.0 for row in rows]
    together = calibration_of([row[0] for row in rows], [row[1] for row in rows], by if weighted else None)
    assert state.errors() == together.errors()
    for group, (l1, outcome) in enumerate(zip(state.l1_by_group(), state.outcomes(), strict=True)):
        own = [(row[0], row[1], weight) for row, weight in zip(rows, by, strict=True) if row[3] == group]
        assert outcome == sum((Fraction(y) * Fraction(w) for _, y, w in own), Fraction(0))
        assert l1 == (brute_force(*zip(*own, strict=True))[0] if own else 0.0)


@given(
    st.lists(st.tuples(probs, outcomes, weights), min_size=1, max_size=30),
    st.booleans(),
)
def test_the_bins_hold_what_is_in_them(data, weighted: bool) -> None:
    prob, outcome, weight = zip(*data, strict=True)
    weight = weight if weighted else (1.0,) * len(prob)
    state = calibration_of(prob, outcome, weight if weighted else None)
    number = [bin_of(p, BINS) for p in prob]
    found = state.filled()
    assert [one.lower for one in found] == [k / BINS for k in sorted(set(number))]
    largest = Fraction(0)
    for one in found:
        there = [at for at, k in enumerate(number) if k / BINS == one.lower]
        total = sum(Fraction(weight[at]) for at in there)
        mean, rate = (
            sum(Fraction(weight[at]) * Fraction(side[at]) for at in there) / total for side in (prob, outcome)
        )
        squares = sum(Fraction(weight[at]) ** 2 for at in there)
        assert (one.n, one.upper) == (len(there), (number[there[0]] + 1) / BINS)
        assert (one.predicted, one.observed, one.weight) == (float(mean), float(rate), float(total))
        assert one.effective == float(total**2 / squares)
        largest = max(largest, abs(mean - rate))
    assert state.errors().largest == float(largest)


@given(
    st.lists(st.tuples(probs, st.booleans(), st.integers(0, 2)), min_size=1, max_size=40),
    st.lists(st.tuples(probs, outcomes, st.integers(0, 2)), max_size=10),
    st.integers(0, 40),
)
def test_flags_are_outcomes_of_0_and_1(rows, soft, cut):
    def state_of(some, dtype):
        state = CalibrationBins(BINS, 3)
        if some:
            prob, outcome, group = zip(*some, strict=True)
            state.add(np.array(prob), np.array(outcome, dtype=dtype), None, np.array(group, dtype=np.int64))
        return state

    state = state_of(rows[:cut], np.bool_)
    for others in (state_of(rows[cut:], np.bool_), state_of(soft, np.float64)):
        state.merge(others)
    expected = state_of([*rows, *soft], np.float64)
    assert state.filled() == expected.filled()
    assert state.outcomes() == expected.outcomes()
    assert state.l1_by_group() == expected.l1_by_group()
    assert state.errors() == expected.errors()
    misses, hits = ([Fraction(p) for p, outcome, _ in rows if outcome == flag] for flag in (False, True))
    assert state.probs_of_outcomes().fractions() == [sum(1 - p for p in misses), sum(hits)]
