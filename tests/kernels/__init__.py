"""What the kernels' tests share: an oracle with thousands of bits, and a measure of the distance from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mpmath
import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# exp(-745) is 2**-1075, and 1 - exp(-745) must be told from 1.
BITS = 2400
LARGEST = mpmath.mpf(np.finfo(np.float64).max)
MOST_ULPS = 4.0


def exact(value: float) -> mpmath.mpf:
    return mpmath.mpf(float(value))


def ulps(got: float, expected: mpmath.mpf) -> float:
    """Return the distance of a float64 from the exact value in units of its last place; inf for a wrong infinity or sign."""
    if math.isnan(got) or math.copysign(1.0, got) < 0:
        return math.inf
    overflows = mpmath.isinf(expected) or expected >= LARGEST + exact(math.ulp(float(LARGEST))) / 2
    if math.isinf(got) or overflows:
        return 0.0 if math.isinf(got) and overflows else math.inf
    return float(abs(exact(got) - expected) / exact(math.ulp(float(expected))))


def relative(got: float, expected: mpmath.mpf) -> float:
    """Return the relative error; an error below the smallest subnormals does not count."""
    error = abs(exact(got) - expected)
    return 0.0 if error <= exact(5e-324) * 4 else float(error / expected) if expected else math.inf


def assert_within(
    got: Iterable[float], expected: Iterable[mpmath.mpf], inputs: Sequence[object], most: float = MOST_ULPS
):
    """Hold every value against its exact one."""
    for value, wanted, given in zip(got, expected, inputs, strict=True):
        distance = ulps(float(value), wanted)
        assert distance <= most, f"{given!r}: {float(value)!r} is {distance} ulp from {mpmath.nstr(wanted, 25)}"


def assert_relative(
    got: Iterable[float], expected: Iterable[mpmath.mpf], inputs: Sequence[object], most: float = 1e-15
):
    """Hold every probability or square against its exact one."""
    for value, wanted, given in zip(got, expected, inputs, strict=True):
        error = relative(float(value), wanted)
        assert error <= most, f"{given!r}: {float(value)!r} is off {mpmath.nstr(wanted, 25)} by {error} of it"


def minus_log(prob: mpmath.mpf) -> mpmath.mpf:
    return mpmath.inf if prob == 0 else -mpmath.log(prob)


def softplus(gap: mpmath.mpf) -> mpmath.mpf:
    """Return log(1 + exp(gap)), from a form that is right at any size."""
    if gap == -mpmath.inf:
        return mpmath.mpf(0)
    if gap == mpmath.inf:
        return mpmath.inf
    return max(gap, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(gap)))


def logistic(gap: mpmath.mpf) -> mpmath.mpf:
    """Return 1 / (1 + exp(-gap))."""
    if mpmath.isinf(gap):
        return mpmath.mpf(1 if gap > 0 else 0)
    small = mpmath.exp(-abs(gap))
    return (1 if gap >= 0 else small) / (1 + small)


def any_exponent(least: int = -1074, most: int = 1023) -> st.SearchStrategy[float]:
    """Draw positive floats whose exponents, not whose values, are spread evenly."""
    return st.builds(
        lambda mantissa, exponent: math.ldexp(mantissa, exponent),
        st.floats(1.0, 2.0, exclude_max=True),
        st.integers(least, most),
    ).filter(lambda value: value > 0)


def splits(n: int) -> Iterator[list[slice]]:
    """Yield the cuts of n rows into blocks of 1, 2, 7 and 64 rows, and the whole."""
    for size in (1, 2, 7, 64, n):
        yield [slice(start, start + size) for start in range(0, n, size)]


def assert_rows_stand_alone(kernel: Callable[..., tuple[np.ndarray, ...]], *arrays: np.ndarray):
    """Hold that no row's result depends on the rows around it, on its position, or on the size of the block."""
    n = len(arrays[0])
    whole = kernel(*(array.copy() for array in arrays))
    for cuts in splits(n):
        parts = [kernel(*(np.ascontiguousarray(array[cut]) for array in arrays)) for cut in cuts]
        for field, expected in zip(zip(*parts, strict=True), whole, strict=True):
            if expected is None:
                assert field == (None,) * len(parts)
                continue
            assert np.concatenate(field).tobytes() == expected.tobytes()
    order = np.random.default_rng(1).permutation(n)
    for got, expected in zip(kernel(*(array[order] for array in arrays)), whole, strict=True):
        assert got is expected is None or got.tobytes() == expected[order].tobytes()
