"""A comparison as a page for people: the ranking, the differences from the reference, and where they come from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ce_cli.render.table import (
    BAD,
    GAP,
    GOOD,
    KEY,
    MAX_PROSE,
    MIN_WIDTH,
    QUIET,
    TITLE,
    _Column,
    _entries,
    _file,
    _gates,
    _grid,
    _issues,
    _line,
    _listed,
    _names,
    _needed,
    _numbers,
    _printed_page,
    _prose,
    _signature,
    _Span,
)
from ce_cli.render.text import cell_number, cut, number, percent, plural, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.comparison import Comparison, Difference, Rank
    from ce_cli.report import Issue, Metric

MAX_CLASSES = 10
MAX_CANDIDATES = 4  # side by side, by class
NOT_DETECTED = "~"


def render_comparison(comparison: Comparison, *, width: int, color: bool) -> str:
    """Return the page, without a newline at its end, in lines of at most `width` columns (never fewer than 60)."""
    width = max(width, MIN_WIDTH)
    gates = [replace(gate, expression=f"{gate.model}: {gate.expression}") for gate in comparison.gates]
    sections = [
        _header(comparison, width),
        _ranking(comparison, width),
        _differences(comparison, width),
        _classes(comparison, width),
        _issues(_all_issues(comparison), width),
        _gates(gates, width),
        _signatures(comparison, width),
    ]
    return _printed_page(sections, color=color)


def _header(comparison: Comparison, width: int) -> list[Any]:
    room = min(width, MAX_PROSE) - 32
    first = comparison.reference.report
    classes = f", {plural(len(first.classes), 'class')}: {_listed(first.classes)}" if first.classes else ""
    column = first.columns.labels
    labels = f"column {safe(column[0])}" if len(column) == 1 else f"{len(column):,} columns: {_listed(column)}"
    entries = [("labels", f"{_file(comparison.labels, room)}, {labels}", ""), ("task", comparison.task + classes, "")]
    entries += _models(comparison, room)
    rows = comparison.comparison[0].rows
    how = {"id": "paired by id", "position": "paired by position"}.get(comparison.models[-1].report.alignment, "")
    entries.append(("rows", f"{rows:,} common to all models" + (f", {how}" if how else ", in one file"), ""))
    return _entries(entries, width)


def _models(comparison: Comparison, room: int) -> list[tuple[str, str, str]]:
    """Return a line for each model, or one for all where they are columns of one file."""
    models = comparison.models
    files = {model.report.predictions.path for model in models}
    if len(files) == 1:
        first = models[0].report
        text = f"{_file(first.predictions, room)}, {first.input}: {', '.join(safe(model.name) for model in models)}"
        return [("models", text, f"the reference is {safe(models[0].name)}")]
    found = []
    for model in models:
        report, scores = model.report, model.report.columns.scores
        columns = f"{len(scores):,} columns" if len(scores) > 1 else f"column {safe(scores[0])}"
        text = f"{cut(safe(model.name), room)}: {_file(report.predictions, room)}, {report.input}, {columns}"
        found.append(("models" if model.reference else "", text, "the reference" if model.reference else ""))
    return found


def _ranking(comparison: Comparison, width: int) -> list[Any]:
    ranks = comparison.ranking
    reports = {model.name: model.report for model in comparison.models}
    skills = [reports[rank.model].metrics.get("skill") for rank in ranks]
    columns = [
        _numbers("#", (str(rank.rank) for rank in ranks)),
        _names("model", (rank.model for rank in ranks)),
        _numbers("loss", (cell_number(rank.cross_entropy.value) for rank in ranks)),
        _interval_column(f"{100 * comparison.confidence:g} % interval", [rank.cross_entropy for rank in ranks]),
    ]
    if any(skills):
        columns.append(_numbers("skill", ("-" if skill is None else cell_number(skill.value) for skill in skills)))
    if any(rank.infinite for rank in ranks):
        columns += [
            _numbers("infinite rows", (f"{rank.infinite:,}" for rank in ranks)),
            _numbers("loss of the rest", (_finite(comparison, rank) for rank in ranks)),
        ]
    while _needed(columns) > width and len(columns) > 4:
        del columns[-1]
    title = _line(_Span("ranking", TITLE), _Span(f"{GAP}loss in {comparison.unit}, the smallest first", QUIET))
    return [title, *_grid(columns, width)]


def _finite(comparison: Comparison, rank: Rank) -> str:
    metric = comparison[rank.model].metrics.get("cross_entropy_finite")
    return "-" if metric is None else cell_number(metric.value)


def _interval_column(heading: str, metrics: Sequence[Metric | None], *, signed: bool = False) -> _Column:
    return _Column(heading, tuple(_Span(_interval(metric, signed=signed)) for metric in metrics))


def _interval(metric: Metric | None, *, signed: bool) -> str:
    if metric is None or metric.lower is None or metric.upper is None:
        return "-"
    form = _signed if signed else cell_number
    return f"{form(metric.lower)} to {form(metric.upper)}"


def _signed(value: float) -> str:
    return f"+{cell_number(value)}" if value > 0 else cell_number(value)


def _differences(comparison: Comparison, width: int) -> list[Any]:
    rows = comparison.comparison
    columns = [
        _Column("", tuple(_verdict(row) for row in rows)),
        _names("model", (row.model for row in rows)),
        _Column("difference", tuple(_difference(row) for row in rows)),
        _interval_column(f"{100 * comparison.confidence:g} % interval", [row.difference for row in rows], signed=True),
        _numbers("p (Holm)", (_p(row.p_adjusted) for row in rows)),
        _numbers("better", (f"{row.wins:,}" for row in rows)),
        _numbers("worse", (f"{row.losses:,}" for row in rows)),
        _numbers("same", (f"{row.ties:,}" for row in rows)),
        _numbers(
            "detectable",
            ("-" if row.smallest_detectable is None else cell_number(row.smallest_detectable) for row in rows),
        ),
    ]
    if not any(row.ties for row in rows):
        columns = [column for column in columns if column.heading != "same"]
    for heading in ("detectable", "same", "better", "worse"):
        if _needed(columns) > width:
            columns = [column for column in columns if column.heading != heading]
    reference = cut(safe(comparison.reference.name), 30)
    title = _line(
        _Span(f"differences from {reference}", TITLE), _Span(f"{GAP}in {comparison.unit}, below 0 is better", QUIET)
    )
    return [title, *_grid(columns, width), *_told(comparison, width)]


def _told(comparison: Comparison, width: int) -> list[Any]:
    """Say what is better in words, and what could not have been seen."""
    lines: list[Any] = []
    for row in comparison.comparison:
        text = _in_words(row, comparison)
        if text:
            lines += _prose(_Span(GAP), text, width, QUIET)
    return lines


def _in_words(row: Difference, comparison: Comparison) -> str:
    if row.detected is None or row.difference is None:
        improved = percent(row.share_improved) if 0 < row.share_improved < 1 else f"{100 * row.share_improved:.0f} %"
        why = f" ({row.infinite:,} with an infinite loss)" if row.infinite else ""
        return (
            f"{NOT_DETECTED} {row.model}: no test{why}; better than {row.reference} in {improved} of {row.rows:,} rows"
        )
    if row.detected or row.smallest_detectable is None:
        return ""
    rows = plural(row.rows, "row")
    return (
        f"{NOT_DETECTED} {row.model}: no difference from {row.reference} is detected; {rows} would show one of "
        f"{number(row.smallest_detectable, 3)} {comparison.unit} in 80 of 100 cases"
    )


def _verdict(row: Difference) -> _Span:
    if not row.detected or row.difference is None:
        return _Span(NOT_DETECTED, QUIET)
    return _Span("", "")


def _difference(row: Difference) -> _Span:
    if row.difference is None:
        return _Span("-")
    value = row.difference.value
    style = "" if not row.detected else GOOD if value < 0 else BAD
    return _Span(_signed(value), style)


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _classes(comparison: Comparison, width: int) -> list[Any]:
    """Return what each class contributes to the differences: of the classes that contribute most, of the first candidates."""
    shown = [row for row in comparison.comparison if any(part.contribution for part in row.by_class)][:MAX_CANDIDATES]
    if not shown:
        return []
    parts = {row.model: {part.name: part for part in row.by_class} for row in shown}
    sizes = {part.name: part.n for row in shown for part in row.by_class}
    most = {name: max(abs(parts[row.model][name].contribution or 0.0) for row in shown) for name in sizes}
    names = sorted(sizes, key=lambda name: -most[name])[:MAX_CLASSES]
    kind = "bin" if comparison.task == "regression" else "class"
    columns = [_names(kind, names), _numbers("rows", (f"{sizes[name]:,}" for name in names))]
    for row in shown:
        values = [parts[row.model][name].contribution for name in names]
        cells = tuple(_Span("-" if value is None else _signed(value)) for value in values)
        columns.append(_Column(cut(safe(row.model), 16), cells))
    while _needed(columns) > width and len(columns) > 3:
        del columns[-1]
    title = _line(_Span("where they come from", TITLE), _Span(f"{GAP}what each {kind} adds to the difference", QUIET))
    lines = [title, *_grid(columns, width)]
    left = len(sizes) - len(names)
    if left:
        lines += _prose(_Span(GAP), f"… and {plural(left, f'more {kind}')}", width, QUIET)
    return lines


def _all_issues(comparison: Comparison) -> list[Issue]:
    """Return the issues of the comparison, then those of the models: one that all of them have once, others by name."""
    found = list(comparison.issues)
    reports = {model.name: model.report for model in comparison.models}
    for name, report in reports.items():
        for issue in report.issues:
            shared = all(issue in other.issues for other in reports.values())
            if not shared:
                found.append(replace(issue, message=f"{name}: {issue.message}"))
            elif issue not in found:
                found.append(issue)
    return found


def _signatures(comparison: Comparison, width: int) -> list[Any]:
    """Return the signatures, once where the models have the same."""
    whose: dict[str, list[str]] = {}
    for model in comparison.models:
        whose.setdefault(model.report.signature, []).append(model.name)
    lines: list[Any] = []
    for signature, names in whose.items():
        if len(whose) > 1:
            lines += _prose(_Span(""), f"{_listed(names)}:", width, KEY)
        lines += _signature(signature, width)
    return lines
