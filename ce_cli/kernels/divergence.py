"""Entropy of soft labels, and how far probabilities are from them.

Sources: Kullback & Leibler, "On information and sufficiency" (1951); Lin, "Divergence measures based on the Shannon
entropy" (1991) for the Jensen-Shannon divergence, of which this is the divergence itself and not its root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ce_cli.arrays import Floats


class Divergence(NamedTuple):
    """What soft labels are judged by beside the loss, `(n,) float64` each, nats."""

    label_entropy: Floats
    kl_divergence: Floats
    js_divergence: Floats


def divergence(label: Floats, probs: Floats, losses: Floats) -> Divergence:
    """Compare labels with probabilities.

    label: `(n, k) float64` >= 0. probs: `(n, k) float64`. losses: `(n, k) float64`, -log p of every class, `inf` where p is
    0. With 0·log 0 = 0:

    - label_entropy: -Σ y log y
    - kl_divergence: Σ y log(y/p) - y + p, of which no term is negative; `inf` where p is 0 and y is not
    - js_divergence: half of Σ y log(y/m) + Σ p log(p/m) with m = (y + p)/2, within [0, ln 2] for labels and probabilities
      that sum to 1
    """
    logs = np.log(label, out=np.zeros_like(label), where=label > 0)
    own = label * logs
    terms = np.multiply(label, losses + logs, out=np.zeros_like(label), where=label > 0)
    terms += probs - label
    entropy = 0.0 - own.sum(axis=1)
    return Divergence(entropy, np.maximum(terms, 0.0).sum(axis=1), _jensen_shannon(label, probs))


def _jensen_shannon(label: Floats, probs: Floats) -> Floats:
    """Return ½ Σ [y log(2y/(y+p)) + p log(2p/(y+p))], each log by log1p of (y-p)/(y+p), which is small where y is near p."""
    total = label + probs
    gap = np.divide(label - probs, total, out=np.zeros_like(total), where=total > 0)
    above = np.multiply(
        label, np.log1p(gap, out=np.zeros_like(gap), where=gap > -1), where=label > 0, out=np.zeros_like(gap)
    )
    below = np.multiply(
        probs, np.log1p(-gap, out=np.zeros_like(gap), where=gap < 1), where=probs > 0, out=np.zeros_like(gap)
    )
    half: Floats = np.maximum(0.5 * (above + below).sum(axis=1), 0.0)
    return half
