from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels import smoothing
from tests.kernels import exact

KINDS = ["uniform", "others"]
SMOOTHINGS = st.one_of(st.floats(1e-12, 0.99), st.sampled_from([0.1, 0.5, 0.75, 0.9]))
losses_of_a_class = st.one_of(st.floats(0, 750, allow_subnormal=False), st.sampled_from([0.0, 1e-300, 1e300, math.inf]))
weights_of_a_class = st.one_of(st.just(0.0), st.floats(0.01, 100))


def smoothed(label: mpmath.mpf, epsilon: float, kind: str, k: int) -> mpmath.mpf:
    """Return the share of one class whose share of the unsmoothed label is `label`."""
    e = exact(epsilon)
    if kind == "uniform":
        return (1 - e) * label + e / k
    return (1 - e) * label + e / (k - 1) * (1 - label)


def objective(shares, losses, weights) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Return Σ c y' ℓ / Σ c y' and Σ c y', where 0 · inf is 0."""
    parts = [exact(weight) * share for share, weight in zip(shares, weights, strict=True)]
    total = mpmath.fsum(part * mpmath.mpf(loss) for part, loss in zip(parts, losses, strict=True) if part)
    weight = mpmath.fsum(parts)
    return (total / weight if weight else mpmath.mpf(0)), weight


def assert_close(got: float, expected: mpmath.mpf, given_: object) -> None:
    wanted = float(expected)
    # A subnormal number has fewer bits than the tolerance asks for.
    assert got == wanted or math.isclose(got, wanted, rel_tol=1e-13, abs_tol=2e-323), (given_, got, wanted)


def hold_classes(label: int, row: list[float], epsilon: float, kind: str, weights: list[float] | None) -> None:
    k = len(row)
    on_label, on_each = smoothing.spread(epsilon, kind, k)
    loss, weight = smoothing.class_objective(
        np.array([label]),
        np.array([row[label]]),
        np.array([row]) if epsilon else None,
        on_label,
        on_each,
        None if weights is None else tuple(weights),
    )
    with mpmath.workprec(400):
        shares = [smoothed(mpmath.mpf(int(c == label)), epsilon, kind, k) for c in range(k)]
        expected, total = objective(shares, row, weights or [1.0] * k)
    case = (label, row, epsilon, kind, weights)
    assert_close(float(loss[0]), expected, case)
    if weights is None:
        assert weight is None
    else:
        assert_close(float(weight[0]), total, case)


def hold_binary(label: float, pair: list[float], epsilon: float, kind: str, weights: list[float] | None) -> None:
    share = smoothing.smoothed_binary(np.array([label]), epsilon, kind)
    given_weights = None if weights is None else (weights[0], weights[1])
    loss, weight = smoothing.binary_objective(share, np.array([pair[0]]), np.array([pair[1]]), given_weights)
    with mpmath.workprec(400):
        positive = exact(label)
        shares = [smoothed(part, epsilon, kind, 2) for part in (1 - positive, positive)]
        expected, total = objective(shares, pair, weights or [1.0, 1.0])
    case = (label, pair, epsilon, kind, weights)
    assert_close(float(loss[0]), expected, case)
    if weights is None:
        assert weight is None
    else:
        assert_close(float(weight[0]), total, case)


# --- any row


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_classes_against_the_definition(kind, weighted, data):
    row = data.draw(st.lists(losses_of_a_class, min_size=3, max_size=6))
    label = data.draw(st.integers(0, len(row) - 1))
    weights = data.draw(st.lists(weights_of_a_class, min_size=len(row), max_size=len(row))) if weighted else None
    hold_classes(label, row, data.draw(SMOOTHINGS), kind, weights)


