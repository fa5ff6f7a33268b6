"""Scaling of log-odds that minimises the log loss: one temperature, or a slope and an intercept.

Both losses are convex. Whether a minimum exists is decided beforehand from the data themselves, so that no iteration runs
towards one at infinity.

Sources: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (2017), temperature scaling; Platt,
"Probabilistic outputs for support vector machines" (1999), without his smoothed labels; Silvapulle, "On the existence of
maximum likelihood estimators for the binomial response models" (1981), for the condition of overlap.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ce_cli.kernels.smoothing import product

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.arrays import Floats

ALL_RIGHT = "all_right"
BACKWARDS = "backwards"
FLAT = "flat"
SEPARABLE = "separable"
ONE_CLASS = "one_class"

_EPSILON = sys.float_info.epsilon
_SLICE_CELLS = 1 << 16
_MAX_STEPS = 200
_LAST_STEP = 1e-12
_LARGE = 1e100
_NOTHING = 1e-15  # of the heaviest row's weight, or of an outcome
_FARTHEST = 700.0  # of log(1/T): what lies beyond is beyond float64


class Scalable(Protocol):
    """Rows whose log-odds are multiplied by β = 1/T."""

    def losses(self, beta: float) -> Floats:
        """Return the loss of every row, `(n,) float64`, nats."""

    def slopes(self, beta: float) -> tuple[Floats, Floats]:
        """Return β times the first and β² times the second derivative of every row's loss by β, `(n,) float64` each."""

    def limits(self) -> tuple[Floats, Floats]:
        """Return the first derivative at β = 0 and what it tends to for β → ∞, divided by the same positive number."""


class Scaled(NamedTuple):
    """A fitted temperature, or why there is none."""

    temperature: float | None
    reason: str | None = None


class Line(NamedTuple):
    """A fitted line, logit p' = slope · logit p + intercept, or why there is none."""

    slope: float | None
    intercept: float | None
    reason: str | None = None


class BinaryOdds:
    """Log-odds of one event each, `(n,) float64`, finite, and outcomes in [0, 1]."""

    def __init__(self, odds: Floats, outcome: Floats) -> None:
        self.odds, self.outcome = odds, outcome

    def losses(self, beta: float, intercept: float = 0.0) -> Floats:
        """Return y softplus(-u) + (1 - y) softplus(u) with u = β z + intercept."""
        with np.errstate(over="ignore"):
            scaled = beta * self.odds + intercept
        common = np.log1p(np.exp(-np.abs(scaled)))
        positive, negative = np.maximum(-scaled, 0.0) + common, np.maximum(scaled, 0.0) + common
        return product(self.outcome, positive) + product(1.0 - self.outcome, negative)

    def slopes(self, beta: float) -> tuple[Floats, Floats]:
        """Return (σ(u) - y) u and σ(u) σ(-u) u² with u = βz."""
        scaled = _within(beta, self.odds)
        return (_sigmoid(scaled) - self.outcome) * scaled, _spread(scaled) * np.square(scaled)

    def limits(self) -> tuple[Floats, Floats]:
        """Return (½ - y) z and ([z > 0] - y) z, divided by the largest z."""
        odds = self.odds / (float(np.abs(self.odds).max()) or 1.0)
        return (0.5 - self.outcome) * odds, ((odds > 0) - self.outcome) * odds


