"""Several tests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ce_cli.arrays import Floats


def adjusted(p: Floats) -> Floats:
    """Return p values, `(m,) float64` in [0, 1], adjusted for their number, in the same order.

    Whoever rejects all that are below a level errs in any of them with at most that probability, however they depend on each
    other. Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    result = np.empty(len(p))
    result[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return result
