"""Where the differences of a comparison come from: classes, slices and rows, of the best candidates by the ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.header import class_word
from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    QUIET,
    Column,
    Span,
    fitting,
    grid,
    grid_beside,
    names_column,
    needed,
    numbers_column,
    prose,
    title_lines,
)
from ce_cli.render.text import ELLIPSIS, cell_number, cut, optional, plural, safe, signed_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.comparison import Comparison, Difference
    from ce_cli.render.page import Line
    from ce_cli.report import Metric

MAX_CLASSES = 10
MAX_CANDIDATES = 4  # the others are in the JSON report


def origin(comparison: Comparison, width: int) -> list[list[Line]]:
    """Return the sections on where the differences come from."""
    place = {rank.model: at for at, rank in enumerate(comparison.ranking)}
    best = sorted(comparison.comparison, key=lambda row: place[row.model])
    return [_classes(comparison, best, width), _slices(comparison, best, width), *_moved(comparison, best, width)]


def units_of(comparison: Comparison) -> str:
    """Return what is paired."""
    return "rows" if comparison.per is None else "sequences"


def interval_column(comparison: Comparison, metrics: Sequence[Metric | None], *, signed: bool = False) -> Column:
    """Return a column of intervals, a dash where there is none."""
    heading = f"{100 * comparison.confidence:g} % interval"
    return Column(heading, tuple(Span(_interval(metric, signed=signed)) for metric in metrics))


def _interval(metric: Metric | None, *, signed: bool) -> str:
    if metric is None or metric.lower is None or metric.upper is None:
        return "-"
    form = signed_number if signed else cell_number
    return f"{form(metric.lower)} to {form(metric.upper)}"


def _left_out(rows: Sequence[Difference], shown: int, width: int) -> list[Line]:
    """Say how many candidates are not shown, if any."""
    left = len(rows) - shown
    return prose(Span(GAP), f"{ELLIPSIS} and {left:,} more (--json has all)", width, QUIET) if left else []


def _title(name: str, remark: str, rows: Sequence[Difference], shown: int, width: int) -> list[Line]:
    """Return the title of a section, which says whose the parts are where not all candidates have room."""
    whose = f", of the {shown} best" if len(rows) > shown > 1 else ", of the best" if len(rows) > shown else ""
    return title_lines(name, remark + whose, width)


def _classes(comparison: Comparison, best: Sequence[Difference], width: int) -> list[Line]:
    """Return what each class contributes to the differences: of the classes that contribute most."""
    best = [row for row in best if any(part.contribution for part in row.by_class)]
    shown = best[:MAX_CANDIDATES]
    if not shown:
        return []
    parts = {row.model: {part.name: part for part in row.by_class} for row in shown}
    sizes = {part.name: part.n for row in shown for part in row.by_class}
    most = {name: max(abs(parts[row.model][name].contribution or 0.0) for row in shown) for name in sizes}
    names = sorted(sizes, key=lambda name: -most[name])[:MAX_CLASSES]
    kind = class_word(comparison.reference.report)
    columns = [names_column(kind, names), numbers_column("rows", (f"{sizes[name]:,}" for name in names))]
    for row in shown:
        cells = (optional(parts[row.model][name].contribution, signed_number) for name in names)
        columns.append(Column(cut(safe(row.model), 16), tuple(map(Span, cells))))
    while needed(columns) > width and len(columns) > 3:
        del columns[-1]
    lines = [
        *_title("where they come from", f"what each {kind} adds to the difference", best, len(columns) - 2, width),
        *grid(columns, width),
    ]
    left = len(sizes) - len(names)
    if left:
        lines += prose(Span(GAP), f"{ELLIPSIS} and {plural(left, f'more {kind}')}", width, QUIET)
    return [*lines, *_left_out(best, len(columns) - 2, width)]


def _slices(comparison: Comparison, best: Sequence[Difference], width: int) -> list[Line]:
    """Return the slices of each candidate that contribute most to its difference, without those that are too small."""
    shown = best[:MAX_CANDIDATES]
    found = [
        (row.model, part) for row in shown for part in [part for part in row.by_slice if not part.small][:MAX_CLASSES]
    ]
    if not found:
        return []
    metrics = [part.difference for _, part in found]
    interval = interval_column(comparison, metrics, signed=True)
    columns = [
        names_column("model", (model for model, _ in found)),
        names_column("slice", (",".join(f"{key}={value}" for key, value in part.by.items()) for _, part in found)),
        numbers_column(units_of(comparison), (f"{part.n:,}" for _, part in found)),
        Column("difference", tuple(Span("-" if one is None else signed_number(one.value)) for one in metrics)),
        interval,
        Column("adds", tuple(Span(optional(part.contribution, signed_number)) for _, part in found)),
    ]
    if len(best) == 1:
        del columns[0]
    lines = [
        *_title("by slice", "those that add most to the difference", best, len(shown), width),
        *grid(fitting(columns, width, ("adds",)), width, (interval.heading,)),
        *_left_out(best, len(shown), width),
    ]
    small = [part.n for part in best[0].by_slice if part.small]
    if small:
        units = plural(sum(small), units_of(comparison)[:-1])
        lines += prose(Span(GAP), f"{plural(len(small), 'small slice')} with {units} are not shown", width, QUIET)
    return lines


def _moved(comparison: Comparison, best: Sequence[Difference], width: int) -> list[list[Line]]:
    """Return the rows where each of the best candidates loses and gains most against the reference."""
    best = [row for row in best if row.worse_rows or row.better_rows]
    sections = [_moved_of(row, comparison, width) for row in best[:MAX_CANDIDATES]]
    if sections:
        sections[-1] += _left_out(best, len(sections), width)
    return sections


def _moved_of(one: Difference, comparison: Comparison, width: int) -> list[Line]:
    rows = [*one.worse_rows, *one.better_rows]
    candidate, reference = (cut(safe(name), 16) for name in (one.model, one.reference))
    changes = (Span(signed_number(row.difference), BAD if row.difference > 0 else GOOD) for row in rows)
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
