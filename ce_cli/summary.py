"""From merged states to the report: every metric is computed here, once, from exact sums."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from ce_cli._version import __version__
from ce_cli.columns import WEIGHT_NAMES, is_id, is_index, is_weight, listed
from ce_cli.metrics import QUANTILES
from ce_cli.report import COUNTS, ClassRow, Columns, InputFile, Issue, Metric, Report, WorstRow
from ce_cli.state.fractions import to_float
from ce_cli.state.student_t import t_quantile

if TYPE_CHECKING:
    from ce_cli.engine import Outcome
    from ce_cli.readers.base import DataSet
    from ce_cli.state.classes import ClassTotals
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

_FEW_ROWS = 30


def summarize(context: Context, outcome: Outcome, predictions: DataSet, labels: DataSet | None) -> Report:
    """Build the report of a run."""
    plan, layout, state = context.plan, context.layout, outcome.state
    classes = plan.classes
    totals = state.classes.totals()
    metrics = _metrics(context, state, totals)
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
        columns=Columns(layout.label, layout.scores.columns, layout.ids, layout.weight),
        confidence=plan.confidence,
        counts=_counts(outcome),
        metrics=metrics,
        quantiles={name: state.quantiles.quantile(float(name)) / context.plan.unit_size for name in QUANTILES},
        max_row_sum_error=state.max_row_sum_error,
        per_class=_class_rows(classes, totals, context.plan.unit_size),
        worst=_worst(outcome, plan.unit_size),
        issues=tuple(_issues(context, outcome, metrics, predictions, labels)),
    )


def _counts(outcome: Outcome) -> dict[str, int]:
    tallies, aligned = outcome.state.tallies, outcome.counts
    counts = dict.fromkeys(COUNTS, 0)
    counts.update({name: tallies[name].count for name in counts if name in tallies})
    counts["rows"] = aligned.predictions
    counts["scored"] = outcome.state.scored
    counts["unmatched_predictions"] = aligned.unmatched_predictions.count
    counts["unmatched_labels"] = aligned.unmatched_labels.count
    counts["invalid"] = outcome.invalid
    counts["dropped"] = outcome.invalid + aligned.unmatched_predictions.count
    return counts


def _metrics(context: Context, state: EvalState, totals: list[ClassTotals]) -> dict[str, Metric]:
    unit = context.plan.unit_size
    finite = state.loss.mean()
    metrics = {"cross_entropy": _cross_entropy(context, state, unit)}
    if finite is not None:
        metrics["cross_entropy_finite"] = Metric(to_float(finite) / unit)
    if context.plan.smoothing:
        metrics["cross_entropy_unsmoothed"] = Metric(_mean_loss(totals, context.plan.class_weights) / unit)
    metrics.update(_macro(totals, unit))
    accuracy = state.accuracy()
    if accuracy is not None:
        metrics["accuracy"] = Metric(to_float(accuracy))
    metrics["brier"] = Metric(to_float(state.brier()))
    metrics.update(_against_prior(totals, _mean_loss(totals, None) / unit, unit))
    calibration = state.calibration
    metrics["ece"] = Metric(calibration.l1())
    metrics["ece_l2"] = Metric(calibration.l2())
    metrics["ece_l2_debiased"] = Metric(calibration.l2_debiased())
    return metrics


def _cross_entropy(context: Context, state: EvalState, unit: float) -> Metric:
    mean = state.loss.mean()
    if state.tallies["infinite"].count or mean is None:
        return Metric(math.inf)
    value, error = to_float(mean), state.loss.standard_error()
    if error is None:
        return Metric(value / unit)
    margin = -t_quantile((1 - context.plan.confidence) / 2, state.loss.n - 1) * error
    return Metric(value / unit, error / unit, (value - margin) / unit, (value + margin) / unit)


def _mean_loss(totals: list[ClassTotals], class_weights: tuple[float, ...] | None) -> float:
    """Return the mean loss in nats without smoothing, with or without class weights."""
    factors = [Fraction(1)] * len(totals) if class_weights is None else [Fraction(weight) for weight in class_weights]
    if any(total.infinite and factor for total, factor in zip(totals, factors, strict=True)):
        return math.inf
    weight = sum((total.weight * factor for total, factor in zip(totals, factors, strict=True)), Fraction(0))
    loss = sum((total.loss * factor for total, factor in zip(totals, factors, strict=True)), Fraction(0))
    return to_float(loss / weight) if weight else math.inf


def _macro(totals: list[ClassTotals], unit: float) -> dict[str, Metric]:
    """Return the unweighted mean of the losses of the classes that have rows."""
    there = [total for total in totals if total.weight]
    if any(total.infinite for total in there):
        return {"macro_cross_entropy": Metric(math.inf)}
    mean = sum((total.loss / total.weight for total in there), Fraction(0)) / len(there)
    return {"macro_cross_entropy": Metric(to_float(mean) / unit)}


def _against_prior(totals: list[ClassTotals], loss: float, unit: float) -> dict[str, Metric]:
    """Return the entropy of the label frequencies and what the loss is beside it; nothing where it is 0."""
    weight = sum((total.weight for total in totals), Fraction(0))
    shares = [to_float(total.weight / weight) for total in totals if total.weight]
    prior = math.fsum(-share * math.log(share) for share in shares) / unit
    if len(shares) < 2 or prior == 0:
        return {}
    normalized = loss / prior
    return {
        "prior_entropy": Metric(prior),
        "normalized_entropy": Metric(normalized),
        "skill": Metric(1 - normalized),
    }


def _class_rows(names: tuple[str, ...], totals: list[ClassTotals], unit: float) -> tuple[ClassRow, ...]:
    everything = sum((total.loss for total in totals), Fraction(0))
    infinite = any(total.infinite for total in totals)
    rows = []
    for name, total in zip(names, totals, strict=True):
        there = bool(total.weight)
        loss = math.inf if total.infinite else to_float(total.loss / total.weight) / unit if there else None
        rows.append(
            ClassRow(
                name=name,
                n=total.n,
                weight=to_float(total.weight),
                cross_entropy=loss,
                share_of_loss=None if infinite or not everything or not there else to_float(total.loss / everything),
                mean_prob=to_float(total.prob / total.weight) if there else None,
                recall=to_float(total.correct / total.judged) if total.judged else None,
            )
        )
    return tuple(rows)


def _worst(outcome: Outcome, unit: float) -> tuple[WorstRow, ...]:
    rows = []
    for negative, row, (read, label, predicted, prob) in outcome.state.worst.rows:
        key = outcome.worst_ids.get(row, read)
        rows.append(WorstRow(row + 1, key, label, predicted, prob, -negative / unit + 0.0))  # type: ignore[arg-type]
    return tuple(rows)


def _issues(
    context: Context, outcome: Outcome, metrics: dict[str, Metric], predictions: DataSet, labels: DataSet | None
) -> list[Issue]:
    found = [
        *_parts(predictions, labels),
        *_row_issues(outcome),
        *_dropped_issues(outcome),
        *_verdict_issues(outcome, metrics),
    ]
    if (context.plan.smoothing or context.plan.class_weights) and "skill" in metrics:
        message = "skill and normalized_entropy compare the loss without smoothing and class weights with the prior"
        found.append(Issue("plain_skill", "note", message))
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


def _unused_keys(context: Context, predictions: DataSet, labels: DataSet) -> list[Issue]:
    """Say so where rows were paired by position though the files have columns that could tell them apart."""
    used = {*context.layout.scores.columns, context.layout.label, context.layout.weight}
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


def _row_issues(outcome: Outcome) -> list[Issue]:
    found = []
    for name, (severity, one, several, hint) in _ROW_ISSUES.items():
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


def _verdict_issues(outcome: Outcome, metrics: dict[str, Metric]) -> list[Issue]:
    found = []
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
    if skill is None:
        found.append(Issue("single_class", "note", "all labels are of one class: there is no prior to compare with"))
    if outcome.state.scored < _FEW_ROWS:
        found.append(
            Issue("few_rows", "note", "with so few rows the interval is only a rough guide", outcome.state.scored)
        )
    return found
