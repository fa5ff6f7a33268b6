from __future__ import annotations

import functools
import math

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels import multiclass
from ce_cli.kernels.rows import FEW_COLUMNS
from tests.kernels import (
    BITS,
    any_exponent,
    assert_relative,
    assert_rows_stand_alone,
    assert_within,
    exact,
    minus_log,
)

INF = math.inf
KS = [2, 3, 10, 1000]
BASES = [None, 2.0, 10.0]
# Rows of three or more logits; narrower ones are cut from them, wider ones filled up with small noise.
LOGIT_ROWS = [
    [0.0, 0.0, 0.0],
    [-0.0, 0.0, -0.0],
    [40.0, 0.0, 0.0],
    [0.1, 40.1, -0.3],
    [0.1, 700.3, -0.7],
    [700.1, -0.6, 0.7],
    [0.1, 0.3, 0.7],
    [745.2, 0.1, 0.2],
    [37.1, 0.4, 0.4],
    [36.4, 0.4, 36.4],
    [1e-300, 0.0, -1e-300],
    [1e-17, 1.0, 1.0],
    [1.0, -INF, 0.5],
    [-INF, -745.3, -745.3],
    [1e308, 1e308, -1e308],
    [-1e308, 9e307, 1e308],
    [1.7e308, 1.7e308, 1.6999999999999998e308],
    [1e16, 1e16 - 2, 1.0],
    [123456789.1, 123456788.3, 123456750.7],
    [-1e5 / 3, -1e5 / 3 - 40.7, -1e5 / 3 - 700.1],
    [-INF, -INF, 3.0],
]


@functools.cache
def wide(k: int) -> np.ndarray:
    generator = np.random.default_rng(k)
    chosen = LOGIT_ROWS[2:6] if k > 100 else LOGIT_ROWS
    rows = [row[:k] for row in chosen if k > 2 or max(row[:2]) > -INF]
    filled = [row + (max(row) - generator.gamma(2.0, 9.0, k - len(row))).tolist() for row in rows]
    return np.array(filled)


