"""From merged states to the report: every metric is computed here, once, from exact sums."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, cast

from ce_cli._version import __version__
from ce_cli.columns import WEIGHT_NAMES, is_id, is_index, is_weight, listed
from ce_cli.errors import FIRST_ROWS
from ce_cli.judging.aspects import wanted
from ce_cli.metrics import METRICS, QUANTILES
from ce_cli.plan import Scale
from ce_cli.report import COUNTS, Columns, InputFile, Issue, Report, WorstRow
from ce_cli.setup import make_task
from ce_cli.state.groups import CLUSTER

if TYPE_CHECKING:
    from ce_cli.columns import Layout
    from ce_cli.engine import Outcome
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.report import Metric
    from ce_cli.tasks.base import Context

_FEW_ROWS = 30
_ROUNDING = 1e-12


def summarize(
    context: Context, options: Options, outcome: Outcome, predictions: DataSet, labels: DataSet | None
) -> Report:
    """Build the report of a run."""
    report = _figures(context, outcome, predictions, labels)
    for name, aspect in wanted(options).items():
        section, metrics, issues = aspect.judge(context, options, outcome.state, report)
        report = report.judged(name, section, metrics, issues)
    return report


def _figures(context: Context, outcome: Outcome, predictions: DataSet, labels: DataSet | None) -> Report:
    plan, layout, state = context.plan, context.layout, outcome.state
    figures = make_task(context).summarize(state)
    classes = plan.classes if figures.classes is None else figures.classes
    order = list(METRICS)
    metrics = dict(sorted(figures.metrics.items(), key=lambda item: order.index(item[0])))
    return Report(
        version=__version__,
        signature=plan.signature(state.scored, layout.weight),
        task=plan.task,
        unit=plan.unit,
        input=plan.scale.value,
        alignment=plan.alignment,
        classes=classes,
        predictions=InputFile(predictions.path, outcome.counts.predictions),
        labels=InputFile((labels or predictions).path, outcome.counts.labels),
        columns=Columns(layout.labels, layout.scores.columns, layout.ids, layout.weight),
        confidence=plan.confidence,
        counts={**_counts(outcome), **figures.counts},
        metrics=metrics,
        quantiles={name: state.quantiles.quantile(float(name)) / context.plan.unit_size for name in QUANTILES},
        max_row_sum_error=state.max_row_sum_error,
        per_class=figures.per_class,
        worst=_worst(outcome, layout, plan.unit_size),
        issues=(*context.issues, *figures.issues, *_issues(context, outcome, metrics, predictions, labels)),
    )


def _counts(outcome: Outcome) -> dict[str, int]:
    tallies, aligned = outcome.state.tallies, outcome.counts
    counts = dict.fromkeys(COUNTS, 0)
    counts.update({name: tallies[name].count for name in counts if name in tallies})
    counts["rows"] = aligned.predictions + outcome.state.unfolded
    counts["scored"] = outcome.state.scored
    counts["unmatched_predictions"] = aligned.unmatched_predictions.count
    counts["unmatched_labels"] = aligned.unmatched_labels.count
    counts["invalid"] = outcome.invalid
    counts["dropped"] = outcome.invalid + aligned.unmatched_predictions.count
    return counts


def _worst(outcome: Outcome, layout: Layout, unit: float) -> tuple[WorstRow, ...]:
    rows = []
    names = [role.column for name, role in layout.roles.items() if name.startswith("show:")]
    for negative, row, described in outcome.state.worst.rows:
        read, label, predicted, prob, cells = cast(
            "tuple[str | None, str, str, float, tuple[str | None, ...]]", described
        )
        shown = dict(zip(names, cells, strict=True))
        key = outcome.worst_ids.get(row, read)
        rows.append(WorstRow(row + 1, key, label, predicted, prob, -negative / unit + 0.0, shown))
    return tuple(rows)


def _issues(
    context: Context, outcome: Outcome, metrics: dict[str, Metric], predictions: DataSet, labels: DataSet | None
) -> list[Issue]:
    found = [
        *_parts(predictions, labels),
        *_row_issues(outcome),
        *_repeated_ids(context, predictions, labels),
        *_dropped_issues(outcome),
        *_verdict_issues(outcome, metrics),
    ]
    if (context.plan.smoothing or context.plan.class_weights) and "skill" in metrics:
        message = "skill and normalized_entropy compare the loss without smoothing and class weights with the prior"
        found.append(Issue("plain_skill", "note", message))
    if context.plan.ignored and not outcome.state.tallies["ignored"].count and context.plan.task != "multilabel":
        names = listed([repr(name) for name in context.plan.ignored])
        found.append(Issue("unused_ignore_label", "note", f"no row has the ignored label {names}"))
    if context.plan.alignment == "position" and labels is not None and not context.layout.ids:
        found += _unused_keys(context, predictions, labels)
    present = [name for data in (predictions, labels) if data is not None for name in data.names]
    weight = next((name for name in present if name.lower() in WEIGHT_NAMES), None)
    if weight is not None and context.layout.weight is None:
        found.append(
            Issue(
                "unused_weight",
                "note",
                f"column {weight} is not used",
                hint=f"pass --weight-col {weight} to weigh rows",
            )
        )
    return found


def _parts(predictions: DataSet, labels: DataSet | None) -> list[Issue]:
    """Name the parts of a data set in the order in which they were read."""
    found = []
    for data in (predictions, labels):
        parts = getattr(data, "parts", ())
        if data is not None and parts:
            names = listed([PurePath(part.path).name for part in parts], 6)
            found.append(
                Issue("parts", "note", f"{data.path} has {len(parts)} parts, read in this order: {names}", len(parts))
            )
    return found


def _repeated_ids(context: Context, data: DataSet, labels: DataSet | None) -> list[Issue]:
    """Say so where ids of one file occur again, as those of several models below each other do; a pipe cannot be read again."""
    layout = context.layout
    if (
        labels is not None
        or not layout.ids
        or CLUSTER in layout.roles
        or context.plan.task == "tokens"
        or data.path == "-"
    ):
        return []
    from ce_cli.readers.repeats import by_model, repeats

    again = repeats(data, layout.ids, {*layout.scores.columns, *layout.labels})
    if again is None:
        return []
    names = ",".join(layout.ids)
    message = f"{len(again.rows):,} of the first {again.looked_at:,} rows have an id ({names}) that occurred before"
    rows = tuple(row + 1 for row in again.rows[:FIRST_ROWS])
    hint = f"if rows of one {names} belong together, pass --cluster {names}: they are no independent observations"
    if again.apart is not None:
        return [Issue("repeated_ids", "warning", message, len(again.rows), rows, by_model(again.apart))]
    return [Issue("repeated_ids", "note", message, len(again.rows), rows, hint if len(layout.ids) == 1 else None)]


def _unused_keys(context: Context, predictions: DataSet, labels: DataSet) -> list[Issue]:
    """Say so where rows were paired by position though the files have columns that could tell them apart."""
    used = {*context.layout.scores.columns, *context.layout.labels, context.layout.weight}
    unused = [
        [name for name in data.names if name not in used and not is_weight(name)] for data in (predictions, labels)
    ]
    if not any(unused):
        return []
    mine, other = (listed(names, 3) if names else "nothing" for names in unused)
    message = (
        "rows were paired by position: the files share no key "
        f"(beside scores and labels, {predictions.path} has {mine}, {labels.path} has {other})"
    )
    likely = any(is_id(name) or is_index(name) for names in unused for name in names) or all(unused)
    hint = "if one of these is a key, give it the same name in both files or pass --id-col NAME=NAME"
    return [Issue("paired_by_position", "warning" if likely else "note", message, hint=hint)]


# name: severity, message after the number of rows for one and for several, hint
_ROW_ISSUES: dict[str, tuple[Literal["note", "warning"], str, str, str | None]] = {
    "infinite": (
        "warning",
        "row gave a probability of 0 to what came true: its loss is infinite",
        "rows gave a probability of 0 to what came true: their loss is infinite",
        "mend the model, or clip its probabilities with --eps and say so",
    ),
    "clipped": ("note", "row had its probability clipped", "rows had their probability clipped", None),
    "above_one": (
        "note",
        "row had a probability just above 1, which was taken as 1",
        "rows had a probability just above 1, which was taken as 1",
        None,
    ),
    "renormalized": ("note", "row was divided by its sum", "rows were divided by their sum", None),
    "uneven": (
        "warning",
        "row does not sum to 1 and was scored as it is: this is no proper score",
        "rows do not sum to 1 and were scored as they are: this is no proper score",
        None,
    ),
    "zero_weight": ("note", "row has a weight of 0 and is left out", "rows have a weight of 0 and are left out", None),
    "ignored": (
        "note",
        "row has an ignored label and is left out",
        "rows have an ignored label and are left out",
        None,
    ),
    "ties": (
        "note",
        "row has a label of 0.5: it counts for the loss but not for the accuracy",
        "rows have a label of 0.5: they count for the loss but not for the accuracy",
        None,
    ),
}


# The same where a row has several labels.
_CELL_ISSUES: dict[str, tuple[Literal["note", "warning"], str, str, str | None]] = {
    **_ROW_ISSUES,
    "infinite": (
        "warning",
        "cell gave a probability of 0 to what came true: its loss is infinite",
        "cells gave a probability of 0 to what came true: their loss is infinite",
        _ROW_ISSUES["infinite"][3],
    ),
    "clipped": ("note", "row had probabilities clipped", "rows had probabilities clipped", None),
    "ignored": (
        "note",
        "row has no label that is known and is left out",
        "rows have no label that is known and are left out",
        None,
    ),
    "ties": (
        "note",
        "row has labels of 0.5: they count for the loss but not for the accuracy",
        "rows have labels of 0.5: they count for the loss but not for the accuracy",
        None,
    ),
}


def _row_issues(outcome: Outcome) -> list[Issue]:
    found = []
    issues = _CELL_ISSUES if outcome.state.plan.task == "multilabel" else _ROW_ISSUES
    for name, (severity, one, several, hint) in issues.items():
        tally = outcome.state.tallies[name]
        if tally.count:
            message = f"{tally.count:,} {one if tally.count == 1 else several}"
            found.append(Issue(name, severity, message, tally.count, tally.first, hint))
    return found


def _dropped_issues(outcome: Outcome) -> list[Issue]:
    counts = outcome.counts
    found = [
        Issue(
            "invalid_rows",
            "warning",
            f"{problem.count:,} {'row was' if problem.count == 1 else 'rows were'} dropped as invalid "
            f"({problem.code}), the first: {problem.message}",
            problem.count,
            problem.rows,
            "--errors FILE lists every one of them",
        )
        for problem in outcome.fault_kinds
    ]
    for tally, one, several in (
        (counts.unmatched_predictions, "prediction has no label", "predictions have no label"),
        (counts.unmatched_labels, "label has no prediction", "labels have no prediction"),
    ):
        if tally.count:
            what = f"{tally.count:,} {one if tally.count == 1 else several}"
            dropped = "was dropped" if tally.count == 1 else "were dropped"
            found.append(Issue("unmatched_rows", "warning", f"{what} and {dropped}", tally.count, tally.first))
    if counts.differing_ids.count:
        tally = counts.differing_ids
        message = f"{tally.count:,} rows have different ids in the two files but were paired by position"
        found.append(Issue("differing_ids", "warning", message, tally.count, tally.first))
    return found


def _hard_scores(outcome: Outcome, metrics: dict[str, Metric]) -> Issue | None:
    """Tell where every score is 0 or 1: what is not infinitely wrong costs nothing, and the Brier score counts the wrong ones.

    A score between the two, on either side, would make one of these differ.
    """
    plan, infinite = outcome.state.plan, outcome.state.tallies["infinite"]
    if (
        plan.scale not in (Scale.PROBS, Scale.PERCENT)
        or not infinite.count
        or not {"brier", "accuracy"} <= metrics.keys()
    ):
        return None
    finite = metrics.get("cross_entropy_finite", metrics["cross_entropy"])
    wrong = (1 - metrics["accuracy"].value) * (2 if plan.task == "multiclass" and plan.k > 2 else 1)
    if finite.value not in (0, math.inf) or abs(metrics["brier"].value - wrong) > _ROUNDING:
        return None
    message = "every score is 0 or 1: these are decided classes and no probabilities, and each wrong one costs infinitely much"
    hint = (
        "write the probabilities (predict_proba, where predict gives classes), or name their columns with --pred-cols"
    )
    return Issue("hard_scores", "warning", message, outcome.state.scored, hint=hint)


def _verdict_issues(outcome: Outcome, metrics: dict[str, Metric]) -> list[Issue]:
    hard = _hard_scores(outcome, metrics)
    found = [] if hard is None else [hard]
    skill = metrics.get("skill")
    if skill is not None and -math.inf < skill.value < 0:
        found.append(
            Issue(
                "worse_than_prior",
                "warning",
                "always predicting the class frequencies would give a smaller loss",
                hint="check the order of the classes, the positive class, and that labels and predictions belong together",
            )
        )
    if skill is None and outcome.state.plan.task != "tokens":
        alike = "no label varies" if outcome.state.plan.task == "multilabel" else "all labels are of one class"
        found.append(Issue("single_class", "note", f"{alike}: there is no prior to compare with"))
    if outcome.state.scored < _FEW_ROWS:
        found.append(
            Issue("few_rows", "note", "with so few rows the interval is only a rough guide", outcome.state.scored)
        )
    return found
