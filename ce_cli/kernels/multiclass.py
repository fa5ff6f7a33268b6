"""Losses of a class label, from one score per class.

Every loss is within a few ulp of the exact one over the whole range of float64. Rows never mix: what a row gives does not
depend on the rows around it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.double import differences_are_exact, exp_of_sum, scaled_by_log, two_difference
from ce_cli.kernels.rows import FEW_COLUMNS, row_squares, row_sums

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints


class ClassOutcome(NamedTuple):
    """What K scores say of every row.

    loss: `(n,) float64`, nats, never -0.0, `inf` where the label's probability is 0.
    prob_label: `(n,) float64`, the probability of the label.
    predicted: `(n,) int64`, the class of the largest score, the first of several.
    confidence: `(n,) float64`, the probability of that class.
    brier: `(n,) float64`, Σ_c (p_c - y_c)².
    terms, total: `(n, k)` and `(n,) float64`, the probability of every class as what is divided by what; total None for 1.
    """

    loss: Floats
    prob_label: Floats
    predicted: Ints
    confidence: Floats
    brier: Floats
    terms: Floats
    total: Floats | None = None

    @property
    def probs(self) -> Floats:
        """The probability of every class, `(n, k) float64`."""
        return self.terms if self.total is None else self.terms / self.total[:, None]


def all_losses_of_probabilities(probs: Floats) -> Floats:
    """Return -log p of every class: `(n, k) float64` to the same, nats."""
    return negative_log(probs)


def all_losses_of_logprobs(logprobs: Floats, base: float | None = None) -> Floats:
    """Return -log p of every class from log-probabilities to `base`: `(n, k) float64` to the same, nats."""
    return 0.0 - scaled_by_log(logprobs, base)[0]


def all_losses_of_logits(logits: Floats) -> Floats:
    """Return -log softmax of every class: `(n, k) float64` to the same, nats; as `from_logits` for one class."""
    gap, error, others, _ = _gaps(logits, argmax(logits), exact=differences_are_exact(logits))
    common = np.log1p(others)[:, None]
    losses = (common if error is None else common - error) - gap
    losses += 0.0
    return losses


def from_probabilities(probs: Floats, label: Ints) -> ClassOutcome:
    """Losses -log p_y of probabilities.

    probs: `(n, k) float64` in [0, 1]. label: `(n,) int64` in [0, k).
    """
    if probs.shape[1] <= FEW_COLUMNS:
        return _from_few_probabilities(probs, label)
    prob_label, predicted = pick(probs, label), argmax(probs)
    confidence = pick(probs, predicted)
    return ClassOutcome(
        negative_log(prob_label), prob_label, predicted, confidence, _brier(probs, label, prob_label), probs
    )


def _from_few_probabilities(probs: Floats, label: Ints) -> ClassOutcome:
    """Do the same column by column."""
    columns = probs.T.copy()
    cells, of_label = columns.reshape(-1), label * len(probs) + np.arange(len(probs))
    prob_label = cells.take(of_label)
    predicted, confidence = _first_largest(columns)
    cells[of_label] = 0.0
    brier = row_squares(columns.T)
    brier += np.square(prob_label - 1.0)
    return ClassOutcome(negative_log(prob_label), prob_label, predicted, confidence, brier, probs)


def from_logprobs(logprobs: Floats, label: Ints, base: float | None = None) -> ClassOutcome:
    """Losses -log p_y of log-probabilities, taken as they are and never normalised again.

    logprobs: `(n, k) float64` in [-inf, 0], to `base` (None: e). label: `(n,) int64` in [0, k).
    """
    high, low = scaled_by_log(logprobs, base)
    probs = exp_of_sum(high, low)
    loss = 0.0 - pick(high, label)
    prob_label, predicted = pick(probs, label), argmax(logprobs)
    confidence = pick(probs, predicted)
    return ClassOutcome(loss, prob_label, predicted, confidence, _brier(probs, label, prob_label), probs)


def from_logits(logits: Floats, label: Ints, *, exact: bool = False) -> ClassOutcome:
    """Losses of logits: with m = argmax z, (z_m - z_y) + log1p(Σ_{j≠m} exp(z_j - z_m)).

    logits: `(n, k) float64`, -inf allowed (probability 0) but not in all of a row. label: `(n,) int64` in [0, k). exact:
    whether all differences of finite logits are known to be float64 numbers; if not, they are looked at.

    The largest term is dropped exactly once, so that the loss of a sure row keeps all its bits, and the rounding error e_j
    of each difference z_j - z_m enters as exp(d)(1 + e): without it a gap of 40 costs 32 ulp and one of 700 costs 510.
    A gap beyond the range of float64 is `inf`.
    """
    predicted = argmax(logits)
    gap, error, others, terms = _gaps(logits, predicted, exact=exact or differences_are_exact(logits))
    # The error terms are only as good as float64 when added last: they are below half an ulp of the gap.
    loss = np.log1p(others)
    if error is not None:
        loss -= pick(error, label)
    loss -= pick(gap, label)
    loss += 0.0
    rows = np.arange(len(logits))
    terms[rows, predicted] = 1.0
    total = 1.0 + others
    held = terms[rows, label]
    terms[rows, label] = 0.0
    brier = row_squares(terms) / np.square(total)
    terms[rows, label] = held
    brier += np.square(np.expm1(-loss))  # p_y - 1, which keeps its digits where p_y rounds to 1
    return ClassOutcome(loss, held / total, predicted, 1.0 / total, brier, terms, total)


def _gaps(logits: Floats, predicted: Ints, *, exact: bool) -> tuple[Floats, Floats | None, Floats, Floats]:
    """Return z_j - z_m as d and e, Σ_{j≠m} exp(d_j)(1 + e_j), and its terms with 0 for m; m is the predicted class.

    exact: whether every e is 0, and None is returned for it.
    """
    rows = np.arange(len(logits))
    top = logits[rows, predicted][:, None]
    if exact:
        with np.errstate(over="ignore"):
            gap, error = logits - top, None
        terms = np.exp(gap)
    else:
        gap, error = two_difference(logits, top)
        terms = np.exp(gap)
        terms += terms * error
    terms[rows, predicted] = 0.0
    return gap, error, row_sums(terms), terms


def log_sum_exp(logs: Floats) -> Floats:
    """Return log Σ_j exp(logs_j) of every row: `(n, k) float64` to `(n,) float64`; -inf where all are."""
    top = logs.max(axis=1)
    safe = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        total: Floats = np.log(row_sums(np.exp(logs - safe[:, None]))) + safe
    return total


def most_after_softmax(k: int) -> float:
    """Return the largest probability in the softmax of K probabilities, e / (e + K - 1): that of a sure forecast."""
    return math.e / (math.e + k - 1)


def argmax(scores: Floats) -> Ints:
    """Return the column of the largest score of every row, the first of several; no score is NaN."""
    if scores.shape[1] > FEW_COLUMNS:
        best: Ints = scores.argmax(axis=1).astype(np.int64, copy=False)
        return best
    return _first_largest(np.ascontiguousarray(scores.T))[0]


def _first_largest(columns: Floats) -> tuple[Ints, Floats]:
    """Return the first column that has the largest score, and that score: in half of the time that numpy.argmax takes.

    It is how many columns come before it.
    """
    largest = columns.max(axis=0)
    before = np.ones(len(largest), dtype=np.bool_)
    count = np.zeros(len(largest), dtype=np.int8)
    for column in columns[:-1]:
        before &= column != largest
        count += before
    return count.astype(np.int64), largest


def pick(scores: Floats, column: Ints) -> Floats:
    """Return scores[i, column[i]] for every row i: `(n, k)` and `(n,) int64` to `(n,)`."""
    rows, k = scores.shape
    by_column = scores.flags.f_contiguous
    at = column * rows + np.arange(rows) if by_column else np.arange(0, rows * k, k) + column
    found: Floats = (scores.T if by_column else scores).reshape(-1).take(at)
    return found


def negative_log(prob: Floats) -> Floats:
    """Return -log p, +0.0 at 1 and `inf` at 0."""
    with np.errstate(divide="ignore"):
        loss = np.log(prob)
    return np.subtract(0.0, loss, out=loss)


def _brier(probs: Floats, label: Ints, prob_label: Floats) -> Floats:
    squares = _squares_beside(probs, label)
    squares += np.square(prob_label - 1.0)
    return squares


def _squares_beside(terms: Floats, label: Ints) -> Floats:
    """Return Σ_{c≠y} t_c² of every row."""
    others = terms.copy(order="K")
    others[np.arange(len(label)), label] = 0.0
    return row_squares(others)


def brier_of_shares(outcome: ClassOutcome, label: Floats, losses: Floats | None) -> Floats:
    """Return Σ_c (p_c - y_c)² for soft labels, `(n, k) float64`; for one-hot ones the same bits as for hard ones.

    losses: `(n, k) float64`, where p_c - 1 of a label of 1 is to be taken from them, as `from_logits` does; else None.
    """
    held = label > 0
    beside = row_squares(np.where(held, 0.0, outcome.terms))
    if outcome.total is not None:
        beside /= np.square(outcome.total)
    miss = np.where(held, outcome.probs - label, 0.0)
    if losses is not None:
        sure = label == 1.0
        miss[sure] = np.expm1(-losses[sure])
    return beside + row_squares(miss)
