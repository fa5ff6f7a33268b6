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
    """Return the shares of the label's own class and of each other class.

    kind: "uniform", (1-ε) y + ε/K (Szegedy et al. 2016), or "others", 1-ε on the label and ε/(K-1) on each other class.
    """
    each = smoothing / k if kind == "uniform" else smoothing / (k - 1)
    return (1.0 - smoothing + each, each) if kind == "uniform" else (1.0 - smoothing, each)


def one_hot(label: Ints, k: int) -> Floats:
    """Return a share of 1 for the class of every row: `(n, k) float64`; label: `(n,) int64`, from 0 to k - 1."""
    shares = np.zeros((len(label), k))
    shares[np.arange(len(label)), label] = 1.0
    return shares


def smoothed_binary(label: Floats, smoothing: float, kind: str) -> tuple[Floats, Floats]:
    """Return the smoothed shares of the negative and the positive class: `(n,) float64` each.

    label: `(n,) float64` in [0, 1]. Neither share is formed as 1 less the other, which would lose the digits of a small one.
    """
    own, other = spread(smoothing, kind, 2)
    return own * (1.0 - label) + other * label, own * label + other * (1.0 - label)


def binary_objective(
    shares: tuple[Floats, Floats],
    loss_negative: Floats,
    loss_positive: Floats,
    class_weights: tuple[float, ...] | None,
) -> tuple[Floats, Floats | None]:
    """Return the loss and the weight of rows with a soft binary label.

    shares: `(n,) float64` each, what `smoothed_binary` returns. loss_negative, loss_positive: `(n,) float64`, nats.
    class_weights: (negative, positive), None for 1 each: then the weight is None. A share of 0 costs nothing, also where
    the loss is infinite.
    """
    negative, positive = (1.0, 1.0) if class_weights is None else class_weights
    share_negative, share_positive = shares[0] * negative, shares[1] * positive
    if class_weights is None:
        return product(share_negative, loss_negative) + product(share_positive, loss_positive), None
    weight = share_negative + share_positive
    share_negative, share_positive = _divided(share_negative, weight), _divided(share_positive, weight)
    return product(share_negative, loss_negative) + product(share_positive, loss_positive), weight


def smoothed_shares(label: Floats, smoothing: float, kind: str) -> Floats:
    """Return smoothed soft labels: `(n, k) float64` to the same. A share y becomes own·y + other·(1-y)."""
    own, other = spread(smoothing, kind, label.shape[1])
    shares: Floats = own * label + other * (1.0 - label)
    return shares


def soft_objective(
    shares: Floats, losses: Floats, class_weights: tuple[float, ...] | None
) -> tuple[Floats, Floats | None]:
    """Return the loss and the weight of rows with a share for every class; overwrites `shares`.

    shares, losses: `(n, k) float64`. class_weights: `k` numbers, None for 1 each: then the weight is None.
    """
    if class_weights is None:
        return product(shares, losses).sum(axis=1), None
    shares *= np.array(class_weights)
    weight = shares.sum(axis=1)
    return product(_divided(shares, weight[:, None]), losses).sum(axis=1), weight


def class_objective(
    label: Ints,
    loss: Floats,
    losses: Floats | None,
    own: float,
    other: float,
    class_weights: tuple[float, ...] | None,
) -> tuple[Floats, Floats | None]:
    """Return the loss and the weight of rows with one label each.

    label: `(n,) int64`. loss: `(n,) float64`, nats, of the label. losses: `(n, k) float64`, of every class; None without
    smoothing. own, other: what `spread` returns. class_weights: `k` numbers, None for 1 each.
    """
    if losses is None:
        return loss, None if class_weights is None else np.array(class_weights)[label]
    shares = np.full(losses.shape, other)
    shares[np.arange(len(label)), label] = own
    return soft_objective(shares, losses, class_weights)


def product(share: Floats, loss: Floats) -> Floats:
    """Return share * loss with 0 * inf = 0."""
    return np.multiply(share, loss, out=np.zeros(np.broadcast_shapes(share.shape, loss.shape)), where=share > 0)


def _divided(share: Floats, weight: Floats) -> Floats:
    """Return share / weight, 0 where the weight is: divided before the loss comes in, small products keep their digits."""
    return np.divide(share, weight, out=np.zeros_like(share), where=weight > 0)
