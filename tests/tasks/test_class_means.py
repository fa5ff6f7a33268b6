"""The mean probability that the labels of each class were given."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ce_cli

probabilities = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 5e-324, 1e-20, 0.5, 1 - 2**-53, 1 / 3]))
LABELS = {"hard": [0.0, 1.0], "soft": [0.0, 1.0, 0.25]}


def means(prob, label, weight):
    """Return Σ w·share·p / Σ w·share of both classes, exactly and rounded once; None without rows."""
    found = []
    for positive in (False, True):
        share = [
            Fraction(w) * (Fraction(y) if positive else 1 - Fraction(y)) for y, w in zip(label, weight, strict=True)
        ]
        held = [Fraction(p) if positive else 1 - Fraction(p) for p in prob]
        total = sum(share, Fraction(0))
        found.append(float(sum(s * p for s, p in zip(share, held, strict=True)) / total) if total else None)
    return found


@given(
    st.lists(st.tuples(probabilities, st.integers(0, 2), st.sampled_from([1.0, 0.5, 3.7])), min_size=2, max_size=30),
    st.sampled_from(["hard", "soft"]),
    st.booleans(),
    st.sampled_from([1, 4, None]),
)
def test_binary(rows, kind, weighted, chunk_rows):
    prob = [row[0] for row in rows]
    label = [LABELS[kind][row[1] % len(LABELS[kind])] for row in rows]
    weight = [row[2] if weighted else 1.0 for row in rows]
    table = pd.DataFrame({"prob": prob, "label": label, **({"weight": weight} if weighted else {})})
    options = {"chunk_rows": chunk_rows, "weight_col": "weight" if weighted else None}
    report = ce_cli.evaluate(
        table, **{name: value for name, value in options.items() if value is not None}, task="binary"
    )
    expected = means(prob, label, weight)
    for row, mean in zip(report.per_class, expected, strict=True):
        if mean is None:
            assert row.mean_prob is None
        elif kind == "hard" and not weighted:
            assert row.mean_prob == mean
        else:  # 1 - p is rounded for each row there
            assert row.mean_prob == pytest.approx(mean, rel=1e-15, abs=2.0**-53)


@pytest.mark.parametrize("scale", ["logits", "logprobs"])
def test_tiny_probabilities_of_the_negative_class_keep_their_digits(scale):
    logit = np.array([50.0, 60.0, 1.0])
    score = logit if scale == "logits" else -np.log1p(np.exp(-logit))
    if scale == "logprobs":
        score = np.array([-1e-20, -1e-30, -0.5])
    tiny = np.exp(-logit) / (1 + np.exp(-logit)) if scale == "logits" else -np.expm1(score)
    report = ce_cli.evaluate(pd.DataFrame({"score": score, "label": [0, 0, 1]}), pred_cols=["score"], input=scale)
    assert report.per_class[0].mean_prob == pytest.approx((tiny[0] + tiny[1]) / 2, rel=1e-14)
