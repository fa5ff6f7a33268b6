"""Numbers and bins: where targets fall, the bins of a distribution, targets spread over bins, and scores of distance.

K bins lie between K + 1 increasing edges, of which the outer two may be infinite. Sources: Epstein, "A scoring system for
probability forecasts of ranked categories" (1969) and Murphy, "A note on the ranked probability score" (1971) for the ranked
probability score; Matheson & Winkler, "Scoring rules for continuous probability distributions" (1976) and Gneiting &
Raftery, "Strictly proper scoring rules, prediction, and estimation" (2007) for the continuous one; Imani & White, "Improving
regression performance with distributional losses" (2018) for the targets of a histogram loss with Gaussian smoothing.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints

_HALF_LOG_TWO_PI = 0.9189385332046728
_NARROW = 2.0  # of width times the distance of the middle, in standard deviations: up to here a quadrature is exact
_NODES = 20

# The spread of a Gaussian target in widths of its bin, the value that Imani & White recommend.
DEFAULT_WIDTHS = 0.75

# What the standard deviation is divided by to have the scale of the distribution.
SCALES = {"normal": 1.0, "laplace": math.sqrt(2.0), "logistic": math.pi / math.sqrt(3.0)}


def cells(target: Floats, edges: Floats, below: Bools) -> Ints:
    """Return the bin of every target: `(n,) int64`, -1 for one outside the edges or not finite.

    edges: `(k+1,) float64`. below: `(k+1,) bool`, whether an edge belongs to the bin below it.
    """
    cell = np.searchsorted(edges, target, side="right").astype(np.int64, copy=False) - 1
    known = np.maximum(cell, 0)
    cell = np.where((edges[known] == target) & below[known], known - 1, cell)
    cell[(cell >= len(edges) - 1) | ~np.isfinite(target)] = -1
    return cell


class Masses(NamedTuple):
    """What a distribution gives to bins.

    log_mass: `(n, k) float64`, the logarithm of the probability of every bin, -inf where it is below float64's range.
    outside: `(n,) float64`, the probability beyond the outer edges.
    """

    log_mass: Floats
    outside: Floats


def masses(mean: Floats, std: Floats, edges: Floats, dist: str) -> Masses:
    """Return the probabilities of bins under a distribution with these means and standard deviations.

    mean, std: `(n,) float64`, finite, std above 0. edges: `(k+1,) float64`. dist: "normal", "laplace" or "logistic". Nothing
    cancels, in neither tail nor in narrow bins: every logarithm is good to a few ulp of max(1, |log|).
    """
    scale = std / SCALES[dist]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        gap = edges - mean[:, None]
        if dist == "normal":
            # Of the mean of a bin's ends less the centre, not of their rounded sum, which may lose the distance.
            width = np.diff(edges) / scale[:, None]
            return _normal(gap / scale[:, None], width)
        low, high = gap[:, :-1] / scale[:, None], gap[:, 1:] / scale[:, None]
        width = np.diff(edges) / scale[:, None]
        first, last = low[:, 0], high[:, -1]
        if dist == "laplace":
            return Masses(_laplace(low, high, width), _laplace_tail(-first) + _laplace_tail(last))
        log_mass = log1mexp(width) - _softplus(low) - _softplus(-high)
        return Masses(log_mass, np.exp(-_softplus(-first)) + np.exp(-_softplus(last)))


def _normal(ends: Floats, width: Floats) -> Masses:
    """Return the masses between ends `(n, k+1)`, in standard deviations, that are `width` `(n, k)` apart."""
    from scipy.special import log_ndtr, ndtr

    outside: Floats = ndtr(ends[:, 0]) + ndtr(-ends[:, -1])
    low, high = ends[:, :-1], ends[:, 1:]
    # Both ends on the right mirror to the left, where the tail has the digits.
    right = low > 0
    near, far = np.where(right, -low, high), np.where(right, -high, low)
    upper, lower = log_ndtr(near), log_ndtr(far)
    result = upper + np.log1p(-np.exp(lower - upper))
    across = (near > 0) & (far <= 0)
    if across.any():
        result[across] = np.log1p(-(ndtr(far[across]) + ndtr(-near[across])))
    middle = 0.5 * (low + high)
    narrow = width * np.maximum(1.0, np.abs(middle)) <= _NARROW
    if narrow.any():
        result[narrow] = _narrow_normal(middle[narrow], width[narrow])
    result[np.isnan(result)] = -np.inf  # both ends beyond the range of the tail
    return Masses(result, outside)


@cache
def _quadrature() -> tuple[list[float], list[float]]:
    """Return the nodes and weights of Gauss and Legendre, for whoever needs them: their library takes time to load."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes.tolist(), weights.tolist()


def _narrow_normal(middle: Floats, width: Floats) -> Floats:
    """Return log ∫ φ over narrow bins, where a difference of two values of Φ would cancel.

    With t = m + h u/2 it is φ(m) h times the mean of exp(-m h u/2 - (h u)²/8) over u in [-1, 1], by Gauss and Legendre.
    """
    step = 0.5 * width
    mean = np.zeros_like(middle)
    for node, weight in zip(*_quadrature(), strict=True):
        shift = step * node
        mean += 0.5 * weight * np.exp(-shift * (middle + 0.5 * shift))
    log_mass: Floats = np.log(mean) + np.log(width) - (0.5 * middle * middle + _HALF_LOG_TWO_PI)
    return log_mass


