"""Classification with K classes, one score for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.block import Objective
from ce_cli.kernels import gradient, multiclass, smoothing
from ce_cli.kernels.divergence import divergence
from ce_cli.kernels.rows import FEW_COLUMNS
from ce_cli.plan import Scale
from ce_cli.tasks.classification import ClassScored, ClassTask, Part, in_pieces
from ce_cli.tasks.rows import check

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Block, Pair
    from ce_cli.checks import Faults
    from ce_cli.kernels.multiclass import ClassOutcome
    from ce_cli.tasks.base import Checked

_BLOCK_ROWS = 1 << 16
_BLOCK_CELLS = 1 << 20
# What the arithmetic works on at a time: small enough for the cache; of few columns each is, by itself.
_KERNEL_CELLS = 1 << 17
_KERNEL_CELLS_OF_FEW = 1 << 19


class MulticlassTask(ClassTask):
    """Labels are class names, matched to the score columns."""

    def block_rows(self, pair: Pair) -> int:  # noqa: ARG002 - every row has K scores
        """Return how many rows make a block of bounded size."""
        return max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // self._context.plan.k))

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check."""
        return check(self._context, pair, faults, keep=keep)

    def score(self, block: Block) -> ClassScored:
        """Return the losses of a block."""
        k = self._context.plan.k
        cells = _KERNEL_CELLS_OF_FEW if k <= FEW_COLUMNS else _KERNEL_CELLS
        return in_pieces(self._score, block, max(1, cells // k))

    def _score(self, block: Block) -> ClassScored:
        if block.label.ndim == 2:
            return self._score_shares(block)
        plan, label = self._context.plan, block.label.astype(np.int64)
        # Smoothing and gradients sum along rows in ways that depend on how these lie.
        read = block.scores if plan.smoothing or plan.gradients else block.scores_as_held
        scores, clipped = read, None
        if plan.eps is not None:
            scores = np.clip(read, plan.eps, 1 - plan.eps)
            clipped = multiclass.pick(scores, label) != multiclass.pick(read, label)
        outcome = self._outcome(scores, label, exact=block.exact)
        correct = outcome.predicted == label
        return ClassScored(
            loss=outcome.loss,
            prob_label=outcome.prob_label,
            predicted=outcome.predicted,
            correct=correct,
            judged=None,
            confidence=outcome.confidence,
            outcome=correct,
            brier=outcome.brier if plan.k > 2 else outcome.brier * 0.5,
            parts=(Part(None, label, outcome.loss, outcome.prob_label, None),),
            counted={"clipped": clipped},
            objective=self._objective(scores, label, outcome.loss),
            gradient=self._gradient(scores, outcome, label),
        )

    def counted(self, block: Block) -> Bools | None:
        """Return the rows whose class weighs anything."""
        weights = self._context.plan.class_weights
        if weights is None or all(weights) or self._context.plan.smoothing:
            return None
        factors = np.array(weights)
        of_class = block.label @ factors if block.label.ndim == 2 else factors[block.label.astype(np.int64)]
        flags: Bools = of_class > 0
        return flags

    def _score_shares(self, block: Block) -> ClassScored:
        """Return the losses of soft labels: of one-hot ones the same bits as of hard ones."""
        plan, label = self._context.plan, block.label
        scores, clipped = block.scores, None
        if plan.eps is not None:
            scores = np.clip(scores, plan.eps, 1 - plan.eps)
            clipped = ((scores != block.scores) & (label > 0)).any(axis=1)
        losses = self._all_losses(scores)
        top = multiclass.argmax(label)
        outcome = self._outcome(scores, top, exact=block.exact)
        probs, predicted = outcome.probs, outcome.predicted
        tied = np.count_nonzero(label == multiclass.pick(label, top)[:, None], axis=1) > 1
        rows, classes = np.nonzero(label)
        brier = multiclass.brier_of_shares(outcome, label, losses if plan.scale is Scale.LOGITS else None)
        return ClassScored(
            loss=smoothing.product(label, losses).sum(axis=1),
            prob_label=(label * probs).sum(axis=1),
            predicted=predicted,
            correct=predicted == top,
            judged=~tied,
            confidence=outcome.confidence,
            outcome=multiclass.pick(label, predicted),
            brier=brier if plan.k > 2 else brier * 0.5,
            parts=(Part(rows, classes, losses[rows, classes], probs[rows, classes], label[rows, classes]),),
            counted={"clipped": clipped, "ties": tied},
            objective=self._objective_of_shares(label, losses),
            gradient=self._gradient(scores, outcome, label),
            divergence=divergence(label, probs, losses),
        )

    def _gradient(self, scores: Floats, outcome: ClassOutcome, label: Floats | Ints) -> Floats | None:
        plan = self._context.plan
        if not plan.gradients:
            return None
        one_hot = label.ndim == 1
        shares = smoothing.one_hot(label.astype(np.int64), plan.k) if one_hot else np.asarray(label, dtype=np.float64)
        if plan.smoothing:
            shares = smoothing.smoothed_shares(shares, plan.smoothing, plan.smoothing_kind)
        if plan.class_weights is not None:
            shares = shares * np.array(plan.class_weights)
        return gradient.of_classes(outcome.probs, self._all_losses(scores), shares)

    def _objective_of_shares(self, label: Floats, losses: Floats) -> Objective | None:
        plan = self._context.plan
        if not plan.smoothing and plan.class_weights is None:
            return None
        shares = smoothing.smoothed_shares(label, plan.smoothing, plan.smoothing_kind)
        return Objective(*smoothing.soft_objective(shares, losses, plan.class_weights))

    def _objective(self, scores: Floats, label: Ints, loss: Floats) -> Objective | None:
        plan = self._context.plan
        if not plan.smoothing and plan.class_weights is None:
            return None
        own, other = smoothing.spread(plan.smoothing, plan.smoothing_kind, plan.k)
        losses = self._all_losses(scores) if plan.smoothing else None
        return Objective(*smoothing.class_objective(label, loss, losses, own, other, plan.class_weights))

    def _all_losses(self, scores: Floats) -> Floats:
        scale = self._context.plan.scale
        if scale is Scale.LOGITS:
            return multiclass.all_losses_of_logits(scores)
        if scale is Scale.LOGPROBS:
            return multiclass.all_losses_of_logprobs(scores, self._context.plan.log_base)
        return multiclass.all_losses_of_probabilities(scores)

    def _outcome(self, scores: Floats, label: Ints, *, exact: bool) -> ClassOutcome:
        scale = self._context.plan.scale
        if scale is Scale.LOGITS:
            return multiclass.from_logits(scores, label, exact=exact)
        if scale is Scale.LOGPROBS:
            return multiclass.from_logprobs(scores, label, self._context.plan.log_base)
        return multiclass.from_probabilities(scores, label)
