"""Targets that are numbers: reading them, and what may be wrong with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.checks import Fault
from ce_cli.readers.arrays import number, numbers

if TYPE_CHECKING:
    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats
    from ce_cli.block import Pair
    from ce_cli.checks import RowChecks
    from ce_cli.tasks.base import Context


class Numbers(NamedTuple):
    """A column of targets: `(n,) float64`; which are missing, which to be ignored, and the text of those that are no number."""

    values: Floats
    missing: Bools | None
    ignored: Bools
    bad: dict[int, str]


def read_numbers(column: pa.Array, ignored: tuple[str, ...]) -> Numbers:
    """Return targets; `ignored` are texts that stand for none, compared as numbers where they are some."""
    values, missing, bad = numbers(column)
    flags = np.zeros(len(values), dtype=np.bool_)
    for text in ignored:
        flags[[row for row, cell in bad.items() if cell == text]] = True
        try:
            value = number(text)
        except ValueError:
            continue
        flags |= np.isnan(values) if np.isnan(value) else values == value
    flags[[row for row in bad if bad[row] not in ignored]] = False
    if missing is not None:
        flags &= ~missing
    return Numbers(np.array(values), missing, flags, bad)


def check_targets(context: Context, pair: Pair, checks: RowChecks, targets: Numbers) -> None:
    """Fail rows without a target or with one that is no number."""
    name, path = context.layout.label, context.labels_path
    checks.fail(
        "missing_label",
        targets.missing,
        path,
        lambda _: Fault(name, "", "the target is empty"),
        hint="give these rows a target, or leave them out with --on-invalid drop",
        rows=pair.label_rows,
    )
    odd = np.isnan(targets.values)
    odd[list(targets.bad)] = True

    def describe(at: int) -> Fault:
        text = targets.bad.get(at, "nan")
        return Fault(name, text, f"{text!r} is no target, which is to be a number")

    hint = "name the target's column with --label-col, or leave such rows out with --ignore-label"
    checks.fail("not_a_number", odd, path, describe, hint=hint, rows=pair.label_rows)
