"""The number: the loss, what it means, and every other metric with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ce_cli.metrics import IN_UNIT
from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    QUIET,
    TITLE,
    WARNING,
    Line,
    Span,
    entries_of,
    line_of,
    prose,
    with_remark,
)
from ce_cli.render.text import cut, number, percent, plural, safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.report import Metric, Report


MAX_METRIC = 28
_SHOWN_FIRST = ("accuracy", "brier", "ece", "macro_cross_entropy", "normalized_entropy")
_BESIDE = {"ece": ("ece_l2", "ece_l2_debiased", "ece_max")}
_IN_SECTIONS = ("mcb", "dsc", "unc", "temperature", "temperature_gain")
_IN_HEADLINE = ("cross_entropy", "cross_entropy_finite", "skill", "prior_entropy")
_BASELINE = "always predicting the class frequencies"
_BASELINES = {
    "multilabel": "always predicting how frequent each label is",
    "regression": "always predicting the frequencies of the bins",
}


def headline(report: Report, width: int) -> list[Line]:
    """Return the loss and what it means."""
    metric = report.metrics.get("cross_entropy")
    if metric is None:
        return []
    name = "cross_entropy" + GAP
    value = Span(f"{number(metric.value)} {report.unit}", TITLE if math.isfinite(metric.value) else BAD)
    lines = with_remark(line_of(Span(name, TITLE), value), _interval(report, metric), len(name), width)
    for text, style in (*_infinity(report, metric), *_meaning(report)):
        lines += prose(Span(" " * len(name)), text, width, style)
    return lines


def _interval(report: Report, metric: Metric) -> str:
    if metric.lower is None or metric.upper is None:
        return ""
    bounds = f"{number(metric.lower, like=metric.value)} to {number(metric.upper, like=metric.value)}"
    return f"{100 * report.confidence:g} % confidence interval {bounds}"


def _infinity(report: Report, metric: Metric) -> Iterator[Span]:
    """Say that the loss is infinite, why, and what it is over the rest."""
    if math.isfinite(metric.value):
        return
    what = "cell" if report.task == "multilabel" else "row"
    yield Span(f"INFINITE: {plural(report.counts['infinite'], what)} gave the true class a probability of 0", BAD)
    finite = report.metrics.get("cross_entropy_finite")
    if finite is not None:
        yield Span(f"cross_entropy_finite {number(finite.value)} {report.unit}, over all other {what}s", TITLE)
        if finite.lower is not None:
            yield Span(_interval(report, finite), QUIET)


def _meaning(report: Report) -> Iterator[Span]:
    """Compare the loss with that of the best constant prediction, in words and in figures."""
    skill, prior = report.metrics.get("skill"), report.metrics.get("prior_entropy")
    if skill is not None:
        yield _comparison(skill.value, _BASELINES.get(report.task, _BASELINE))
        figures = f"skill {number(skill.value)}"
        yield Span(figures + (f", prior_entropy {number(prior.value)} {report.unit}" if prior else ""), QUIET)


def _comparison(skill: float, baseline: str) -> Span:
    if skill > 0:
        return Span(f"{_rough_percent(skill)} better than {baseline}", GOOD)
    if skill == 0:
        return Span(f"no better than {baseline}", WARNING)
    if skill == -math.inf:
        return Span(f"infinitely WORSE than {baseline}", BAD)
    return Span(f"{_rough_percent(-skill)} WORSE than {baseline}", BAD)


def _rough_percent(share: float) -> str:
    if share > 1:
        return f"{100 * share:,.0f} %" if share < 1e4 else f"{100 * share:.1e} %"
    return f"{100 * share:.0f} %" if 0.01 <= share < 0.985 else percent(share)


def metrics(report: Report, width: int) -> list[Line]:
    """Return a line for every other metric."""
    entries = [_metric(report, name) for name in _metric_order(report)]
    if report.quantiles:
        entries.append(("loss quantiles", _quantiles(report.quantiles), ""))
    if report.max_row_sum_error is not None:
        entries.append(("max_row_sum_error", number(report.max_row_sum_error, 3), ""))
    return entries_of(entries, width)


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
