"""Calibration: how far probabilities are from frequencies, and what of it a correction would mend."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.judging.base import Aspect, Judgement
from ce_cli.judging.calibration_sample import FOLDS, CalibrationSample
from ce_cli.kernels import scaling
from ce_cli.kernels.reliability import Forecasts, decomposition, equal_mass, wilson
from ce_cli.kernels.scaling import BinaryOdds, ClassLogits, Line, fit_line, fit_temperature
from ce_cli.report import Metric
from ce_cli.tasks.base import with_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.judging.calibration_sample import Units
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.calibration import CalibrationBins
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

_LOSS_EDGES = (0.0, *(digit * 10.0**power for power in (-3, -2, -1, 0, 1) for digit in (1, 2, 5)), 100.0, math.inf)

_OF = {
    "binary": "the probability of the positive class",
    "multiclass": "the probability of the predicted class, against being right",
    "multilabel": "the probability of each label",
}
_WITHOUT_TEMPERATURE = {
    scaling.ALL_RIGHT: "there is no best temperature: every row is right, so the lower it is, the smaller the loss",
    scaling.BACKWARDS: "there is no best temperature: the higher it is, the smaller the loss, so the probabilities tell "
    "less than uniform ones, or point the wrong way",
    scaling.FLAT: "a temperature changes nothing: every probability is the same",
}
_WITHOUT_LINE = {
    scaling.ONE_CLASS: "there is no best line: all outcomes are of one class",
    scaling.SEPARABLE: "there is no best line: a threshold separates the classes, so the steeper it is, the smaller the loss",
    scaling.FLAT: "there is no best line: every probability is the same",
}
_IN_A_FOLD = "no gain can be told: without the {}s of one of the folds {}"
_SURE = "there is nothing to scale: every probability with a finite loss is exactly 0 or 1"
_TOO_FEW = "there are too few {}s with a finite loss to hold any out"


class _Events(NamedTuple):
    """All known events of the sample one after another, and the unit that each is of; their weights sum to 1."""

    forecasts: Forecasts
    unit: Ints
    total_weight: float


class _Problem(NamedTuple):
    """What is scaled: log-odds or logits, and the loss of rows that no scaling changes left out.

    weight, unit: `(n,)`, of each loss what it weighs and which unit it is of, a row or a cluster. sure: what stays at a loss
    of 0 weighs, by unit. left_out: how many losses are infinite whatever is done.
    """

    scalable: BinaryOdds | ClassLogits
    weight: Floats
    unit: Ints
    sure: Floats
    units: Units
    left_out: int


def _state(context: Context, options: Options) -> CalibrationSample:
    return CalibrationSample(context.plan, clustered=options.cluster is not None)


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:  # noqa: ARG001
    plan, sample = context.plan, state.aspects["calibration"]
    bins: CalibrationBins = state.parts["labels" if plan.task == "multilabel" else "classes"].calibration
    columns, units = sample.units(sample.events)
    events, n_used = _events(columns, units), len(units.of_row)
    metrics = {"ece_max": Metric(bins.errors().largest)}
    section: dict[str, Any] = {
        "of": _OF[plan.task],
        "n": sample.events.seen,
        "n_used": n_used,
        "bins": [_bin(plan, *one) for one in bins.filled()],
        "equal_mass": _equal_mass(plan, events),
        "decomposition": _parts(plan, events.forecasts, metrics),
    }
    if sample.logits is None:
        problem = _binary_problem(units, events)
    else:
        columns, units = sample.units(sample.logits)
        problem = _class_problem(units, columns)
    used = {"n_used": len(units.of_row), "infinite": problem.left_out}
    if options.cluster is not None:
        used["clusters"] = len(units.folds)
    section["temperature"] = {**used, **_temperature(plan, problem, metrics)}
    if plan.task == "binary":
        section["platt"] = {**used, **_platt(plan, problem)}
    section["losses"] = _loss_bins(plan, state)
    return Judgement(section, metrics)


CALIBRATION = Aspect(_state, _judge)


def _events(columns: tuple[Floats, ...], units: Units) -> _Events:
    weight, prob, positive, negative, outcome = columns
    width = outcome.shape[1] if outcome.ndim == 2 else 1
    unit = np.repeat(units.of_row, width)
    by_cell, total = _normalised(np.where(np.isnan(outcome.ravel()), 0.0, np.repeat(weight, width)))
    known = np.flatnonzero(by_cell > 0)
    cells = [cell.ravel()[known] for cell in (prob, positive, negative, outcome, by_cell)]
    return _Events(Forecasts(*cells), unit[known], total)


def _normalised(weight: Floats) -> tuple[Floats, float]:
    """Return weights that sum to 1, and what they summed to."""
    largest = float(weight.max())
    relative = weight / largest
    total = float(relative.sum())
    return relative / total, total * largest


# --- bins ------------------------------------------------------------------------------------------------------------


def _bin(
    plan: EvalPlan,
    lower: float,
    upper: float,
    n: int,
    effective: float,
    weight: float,
    predicted: float,
    observed: float,
) -> dict[str, Any]:
    # Where a weight or a mean was rounded, a rate may be a little outside.
    rate = min(max(observed, 0.0), 1.0)
    low, high = wilson(rate, effective, plan.confidence)
    return {
        "from": lower,
        "to": upper,
        "n": n,
        **({"weight": weight} if plan.weighted else {}),
        "predicted": predicted,
        "observed": observed,
        "lower": low,
        "upper": high,
    }


def _equal_mass(plan: EvalPlan, events: _Events) -> dict[str, Any]:
    rows = events.forecasts
    number = equal_mass(rows.prob, rows.weight, plan.ece_bins)
    found, gaps = [], []
    for at in np.unique(number).tolist():
        there = number == at
        prob, weight = rows.prob[there], rows.weight[there]
        # The largest weight is 1 then, so that no square of one underflows.
        share = weight / weight.max()
        total = float(share.sum())
        predicted, observed = (float((share * values).sum()) / total for values in (prob, rows.outcome[there]))
        gaps.append(float(weight.sum()) * abs(observed - predicted))
        found.append(
            _bin(
                plan,
                float(prob.min()),
                float(prob.max()),
                len(prob),
                total**2 / float(np.square(share).sum()),
                float(weight.sum()) * events.total_weight,
                predicted,
                observed,
            )
        )
    return {"bins": found, "ece": math.fsum(gaps)}


def _parts(plan: EvalPlan, rows: Forecasts, metrics: dict[str, Metric]) -> dict[str, Any]:
    found = decomposition(rows)
    mcb, dsc, unc = (
        value / plan.unit_size for value in (found.miscalibration, found.discrimination, found.uncertainty)
    )
    metrics.update(mcb=Metric(mcb), dsc=Metric(dsc), unc=Metric(unc))
    return {"score": found.score / plan.unit_size, "mcb": mcb, "dsc": dsc, "unc": unc, "steps": found.steps}


def _loss_bins(plan: EvalPlan, state: EvalState) -> list[dict[str, Any]]:
    """Return how many losses lie where, from the first of the fixed bins that has any to the last."""
    *finite, infinite = state.quantiles.between([edge * plan.unit_size for edge in _LOSS_EDGES])
    bins = [{"from": low, "to": high, "n": n} for (low, high), n in zip(pairwise(_LOSS_EDGES), finite, strict=True)]
    filled = [at for at, one in enumerate(bins) if one["n"]]
    shown = bins[filled[0] : filled[-1] + 1] if filled else []
    return [*shown, {"from": math.inf, "to": math.inf, "n": infinite}] if infinite else shown


# --- scaling ---------------------------------------------------------------------------------------------------------


def _binary_problem(units: Units, events: _Events) -> _Problem:
    rows, unit = events.forecasts, events.unit
    # 0 times an infinite loss is 0: a probability of 0 or 1 that came true stays what it is.
    endless = (np.isinf(rows.loss_positive) & (rows.outcome > 0)) | (np.isinf(rows.loss_negative) & (rows.outcome < 1))
    odds = np.where(endless, 0.0, rows.loss_negative) - np.where(endless, 0.0, rows.loss_positive)
    finite = np.isfinite(odds) & ~endless
    sure: Floats = np.bincount(unit, rows.weight * (~finite & ~endless), len(units.folds)).astype(np.float64)
    return _Problem(
        BinaryOdds(odds[finite], rows.outcome[finite]),
        rows.weight[finite],
        unit[finite],
        sure,
        units,
        int(np.count_nonzero(endless)),
    )


def _class_problem(units: Units, columns: tuple[Floats, ...]) -> _Problem:
    weight, logits, aim, total = columns
    finite = np.isfinite(aim)
    if not finite.all():
        logits, aim, total = logits[finite], aim[finite], total[finite]
    left_out = int(np.count_nonzero(~finite))
    weight, _ = _normalised(weight)
    sure = np.zeros(len(units.folds))
    return _Problem(ClassLogits(logits, aim, total), weight[finite], units.of_row[finite], sure, units, left_out)


def _nothing(problem: _Problem) -> str:
    return _SURE if problem.sure.any() else _TOO_FEW.format(problem.units.what)


def _temperature(plan: EvalPlan, problem: _Problem, metrics: dict[str, Metric]) -> dict[str, Any]:
    """Return the best temperature of all rows, and what those of the folds save on the rows held out."""
    if len(problem.unit) == 0:
        return {"value": None, "reason": _nothing(problem)}
    whole = fit_temperature(problem.scalable, problem.weight)
    if whole.temperature is None:
        return {"value": None, "reason": _WITHOUT_TEMPERATURE[whole.reason or ""]}
    start, found = whole.temperature, []

    def after(weight: Floats) -> tuple[Floats | None, str]:
        fit = fit_temperature(problem.scalable, weight, start)
        if fit.temperature is None:
            return None, _WITHOUT_TEMPERATURE[fit.reason or ""]
        found.append(fit.temperature)
        return problem.scalable.losses(1 / fit.temperature), ""

    metrics["temperature"] = Metric(start)
    gain, told = _held_out(plan, problem, after)
    if gain is None:
        return {"value": start, **told}
    metrics["temperature_gain"] = gain
    return {"value": start, "folds": found, **told, "verdict": _verdict(gain, start)}


def _verdict(gain: Metric, temperature: float) -> str | None:
    """Return what is wrong with the predictions, None where nothing was detected."""
    if gain.lower is None or not gain.lower > 0:
        return None
    return "over-confident" if temperature > 1 else "under-confident"


def _platt(plan: EvalPlan, problem: _Problem) -> dict[str, Any]:
    """Return the best line through the log-odds of all rows, and what those of the folds save on the rows held out."""
    rows = problem.scalable
    assert isinstance(rows, BinaryOdds)
    if len(problem.unit) == 0:
        return {"slope": None, "intercept": None, "reason": _nothing(problem)}
    whole = fit_line(rows, problem.weight)
    if whole.slope is None:
        return {"slope": None, "intercept": None, "reason": _WITHOUT_LINE[whole.reason or ""]}

    def after(weight: Floats) -> tuple[Floats | None, str]:
        line: Line = fit_line(rows, weight)
        if line.slope is None or line.intercept is None:
            return None, _WITHOUT_LINE[line.reason or ""]
        return rows.losses(line.slope, line.intercept), ""

    _, told = _held_out(plan, problem, after)
    return {"slope": whole.slope, "intercept": whole.intercept, **told}


def _held_out(
    plan: EvalPlan, problem: _Problem, after: Callable[[Floats], tuple[Floats | None, str]]
) -> tuple[Metric | None, dict[str, Any]]:
    """Return the mean gain over rows that had no part in the fit, with its interval, and what is to be told of it.

    after: returns the losses of all rows after a fit to those of positive weight, or why there is none.
    """
    fold = problem.units.folds[problem.unit]
    before = problem.scalable.losses(1.0)
    improved = before.copy()
    for number in range(FOLDS):
        held: Bools = fold == number
        if not held.any():
            continue
        if held.all():
            return None, {"reason": _TOO_FEW.format(problem.units.what)}
        losses, reason = after(np.where(held, 0.0, problem.weight))
        if losses is None:
            return None, {"reason": _IN_A_FOLD.format(problem.units.what, reason.partition(": ")[2] or reason)}
        improved[held] = losses[held]
    units = len(problem.units.folds)
    weight = np.bincount(problem.unit, problem.weight, minlength=units) + problem.sure
    gains = np.bincount(problem.unit, problem.weight * (before - improved), minlength=units)
    counted = weight > 0
    total, n = float(weight.sum()), int(np.count_nonzero(counted))
    gain = float(gains.sum()) / total
    figures = {"before": float((problem.weight * before).sum()) / total}
    figures["after"] = float((problem.weight * improved).sum()) / total
    told: dict[str, Any] = {name: value / plan.unit_size for name, value in figures.items()}
    if n < 2:
        return None, {"reason": _TOO_FEW.format(problem.units.what)}
    misses = gains[counted] - gain * weight[counted]
    largest = float(np.abs(misses).max()) or 1.0
    error = largest * math.sqrt(n / (n - 1) * float(np.square(misses / largest).sum())) / total
    metric = with_interval(plan, gain, error, n - 1)
    told["gain"] = {name: getattr(metric, name) for name in ("value", "stderr", "lower", "upper")}
    return metric, told
