"""The classes of a task: their names, their order, how labels match them and what they weigh."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ce_cli.columns import Kind, Layout, Scores, TableInfo, listed
from ce_cli.deciding.layout import decide
from ce_cli.errors import fail
from ce_cli.labels import ClassLookup, LabelCodec, OneLookup, TruthLookup, is_truth_word, without_zeros
from ce_cli.plan import Scale
from ce_cli.tasks.base import Context
from ce_cli.tasks.planning import common
from ce_cli.tasks.weights import class_weights, count_classes

if TYPE_CHECKING:
    from ce_cli.labels import Lookup
    from ce_cli.plan import Options
    from ce_cli.tasks.planning import Request

_SUM_TOLERANCE = 0.01  # of a sample row: only to tell soft labels from multilabel ones, every row is verified later


def prepare(request: Request) -> Context:
    """Decide on everything for a binary or multiclass task."""
    options = request.options
    layout = with_list_size(decide(request.predictions, request.labels, options), request.predictions, options)
    several = len(layout.labels) > 1
    label_cells = [] if several else _label_cells(request, layout)
    label_of = dict(zip(layout.scores.columns, layout.labels, strict=False))
    layout, names, lookup, single = resolve(layout, options, label_cells)
    if several and layout.scores.list_size is None and len(label_of) == len(layout.labels):
        # --classes or --positive may have changed the order of the scores.
        layout = layout._replace(labels=tuple(label_of[name] for name in layout.scores.columns))
    if several:
        _check_shares(request, layout, names)
    scale = Scale(options.input or layout.scores.scale or "probs")
    numeric = lookup.soft and all(is_truth_word(cell) and not cell.isalpha() for cell in label_cells)
    if several or (numeric and not (options.ignore_label or request.verbatim)):
        # Parsed as numbers they need no look-up; a word among them makes its batch text again.
        layout = layout._replace(label_kind=Kind.NUMBER)
    codec = LabelCodec(lookup, options.ignore_label)
    plan = common(
        request,
        layout,
        scale,
        task=_task(options, names, single=single),
        classes=names,
        single_score=single,
        class_weights=class_weights(request, names, partial(count_classes, request, layout, codec, len(names))),
        soft=several,
    )
    return Context(plan, layout, codec, request.predictions.path, request.label_table.path)


def _label_cells(request: Request, layout: Layout) -> list[str]:
    ignored = {*request.options.ignore_label}
    return [
        cell
        for cell in request.label_table.columns[layout.label].cells
        if cell is not None and not {cell, without_zeros(cell)} & ignored
    ]


def _check_shares(request: Request, layout: Layout, names: tuple[str, ...]) -> None:
    """Refuse label columns that are no shares of the classes, by their number and by the sums of the first rows."""
    options, table = request.options, request.label_table
    if options.ignore_label:
        raise fail("bad_option", "--ignore-label names the label of a row, but here each class has a label column")
    if len(layout.labels) != len(names):
        raise fail(
            "bad_option",
            f"there are {len(layout.labels)} label columns, but {len(names)} classes",
            file=table.path,
            hint="name a label column for each score column, in the same order, with --label-col A,B,…",
        )
    rows = zip(*(table.columns[name].numbers for name in layout.labels), strict=False)
    if options.task == "auto" and any(abs(sum(row) - 1) > _SUM_TOLERANCE for row in rows):
        raise fail(
            "ambiguous_task",
            f"the label columns {listed(layout.labels)} do not sum to 1 in every row",
            file=table.path,
            hint="if a row may have several labels or none, pass --task multilabel; if these are shares of one label, "
            "they must sum to 1",
        )


def with_list_size(layout: Layout, predictions: TableInfo, options: Options) -> Layout:
    """Name the classes of a list column 0, 1, …."""
    scores = layout.scores
    if predictions.columns[scores.columns[0]].kind != "list":
        return layout
    size = scores.list_size or len(options.classes)
    if not size:
        raise fail("no_samples", "the list column has no rows to tell the number of classes", file=predictions.path)
    names = tuple(str(number) for number in range(size)) if size > 1 else ()
    return layout._replace(scores=Scores(scores.columns, names, scores.scale, size))


def resolve(layout: Layout, options: Options, label_cells: list[str]) -> tuple[Layout, tuple[str, ...], Lookup, bool]:
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
    layout = layout._replace(scores=Scores(scores.columns, names, scores.scale, scores.list_size))
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
        raise fail(
            "bad_option",
            f"--classes takes a name for each of the {len(scores.names)} scores ({listed(scores.names)}), "
            f"but got {len(classes)}: {listed(classes)}",
            hint="name every class, in the order of the score columns",
        )
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
