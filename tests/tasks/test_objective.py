"""What is averaged with label smoothing and class weights, from a table to the report."""

from __future__ import annotations

import mpmath
import numpy as np
import pyarrow as pa
import pytest

from ce_cli import evaluate

ROWS = 40
KINDS = ["uniform", "others"]
SCALES = ["prob", "logit", "logprob"]


def brute_force(labels, probs, epsilon: float, kind: str, class_weights, weights) -> float:
    """Return Σ_i Σ_c s_i c_c y'_ic (-log p_ic) / Σ_i Σ_c s_i c_c y'_ic, class by class."""
    above = below = mpmath.mpf(0)
    for row, (label, prob) in enumerate(zip(labels, probs, strict=True)):
        k = len(prob)
        for number in range(k):
            e, y = mpmath.mpf(epsilon), mpmath.mpf(float(label[number]))
            share = (1 - e) * y + (e / k if kind == "uniform" else e / (k - 1) * (1 - y))
            part = mpmath.mpf(float(weights[row])) * mpmath.mpf(class_weights[number]) * share
            below += part
            if part:
                above -= part * mpmath.log(prob[number])
    return float(above / below)


def softmax(logits) -> list[mpmath.mpf]:
    sizes = [mpmath.exp(mpmath.mpf(float(logit))) for logit in logits]
    return [size / mpmath.fsum(sizes) for size in sizes]


@pytest.mark.parametrize("sample_weights", [False, True])
@pytest.mark.parametrize("class_weights", [None, {"a": 2.0, "c": 0.25}, {"b": 0.0}])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.8])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_three_classes(scale, kind, epsilon, class_weights, sample_weights):
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, (ROWS, 3))
    numbers = generator.integers(0, 3, ROWS)
    weight = generator.uniform(0.1, 3, ROWS)
    with mpmath.workprec(200):
        probs = [softmax(row) for row in logits]
        if scale == "prob":
            scores = np.array([[float(prob) for prob in row] for row in probs])
            probs = [[mpmath.mpf(float(score)) for score in row] for row in scores]
        elif scale == "logprob":
            scores = np.array([[float(mpmath.log(prob)) for prob in row] for row in probs])
            probs = [[mpmath.exp(mpmath.mpf(float(score))) for score in row] for row in scores]
        else:
            scores = logits
        by_class = [(class_weights or {}).get(name, 1.0) for name in "abc"]
        weights = weight if sample_weights else np.ones(ROWS)
        labels = np.eye(3)[numbers]
        expected = brute_force(labels, probs, epsilon, kind, by_class, weights)
        unsmoothed = brute_force(labels, probs, 0.0, kind, by_class, weights)
    table = pa.table(
        {
            "label": ["abc"[number] for number in numbers],
            "w": weight,
            **{f"{scale}_{name}": scores[:, at] for at, name in enumerate("abc")},
        }
    )
    options = {"weight_col": "w"} if sample_weights else {}
    if class_weights is not None:
        options["class_weights"] = class_weights
    report = evaluate(table, label_smoothing=epsilon, label_smoothing_kind=kind, chunk_rows=7, **options)
    assert report.cross_entropy.value == pytest.approx(expected, rel=1e-13)
    if epsilon:
        assert report.metrics["cross_entropy_unsmoothed"].value == pytest.approx(unsmoothed, rel=1e-13)
    else:
        assert "cross_entropy_unsmoothed" not in report.metrics


@pytest.mark.parametrize("class_weights", [None, {"0": 0.25, "1": 3.0}, {"0": 0.0}])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("soft", "columns"), [(False, 1), (False, 2), (True, 1)])
def test_two_classes(soft, kind, epsilon, class_weights, columns):
    generator = np.random.default_rng(2)
    prob = generator.uniform(0.01, 0.99, ROWS)
    label = generator.choice([0.0, 1.0, 0.5, 0.125, 0.3] if soft else [0.0, 1.0], ROWS)
    scores = {"prob": prob} if columns == 1 else {"prob_0": 1 - prob, "prob_1": prob}
    with mpmath.workprec(200):
        positive = [mpmath.mpf(float(p)) for p in prob]
        probs = [(1 - p if columns == 1 else mpmath.mpf(float(1 - q)), p) for p, q in zip(positive, prob, strict=True)]
        labels = [(1 - mpmath.mpf(float(y)), mpmath.mpf(float(y))) for y in label]
        by_class = [(class_weights or {}).get(name, 1.0) for name in "01"]
        expected = brute_force(labels, probs, epsilon, kind, by_class, np.ones(ROWS))
        unsmoothed = brute_force(labels, probs, 0.0, kind, by_class, np.ones(ROWS))
    table = pa.table({"label": label if soft else label.astype(int), **scores})
    report = evaluate(table, label_smoothing=epsilon, label_smoothing_kind=kind, class_weights=class_weights)
    assert report.cross_entropy.value == pytest.approx(expected, rel=1e-13)
    if epsilon:
        assert report.metrics["cross_entropy_unsmoothed"].value == pytest.approx(unsmoothed, rel=1e-13)


def test_rows_of_a_class_that_weighs_nothing_are_left_out_and_counted():
    table = pa.table({"label": ["a", "b", "b", "c"], "prob_a": [0.5, 1.0, 0.5, 0.25], "prob_b": [0.25, 0.0, 0.25, 0.25],
                      "prob_c": [0.25, 0.0, 0.25, 0.5]})  # fmt: skip
    report = evaluate(table, class_weights={"b": 0.0})
    assert report.cross_entropy.value == pytest.approx(float(mpmath.log(2)), rel=1e-15)
    assert (report.counts["scored"], report.counts["zero_weight"], report.counts["infinite"]) == (2, 2, 0)
    assert [(row.n, row.share_of_loss is None) for row in report.per_class] == [(1, False), (0, True), (1, False)]


def test_the_count_of_infinities_is_that_of_the_smoothed_loss():
    table = pa.table({"label": ["a", "b"], "prob_a": [1.0, 0.5], "prob_b": [0.0, 0.5]})
    assert evaluate(table).counts["infinite"] == 0
    report = evaluate(table, label_smoothing=0.1)
    assert (report.cross_entropy.value, report.counts["infinite"]) == (float("inf"), 1)
    report = evaluate(table, label_smoothing=0.1, class_weights={"b": 0.0})
    assert report.counts["infinite"] == 0
