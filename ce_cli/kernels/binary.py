"""Losses of a binary label, from the score of the positive class.

Each function returns both losses of every row, the one it would have with the negative and the one with the positive
label, because a soft label needs both. Every loss is within a few ulp of the exact one over the whole range of float64:
each form below is chosen so that nothing cancels.

Source of the formulas: Mächler, "Accurately computing log(1 - exp(-|a|))" (2012), for log1p and expm1 in place of
differences near 1; softplus(x) = max(x, 0) + log1p(exp(-|x|)).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.double import exp_of_sum, log_of_base, scaled_by_log
from ce_cli.kernels.select import mask_of, parted

if TYPE_CHECKING:
    from ce_cli.arrays import Floats

_LN2 = 0.6931471805599453
_SUBNORMAL = -1e-300  # above this a product with ln(base) would lose bits, and 1 - p is -log p to the last one


class BinaryOutcome(NamedTuple):
    """Both sides of every row, `(n,) float64` each; losses in nats, never -0.0, `inf` where a probability is 0."""

    loss_negative: Floats
    loss_positive: Floats
    prob_negative: Floats
    prob_positive: Floats


def from_probabilities(prob: Floats) -> BinaryOutcome:
    """Losses of probabilities.

    prob: `(n,) float64` in [0, 1]. Positive: -log p, `inf` at p = 0. Negative: -log1p(-p), `inf` at p = 1.
    """
    with np.errstate(divide="ignore"):
        positive = np.log(prob)
        negative = np.negative(prob)
        np.log1p(negative, out=negative)
    return BinaryOutcome(_negated(negative), _negated(positive), 1.0 - prob, prob)


def from_logits(logit: Floats) -> BinaryOutcome:
    """Losses of logits (log-odds of the positive class).

    logit: `(n,) float64`, finite or -inf. Positive: softplus(-z), `inf` at z = -inf. Negative: softplus(z).
    """
    tail = np.exp(-np.abs(logit))
    common = np.log1p(tail)
    larger, smaller = 1.0 / (1.0 + tail), tail / (1.0 + tail)
    above = mask_of(logit >= 0)
    return BinaryOutcome(
        np.maximum(logit, 0.0) + common,
        np.maximum(-logit, 0.0) + common,
        *parted(above, smaller, larger),
    )


def from_logprobs(logprob: Floats, base: float | None = None) -> BinaryOutcome:
    """Losses of log-probabilities of the positive class.

    logprob: `(n,) float64` in [-inf, 0], to `base` (None: e). Positive: -log p. Negative: -log(1 - exp(log p)), by expm1
    above -ln 2 and by log1p below; `inf` at log p = 0.
    """
    high, low = scaled_by_log(logprob, base)
    prob = exp_of_sum(high, low)
    with np.errstate(divide="ignore"):
        prob_negative = 0.0 - np.expm1(high)
        near_one = np.where(high > _SUBNORMAL, np.log(-logprob) + math.log(log_of_base(base)), np.log(prob_negative))
        negative = np.where(high > -_LN2, near_one, np.log1p(-prob))
    return BinaryOutcome(_negated(negative), _negated(high), prob_negative, prob)


def _negated(values: Floats) -> Floats:
    """Return -values with +0.0 for every zero; overwrites its argument."""
    return np.subtract(0.0, values, out=values)
