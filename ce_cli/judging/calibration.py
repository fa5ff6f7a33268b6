"""Calibration: how far probabilities are from frequencies, and what of it a correction would mend."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.judging.base import Aspect, Judgement
from ce_cli.kernels import multiclass, scaling
from ce_cli.kernels.double import log_of_base
from ce_cli.kernels.reliability import Forecasts, decomposition, equal_mass, wilson
from ce_cli.kernels.scaling import BinaryOdds, ClassLogits, Line, fit_line, fit_temperature
from ce_cli.kernels.smoothing import product
from ce_cli.plan import Scale
from ce_cli.report import Metric
from ce_cli.state.sample import RowSample
from ce_cli.tasks.base import with_interval
from ce_cli.tasks.binary import both_sides

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.judging.base import JudgedRows
    from ce_cli.kernels.hashing import Words
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.calibration import CalibrationBins
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

MOST_ROWS = 100_000
MOST_CELLS = 1_000_000
FOLDS = 5
_SLICE_CELLS = 1 << 17
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
_IN_A_FOLD = "no gain can be told: without the rows of one of the folds {}"
_SURE = "there is nothing to scale: every probability with a finite loss is exactly 0 or 1"
_TOO_FEW = "there are too few rows with a finite loss to hold any out"


class CalibrationSample:
    """Forecasts of single events with their outcomes, and with several classes the logits of every row.

    Events: the positive class; being right; the labels of a row, which are columns then.
    """

    def __init__(self, plan: EvalPlan) -> None:
        self._plan = plan
        width = plan.k if plan.task == "multilabel" else 1
        self.events = RowSample(min(MOST_ROWS, max(1, MOST_CELLS // (4 * width))))
        self.logits = RowSample(min(MOST_ROWS, max(1, MOST_CELLS // plan.k))) if plan.task == "multiclass" else None

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        add = self._add_odds if self.logits is None else self._add_classes
        step = max(1, _SLICE_CELLS // self._plan.k)
        for start in range(0, len(rows.rows), step):
            add(rows, slice(start, start + step))

    def merge(self, other: CalibrationSample) -> None:
        """Add what another one has seen."""
        self.events.merge(other.events)
        if self.logits is not None and other.logits is not None:
            self.logits.merge(other.logits)

    def _add_odds(self, rows: JudgedRows, part: slice) -> None:
        some = _wanted(self.events, rows, part)
        label, scores = some.label, _clipped(self._plan, some.scores)
        if self._plan.task == "multilabel":
            scores = scores.reshape(-1, 1)
            known = rows.block.extra.get("known")
            label = label if known is None else np.where(known[some.at], label, np.nan)
        sides = both_sides(self._plan, scores)
        columns = (sides.prob_positive, sides.loss_positive, sides.loss_negative)
        shaped = [column.reshape(label.shape) for column in columns]
        self.events.add(some.rows, (some.weight, *shaped, label), seen=some.seen)

    def _add_classes(self, rows: JudgedRows, part: slice) -> None:
        assert self.logits is not None
        some = _wanted(self.events, rows, part)
        prob = rows.scored.confidence[some.at]
        right, wrong = _sides_of_top(self._plan, _clipped(self._plan, some.scores), prob)
        outcome = rows.scored.outcome[some.at].astype(np.float64)
        self.events.add(some.rows, (some.weight, prob, right, wrong, outcome), seen=some.seen)
        some = _wanted(self.logits, rows, part)
        logits = _logits(self._plan, _clipped(self._plan, some.scores))
        if some.label.ndim == 2:
            aim, total = product(some.label, logits).sum(axis=1), some.label.sum(axis=1)
        else:
            aim, total = multiclass.pick(logits, some.label.astype(np.int64)), np.ones(len(some.at))
        self.logits.add(some.rows, (some.weight, logits, aim, total), seen=some.seen)


class _Some(NamedTuple):
    """Rows that a sample wants, of those it has `seen`: their positions, numbers, weights, labels and scores."""

    seen: int
    at: Ints
    rows: Ints
    weight: Floats
    label: Floats
    scores: Floats


def _wanted(sample: RowSample, rows: JudgedRows, part: slice) -> _Some:
    numbers = rows.rows[part]
    at = part.start + sample.wanted(numbers)
    weight = np.ones(len(at)) if rows.weight is None else rows.weight[at]
    return _Some(len(numbers), at, rows.rows[at], weight, rows.block.label[at], rows.block.scores[at])


def _clipped(plan: EvalPlan, scores: Floats) -> Floats:
    return scores if plan.eps is None else np.clip(scores, plan.eps, 1 - plan.eps)


def _logits(plan: EvalPlan, scores: Floats) -> Floats:
    """Return logits of every row whose largest is 0: `(n, k) float64`, -inf for a probability of 0."""
    logits = scores
    if plan.scale is Scale.LOGPROBS:
        logits = scores * log_of_base(plan.log_base)
    elif plan.scale is not Scale.LOGITS:
        with np.errstate(divide="ignore"):
            logits = np.log(scores)
    top = logits.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        return logits - np.where(np.isneginf(top), 0.0, top)


def _sides_of_top(plan: EvalPlan, scores: Floats, prob: Floats) -> tuple[Floats, Floats]:
    """Return -log p and -log(1 - p) of the largest probability of every row, the latter with all its digits."""
    others = np.exp(_logits(plan, scores))
    others[np.arange(len(others)), scores.argmax(axis=1)] = 0.0
    beside = others.sum(axis=1)
    with np.errstate(divide="ignore"):
        if plan.scale is Scale.LOGITS:
            right = np.log1p(beside)
            return right, right - np.log(beside)
        # Where p rounds to 1, the other probabilities still tell by how much it is below.
        wrong = np.where(prob < 1.0, -np.log1p(-np.minimum(prob, 1.0)), -np.log(beside))
        return multiclass.negative_log(np.minimum(prob, 1.0)), wrong + 0.0


class _Events(NamedTuple):
    """All known events of the sample one after another, and the row that each is of; their weights sum to 1."""

    forecasts: Forecasts
    row: Ints
    total_weight: float


class _Problem(NamedTuple):
    """What is scaled: log-odds or logits, and the loss of rows that no scaling changes left out.

    weight, row: `(n,)`, of each loss what it weighs and which row of the sample it is of. sure: what stays at a loss of 0
    weighs, by row. folds: of each row. left_out: how many losses are infinite whatever is done.
    """

    scalable: BinaryOdds | ClassLogits
    weight: Floats
    row: Ints
    sure: Floats
    folds: Ints
    left_out: int


def _state(context: Context, options: Options) -> CalibrationSample:  # noqa: ARG001 - as every aspect
    return CalibrationSample(context.plan)


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:  # noqa: ARG001
    plan, sample = context.plan, state.aspects["calibration"]
    bins: CalibrationBins = state.parts["labels" if plan.task == "multilabel" else "classes"].calibration
    hashes, columns = sample.events.columns()
    events = _events(columns)
    metrics = {"ece_max": Metric(bins.largest())}
    section: dict[str, Any] = {
        "of": _OF[plan.task],
        "n": sample.events.seen,
        "n_used": len(hashes),
        "bins": [_bin(plan, *one) for one in bins.filled()],
        "equal_mass": _equal_mass(plan, events),
        "decomposition": _parts(plan, events.forecasts, metrics),
    }
    if sample.logits is None:
        problem = _binary_problem(hashes, events)
    else:
        hashes, columns = sample.logits.columns()
        problem = _class_problem(hashes, columns)
    used = {"n_used": len(hashes), "infinite": problem.left_out}
    section["temperature"] = {**used, **_temperature(plan, problem, metrics)}
    if plan.task == "binary":
        section["platt"] = {**used, **_platt(plan, problem)}
    section["losses"] = _loss_bins(plan, state)
    return Judgement(section, metrics)


CALIBRATION = Aspect(_state, _judge)


def _events(columns: tuple[Floats, ...]) -> _Events:
    weight, prob, positive, negative, outcome = columns
    width = outcome.shape[1] if outcome.ndim == 2 else 1
    row = np.repeat(np.arange(len(weight)), width)
    by_cell, total = _normalised(np.where(np.isnan(outcome.ravel()), 0.0, np.repeat(weight, width)))
    known = np.flatnonzero(by_cell > 0)
    cells = [cell.ravel()[known] for cell in (prob, positive, negative, outcome, by_cell)]
    return _Events(Forecasts(*cells), row[known], total)


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


def _folds(hashes: Words) -> Ints:
    return (hashes % np.uint64(FOLDS)).astype(np.int64)


def _binary_problem(hashes: Words, events: _Events) -> _Problem:
    rows, row = events.forecasts, events.row
    # 0 times an infinite loss is 0: a probability of 0 or 1 that came true stays what it is.
    endless = (np.isinf(rows.loss_positive) & (rows.outcome > 0)) | (np.isinf(rows.loss_negative) & (rows.outcome < 1))
    odds = np.where(endless, 0.0, rows.loss_negative) - np.where(endless, 0.0, rows.loss_positive)
    finite = np.isfinite(odds) & ~endless
    sure: Floats = np.bincount(row, rows.weight * (~finite & ~endless), minlength=len(hashes)).astype(np.float64)
    return _Problem(
        BinaryOdds(odds[finite], rows.outcome[finite]),
        rows.weight[finite],
        row[finite],
        sure,
        _folds(hashes),
        int(np.count_nonzero(endless)),
    )


def _class_problem(hashes: Words, columns: tuple[Floats, ...]) -> _Problem:
    weight, logits, aim, total = columns
    finite = np.isfinite(aim)
    row = np.flatnonzero(finite)
    if not finite.all():
        logits, aim, total = logits[finite], aim[finite], total[finite]
    left_out = len(finite) - len(row)
    weight, _ = _normalised(weight)
    return _Problem(
        ClassLogits(logits, aim, total), weight[finite], row, np.zeros(len(weight)), _folds(hashes), left_out
    )


def _nothing(problem: _Problem) -> str:
    return _SURE if problem.sure.any() else _TOO_FEW


def _temperature(plan: EvalPlan, problem: _Problem, metrics: dict[str, Metric]) -> dict[str, Any]:
    """Return the best temperature of all rows, and what those of the folds save on the rows held out."""
    if len(problem.row) == 0:
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
    if len(problem.row) == 0:
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
    fold = problem.folds[problem.row]
    before = problem.scalable.losses(1.0)
    improved = before.copy()
    for number in range(FOLDS):
        held: Bools = fold == number
        if not held.any():
            continue
        if held.all():
            return None, {"reason": _TOO_FEW}
        losses, reason = after(np.where(held, 0.0, problem.weight))
        if losses is None:
            return None, {"reason": _IN_A_FOLD.format(reason.partition(": ")[2] or reason)}
        improved[held] = losses[held]
    rows = len(problem.folds)
    weight = np.bincount(problem.row, problem.weight, minlength=rows) + problem.sure
    gains = np.bincount(problem.row, problem.weight * (before - improved), minlength=rows)
    counted = weight > 0
    total, n = float(weight.sum()), int(np.count_nonzero(counted))
    gain = float(gains.sum()) / total
    figures = {"before": float((problem.weight * before).sum()) / total}
    figures["after"] = float((problem.weight * improved).sum()) / total
    told: dict[str, Any] = {name: value / plan.unit_size for name, value in figures.items()}
    if n < 2:
        return None, {"reason": _TOO_FEW}
    misses = gains[counted] - gain * weight[counted]
    largest = float(np.abs(misses).max()) or 1.0
    error = largest * math.sqrt(n / (n - 1) * float(np.square(misses / largest).sum())) / total
    metric = with_interval(plan, gain, error, n - 1)
    told["gain"] = {name: getattr(metric, name) for name in ("value", "stderr", "lower", "upper")}
    return metric, told
