"""From paired losses to a comparison: the ranking, the differences from the reference, whether they are more than chance."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np

from ce_cli.comparing.pairing import bare
from ce_cli.comparison import Bootstrap, ClassPart, Comparison, Difference, Model, MovedRow, Rank, SlicePart
from ce_cli.errors import fail
from ce_cli.judging.bootstrap import percentile_interval
from ce_cli.kernels.holm import adjusted
from ce_cli.metrics import PAIRED
from ce_cli.report import Issue, Metric, SliceDelta
from ce_cli.slicing import parse_all
from ce_cli.state.fractions import to_float
from ce_cli.state.paired_totals import PairedTotals
from ce_cli.state.ratios import Ratio
from ce_cli.state.student_t import t_quantile, t_two_sided
from ce_cli.summary import summarize
from ce_cli.tasks.base import with_interval
from ce_cli.tasks.token_figures import bits_on_log_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ce_cli.baseline import Baseline
    from ce_cli.columns import Layout
    from ce_cli.comparing.entrants import Entrant
    from ce_cli.comparing.pairing import Paired
    from ce_cli.engine import Outcome
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.paired import PairedLosses
    from ce_cli.state.worst import WorstRows

    Losses = PairedLosses | PairedTotals
    _Told = tuple[float, float, str | None, str, str, float, tuple[str | None, ...]]

POWER = 0.8  # with which the smallest detectable difference is detected
# Metrics that can be compared between models that cut a text into other tokens.
_BY_TEXT = ("bits_per_byte", "byte_perplexity", "word_perplexity", "sequence_sum_mean")


def compared(paired: Paired) -> Comparison:
    """Return what a run of several models came to."""
    entrants, losses = paired.entrants, paired.losses
    names = [one.name for one in entrants]
    plan, options = entrants[0].context.plan, entrants[0].options
    differences = _adjusted(
        [_difference(plan, options, names, losses, at) for at in range(1, len(names))], plan.confidence
    )
    for at, moved in enumerate(paired.moved):
        worse, better = (_moved(plan, entrants[at + 1].context.layout, rows) for rows in (moved.worse, moved.better))
        differences[at] = replace(differences[at], worse_rows=worse, better_rows=better)
    reports = _reports(entrants, paired.outcomes)
    shared, ranked = _of_common(paired, reports)
    first = reports[0]
    for at, difference in enumerate(differences, start=1):
        reports[at] = _with_deltas(plan, reports[at], difference, shared[at], shared[0])
    reports[0] = replace(first, no_deltas=f"{names[0]} is the reference: the others are compared with it")
    return Comparison(
        version=first.version,
        task=first.task,
        unit=first.unit,
        confidence=first.confidence,
        labels=first.labels,
        models=tuple(
            Model(name, at == 0, reports[at], None if paired.same_rows else shared[at]) for at, name in enumerate(names)
        ),
        ranking=_ranking(names, losses, ranked),
        comparison=tuple(differences),
        issues=(*_unlike_tokens(names, losses, reports), *_issues(names, losses, differences)),
    )


def _of_common(
    paired: Paired, reports: Sequence[Report]
) -> tuple[Sequence[Mapping[str, Metric]], Sequence[Mapping[str, Metric]]]:
    """Return the metrics of every model on what all models have scored, and those to rank it by.

    Of sequences that are not all of a model's own there is the paired metric alone.
    """
    if not isinstance(paired.losses, PairedTotals):
        found = reports if paired.same_rows else _reports(bare(paired.entrants), paired.common)
        return (shared := [report.metrics for report in found]), shared
    losses, plan = paired.losses, paired.entrants[0].context.plan
    means = [_of_sequences(plan, losses, at) for at in range(len(reports))]
    if paired.same_rows:
        return [report.metrics for report in reports], [{"cross_entropy": mean} for mean in means]
    name = PAIRED[losses.per]
    told = means if name != "bits_per_byte" else [_bits_per_byte(plan, losses, at) for at in range(len(reports))]
    return [{name: metric} for metric in told], [{"cross_entropy": mean} for mean in means]


def _of_sequences(plan: EvalPlan, losses: PairedTotals, at: int) -> Metric:
    """Return the mean loss of a model on the common sequences, by what they are compared by."""
    mean, error = losses.mean(at), losses.standard_error(at)
    if mean is None or losses.infinite[at]:
        return Metric(math.inf)
    value = to_float(mean)
    return Metric(value / plan.unit_size) if error is None else with_interval(plan, value, error, losses.units - 1)


def _bits_per_byte(plan: EvalPlan, losses: PairedTotals, at: int) -> Metric:
    """Return the same in bits, with the interval that the metric has in a report."""
    mean = losses.mean(at)
    if mean is None or losses.infinite[at]:
        return Metric(math.inf)
    return bits_on_log_scale(plan, Ratio(mean, losses.standard_error(at)), losses.units - 1)


def _reports(entrants: Sequence[Entrant], outcomes: Sequence[Outcome]) -> list[Report]:
    return [
        summarize(one.context, one.options, outcome, one.predictions, one.labels)
        for one, outcome in zip(entrants, outcomes, strict=True)
    ]


def _moved(plan: EvalPlan, layout: Layout, worst: WorstRows) -> tuple[MovedRow, ...]:
    """Return the rows whose loss changes most in one direction, as a `Difference` has them."""
    columns = [role.column for name, role in layout.roles.items() if name.startswith("show:")]
    unit, found = plan.unit_size, []
    for _, row, told in worst.rows:
        before, after, key, label, predicted, _, cells = cast("_Told", told)
        shown = dict(zip(columns, cells, strict=True))
        change = (after - before) / unit
        found.append(MovedRow(row + 1, key, label, predicted, after / unit, before / unit, change, shown))
    return tuple(found)


def _with_deltas(
    plan: EvalPlan, report: Report, difference: Difference, mine: Mapping[str, Metric], reference: Mapping[str, Metric]
) -> Report:
    """Return a candidate's report with its deltas on what all models have scored: of the loss, that which is paired.

    Where tokens are not the same ones, nothing by token is compared.
    """
    name, paired = PAIRED[difference.per], {}
    if difference.difference is not None:
        paired = {name: _as_metric(plan, name, difference.difference)}
    report = replace(report, slice_deltas=tuple(_slice_deltas(plan, name, difference.by_slice)))
    if difference.per is not None and (difference.only_model or difference.only_reference):
        return replace(report, deltas=paired, no_deltas="the models were not scored on the same sequences")
    if name == "cross_entropy":
        return replace(report, deltas=deltas(mine, reference, paired))
    alike = {one: mine[one] for one in _BY_TEXT if one in mine}
    why = f"the models cut the text into other tokens, so that there is delta.{name}, but none of a figure by token"
    return replace(report, deltas=deltas(alike, reference, paired), no_deltas=why)


def _slice_deltas(plan: EvalPlan, name: str, parts: Iterable[SlicePart]) -> Iterator[SliceDelta]:
    for part in parts:
        yield SliceDelta(part.by, name, None if part.difference is None else _as_metric(plan, name, part.difference))


def _as_metric(plan: EvalPlan, name: str, metric: Metric) -> Metric:
    """Return a difference of losses in the unit of the metric that is paired."""
    if name != "bits_per_byte":
        return metric
    bits = plan.unit_size / math.log(2.0)
    bounds = (metric.stderr, metric.lower, metric.upper)
    return Metric(metric.value * bits, *(None if one is None else one * bits for one in bounds))


def deltas(
    metrics: Mapping[str, Metric], reference: Mapping[str, Metric], paired: Mapping[str, Metric] = MappingProxyType({})
) -> dict[str, Metric]:
    """Return how metrics differ from those of a reference that has them too; `paired` are differences that are known better.

    Absent where both are infinite, since their difference is no number.
    """
    found = {}
    for name, metric in metrics.items():
        if name in reference:
            difference = metric.value - reference[name].value
            if not math.isnan(difference):
                found[name] = Metric(difference + 0.0)
    return {**found, **paired}


def _difference(plan: EvalPlan, options: Options, names: Sequence[str], losses: Losses, at: int) -> Difference:
    found = losses.difference(at)
    metric, t, df, p, smallest = None, None, None, None, None
    if found.mean is not None:
        metric = Metric(found.mean / plan.unit_size + 0.0)
        if found.stderr is not None:
            df = found.units - 1
            metric = with_interval(plan, found.mean, found.stderr, df)
            t, p = _test(found.mean, found.stderr, df)
            alpha = 1 - plan.confidence
            needed = -t_quantile(alpha / 2, df) + t_quantile(POWER, df)
            smallest = needed * found.stderr / plan.unit_size
    return Difference(
        model=names[at],
        reference=names[0],
        rows=found.n,
        only_model=losses.scored[at] - found.n,
        only_reference=losses.scored[0] - found.n,
        difference=metric if metric is not None else _infinite(losses, at),
        t=t,
        df=df,
        p=p,
        p_adjusted=None,
        detected=None,
        smallest_detectable=smallest,
        wins=found.wins,
        losses=found.losses,
        ties=found.ties,
        share_improved=found.wins / found.n,
        infinite=found.infinite,
        per=losses.per,
        bootstrap=_bootstrap(plan, losses.replicates(at)),
        by_class=_by_class(plan, losses, at),
        by_slice=_by_slice(plan, options, losses, at),
    )


def _test(mean: float, error: float, df: int) -> tuple[float, float]:
    """Return t and p of the paired t-test; where all differences are the same, that is no accident unless they are 0."""
    if error == 0:
        return (0.0, 1.0) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    t = mean / error
    return t, t_two_sided(t, df)


def _bootstrap(plan: EvalPlan, means: list[float]) -> Bootstrap | None:
    """Return what replicates of a difference, ascending, say of it.

    p = 2 min(1 + #(d ≤ 0), 1 + #(d ≥ 0)) / (N + 1), at most 1: the level from which on the percentile interval holds no 0
    (Davison & Hinkley, "Bootstrap Methods and their Application", 1997, sections 4.2 and 5.3).
    """
    if len(means) < 2:
        return None
    below, above = sum(mean <= 0 for mean in means), sum(mean >= 0 for mean in means)
    lower, upper = percentile_interval(means, plan.confidence)
    unit = plan.unit_size
    p = min(1.0, 2 * (1 + min(below, above)) / (len(means) + 1))
    return Bootstrap(p, statistics.stdev(means) / unit, lower / unit, upper / unit)


def _infinite(losses: Losses, at: int) -> Metric | None:
    """Return the difference of means of which one is infinite, None where both are."""
    mine, reference = losses.infinite[at], losses.infinite[0]
    if bool(mine) == bool(reference):
        return None
    return Metric(math.inf if mine else -math.inf)


def _adjusted(differences: list[Difference], confidence: float) -> list[Difference]:
    tested = [at for at, one in enumerate(differences) if one.p is not None]
    p_values = np.array([differences[at].p or 0.0 for at in tested], dtype=np.float64)
    result = list(differences)
    for at, p in zip(tested, adjusted(p_values).tolist(), strict=True):
        result[at] = replace(result[at], p_adjusted=p, detected=p < 1 - confidence)
    return result


def _by_class(plan: EvalPlan, losses: Losses, at: int) -> tuple[ClassPart, ...]:
    if not losses.classes:
        return ()
    unit = plan.unit_size
    parts = [
        ClassPart(
            name,
            part.n,
            None if part.mean is None else part.mean / unit + 0.0,
            None if part.contribution is None else part.contribution / unit + 0.0,
        )
        for name, part in zip(plan.classes, losses.by_class(at), strict=True)
        if part.n
    ]
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution or 0.0)))


def _by_slice(plan: EvalPlan, options: Options, losses: Losses, at: int) -> tuple[SlicePart, ...]:
    columns = {
        "*".join(part.text for part in parts): [part.column for part in parts] for parts in parse_all(options.by)
    }
    parts = []
    for by, name, found in losses.by_slice(at):
        metric = None
        if found.mean is not None:
            metric = Metric(found.mean / plan.unit_size + 0.0)
            if found.stderr is not None:
                metric = with_interval(plan, found.mean, found.stderr, found.units - 1)
        part = None if found.contribution is None else found.contribution / plan.unit_size + 0.0
        values = dict(zip(columns[by], name, strict=True))
        parts.append(SlicePart(values, found.n, found.n < options.min_slice, metric, part))
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution or 0.0)))


def _ranking(names: Sequence[str], losses: Losses, metrics: Sequence[Mapping[str, Metric]]) -> tuple[Rank, ...]:
    """Return the ranking by the metrics of the common rows, or sequences."""
    rows = []
    for at, (name, found) in enumerate(zip(names, metrics, strict=True)):
        mean, infinite = losses.mean(at), losses.infinite[at]
        place = (infinite, math.inf if mean is None else to_float(mean))
        beside = {key: found.get(key) for key in ("skill", "prior_entropy")}
        rows.append((place, Rank(0, name, found["cross_entropy"], infinite, **beside)))
    rows.sort(key=lambda row: row[0])
    return tuple(replace(row, rank=1 + sum(other < place for other, _ in rows)) for place, row in rows)


def _issues(names: Sequence[str], losses: Losses, differences: Sequence[Difference]) -> list[Issue]:
    found = []
    unit = "row" if losses.per is None else "sequence"
    tested = [one.df + 1 for one in differences if one.df is not None]  # which is of clusters where there are some
    for at, name in enumerate(names):
        more = losses.scored[at] - losses.n
        if more:
            rows = f"{more:,} {unit}{'' if more == 1 else 's'}"
            message = (
                f"{rows} that {name} has scored {'is' if more == 1 else 'are'} not common to all models: the ranking "
            )
            message += "and the differences leave them out, its own report does not"
            found.append(Issue("uncommon_rows", "warning", message, more))
    infinite = [name for name, count in zip(names, losses.infinite, strict=True) if count]
    if infinite:
        verb = "has" if len(infinite) == 1 else "have"
        message = f"{', '.join(infinite)} {verb} an infinite loss: no t-test is made with it, only wins are counted"
        found.append(Issue("no_paired_test", "warning", message, len(infinite)))
    if tested and tested[0] < 30:
        message = f"with so few {unit if tested[0] == losses.n else 'cluster'}s the paired tests are only a rough guide"
        found.append(Issue("few_pairs", "note", message, tested[0]))
    return found


def _unlike_tokens(names: Sequence[str], losses: Losses, reports: Sequence[Report]) -> Iterator[Issue]:
    """Say what losses are compared by where it is not the token, and where one model pays for less of the text."""
    if losses.per is None:
        return
    assert isinstance(losses, PairedTotals)  # those of sequences
    if losses.differing.count:
        message = f"{losses.differing.count:,} sequences have different ids in two files but were paired by position"
        yield Issue("differing_ids", "warning", message, losses.differing.count, losses.differing.first)
    if losses.per == "token":
        return
    why = "the files do not say how many tokens a text has"
    if losses.tokens is not None:
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(names, losses.tokens, strict=True))
        why = f"the models cut the same sequences into other tokens ({counts})"
    if losses.per == "byte":
        yield Issue("compared_by_byte", "note", f"{why}: losses are compared by byte, which is the same for all")
    else:
        message = f"{why}: losses are compared by sequence, each counting the same whatever its length"
        hint = "with --bytes-col or --text-col in all files they are compared by byte"
        yield Issue("compared_by_sequence", "note", message, hint=hint)
    left = [sum(report.counts[name] for name in ("unscored", "ignored", "invalid")) for report in reports]
    if len({*left}) > 1:
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(names, left, strict=True))
        message = f"the models may not pay for the same part of the text: of their tokens are not scored {counts}"
        yield Issue(
            "unlike_unscored", "warning", message, sum(left), hint="score every token of the text by all models"
        )


def against(report: Report, baseline: Baseline) -> Report:
    """Return a report with the differences from an earlier one: of values alone, since there are no rows to pair.

    Raises bad_option where the two cannot be compared.
    """
    for what, mine, other in (("task", report.task, baseline.task), ("unit", report.unit, baseline.unit)):
        if mine != other:
            hint = "compare what was evaluated in the same way" if what == "task" else "pass the same --base"
            raise fail(
                "bad_option", f"--baseline: its {what} is {other}, but here it is {mine}", file=baseline.path, hint=hint
            )
    issues = [*report.issues, *_unlike(report, baseline)]
    return replace(report, deltas=deltas(report.metrics, baseline.metrics), issues=tuple(issues))


def _unlike(report: Report, baseline: Baseline) -> Iterator[Issue]:
    """Say what differs in how two numbers were made, by their signatures."""
    mine, other = _parts(report.signature), _parts(baseline.signature)
    odd = [name for name in {**mine, **other} if mine.get(name) != other.get(name) and name != "v"]
    message = (
        f"the differences from {baseline.path} are of values alone, without intervals: a report has no rows to pair"
    )
    yield Issue("unpaired_baseline", "note", message, hint="--baseline takes predictions too, which are paired by id")
    if odd:
        told = ", ".join(f"{name} {other.get(name, 'none')} there, {mine.get(name, 'none')} here" for name in odd)
        yield Issue("unlike_baseline", "warning", f"the baseline was made in another way: {told}", len(odd))


def _parts(signature: str) -> dict[str, str]:
    return dict(part.partition(":")[::2] for part in signature.split("|")[1:])
