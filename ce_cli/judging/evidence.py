"""The first rows once more: what they lose as the scores stand, and what they would lose if these were something else.

Every task is seen alike: a row has m cells, each with c outcomes, of which the label says how much each has come true.
Classes, bins and tokens are one cell of K outcomes; several labels are K cells of two, not there and there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels import binary, multiclass, smoothing
from ce_cli.plan import Scale

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy.typing as npt

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.plan import EvalPlan

CAP = -math.log(2.0**-24)  # nats: a few infinite losses must not hide what the other rows say
_FEW = 20  # rows: fewer show nothing
_LEVEL, _SLOPE = 0.4, 1.5  # how far from (0, 1) calibrated scores of real models may be


class Reading(NamedTuple):
    """What scores are taken for: their scale, and the base of log-probabilities, None for e."""

    scale: Scale
    base: float | None = None


class Losses(NamedTuple):
    """What rows lose, `(n,) float64` each, in nats: as given, as explained, and by the label frequencies.

    given_capped, capped: the same with no outcome costing more than `CAP`. amount: over how many cells each is a sum.
    """

    given: Floats
    given_capped: Floats
    loss: Floats
    capped: Floats
    prior: Floats
    amount: Floats
    weight: Floats

    def take(self, rows: Bools) -> Losses:
        """Return some of the rows."""
        return Losses(*(values[rows] for values in self))

    def skill(self, loss: Floats) -> float:
        """Return 1 - Σwℓ / Σw·prior."""
        prior = float((self.weight * self.prior).sum())
        return 1.0 - float((self.weight * loss).sum()) / prior if prior > 0 else -math.inf

    def mean(self, loss: Floats) -> float:
        """Return the mean over cells, nats."""
        return float((self.weight * loss).sum() / (self.weight * self.amount).sum())

    def t(self, gain: Floats) -> float:
        """Return the mean of a difference over its standard error; `inf` where it does not vary, and is above 0."""
        n, mean = len(gain), float((self.weight * gain).sum() / self.weight.sum())
        error = math.sqrt(n / (n - 1) * float(np.square(self.weight * (gain - mean)).sum())) / float(self.weight.sum())
        return math.copysign(math.inf, mean) if error == 0 else mean / error


class Evidence:
    """The first rows of a run.

    row: `(n,) int64`, their numbers. score: `(n, k) float64`. target: `(n, m, c) float64`, how much of each outcome has come
    true, all 0 where a cell is not known. weight: `(n,) float64`.
    """

    def __init__(self, plan: EvalPlan, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        self.plan = plan
        self.row: Ints = columns["row"]
        self.score: Floats = columns["score"]
        self.weight: Floats = columns.get("weight", np.ones(len(self.row)))
        self.target = _target(plan, columns["label"], columns.get("known"))
        self.reading = Reading(plan.scale, plan.log_base)
        self.given = self.losses(self.reading)
        self._prior = _prior_losses(self.target, self.weight)

    @property
    def enough(self) -> bool:
        """Whether there are enough rows, and labels that vary."""
        return len(self.row) >= _FEW and bool((self._prior * self.target).any())

    @property
    def separate(self) -> bool:
        """Whether each score stands for itself: several labels, or a single score."""
        return self.plan.task == "multilabel" or (self.plan.task == "binary" and self.plan.single_score)

    def losses(self, reading: Reading, score: Floats | None = None) -> Floats:
        """Return what every outcome would cost, `(n, m, c) float64` in nats, `inf` where its probability is 0."""
        score = self.score if score is None else score
        if reading.scale in (Scale.PROBS, Scale.PERCENT) and self.plan.eps is not None:
            score = np.clip(score, self.plan.eps, 1 - self.plan.eps)
        if self.separate:
            return _of_cells(score, reading)
        return _of_classes(score, reading)[:, None, :]

    def compared(self, losses: Floats, target: Floats | None = None, rows: Bools | None = None) -> Losses:
        """Return what rows lose with other losses of the outcomes; rows: those that `losses` and `target` are of."""
        target = self.target if target is None else target
        given, weight = self.given, self.weight
        if rows is not None:
            given, weight = given[rows], weight[rows]
        return Losses(
            _row_loss(target, given),
            _row_loss(target, np.minimum(given, CAP)),
            _row_loss(target, losses),
            _row_loss(target, np.minimum(losses, CAP)),
            (target * _prior_losses(target, weight)).sum(axis=(1, 2)),
            target.sum(axis=(1, 2)),
            weight,
        )

    def is_calibrated(self, losses: Floats) -> bool:
        """Tell whether cells of two outcomes come true about as often as they are said to."""
        known = self.target.sum(axis=2) > 0
        logit = (np.minimum(losses, CAP)[..., 0] - np.minimum(losses, CAP)[..., 1])[known]
        weight = np.broadcast_to(self.weight[:, None], known.shape)[known]
        intercept, slope = recalibration(logit, self.target[..., 1][known], weight)
        level = intercept + (slope - 1.0) * float(np.average(logit, weights=weight))  # how far off a typical cell is
        return abs(level) < _LEVEL and 1 / _SLOPE < slope < _SLOPE


def recalibration(logit: Floats, outcome: Floats, weight: Floats) -> tuple[float, float]:
    """Return a and b of the logistic regression of outcomes on a + b·logit, (0, 1) for calibrated forecasts; NaN without one.

    logit, outcome (0 to 1), weight: `(n,) float64`. By Newton's method; source: D. R. Cox, "Two further applications of a
    model for binary regression", Biometrika 45 (1958).
    """
    design = np.stack([np.ones(len(logit)), logit], axis=1)
    at = np.array([0.0, 1.0])
    for _ in range(25):
        prob = 1.0 / (1.0 + np.exp(-np.clip(design @ at, -CAP * 2, CAP * 2)))
        slope = design.T @ (weight * (outcome - prob))
        curve = (design * (weight * prob * (1.0 - prob))[:, None]).T @ design
        if not np.linalg.cond(curve) < 1e12:
            return math.nan, math.nan
        step = np.linalg.solve(curve, slope)
        at = at + step
        if float(np.abs(step).max()) < 1e-8:
            return float(at[0]), float(at[1])
    return math.nan, math.nan


def _target(plan: EvalPlan, label: npt.NDArray[Any], known: Bools | None) -> Floats:
    if plan.task == "multilabel":
        target = np.stack([1.0 - label, label], axis=2)
        return target if known is None else np.where(known[:, :, None], target, 0.0)
    if label.ndim == 2:
        return label.astype(np.float64)[:, None, :]
    if plan.task == "binary":
        return np.stack([1.0 - label, label], axis=1)[:, None, :]
    return smoothing.one_hot(label.astype(np.int64), plan.k)[:, None, :]


def _of_cells(score: Floats, reading: Reading) -> Floats:
    flat = np.ascontiguousarray(score).ravel()
    if reading.scale is Scale.LOGITS:
        found = binary.from_logits(flat)
    elif reading.scale is Scale.LOGPROBS:
        found = binary.from_logprobs(flat, reading.base)
    else:
        found = binary.from_probabilities(flat)
    return np.stack([found.loss_negative, found.loss_positive], axis=1).reshape(*score.shape, 2)


def _of_classes(score: Floats, reading: Reading) -> Floats:
    if reading.scale is Scale.LOGPROBS:
        return multiclass.all_losses_of_logprobs(score, reading.base)
    if reading.scale in (Scale.PROBS, Scale.PERCENT):
        return multiclass.all_losses_of_probabilities(score)
    return multiclass.all_losses_of_logits(score)


def _row_loss(target: Floats, losses: Floats) -> Floats:
    loss: Floats = smoothing.product(target, losses).sum(axis=(1, 2))
    return loss


def _prior_losses(target: Floats, weight: Floats) -> Floats:
    """Return what each outcome costs where the frequencies in these rows are predicted, `(m, c) float64`; 0 for none."""
    held = (target * weight[:, None, None]).sum(axis=0)
    whole = held.sum(axis=1, keepdims=True)
    shares = np.divide(held, whole, out=np.ones_like(held), where=held > 0)
    prior: Floats = -np.log(shares)
    return prior
