"""A comparison as a page for people: the ranking, the differences from the reference, and where they come from."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ce_cli.render.comparison_origin import interval_column, origin, units_of
from ce_cli.render.header import class_word, file_of, names_listed
from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    KEY,
    MIN_WIDTH,
    QUIET,
    WARNING,
    Column,
    Span,
    entries_of,
    fitting,
    grid,
    names_column,
    needed,
    numbers_column,
    printed,
    prose,
    title_lines,
)
from ce_cli.render.text import cell_number, cut, number, optional, percent, plural, safe, signed_number
from ce_cli.render.verdict import gate_lines, issue_lines, signature_lines
from ce_cli.report import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.comparison import Comparison, Difference
    from ce_cli.report import Issue

NOT_DETECTED = "~"
# Beside the loss, those that matter most first.
_FURTHER = ("accuracy", "brier", "perplexity")
_UNIT_IN_BITS = {"nats": 1 / math.log(2.0), "bans": math.log2(10.0)}


def render_comparison(comparison: Comparison, *, width: int, color: bool) -> str:
    """Return the page, without a newline at its end, in lines of at most `width` columns (never fewer than 40)."""
    width = max(width, MIN_WIDTH)
    sections = [
        _header(comparison, width),
        _ranking(comparison, width),
        _differences(comparison, width),
        _further(comparison, width),
        *origin(comparison, width),
        _calibration(comparison, width),
        _diagnoses(comparison, width),
        issue_lines(_all_issues(comparison), width),
        gate_lines(comparison.gates, width),
        _signatures(comparison, width),
    ]
    return printed(sections, color=color)


def _header(comparison: Comparison, width: int) -> list[Any]:
    room = max(width - 32, 16)
    first = comparison.reference.report
    classes = (
        f", {plural(len(first.classes), class_word(first))}: {names_listed(first.classes, width)}"
        if first.classes
        else ""
    )
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
    entries.append((units_of(comparison), told, ""))
    if "clusters" in first.sections:
        found = f"{_observations(comparison):,} by column {safe(first.sections['clusters']['column'])}"
        entries.append(("clusters", f"{found}: each is one observation in every interval and test", ""))
    return entries_of(entries, width, most=width)


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
        interval_column(comparison, [rank.cross_entropy for rank in ranks]),
    ]
    if any(rank.skill for rank in ranks):
        columns.append(numbers_column("skill", (_value(rank.skill) for rank in ranks)))
    perplexities = [models[rank.model].shared.get("perplexity") for rank in ranks]
    if comparison.per == "token" and any(perplexities):
        columns.append(numbers_column("perplexity", map(_value, perplexities)))
    by_row = comparison.per in (None, "token")  # as the mean loss of a model by itself is
    if any(rank.infinite for rank in ranks):
        columns.append(numbers_column(f"infinite {units_of(comparison)}", (f"{rank.infinite:,}" for rank in ranks)))
        rest = [models[rank.model].shared.get("cross_entropy_finite") for rank in ranks]
        if by_row and any(rest):
            columns.append(numbers_column("loss of the rest", map(_value, rest)))
    if not comparison.same_rows:
        own = _own_units(comparison)
        columns.append(numbers_column(f"own {units_of(comparison)}", (f"{own[rank.model]:,}" for rank in ranks)))
        if by_row:
            loss = (models[rank.model].report["cross_entropy"] for rank in ranks)
            columns.append(numbers_column("own loss", map(_value, loss)))
    while needed(columns) > width and len(columns) > 4:
        del columns[-1]
    told = f"loss in {_loss_unit(comparison)}, the smallest first"
    if not comparison.same_rows:
        told += f"; of the {plural(comparison.comparison[0].rows, f'common {units_of(comparison)[:-1]}')}"
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


def _differences(comparison: Comparison, width: int) -> list[Any]:
    rows = comparison.comparison
    columns = [
        Column("", tuple(_verdict(row) for row in rows)),
        names_column("model", (row.model for row in rows)),
        Column("difference", tuple(_difference(row) for row in rows)),
        interval_column(comparison, [row.difference for row in rows], signed=True),
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
    interval = columns[3].heading
    columns = fitting(columns, width, ("detectable", "same", "better", "worse"))
    remark = f"in {_loss_unit(comparison)}, below 0 is better"
    title = title_lines(f"differences from {comparison.reference.name}", remark, width)
    return [*title, *grid(columns, width, (interval, "p (boot)")), *_told(comparison, width)]


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
    if comparison.per == "byte" and comparison.unit != "bits":
        bits = _UNIT_IN_BITS[comparison.unit]
        text = f"gates have this in bits: delta.bits_per_byte, {number(bits, 5)} times the difference here"
        lines += prose(Span(GAP), text, width, QUIET)
    return lines


def _observations(comparison: Comparison) -> int:
    """Return how many clusters a test goes by; where there is no test, how many the reference has."""
    tested = [row.df + 1 for row in comparison.comparison if row.df is not None]
    return tested[0] if tested else int(comparison.reference.report.sections["clusters"]["clusters"])


def _further(comparison: Comparison, width: int) -> list[Any]:
    """Return the differences of other figures, which are of values alone."""
    candidates = comparison.candidates
    whose = names_column("model", (model.name for model in candidates))
    columns = [
        numbers_column(name, (_delta(model.report.deltas.get(name)) for model in candidates))
        for name in _FURTHER
        if any(name in model.report.deltas for model in candidates)
    ]
    if not columns:
        return []
    names = [column.heading for column in columns]
    better = [f"{'above' if name == 'accuracy' else 'below'} 0" for name in names]
    told = "better: " + ", ".join(f"{name} {side}" for name, side in zip(names, better, strict=True)) + "; not tested"
    return [*title_lines("other differences", told, width), *grid([whose, *columns], width)]


def _delta(metric: Metric | None) -> str:
    return "-" if metric is None else signed_number(metric.value)


def _in_words(row: Difference, comparison: Comparison) -> str:
    units = units_of(comparison)
    if row.detected is None or row.difference is None:
        improved = percent(row.share_improved) if 0 < row.share_improved < 1 else f"{100 * row.share_improved:.0f} %"
        why = f" ({row.infinite:,} with an infinite loss)" if row.infinite else ""
        return f"{NOT_DETECTED} {row.model}: no test{why}; better than {row.reference} in {improved} of {row.rows:,} {units}"
    if row.ties == row.rows:
        return f"{NOT_DETECTED} {row.model}: its loss is that of {row.reference} in every {units[:-1]}"
    if row.detected or not row.smallest_detectable:
        return ""
    clustered = "clusters" in comparison.reference.report.sections
    rows = plural(_observations(comparison), "cluster") if clustered else plural(row.rows, units[:-1])
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
    return Span(signed_number(value), style)


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


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
    interval = interval_column(comparison, gains)
    columns = [
        names_column("model", (name for name, _, _ in found)),
        numbers_column("ece", (_value(report.metrics.get("ece")) for _, report, _ in found)),
        numbers_column("mcb", (cell_number(section["decomposition"]["mcb"]) for _, _, section in found)),
        numbers_column("temperature", (optional(one["value"]) for one in scaled)),
        numbers_column("gain", map(_value, gains)),
        interval,
        names_column(
            "verdict",
            (one.get("verdict") or ("no temperature" if one["value"] is None else "-") for one in scaled),
        ),
    ]
    kept = fitting(columns, width, (interval.heading, "verdict", "ece", "mcb"))
    told = f"miscalibration (mcb) and what the temperature saves, in {comparison.unit}"
    if not comparison.same_rows:
        told += "; of each model's own rows, not of the common ones"
    lines = [*title_lines("calibration", told, width), *grid(kept, width)]
    lacking = [column.heading for column in columns if column not in kept]
    if lacking:
        lines += prose(Span(GAP), f"no room for: {', '.join(lacking)} (--json has all)", width, QUIET)
    return lines


def _diagnoses(comparison: Comparison, width: int) -> list[Any]:
    """Return a line for every mistake that explains the loss of a model."""
    lines: list[Any] = []
    for model in comparison.models:
        for one in model.report.sections.get("diagnosis", ()):
            skill = f"skill {number(one['skill'], 4)} instead of {number(one['given_skill'], 4)}"
            lines += prose(Span(GAP), f"{model.name}: {one['message']}: {one['fix']} ({skill})", width, WARNING)
    return [*title_lines("diagnosis", "mistakes that explain the loss of a model", width), *lines] if lines else []


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
