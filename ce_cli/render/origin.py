"""Where the loss comes from: classes and the worst rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ce_cli.render.header import class_word
from ce_cli.render.page import (
    GAP,
    KEY,
    QUIET,
    WARNING,
    Column,
    Line,
    Span,
    grid,
    grid_beside,
    names_column,
    needed,
    numbers_column,
    prose,
    title_lines,
)
from ce_cli.render.text import ELLIPSIS, cell_number, optional, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ce_cli.report import ClassRow, Report


MAX_CLASSES = 20
BAR_CELLS = 12
# What gives way where lines are short, first things first.
_CLASS_GIVES_WAY = ("gradient", "mean prob", "ece", "prevalence", "recall", "skill")
_ROW_GIVES_WAY = ("prob of label", "predicted", "id")


def classes(report: Report, width: int, bar: str) -> list[Line]:
    """Return a line for every class, or for those that cost most."""
    rows = _shown_classes(report.per_class)
    if not rows:
        return []
    kind, cells = class_word(report), "cells" in report.counts
    columns = [
        names_column(kind, (row.name for row in rows)),
        numbers_column("cells" if cells else "rows", (f"{row.n:,}" for row in rows)),
        *_of_labels(rows, {"prevalence": percent}),
        numbers_column("loss", (optional(row.cross_entropy) for row in rows)),
        numbers_column("share", (optional(row.share_of_loss, percent) for row in rows)),
        _bars([row.share_of_loss or 0.0 for row in rows], bar),
        numbers_column("mean prob", (optional(row.mean_prob) for row in rows)),
        *_of_labels(rows, {"skill": cell_number, "ece": cell_number}),
        numbers_column("recall", (optional(row.recall, percent) for row in rows)),
    ]
    if any(row.mean_gradient is not None for row in rows):
        columns.append(numbers_column("gradient", (optional(row.mean_gradient) for row in rows)))
    if needed(columns) > width or not any(row.share_of_loss for row in rows):
        columns = [column for column in columns if column.heading]  # all but the bars
    if needed(columns) > width and cells:
        columns = [column for column in columns if column.heading != "mean prob"]  # which ece and prevalence say too
    names = f"{kind}es" if kind == "class" else f"{kind}s"
    title = title_lines(names, f"loss in {report.unit}, share of the total loss", width)
    return [*title, *grid(columns, width, _CLASS_GIVES_WAY), *_other_classes(report, rows, width)]


def _of_labels(rows: Sequence[ClassRow], shown: Mapping[str, Callable[[float], str]]) -> Iterator[Column]:
    """Return the columns that only labels of their own have."""
    for name, form in shown.items():
        if any(getattr(row, name) is not None for row in rows):
            yield numbers_column(name, (optional(getattr(row, name), form) for row in rows))


def _shown_classes(rows: Sequence[ClassRow]) -> Sequence[ClassRow]:
    """Return all classes in the report's order where they fit, else those with the largest part in the loss."""
    if len(rows) <= MAX_CLASSES:
        return rows
    # Without shares (an infinite loss has none) the mean loss says where to look.
    return sorted(rows, key=lambda row: (row.share_of_loss or 0.0, _or_lowest(row.cross_entropy)), reverse=True)[
        :MAX_CLASSES
    ]


def _or_lowest(value: float | None) -> float:
    return -math.inf if value is None else value


def _other_classes(report: Report, shown: Sequence[ClassRow], width: int) -> list[Line]:
    all_rows = report.per_class
    count = len(all_rows) - len(shown)
    if not count:
        return []
    rows = sum(row.n for row in all_rows) - sum(row.n for row in shown)
    what = plural(rows, "cell" if "cells" in report.counts else "row")
    shares = [row.share_of_loss for row in shown if row.share_of_loss is not None]
    loss = f" and {percent(max(1 - math.fsum(shares), 0.0))} of the loss" if shares else ""
    text = f"{ELLIPSIS} and {plural(count, f'more {class_word(report)}')} with {what}{loss}"
    return prose(Span(GAP), text, width, QUIET)


def _bars(shares: Sequence[float], bar: str) -> Column:
    """Return a column of bars, the longest for the largest share; without a heading, as it repeats the shares."""
    largest = max(shares)
    lengths = [round(BAR_CELLS * share / largest) if largest else 0 for share in shares]
    return Column("", tuple(Span(bar * length, KEY) for length in lengths), left=True)


def worst(report: Report, width: int) -> list[Line]:
    """Return a line for each of the worst rows."""
    rows = report.worst
    if not rows:
        return []
    hit = ["" if row.predicted == row.label else WARNING for row in rows]
    columns = [
        numbers_column("row", (str(row.row) for row in rows)),
        names_column("id", ("-" if row.id is None else row.id for row in rows)),
        names_column("label", (row.label for row in rows)),
        names_column("predicted", (row.predicted for row in rows), hit),
        numbers_column("prob of label", (cell_number(row.prob) for row in rows)),
        numbers_column("loss", (cell_number(row.loss) for row in rows)),
    ]
    if not any(row.predicted for row in rows):
        del columns[3]
    if not any(row.label for row in rows):
        del columns[2]
    if all(row.id is None for row in rows):
        del columns[1]
    title = title_lines("worst rows", f"loss in {report.unit}", width)
    shown = {name: [row.shown[name] for row in rows] for name in rows[0].shown}
    return [*title, *grid_beside(columns, shown, width, _ROW_GIVES_WAY)]
