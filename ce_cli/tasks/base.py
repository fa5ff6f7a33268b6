"""What every task is made of, and what all of them share: labels, weights, and the rows that pass every check."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ce_cli.block import Block
from ce_cli.checks import Fault, RowChecks
from ce_cli.readers.arrays import nulls, numbers, texts
from ce_cli.readers.base import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair, Scored
    from ce_cli.checks import FaultRow, Faults
    from ce_cli.columns import Layout
    from ce_cli.labels import Encoded, LabelCodec
    from ce_cli.plan import EvalPlan
    from ce_cli.tasks.scores import ScoreNotes


class Context(NamedTuple):
    """What stays the same over a whole run."""

    plan: EvalPlan
    layout: Layout
    codec: LabelCodec
    predictions_path: str
    labels_path: str


class Checked(NamedTuple):
    """What the checks say of one pair: the valid rows, how many were left out and why, and what is to be counted."""

    block: Block
    ignored: Ints  # positions in the pair
    faults: list[FaultRow]
    encoded: Encoded
    notes: ScoreNotes


class Task(Protocol):
    """A task: its checks and its losses. `block` records what is wrong in `faults`; `score` is pure."""

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check."""

    def score(self, block: Block) -> Scored:
        """Return the losses of a block."""

    def block_rows(self, pair: Pair) -> int:
        """Return how many rows of a pair fit into one block."""


def check_structure(context: Context, pair: Pair, checks: RowChecks) -> None:
    """Fail rows that had too many or too few cells in their file."""
    sides = (
        (pair.predictions, context.predictions_path, pair.rows),
        (pair.labels, context.labels_path, pair.label_rows),
    )
    for batch, path, rows in sides[: 1 if context.predictions_path == context.labels_path else 2]:
        if MALFORMED not in batch.schema.names:
            continue
        why = batch.column(MALFORMED)
        fine = nulls(why)
        checks.fail(
            "malformed_row",
            np.ones(len(rows), dtype=np.bool_) if fine is None else ~fine,
            path,
            partial(_malformed, why),
            hint="check the quotation marks and the --delimiter",
            rows=rows,
        )


def _malformed(why: pa.StringArray, at: int) -> Fault:
    return Fault(None, "", why[at].as_py())


def check_ids(context: Context, pair: Pair, checks: RowChecks) -> None:
    """Fail rows whose one id is empty; a composite key may have empty parts."""
    if context.layout.alignment != "id" or len(context.layout.ids) != 1:
        return
    name = context.layout.ids[0]
    if name not in pair.predictions.schema.names:  # verified without being read
        return
    missing = nulls(pair.predictions.column(name))
    checks.fail(
        "missing_id",
        missing,
        context.predictions_path,
        lambda _: Fault(name, "", "the id is empty"),
        hint="every row needs an id; or pass --align position",
    )


def check_labels(context: Context, pair: Pair, checks: RowChecks, encoded: Encoded) -> None:
    """Fail rows without a label or with one that is no class."""
    layout = context.layout
    column = pair.labels.column(layout.label)
    rows = pair.label_rows
    checks.fail(
        "missing_label",
        encoded.missing,
        context.labels_path,
        lambda _: Fault(layout.label, "", "the label is empty"),
        hint="label these rows, or leave them out with --on-invalid drop",
        rows=rows,
    )

    def describe(at: int) -> Fault:
        text = texts(column.slice(at, 1))[0].as_py()
        known = ", ".join(context.plan.classes[:8]) + (", …" if context.plan.k > 8 else "")
        return Fault(layout.label, text, f"{text!r} is not one of the classes {known}")

    hint = (
        "each class has a score column: add it, name the classes with --classes, or leave rows out with --ignore-label"
    )
    if context.plan.single_score:
        hint = "a single score column takes labels 0/1 or true/false; for other names pass --positive NAME"
    checks.fail("unknown_label", encoded.unknown, context.labels_path, describe, hint=hint, rows=rows)


def check_weights(context: Context, pair: Pair, checks: RowChecks) -> Floats | None:
    """Return the weights; fail rows whose weight is not a finite number of at least 0."""
    layout = context.layout
    if layout.weight is None:
        return None
    name = layout.weight
    side, path, rows = pair.predictions, context.predictions_path, pair.rows
    if layout.weight_side == "labels":
        side, path, rows = pair.labels, context.labels_path, pair.label_rows
    values, missing, unreadable = numbers(side.column(name))
    bad = ~np.isfinite(values)
    if missing is not None:
        bad |= missing
    bad[list(unreadable)] = True

    def describe(at: int) -> Fault:
        if missing is not None and missing[at]:
            return Fault(name, "", "the weight is empty")
        text = unreadable.get(at, repr(float(values[at])))
        return Fault(name, text, f"{text} is not a finite weight")

    checks.fail("bad_weight", bad, path, describe, hint="a weight is a finite number from 0 on", rows=rows)
    checks.fail(
        "negative_weight",
        values < 0,
        path,
        lambda at: Fault(name, repr(float(values[at])), f"{float(values[at])!r} is negative"),
        hint="a weight is a finite number from 0 on; 0 leaves a row out",
        rows=rows,
    )
    return values


def valid_block(checks: RowChecks, encoded: Encoded, scores: Floats, weight: Floats | None) -> Block:
    """Return the rows that passed every check."""
    if checks.ok is None:
        return Block(None, encoded.values, np.ascontiguousarray(scores), weight, encoded.soft)
    at = np.flatnonzero(checks.ok)
    weight = None if weight is None else weight[at]
    return Block(at, encoded.values[at], np.ascontiguousarray(scores[at]), weight, encoded.soft)


def slices(pair: Pair, rows: int) -> Iterator[Pair]:
    """Cut a pair into pieces of at most this many rows."""
    total = len(pair.rows)
    step = max(1, rows)
    for start in range(0, total, step):
        yield pair.slice(start, step)


def first_true(row: Bools) -> int:
    """Return the position of the first true cell."""
    return int(row.argmax())