class ClassLogits:
    """Logits of k classes, `(n, k) float64`, the largest of each row 0, others down to -inf.

    aim: `(n,) float64`, Σ_c y_c z_c, finite. total: `(n,) float64`, Σ_c y_c.
    """

    def __init__(self, logits: Floats, aim: Floats, total: Floats) -> None:
        self.logits, self.aim, self.total = logits, aim, total

    def losses(self, beta: float) -> Floats:
        """Return Σy · log Σ exp(βz) - β Σ y z."""

        def log_sum(logits: Floats) -> tuple[Floats]:
            with np.errstate(over="ignore"):
                terms = np.exp(beta * logits)
            terms[np.arange(len(terms)), logits.argmax(axis=1)] = 0.0
            return (np.log1p(terms.sum(axis=1)),)

        (found,) = self._in_slices(log_sum)
        with np.errstate(over="ignore"):
            result: Floats = self.total * found - beta * self.aim
        return result

    def slopes(self, beta: float) -> tuple[Floats, Floats]:
        """Return Σy · E[u] - Σ y u and Σy · Var[u] with u = βz, under the scaled probabilities."""

        def moments(logits: Floats) -> tuple[Floats, Floats]:
            finite = _within(beta, logits)
            terms = np.exp(finite)
            total = terms.sum(axis=1)
            mean = (terms * finite).sum(axis=1) / total
            finite -= mean[:, None]
            return mean, (terms * np.square(finite)).sum(axis=1) / total

        mean, variance = self._in_slices(moments)
        return self.total * mean - _within(beta, self.aim), self.total * variance

    def limits(self) -> tuple[Floats, Floats]:
        """Return Σy times the mean of the finite logits, less Σ y z; and -Σ y z; divided by the lowest logit."""

        def lowest(logits: Floats) -> tuple[Floats]:
            return (np.where(np.isneginf(logits), 0.0, logits).min(axis=1),)

        scale = -float(self._in_slices(lowest)[0].min()) or 1.0

        def mean_finite(logits: Floats) -> tuple[Floats]:
            there = logits > -np.inf
            return (np.where(there, logits / scale, 0.0).sum(axis=1) / there.sum(axis=1),)

        (mean,) = self._in_slices(mean_finite)
        aim = self.aim / scale
        return self.total * mean - aim, 0.0 - aim

    def _in_slices(self, work: Callable[[Floats], tuple[Floats, ...]]) -> tuple[Floats, ...]:
        """Do the work on a few rows at a time, which bounds the memory and stays in the cache."""
        step = max(1, _SLICE_CELLS // self.logits.shape[1])
        pieces = [work(self.logits[start : start + step]) for start in range(0, len(self.logits), step)]
        return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))


def fit_temperature(rows: Scalable, weight: Floats, start: float = 1.0) -> Scaled:
    """Return the T > 0 that minimises Σ w ℓ(z/T), by Newton's method on log(1/T) within a bracket.

    weight: `(n,) float64`, of at least 0. There is none where every row is right (the loss falls as T → 0), where the
    loss falls as T → ∞, and where it does not depend on T.
    """
    at_zero, at_infinity = ((weight * slope).sum() for slope in rows.limits())
    if at_zero >= 0:
        flat = not (at_infinity > 0 or at_zero > 0)
        return Scaled(None, FLAT if flat else BACKWARDS)
    if at_infinity <= 0:
        return Scaled(None, ALL_RIGHT)

    def slope(log_beta: float) -> tuple[float, float]:
        beta = math.exp(log_beta)
        first, second = rows.slopes(beta)
        return float((weight * first).sum()), float((weight * second).sum())

    found = _root(slope, -math.log(start))
    return Scaled(None, ALL_RIGHT if found > 0 else BACKWARDS) if math.isinf(found) else Scaled(math.exp(-found))


def _root(function: Callable[[float], tuple[float, float]], start: float) -> float:
    """Return where a function goes from negative to positive; ±inf where that is out of reach.

    The function gives its value and a slope that is its derivative at the root. Each step is Newton's where that stays
    inside the bracket, else the middle of it, or twice as far out while one of its ends is open.
    """
    low, high = -math.inf, math.inf
    at, reach = start, 1.0
    for _ in range(_MAX_STEPS):
        value, slope = function(at)
        if value == 0:
            return at
        low, high = (at, high) if value < 0 else (low, at)
        step = -value / slope if slope > 0 else math.copysign(math.inf, -value)
        if abs(step) <= _LAST_STEP * (1 + abs(at)):
            return at + step
        if math.isinf(high - low):
            if abs(at) == _FARTHEST:
                break
            step = math.copysign(min(abs(step), reach), step)
            reach *= 2
        elif not low < at + step < high:
            step = (low + high) / 2 - at
        if at + step == at:
            break
        at = min(max(at + step, -_FARTHEST), _FARTHEST)
    return at if math.isfinite(high - low) else math.copysign(math.inf, at)


