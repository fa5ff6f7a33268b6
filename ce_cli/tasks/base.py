"""What every task is made of, and what all of them share: labels, weights, and the rows that pass every check."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from ce_cli.block import Block
from ce_cli.checks import Fault, RowChecks
from ce_cli.metrics import IN_UNIT
from ce_cli.readers.arrays import nulls, numbers, texts
from ce_cli.readers.base import MALFORMED, malformed_hint
from ce_cli.report import Issue, Metric
from ce_cli.state.fractions import to_float
from ce_cli.state.student_t import t_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from fractions import Fraction

    import numpy.typing as npt
    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair
    from ce_cli.checks import FaultRow, Faults
    from ce_cli.columns import Layout
    from ce_cli.labels import Encoded, LabelCodec
    from ce_cli.plan import EvalPlan
    from ce_cli.report import ClassRow
    from ce_cli.state.evaluation import EvalState, Statistic
    from ce_cli.state.row_means import RowMeans


_LONGEST = 80  # characters of a label in a message


class Context(NamedTuple):
    """What stays the same over a whole run."""

    plan: EvalPlan
    layout: Layout
    codec: LabelCodec
    predictions_path: str
    labels_path: str
    issues: tuple[Issue, ...] = ()  # what is to be known of the decisions themselves
    edges: Mapping[str, tuple[float, ...]] = {}  # of numbers that are cut into slices, by what --by says
    keeps_sequences: bool = (
        False  # whether what each sequence of tokens comes to is held, to be paired with other models
    )


class Checked(NamedTuple):
    """What the checks say of one pair.

    block: the valid rows. ignored: the positions of rows left out by their label. faults: the invalid rows, where they are
    kept. notes: what is to be counted though it is no fault. others: the positions of labels beside the positive class.
    told: what statistics of the task, by name, are to `note` of all rows, scored or not. unscored: the positions of rows
    without a score that need none.
    """

    block: Block
    ignored: Ints
    faults: list[FaultRow]
    notes: Notes
    others: Mapping[str, Ints] = {}
    told: Mapping[str, Any] = {}
    unscored: Ints | None = None


class Notes(NamedTuple):
    """What is to be counted though it is no fault: flags of rows by the name of their tally, and how far sums miss 1.

    exact: whether all differences of finite scores are float64 numbers, where that was looked at.
    """

    flags: Mapping[str, Bools | None] = {}
    sum_error: Floats | None = None
    exact: bool = False


class Coded(NamedTuple):
    """A column of names: `(n,)` positions in them."""

    codes: Ints
    names: tuple[str, ...]


class Summary(NamedTuple):
    """The figures of a task: metrics by name, the rows of its table by class, counts and issues of its own.

    classes: those to be shown where they are not all of the plan's.
    """

    metrics: dict[str, Metric]
    per_class: tuple[ClassRow, ...] = ()
    counts: Mapping[str, int] = {}
    issues: tuple[Issue, ...] = ()
    classes: tuple[str, ...] | None = None


class Task(Protocol):
    """A task: its checks, its losses, its statistics and what they come to.

    `check` records what is wrong in the faults that it is given; the others are pure.
    """

    def block_rows(self, pair: Pair) -> int:
        """Return how many rows of a pair fit into one block."""

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check."""

    def counted(self, block: Block) -> Bools | None:
        """Return which rows weigh anything by what they are, whatever their own weight; None for all."""

    def score(self, block: Block) -> Any:
        """Return the losses of a block, a `Scored` with what the statistics of the task need."""

    def statistics(self) -> dict[str, Statistic]:
        """Return new statistics, by name."""

    def summarize(self, state: EvalState) -> Summary:
        """Return the figures of the merged statistics."""

    def describe(self, pair: Pair, row: int, scored: Any, position: int) -> tuple[str, str, float]:
        """Return the label, the prediction and the probability of the label of one of the worst rows, for people.

        row: its position in the pair; position: the same in what was scored.
        """

    def gradient_names(self) -> tuple[str, ...]:
        """Return what the columns of `Scored.gradient` are called."""

    def sample_columns(self, scored: Any) -> dict[str, Floats | Ints | Coded]:
        """Return what a per-sample file says of every row beside its id, labels, loss and weight: `(n,)` each."""


@runtime_checkable
class Unfolding(Protocol):
    """A task whose rows may hold several values each: what is checked and scored is a row for each of them."""

    def unfold(self, pair: Pair) -> Pair:
        """Return a pair with a row for each value; rows keep the numbers that they have in their file."""


