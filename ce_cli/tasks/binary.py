"""Binary classification: one score of the positive class, or one for each of two classes; the label may be soft."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.block import Objective
from ce_cli.kernels import binary, gradient, pair, smoothing
from ce_cli.kernels.divergence import Divergence, divergence
from ce_cli.kernels.select import choose, parted
from ce_cli.plan import Scale
from ce_cli.tasks.classification import ClassScored, ClassTask, Part
from ce_cli.tasks.rows import check

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Block, Pair
    from ce_cli.checks import Faults
    from ce_cli.kernels.binary import BinaryOutcome
    from ce_cli.plan import EvalPlan
    from ce_cli.tasks.base import Checked

_BLOCK_ROWS = 1 << 16
_NONE = np.zeros(0, dtype=np.int64)


class BinaryTask(ClassTask):
    """Labels 0 and 1 (or any two names), or the probability of the positive class between them."""

    def block_rows(self, pair: Pair) -> int:  # noqa: ARG002 - rows are narrow
        """Return how many rows fit into the cache."""
        return _BLOCK_ROWS

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check."""
        return check(self._context, pair, faults, keep=keep)

    def score(self, block: Block) -> ClassScored:
        """Return the losses of a block."""
        scores, clipped = self._clipped(block)
        outcome = self._outcome(scores)
        label = block.label
        positive = label > 0.5
        predicted = outcome.prob_positive > 0.5
        soft = np.flatnonzero((label > 0) & (label < 1)) if block.soft else _NONE
        code = positive.astype(np.int64)
        mask = np.negative(code)
        loss = choose(mask, outcome.loss_positive, outcome.loss_negative)
        prob_label, miss = parted(mask, outcome.prob_positive, outcome.prob_negative)
        judged = label != 0.5 if len(soft) else None
        parts: tuple[Part, ...] = (Part(None, code, loss, prob_label, None),)
        if len(soft):
            loss[soft] = _soft_mean(label, outcome.loss_positive, outcome.loss_negative, soft)
            prob_label[soft] = _soft_mean(label, outcome.prob_positive, outcome.prob_negative, soft)
            parts = _parts(outcome, label, code, soft)
        return ClassScored(
            loss=loss,
            prob_label=prob_label,
            predicted=predicted.view(np.int8),
            correct=predicted == positive,
            judged=judged,
            confidence=outcome.prob_positive,
            outcome=label if len(soft) else positive,
            brier=_brier(outcome, label, miss, soft, single=scores.shape[1] == 1),
            parts=parts,
            counted={"clipped": clipped, "ties": None if judged is None else ~judged},
            objective=self._objective(label, outcome),
            gradient=self._gradient(label, outcome, single=scores.shape[1] == 1),
            divergence=self._divergence(label, outcome, soft),
            soft=None if self._context.plan.soft else soft,
        )

    def counted(self, block: Block) -> Bools | None:
        """Return the rows whose class weighs anything."""
        weights = self._context.plan.class_weights
        if weights is None or all(weights) or self._context.plan.smoothing:
            return None
        flags: Bools = block.label * weights[1] + (1.0 - block.label) * weights[0] > 0
        return flags

    def _gradient(self, label: Floats, outcome: BinaryOutcome, *, single: bool) -> Floats | None:
        """Return the gradient with respect to the score of the positive class, and to that of the other where it has one."""
        plan = self._context.plan
        if not plan.gradients:
            return None
        negative, positive = smoothing.smoothed_binary(label, plan.smoothing, plan.smoothing_kind)
        if plan.class_weights is not None:
            negative, positive = negative * plan.class_weights[0], positive * plan.class_weights[1]
        of_positive = gradient.of_positive(outcome.prob_negative, outcome.prob_positive, negative, positive)
        return np.stack([of_positive] if single else [0.0 - of_positive, of_positive], axis=1)

    def _divergence(self, label: Floats, outcome: BinaryOutcome, soft: Ints) -> Divergence | None:
        """Return what soft labels are judged by: of all rows where each class has a label column, else of the soft ones."""
        if not (self._context.plan.soft or len(soft)):
            return None
        at = slice(None) if self._context.plan.soft else soft
        return divergence(
            np.stack([1.0 - label[at], label[at]], axis=1),
            np.stack([outcome.prob_negative[at], outcome.prob_positive[at]], axis=1),
            np.stack([outcome.loss_negative[at], outcome.loss_positive[at]], axis=1),
        )

    def _objective(self, label: Floats, outcome: BinaryOutcome) -> Objective | None:
        plan = self._context.plan
        if not plan.smoothing and plan.class_weights is None:
            return None
        shares = smoothing.smoothed_binary(label, plan.smoothing, plan.smoothing_kind)
        return Objective(
            *smoothing.binary_objective(shares, outcome.loss_negative, outcome.loss_positive, plan.class_weights)
        )

    def _clipped(self, block: Block) -> tuple[Floats, Bools | None]:
        eps = self._context.plan.eps
        if eps is None:
            return block.scores_as_held, None
        scores = np.clip(block.scores_as_held, eps, 1 - eps)
        return scores, (scores != block.scores_as_held).any(axis=1)

    def _outcome(self, scores: Floats) -> BinaryOutcome:
        return both_sides(self._context.plan, scores)