def _laplace(low: Floats, high: Floats, width: Floats) -> Floats:
    """Return log ½ e^-a (1 - e^-h) for bins on one side, a being their distance and h their width; log of a sum across."""
    distance = np.maximum(np.maximum(low, -high), 0.0)
    one_side = log1mexp(width) - distance - math.log(2.0)
    across = (low < 0) & (high > 0)
    both = np.log(-0.5 * (np.expm1(np.where(across, low, -1.0)) + np.expm1(np.where(across, -high, -1.0))))
    return np.where(across, both, one_side)


def _laplace_tail(distance: Floats) -> Floats:
    """Return the probability above a distance on the right of the centre."""
    tail: Floats = np.where(
        distance > 0, 0.5 * np.exp(-np.maximum(distance, 0.0)), 1.0 - 0.5 * np.exp(np.minimum(distance, 0.0))
    )
    return tail


def log1mexp(x: Floats) -> Floats:
    """Return log(1 - e^-x) for x >= 0 (Mächler 2012); -inf at 0."""
    with np.errstate(divide="ignore"):
        result: Floats = np.where(x > math.log(2.0), np.log1p(-np.exp(-x)), np.log(-np.expm1(-np.minimum(x, 1.0))))
    return result


def _softplus(x: Floats) -> Floats:
    value: Floats = np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))
    return value


def gaussian_shares(target: Floats, sigma: Floats, edges: Floats) -> Floats:
    """Return targets spread over bins by a normal distribution around them, normalised on the support: `(n, k) float64`.

    target, sigma: `(n,) float64`, the target inside the edges, sigma above 0.
    """
    logs = masses(target, sigma, edges, "normal").log_mass
    shares: Floats = np.exp(logs - logs.max(axis=1)[:, None])
    shares /= shares.sum(axis=1)[:, None]
    return shares


def two_hot_shares(target: Floats, edges: Floats) -> Floats:
    """Return targets between the two nearest bin centres, linearly, clamped to the outer ones: `(n, k) float64`.

    The expectation of the centres is the target. target: `(n,) float64`. edges: `(k+1,) float64`, finite.
    """
    centres = edges[:-1] + 0.5 * np.diff(edges)
    inside = np.clip(target, centres[0], centres[-1])
    left = np.clip(np.searchsorted(centres, inside, side="right") - 1, 0, len(centres) - 2)
    rows, gap = np.arange(len(target)), centres[left + 1] - centres[left]
    shares = np.zeros((len(target), len(centres)))
    shares[rows, left] = (centres[left + 1] - inside) / gap
    shares[rows, left + 1] = (inside - centres[left]) / gap
    return shares


class Distances(NamedTuple):
    """How far a distribution over bins is from the target; `(n,) float64` each, crps in the target's unit or None."""

    rps: Floats
    crps: Floats | None


def distances(probs: Floats, target: Floats, cell: Ints, edges: Floats) -> Distances:
    """Return the ranked probability score and its continuous form.

    probs: `(n, k) float64`. target: `(n,) float64` in its bin `cell`, `(n,) int64`. edges: `(k+1,) float64`; where they are
    not all finite there is no continuous score.

    - rps: Σ_{k<K} (F_k - O_k)² with F the cumulated probabilities and O_k = 1 from the target's bin on
    - crps: ∫ (F(x) - [x >= target])² dx between the outer edges, F being linear inside each bin

    Below the target F is summed from the left, above it 1 - F from the right, so that only positive terms are added.
    """
    k = probs.shape[1]
    below = np.cumsum(probs, axis=1)
    above = np.cumsum(probs[:, ::-1], axis=1)[:, ::-1]
    column = np.arange(k)
    miss = np.where(column[:-1] < cell[:, None], below[:, :-1], above[:, 1:])
    rps = np.square(miss).sum(axis=1)
    width = np.diff(edges)
    if not np.isfinite(width).all():
        return Distances(rps, None)
    # The ends of every bin: F where it lies below the target, 1 - F where above; the target's own bin comes apart.
    zero = np.zeros((len(probs), 1))
    start = np.where(column < cell[:, None], np.concatenate([zero, below[:, :-1]], axis=1), above)
    end = np.where(column < cell[:, None], below, np.concatenate([above[:, 1:], zero], axis=1))
    area = _square_area(start, end, width)
    rows = np.arange(len(probs))
    low, high = edges[cell], edges[cell + 1]
    own = probs[rows, cell]
    before, after = target - low, high - target
    left = np.where(cell > 0, below[rows, np.maximum(cell - 1, 0)], 0.0)
    right = np.where(cell < k - 1, above[rows, np.minimum(cell + 1, k - 1)], 0.0)
    area[rows, cell] = _square_area(left, left + own * (before / (high - low)), before)
    area[rows, cell] += _square_area(right + own * (after / (high - low)), right, after)
    return Distances(rps, area.sum(axis=1))


def _square_area(start: Floats, end: Floats, width: Floats) -> Floats:
    """Return the integral of the square of a linear function from `start` to `end` over a width."""
    area: Floats = width * ((start * start + start * end + end * end) / 3.0)
    return area
