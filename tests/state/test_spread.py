"""Standard errors against their definition in fractions."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ce_cli.state.fractions import square_root
from ce_cli.state.hits import Hits
from ce_cli.state.spread import Spread
from tests.state import fractions, sizes, weighted_mean, weights


def spread_of(values, weight=None):
    state = Spread()
    state.add(np.array(values), None if weight is None else np.array(weight))
    return state


def defined(values, weight):
    mean, n = weighted_mean(values, weight), len(values)
    squares = sum((w * (x - mean)) ** 2 for x, w in zip(fractions(values), fractions(weight), strict=True))
    return square_root(Fraction(n, n - 1) * squares / sum(fractions(weight)) ** 2)


def check(found, values, weight):
    wanted = defined(values, weight)
    # What cannot be told from 0 after a rounding of the squares is not told, unless it is 0.
    n = len(values)
    largest = max(w * abs(x) for x, w in zip(fractions(values), fractions(weight), strict=True))
    noise = float(largest / sum(fractions(weight))) * (n / (n - 1)) ** 0.5 * n**0.5 * 2.0**-24
    if found is None:
        assert len(set(values)) > 1
        assert wanted <= noise + 5e-324
    else:
        assert found == pytest.approx(wanted, rel=1e-6, abs=noise + 5e-324)


@given(st.lists(sizes, min_size=2, max_size=20))
def test_without_weights(values):
    mean = sum(fractions(values), Fraction(0)) / len(values)
    check(spread_of(values).standard_error(mean, Fraction(len(values))), values, [1.0] * len(values))


@given(st.lists(st.tuples(sizes, weights), min_size=2, max_size=20))
def test_with_weights(rows):
    values, weight = (list(column) for column in zip(*rows, strict=True))
    found = spread_of(values, weight).standard_error(weighted_mean(values, weight), sum(fractions(weight)))
    check(found, values, weight)


@given(st.lists(st.tuples(sizes, weights), min_size=2, max_size=30), st.integers(0, 30), st.booleans())
def test_splits_change_no_bit(rows, cut, weighted):
    values, weight = (np.array(column) for column in zip(*rows, strict=True))
    whole = spread_of(values, weight if weighted else None)
    parts = [spread_of(values[part], weight[part] if weighted else None) for part in (slice(cut, None), slice(cut))]
    parts[0].merge(pickle.loads(pickle.dumps(parts[1])))
    total = sum(fractions(weight)) if weighted else Fraction(len(values))
    mean = weighted_mean(values, weight if weighted else np.ones(len(values)))
    assert parts[0].standard_error(mean, total) == whole.standard_error(mean, total)


def test_equal_values_have_no_spread():
    values, weight = np.full(1000, 0.1), np.linspace(0.1, 3, 1000)
    assert spread_of(values).standard_error(Fraction(0.1), Fraction(1000)) == 0
    assert spread_of(values, weight).standard_error(Fraction(0.1), sum(fractions(weight))) == 0


def test_values_that_hardly_differ_have_none():
    values = 0.693 + 2e-8 * np.random.default_rng(0).normal(size=1000)
    assert spread_of(values).standard_error(sum(fractions(values)) / 1000, Fraction(1000)) is None


def test_ordinary_values_are_those_of_scipy():
    values = np.random.default_rng(0).uniform(size=5000) ** 2
    found = spread_of(values).standard_error(sum(fractions(values)) / 5000, Fraction(5000))
    assert found == pytest.approx(stats.sem(values), rel=1e-12)


def test_one_row_has_none():
    assert spread_of([0.5]).standard_error(Fraction(1, 2), Fraction(1)) is None


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.01, 100)), min_size=1, max_size=40),
    st.booleans(),
    st.integers(0, 40),
)
def test_hits_have_the_error_of_zeros_and_ones(rows, weighted, cut):
    correct, judged, weight = (np.array(column) for column in zip(*rows, strict=True))
    whole = Hits()
    for part in (slice(cut), slice(cut, None)):
        other = Hits()
        other.add(correct[part], judged[part], weight[part] if weighted else None)
        whole.merge(other)
    values = correct[judged].astype(float).tolist()
    assert whole.n == len(values)
    if len(values) < 2:
        assert whole.standard_error() is None
        return
    by = weight[judged].tolist() if weighted else [1.0] * len(values)
    assert whole.standard_error() == pytest.approx(defined(values, by), rel=1e-9, abs=1e-9)
