"""Calibration on the page: what a correction would save, the parts of the loss, a reliability diagram, the losses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    KEY,
    QUIET,
    TITLE,
    WARNING,
    Column,
    Span,
    entries_of,
    grid,
    line_of,
    names_column,
    needed,
    numbers_column,
    prose,
    title_lines,
)
from ce_cli.render.text import ELLIPSIS, number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ce_cli.render.page import Line
    from ce_cli.report import Report

_MOST_BINS = 30
_LEAST_DIAGRAM, _MOST_DIAGRAM = 15, 61
_LEAST_BAR, _MOST_BAR = 10, 60
# The interval, the predicted and the observed rate, and both in one place.
_MARKS, _PLAIN_MARKS = "─│●◆", "-|o*"

_Section = dict[str, Any]


def lines(report: Report, width: int, *, color: bool) -> list[Line]:
    """Return what the page says of the calibration."""
    section = report.sections["calibration"]
    found = [
        *_title(section, report, width),
        *_verdict(section, report, width),
        *entries_of(_figures(section, report), width),
    ]
    for part in (_reliability(section, report, width, color=color), _losses(section, report, width, color=color)):
        found += [line_of(), *part] if part else []
    return found


def _title(section: _Section, report: Report, width: int) -> list[Line]:
    what = "rows" if report.task != "multilabel" else "rows with their labels"
    used = f"all {section['n']:,} {what}"
    if section["n_used"] < section["n"]:
        used = f"bins of all {section['n']:,} {what}, the rest of a sample"
    return prose(Span("calibration" + GAP, TITLE), f"{section['of']}; {used}", width, QUIET)


def _verdict(section: _Section, report: Report, width: int) -> list[Line]:
    """Say in words whether the probabilities are too sure or not sure enough."""
    found, unit = section["temperature"], report.unit
    if "gain" not in found:
        return prose(Span(GAP), found["reason"], width, WARNING)
    held = "clusters" if "clusters" in found else "rows"
    losses = f"{number(found['after'], 4)} {unit}, was {number(found['before'], 4)}"
    told = f"after temperature {number(found['value'], 3)}: {losses}"
    verdict = found["verdict"]
    if verdict is not None:
        return prose(Span(GAP), f"{verdict}, {told} (on {held} held out)", width, WARNING)
    return prose(
        Span(GAP), f"neither over- nor under-confident beyond chance, {told} (on {held} held out)", width, GOOD
    )


def _figures(section: _Section, report: Report) -> list[tuple[str, str, str]]:
    parts, temperature = section["decomposition"], section["temperature"]
    entries = [(f"{GAP}{name}", f"{number(parts[name])} {report.unit}", said) for name, said in _PARTS.items()]
    if temperature["value"] is not None:
        entries.append((f"{GAP}temperature", number(temperature["value"]), _gain(temperature, report)))
    platt = section.get("platt")
    if platt is not None:
        line = "none" if platt["slope"] is None else f"{number(platt['slope'])}, intercept {number(platt['intercept'])}"
        entries.append((f"{GAP}platt slope", line, _gain(platt, report)))
    if temperature["infinite"]:
        left_out = plural(temperature["infinite"], "cell" if report.task == "multilabel" else "row")
        entries.append((f"{GAP}left out", left_out, "of infinite loss, which no temperature mends"))
    if section["n_used"] < section["n"]:
        rows = f"{section['n_used']:,} rows"
        fitted = temperature["n_used"]
        rest = f", temperature: {fitted:,} rows" if fitted != section["n_used"] else ""
        entries.append((f"{GAP}sample", rows + rest, f"of {section['n']:,}, chosen by their numbers"))
    return entries


_PARTS = {
    "mcb": "miscalibration: what a monotone correction would save",
    "dsc": "discrimination: what telling rows apart saves",
    "unc": "uncertainty: always predicting the frequency",
    "score": "mcb - dsc + unc",
}


def _gain(found: Mapping[str, Any], report: Report) -> str:
    if "gain" not in found:
        return str(found["reason"])
    gain = found["gain"]
    value, *bounds = (number(gain[name], 3, like=gain["value"]) for name in ("value", "lower", "upper"))
    return f"gain {value}, {100 * report.confidence:g} % interval {bounds[0]} to {bounds[1]}"


# --- reliability -----------------------------------------------------------------------------------------------------


def _reliability(section: _Section, report: Report, width: int, *, color: bool) -> list[Line]:
    bins = section["bins"]
    shown = _largest(bins)
    outside = [not one["lower"] <= one["predicted"] <= one["upper"] for one in shown]
    columns = [
        names_column("probability", (f"{one['from']:.3f} to {one['to']:.3f}" for one in shown)),
        numbers_column("cells" if report.task == "multilabel" else "rows", (f"{one['n']:,}" for one in shown)),
        numbers_column("predicted", (f"{one['predicted']:.4f}" for one in shown)),
        numbers_column("observed", (f"{one['observed']:.4f}" for one in shown)),
    ]
    interval = numbers_column("interval", (f"{one['lower']:.4f} to {one['upper']:.4f}" for one in shown))
    if needed([*columns, interval]) + _MOST_DIAGRAM // 2 <= width:
        columns.append(interval)
    size = min(_MOST_DIAGRAM, width - needed(columns) - len(GAP))
    marks = _MARKS if color else _PLAIN_MARKS
    if size >= _LEAST_DIAGRAM:
        styles = [BAD if missed else KEY for missed in outside]
        drawn = (Span(_drawn(one, size, marks), style) for one, style in zip(shown, styles, strict=True))
        columns.append(Column(f"0{' ' * (size - 2)}1", tuple(drawn), left=True))
    inside = len(shown) - sum(outside)
    interval_is = f"{100 * report.confidence:g} % interval of the observed rate"
    told = f"mean probability within the {interval_is} in {inside} of {plural(len(shown), 'bin')}"
    legend = f"{marks[2]} observed rate and its interval, {marks[1]} mean probability, {marks[3]} both"
    return [
        *prose(Span("reliability" + GAP, TITLE), told, width, QUIET),
        *grid(columns, width, ("predicted",)),
        *_left_out(bins, shown, width),
        *prose(Span(GAP), legend, width, QUIET),
    ]


def _largest(bins: Sequence[_Section]) -> list[_Section]:
    """Return the bins with the most rows, in their order."""
    least = sorted((one["n"] for one in bins), reverse=True)[:_MOST_BINS][-1]
    return [one for one in bins if one["n"] >= least][:_MOST_BINS]


def _left_out(bins: Sequence[_Section], shown: Sequence[_Section], width: int) -> list[Line]:
    count = len(bins) - len(shown)
    if not count:
        return []
    rows = sum(one["n"] for one in bins) - sum(one["n"] for one in shown)
    return prose(Span(GAP), f"{ELLIPSIS} and {plural(count, 'more bin')} with {rows:,}", width, QUIET)


def _drawn(one: _Section, size: int, marks: str) -> str:
    """Return a line from 0 to 1 with the interval, the predicted and the observed rate of a bin."""

    def place(rate: float) -> int:
        return round(min(max(rate, 0.0), 1.0) * (size - 1))

    cells = [" "] * size
    cells[place(one["lower"]) : place(one["upper"]) + 1] = marks[0] * (place(one["upper"]) - place(one["lower"]) + 1)
    predicted, observed = place(one["predicted"]), place(one["observed"])
    cells[predicted], cells[observed] = marks[1], marks[3] if predicted == observed else marks[2]
    return "".join(cells).rstrip()


# --- losses ----------------------------------------------------------------------------------------------------------


def _losses(section: _Section, report: Report, width: int, *, color: bool) -> list[Line]:
    bins = section["losses"]
    total = sum(one["n"] for one in bins)
    columns = [
        names_column("loss", map(_range, bins), [BAD if one["from"] == math.inf else "" for one in bins]),
        numbers_column("rows", (f"{one['n']:,}" for one in bins)),
        numbers_column("share", (percent(one["n"] / total) for one in bins)),
    ]
    size = min(_MOST_BAR, width - needed(columns) - len(GAP))
    if size >= _LEAST_BAR:
        bar, most = "━" if color else "#", max(one["n"] for one in bins)
        bars = (Span(bar * math.ceil(size * one["n"] / most), KEY) for one in bins)
        columns.append(Column("", tuple(bars), left=True))
    title = title_lines("losses", f"how many rows lose how many {report.unit}", width)
    return [*title, *grid(columns, width)]


def _range(one: _Section) -> str:
    if one["from"] == math.inf:
        return "inf"
    if one["to"] == math.inf:
        return f"{one['from']:g} and more"
    return f"{one['from']:g} to {one['to']:g}"