def both_sides(plan: EvalPlan, scores: Floats) -> BinaryOutcome:
    """Return what rows have with either label, from one score of the positive class or one for each, `(n, 1 or 2)`."""
    scale, base = plan.scale, plan.log_base
    if scores.shape[1] == 1:
        single = np.ascontiguousarray(scores[:, 0])
        if scale is Scale.LOGITS:
            return binary.from_logits(single)
        if scale is Scale.LOGPROBS:
            return binary.from_logprobs(single, base)
        return binary.from_probabilities(single)
    negative, positive = np.ascontiguousarray(scores.T)
    if scale is Scale.LOGITS:
        return pair.from_logits(negative, positive)
    if scale is Scale.LOGPROBS:
        return pair.from_logprobs(negative, positive, base)
    return pair.from_probabilities(negative, positive)


def _soft_mean(label: Floats, positive: Floats, negative: Floats, rows: Ints) -> Floats:
    """Return y·positive + (1-y)·negative for rows with 0 < y < 1."""
    share = label[rows]
    mean: Floats = share * positive[rows] + (1 - share) * negative[rows]
    return mean


def _parts(outcome: BinaryOutcome, label: Floats, code: Ints, soft: Ints) -> tuple[Part, ...]:
    is_hard = np.ones(len(label), dtype=np.bool_)
    is_hard[soft] = False
    share, hard = label[soft], np.flatnonzero(is_hard)
    mask = np.negative(code)
    losses = choose(mask, outcome.loss_positive, outcome.loss_negative)
    probs = choose(mask, outcome.prob_positive, outcome.prob_negative)
    ones, zeros = np.ones(len(soft), dtype=np.int64), np.zeros(len(soft), dtype=np.int64)
    return (
        Part(hard, code[hard], losses[hard], probs[hard], None),
        Part(soft, ones, outcome.loss_positive[soft], outcome.prob_positive[soft], share),
        Part(soft, zeros, outcome.loss_negative[soft], outcome.prob_negative[soft], 1 - share),
    )


def _brier(outcome: BinaryOutcome, label: Floats, miss: Floats, soft: Ints, *, single: bool) -> Floats:
    """Return (p - y)²; with two columns half the sum over both, which is the same where they sum to 1.

    The distance to a label of 1 is taken from the probability of the other class, which keeps its digits where p rounds
    to 1.
    """
    if not single:
        squares = np.square(outcome.prob_positive - label) + np.square(outcome.prob_negative - (1 - label))
        squares *= 0.5
        return squares
    miss[soft] = outcome.prob_positive[soft] - label[soft]
    return np.square(miss, out=miss)
