"""A comparison as a page for people: the ranking, the differences from the reference, and where they come from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ce_cli.render.header import file_of, names_listed
from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    KEY,
    MIN_WIDTH,
    QUIET,
    Column,
    Span,
    entries_of,
    grid,
    grid_beside,
    names_column,
    needed,
    numbers_column,
    printed,
    prose,
    title_lines,
)
from ce_cli.render.text import cell_number, cut, number, percent, plural, safe
from ce_cli.render.verdict import gate_lines, issue_lines, signature_lines
from ce_cli.report import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.comparison import Comparison, Difference
    from ce_cli.report import Issue

MAX_CLASSES = 10
MAX_CANDIDATES = 4  # side by side, by class
NOT_DETECTED = "~"


def render_comparison(comparison: Comparison, *, width: int, color: bool) -> str:
    """Return the page, without a newline at its end, in lines of at most `width` columns (never fewer than 40)."""
    width = max(width, MIN_WIDTH)
    gates = [gate._replace(expression=f"{gate.model}: {gate.expression}") for gate in comparison.gates]
    sections = [
        _header(comparison, width),
        _ranking(comparison, width),
        _differences(comparison, width),
        _classes(comparison, width),
        _slices(comparison, width),
        *(_moved(one, comparison, width) for one in comparison.comparison[:MAX_CANDIDATES]),
        _calibration(comparison, width),
        issue_lines(_all_issues(comparison), width),
        gate_lines(gates, width),
        _signatures(comparison, width),
    ]
    return printed(sections, color=color)


def _header(comparison: Comparison, width: int) -> list[Any]:
    room = max(width - 32, 16)
    first = comparison.reference.report
    classes = f", {plural(len(first.classes), 'class')}: {names_listed(first.classes, width)}" if first.classes else ""
    column = first.columns.labels
    labels = (
        f"column {safe(column[0])}" if len(column) == 1 else f"{len(column):,} columns: {names_listed(column, width)}"
    )
    entries = [("task", comparison.task + classes, "" if comparison.per is None else f"compared by {comparison.per}")]
    if comparison.per is None:  # tokens of several models are not the same ones
        entries.insert(0, ("labels", f"{file_of(comparison.labels, room)}, {labels}", ""))
    entries += _models(comparison, room)
    rows = comparison.comparison[0].rows
    how = {"id": "paired by id", "position": "paired by position"}.get(comparison.models[-1].report.alignment, "")
    told = f"{rows:,} common to all models" + (f", {how}" if how else ", in one file")
    entries.append((_units(comparison), told, ""))
    return entries_of(entries, width, most=width)


def _units(comparison: Comparison) -> str:
    """Return what is paired."""
    return "rows" if comparison.per is None else "sequences"


def _loss_unit(comparison: Comparison) -> str:
    """Return what a loss is told in."""
    return comparison.unit if comparison.per is None else f"{comparison.unit} per {comparison.per}"


def _models(comparison: Comparison, room: int) -> list[tuple[str, str, str]]:
    """Return a line for each model, or one for all where they are columns of one file."""
    models = comparison.models
    files = {model.report.predictions.path for model in models}
    if len(files) == 1:
        first = models[0].report
        text = f"{file_of(first.predictions, room)}, {first.input}: {', '.join(safe(model.name) for model in models)}"
        return [("models", text, f"the reference is {safe(models[0].name)}")]
    found = []
    for model in models:
        report, scores = model.report, model.report.columns.scores
        columns = f"{len(scores):,} columns" if len(scores) > 1 else f"column {safe(scores[0])}"
        text = f"{cut(safe(model.name), room)}: {file_of(report.predictions, room)}, {report.input}, {columns}"
        found.append(("models" if model.reference else "", text, "the reference" if model.reference else ""))
    return found


def _ranking(comparison: Comparison, width: int) -> list[Any]:
    ranks = comparison.ranking
    models = {model.name: model for model in comparison.models}
    columns = [
        numbers_column("#", (str(rank.rank) for rank in ranks)),
        names_column("model", (rank.model for rank in ranks)),
        numbers_column("loss", (cell_number(rank.cross_entropy.value) for rank in ranks)),
        _interval_column(f"{100 * comparison.confidence:g} % interval", [rank.cross_entropy for rank in ranks]),
    ]
    if any(rank.skill for rank in ranks):
        columns.append(numbers_column("skill", (_value(rank.skill) for rank in ranks)))
    by_row = comparison.per in (None, "token")  # as the mean loss of a model by itself is
    if any(rank.infinite for rank in ranks):
        columns.append(numbers_column(f"infinite {_units(comparison)}", (f"{rank.infinite:,}" for rank in ranks)))
        rest = [models[rank.model].shared.get("cross_entropy_finite") for rank in ranks]
        if by_row and any(rest):
            columns.append(numbers_column("loss of the rest", map(_value, rest)))
    if not comparison.same_rows:
        own = _own_units(comparison)
        columns.append(numbers_column(f"own {_units(comparison)}", (f"{own[rank.model]:,}" for rank in ranks)))
        if by_row:
            loss = (models[rank.model].report["cross_entropy"] for rank in ranks)
            columns.append(numbers_column("own loss", map(_value, loss)))
    while needed(columns) > width and len(columns) > 4:
        del columns[-1]
    told = f"loss in {_loss_unit(comparison)}, the smallest first"
    if not comparison.same_rows:
        told += f"; of the {plural(comparison.comparison[0].rows, f'common {_units(comparison)[:-1]}')}"
    priors = {rank.prior_entropy for rank in ranks}
    if len(priors) == 1 and None not in priors:
        told += f"; prior entropy {_value(ranks[0].prior_entropy)}"
    return [*title_lines("ranking", told, width), *grid(columns, width, (columns[3].heading,))]


def _own_units(comparison: Comparison) -> dict[str, int]:
    """Return how many rows, or sequences, each model has scored, common to all or not."""
    first = comparison.comparison[0]
    found = {first.reference: first.rows + first.only_reference}
    return {**found, **{one.model: one.rows + one.only_model for one in comparison.comparison}}


def _value(metric: Metric | None) -> str:
    return "-" if metric is None else cell_number(metric.value)


def _interval_column(heading: str, metrics: Sequence[Metric | None], *, signed: bool = False) -> Column:
    return Column(heading, tuple(Span(_interval(metric, signed=signed)) for metric in metrics))


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
        Column("", tuple(_verdict(row) for row in rows)),
        names_column("model", (row.model for row in rows)),
        Column("difference", tuple(_difference(row) for row in rows)),
        _interval_column(f"{100 * comparison.confidence:g} % interval", [row.difference for row in rows], signed=True),
        numbers_column("p (Holm)", (_p(row.p_adjusted) for row in rows)),
        *_bootstrapped(rows),
        numbers_column("better", (f"{row.wins:,}" for row in rows)),
        numbers_column("worse", (f"{row.losses:,}" for row in rows)),
        numbers_column("same", (f"{row.ties:,}" for row in rows)),
        numbers_column(
            "detectable",
            (cell_number(row.smallest_detectable) if row.smallest_detectable else "-" for row in rows),
        ),
    ]
    if not any(row.ties for row in rows):
        columns = [column for column in columns if column.heading != "same"]
    for heading in ("detectable", "same", "better", "worse"):
        if needed(columns) > width:
            columns = [column for column in columns if column.heading != heading]
    remark = f"in {_loss_unit(comparison)}, below 0 is better"
    title = title_lines(f"differences from {comparison.reference.name}", remark, width)
    return [*title, *grid(columns, width, (columns[3].heading, "p (boot)")), *_told(comparison, width)]


def _bootstrapped(rows: Sequence[Difference]) -> list[Column]:
    if not any(row.bootstrap for row in rows):
        return []
    return [numbers_column("p (boot)", (_p(None if row.bootstrap is None else row.bootstrap.p) for row in rows))]


def _told(comparison: Comparison, width: int) -> list[Any]:
    """Say what is better in words, and what could not have been seen."""
    lines: list[Any] = []
    for row in comparison.comparison:
        text = _in_words(row, comparison)
        if text:
            lines += prose(Span(GAP), text, width, QUIET)
    return lines


def _in_words(row: Difference, comparison: Comparison) -> str:
    units = _units(comparison)
    if row.detected is None or row.difference is None:
        improved = percent(row.share_improved) if 0 < row.share_improved < 1 else f"{100 * row.share_improved:.0f} %"
        why = f" ({row.infinite:,} with an infinite loss)" if row.infinite else ""
        return f"{NOT_DETECTED} {row.model}: no test{why}; better than {row.reference} in {improved} of {row.rows:,} {units}"
    if row.ties == row.rows:
        return f"{NOT_DETECTED} {row.model}: its loss is that of {row.reference} in every {units[:-1]}"
    if row.detected or not row.smallest_detectable:
        return ""
    rows = plural(row.rows, units[:-1])
    return (
        f"{NOT_DETECTED} {row.model}: no difference from {row.reference} is detected; {rows} would show one of "
        f"{number(row.smallest_detectable, 3)} {_loss_unit(comparison)} in 80 of 100 cases"
    )


def _verdict(row: Difference) -> Span:
    if not row.detected or row.difference is None:
        return Span(NOT_DETECTED, QUIET)
    return Span("", "")


def _difference(row: Difference) -> Span:
    if row.difference is None:
        return Span("-")
    value = row.difference.value
    style = "" if not row.detected else GOOD if value < 0 else BAD
    return Span(_signed(value), style)


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
    columns = [names_column(kind, names), numbers_column("rows", (f"{sizes[name]:,}" for name in names))]
    for row in shown:
        values = [parts[row.model][name].contribution for name in names]
        cells = tuple(Span("-" if value is None else _signed(value)) for value in values)
        columns.append(Column(cut(safe(row.model), 16), cells))
    while needed(columns) > width and len(columns) > 3:
        del columns[-1]
    title = title_lines("where they come from", f"what each {kind} adds to the difference", width)
    lines = [*title, *grid(columns, width)]
    left = len(sizes) - len(names)
    if left:
        lines += prose(Span(GAP), f"… and {plural(left, f'more {kind}')}", width, QUIET)
    return lines


def _slices(comparison: Comparison, width: int) -> list[Any]:
    """Return the slices of each candidate that contribute most to its difference, without those that are too small."""
    found = [
        (row.model, part)
        for row in comparison.comparison[:MAX_CANDIDATES]
        for part in [part for part in row.by_slice if not part.small][:MAX_CLASSES]
    ]
    if not found:
        return []
    metrics = [part.difference for _, part in found]
    columns = [
        names_column("model", (model for model, _ in found)),
        names_column("slice", (",".join(f"{key}={value}" for key, value in part.by.items()) for _, part in found)),
        numbers_column(_units(comparison), (f"{part.n:,}" for _, part in found)),
        Column("difference", tuple(Span("-" if one is None else _signed(one.value)) for one in metrics)),
        _interval_column(f"{100 * comparison.confidence:g} % interval", metrics, signed=True),
        Column(
            "adds",
            tuple(Span("-" if part.contribution is None else _signed(part.contribution)) for _, part in found),
        ),
    ]
    if len(comparison.comparison) == 1:
        del columns[0]
    if needed(columns) > width:
        columns = [column for column in columns if column.heading != "adds"]
    small = sum(part.small for part in comparison.comparison[0].by_slice)
    title = title_lines("by slice", "those that add most to the difference", width)
    lines = [
        *title,
        *grid(columns, width, [column.heading for column in columns if column.heading.endswith("interval")]),
    ]
    if small:
        rows = sum(part.n for part in comparison.comparison[0].by_slice if part.small)
        units = plural(rows, _units(comparison)[:-1])
        lines += prose(Span(GAP), f"{plural(small, 'small slice')} with {units} are not shown", width, QUIET)
    return lines


def _moved(one: Difference, comparison: Comparison, width: int) -> list[Any]:
    """Return the rows where a candidate loses and gains most against the reference."""
    rows = [*one.worse_rows, *one.better_rows]
    if not rows:
        return []
    candidate, reference = (cut(safe(name), 16) for name in (one.model, one.reference))
    changes = (Span(_signed(row.difference), BAD if row.difference > 0 else GOOD) for row in rows)
    columns = [numbers_column("row", (str(row.row) for row in rows))]
    if any(row.id is not None for row in rows):
        columns.append(names_column("id", ("-" if row.id is None else row.id for row in rows)))
    if any(row.label for row in rows):
        columns.append(names_column("label", (row.label for row in rows)))
    columns += [
        numbers_column(reference, (cell_number(row.reference_loss) for row in rows)),
        numbers_column(candidate, (cell_number(row.loss) for row in rows)),
        Column("difference", tuple(changes)),
    ]
    predicted = names_column("predicted", (row.predicted for row in rows))
    if any(row.predicted for row in rows) and needed([*columns, predicted]) <= width:
        columns.append(predicted)
    shown = {name: [row.shown[name] for row in rows] for name in rows[0].shown}
    told = f"losses in {comparison.unit}, where it loses most and where it gains most"
    return [*title_lines(f"rows of {candidate}", told, width), *grid_beside(columns, shown, width, ("row",))]


def _calibration(comparison: Comparison, width: int) -> list[Any]:
    """Return the calibration of each model in a line; its own report has the rest."""
    found = [
        (model.name, model.report, model.report.sections["calibration"])
        for model in comparison.models
        if "calibration" in model.report.sections
    ]
    if not found:
        return []
    scaled = [section["temperature"] for _, _, section in found]
    gains = [Metric(**one["gain"]) if "gain" in one else None for one in scaled]
    columns = [
        names_column("model", (name for name, _, _ in found)),
        numbers_column("ece", (_value(report.metrics.get("ece")) for _, report, _ in found)),
        numbers_column("mcb", (cell_number(section["decomposition"]["mcb"]) for _, _, section in found)),
        numbers_column("temperature", ("-" if one["value"] is None else cell_number(one["value"]) for one in scaled)),
        numbers_column("gain", map(_value, gains)),
        _interval_column(f"{100 * comparison.confidence:g} % interval", gains),
        names_column("verdict", (one.get("verdict") or ("-" if "gain" in one else "no temperature") for one in scaled)),
    ]
    while needed(columns) > width and len(columns) > 4:
        del columns[-2]
    told = f"miscalibration (mcb) and what the temperature saves, in {comparison.unit}"
    return [*title_lines("calibration", told, width), *grid(columns, width)]


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
            lines += prose(Span(""), f"{names_listed(names, width)}:", width, KEY)
        lines += signature_lines(signature, width)
    return lines
