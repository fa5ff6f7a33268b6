"""From exact fractions to the nearest float64."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOT_BITS = 128


def to_float(value: Fraction) -> float:
    """Return the nearest float64, ±inf beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def entropy(shares: Iterable[float]) -> float:
    """Return the entropy of shares that sum to 1, nats; one that is too small for a float64, and thus 0, has none."""
    return math.fsum(-share * math.log(share) for share in shares if share) + 0.0


def square_root(value: Fraction) -> float:
    """Return √value for value >= 0, from a root of at least 64 bits."""
    if value < 0:
        raise ValueError(f"expected a value of at least 0, but got {value}")
    if value == 0:
        return 0.0
    size = value.numerator.bit_length() - value.denominator.bit_length()
    half = max(0, (_ROOT_BITS - size + 1) // 2)
    root = math.isqrt((value.numerator << 2 * half) // value.denominator)
    return to_float(Fraction(root, 1 << half))
