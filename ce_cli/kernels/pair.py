"""Losses of a binary label, from one score for each of the two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.kernels.binary import BinaryOutcome
from ce_cli.kernels.double import exp_of_sum, scaled_by_log, two_difference
from ce_cli.kernels.multiclass import negative_log
from ce_cli.kernels.select import choose, mask_of, parted

if TYPE_CHECKING:
    from ce_cli.arrays import Floats


def from_probabilities(negative: Floats, positive: Floats) -> BinaryOutcome:
    """Losses -log p of each class's own probability.

    negative, positive: `(n,) float64` in [0, 1]; losses in nats, `inf` at 0.
    """
    return BinaryOutcome(negative_log(negative), negative_log(positive), negative, positive)


def from_logprobs(negative: Floats, positive: Floats, base: float | None = None) -> BinaryOutcome:
    """Losses -log p of log-probabilities to `base` (None: e), taken as they are.

    negative, positive: `(n,) float64` in [-inf, 0]; losses in nats.
    """
    (low_n, rest_n), (low_p, rest_p) = scaled_by_log(negative, base), scaled_by_log(positive, base)
    return BinaryOutcome(-low_n + 0.0, -low_p + 0.0, exp_of_sum(low_n, rest_n), exp_of_sum(low_p, rest_p))


def from_logits(negative: Floats, positive: Floats) -> BinaryOutcome:
    """Losses of two logits: log1p(exp(-gap)) for the larger, gap more for the smaller.

    negative, positive: `(n,) float64`, finite or -inf, not both -inf; losses in nats, `inf` where the gap exceeds float64.
    The rounding error of the gap enters as exp(d)(1 + e), as for K classes.
    """
    gap, error = two_difference(positive, negative)
    size = np.abs(gap)
    above = mask_of(gap >= 0)
    towards = choose(above, error, -error)  # what |positive - negative| is beyond `size`
    tail = np.exp(-size)
    tail -= tail * towards
    common = np.log1p(tail)
    far = size + (towards + common)
    larger, smaller = 1.0 / (1.0 + tail), tail / (1.0 + tail)
    return BinaryOutcome(
        *parted(above, far, common),
        *parted(above, smaller, larger),
    )
