"""Classification with K classes, one score for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.block import Objective, Part, Scored, in_pieces
from ce_cli.kernels import multiclass, smoothing
from ce_cli.plan import Scale
from ce_cli.tasks.rows import check

if TYPE_CHECKING:
    from ce_cli.arrays import Floats, Ints
    from ce_cli.block import Block, Pair
    from ce_cli.checks import Faults
    from ce_cli.kernels.multiclass import ClassOutcome
    from ce_cli.tasks.base import Checked, Context

_BLOCK_ROWS = 1 << 16
_BLOCK_CELLS = 1 << 20
_KERNEL_CELLS = 1 << 17  # what the arithmetic works on at a time: small enough for the cache


class MulticlassTask:
    """Labels are class names, matched to the score columns."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def block_rows(self, pair: Pair) -> int:  # noqa: ARG002 - every row has K scores
        """Return how many rows make a block of bounded size."""
        return max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // self._context.plan.k))

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check."""
        return check(self._context, pair, faults, keep=keep)

    def score(self, block: Block) -> Scored:
        """Return the losses of a block."""
        return in_pieces(self._score, block, max(1, _KERNEL_CELLS // self._context.plan.k))

    def _score(self, block: Block) -> Scored:
        label = block.label.astype(np.int64)
        scores, clipped = block.scores, None
        eps = self._context.plan.eps
        if eps is not None:
            scores = np.clip(scores, eps, 1 - eps)
            clipped = multiclass.pick(scores, label) != multiclass.pick(block.scores, label)
        outcome = self._outcome(scores, label)
        correct = outcome.predicted == label
        return Scored(
            loss=outcome.loss,
            prob_label=outcome.prob_label,
            predicted=outcome.predicted,
            correct=correct,
            judged=None,
            confidence=multiclass.pick(outcome.probs, outcome.predicted),
            outcome=correct,
            brier=outcome.brier if self._context.plan.k > 2 else outcome.brier * 0.5,
            parts=(Part(None, label, outcome.loss, outcome.prob_label, None),),
            clipped=clipped,
            objective=self._objective(scores, label, outcome.loss),
        )

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

    def _outcome(self, scores: Floats, label: Ints) -> ClassOutcome:
        scale = self._context.plan.scale
        if scale is Scale.LOGITS:
            return multiclass.from_logits(scores, label)
        if scale is Scale.LOGPROBS:
            return multiclass.from_logprobs(scores, label, self._context.plan.log_base)
        return multiclass.from_probabilities(scores, label)
