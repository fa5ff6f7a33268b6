"""Losses of rows that have several binary labels each: one cell for every label.

A row has the mean over those of its cells that weigh anything, so its cells are one observation: they are of one and the
same thing, and depend on each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels.smoothing import product

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints


class RowLosses(NamedTuple):
    """What the cells of each row come to; `(n,)` each, losses in nats.

    mean: Σ_j a_j ℓ_j / Σ_j a_j over the cells j of the row with a_j > 0, `inf` where one of them is; 0 without any. weight:
    Σ_j a_j. total: Σ_j a_j ℓ_j. infinite: how many such cells have an infinite loss. finite_mean, finite_weight: the same
    over the cells whose loss is finite.
    """

    mean: Floats
    weight: Floats
    total: Floats
    infinite: Ints
    finite_mean: Floats
    finite_weight: Floats


def row_losses(losses: Floats, amount: Floats | None) -> RowLosses:
    """Return what the cells of each row come to.

    losses: `(n, k) float64`, nats, may be `inf`. amount: `(n, k) float64` >= 0, what each cell weighs; None for 1 each. A
    cell of amount 0 costs nothing, whatever its loss. A row has the same bits whatever stands beside it.
    """
    n, k = losses.shape
    weight = np.full(n, float(k)) if amount is None else amount.sum(axis=1)
    mean, total = _mean(losses, amount, weight)
    infinite = np.zeros(n, dtype=np.int64)
    finite_mean, finite_weight = mean, weight
    rows = np.flatnonzero(np.isposinf(total))
    if len(rows):
        some = losses[rows]
        amounts = np.ones_like(some) if amount is None else amount[rows].copy()
        endless = np.isposinf(some) & (amounts > 0)
        infinite[rows] = endless.sum(axis=1)
        amounts[endless] = 0.0
        finite_mean, finite_weight = mean.copy(), weight.copy()
        finite_weight[rows] = amounts.sum(axis=1)
        finite_mean[rows] = _mean(np.where(endless, 0.0, some), amounts, finite_weight[rows])[0]
    return RowLosses(mean, weight, total, infinite, finite_mean, finite_weight)


def _mean(losses: Floats, amount: Floats | None, weight: Floats) -> tuple[Floats, Floats]:
    """Return the means and the sums."""
    with np.errstate(over="ignore"):
        total = (losses if amount is None else product(amount, losses)).sum(axis=1)
        mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        huge = np.flatnonzero(np.isposinf(total))
        if len(huge):
            # Where only the sum is beyond the range of float64, the mean is not.
            shares = (np.ones_like(losses[huge]) if amount is None else amount[huge]) / weight[huge, None]
            mean[huge] = product(shares, losses[huge]).sum(axis=1)
    return mean, total
