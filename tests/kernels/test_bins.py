"""Bins against 50-digit arithmetic, brute-force integrals and SciPy's distributions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from scipy import stats

from ce_cli.kernels import bins

EPS = 2.0**-52
DISTRIBUTIONS = ["normal", "laplace", "logistic"]


def cdf(dist, z):
    if dist == "normal":
        return mp.ncdf(z)
    if dist == "laplace":
        return mp.exp(z) / 2 if z < 0 else 1 - mp.exp(-z) / 2
    return 1 / (1 + mp.exp(-z))


def log_mass(dist, mean, std, low, high):
    """Return the logarithm of the probability between two edges; enough digits make up for any cancellation."""
    scale = mp.mpf(std) / {"normal": 1, "laplace": mp.sqrt(2), "logistic": mp.pi / mp.sqrt(3)}[dist]
    a, b = ((mp.mpf(float(edge)) - mp.mpf(mean)) / scale for edge in (low, high))
    if a > 0:
        a, b = -b, -a
    upper = mp.mpf(1) if b == mp.inf else cdf(dist, b)
    lower = mp.mpf(0) if a == -mp.inf else cdf(dist, a)
    return mp.log(upper - lower)


EDGE_SETS = {
    "wide": [-50.0, -3.0, 0.0, 0.5, 7.0, 60.0],
    "open": [-math.inf, -20.0, -1.0, 0.25, 30.0, math.inf],
    "narrow": [1.0, 1.0 + 1e-9, 1.0 + 1e-6, 1.001, 1.002, 1.1],
    "far": [30.0, 30.5, 31.0, 35.0, 38.0],
    "far below": [-38.0, -37.9999, -35.0, -31.0, -30.0],
}


@pytest.mark.parametrize("dist", DISTRIBUTIONS)
@pytest.mark.parametrize("kind", EDGE_SETS)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.3, 0.07), (-2.5, 11.0), (1.0005, 1e-4)])
def test_log_masses_to_a_few_ulp(dist, kind, mean, std):
    edges = np.array(EDGE_SETS[kind])
    got = bins.masses(np.array([mean]), np.array([std]), edges, dist).log_mass[0]
    with mpmath.workdps(60):
        for low, high, found in zip(edges[:-1], edges[1:], got, strict=True):
            with mpmath.workdps(60 if (abs(max(low, -high)) - abs(mean)) / std < 9 else 400):
                want = log_mass(dist, mean, std, low, high)
                if want < -1e300 or not mp.isfinite(want):
                    continue
            assert abs(mp.mpf(float(found)) - want) <= 8 * EPS * max(1, abs(want)), (low, high)


def test_masses_do_not_become_zero_where_their_logarithm_is_a_number():
    edges = np.array([-1.0, 0.0, 1.0])
    for dist, least in (("normal", 1e17), ("laplace", 1e8), ("logistic", 1e8)):
        got = bins.masses(np.array([1e9, -1e9]), np.array([1.0, 1.0]), edges, dist).log_mass
        assert np.isfinite(got).all()
        assert (got < -least).all()


@pytest.mark.parametrize("dist", DISTRIBUTIONS)
def test_outside_is_what_the_bins_lack(dist):
    mean, std = np.array([0.0, 1.0, 5.0, -40.0]), np.array([1.0, 0.5, 3.0, 9.0])
    edges = np.array([-2.0, 0.0, 1.0, 4.0])
    got = bins.masses(mean, std, edges, dist)
    assert np.exp(got.log_mass).sum(axis=1) + got.outside == pytest.approx(np.ones(4), rel=1e-14)
    frozen = {
        "normal": stats.norm(mean, std),
        "laplace": stats.laplace(mean, std / math.sqrt(2)),
        "logistic": stats.logistic(mean, std * math.sqrt(3) / math.pi),
    }[dist]
    assert frozen.std() == pytest.approx(std)
    assert got.outside == pytest.approx(frozen.cdf(-2.0) + frozen.sf(4.0), rel=1e-13)


def test_open_bins_have_nothing_outside():
    got = bins.masses(np.array([0.3]), np.array([2.0]), np.array([-np.inf, 0.0, np.inf]), "normal")
    assert got.outside.tolist() == [0.0]


@pytest.mark.parametrize(("below", "expected"), [
    ([False, False, True], [-1, 0, 0, 1, 1, 1, -1, -1, -1, -1]),
    ([True, True, True], [-1, -1, 0, 0, 1, 1, -1, -1, -1, -1]),
    ([False, True, False], [-1, 0, 0, 0, 1, -1, -1, -1, -1, -1]),
])  # fmt: skip
def test_cells_follow_the_sides(below, expected):
    target = np.array([-0.1, 0.0, 0.5, 1.0, 1.5, 2.0, 2.1, np.nan, np.inf, -np.inf])
    assert bins.cells(target, np.array([0.0, 1.0, 2.0]), np.array(below)).tolist() == expected


def test_open_bins_hold_every_finite_target():
    edges, below = np.array([-np.inf, 0.0, np.inf]), np.array([False, False, True])
    assert bins.cells(np.array([-1e308, 0.0, 1e308, np.inf]), edges, below).tolist() == [0, 1, 1, -1]


def integral(probs, edges, target):
    """Return ∫ (F(x) - [x >= target])² dx piece by piece, in fractions: Simpson's rule is exact for a parabola."""
    knots = [Fraction(float(edge)) for edge in edges]
    sums = [Fraction(0)]
    for prob in probs:
        sums.append(sums[-1] + Fraction(float(prob)))

    def at(x, step):
        k = max(k for k in range(len(probs)) if knots[k] <= x)
        inside = (x - knots[k]) / (knots[k + 1] - knots[k]) * (sums[k + 1] - sums[k])
        return (sums[k] + inside - step) ** 2

    total = Fraction(0)
    for low, high in itertools.pairwise(knots):
        cuts = sorted({low, high, min(max(Fraction(float(target)), low), high)})
        for a, b in itertools.pairwise(cuts):
            step = 1 if a >= Fraction(float(target)) else 0
            end = at(b, step) if b < knots[-1] else (sums[-1] - step) ** 2
            total += (b - a) / 6 * (at(a, step) + 4 * at((a + b) / 2, step) + end)
    return total


