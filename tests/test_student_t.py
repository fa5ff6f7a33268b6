from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.student_t import t_quantile, t_two_sided

# Values on both sides of every change of formula: df 1, 2, 100 and 1000, z²/df = 1/200, and a tail of 0.025.
DFS = [1, 2, 3, 4, 5, 10, 29, 30, 99, 100, 101, 341, 999, 1000, 1001, 13_000, 14_000, 10**6, 10**9, 10**12]
PROBABILITIES = [0.51, 0.6, 0.75, 0.9, 0.95, 0.974, 0.975, 0.976, 0.995, 0.9995, 0.9999999, 1 - 1e-12]

probabilities = st.floats(min_value=1e-300, max_value=1, exclude_max=True)
degrees = st.one_of(st.integers(1, 2000), st.integers(1, 10**12))


def newton_correction(probability: float, df: int, t: float) -> float:
    """Return how far t is from the quantile, relative to t, by one Newton step at 40 digits.

    The density is integrated numerically, so that the oracle shares no series with the code: P(0 < T < |t|) as it is,
    and P(T > |t|) in s = log(x / |t|), where the integrand falls off at a rate of at least min(df, elasticity at |t|).
    """
    with mpmath.workdps(40):
        n, u = mpmath.mpf(df), abs(mpmath.mpf(t))
        p = mpmath.mpf(probability)
        log_constant = mpmath.loggamma((n + 1) / 2) - mpmath.loggamma(n / 2) - mpmath.log(n * mpmath.pi) / 2

        def scaled_density(x):
            """x f(x) / (u f(u)), which keeps the integrals of order 1."""
            return x / u * ((n + u * u) / (n + x * x)) ** ((n + 1) / 2)

        tf = u * mpmath.exp(log_constant) * (1 + u * u / n) ** (-(n + 1) / 2)
        tail, centre = min(p, 1 - p), abs(p - mpmath.mpf(1) / 2)
        if centre < tail:
            mass = mpmath.quad(lambda x: scaled_density(x) / x, [0, u])
            return float(centre / tf - mass)
        rate = min(n, (n + 1) * u * u / (n + u * u))
        mass = mpmath.quad(lambda s: scaled_density(u * mpmath.exp(s)), [k * 5 / rate for k in range(15)])
        return float(mass - tail / tf)


@pytest.mark.parametrize("df", DFS)
def test_agrees_with_forty_digits(df):
    for probability in (0.5 + 1e-9, 0.6, 0.75, 0.9, 0.974, 0.975, 0.976, 0.9995, 0.9999999):
        t = t_quantile(probability, df)
        assert abs(newton_correction(probability, df, t)) < 2e-14, probability


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 50, 200, 20_000, 250_000, 300_000, 10**9])
@pytest.mark.parametrize("probability", [1e-20, 1e-100, 1e-300])
def test_agrees_with_forty_digits_far_into_the_lower_tail(probability, df):
    assert abs(newton_correction(probability, df, t_quantile(probability, df))) < 1e-13


@pytest.mark.parametrize("df", [1, 2, 3, 8, 40, 120])
@pytest.mark.parametrize("probability", [0.55, 0.9, 0.975, 0.9999999])
def test_is_the_root_of_the_incomplete_beta_function(probability, df):
    with mpmath.workdps(40):

        def excess(t):
            x = df / (df + t * t)
            return mpmath.betainc(mpmath.mpf(df) / 2, mpmath.mpf(1) / 2, 0, x, regularized=True) / 2 - 1 + probability

        t = t_quantile(probability, df)
        root = mpmath.findroot(excess, (mpmath.mpf(t) * 0.999, mpmath.mpf(t) * 1.001), solver="anderson", tol=1e-60)
        assert abs(t / root - 1) < 2e-14


@pytest.mark.parametrize("df", DFS)
@pytest.mark.parametrize("probability", PROBABILITIES)
def test_agrees_with_scipy(probability, df):
    # Loosely, and not close to 1/2: releases of scipy differ in how many digits they get right, mpmath's do not.
    assert t_quantile(probability, df) == pytest.approx(scipy.stats.t.ppf(probability, df), rel=1e-8, abs=0)


# Critical values as printed in A&S, table 26.10, P(|T| <= t) = 0.95 and 0.99.
@pytest.mark.parametrize(
    ("df", "at_95", "at_99"),
    [(1, 12.706, 63.657), (2, 4.303, 9.925), (5, 2.571, 4.032), (10, 2.228, 3.169), (30, 2.042, 2.750)],
)
def test_agrees_with_the_printed_table(df, at_95, at_99):
    assert round(t_quantile(0.975, df), 3) == at_95
    assert round(t_quantile(0.995, df), 3) == at_99


