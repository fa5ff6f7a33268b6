"""From options and a look at the files to a plan: which task, which classes, which scale."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ce_cli.columns import LABEL_PREFIXES, Kind, Layout, SampleColumn, Scores, TableInfo, decide, listed
from ce_cli.errors import CeError, fail
from ce_cli.labels import ClassLookup, LabelCodec, OneLookup, TruthLookup, is_truth_word, without_zeros
from ce_cli.plan import EvalPlan, Scale
from ce_cli.readers.arrays import cell_texts, is_list, list_size, number, plain
from ce_cli.tasks.base import Context
from ce_cli.tasks.binary import BinaryTask
from ce_cli.tasks.multiclass import MulticlassTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.labels import Lookup
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.tasks.base import Task

# The one place that knows which tasks there are.
TASKS: dict[str, Callable[[Context], Task]] = {"binary": BinaryTask, "multiclass": MulticlassTask}


def prepare(predictions: DataSet, labels: DataSet | None, options: Options, *, verbatim: bool = False) -> Context:
    """Look at the first rows and decide on everything; labels are kept `verbatim` where they will be written out.

    Raises CeError where it cannot be decided.
    """
    mine = describe(predictions)
    other = None if labels is None else describe(labels)
    layout = _with_label_columns(mine, other, options)
    ignored = {*options.ignore_label}
    label_cells = [
        cell
        for cell in (other or mine).columns[layout.label].cells
        if cell is not None and not {cell, without_zeros(cell)} & ignored
    ]
    layout = _with_list_size(layout, mine, options)
    layout, names, lookup, single = _classes(layout, options, label_cells)
    task = _task(options, names, single=single)
    scale = Scale(options.input or layout.scores.scale or "probs")
    plan = EvalPlan(
        task=task,
        scale=scale,
        input_base=options.input_base,
        classes=names,
        single_score=single,
        score_dtype=_score_dtype(mine, layout),
        eps=_eps(options, scale, _score_dtype(mine, layout)),
        row_sum=options.row_sum,
        alignment=layout.alignment,
        weighted=layout.weight is not None,
        base=options.base,
        confidence=options.confidence,
        ece_bins=options.ece_bins,
        top=options.top,
        on_invalid=options.on_invalid,
        smoothing=options.label_smoothing,
        smoothing_kind=options.label_smoothing_kind,
        class_weights=_class_weights(options, names),
        ignored=options.ignore_label,
        missing=options.missing,
    )
    if options.input_base != "e" and scale is not Scale.LOGPROBS:
        raise fail("bad_option", f"--input-base is the base of log-probabilities, but the scores are {scale.value}")
    codec = LabelCodec(lookup, options.ignore_label)
    numeric = lookup.soft and all(is_truth_word(cell) and not cell.isalpha() for cell in label_cells)
    if numeric and not (options.ignore_label or verbatim):
        # Parsed as numbers they need no look-up; a word among them makes its batch text again.
        layout = replace(layout, label_kind=Kind.NUMBER)
    return Context(plan, layout, codec, predictions.path, (labels or predictions).path)


def make_task(context: Context) -> Task:
    """Return the task that a context names."""
    return TASKS[context.plan.task](context)


def describe(data: DataSet) -> TableInfo:
    """Return the names and first cells of a data set's columns."""
    sample = data.sample()
    return TableInfo(data.path, {name: _sample_column(sample.column(name)) for name in data.names}, data.headerless)


def _sample_column(column: pa.ChunkedArray) -> SampleColumn:
    array = plain(column)
    if is_list(array.type):
        size = list_size(array.type) or next((len(row) for row in array.to_pylist() if row is not None), None)
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


def _with_label_columns(mine: TableInfo, other: TableInfo | None, options: Options) -> Layout:
    """Decide on the columns; where there is no label, say so if there are several label columns instead."""
    try:
        return decide(mine, other, options)
    except CeError as error:
        table = other or mine
        several = [name for name in table.columns if name.lower().startswith(LABEL_PREFIXES)]
        if error.code != "unknown_column" or len(several) < 2 or options.label_col is not None:
            raise
        raise fail(
            "ambiguous_columns",
            f"there are several label columns: {listed(several)}",
            file=table.path,
            hint="name the one column that holds the label of each row with --label-col",
        ) from error


def _with_list_size(layout: Layout, predictions: TableInfo, options: Options) -> Layout:
    """Name the classes of a list column 0, 1, …."""
    scores = layout.scores
    if predictions.columns[scores.columns[0]].kind != "list":
        return layout
    size = scores.list_size or len(options.classes)
    if not size:
        raise fail("no_samples", "the list column has no rows to tell the number of classes", file=predictions.path)
    names = tuple(str(number) for number in range(size)) if size > 1 else ()
    return replace(layout, scores=Scores(scores.columns, names, scores.scale, size))


