"""The report as a page for people: what was decided, the number and what it means, where it comes from, the verdict.

Metrics carry the names that gates and the JSON report use. With and without colour the characters are the same, apart
from the bars. Names and values come from data: every piece of text passes `safe` on its way into a line, and none of it
is taken for markup.
"""

from __future__ import annotations

import io
import math
from importlib import import_module
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ce_cli.metrics import IN_UNIT
from ce_cli.render.page import BAD, GAP, GOOD, KEY, MAX_NAME, MAX_PROSE, QUIET, TITLE, WARNING
from ce_cli.render.page import Column as _Column
from ce_cli.render.page import Span as _Span
from ce_cli.render.page import entries_of as _entries
from ce_cli.render.page import grid as _grid
from ce_cli.render.page import line_of as _line
from ce_cli.render.page import names_column as _names
from ce_cli.render.page import needed as _needed
from ce_cli.render.page import numbers_column as _numbers
from ce_cli.render.page import prose as _prose
from ce_cli.render.page import with_remark as _with_remark
from ce_cli.render.text import ELLIPSIS, cell_number, cell_width, chunks, cut, number, percent, plural, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ce_cli.report import ClassRow, GateResult, InputFile, Issue, Metric, Report, WorstRow

MIN_WIDTH = 60
MAX_CLASSES = 20
MAX_LISTED, MAX_LIST = 6, 40  # of names in the header: how many, unless all of them take no more than so many columns
MAX_METRIC = 28
BAR_CELLS = 12

_SHOWN_FIRST = ("accuracy", "brier", "ece", "macro_cross_entropy", "normalized_entropy")
_BESIDE = {"ece": ("ece_l2", "ece_l2_debiased", "ece_max")}
_IN_SECTIONS = ("mcb", "dsc", "unc", "temperature", "temperature_gain")
_IN_HEADLINE = ("cross_entropy", "cross_entropy_finite", "skill", "prior_entropy")

_COUNTED = {
    "unmatched_predictions": "without a label",
    "unmatched_labels": "labels without a prediction",
    "zero_weight": "of weight 0",
    "unscored": "not scored",
    "infinite": "with an infinite loss",
    "above_one": "above 1 (taken as 1)",
}
_BASELINE = "always predicting the class frequencies"
_BASELINES = {
    "multilabel": "always predicting how frequent each label is",
    "regression": "always predicting the frequencies of the bins",
}


def render_table(report: Report, *, width: int, color: bool) -> str:
    """Return the page, without a newline at its end, in lines of at most `width` columns (never fewer than 60).

    With `color` the only escape sequences are those for colours and weights (SGR); without there are none.
    """
    width = max(width, MIN_WIDTH)
    sections = (
        _header(report, width),
        _headline(report, width),
        _metrics(report, width),
        _classes(report, width, "━" if color else "#"),
        _worst(report, width),
        *_sections(report, width, color=color),
        _deltas(report, width),
        _issues(report.issues, width),
        _gates(report.gates, width),
        _signature(report.signature, width),
    )
    return _printed_page(sections, color=color)


def _printed_page(sections: Iterable[list[Text]], *, color: bool) -> str:
    """Return sections with an empty line between them."""
    return _printed(Text("\n\n").join(Text("\n").join(lines) for lines in sections if lines), color)


def _sections(report: Report, width: int, *, color: bool) -> Iterator[list[Text]]:
    """Yield what each section of the report says; only those that there are have their module imported."""
    for name in report.sections:
        module = import_module(f"ce_cli.render.sections.{name}")
        yield module.lines(report, width, color=color)


def _deltas(report: Report, width: int) -> list[Text]:
    if not report.deltas:
        return []
    from ce_cli.render import deltas

    return deltas.lines(report, width)


