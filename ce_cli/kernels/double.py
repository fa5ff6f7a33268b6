"""Error-free transformations: what a float64 operation rounds away, as a second float64.

Sources: Knuth, The Art of Computer Programming 2, 4.2.2 (TwoSum); Dekker, "A floating-point technique for extending the
available precision" (1971) and Veltkamp (splitting, TwoProduct).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ce_cli.arrays import Floats

_SPLITTER = 134217729.0  # 2**27 + 1
_MANTISSA = (1 << 52) - 1
_SMALLEST_NORMAL = 2.0**-1022
_SIGNIFICANT_SINGLE = 24  # bits of a float32

# ln(base) as an unevaluated sum of two float64: the digits beyond the first 53 bits, by 60-digit arithmetic.
_LOG_OF_BASE = {
    2.0: (0.6931471805599453, 2.3190468138462996e-17),
    10.0: (2.302585092994046, -2.1707562233822494e-16),
}


def two_difference(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return d, e with d = fl(a - b) and d + e = a - b exactly; e is 0 where d is not finite.

    a, b: float64 arrays that broadcast; the result has the broadcast shape.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        difference = a - b
        b_rounded = a - difference
        error = difference + b_rounded
        np.subtract(a, error, out=error)
        np.subtract(b_rounded, b, out=b_rounded)
        error += b_rounded
    finite = np.isfinite(error)
    if not finite.all():
        error[~finite] = 0.0
    return difference, error


def differences_are_exact(values: npt.NDArray[np.float32] | Floats) -> bool:
    """Tell, without looking at any of them, that all differences of finite values are float64 numbers; False where in doubt.

    values: float32 or float64. They are where all values are multiples of one unit and below 2**52 of it, as those that were
    float16 or float32 mostly are.
    """
    size = np.abs(values)
    least, largest = float(size.min(initial=np.inf)), float(size.max(initial=0.0))
    if least == 0.0:
        least = float(size[size > 0].min(initial=np.inf))
    if largest == np.inf:
        largest = float(size[size < np.inf].max(initial=0.0))
    if not least <= largest:  # no value is finite and not 0
        return not np.isnan(largest)
    if least < _SMALLEST_NORMAL:
        return False
    if values.dtype == np.float32:
        significant = _SIGNIFICANT_SINGLE
    else:
        bits = int(np.bitwise_or.reduce(values.view(np.int64), axis=None)) & _MANTISSA
        significant = 54 - (bits & -bits).bit_length() if bits else 1
    # In units of the last significant bit of the least value, the difference of the largest is below 2**(…).
    return math.frexp(largest)[1] + 1 - math.frexp(least)[1] + significant <= 53


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return p, e with p = fl(a * b) and p + e = a * b exactly.

    a, b: float64 arrays of one shape, magnitudes where neither the splitting (2**995) nor the product (2**±960) leaves the
    normal range.
    """
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = (a_high, a_low) if b is a else _split(b)
    error = a_high * b_high - product
    error += a_high * b_low
    error += a_low * b_high
    error += a_low * b_low
    return product, error


def scaled_by_log(values: Floats, base: float | None) -> tuple[Floats, Floats | None]:
    """Return values * ln(base) as high + low; low is None for base e (None), where the values are themselves.

    The second part matters under exp(): at -700 the rounding of the product alone would cost hundreds of ulp.
    """
    if base is None:
        return values.copy(), None
    log_high, log_low = _LOG_OF_BASE[base]
    finite = np.where(np.isfinite(values) & (np.abs(values) < 1e290), values, 0.0)
    high, low = two_product(finite, np.full_like(finite, log_high))
    low += finite * log_low
    with np.errstate(over="ignore"):
        return np.where(finite == values, high, values * log_high), low


def exp_of_sum(high: Floats, low: Floats | None) -> Floats:
    """Return exp(high + low) for a low that is tiny beside 1 (None: 0)."""
    result = np.exp(high)
    if low is not None:
        result += result * low
    return result


def log_of_base(base: float | None) -> float:
    """Return ln(base), 1.0 for base e (None): what a loss in nats is divided by to have it in bits or bans."""
    return 1.0 if base is None else math.log(base)


def _split(a: Floats) -> tuple[Floats, Floats]:
    scaled = a * _SPLITTER
    high = scaled - a
    np.subtract(scaled, high, out=high)
    return high, a - high
