from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from ce_cli.kernels.divergence import divergence

SHARE = st.one_of(st.sampled_from([0.0, 1.0, 5e-324, 1e-300, 1e-17, 0.5]), st.floats(0, 1))


def losses_of(probs):
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(probs)


def exact(label, probs):
    """Return the three by 60 digits, from the very float64 values."""
    with mpmath.workdps(60):
        pairs = [(mpmath.mpf(float(y)), mpmath.mpf(float(p))) for y, p in zip(label, probs, strict=True)]
        own = -mpmath.fsum(y * mpmath.log(y) for y, _ in pairs if y)
        infinite = any(y and not p for y, p in pairs)
        kl = mpmath.inf if infinite else mpmath.fsum((y * mpmath.log(y / p) if y else 0) - y + p for y, p in pairs)
        js = mpmath.fsum(
            (y * mpmath.log(2 * y / (y + p)) if y else 0) + (p * mpmath.log(2 * p / (y + p)) if p else 0)
            for y, p in pairs
        )
        return own, kl, js / 2


@given(st.integers(1, 6).flatmap(lambda k: st.tuples(*2 * [st.lists(SHARE, min_size=k, max_size=k)])))
def test_against_many_digits(pair):
    label, probs = (np.array([values]) for values in pair)
    got = divergence(label, probs, losses_of(probs))
    own, kl, js = exact(*pair)
    size = float(np.abs(label).sum() + np.abs(probs).sum())
    assert float(got.label_entropy[0]) == pytest.approx(float(own), rel=1e-14, abs=1e-15 * size + 1e-322)
    assert float(got.kl_divergence[0]) == pytest.approx(float(kl), rel=1e-13, abs=1e-15 * size + 1e-322)
    assert float(got.js_divergence[0]) == pytest.approx(float(js), rel=1e-13, abs=1e-15 * size + 1e-322)
    assert min(values[0] for values in got) >= 0


def test_against_scipy():
    generator = np.random.default_rng(0)
    label, probs = generator.dirichlet(np.ones(5), 200), generator.dirichlet(np.ones(5), 200)
    got = divergence(label, probs, losses_of(probs))
    np.testing.assert_allclose(got.label_entropy, entropy(label, axis=1), rtol=1e-14)
    np.testing.assert_allclose(got.kl_divergence, entropy(label, probs, axis=1), rtol=1e-12)
    np.testing.assert_allclose(got.js_divergence, jensenshannon(label, probs, axis=1) ** 2, rtol=1e-11)


def test_equal_distributions_are_at_no_distance():
    label = np.random.default_rng(1).dirichlet(np.ones(7), 50)
    got = divergence(label, label, losses_of(label))
    assert not got.js_divergence.any()
    assert got.kl_divergence.max() < 1e-16


def test_near_distributions_keep_their_digits():
    label, probs = np.array([[0.5, 0.5]]), np.array([[0.5 + 2**-30, 0.5 - 2**-30]])
    _, _, js = exact(label[0], probs[0])
    assert divergence(label, probs, losses_of(probs)).js_divergence[0] == pytest.approx(float(js), rel=1e-7)


def test_disjoint_distributions():
    label, probs = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    got = divergence(label, probs, losses_of(probs))
    assert (got.label_entropy[0], got.kl_divergence[0], got.js_divergence[0]) == (0.0, math.inf, math.log(2))
