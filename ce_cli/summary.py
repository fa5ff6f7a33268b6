"""From merged states to the report: every metric is computed here, once, from exact sums."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from ce_cli._version import __version__
from ce_cli.columns import WEIGHT_NAMES
from ce_cli.kernels.double import log_of_base
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

_UNIT_BASES = {"e": None, "2": 2.0, "10": 10.0}
_FEW_ROWS = 30


def summarize(context: Context, outcome: Outcome, predictions: DataSet, labels: DataSet | None) -> Report:
    """Build the report of a run."""
    plan, layout, state = context.plan, context.layout, outcome.state
    classes = _class_names(context, state)
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
        quantiles={name: state.quantiles.quantile(float(name)) / _unit(context) for name in QUANTILES},
        max_row_sum_error=state.max_row_sum_error,
        per_class=_class_rows(classes, totals, _unit(context)),
        worst=_worst(state, classes, _unit(context)),
        issues=tuple(_issues(context, outcome, metrics, predictions, labels)),
    )


def _unit(context: Context) -> float:
    return log_of_base(_UNIT_BASES[context.plan.base])


def _class_names(context: Context, state: EvalState) -> tuple[str, ...]:
    """Return the class names; a negative class that no option names is called as the labels call it."""
    if not state.others:
        return context.plan.classes
    return (min(state.others, key=lambda text: state.others[text].first), context.plan.classes[1])


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
    unit = _unit(context)
    finite = state.loss.mean()
    metrics = {"cross_entropy": _cross_entropy(context, state, unit)}
    if finite is not None:
        metrics["cross_entropy_finite"] = Metric(to_float(finite) / unit)
    metrics.update(_macro(totals, unit))
    accuracy = state.accuracy()
    if accuracy is not None:
        metrics["accuracy"] = Metric(to_float(accuracy))
    metrics["brier"] = Metric(to_float(state.brier()))
    metrics.update(_against_prior(totals, metrics["cross_entropy"].value, unit))
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
    margin = t_quantile((1 + context.plan.confidence) / 2, state.loss.n - 1) * error
    return Metric(value / unit, error / unit, (value - margin) / unit, (value + margin) / unit)


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
                share_of_loss=None if infinite or not everything else to_float(total.loss / everything),
                mean_prob=to_float(total.prob / total.weight) if there else None,
                recall=to_float(total.correct / total.judged) if total.judged else None,
            )
        )
    return tuple(rows)


def _worst(state: EvalState, classes: tuple[str, ...], unit: float) -> tuple[WorstRow, ...]:
    rows = []
    for negative, row, (key, label, predicted, prob) in state.worst.rows:
        shown = predicted if predicted in classes else classes[0]
        rows.append(WorstRow(row + 1, key, label, shown, prob, -negative / unit + 0.0))  # type: ignore[arg-type]
    return tuple(rows)


def _issues(
    context: Context, outcome: Outcome, metrics: dict[str, Metric], predictions: DataSet, labels: DataSet | None
) -> list[Issue]:
    found = [*_row_issues(context, outcome), *_dropped_issues(outcome), *_verdict_issues(outcome, metrics)]
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


def _row_issues(context: Context, outcome: Outcome) -> list[Issue]:
    plan = context.plan
    kinds = (
        ("infinite", "warning", "rows gave the true class a probability of 0: their loss is infinite",
         "fix the model, or clip its probabilities with --eps and say so"),
        ("clipped", "note", f"rows had a probability clipped to [{plan.eps}, 1 - {plan.eps}]", None),
        ("above_one", "note", "rows had a probability just above 1, which was taken as 1", None),
        ("renormalized", "note", "rows were divided by their sum", None),
        ("uneven", "warning", "rows do not sum to 1 and were scored as they are: this is no proper score", None),
        ("zero_weight", "note", "rows have a weight of 0 and are left out", None),
        ("ignored", "note", "rows have an ignored label and are left out", None),
        ("ties", "note", "rows have a label of 0.5: they count for the loss but not for the accuracy", None),
    )  # fmt: skip
    tallies = outcome.state.tallies
    return [
        Issue(name, severity, message, tallies[name].count, tallies[name].first, hint)  # type: ignore[arg-type]
        for name, severity, message, hint in kinds
        if tallies[name].count
    ]


def _dropped_issues(outcome: Outcome) -> list[Issue]:
    counts = outcome.counts
    found = [
        Issue(
            "invalid_rows",
            "warning",
            f"invalid rows were dropped: {problem.code}: {problem.message}",
            problem.count,
            problem.rows,
            "--errors FILE lists every one of them",
        )
        for problem in outcome.fault_kinds
    ]
    for tally, message in (
        (counts.unmatched_predictions, "predictions have no label and were dropped"),
        (counts.unmatched_labels, "labels have no prediction and were dropped"),
        (counts.differing_ids, "rows have different ids in the two files but were paired by position"),
    ):
        if tally.count:
            found.append(Issue("unmatched_rows", "warning", message, tally.count, tally.first))
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
