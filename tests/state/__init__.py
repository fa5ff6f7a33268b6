"""What the tests of the states share: numbers at every end of float64, and the exact results they are held against."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable

# A strategy whose exponents, not whose values, are spread evenly, so that cancellation and lost bits are common.
sizes = st.one_of(
    st.builds(math.ldexp, st.floats(1.0, 2.0, exclude_max=True), st.integers(-1074, 1023)),
    st.sampled_from([0.0, 5e-324, 2.2250738585072014e-308, 1e-200, 3e-200, 0.1, 1.0, 2.0**53, 1e200, 1e308]),
    st.floats(0, 100),
)
finite = st.builds(math.copysign, sizes, st.sampled_from([1.0, -1.0]))
weights = st.one_of(
    st.floats(0.01, 10),
    st.builds(math.ldexp, st.floats(1.0, 2.0), st.integers(-990, 990)),
    st.just(1e-300),
    st.just(1e300),
)


def fractions(values: Iterable[float]) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


def weighted_mean(values: Iterable[float], weight: Iterable[float]) -> Fraction:
    """Return Σwx / Σw exactly."""
    by_weight = fractions(weight)
    products = (w * x for w, x in zip(by_weight, fractions(values), strict=True))
    return sum(products, Fraction(0)) / sum(by_weight)


def mixed(n: int, seed: int = 0) -> np.ndarray:
    """Return float64 values over all exponents, of both signs."""
    generator = np.random.default_rng(seed)
    values = np.ldexp(generator.uniform(1, 2, n), generator.integers(-1074, 1023, n))
    return np.where(generator.random(n) < 0.5, -values, values)
