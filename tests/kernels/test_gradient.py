from __future__ import annotations

import mpmath
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels import binary, gradient, multiclass

LOGIT = st.one_of(st.sampled_from([-700.0, -40.0, 0.0, 40.0, 700.0]), st.floats(-30, 30))
SHARE = st.one_of(st.sampled_from([0.0, 1.0, 2.5]), st.floats(0, 3))


def rows_of(k):
    return st.tuples(st.lists(LOGIT, min_size=k, max_size=k), st.lists(SHARE, min_size=k, max_size=k))


@given(st.integers(2, 5).flatmap(rows_of))
def test_against_many_digits(case):
    logits, shares = (np.array([values]) for values in case)
    probs = multiclass.from_logits(logits, np.array([0])).probs
    got = gradient.of_classes(probs, multiclass.all_losses_of_logits(logits), shares)[0]
    with mpmath.workdps(700):
        z, q = ([mpmath.mpf(value) for value in values] for values in case)
        sizes = [mpmath.exp(value) for value in z]
        total = mpmath.fsum(sizes)
        for column, value in enumerate(got.tolist()):
            exact = sizes[column] / total * mpmath.fsum(q) - q[column]
            # Where shares are soft the two terms may cancel for good; then the error is that of the terms.
            lost = 4 * 2.0**-52 * float(min(q[column], mpmath.fsum(q))) if 0 < q[column] < mpmath.fsum(q) else 0.0
            assert abs(value - float(exact)) <= 16 * 2.0**-52 * abs(float(exact)) + lost + 1e-300


def test_sure_rows_keep_every_digit():
    logits = np.array([[100.0, 0.0, 0.0], [0.0, 100.0, 0.0]])
    losses = multiclass.all_losses_of_logits(logits)
    probs = multiclass.from_logits(logits, np.array([0, 1])).probs
    got = gradient.of_classes(probs, losses, np.eye(3)[[0, 1]])
    tiny = float(2 * mpmath.exp(-100) / (1 + 2 * mpmath.exp(-100)))
    np.testing.assert_allclose([got[0, 0], got[1, 1]], [-tiny, -tiny], rtol=1e-15)


@given(LOGIT, st.sampled_from([0.0, 1.0]))
def test_one_logit(logit, label):
    outcome = binary.from_logits(np.array([logit]))
    got = gradient.of_positive(outcome.prob_negative, outcome.prob_positive, np.array([1 - label]), np.array([label]))[
        0
    ]
    with mpmath.workdps(700):
        exact = 1 / (1 + mpmath.exp(-mpmath.mpf(logit))) - mpmath.mpf(label)
        assert abs(got - float(exact)) <= 4 * 2.0**-52 * abs(float(exact)) + 1e-310
