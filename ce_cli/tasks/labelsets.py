"""Which labels a row has, of several that it may have: the plan of such a task, and the cells of its label columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.checks import Fault
from ce_cli.columns import LABEL_PREFIXES, Kind, Layout, Scores, listed, without_prefix
from ce_cli.deciding.layout import decide
from ce_cli.errors import fail
from ce_cli.labels import LabelCodec, TruthLookup
from ce_cli.plan import Scale
from ce_cli.readers.arrays import cell_text, stacked
from ce_cli.tasks.base import Context
from ce_cli.tasks.classes import resolve, with_list_size
from ce_cli.tasks.planning import common, refuse
from ce_cli.tasks.weights import class_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats
    from ce_cli.block import Pair
    from ce_cli.checks import RowChecks
    from ce_cli.columns import TableInfo
    from ce_cli.labels import Encoded
    from ce_cli.plan import Options
    from ce_cli.tasks.planning import Request


class Cells(NamedTuple):
    """The label cells of a pair.

    values: `(n, k) float64` in [0, 1], 0 where nothing is known. known: `(n, k) bool`, None where all are. empty: `(n,)
    bool`, the rows of which nothing is known. soft: whether any value lies between 0 and 1.
    """

    values: Floats
    known: Bools | None
    empty: Bools | None
    soft: bool


def prepare(request: Request) -> Context:
    """Decide on everything for a multilabel task."""
    options = request.options
    refuse(
        request,
        "multilabel",
        positive="every label has a probability of its own",
        row_sum="the scores of a row need no sum of 1",
    )
    layout = with_list_size(decide(request.predictions, request.labels, options), request.predictions, options)
    layout, names = _matched(layout, options, request.label_table)
    numeric = all(request.label_table.columns[name].kind == "number" for name in layout.labels)
    verbatim = request.verbatim or bool(options.ignore_label)
    layout = layout._replace(label_kind=Kind.NUMBER if numeric and not verbatim else Kind.CATEGORY)
    lookup = TruthLookup()
    codec = LabelCodec(lookup, options.ignore_label)
    plan = common(
        request,
        layout,
        Scale(options.input or layout.scores.scale or "probs"),
        task="multilabel",
        classes=names,
        single_score=False,
        class_weights=class_weights(request, names),
    )
    return Context(plan, layout, codec, request.predictions.path, request.label_table.path)


def check_cells(context: Context, pair: Pair, checks: RowChecks) -> Cells:
    """Return the label cells of a pair; fail rows with one that is no label."""
    if not context.plan.ignored:
        numeric = _numeric_cells(pair.labels, context.layout.labels)
        if numeric is not None:
            return numeric
    columns = [pair.labels.column(name) for name in context.layout.labels]
    encoded = [context.codec.encode(column) for column in columns]
    for name, column, cells in zip(context.layout.labels, columns, encoded, strict=True):
        checks.fail(
            "unknown_label",
            cells.unknown,
            context.labels_path,
            partial(_describe, name, column),
            hint="a cell is 0, 1, false, true or a number between 0 and 1; leave it empty, or name its value with "
            "--ignore-label, where the label is not known",
            rows=pair.label_rows,
        )
    unknown = _unknown(encoded)
    return Cells(
        np.stack([cells.values for cells in encoded], axis=1),
        None if unknown is None else ~unknown,
        None if unknown is None else np.logical_and.reduce(unknown, axis=1),
        any(cells.soft for cells in encoded),
    )


def _matched(layout: Layout, options: Options, table: TableInfo) -> tuple[Layout, tuple[str, ...]]:
    """Return the layout with a label column for each score, both in the order of the classes, and their names."""
    scores = layout.scores
    k = scores.list_size or len(scores.columns)
    if len(layout.labels) != k:
        raise fail(
            "bad_option",
            f"--task multilabel has a label column for each score, but there are {len(layout.labels)} and {k}",
            file=table.path,
            hint=f"name them in the order of the scores with --label-col A,B,…; taken for labels: {listed(layout.labels)}",
        )
    if k == 1:
        names = options.classes or scores.names or (without_prefix(layout.label, LABEL_PREFIXES),)
        if len(names) != 1:
            raise fail("bad_option", f"--classes names {len(names)} classes, but there is one score")
        return layout._replace(scores=Scores(scores.columns, names, scores.scale, scores.list_size)), names
    label_of = dict(zip(scores.columns, layout.labels, strict=False))
    layout, names, _, _ = resolve(layout, options, [])
    if scores.list_size is None:  # --classes may have changed the order
        layout = layout._replace(labels=tuple(label_of[name] for name in layout.scores.columns))
    return layout, names


def _numeric_cells(labels: pa.RecordBatch, names: Sequence[str]) -> Cells | None:
    """Return cells that are numbers from 0 to 1, none empty; None where some column is anything else."""
    raw = stacked(labels, names)
    if raw is None or not (raw.min() >= 0 and raw.max() <= 1):
        return None
    cells = raw + 0.0
    return Cells(cells.astype(np.float64, copy=False), None, None, _between(raw))


def _between(cells: npt.NDArray[Any]) -> bool:
    return cells.dtype.kind == "f" and bool((cells != np.rint(cells)).any())


def _unknown(encoded: Sequence[Encoded]) -> Bools | None:
    """Return the cells without a label, `(n, k)`; None where there are none."""
    flags = [[found for found in (cells.missing, cells.ignored) if found is not None] for cells in encoded]
    if not any(found.any() for both in flags for found in both):
        return None
    none = np.zeros(len(encoded[0].values), dtype=np.bool_)
    return np.stack([np.logical_or.reduce([none, *both]) for both in flags], axis=1)


def _describe(name: str, column: pa.Array, at: int) -> Fault:
    text = cell_text(column, at)
    return Fault(name, text, f"{text!r} is neither 0 nor 1, nor a number between")