@given(data=st.data())
def test_class_weights_without_smoothing(data):
    row = data.draw(st.lists(losses_of_a_class, min_size=2, max_size=6))
    label = data.draw(st.integers(0, len(row) - 1))
    weights = data.draw(st.lists(st.floats(0.01, 100), min_size=len(row), max_size=len(row)))
    hold_classes(label, row, 0.0, "uniform", weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@given(
    label=st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1, allow_subnormal=False)),
    pair=st.lists(losses_of_a_class, min_size=2, max_size=2),
    epsilon=SMOOTHINGS,
    weights=st.lists(weights_of_a_class, min_size=2, max_size=2),
)
def test_binary_labels_against_the_definition(kind, weighted, label, pair, epsilon, weights):
    hold_binary(label, pair, epsilon, kind, weights if weighted else None)


# --- places where arithmetic could go wrong


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("epsilon", [0.5, 2 / 3, 0.7, 0.9])
def test_more_on_the_others_than_on_the_label(epsilon, weights):
    """Above (K-1)/K every other class has a larger share than the label."""
    for label in range(3):
        hold_classes(label, [0.25, 1.5, 3.0], epsilon, "others", weights)
        hold_classes(label, [0.25, math.inf, 3.0], epsilon, "others", weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_small_share_of_a_large_loss(label, kind):
    """The share of the other class is ε/2 or ε, not 1 less something that rounds."""
    for epsilon in (1e-3, 1e-6, 1e-10, 1e-12):
        pair = [1e-300, 1e12] if label == 0 else [1e12, 1e-300]
        hold_binary(label, pair, epsilon, kind, None)
        hold_binary(label, pair, epsilon, kind, [3.0, 0.5])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [1e-10, 1e-17, 1e-300])
def test_smoothing_however_small_sees_the_infinity_of_any_class(epsilon, kind):
    hold_binary(1.0, [math.inf, 0.5], epsilon, kind, None)
    hold_binary(0.0, [0.5, math.inf], epsilon, kind, None)
    hold_classes(0, [0.5, math.inf, 1.0], epsilon, kind, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_of_weight_zero_costs_nothing_even_where_its_loss_is_infinite(kind):
    hold_classes(0, [0.5, math.inf, 1.0], 0.1, kind, [1.0, 0.0, 2.0])
    hold_classes(1, [0.5, math.inf, 1.0], 0.1, kind, [1.0, 0.0, 2.0])
    hold_binary(1.0, [math.inf, 0.5], 0.1, kind, [0.0, 2.0])
    hold_binary(0.0, [math.inf, 0.5], 0.1, kind, [0.0, 2.0])


@pytest.mark.parametrize("weights", [None, [0.5, 3.0]])
@pytest.mark.parametrize("label", [0.0, 1.0, 0.3])
def test_a_binary_label_without_smoothing(label, weights):
    hold_binary(label, [0.7, 1.25], 0.0, "uniform", weights)
    if label in (0.0, 1.0):
        hold_binary(label, [0.7, math.inf] if label == 0 else [math.inf, 0.7], 0.0, "uniform", weights)


def test_rows_of_a_block_stand_alone():
    generator = np.random.default_rng(0)
    losses = generator.exponential(1, (64, 5))
    losses[generator.random((64, 5)) < 0.1] = math.inf
    label = generator.integers(0, 5, 64)
    for kind in KINDS:
        for weights in (None, (1.0, 0.0, 3.0, 0.5, 2.0)):
            spread = smoothing.spread(0.1, kind, 5)
            own = losses[np.arange(64), label]
            whole, weight = smoothing.class_objective(label, own, losses, *spread, weights)
            for at in range(64):
                row = slice(at, at + 1)
                loss, part = smoothing.class_objective(label[row], own[row], losses[row], *spread, weights)
                assert loss[0] == whole[at]
                assert part is None or part[0] == weight[at]


def test_one_hot_labels_are_rows_of_the_unit_matrix():
    label = np.array([2, 0, 2, 3])
    assert np.array_equal(smoothing.one_hot(label, 4), np.eye(4)[label])