def mean_metrics(plan: EvalPlan, state: EvalState) -> dict[str, Metric]:
    """Return the mean loss with its interval, and that of the finite losses."""
    mean, unit = state.loss.mean(), plan.unit_size
    if mean is None:
        return {"cross_entropy": Metric(math.inf)}
    value = to_float(mean)
    error = state.loss.standard_error()
    finite = Metric(value / unit) if error is None else with_interval(plan, value, error, state.loss.n - 1)
    if state.tallies["infinite"].count:
        return {"cross_entropy": Metric(math.inf), "cross_entropy_finite": finite}
    return {"cross_entropy": finite, "cross_entropy_finite": finite}


def with_interval(plan: EvalPlan, value: float, error: float, df: float, unit: float | None = None) -> Metric:
    """Return a mean in nats as a metric with its t interval, in the report's unit or in one of its own."""
    margin, unit = -t_quantile((1 - plan.confidence) / 2, df) * error, plan.unit_size if unit is None else unit
    return Metric(value / unit, error / unit, (value - margin) / unit, (value + margin) / unit)


def without_unit(plan: EvalPlan, mean: Fraction, error: float | None, df: int) -> Metric:
    """Return a mean that has no unit as a metric, with its t interval where its standard error is known."""
    value = to_float(mean)
    return Metric(value) if error is None else with_interval(plan, value, error, df, 1.0)


def with_errors(plan: EvalPlan, metrics: Mapping[str, Metric], means: RowMeans) -> dict[str, Metric]:
    """Return metrics with the t intervals of the means that were gathered beside them."""
    found = {}
    for name, metric in metrics.items():
        error = means.error(name) if name in means.names and math.isfinite(metric.value) else None
        found[name] = metric if error is None else around(plan, metric.value, name, *error)
    return found


def row_mean(plan: EvalPlan, means: RowMeans, name: str) -> Metric:
    """Return a mean that was gathered over rows as a metric with its t interval; infinite without a finite one."""
    mean, error = means.mean(name), means.error(name)
    if mean is None:
        return Metric(math.inf)
    unit = plan.unit_size if name in IN_UNIT else 1.0
    value = to_float(mean)
    return Metric(value / unit) if error is None else with_interval(plan, value, *error, unit)


def around(plan: EvalPlan, value: float, name: str, error: float, df: float) -> Metric:
    """Return a metric with its t interval; value in the unit of the metric, error in nats where that is one of losses."""
    error /= plan.unit_size if name in IN_UNIT else 1.0
    margin = -t_quantile((1 - plan.confidence) / 2, df) * error
    return Metric(value, error, value - margin, value + margin)


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
        bad = np.ones(len(rows), dtype=np.bool_) if fine is None else ~fine
        checks.fail(
            "malformed_row",
            bad,
            path,
            partial(_malformed, why),
            hint=malformed_hint(why[int(bad.argmax())].as_py() or ""),
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
        shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
        return Fault(layout.label, text, f"{shown!r} is not one of the classes {known}")

    hint = (
        "each class has a score column: add it, name the classes with --classes, or leave rows out with --ignore-label"
    )
    if context.plan.single_score:
        hint = "a single score column takes labels 0/1 or true/false; for other names pass --positive NAME"
    hint += _spelling(context, column, encoded.unknown) + "; if labels are numbers to be predicted, pass --bins"
    checks.fail("unknown_label", encoded.unknown, context.labels_path, describe, hint=hint, rows=rows)


def _spelling(context: Context, column: pa.Array, unknown: Bools | None) -> str:
    """Return a remark where an unknown label is a class but for its case and the blanks around it."""
    if unknown is None or not unknown.any():
        return ""
    text = texts(column.slice(int(unknown.argmax()), 1))[0].as_py()
    alike = [name for name in context.plan.classes if name.strip().lower() == text.strip().lower()]
    return f"; {text!r} is not {alike[0]!r}: labels are compared letter by letter" if alike else ""


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


def valid_block(
    checks: RowChecks, encoded: Encoded, scores: npt.NDArray[Any], weight: Floats | None, *, exact: bool = False
) -> Block:
    """Return the rows that passed every check."""
    if checks.ok is None:
        return Block(None, encoded.values, scores, weight, encoded.soft, exact=exact)
    at = np.flatnonzero(checks.ok)
    weight = None if weight is None else weight[at]
    return Block(at, encoded.values[at], scores[at], weight, encoded.soft, exact=exact)


def slices(pair: Pair, rows: int) -> Iterator[Pair]:
    """Cut a pair into pieces of at most this many rows."""
    total = len(pair.rows)
    step = max(1, rows)
    for start in range(0, total, step):
        yield pair.slice(start, step)


def first_true(row: Bools) -> int:
    """Return the position of the first true cell."""
    return int(row.argmax())
