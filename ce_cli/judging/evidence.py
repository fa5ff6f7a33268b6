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


class Labels:
    """What has come true in some rows: `(n, m, c) float64`, all 0 where a cell is not known, or `(n,)` classes of one cell."""

    def __init__(self, target: Floats | None, code: Ints | None, shape: tuple[int, int]) -> None:
        self._target = target
        self._code = code
        self.shape = shape  # m cells of c outcomes

    def take(self, rows: Ints) -> Labels:
        """Return some of the rows."""
        if self._code is not None:
            return Labels(None, self._code[rows], self.shape)
        return Labels(self.target[rows], None, self.shape)

    @property
    def target(self) -> Floats:
        """How much of each outcome has come true, `(n, m, c) float64`."""
        if self._target is not None:
            return self._target
        return smoothing.one_hot(self.code, self.shape[1])[:, None, :]

    @property
    def code(self) -> Ints:
        """The class of each row, where it has one."""
        assert self._code is not None
        return self._code

    @property
    def soft(self) -> bool:
        """Whether any label lies between two outcomes."""
        return self._target is not None and bool(((self._target > 0) & (self._target < 1)).any())

    def loss(self, losses: Floats, cap: float = math.inf) -> Floats:
        """Return what rows lose, `(n,) float64`, with what their outcomes cost, `(n, m, c) float64`; 0 · inf = 0.

        cap: the most that an outcome costs.
        """
        if self._code is not None:
            picked: Floats = np.minimum(losses[np.arange(len(self._code)), 0, self._code], cap)
            return picked
        loss: Floats = smoothing.product(self.target, np.minimum(losses, cap)).sum(axis=(1, 2))
        return loss

    def held(self, weight: Floats) -> Floats:
        """Return the weight of every outcome, `(m, c) float64`."""
        if self._code is not None:
            return np.bincount(self._code, weights=weight, minlength=self.shape[1])[None, :].astype(np.float64)
        held: Floats = (self.target * weight[:, None, None]).sum(axis=0)
        return held

    def prior(self, weight: Floats) -> Floats:
        """Return what rows lose where the frequencies in them are predicted, `(n,) float64`."""
        held = self.held(weight)
        shares = np.divide(held, held.sum(axis=1, keepdims=True), out=np.ones_like(held), where=held > 0)
        costs = -np.log(shares)
        if self._code is not None:
            of_class: Floats = costs[0][self._code]
            return of_class
        prior: Floats = (self.target * costs).sum(axis=(1, 2))
        return prior

    def amount(self) -> Floats:
        """Return over how many cells each row is a sum, `(n,) float64`."""
        return np.ones(len(self._code)) if self._code is not None else self.target.sum(axis=(1, 2))

    def costs(self, losses: Floats, weight: Floats) -> Floats:
        """Return Σ w y_a L_b: what all outcomes or labels a lose with the scores b, `(k, k) float64`."""
        if self._code is None:
            target = self.target * weight[:, None, None]
            if self.shape[0] == 1:
                of_classes: Floats = target[:, 0].T @ losses[:, 0]
                return of_classes
            of_labels: Floats = target[:, :, 0].T @ losses[:, :, 0] + target[:, :, 1].T @ losses[:, :, 1]
            return of_labels
        found = np.zeros((self.shape[1], self.shape[1]))
        order = np.argsort(self._code, kind="stable")
        there, starts = np.unique(self._code[order], return_index=True)
        found[there] = np.add.reduceat((losses[:, 0] * weight[:, None])[order], starts, axis=0)
        return found


class Evidence:
    """The first rows of a run.

    row: `(n,) int64`, their numbers. score: `(n, k) float64`. weight: `(n,) float64`. given: what every outcome costs with
    the scores as they are, `(n, m, c) float64`.
    """

    def __init__(self, plan: EvalPlan, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        self.plan = plan
        self.row: Ints = columns["row"]
        self.score: Floats = columns["score"]
        self.weight: Floats = columns.get("weight", np.ones(len(self.row)))
        self.labels = _labels(plan, columns["label"], columns.get("known"))
        self.given = self.losses(Reading(plan.scale, plan.log_base))
        self._given_loss, self._capped_loss = self.labels.loss(self.given), self.labels.loss(self.given, CAP)

    @property
    def enough(self) -> bool:
        """Whether there are enough rows, and labels that vary."""
        return len(self.row) >= _FEW and bool(self.labels.prior(self.weight).any())

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

    def compared(self, losses: Floats, rows: Ints | None = None) -> Losses:
        """Return what rows lose with other losses of the outcomes; rows: those that `losses` are of, None for all."""
        at = slice(None) if rows is None else rows
        labels, weight = self.labels if rows is None else self.labels.take(rows), self.weight[at]
        return Losses(
            self._given_loss[at],
            self._capped_loss[at],
            labels.loss(losses),
            labels.loss(losses, CAP),
            labels.prior(weight),
            labels.amount(),
            weight,
        )

    def is_calibrated(self, losses: Floats) -> bool:
        """Tell whether cells of two outcomes come true about as often as they are said to."""
        target, capped = self.labels.target, np.minimum(losses, CAP)
        known = target.sum(axis=2) > 0
        logit = (capped[..., 0] - capped[..., 1])[known]
        weight = np.broadcast_to(self.weight[:, None], known.shape)[known]
        intercept, slope = recalibration(logit, target[..., 1][known], weight)
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


def _labels(plan: EvalPlan, label: npt.NDArray[Any], known: Bools | None) -> Labels:
    if plan.task == "multilabel":
        target = np.stack([1.0 - label, label], axis=2)
        return Labels(target if known is None else np.where(known[:, :, None], target, 0.0), None, (plan.k, 2))
    if label.ndim == 2:
        return Labels(label.astype(np.float64)[:, None, :], None, (1, plan.k))
    if plan.task == "binary" and ((label > 0) & (label < 1)).any():
        return Labels(np.stack([1.0 - label, label], axis=1)[:, None, :], None, (1, 2))
    return Labels(None, label.astype(np.int64), (1, plan.k))


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