def _printed(page: Text, color: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        force_terminal=color,
        # The sixteen colours of the user's own theme, which are legible on any background.
        color_system="standard" if color else None,
        no_color=not color,
        force_jupyter=False,
        legacy_windows=False,
    )
    console.print(page, soft_wrap=True, end="")
    return stream.getvalue()


# --- what was decided ------------------------------------------------------------------------------------------------


def _header(report: Report, width: int) -> list[Text]:
    columns = report.columns
    room = min(width, MAX_PROSE) - 32  # for a path, beside the name of the line and the number of rows
    same_file = report.labels.path == report.predictions.path
    classes = plural(len(report.classes), _class(report))
    many = len(columns.scores) > 1
    scores = (
        f"{len(columns.scores):,} columns: {_listed(columns.scores)}" if many else f"column {_listed(columns.scores)}"
    )
    labels = f"{'the same file' if same_file else _file(report.labels, room)}, {_label_columns(columns.labels)}"
    entries = [
        ("predictions", _file(report.predictions, room)),
        ("labels", labels if columns.labels else ""),
        ("task", report.task + (f", {classes}: {_listed(report.classes)}" if report.classes else "")),
        ("scores", f"{report.input}, {scores}"),
        ("alignment", _alignment(report) if columns.labels else ""),
        ("weight", "" if columns.weight is None else f"column {_name(columns.weight)}"),
        ("rows", _rows(report)),
        ("of these", _counted(report.counts, (*_of_rows(report), "clipped", "above_one", "renormalized"))),
        ("cells", _cells(report.counts)),
        ("sequences", _sequences(report.counts)),
        ("unused", _counted(report.counts, ("unmatched_labels",))),
    ]
    return _entries([(name, text, "") for name, text in entries if text], width)


def _label_columns(names: tuple[str, ...]) -> str:
    return f"column {_name(names[0])}" if len(names) == 1 else f"{len(names):,} columns: {_listed(names)}"


def _file(file: InputFile, room: int) -> str:
    return f"{cut(safe(file.path), room)} ({plural(file.rows, 'row')})"


