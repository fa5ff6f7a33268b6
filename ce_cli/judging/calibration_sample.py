"""The rows that calibration is judged by: a bounded sample, of several classes two, and what of it belongs together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.kernels import multiclass
from ce_cli.kernels.double import log_of_base
from ce_cli.kernels.hashing import mixed
from ce_cli.kernels.smoothing import product
from ce_cli.plan import Scale
from ce_cli.readers.keys import text_words
from ce_cli.state.sample import RowSample
from ce_cli.tasks.binary import both_sides

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints
    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import EvalPlan

MOST_ROWS = 100_000
MOST_CELLS = 1_000_000
FOLDS = 5
_SLICE_CELLS = 1 << 17


class CalibrationSample:
    """Forecasts of single events with their outcomes, and with several classes the logits of every row.

    Events: the positive class; being right; the labels of a row, which are columns then. clustered: whether the last column is
    to tell the clusters of rows apart.
    """

    def __init__(self, plan: EvalPlan, *, clustered: bool = False) -> None:
        self._plan, self._clustered = plan, clustered
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
        self._keep(self.events, rows, some, (some.weight, *shaped, label))

    def _add_classes(self, rows: JudgedRows, part: slice) -> None:
        assert self.logits is not None
        some = _wanted(self.events, rows, part)
        prob = rows.scored.confidence[some.at]
        right, wrong = _sides_of_top(self._plan, _clipped(self._plan, some.scores), prob)
        outcome = rows.scored.outcome[some.at].astype(np.float64)
        self._keep(self.events, rows, some, (some.weight, prob, right, wrong, outcome))
        some = _wanted(self.logits, rows, part)
        logits = _logits(self._plan, _clipped(self._plan, some.scores))
        if some.label.ndim == 2:
            aim, total = product(some.label, logits).sum(axis=1), some.label.sum(axis=1)
        else:
            aim, total = multiclass.pick(logits, some.label.astype(np.int64)), np.ones(len(some.at))
        self._keep(self.logits, rows, some, (some.weight, logits, aim, total))

    def _keep(self, sample: RowSample, rows: JudgedRows, some: _Some, columns: tuple[Floats, ...]) -> None:
        words = (text_words(rows.column("cluster"))[some.at],) if self._clustered else ()
        sample.add(some.rows, (*columns, *words), seen=some.seen)

    def units(self, sample: RowSample) -> tuple[tuple[Floats, ...], Units]:
        """Return the columns of a sample, and what of its rows is kept together: clusters, or each row by itself.

        A row's fold is told by a hash of its number; clusters, which may be few, take turns in the order of their hashes.
        """
        hashes, columns = sample.columns()
        if not self._clustered:
            return columns, Units("row", np.arange(len(hashes)), (hashes % np.uint64(FOLDS)).astype(np.int64))
        *columns_left, words = columns
        clusters, unit = np.unique(mixed(words), return_inverse=True)
        return tuple(columns_left), Units("cluster", unit, np.arange(len(clusters)) % FOLDS)


class Units(NamedTuple):
    """What depends on each other in a sample, by its name: the unit of each row, and the fold of each unit."""

    what: str
    of_row: Ints
    folds: Ints


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
    scores = np.ascontiguousarray(rows.block.held[at], dtype=np.float64)
    return _Some(len(numbers), at, rows.rows[at], weight, rows.block.label[at], scores)


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
