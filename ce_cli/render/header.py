"""What was decided: the files, the columns, the task, and which rows count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.page import MAX_NAME, Line, entries_of
from ce_cli.render.text import ELLIPSIS, cell_width, cut, plural, safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ce_cli.report import InputFile, Report


MAX_LISTED, MAX_LIST = 6, 40  # of names in the header: how many, unless all of them take no more than so many columns
_COUNTED = {
    "unmatched_predictions": "without a label",
    "unmatched_labels": "labels without a prediction",
    "zero_weight": "of weight 0",
    "unscored": "not scored",
    "infinite": "with an infinite loss",
    "above_one": "above 1 (taken as 1)",
}


def header(report: Report, width: int) -> list[Line]:
    """Return a line for everything that was decided."""
    columns = report.columns
    room = max(width - 32, 16)  # for a path, beside the name of the line and the number of rows
    same_file = report.labels.path == report.predictions.path
    classes = plural(len(report.classes), class_word(report))
    many = len(columns.scores) > 1
    scores = (
        f"{len(columns.scores):,} columns: {names_listed(columns.scores, width)}"
        if many
        else f"column {names_listed(columns.scores, width)}"
    )
    labels = (
        f"{'the same file' if same_file else file_of(report.labels, room)}, {_label_columns(columns.labels, width)}"
    )
    entries = [
        ("predictions", file_of(report.predictions, room)),
        ("labels", labels if columns.labels else ""),
        ("task", report.task + (f", {classes}: {names_listed(report.classes, width)}" if report.classes else "")),
        ("scores", f"{report.input}, {scores}"),
        ("alignment", _alignment(report, width) if columns.labels else ""),
        ("weight", "" if columns.weight is None else f"column {name_of(columns.weight, width)}"),
        ("rows", _rows(report)),
        ("of these", _counted(report.counts, (*_of_rows(report), "clipped", "above_one", "renormalized"))),
        ("cells", _cells(report.counts)),
        ("sequences", _sequences(report.counts)),
        ("unused", _counted(report.counts, ("unmatched_labels",))),
    ]
    return entries_of([(name, text, "") for name, text in entries if text], width, most=width)


def _alignment(report: Report, width: int) -> str:
    if report.alignment == "id":
        return f"by id: {names_listed(report.columns.id, width)}"
    return {"position": "by position", "file": "scores and labels in one file"}.get(report.alignment, report.alignment)


def _label_columns(names: tuple[str, ...], width: int) -> str:
    return (
        f"column {name_of(names[0], width)}"
        if len(names) == 1
        else f"{len(names):,} columns: {names_listed(names, width)}"
    )


def file_of(file: InputFile, room: int) -> str:
    """Return a file and its number of rows, its path in so many cells."""
    return f"{cut(safe(file.path), room)} ({plural(file.rows, 'row')})"


def name_of(name: str, width: int) -> str:
    """Return a name from data, short enough for a list in lines of this width."""
    return cut(safe(name), max(MAX_NAME // 2, width // 4))


def names_listed(names: Sequence[str], width: int) -> str:
    """Return the names, the first few and the last of them where there are many."""
    if len(names) <= MAX_LISTED or (len(names) <= MAX_LIST and cell_width(safe(", ".join(names))) <= MAX_LIST):
        return ", ".join(name_of(name, width) for name in names)
    first = ", ".join(name_of(name, width) for name in names[: MAX_LISTED - 2])
    return f"{first}, {ELLIPSIS} {name_of(names[-1], width)}"


def _rows(report: Report) -> str:
    counts = report.counts
    if counts["scored"] == counts["rows"]:
        return f"{counts['rows']:,}, all scored"
    causes = _counted(counts, ("invalid", "unmatched_predictions"))
    reasons = [
        _counted(counts, ("dropped",)) + (f" ({causes})" if causes else ""),
        _counted(counts, ("ignored", "zero_weight", "unscored")),
    ]
    return f"{counts['scored']:,} of {counts['rows']:,} scored; {', '.join(filter(None, reasons))}"


def _of_rows(report: Report) -> tuple[str, ...]:
    """Return what is counted by rows, unless cells are."""
    return () if "cells" in report.counts else ("infinite",)


def _cells(counts: Mapping[str, int]) -> str:
    """Return how many labels of the scored rows are known, where a row has several."""
    if "cells" not in counts:
        return ""
    return ", ".join(filter(None, (f"{counts['cells']:,} known", _counted(counts, ("infinite",)))))


def _sequences(counts: Mapping[str, int]) -> str:
    """Return how many sequences and tokens there are, where rows are tokens of sequences."""
    if "sequences" not in counts:
        return ""
    empty = f", {counts['unscored_sequences']:,} more without any" if counts["unscored_sequences"] else ""
    tokens = f", of {plural(counts['tokens'], 'scored token')}" if "tokens" in counts else ""
    return f"{counts['sequences']:,}{tokens}{empty}"


def _counted(counts: Mapping[str, int], names: Iterable[str]) -> str:
    """Return the counts that are not 0, each with what it counts."""
    return ", ".join(f"{counts[name]:,} {_COUNTED.get(name, name)}" for name in names if counts[name])


def class_word(report: Report) -> str:
    """Return what one of the classes is called in a task."""
    return {"multilabel": "label", "regression": "bin"}.get(report.task, "class")
