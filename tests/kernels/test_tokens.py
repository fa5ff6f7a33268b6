from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels import tokens
from tests.kernels import BITS, any_exponent, assert_rows_stand_alone, assert_within, exact

logprobs = st.one_of(any_exponent(-900, 900), st.floats(0, 700, allow_subnormal=False)).map(lambda size: -size)


@pytest.mark.parametrize("base", [None, 2.0, 10.0])
@given(values=st.lists(logprobs, min_size=1, max_size=20))
def test_losses_and_probabilities(base, values):
    with mpmath.workprec(BITS):
        unit = mpmath.mpf(1) if base is None else mpmath.log(base)
        assert_within(tokens.from_logprobs(np.array(values), base), [-exact(value) * unit for value in values], values)
        likely = [value for value in values if value > -300]
        if likely:
            expected = [mpmath.exp(exact(value) * unit) for value in likely]
            assert_within(tokens.probabilities(np.array(likely), base), expected, likely)


@pytest.mark.parametrize("base", [None, 2.0, 10.0])
def test_the_ends(base):
    loss = tokens.from_logprobs(np.array([-math.inf, 0.0, -0.0]), base)
    assert loss.tolist() == [math.inf, 0.0, 0.0]
    assert not np.signbit(loss).any()
    assert tokens.probabilities(np.array([-math.inf, 0.0, -0.0]), base).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("base", [None, 2.0])
def test_rows_stand_alone(base):
    sample = -np.random.default_rng(1).exponential(5, 300)
    assert_rows_stand_alone(
        lambda values: (tokens.from_logprobs(values, base), tokens.probabilities(values, base)), sample
    )
