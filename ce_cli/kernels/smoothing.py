"""Label smoothing and class weights: the loss of a label that is spread over classes which do not weigh the same.

With y' the smoothed label and c the class weights, a row has the loss Σ_c c_c y'_c (-log p_c) / Σ_c c_c y'_c and weighs
Σ_c c_c y'_c. On unsmoothed one-hot labels that is the loss of the label, weighing what its class does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints


def spread(smoothing: float, kind: str, k: int) -> tuple[float, float]:
    """Return a, b so that the smoothed label is a on the label, plus b on every class.

    kind: "uniform", (1-ε) y + ε/K (Szegedy et al. 2016), or "others", 1-ε on the label and ε/(K-1) on each other class.
    """
    each = smoothing / k if kind == "uniform" else smoothing / (k - 1)
    return (1.0 - smoothing, each) if kind == "uniform" else (1.0 - smoothing - each, each)


def smoothed_binary(label: Floats, smoothing: float, kind: str) -> Floats:
    """Return the smoothed probability of the positive class: `(n,) float64`; label: `(n,) float64` in [0, 1]."""
    on_label, on_each = spread(smoothing, kind, 2)
    return on_label * label + on_each


def binary_objective(
    label: Floats, loss_negative: Floats, loss_positive: Floats, class_weights: tuple[float, ...] | None
) -> tuple[Floats, Floats | None]:
    """Return the loss and the weight of rows with a soft binary label.

    label: `(n,) float64`, the probability of the positive class. loss_negative, loss_positive: `(n,) float64`, nats.
    class_weights: (negative, positive), None for 1 each: then the weight is None. A share of 0 costs nothing, also where
    the loss is infinite.
    """
    negative, positive = (1.0, 1.0) if class_weights is None else class_weights
    share_negative, share_positive = (1.0 - label) * negative, label * positive
    total = _product(share_negative, loss_negative) + _product(share_positive, loss_positive)
    if class_weights is None:
        return total, None
    weight = share_negative + share_positive
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0), weight


def class_objective(
    label: Ints,
    loss: Floats,
    losses: Floats | None,
    on_label: float,
    on_each: float,
    class_weights: tuple[float, ...] | None,
) -> tuple[Floats, Floats | None]:
    """Return the loss and the weight of rows with one label each.

    label: `(n,) int64`. loss: `(n,) float64`, nats, of the label. losses: `(n, k) float64`, of every class; None without
    smoothing (on_each = 0). on_label, on_each: what `spread` returns. class_weights: `k` numbers, None for 1 each.
    """
    if losses is None:
        return loss, None if class_weights is None else np.array(class_weights)[label]
    if class_weights is None:
        return _product(np.full(len(loss), on_label), loss) + on_each * losses.sum(axis=1), None
    weights = np.array(class_weights)
    own = on_label * weights[label]
    total = _product(own, loss) + on_each * _product(np.broadcast_to(weights, losses.shape), losses).sum(axis=1)
    weight = own + on_each * weights.sum()
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0), weight


def _product(share: Floats, loss: Floats) -> Floats:
    """Return share * loss with 0 * inf = 0."""
    return np.multiply(share, loss, out=np.zeros(np.broadcast_shapes(share.shape, loss.shape)), where=share > 0)
