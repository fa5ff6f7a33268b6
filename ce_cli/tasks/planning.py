"""What the plans of all tasks have in common: a look at the first rows, and the options that mean the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.columns import SampleColumn, TableInfo
from ce_cli.errors import fail
from ce_cli.plan import EvalPlan, Scale
from ce_cli.readers.arrays import cell_texts, is_list, list_size, number, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.columns import Layout
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.tasks.base import Context, Task


class Request(NamedTuple):
    """What is to be decided on: both data sets by their columns and first cells, and the options.

    verbatim: whether labels will be written out as the file has them. files: the data sets themselves, for a task that
    must read one first.
    """

    predictions: TableInfo
    labels: TableInfo | None
    options: Options
    verbatim: bool
    files: tuple[DataSet, DataSet | None]

    @property
    def label_table(self) -> TableInfo:
        """The table that has the labels."""
        return self.predictions if self.labels is None else self.labels


class TaskKind(NamedTuple):
    """What a task is made of.

    claims: whether files are this task's where nobody says so. prepare: decides on everything. make: the task itself.
    """

    claims: Callable[[Request], bool]
    prepare: Callable[[Request], Context]
    make: Callable[[Context], Task]


def common(request: Request, layout: Layout, scale: Scale, **own: Any) -> EvalPlan:
    """Return a plan from what the options say of every task and from `own`, the fields that a task decides on."""
    options = request.options
    if options.input_base != "e" and scale is not Scale.LOGPROBS:
        raise fail("bad_option", f"--input-base is the base of log-probabilities, but the scores are {scale.value}")
    dtype = score_dtype(request.predictions, layout)
    fields: dict[str, Any] = {
        "scale": scale,
        "input_base": options.input_base,
        "score_dtype": dtype,
        "eps": _eps(options, scale, dtype),
        "row_sum": options.row_sum,
        "alignment": layout.alignment,
        "weighted": layout.weight is not None,
        "base": options.base,
        "confidence": options.confidence,
        "ece_bins": options.ece_bins,
        "top": options.top,
        "on_invalid": options.on_invalid,
        "smoothing": options.label_smoothing,
        "smoothing_kind": options.label_smoothing_kind,
        "ignored": options.ignore_label,
        "missing": options.missing,
    }
    return EvalPlan(**{**fields, **own})


def with_gradients(plan: EvalPlan) -> EvalPlan:
    """Return a plan by which gradients are formed; raise bad_option where what was asked for has none."""
    for flag, given, why in (
        ("--eps", plan.eps is not None, "a clipped probability does not depend on the logit"),
        ("--row-sum raw", plan.row_sum == "raw", "scores that do not sum to 1 are no softmax of logits"),
    ):
        if given:
            raise fail("bad_option", f"--gradients cannot be formed with {flag}: {why}")
    return plan._replace(gradients=True)


def refuse(request: Request, task: str, **reasons: str) -> None:
    """Raise bad_option where an option was given that means nothing to a task: its name, and why."""
    defaults = type(request.options)()
    for name, reason in reasons.items():
        if getattr(request.options, name) != getattr(defaults, name):
            raise fail("bad_option", f"--{name.replace('_', '-')} does not apply to --task {task}: {reason}")


def describe(data: DataSet) -> TableInfo:
    """Return the names and first cells of a data set's columns."""
    sample = data.sample()
    return TableInfo(data.path, {name: _sample_column(sample.column(name)) for name in data.names}, data.headerless)


def _sample_column(column: pa.ChunkedArray) -> SampleColumn:
    array = plain(column)
    if is_list(array.type):
        size = list_size(array.type) or next((len(row) for row in array if row.is_valid), None)
        return SampleColumn("list", (), size=size, dtype=_dtype(array.type.value_type))
    if pa.types.is_nested(array.type):
        return SampleColumn("other", ())
    cells = tuple(cell_texts(array))
    try:
        found = () if pa.types.is_temporal(array.type) else tuple(number(cell) for cell in cells if cell is not None)
    except ValueError:
        found = ()
    return SampleColumn("number" if found else "text", cells, found, dtype=_dtype(array.type))


def _dtype(type_: pa.DataType) -> str:
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return "text"
    return {pa.float16(): "float16", pa.float32(): "float32"}.get(type_, "float64")


def score_dtype(predictions: TableInfo, layout: Layout) -> str:
    """Return the widest type of the score columns, which sets the tolerances."""
    kinds = {predictions.columns[name].dtype for name in layout.scores.columns}
    return next(kind for kind in ("text", "float64", "float32", "float16") if kind in kinds)


def _eps(options: Options, scale: Scale, dtype: str) -> float | None:
    if options.eps is None:
        return None
    if scale not in (Scale.PROBS, Scale.PERCENT):
        raise fail(
            "bad_option",
            f"--eps clips probabilities, but the scores are {scale.value}",
            hint="leave it out: the loss of a logit or a log-probability needs no clipping",
        )
    if options.eps == "auto":
        kind = np.float64 if dtype == "text" else np.dtype(dtype)
        return float(np.finfo(kind).eps)
    return float(options.eps)
