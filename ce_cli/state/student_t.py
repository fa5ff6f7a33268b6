"""The quantile of Student's t, for confidence intervals, and its tails, for tests.

Without scipy: importing scipy costs more than a small evaluation.

Sources: Abramowitz & Stegun, "Handbook of Mathematical Functions" (A&S); NIST Digital Library of Mathematical
Functions (DLMF). With y = t²/(df + t²), x = 1 - y and f the density, the incomplete beta functions of DLMF 8.17 give
the two parts of the probability above 0, and t f(t) is the factor that both share:

    P(0 < T < t) = I_y(1/2, df/2) / 2 = t f(t) S(t)
    P(T > t)     = I_x(df/2, 1/2) / 2 = t f(t) K(t) / df

S is a series of positive terms, fast for small t; K is a continued fraction, fast for large t.
"""

from __future__ import annotations

import math
import sys
from statistics import NormalDist

# Below this upper tail the continued fraction is the faster and the more accurate of the two, above it the series.
_LARGEST_TAIL = 0.025

# Where x is so near to 1 that its rounding shows, and how far the expansion holds: beyond, tails are below 1e-300.
_NORMAL_DF = 1e6
_LARGEST_T = 100.0

# The same for a given t: from here on the fraction converges for every df.
_SERIES_BELOW = 2.0

# From here on four terms of the asymptotic ratio of two gammas are exact; far below, no gamma overflows.
_LARGE_DF = 100

# The first neglected term of the Cornish-Fisher expansion is about 7e-5 (z²/df)⁵ for large z.
_EXPANSION_MIN_DF = 1000
_EXPANSION_MAX_RATIO = 1 / 200

# Newton's error after a step is of the order of the step's square, so that the last step taken may be this large.
_LAST_STEP = 1e-8
_MAX_STEPS = 50

# Fewer than 50 are needed; the limit is for a factor that might never round to 1, when the rest is rounding anyway.
_MAX_FRACTION_TERMS = 500

_EPSILON = sys.float_info.epsilon


def t_quantile(probability: float, df: float) -> float:
    """Return the t with P(T <= t) = `probability`, for Student's t with `df` degrees of freedom.

    Domain: 0 < probability < 1 and df >= 1; `ValueError` elsewhere. The relative error is below 2e-14, also next to
    1/2, and below 1e-13 for probabilities down to 5e-324; exactly 0 at 1/2, and odd about it. Infinite only where the
    quantile exceeds the largest double (df = 1 and a probability below 2e-309).
    Source: DLMF 8.17.8 and 8.17.22 inverted by Newton's method; A&S 26.7.5 where z²/df is small.
    """
    if not 0 < probability < 1:
        raise ValueError(f"expected a probability between 0 and 1, but got {probability}")
    if not df >= 1:
        raise ValueError(f"expected at least 1 degree of freedom, but got {df}")
    if probability == 0.5:
        return 0.0
    # No rounding: the tail is always exact, and so is the distance from the centre wherever it is the smaller.
    tail = min(probability, 1 - probability)
    centre = abs(probability - 0.5)
    return math.copysign(_positive_quantile(tail, centre, df), probability - 0.5)


def t_two_sided(t: float, df: float) -> float:
    """Return P(|T| > |t|) for Student's t with `df` > 0 degrees of freedom, which need not be a whole number.

    The relative error is below 2e-11 for results from 1e-50 on; 0 where the probability is below the range of float64
    or t is infinite.
    Source: DLMF 8.17.8 and 8.17.22; for large df the normal tail at the inverse of A&S 26.7.5.
    """
    t = abs(t)
    if t == 0:
        return 1.0
    if df > _NORMAL_DF:
        s = t * t
        z = t * (1 - (s + 1) / (4 * df) + ((13 * s + 8) * s + 3) / (96 * df * df))
        return math.erfc(z / math.sqrt(2)) if t < _LARGEST_T else 0.0
    ratio = t / math.sqrt(df)
    log_tf = math.log(t) + _log_density_constant(df) - (df + 1) / 2 * math.log1p(ratio * ratio)
    if t < _SERIES_BELOW:
        return 1 - 2 * math.exp(log_tf) * _centre_series(t, df)
    if math.isinf(ratio * ratio):
        return 0.0
    return 2 * math.exp(log_tf) * _tail_fraction(t, df) / df


