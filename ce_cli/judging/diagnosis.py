"""Whether a common mistake explains a loss that is hardly better than that of the label frequencies.

This module decides when to look, and keeps the first rows; `evidence` and `explanations` do the looking, and are imported only
then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.judging.base import Aspect, Judgement
from ce_cli.kernels.multiclass import most_after_softmax
from ce_cli.plan import Scale
from ce_cli.state.first_rows import FirstRows

if TYPE_CHECKING:
    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

MOST_ROWS = 100_000
MOST_CELLS = 1 << 20  # scores of these rows
POOR = 0.02  # a skill below this is suspicious


class Opening:
    """The labels, scores and weights of the first rows."""

    def __init__(self, plan: EvalPlan) -> None:
        # Where only the score of what came is known, nothing can be told from the scores.
        width = 1 if plan.task == "binary" and plan.single_score else plan.k
        known = 0 if plan.task == "tokens" and not plan.k else min(MOST_ROWS, MOST_CELLS // max(1, width))
        self.rows = FirstRows(known)
        self._task = plan.task

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        if not self.rows.wants(rows.rows):
            return
        block = rows.block
        columns = {"score": block.scores, "label": block.extra["bin"] if self._task == "regression" else block.label}
        if block.weight is not None:
            columns["weight"] = block.weight
        if self._task == "multilabel":
            known = block.extra.get("known")
            columns["known"] = np.ones(block.label.shape, dtype=np.bool_) if known is None else known
        self.rows.add(rows.rows, columns)

    def merge(self, other: Opening) -> None:
        """Add what another one has seen."""
        self.rows.merge(other.rows)


def _state(context: Context, options: Options) -> Opening:  # noqa: ARG001 - the same for all
    return Opening(context.plan)


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:  # noqa: ARG001
    """Return what explains the loss, the best first; nothing where nothing does."""
    rows = state.aspects["diagnosis"].rows
    skill = report["skill"].value if "skill" in report else _skill_of_tokens(context.plan, rows, report)
    poor = skill is not None and skill < POOR
    if not poor and not _telling_scores(context.plan, rows):
        return Judgement()
    columns = rows.columns()
    if not columns:
        return Judgement()
    from ce_cli.judging.explanations import explain

    found = explain(context, columns, poor=POOR)
    return Judgement([one.to_dict(context.plan.unit_size) for one in found] or None)


def _skill_of_tokens(plan: EvalPlan, rows: FirstRows, report: Report) -> float | None:
    """Return what the scores of a vocabulary save of the entropy of the first tokens; None where these do not vary."""
    labels = [*rows.pieces("label")]
    if plan.task != "tokens" or not labels:
        return None
    counts = np.bincount(np.concatenate(labels).astype(np.int64))
    shares = counts[counts > 0] / counts.sum()
    prior = -float((shares * np.log(shares)).sum())
    return 1.0 - report["cross_entropy"].value * plan.unit_size / prior if prior > 0 else None


def _telling_scores(plan: EvalPlan, rows: FirstRows) -> bool:
    """Tell whether scores lie where scores of their scale hardly ever all lie, whatever the loss."""
    pieces = [piece for piece in rows.pieces("score") if piece.size]
    if not pieces:
        return False
    least, most = min(float(piece.min()) for piece in pieces), max(float(piece.max()) for piece in pieces)
    if plan.scale is Scale.LOGITS:
        return (least >= 0 and most <= 1) or most <= 0
    if plan.scale is Scale.LOGPROBS:
        return plan.row_sum == "raw"
    if plan.scale in (Scale.PROBS, Scale.PERCENT):
        return most <= most_after_softmax(plan.k if plan.task != "multilabel" else 2) + 1e-3
    return False


ASPECT = Aspect(_state, _judge)