@pytest.mark.parametrize(("df", "t"), [(1, 1.0), (2, math.sqrt(2 / 3))])
def test_exact_quartiles(df, t):
    assert t_quantile(0.75, df) == pytest.approx(t, rel=1e-15)


def test_tends_to_the_normal_quantile():
    assert t_quantile(0.975, 10**15) == pytest.approx(1.9599639845400542355, rel=1e-14)


@pytest.mark.parametrize("df", DFS)
def test_half_is_exactly_zero(df):
    assert t_quantile(0.5, df) == 0
    assert math.copysign(1, t_quantile(0.5, df)) == 1


@pytest.mark.parametrize("df", DFS)
@pytest.mark.parametrize("probability", [np.nextafter(0.5, 0), np.nextafter(0.5, 1)])
def test_the_neighbours_of_half_are_not_zero(probability, df):
    # Next to the median the quantile is linear: (p - 1/2) / f(0).
    expected = (probability - 0.5) / scipy.stats.t.pdf(0, df)
    assert t_quantile(float(probability), df) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("df", [2, 3, 1000, 10**9])
def test_is_finite_at_the_smallest_double(df):
    assert -math.inf < t_quantile(5e-324, df) < -38


def test_overflows_to_infinity_for_one_degree_of_freedom():
    assert t_quantile(5e-324, 1) == -math.inf


@given(probabilities, degrees)
def test_is_odd_about_one_half(probability, df):
    complement = 1 - probability
    if 0 < complement < 1 and 1 - complement == probability:
        assert t_quantile(complement, df) == -t_quantile(probability, df)


@given(probabilities, probabilities, degrees)
def test_grows_with_the_probability(one, other, df):
    low, high = sorted((one, other))
    if high - low > 1e-11 * min(high, 1 - low):
        assert t_quantile(low, df) < t_quantile(high, df)


@given(st.floats(min_value=0.5, max_value=1, exclude_min=True, exclude_max=True), degrees)
def test_shrinks_with_the_degrees_of_freedom(probability, df):
    # The tails become lighter; equal once the difference is below rounding.
    assert t_quantile(probability, df + 1) <= t_quantile(probability, df) * (1 + 4e-14)


@pytest.mark.parametrize("df", [999, 1000, 1001])
@pytest.mark.parametrize("tail", [0.025, 0.0125])
def test_has_no_step_where_the_formula_changes(tail, df):
    below, above = t_quantile(1 - tail * (1 + 1e-10), df), t_quantile(1 - tail * (1 - 1e-10), df)
    slope = tail / (scipy.stats.t.pdf(below, df) * below)
    assert above / below - 1 == pytest.approx(2e-10 * slope, rel=1e-3)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.1, math.nan, math.inf, -math.inf])
def test_refuses_what_is_no_probability(probability):
    with pytest.raises(ValueError, match="expected a probability between 0 and 1, but got"):
        t_quantile(probability, 5)


@pytest.mark.parametrize("df", [0, -1, math.nan])
def test_refuses_what_are_no_degrees_of_freedom(df):
    with pytest.raises(ValueError, match="expected at least 1 degree of freedom, but got"):
        t_quantile(0.975, df)


@pytest.mark.parametrize("df", [1, 1.3, 2, 4.5, 29, 137.2, 9999.5, 2e6])
@pytest.mark.parametrize("t", [1e-3, 0.4, 1.96, 2.5, 7.0, 14.0])
def test_the_tails_are_those_of_scipy(t: float, df: float) -> None:
    expected = 2 * scipy.stats.t.sf(t, df)
    assert t_two_sided(t, df) == pytest.approx(expected, rel=1e-9)
    assert t_two_sided(-t, df) == t_two_sided(t, df)


@pytest.mark.parametrize("df", [1.2, 3.7, 28.9, 1234.5])
def test_the_quantile_takes_degrees_of_freedom_between_whole_numbers(df: float) -> None:
    for probability in (0.01, 0.3, 0.975, 0.9999):
        assert t_quantile(probability, df) == pytest.approx(scipy.stats.t.ppf(probability, df), rel=1e-9)


def test_the_tails_of_nothing_and_of_everything() -> None:
    assert t_two_sided(0.0, 3) == 1.0
    assert t_two_sided(math.inf, 3) == 0.0
    assert t_two_sided(1e200, 3) == pytest.approx(2 * scipy.stats.t.sf(1e200, 3), abs=1e-300)
