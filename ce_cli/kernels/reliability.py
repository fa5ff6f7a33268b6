"""How far predicted probabilities are from observed frequencies, and what part of a loss is due to it."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.smoothing import product

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints


class Decomposition(NamedTuple):
    """A mean loss in three parts, nats: score = miscalibration - discrimination + uncertainty.

    score: may be infinite, and so is the miscalibration then. steps: how many different rates the recalibrated
    probabilities take.
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    steps: int


class Forecasts(NamedTuple):
    """Probabilities of an event and what happened, `(n,) float64` each.

    prob: in [0, 1]. loss_positive, loss_negative: -log p and -log(1 - p), nats. outcome: in [0, 1]. weight: above 0.
    """

    prob: Floats
    loss_positive: Floats
    loss_negative: Floats
    outcome: Floats
    weight: Floats


def wilson(rate: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the score interval of a rate observed in n independent trials (Wilson 1927), within [0, 1].

    rate: in [0, 1]. n: above 0; not a whole number where rows are weighted. Infinite nowhere; 0 and 1 are bounds where no
    trial, or every trial, was a success.
    """
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    centre, spread = rate + z2 / (2 * n), math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n)))
    lower = 0.0 if rate == 0 else max(0.0, (centre - spread) / (1 + z2 / n))
    upper = 1.0 if rate == 1 else min(1.0, (centre + spread) / (1 + z2 / n))
    return lower, upper


def equal_mass(prob: Floats, weight: Floats, bins: int) -> Ints:
    """Return the bin of each row, from 0, so that bins have the same weight as nearly as equal probabilities allow.

    prob, weight: `(n,) float64`. The upper edge of bin k is the lowest probability up to which the rows have (k + 1)/bins
    of the weight, and belongs to the bin; bins may stay empty.
    """
    order = np.argsort(prob, kind="stable")
    ordered = prob[order]
    reached = np.cumsum(weight[order])
    # The sum is rounded: what misses an edge by that much has reached it.
    goals = reached[-1] * (np.arange(1, bins) / bins) * (1 - 1e-12)
    edges = ordered[np.searchsorted(reached, goals)]
    return np.searchsorted(edges, prob)


def decomposition(rows: Forecasts) -> Decomposition:
    """Return the CORP decomposition of the mean log loss.

    With r the isotonic regression of the outcomes on the probabilities (equal ones pooled first) and c the mean outcome, the
    miscalibration is S(p) - S(r), the discrimination S(c) - S(r), the uncertainty S(c). Neither of the first two is
    negative. Where r is 0 or 1 the outcomes are all alike there, so S(r) and S(c) are finite.

    Source: Dimitriadis, Gneiting and Jordan, "Stable reliability diagrams for probabilistic classifiers" (2021).
    """
    total = float(rows.weight.sum())
    score = _mean_loss(rows, total)
    positive, negative = rows.weight * rows.outcome, rows.weight * (1.0 - rows.outcome)
    # Where probabilities round to 1, their complements still tell them apart.
    order = np.lexsort((rows.loss_negative, rows.prob))
    starts = _starts(rows.prob[order], rows.loss_negative[order])
    positive, negative = np.add.reduceat(positive[order], starts), np.add.reduceat(negative[order], starts)
    blocks = _pooled(positive, negative)
    recalibrated = _entropies(np.add.reduceat(positive, blocks), np.add.reduceat(negative, blocks)) / total
    uncertainty = _entropies(positive.sum(keepdims=True), negative.sum(keepdims=True)) / total
    return Decomposition(
        score,
        max(0.0, score - recalibrated),
        max(0.0, uncertainty - recalibrated),
        uncertainty,
        len(blocks),
    )


def _mean_loss(rows: Forecasts, total: float) -> float:
    losses = product(rows.outcome, rows.loss_positive) + product(1.0 - rows.outcome, rows.loss_negative)
    return float((rows.weight * losses).sum()) / total


def _starts(*keys: Floats) -> Ints:
    """Return where each run of equal keys begins."""
    new = np.zeros(len(keys[0]), dtype=np.bool_)
    new[0] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new)


def _pooled(positive: Floats, negative: Floats) -> Ints:
    """Return where each block of the isotonic regression of the rates P/(P + N) begins.

    Blocks are pooled with the one before as long as that has no lower rate (Ayer et al. 1955). Each row is pooled once at
    most, so a plain loop does.
    """
    starts: list[int] = []
    rates: list[float] = []
    sums: list[tuple[float, float]] = []
    for start, (hits, weight) in enumerate(zip(positive.tolist(), (positive + negative).tolist(), strict=True)):
        first, rate = start, hits / weight
        while rates and rates[-1] >= rate:
            rates.pop()
            first, (more, other) = starts.pop(), sums.pop()
            hits, weight = hits + more, weight + other
            rate = hits / weight
        starts.append(first)
        rates.append(rate)
        sums.append((hits, weight))
    return np.array(starts, dtype=np.int64)


def _entropies(positive: Floats, negative: Floats) -> float:
    """Return Σ -[P log(P/(P + N)) + N log(N/(P + N))] with 0 log 0 = 0: the loss of the best constant in every block."""
    weight = positive + negative
    total = np.zeros_like(weight)
    for part in (positive, negative):
        there = part > 0
        total[there] -= part[there] * np.log(part[there] / weight[there])
    return float(total.sum()) + 0.0
