"""Logits of float32 whose differences are no float64 numbers lose nothing, whatever stands beside them."""

from __future__ import annotations

import mpmath
import numpy as np
import pyarrow as pa
import pytest

import ce_cli

ROWS = [[1.1e-9, 30.3, 25.7], [0.5, 0.25, -1.0], [3.3e-20, 40.1, 1.1e-9], [600.1, 1.1e-9, 3.7], [-0.0, 0.0, 1e-45]]


@pytest.mark.parametrize("held", ["list", "columns"])
def test_against_high_precision(held):
    scores = np.array(ROWS, dtype=np.float32)
    label = np.array([0, 1, 2, 1, 0])
    if held == "list":
        flat = pa.array(scores.ravel(), pa.float32())
        table = pa.table({"logits": pa.FixedSizeListArray.from_arrays(flat, 3), "label": label})
    else:
        table = pa.table({**{f"logit_{at}": scores[:, at] for at in range(3)}, "label": label})
    report = ce_cli.evaluate(table, input="logits", classes=["0", "1", "2"], top=len(ROWS))
    assert len(report.worst) == len(ROWS)
    with mpmath.workdps(60):
        for found in report.worst:
            row, own = scores[found.row - 1].tolist(), label[found.row - 1]
            total = sum(mpmath.exp(mpmath.mpf(value)) for value in row)
            prob = mpmath.exp(mpmath.mpf(row[own])) / total
            assert abs(found.loss + mpmath.log(prob)) <= 2 * np.spacing(found.loss)
            assert abs(found.prob - prob) <= 4 * np.spacing(
                float(prob)
            )  # not the 500 that the rounded difference costs


def test_the_same_bits_as_from_float64(tmp_path):
    generator = np.random.default_rng(3)
    scores = generator.normal(0, 4, (3000, 7)).astype(np.float32)
    scores[::50, 2] *= np.float32(1e-20)  # whose differences are rounded
    label = generator.integers(0, 7, len(scores))
    reports = []
    for type_ in (pa.float32(), pa.float64()):
        flat = pa.array(scores.ravel().astype(np.float64), type_)
        table = pa.table({"logits": pa.FixedSizeListArray.from_arrays(flat, 7), "label": label})
        out = tmp_path / f"{type_}.parquet"
        given = {"input": "logits", "classes": [*map(str, range(7))], "chunk_rows": 500, "calibration": True}
        reports.append((ce_cli.evaluate(table, per_sample=out, **given), out))
    (one, first), (other, second) = reports
    assert first.read_bytes() == second.read_bytes()
    assert one.to_dict()["metrics"] == other.to_dict()["metrics"]
    assert one.to_dict()["per_class"] == other.to_dict()["per_class"]
    assert one.to_dict()["calibration"] == other.to_dict()["calibration"]
