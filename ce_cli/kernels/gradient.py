"""The gradient of a row's loss with respect to its logits: the probability less the share of the label.

With q_c = c_c y'_c, the smoothed share of class c times its weight, and Q = Σ q_c, the derivative of Σ q_c (-log p_c) by the
logit of class j is p_j Q - q_j. Divided by Σ Q over all rows that is the gradient of the mean.
Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs" (1990).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ce_cli.arrays import Floats


def of_classes(probs: Floats, losses: Floats, shares: Floats) -> Floats:
    """Return p_j Q - q_j: `(n, k) float64`.

    probs: `(n, k) float64`, rows that sum to 1. losses: `(n, k) float64`, -log p of every class. shares: `(n, k) float64`, q.
    Above p = 1/2 it is formed as Q·expm1(log p) + (Q - q_j), with Q - q_j the sum of the other q: so a sure row, whose p rounds
    to 1, keeps every digit.
    """
    rows = np.arange(len(probs))
    gradient: Floats = probs * shares.sum(axis=1)[:, None] - shares
    top = probs.argmax(axis=1)
    others = shares.copy()
    others[rows, top] = 0.0
    beside = others.sum(axis=1)
    with np.errstate(invalid="ignore"):  # 0 times the expm1 of a loss that is infinite
        sure = (beside + shares[rows, top]) * np.expm1(-losses[rows, top]) + beside
    gradient[rows, top] = np.where(probs[rows, top] > 0.5, sure, gradient[rows, top])
    gradient += 0.0
    return gradient


def of_positive(prob_negative: Floats, prob_positive: Floats, negative: Floats, positive: Floats) -> Floats:
    """Return p Q - q of the positive class of two: `(n,) float64`, for a single logit.

    prob_negative, prob_positive: `(n,) float64`, each with its own digits. negative, positive: `(n,) float64`, q. Formed as
    q₀ p₁ - q₁ p₀, in which nothing cancels where the label is hard.
    """
    gradient: Floats = negative * prob_positive - positive * prob_negative
    gradient += 0.0
    return gradient
