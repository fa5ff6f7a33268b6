"""The ratio of two sums over independent observations, each of which adds to both: a mean by tokens of sequences, say."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root
from ce_cli.state.products import add_pairs, factor

if TYPE_CHECKING:
    from ce_cli.arrays import Floats


class Ratio(NamedTuple):
    """Σa / Σb, None where it is infinite, and its standard error, if there are two observations."""

    value: Fraction | None
    error: float | None


def ratio_variance(upper: Floats, lower: Floats, ratio: Fraction, whole: Fraction) -> Fraction | None:
    """Return C/(C-1) Σ (a - μb)² / (Σb)², of C observations a and b, `(C,) float64` each; None for fewer than two.

    ratio: μ. whole: Σb. The products are summed exactly, so that no order of the observations changes a bit. Source: Cochran,
    "Sampling Techniques" (1977), section 6.
    """
    count = len(upper)
    if count < 2:
        return None
    products = {(0, 0): ExactSums(), (0, 1): ExactSums(), (1, 1): ExactSums()}
    add_pairs([factor(upper), factor(lower)], products)
    aa, ab, bb = (one.total() for one in products.values())
    return Fraction(count, count - 1) * (aa - 2 * ratio * ab + ratio**2 * bb) / whole**2


def ratio_of(upper: Floats, lower: Floats) -> Ratio:
    """Return the ratio of two sums of finite values, `(C,) float64` each, the second positive, and its standard error."""
    whole = total_of(lower)
    ratio = total_of(upper) / whole
    variance = ratio_variance(upper, lower, ratio, whole)
    return Ratio(ratio, None if variance is None else square_root(variance))


def total_of(values: Floats) -> Fraction:
    """Return the exact sum of finite values, `(n,) float64`."""
    sums = ExactSums()
    sums.add(values)
    return sums.total()