def every_label(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repeat each row with the labels 0, 1 and, where there are three or more columns, 2 and the last."""
    k = scores.shape[1]
    labels = sorted({0, 1, min(2, k - 1), k - 1})
    return np.repeat(scores, len(labels), axis=0), np.tile(labels, len(scores))


def softmax_oracle(row):
    """Return the loss of every class and the probabilities, in exact arithmetic up to the bits of mpmath."""
    top = exact(max(row))
    terms = [mpmath.mpf(0) if z == -INF else mpmath.exp(exact(z) - top) for z in row]
    first = list(row).index(max(row))
    others = mpmath.fsum(term for at, term in enumerate(terms) if at != first)
    losses = [mpmath.inf if z == -INF else (top - exact(z)) + mpmath.log1p(others) for z in row]
    return losses, [term / (1 + others) for term in terms]


def square_error(probs, label):
    """Return Σ (p_c - y_c)², with 1 - p_label as the sum of the others, which cancels nothing."""
    rest = mpmath.fsum(p for at, p in enumerate(probs) if at != label)
    return rest**2 + mpmath.fsum(p**2 for at, p in enumerate(probs) if at != label)


def check_logits(scores, label):
    outcome = multiclass.from_logits(scores, label)
    shown = [(row.tolist()[:5], int(at)) for row, at in zip(scores, label, strict=True)]
    with mpmath.workprec(BITS if scores.shape[1] < 100 else 300):
        oracle = {row.tobytes(): softmax_oracle(row.tolist()) for row in scores}
        found = [oracle[row.tobytes()] for row in scores]
        assert_within(outcome.loss, [losses[at] for (losses, _), at in zip(found, label, strict=True)], shown)
        of_label = [probs[at] for (_, probs), at in zip(found, label, strict=True)]
        assert_relative(outcome.prob_label, of_label, shown, 2e-15)
        squares = [square_error(probs, at) for (_, probs), at in zip(found, label, strict=True)]
        assert_relative(outcome.brier, squares, shown, 4e-15)
        for got, (_, probs) in zip(outcome.probs, found, strict=True):
            assert_relative(got, probs, list(range(len(probs))), 2e-15)
    assert outcome.predicted.tolist() == [row.index(max(row)) for row in scores.tolist()]
    assert outcome.predicted.dtype == np.int64
    assert not np.signbit(outcome.loss).any()


@pytest.mark.parametrize("k", KS)
def test_logits_over_the_whole_range(k):
    check_logits(*every_label(wide(k)))


scores_of_any_size = st.one_of(
    st.builds(math.copysign, any_exponent(), st.sampled_from([1.0, -1.0])),
    st.floats(-800, 800),
    st.sampled_from([0.0, -0.0, -INF, 40.0, 700.0, 745.0, 1e308, -1e308]),
)


@given(st.lists(scores_of_any_size, min_size=2, max_size=6), st.data())
def test_any_logits(row, data):
    if max(row) == -INF:
        row[0] = 0.0
    label = data.draw(st.integers(0, len(row) - 1))
    check_logits(np.array([row]), np.array([label]))


def test_a_gap_beyond_float64_is_infinite():
    outcome = multiclass.from_logits(np.array([[1e308, -1e308, 0.0]]), np.array([1]))
    assert outcome.loss.tolist() == [INF]
    assert outcome.prob_label.tolist() == [0.0]


def test_equal_logits_give_the_logarithm_of_their_number():
    for k in KS:
        outcome = multiclass.from_logits(np.full((1, k), 1e300), np.array([k - 1]))
        assert outcome.loss[0] == pytest.approx(math.log(k), rel=1e-15)
        assert outcome.predicted.tolist() == [0]


def test_a_sure_row_keeps_its_tiny_loss():
    outcome = multiclass.from_logits(np.array([[745.0, 0.0, -INF]]), np.array([0]))
    assert outcome.loss.tolist() == [5e-324]


def test_the_first_of_several_largest_scores_is_predicted():
    scores = np.array([[0.2, 0.4, 0.4], [0.5, 0.0, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    label = np.zeros(3, dtype=np.int64)
    logs = np.log(np.where(scores > 0, scores, 1)) - np.where(scores > 0, 0, INF)
    for outcome in (
        multiclass.from_probabilities(scores, label),
        multiclass.from_logits(scores, label),
        multiclass.from_logprobs(logs, label),
    ):
        assert outcome.predicted.tolist() == [1, 0, 0]
    assert multiclass.argmax(scores).tolist() == [1, 0, 0]


PROB_ROWS = [
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [1 - 2.0**-53, 2.0**-53, 0.0],
    [5e-324, 1.0, 0.0],
    [1e-300, 1 - 1e-16, 1e-16],
    [2.2250738585072014e-308, 0.5, 0.5],
    [0.1, 0.2, 0.7],
    [0.25, 0.25, 0.5],
    [1e-8, 1 - 1e-8, 0.0],
]


@pytest.mark.parametrize("k", KS)
def test_probabilities_over_the_whole_range(k):
    rows = [row[:k] + [0.0] * (k - 3) for row in PROB_ROWS]
    dense = np.random.default_rng(k).dirichlet(np.full(k, 0.5), 3)
    scores, label = every_label(np.concatenate([np.array(rows), dense]))
    outcome = multiclass.from_probabilities(scores, label)
    picked = [float(row[at]) for row, at in zip(scores, label, strict=True)]
    with mpmath.workprec(BITS):
        assert_within(outcome.loss, [minus_log(exact(p)) for p in picked], picked)
        expected = [
            mpmath.fsum((exact(p) - (at == c)) ** 2 for c, p in enumerate(row))
            for row, at in zip(scores, label, strict=True)
        ]
        assert_relative(outcome.brier, expected, picked, 2e-15)
    assert outcome.prob_label.tolist() == picked
    assert not np.signbit(outcome.loss).any()


@given(any_exponent(-1074, -1).map(lambda p: [p, 1 - p]), st.integers(0, 1))
def test_any_probability(row, label):
    outcome = multiclass.from_probabilities(np.array([row]), np.array([label]))
    with mpmath.workprec(200):
        assert_within(outcome.loss, [minus_log(exact(row[label]))], [row])


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("k", KS)
def test_logprobs_over_the_whole_range(k, base):
    rows = [
        [0.0, -INF, -INF],
        [-0.0, -1e-300, -745.0],
        [-5e-324, -1e-310, -1e308],
        [-1e-17, -40.1, -700.3],
        [-math.log(3), -math.log(3), -math.log(3)],
        [-307.3, -0.3010299956639812, -1.0],
        [-1e-8, -18.4, -37.1],
    ]
    scores, label = every_label(np.array([row[:k] + [-INF] * (k - 3) for row in rows]))
    outcome = multiclass.from_logprobs(scores, label, base)
    picked = [float(row[at]) for row, at in zip(scores, label, strict=True)]
    with mpmath.workprec(BITS):
        scale = mpmath.mpf(1) if base is None else mpmath.log(mpmath.mpf(base))
        logs = [-mpmath.inf if v == -INF else exact(v) * scale for v in picked]
        assert_within(outcome.loss, [-log for log in logs], picked)
        assert_relative(outcome.prob_label, [mpmath.exp(log) if log > -INF else mpmath.mpf(0) for log in logs], picked)
        for row, at, got in zip(scores.tolist(), label.tolist(), outcome.brier.tolist(), strict=True):
            probs = [mpmath.mpf(0) if v == -INF else mpmath.exp(exact(v) * scale) for v in row]
            wanted = mpmath.fsum((p - (at == c)) ** 2 for c, p in enumerate(probs))
            assert got == pytest.approx(float(wanted), rel=4e-15, abs=1e-15)
    assert not np.signbit(outcome.loss).any()


@given(st.lists(any_exponent(-60, 9).map(lambda v: -v), min_size=2, max_size=5), st.sampled_from(BASES))
def test_any_logprobs(row, base):
    outcome = multiclass.from_logprobs(np.array([row]), np.array([len(row) - 1]), base)
    with mpmath.workprec(300):
        scale = mpmath.mpf(1) if base is None else mpmath.log(mpmath.mpf(base))
        assert_within(outcome.loss, [-exact(row[-1]) * scale], [row])
        assert_relative(outcome.probs[0], [mpmath.exp(exact(v) * scale) for v in row], row)


@given(st.lists(scores_of_any_size.filter(lambda z: abs(z) < 1e300 or z == -INF), min_size=1, max_size=6))
def test_log_sum_exp(row):
    with np.errstate(divide="ignore", under="ignore"):
        expected = scipy.special.logsumexp(row) if max(row) > -INF else -INF
    got = multiclass.log_sum_exp(np.array([row]))
    assert got[0] == pytest.approx(expected, rel=1e-14, abs=1e-15)


def test_log_sum_exp_of_nothing_is_minus_infinity():
    got = multiclass.log_sum_exp(np.array([[-INF, -INF], [-INF, 0.0], [-1e308, -1e308]]))
    assert got.tolist() == [-INF, 0.0, -1e308]


def test_pick():
    scores = np.arange(12.0).reshape(4, 3)
    assert multiclass.pick(scores, np.array([2, 0, 1, 2])).tolist() == [2.0, 3.0, 7.0, 11.0]


def sample(kernel, k, dtype):
    generator = np.random.default_rng(k)
    scores = generator.normal(0, 20, (131, k)).astype(dtype).astype(np.float64)
    if kernel is multiclass.from_probabilities:
        scores = scipy.special.softmax(scores, axis=1)
    elif kernel is multiclass.from_logprobs:
        scores = -np.abs(scores)
    else:
        scores[3] = 0.0
        scores[5, 1:] = -INF
        scores[7, :2] = 1e308, -1e308
    return scores, generator.integers(0, k, 131)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("k", [2, 3, 7, 10, 33, 1000])
@pytest.mark.parametrize("name", ["from_probabilities", "from_logits", "from_logprobs"])
def test_rows_stand_alone(name, k, dtype):
    kernel = getattr(multiclass, name)
    assert_rows_stand_alone(kernel, *sample(kernel, k, dtype))


@pytest.mark.parametrize("k", [2, 3, 10, FEW_COLUMNS])
@pytest.mark.parametrize("name", ["from_probabilities", "from_logits", "from_logprobs"])
def test_few_columns_give_the_same_bits_however_they_lie(name, k):
    kernel = getattr(multiclass, name)
    scores, label = sample(kernel, k, np.float64)
    expected = kernel(scores, label)
    tall, wide_ = np.zeros((3 * len(scores), k), order="F"), np.zeros((len(scores), 2 * k))
    tall[len(scores) : 2 * len(scores)] = scores
    wide_[:, ::2] = scores
    for source in (np.asfortranarray(scores), tall[len(scores) : 2 * len(scores)], wide_[:, ::2]):
        assert not source.flags.c_contiguous
        for got, wanted in zip(kernel(source, label), expected, strict=True):
            assert got is wanted is None or got.tobytes() == wanted.tobytes()
        assert multiclass.argmax(source).tolist() == multiclass.argmax(scores).tolist()


@given(st.integers(1, 6), st.integers(1, 40), st.data())
def test_pick_and_argmax_of_any_layout(n, k, data):
    scores = np.random.default_rng(n * k).integers(0, 5, (n, k)).astype(np.float64)
    column = np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
    for source in (scores, np.asfortranarray(scores), np.repeat(scores, 2, axis=0)[::2]):
        assert multiclass.pick(source, column).tolist() == [scores[i, column[i]] for i in range(n)]
        assert multiclass.argmax(source).tolist() == [row.index(max(row)) for row in scores.tolist()]


@pytest.mark.parametrize("name", ["from_probabilities", "from_logits", "from_logprobs"])
def test_inputs_are_left_alone(name):
    kernel = getattr(multiclass, name)
    scores, label = sample(kernel, 3, np.float64)
    before = scores.copy(), label.copy()
    kernel(scores, label)
    assert scores.tobytes() == before[0].tobytes()
    assert label.tobytes() == before[1].tobytes()
