"""The quantile of Student's t, for confidence intervals.

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

# The same for a t that is given; below the second, P(|T| > t) rounds to 1; from the third on t² may overflow.
_CENTRAL_T, _NO_T, _HUGE_T = 1.5, 1e-17, 1e100
_HILL_RATIO = 1 / 20  # t²/df up to which an expansion in 1/df serves; the fraction loses digits as this becomes small

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


def t_quantile(probability: float, df: int) -> float:
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


def two_sided(t: float, df: int) -> float:
    """Return P(|T| > |t|) for Student's t with `df` degrees of freedom: the p of a two-sided t-test.

    Domain: any t but NaN, and df >= 1; `ValueError` elsewhere. The relative error is below 1e-12; 1 at 0, 0 at infinity and
    where the tail is below the smallest double.
    Source: DLMF 8.17.8 near the centre, 8.17.22 in the tails; for large df Hill (1970), Comm. ACM 13, 617 (algorithm 395).
    """
    if math.isnan(t):
        raise ValueError("expected a number, but got nan")
    if not df >= 1:
        raise ValueError(f"expected at least 1 degree of freedom, but got {df}")
    t = abs(t)
    if t < _NO_T:
        return 1.0
    if t == math.inf:
        return 0.0
    log_square = math.log1p(t * t / df) if t < _HUGE_T else 2 * math.log(t) - math.log(df)
    if df >= _EXPANSION_MIN_DF and t * t < df * _HILL_RATIO:
        return math.erfc(_hill(log_square, df) / math.sqrt(2))
    scale = math.exp(math.log(t) + _log_density_constant(df) - (df + 1) / 2 * log_square)
    if t < _CENTRAL_T:
        return 1 - 2 * scale * _centre_series(t, df)
    return 2 * scale * (_tail_fraction(t, df) if t < _HUGE_T else 1.0) / df


def _hill(log_square: float, df: int) -> float:
    """Return the z with P(|Z| > z) = P(|T| > t) for a normal Z, from log(1 + t²/df); the first neglected term is z⁷/df⁶."""
    a = df - 0.5
    b = 48 * a * a
    y = a * log_square
    correction = (((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b)
    return ((correction + y + 3) / b + 1) * math.sqrt(y)


def _positive_quantile(tail: float, centre: float, df: int) -> float:
    """Return the t > 0 with P(T > t) = tail and P(0 < T < t) = centre."""
    if df == 1:
        return math.tan(math.pi * centre) if centre < tail else 1 / math.tan(math.pi * tail)
    if df == 2:
        return centre * math.sqrt(2) / math.sqrt(tail * (1 - tail))
    z = -NormalDist().inv_cdf(tail)
    if df >= _EXPANSION_MIN_DF and z * z <= _EXPANSION_MAX_RATIO * df:
        return _cornish_fisher(z, df)
    return _solve(tail, centre, df, start=_wallace(z, df))


def _cornish_fisher(z: float, df: int) -> float:
    """Return t from the normal quantile z by A&S 26.7.5: t = z + g1(z)/df + g2(z)/df² + …, to the fourth term."""
    s = z * z
    g1 = (s + 1) / 4
    g2 = ((5 * s + 16) * s + 3) / 96
    g3 = (((3 * s + 19) * s + 17) * s - 15) / 384
    g4 = ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160
    return z + z * (g1 + (g2 + (g3 + g4 / df) / df) / df) / df


def _wallace(z: float, df: int) -> float:
    """Return t from the normal quantile z to about three digits (Wallace 1959, Ann. Math. Statist. 30, 1124)."""
    return math.sqrt(df * math.expm1((z * (8 * df + 3) / (8 * df + 1)) ** 2 / df))


def _solve(tail: float, centre: float, df: int, start: float) -> float:
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


def _log_density_constant(df: int) -> float:
    """Return log f(0) = log(Γ((df+1)/2) / (√(df π) Γ(df/2))).

    A difference of two `lgamma` would lose as many digits as they have before the point; hence the gammas themselves
    for small df, and for large df the asymptotic expansion of their ratio (DLMF 5.11.8, with h = 1/2 and h = 0).
    """
    if df < _LARGE_DF:
        return math.log(math.gamma((df + 1) / 2) / math.gamma(df / 2) / math.sqrt(df * math.pi))
    s = 1 / (df * df)
    return (-1 / 4 + (1 / 24 + (-1 / 20 + 17 / 112 * s) * s) * s) / df - math.log(2 * math.pi) / 2


def _centre_series(t: float, df: int) -> float:
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


def _tail_fraction(t: float, df: int) -> float:
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