def fit_line(rows: BinaryOdds, weight: Floats) -> Line:
    """Return the slope and the intercept of the log-odds that minimise the mean loss, by Newton's method with backtracking.

    weight: `(n,) float64`, of at least 0; rows that weigh less than 1e-15 of the heaviest do not count. There is none where
    the log-odds separate the outcomes, where there is one class, or where the log-odds are all the same.
    """
    there = weight > _NOTHING * weight.max()
    odds, outcome, weight = rows.odds[there], rows.outcome[there], weight[there]
    reason = _without_line(odds, outcome)
    if reason is not None:
        return Line(None, None, reason)
    scale = float(np.abs(odds).max())
    weight = weight / weight.sum()
    x = odds / scale
    centre = float((weight * x).sum())
    x = x - centre
    positive, negative = float((weight * outcome).sum()), float((weight * (1.0 - outcome)).sum())
    slope, intercept = _newton(BinaryOdds(x, outcome), weight, math.log(positive / negative))
    return Line(slope / scale, intercept - slope * centre)


def _without_line(odds: Floats, outcome: Floats) -> str | None:
    with_positive, with_negative = odds[outcome > _NOTHING], odds[1.0 - outcome > _NOTHING]
    if len(with_positive) == 0 or len(with_negative) == 0:
        return ONE_CLASS
    if odds.min() == odds.max():
        return FLAT
    apart = with_positive.min() >= with_negative.max() or with_positive.max() <= with_negative.min()
    return SEPARABLE if apart else None


def _newton(rows: BinaryOdds, weight: Floats, intercept: float) -> tuple[float, float]:
    slope = 0.0
    loss = float((weight * rows.losses(slope, intercept)).sum())
    for _ in range(_MAX_STEPS):
        scaled = slope * rows.odds + intercept
        miss, spread = weight * (_sigmoid(scaled) - rows.outcome), weight * _spread(scaled)
        g0, g1 = float(miss.sum()), float((miss * rows.odds).sum())
        h00, h01 = float(spread.sum()), float((spread * rows.odds).sum())
        h11 = float((spread * np.square(rows.odds)).sum())
        determinant = h00 * h11 - h01 * h01
        if not determinant > 0:
            break
        d0, d1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        gain, share = g0 * d0 + g1 * d1, 1.0
        if gain <= _EPSILON * loss:
            # The loss cannot tell the difference; the whole step still is the better estimate near the minimum.
            return slope - d1, intercept - d0
        while share > 1e-10:
            tried = float((weight * rows.losses(slope - share * d1, intercept - share * d0)).sum())
            if tried <= loss - 1e-4 * share * gain:
                break
            share /= 2
        else:
            return (slope - d1, intercept - d0) if gain < 1e-12 else (slope, intercept)
        slope, intercept, loss = slope - share * d1, intercept - share * d0, tried
    return slope, intercept


def _within(beta: float, values: Floats) -> Floats:
    """Return β times the values, none so large that a sum of squares overflows: only their sign matters then."""
    with np.errstate(over="ignore"):
        scaled = beta * values
    return np.clip(scaled, -_LARGE, _LARGE)


def _sigmoid(values: Floats) -> Floats:
    tail = np.exp(-np.abs(values))
    result: Floats = np.where(values >= 0, 1.0, tail) / (1.0 + tail)
    return result


def _spread(values: Floats) -> Floats:
    """Return σ(x) σ(-x)."""
    tail = np.exp(-np.abs(values))
    result: Floats = tail / np.square(1.0 + tail)
    return result
