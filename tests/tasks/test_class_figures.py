"""What the report says of classes, beside figures that are infinite, units that are not nats, and weights far apart."""

from __future__ import annotations

import math

import pandas as pd
import pytest

import ce_cli

PROBS = {"a": [0.5, 0.2, 0.1, 0.3, 1.0], "b": [0.25, 0.7, 0.8, 0.6, 0.0], "c": [0.25, 0.1, 0.1, 0.1, 0.0]}
LABELS = ["a", "b", "b", "c", "c"]


def report_of(labels=LABELS, **options):
    frame = pd.DataFrame({f"prob_{name}": column for name, column in PROBS.items()}).head(len(labels))
    return ce_cli.evaluate(frame.assign(label=labels), task="multiclass", **options)


@pytest.mark.parametrize("base", ["e", "2", "10"])
def test_one_infinite_class(base):
    report, unit = report_of(base=base), 1.0 if base == "e" else math.log(float(base))
    losses = {row.name: row.cross_entropy for row in report.per_class}
    assert losses["a"] == pytest.approx(-math.log(0.5) / unit, rel=1e-15)
    assert losses["b"] == pytest.approx(-(math.log(0.7) + math.log(0.8)) / 2 / unit, rel=1e-15)
    assert losses["c"] == report.macro_cross_entropy.value == math.inf
    assert [row.share_of_loss for row in report.per_class] == [None] * 3


def test_shares_of_a_finite_loss():
    report = report_of(LABELS[:4], base="2")
    losses = {"a": -math.log2(0.5), "b": -math.log2(0.7) - math.log2(0.8), "c": -math.log2(0.1)}
    for row in report.per_class:
        assert row.share_of_loss == pytest.approx(losses[row.name] / sum(losses.values()), rel=1e-14)
    assert report.macro_cross_entropy.value == pytest.approx(
        (losses["a"] + losses["b"] / 2 + losses["c"]) / 3, rel=1e-14
    )


def test_an_infinite_class_that_weighs_nothing():
    weights = {"a": 1.0, "b": 3.0, "c": 0.0}
    report = report_of(label_smoothing=0.1, class_weights=weights)
    expected = -(math.log(0.5) + 3 * math.log(0.7) + 3 * math.log(0.8)) / 7
    assert report["cross_entropy_unsmoothed"].value == pytest.approx(expected, rel=1e-14)
    report = report_of(label_smoothing=0.1, class_weights={**weights, "c": 1e-9})
    assert report["cross_entropy_unsmoothed"].value == math.inf


FAR_APART = [1e300, 1e-300, 1e-300]  # the share of the last two is below the range of float64, and so has no entropy


@pytest.mark.parametrize(("by", "slices"), [({}, 0), ({"by": "g", "min_slice": 1}, 2)])
def test_a_share_below_the_range_of_float64(by, slices):
    frame = pd.DataFrame({"prob": [0.3, 0.4, 0.4], "label": [1, 0, 0], "w": FAR_APART, "g": ["u", "u", "v"]})
    report = ce_cli.evaluate(frame, task="binary", weight_col="w", **by)
    assert "skill" not in report
    assert len(report.slices) == slices
    assert all("skill" not in one["metrics"] for one in report.slices)


def test_a_prevalence_that_is_1_but_for_what_float64_cannot_hold():
    frame = pd.DataFrame({"prob_a": [0.3, 0.4, 0.5], "label_a": [1, 0, 0], "w": FAR_APART})
    report = ce_cli.evaluate(frame.assign(prob_b=0.25, label_b=[0, 1, 0]), task="multilabel", weight_col="w")
    assert report.per_class[0].prevalence == 1.0
    assert report.per_class[0].skill is None
    assert "skill" not in report