def _classes(layout: Layout, options: Options, label_cells: list[str]) -> tuple[Layout, tuple[str, ...], Lookup, bool]:
    """Return the layout with its columns in the order of the classes, their names, and how labels match them."""
    scores = layout.scores
    if len(scores.columns) == 1 and scores.list_size in (None, 1):
        names, lookup = _single(scores, options, label_cells)
        return layout, names, lookup, True
    names = scores.names
    if options.classes:
        scores, names = _renamed(scores, options.classes)
    if options.positive is not None:
        scores, names = _positive_second(scores, names, options.positive)
    layout = replace(layout, scores=Scores(scores.columns, names, scores.scale, scores.list_size))
    truth = names in (("0", "1"), ("false", "true")) and options.task != "multiclass"
    return layout, names, TruthLookup() if truth else ClassLookup(names), False


def _single(scores: Scores, options: Options, label_cells: list[str]) -> tuple[tuple[str, ...], Lookup]:
    """Return the names (negative, positive) of a task with one score column."""
    if options.classes and len(options.classes) != 2:
        raise fail("bad_option", f"one score column has two classes, but --classes names {len(options.classes)}")
    _check_distinct(options.classes)
    positive = options.positive
    if options.classes:
        if positive is not None and positive not in options.classes:
            raise fail("bad_option", f"--positive {positive!r} is not among --classes {', '.join(options.classes)}")
        positive = positive if positive is not None else options.classes[1]
        negative = options.classes[1] if positive == options.classes[0] else options.classes[0]
        return (negative, positive), ClassLookup((negative, positive))
    truth = all(is_truth_word(cell) for cell in label_cells)
    if positive is None and scores.names and not truth:
        positive = scores.names[0]
    if positive is None:
        words = any(cell.lower() in ("true", "false") for cell in label_cells)
        return ("false", "true") if words else ("0", "1"), TruthLookup()
    other = next((cell for cell in label_cells if cell != positive), f"not {positive}")
    return (other, positive), OneLookup(positive)


def _renamed(scores: Scores, classes: tuple[str, ...]) -> tuple[Scores, tuple[str, ...]]:
    """Apply --classes: the same set reorders the columns, a disjoint one renames them."""
    _check_distinct(classes)
    if len(classes) != len(scores.names):
        raise fail("bad_option", f"--classes names {len(classes)} classes, but there are {len(scores.names)} scores")
    common = set(classes) & set(scores.names)
    if scores.list_size is not None or not common:
        return scores, classes
    if common != set(scores.names):
        raise fail(
            "bad_option",
            f"--classes shares {listed(sorted(common))} with the headers, but not {listed(sorted(set(scores.names) - common))}",
            hint="name the same classes to put them in another order, or entirely others to rename them",
        )
    order = [scores.names.index(name) for name in classes]
    return Scores(tuple(scores.columns[at] for at in order), classes, scores.scale), classes


def _check_distinct(classes: tuple[str, ...]) -> None:
    if len(set(classes)) != len(classes):
        raise fail("bad_option", "--classes names a class twice")


def _positive_second(scores: Scores, names: tuple[str, ...], positive: str) -> tuple[Scores, tuple[str, ...]]:
    if positive not in names:
        raise fail("bad_option", f"--positive {positive!r} is not one of the classes {listed(names)}")
    if len(names) != 2:
        raise fail("bad_option", f"--positive is for two classes, but there are {len(names)}")
    if scores.list_size is not None:
        if names[1] != positive:
            raise fail("bad_option", "with a list column the second class is the positive one; see --classes")
        return scores, names
    if names[0] == positive:
        return Scores(scores.columns[::-1], names[::-1], scores.scale), names[::-1]
    return scores, names


def _task(options: Options, names: tuple[str, ...], *, single: bool) -> str:
    if options.task == "binary" and len(names) != 2:
        raise fail("bad_option", f"--task binary has one or two score columns, but there are {len(names)}")
    if options.task == "multiclass" and single:
        raise fail("bad_option", "--task multiclass has a score column for each class, but there is only one")
    if options.task != "auto":
        return options.task
    return "binary" if len(names) == 2 else "multiclass"


def _score_dtype(predictions: TableInfo, layout: Layout) -> str:
    """Return the widest type of the score columns, which sets the tolerances."""
    kinds = {predictions.columns[name].dtype for name in layout.scores.columns}
    return next(kind for kind in ("text", "float64", "float32", "float16") if kind in kinds)


def _class_weights(options: Options, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the weights of the classes in their order; a class that is not named weighs 1."""
    given = options.class_weights
    if given is None:
        return None
    weights = _parsed_weights(given) if isinstance(given, str) else {name: float(given[name]) for name in given}
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise fail(
            "bad_option", f"--class-weights names {unknown[0]!r}, which is not one of the classes {listed(names)}"
        )
    chosen = tuple(weights.get(name, 1.0) for name in names)
    if not all(math.isfinite(weight) and weight >= 0 for weight in chosen) or not any(chosen):
        raise fail("bad_option", f"--class-weights takes finite numbers from 0 on, not all 0, but got {given!r}")
    return chosen


def _parsed_weights(text: str) -> dict[str, float]:
    weights = {}
    for part in next(csv.reader([text]), []):
        name, equals, number = part.rpartition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise fail("bad_option", f"--class-weights takes NAME=WEIGHT,…, but got {part!r}")
    return weights


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
