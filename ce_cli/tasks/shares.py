"""Soft labels: a column for each class, with the share of the label that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.checks import Fault
from ce_cli.labels import Encoded
from ce_cli.readers.arrays import numbers
from ce_cli.tasks.scores import TOLERANCE

if TYPE_CHECKING:
    from ce_cli.block import Pair
    from ce_cli.checks import RowChecks
    from ce_cli.tasks.base import Context


def check_shares(context: Context, pair: Pair, checks: RowChecks) -> Encoded:
    """Return the shares `(n, k) float64` (of a binary task that of the positive class); fail rows that have none.

    A share is a number from 0 to 1, and those of a row sum to 1 within the tolerance for probabilities.
    """
    layout, path = context.layout, context.labels_path
    columns = [numbers(pair.labels.column(name)) for name in layout.labels]
    for name, column in zip(layout.labels, columns, strict=True):
        checks.fail(
            "missing_label",
            column.missing,
            path,
            lambda _, name=name: Fault(name, "", "the share is empty"),  # type: ignore[misc]
            hint="a class without a share has 0",
            rows=pair.label_rows,
        )
        bad = ~((column.values >= 0) & (column.values <= 1))
        bad[list(column.bad)] = True

        def describe(at: int, name: str = name, column: object = column) -> Fault:
            text = column.bad.get(at, repr(float(column.values[at])))  # type: ignore[attr-defined]
            return Fault(name, text, f"{text!r} is no share of a label, a number from 0 to 1")

        checks.fail("unknown_label", bad, path, describe, rows=pair.label_rows)
    values = np.stack([column.values for column in columns], axis=1)
    sums = values.sum(axis=1)
    checks.fail(
        "row_sum",
        ~(np.abs(sums - 1) <= TOLERANCE["float64"]),
        path,
        lambda at: Fault(None, "", f"the shares of the label sum to {float(sums[at])!r}, not to 1"),
        hint="if a row may have several labels or none, pass --task multilabel",
        rows=pair.label_rows,
    )
    if context.plan.task == "binary":
        values = values[:, 1]
    soft = bool(((values != 0) & (values != 1)).any())
    return Encoded(np.ascontiguousarray(values), None, None, None, {}, soft)