@given(
    st.lists(st.integers(0, 64), min_size=2, max_size=7).filter(any),
    st.integers(0, 10_000),
    st.randoms(use_true_random=False),
)
def test_distances_against_exact_integrals(parts, where, random):
    total = 1 << math.ceil(math.log2(max(2, sum(parts))))
    parts = [*parts[:-1], parts[-1] + total - sum(parts)]
    probs = np.array(parts) / total  # sums to exactly 1
    edges = np.cumsum([random.uniform(-9, 9), *(random.uniform(1e-3, 5) for _ in parts)])
    target = np.array([edges[0] + (edges[-1] - edges[0]) * where / 10_000])
    cell = bins.cells(target, edges, np.array([False] * len(parts) + [True]))
    got = bins.distances(probs[None], np.clip(target, edges[0], edges[-1]), np.maximum(cell, 0), edges)
    if cell[0] < 0:
        return
    sums = np.cumsum([Fraction(float(prob)) for prob in probs])
    rps = sum((value - (k >= cell[0])) ** 2 for k, value in enumerate(sums[:-1]))
    assert got.rps[0] == pytest.approx(float(rps), rel=1e-14, abs=0)
    assert got.crps is not None
    assert got.crps[0] == pytest.approx(float(integral(probs, edges, target[0])), rel=2e-14, abs=1e-300)


def test_distances_of_a_sure_forecast_keep_their_digits():
    probs = np.array([[1e-20, 1.0, 1e-30]])
    got = bins.distances(probs, np.array([0.5]), np.array([1]), np.array([-1.0, 0.0, 1.0, 2.0]))
    assert got.rps[0] == pytest.approx(1e-40 + 1e-60, rel=1e-14, abs=0)


def test_the_continuous_score_of_a_uniform_distribution():
    # Of U(a, b) it is (b-a)/3 - (y-a)(b-y)/(b-a) (Jordan, Krüger & Lerch 2019, appendix A).
    got = bins.distances(np.array([[0.25, 0.75]]), np.array([1.2]), np.array([1]), np.array([0.0, 1.0, 4.0]))
    assert got.crps is not None
    assert got.crps[0] == pytest.approx(4 / 3 - 1.2 * 2.8 / 4, rel=1e-15)


def test_fine_bins_come_near_the_score_of_the_normal_distribution():
    mean, std, target = 0.4, 1.3, 1.7
    edges = np.linspace(-15, 15, 6001)
    probs = np.exp(bins.masses(np.array([mean]), np.array([std]), edges, "normal").log_mass)
    cell = bins.cells(np.array([target]), edges, np.zeros(len(edges), dtype=bool))
    z = (target - mean) / std
    exact = std * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))  # Gneiting 2005
    got = bins.distances(probs, np.array([target]), cell, edges).crps
    assert got is not None
    assert got[0] == pytest.approx(exact, rel=1e-5)


def test_gaussian_shares_against_mpmath():
    edges, target, sigma = (
        np.array([-4.0, -1.0, 0.0, 0.5, 9.0]),
        np.array([-0.99, 8.5, 0.2]),
        np.array([0.05, 0.3, 2.0]),
    )
    got = bins.gaussian_shares(target, sigma, edges)
    assert got.sum(axis=1) == pytest.approx(np.ones(3), rel=1e-15)
    with mpmath.workdps(400):
        for row, (y, s) in enumerate(zip(target, sigma, strict=True)):
            masses = [mp.exp(log_mass("normal", y, s, *pair)) for pair in itertools.pairwise(edges)]
            for share, mass in zip(got[row], masses, strict=True):
                want = float(mass / mp.fsum(masses))
                assert share == pytest.approx(want, rel=1e-13 * max(1, -math.log(want or 1)), abs=1e-300)


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=8), st.floats(0, 1))
def test_the_expectation_of_two_hot_is_the_target(widths, where):
    edges = np.cumsum([-3.0, *widths])
    centres = (edges[:-1] + edges[1:]) / 2
    target = edges[0] + where * (edges[-1] - edges[0])
    shares = bins.two_hot_shares(np.array([target]), edges)[0]
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1, rel=1e-15)
    assert np.count_nonzero(shares) <= 2
    clamped = min(max(target, centres[0]), centres[-1])
    assert float(shares @ centres) == pytest.approx(clamped, rel=1e-12, abs=1e-12)