def _positive_quantile(tail: float, centre: float, df: float) -> float:
    """Return the t > 0 with P(T > t) = tail and P(0 < T < t) = centre."""
    if df == 1:
        return math.tan(math.pi * centre) if centre < tail else 1 / math.tan(math.pi * tail)
    if df == 2:
        return centre * math.sqrt(2) / math.sqrt(tail * (1 - tail))
    z = -NormalDist().inv_cdf(tail)
    if df >= _EXPANSION_MIN_DF and z * z <= _EXPANSION_MAX_RATIO * df:
        return _cornish_fisher(z, df)
    return _solve(tail, centre, df, start=_wallace(z, df))


def _cornish_fisher(z: float, df: float) -> float:
    """Return t from the normal quantile z by A&S 26.7.5: t = z + g1(z)/df + g2(z)/df² + …, to the fourth term."""
    s = z * z
    g1 = (s + 1) / 4
    g2 = ((5 * s + 16) * s + 3) / 96
    g3 = (((3 * s + 19) * s + 17) * s - 15) / 384
    g4 = ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160
    return z + z * (g1 + (g2 + (g3 + g4 / df) / df) / df) / df


def _wallace(z: float, df: float) -> float:
    """Return t from the normal quantile z to about three digits (Wallace 1959, Ann. Math. Statist. 30, 1124)."""
    return math.sqrt(df * math.expm1((z * (8 * df + 3) / (8 * df + 1)) ** 2 / df))


def _solve(tail: float, centre: float, df: float, start: float) -> float:
    """Solve log P(t) = log(target) for log t by Newton's method, P being whichever part has the faster formula.

    Both are concave in log t, since the elasticity -t f'(t)/f(t) = (df + 1) y grows with t: from any start the second
    step is already on the side from which Newton's method converges monotonically, so it needs no bracket. The slopes,
    1/S and -df/K, come with the functions.
    """
    log_constant = _log_density_constant(df)
    t = start
    for _ in range(_MAX_STEPS):
        log_tf = math.log(t) + log_constant - (df + 1) / 2 * math.log1p(t * t / df)
        if tail < _LARGEST_TAIL:
            mass = _tail_fraction(t, df) / df
            step = mass * (log_tf + math.log(mass) - math.log(tail))
        else:
            mass = _centre_series(t, df)
            step = mass * (math.log(centre) - log_tf - math.log(mass))
        t *= math.exp(step)
        if abs(step) < _LAST_STEP:
            return t
    raise AssertionError(f"no convergence for tail={tail}, df={df}")


def _log_density_constant(df: float) -> float:
    """Return log f(0) = log(Γ((df+1)/2) / (√(df π) Γ(df/2))).

    A difference of two `lgamma` would lose as many digits as they have before the point; hence the gammas themselves
    for small df, and for large df the asymptotic expansion of their ratio (DLMF 5.11.8, with h = 1/2 and h = 0).
    """
    if df < _LARGE_DF:
        return math.log(math.gamma((df + 1) / 2) / math.gamma(df / 2) / math.sqrt(df * math.pi))
    s = 1 / (df * df)
    return (-1 / 4 + (1 / 24 + (-1 / 20 + 17 / 112 * s) * s) * s) / df - math.log(2 * math.pi) / 2


def _centre_series(t: float, df: float) -> float:
    """Return S(t) = F((df+1)/2, 1; 3/2; y), the hypergeometric series of DLMF 8.17.8."""
    y = t * t / (df + t * t)
    total = term = 1.0
    n = 0
    # The ratio of the terms tends to y < 1, and has fallen below 1 long before a term is this small.
    while term > _EPSILON / 8 * total:
        term *= y * ((df + 1) / 2 + n) / (1.5 + n)
        total += term
        n += 1
    return total


def _tail_fraction(t: float, df: float) -> float:
    """Return K(t), the continued fraction of DLMF 8.17.22 with a = df/2 and b = 1/2, by the modified Lentz method."""
    a, b = df / 2, 0.5
    x = df / (df + t * t)
    c = 1.0
    d = 1 / (1 - (a + b) / (a + 1) * x)
    fraction = d
    for m in range(1, _MAX_FRACTION_TERMS):
        a2m = a + 2 * m
        # The even and the odd coefficient; with b = 1/2 no denominator vanishes for 0 < x < 1.
        for numerator in (m * (b - m) * x / ((a2m - 1) * a2m), -(a + m) * (a + b + m) * x / (a2m * (a2m + 1))):
            c = 1 + numerator / c
            d = 1 / (1 + numerator * d)
            fraction *= c * d
        if abs(c * d - 1) <= 2 * _EPSILON:
            break
    return fraction
