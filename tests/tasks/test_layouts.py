"""Scores that lie column by column, as files have them, give what the same rows give in lists, to the last bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.special

import ce_cli

N = 900


def tables(k, scale, dtype=np.float64):
    """Return the same rows with a column for each class, and with a list for each row."""
    generator = np.random.default_rng(k)
    logits = generator.normal(0, 3, (N, k))
    scores = {
        "logits": logits,
        "probs": scipy.special.softmax(logits, axis=1),
        "logprobs": scipy.special.log_softmax(logits, 1),
    }
    values = np.minimum(scores[scale], 0.0) if scale == "logprobs" else scores[scale]
    values = values.astype(dtype)
    label = pa.array([f"c{at}" for at in generator.integers(0, k, N)])
    name = {"logits": "logit", "probs": "prob", "logprobs": "logprob"}[scale]
    columns = pa.table({**{f"{name}_c{at}": values[:, at] for at in range(k)}, "label": label})
    lists = pa.table({name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), k), "label": label})
    return columns, lists


def figures(table, scale, k, **options):
    report = ce_cli.evaluate(table, input=scale, classes=[f"c{at}" for at in range(k)], **options).to_dict()
    return {name: report[name] for name in ("metrics", "per_class", "worst")}


@pytest.mark.parametrize("k", [3, 10, 32, 33, 40])
@pytest.mark.parametrize("scale", ["probs", "logits", "logprobs"])
def test_columns_and_lists_give_the_same_bits(scale, k):
    columns, lists = tables(k, scale)
    whole = figures(columns, scale, k)
    assert whole == figures(lists, scale, k)
    for rows in (1, 7, 256):
        assert figures(columns.slice(0, 300), scale, k, chunk_rows=rows) == figures(lists.slice(0, 300), scale, k)


@pytest.mark.parametrize("k", [5, 40])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"label_smoothing": 0.1}, id="smoothed"),
        pytest.param({"class_weights": "balanced"}, id="weighted"),
        pytest.param({"eps": 1e-3}, id="clipped"),
        pytest.param({"row_sum": "normalize"}, id="normalized"),
        pytest.param({"calibration": True}, id="calibration"),
    ],
)
def test_so_do_all_options(options, k):
    columns, lists = tables(k, "probs", np.float32)
    assert figures(columns, "probs", k, **options) == figures(lists, "probs", k, **options)
    assert figures(columns, "probs", k, chunk_rows=11, **options) == figures(columns, "probs", k, **options)


@pytest.mark.parametrize("k", [5, 40])
def test_an_empty_cell_changes_no_bit_of_the_rows_beside_it(k):
    columns, lists = tables(k, "probs")
    gap = 450
    empty = columns.column(1).to_pylist()
    empty[gap] = None
    holed = columns.set_column(1, columns.schema.names[1], pa.array(empty))
    rest = pa.concat_tables([lists.slice(0, gap), lists.slice(gap + 1)])
    expected = figures(rest, "probs", k)["metrics"]
    given = {"input": "probs", "classes": [f"c{at}" for at in range(k)], "on_invalid": "drop"}
    reports = [ce_cli.evaluate(holed, chunk_rows=rows, **given).to_dict() for rows in (1, 13, 450, N)]
    assert [report["metrics"] for report in reports] == [expected] * 4
    assert len({report["max_row_sum_error"] for report in reports}) == 1
