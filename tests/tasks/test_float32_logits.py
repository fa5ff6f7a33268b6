"""Logits of float32 whose differences are no float64 numbers lose nothing, whatever stands beside them."""

from __future__ import annotations

import mpmath
import numpy as np
import pyarrow as pa
import pytest

import ce_cli

ROWS = [[1.1e-9, 30.3, 25.7], [0.5, 0.25, -1.0], [3.3e-20, 40.1, 1e-3], [700.1, 1e-30, 3.7], [-0.0, 0.0, 1e-45]]


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
    losses = {row.row - 1: row.loss for row in report.worst}
    with mpmath.workdps(60):
        for at, row in enumerate(scores.tolist()):
            total = sum(mpmath.exp(mpmath.mpf(value)) for value in row)
            expected = mpmath.log(total) - mpmath.mpf(row[label[at]])
            assert abs(losses[at] - expected) <= 2 * np.spacing(float(expected))
