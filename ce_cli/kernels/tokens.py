"""Losses of tokens of which only the probability of the one that came is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.kernels.double import exp_of_sum, scaled_by_log

if TYPE_CHECKING:
    from ce_cli.arrays import Floats

_BLANKS = re.compile(r"\s+")


def from_logprobs(logprob: Floats, base: float | None) -> Floats:
    """Return the losses of log-probabilities, `(n,) float64`, nats.

    logprob: `(n,) float64` in [-inf, 0], to the base, None for e. The loss is -l ln(base), `inf` at -inf, never -0.0.
    """
    if base is None:
        return 0.0 - logprob
    high, low = scaled_by_log(logprob, base)
    return 0.0 - (high if low is None else high + low)


def probabilities(logprob: Floats, base: float | None) -> Floats:
    """Return the probabilities of log-probabilities, `(n,) float64` in [-inf, 0] each, to the base, None for e."""
    return exp_of_sum(*scaled_by_log(logprob, base))


def from_probabilities(prob: Floats) -> Floats:
    """Return the losses -log p, `(n,) float64`, nats, `inf` at p = 0, of probabilities in [0, 1]."""
    with np.errstate(divide="ignore"):
        return -np.log(prob) + 0.0


def words(text: str) -> int:
    r"""Return the number of pieces between blanks, as word perplexity counts them: those of splitting at `\s+`.

    A text that begins or ends with blanks has an empty piece there. Source: lm-evaluation-harness, `loglikelihood_rolling`
    tasks, which divide by this number.
    """
    return len(_BLANKS.split(text))