def _name(name: str) -> str:
    return cut(safe(name), MAX_NAME // 2)


def _listed(names: Sequence[str]) -> str:
    """Return the names, the first few and the last of them where there are many."""
    if len(names) <= MAX_LISTED or (len(names) <= MAX_LIST and cell_width(safe(", ".join(names))) <= MAX_LIST):
        return ", ".join(map(_name, names))
    return f"{', '.join(map(_name, names[: MAX_LISTED - 2]))}, {ELLIPSIS} {_name(names[-1])}"


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


# --- the number ------------------------------------------------------------------------------------------------------


def _headline(report: Report, width: int) -> list[Text]:
    metric = report.metrics.get("cross_entropy")
    if metric is None:
        return []
    name = "cross_entropy" + GAP
    value = _Span(f"{number(metric.value)} {report.unit}", TITLE if math.isfinite(metric.value) else BAD)
    lines = _with_remark(_line(_Span(name, TITLE), value), _interval(report, metric), len(name), width)
    for text, style in (*_infinity(report, metric), *_meaning(report)):
        lines += _prose(_Span(" " * len(name)), text, width, style)
    return lines


def _interval(report: Report, metric: Metric) -> str:
    if metric.lower is None or metric.upper is None:
        return ""
    bounds = f"{number(metric.lower, like=metric.value)} to {number(metric.upper, like=metric.value)}"
    return f"{100 * report.confidence:g} % confidence interval {bounds}"


def _infinity(report: Report, metric: Metric) -> Iterator[_Span]:
    """Say that the loss is infinite, why, and what it is over the rest."""
    if math.isfinite(metric.value):
        return
    what = "cell" if report.task == "multilabel" else "row"
    yield _Span(f"INFINITE: {plural(report.counts['infinite'], what)} gave the true class a probability of 0", BAD)
    finite = report.metrics.get("cross_entropy_finite")
    if finite is not None:
        yield _Span(f"cross_entropy_finite {number(finite.value)} {report.unit}, over all other {what}s", TITLE)
        if finite.lower is not None:
            yield _Span(_interval(report, finite), QUIET)


def _meaning(report: Report) -> Iterator[_Span]:
    """Compare the loss with that of the best constant prediction, in words and in figures."""
    skill, prior = report.metrics.get("skill"), report.metrics.get("prior_entropy")
    if skill is not None:
        yield _comparison(skill.value, _BASELINES.get(report.task, _BASELINE))
        figures = f"skill {number(skill.value)}"
        yield _Span(figures + (f", prior_entropy {number(prior.value)} {report.unit}" if prior else ""), QUIET)


def _comparison(skill: float, baseline: str) -> _Span:
    if skill > 0:
        return _Span(f"{_rough_percent(skill)} better than {baseline}", GOOD)
    if skill == 0:
        return _Span(f"no better than {baseline}", WARNING)
    if skill == -math.inf:
        return _Span(f"infinitely WORSE than {baseline}", BAD)
    return _Span(f"{_rough_percent(-skill)} WORSE than {baseline}", BAD)


def _rough_percent(share: float) -> str:
    if share > 1:
        return f"{100 * share:,.0f} %" if share < 1e4 else f"{100 * share:.1e} %"
    return f"{100 * share:.0f} %" if 0.01 <= share < 0.985 else percent(share)


def _metrics(report: Report, width: int) -> list[Text]:
    entries = [_metric(report, name) for name in _metric_order(report)]
    if report.quantiles:
        entries.append(("loss quantiles", _quantiles(report.quantiles), ""))
    if report.max_row_sum_error is not None:
        entries.append(("max_row_sum_error", number(report.max_row_sum_error, 3), ""))
    return _entries(entries, width)


def _metric_order(report: Report) -> list[str]:
    """Return the metrics with a line of their own: the familiar ones first, then all others as the report has them."""
    elsewhere = {
        *_IN_HEADLINE,
        *_IN_SECTIONS,
        *(name for key, names in _BESIDE.items() if key in report for name in names),
    }
    first = [name for name in _SHOWN_FIRST if name in report]
    return first + [name for name in report.metrics if name not in elsewhere and name not in first]


def _metric(report: Report, name: str) -> tuple[str, str, str]:
    """Return the name of a metric, its value, and its interval and the variants that deserve no line of their own."""
    metric = report[name]
    unit = f" {report.unit}" if name in IN_UNIT else ""
    beside = [f"{other} {number(report[other].value)}" for other in _BESIDE.get(name, ()) if other in report]
    remarks = filter(None, (_interval(report, metric), *beside))
    return cut(safe(name), MAX_METRIC), number(metric.value) + unit, ", ".join(remarks)


def _quantiles(quantiles: Mapping[str, float]) -> str:
    return ", ".join(
        f"{'max' if float(at) == 1 else f'{100 * float(at):g} %'} {number(loss, 4)}" for at, loss in quantiles.items()
    )


# --- where it comes from ---------------------------------------------------------------------------------------------


def _classes(report: Report, width: int, bar: str) -> list[Text]:
    rows = _shown_classes(report.per_class)
    if not rows:
        return []
    kind, cells = _class(report), "cells" in report.counts
    columns = [
        _names(kind, (row.name for row in rows)),
        _numbers("cells" if cells else "rows", (f"{row.n:,}" for row in rows)),
        *_of_labels(rows, {"prevalence": percent}),
        _numbers("loss", (_optional(row.cross_entropy) for row in rows)),
        _numbers("share", (_optional(row.share_of_loss, percent) for row in rows)),
        _bars([row.share_of_loss or 0.0 for row in rows], bar),
        _numbers("mean prob", (_optional(row.mean_prob) for row in rows)),
        *_of_labels(rows, {"skill": cell_number, "ece": cell_number}),
        _numbers("recall", (_optional(row.recall, percent) for row in rows)),
    ]
    if any(row.mean_gradient is not None for row in rows):
        columns.append(_numbers("gradient", (_optional(row.mean_gradient) for row in rows)))
    if _needed(columns) > width or not any(row.share_of_loss for row in rows):
        columns = [column for column in columns if column.heading]  # all but the bars
    if _needed(columns) > width and cells:
        columns = [column for column in columns if column.heading != "mean prob"]  # which ece and prevalence say too
    for heading in _GIVE_WAY:
        if _needed(columns) - max(0, columns[0].width - _LEAST_NAME) > width:
            columns = [column for column in columns if column.heading != heading]
    names = _Span(f"{kind}es" if kind == "class" else f"{kind}s", TITLE)
    title = _line(names, _Span(f"{GAP}loss in {report.unit}, share of the total loss", QUIET))
    return [title, *_grid(columns, width), *_other_classes(report, rows, width)]


# What gives way to names that would be shorter than so many characters, first things first.
_GIVE_WAY = ("mean prob", "ece", "prevalence", "skill", "gradient")
_LEAST_NAME = 12


def _class(report: Report) -> str:
    """Return what one of the classes is called in a task."""
    return {"multilabel": "label", "regression": "bin"}.get(report.task, "class")


def _of_labels(rows: Sequence[ClassRow], shown: Mapping[str, Callable[[float], str]]) -> Iterator[_Column]:
    """Return the columns that only labels of their own have."""
    for name, form in shown.items():
        if any(getattr(row, name) is not None for row in rows):
            yield _numbers(name, (_optional(getattr(row, name), form) for row in rows))


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


def _other_classes(report: Report, shown: Sequence[ClassRow], width: int) -> list[Text]:
    all_rows = report.per_class
    count = len(all_rows) - len(shown)
    if not count:
        return []
    rows = sum(row.n for row in all_rows) - sum(row.n for row in shown)
    what = plural(rows, "cell" if "cells" in report.counts else "row")
    shares = [row.share_of_loss for row in shown if row.share_of_loss is not None]
    loss = f" and {percent(max(1 - math.fsum(shares), 0.0))} of the loss" if shares else ""
    text = f"{ELLIPSIS} and {plural(count, f'more {_class(report)}')} with {what}{loss}"
    return _prose(_Span(GAP), text, width, QUIET)


def _bars(shares: Sequence[float], bar: str) -> _Column:
    """Return a column of bars, the longest for the largest share; without a heading, as it repeats the shares."""
    largest = max(shares)
    lengths = [round(BAR_CELLS * share / largest) if largest else 0 for share in shares]
    return _Column("", tuple(_Span(bar * length, KEY) for length in lengths), left=True)


def _optional(value: float | None, shown: Callable[[float], str] = cell_number) -> str:
    return "-" if value is None else shown(value)


def _worst(report: Report, width: int) -> list[Text]:
    rows = report.worst
    if not rows:
        return []
    hit = ["" if row.predicted == row.label else WARNING for row in rows]
    columns = [
        _numbers("row", (str(row.row) for row in rows)),
        _names("id", ("-" if row.id is None else row.id for row in rows)),
        _names("label", (row.label for row in rows)),
        _names("predicted", (row.predicted for row in rows), hit),
        _numbers("prob of label", (cell_number(row.prob) for row in rows)),
        _numbers("loss", (cell_number(row.loss) for row in rows)),
    ]
    if not any(row.predicted for row in rows):
        del columns[3]
    if not any(row.label for row in rows):
        del columns[2]
    if all(row.id is None for row in rows):
        del columns[1]
    title = _line(_Span("worst rows", TITLE), _Span(f"{GAP}loss in {report.unit}", QUIET))
    shown = [_names(name, (_or_dash(row.shown[name]) for row in rows)) for name in rows[0].shown]
    if not shown or _needed([*columns, *shown]) <= width:
        return [title, *_grid([*columns, *shown], width)]
    heading, *lines = _grid(columns, width)
    beside = [_prose(_Span(GAP * 2), _cells_shown(row), width, QUIET) for row in rows]
    return [title, heading, *(part for line, below in zip(lines, beside, strict=True) for part in (line, *below))]


def _cells_shown(row: WorstRow) -> str:
    """Return the cells that were to be shown of a row, where they do not fit beside it."""
    return ", ".join(
        f"{cut(safe(name), MAX_NAME)}: {cut(safe(_or_dash(row.shown[name])), MAX_PROSE)}" for name in row.shown
    )


def _or_dash(cell: str | None) -> str:
    return "-" if cell is None else cell


# --- what to know, and the verdict -----------------------------------------------------------------------------------


def _issues(issues: Sequence[Issue], width: int) -> list[Text]:
    return [line for issue in issues for line in _issue(issue, width)]


def _issue(issue: Issue, width: int) -> list[Text]:
    lead = f"{issue.severity:<7}" + GAP
    blank = _Span(" " * len(lead))
    lines = _prose(_Span(lead, WARNING if issue.severity == "warning" else KEY), issue.message, width)
    if issue.first_rows:
        lines += _prose(blank, _first_rows(issue), width, QUIET)
    if issue.hint:
        lines += _prose(blank, f"hint: {issue.hint}", width)
    return lines


def _first_rows(issue: Issue) -> str:
    rows = ", ".join(map(str, issue.first_rows))
    if issue.count > len(issue.first_rows):
        if issue.message.partition(" ")[2].startswith("cell"):  # several of them may be of one row
            return f"the first of {issue.count:,} cells are in rows {rows}"
        return f"the first of {issue.count:,} rows: {rows}"
    return f"row {rows}" if len(issue.first_rows) == 1 else f"rows {rows}"


def _gates(gates: Sequence[GateResult], width: int) -> list[Text]:
    if not gates:
        return []
    columns = [
        _Column("", tuple(_Span("PASS", GOOD) if gate.passed else _Span("FAIL", BAD) for gate in gates)),
        _names("gate", (gate.expression for gate in gates)),
        _numbers("observed", (_optional(gate.observed, number) for gate in gates)),
        _numbers("bound", (f"{gate.bound:.12g}" for gate in gates)),
        _numbers("margin", (_optional(gate.margin, number) for gate in gates)),
    ]
    if _needed(columns) > width:
        del columns[3]  # the expression ends in its bound, also where its middle is cut
    heading, *lines = _grid(columns, width)
    page = [_line(_Span("gates", TITLE)), heading]
    for gate, line in zip(gates, lines, strict=True):
        page += [line, *(_prose(_Span(" " * 8), gate.reason, width, QUIET) if gate.reason else [])]
    return [*page, Text(), _line(_closing(gates))]


def _closing(gates: Sequence[GateResult]) -> _Span:
    failed = sum(not gate.passed for gate in gates)
    if failed:
        return _Span(f"FAIL: {failed:,} of {plural(len(gates), 'gate')} failed", BAD)
    return _Span(f"PASS: {len(gates):,} of {plural(len(gates), 'gate')} passed", f"bold {GOOD}")


def _signature(signature: str, width: int) -> list[Text]:
    """Return the signature, broken between its fields where it is too long for a line."""
    first, *fields = safe(signature).split("|")
    lines = [first]
    for field in fields:
        lines[-1] += "|"
        if cell_width(lines[-1] + field) < width:  # one column is left for the next separator
            lines[-1] += field
        else:
            lines.append(field)
    return [_line(_Span(part, QUIET)) for line in lines for part in chunks(line, width)]


def _alignment(report: Report) -> str:
    if report.alignment == "id":
        return f"by id: {_listed(report.columns.id)}"
    return {"position": "by position", "file": "scores and labels in one file"}.get(report.alignment, report.alignment)
