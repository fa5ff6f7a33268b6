"""Several labels in one row, or none: a binary loss for every cell, and rows as the observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.block import Block, Objective, RowMean, Scored
from ce_cli.checks import RowChecks
from ce_cli.kernels import binary, gradient, smoothing
from ce_cli.kernels.cells import row_losses
from ce_cli.kernels.divergence import Divergence, divergence
from ce_cli.kernels.select import choose, mask_of
from ce_cli.plan import Scale
from ce_cli.readers.arrays import any_in_row
from ce_cli.state.gradients import GradientSums
from ce_cli.state.row_means import RowMeans
from ce_cli.tasks.base import Checked, check_ids, check_structure, check_weights
from ce_cli.tasks.label_figures import CellDivergence, LabelStatistics, row_mean_names, summarize
from ce_cli.tasks.labelsets import check_cells
from ce_cli.tasks.scores import check_scores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair
    from ce_cli.checks import Faults
    from ce_cli.kernels.binary import BinaryOutcome
    from ce_cli.plan import EvalPlan
    from ce_cli.state.evaluation import EvalState, Statistic
    from ce_cli.tasks.base import Coded, Context, Summary

_BLOCK_CELLS = 1 << 17  # in the cache, and few however many labels there are
_LEAST_ROWS = 256  # each column of each block costs a few microseconds
_MOST_CELLS = 1 << 19
_SHOWN = 3  # labels of one row


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScored(Scored):
    """What the cells of a block give.

    label, cell_loss, prob, brier: `(n, k) float64`, the label in [0, 1], its loss without smoothing in nats, the
    probability of the label being there, and the squared error; anything where the cell is not known. known: `(n, k) bool`,
    None where all are. row_sum: `(n,) float64`, the loss of all known cells. cells: `(n,) int64`, how many are known.
    divergence: of the known cells that are soft, in their order.
    """

    label: Floats
    known: Bools | None
    cell_loss: Floats
    prob: Floats
    brier: Floats
    row_sum: Floats
    cells: Ints
    divergence: Divergence | None = None

    def row_means(self, plan: EvalPlan) -> dict[str, RowMean]:
        """Return what the known cells of each row come to, and how many they are."""
        cells = self.cells.astype(np.float64)
        found = {
            "accuracy": self._hits(cells),
            "brier": RowMean(self._sum(self.brier), cells),
            "cross_entropy_label_sum": RowMean(self.row_sum),
        }
        if plan.smoothing:
            known = None if self.known is None else self.known.astype(np.float64)
            plain = row_losses(self.cell_loss, cell_amounts(plan, known, self.label.shape))
            found["cross_entropy_unsmoothed"] = RowMean(plain.total, plain.weight)
        return found

    def _hits(self, cells: Floats) -> RowMean:
        """Return how many cells of each row are on the side of their label, and how many can be, as no tie can."""
        right, judged = (self.prob > 0.5) == (self.label > 0.5), self.known
        if self.divergence is not None:
            untied = self.label != 0.5
            judged = untied if judged is None else untied & judged
            cells = judged.sum(axis=1).astype(np.float64)
        if judged is not None:
            right &= judged
        return RowMean(right.sum(axis=1).astype(np.float64), cells)

    def _sum(self, values: Floats) -> Floats:
        total: Floats = (values if self.known is None else np.where(self.known, values, 0.0)).sum(axis=1)
        return total


class MultilabelTask:
    """A label column and a score for every label; what a cell says does not depend on the other labels."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def block_rows(self, pair: Pair) -> int:  # noqa: ARG002 - every row has K cells
        """Return how many rows make a block of bounded size."""
        k = self._context.plan.k
        return max(1, min(_LEAST_ROWS, _MOST_CELLS // k), _BLOCK_CELLS // k)

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check and have a label that is known."""
        context = self._context
        checks = RowChecks(faults, pair.rows, keep=keep)
        check_structure(context, pair, checks)
        check_ids(context, pair, checks)
        cells = check_cells(context, pair, checks)
        ignored = checks.skip(cells.empty)
        scores, notes = check_scores(context, pair, checks, sums=False)
        weight = check_weights(context, pair, checks)
        extra = {} if cells.known is None else {"known": cells.known}
        block = Block(None, cells.values, np.ascontiguousarray(scores), weight, cells.soft, extra)
        return Checked(block if checks.ok is None else block.take(checks.ok), ignored, checks.kept, notes)

    def counted(self, block: Block) -> Bools | None:
        """Return the rows that have a known cell whose label weighs anything."""
        weights = self._context.plan.class_weights
        if weights is None or all(weights):
            return None
        known = block.extra.get("known")
        heavy = np.array(weights) > 0
        return None if known is None else any_in_row(known & heavy)

    def score(self, block: Block) -> CellScored:
        """Return the losses of a block."""
        plan, known, shape = self._context.plan, block.extra.get("known"), block.label.shape
        scores, clipped = self._clipped(block, known)
        outcome = self._outcome(scores.ravel())
        label = block.label.ravel()
        losses, brier = _cells(label, outcome, soft=block.soft)
        smoothed = losses
        if plan.smoothing:
            shares = smoothing.smoothed_binary(label, plan.smoothing, plan.smoothing_kind)
            smoothed = smoothing.binary_objective(shares, outcome.loss_negative, outcome.loss_positive, None)[0]
        there = None if known is None else known.astype(np.float64)
        rows = plain = row_losses(losses.reshape(shape), there)
        if plan.smoothing or plan.class_weights is not None:
            rows = row_losses(smoothed.reshape(shape), cell_amounts(plan, there, shape))
        ties = None if not block.soft else _in_row(block.label == 0.5, known)
        return CellScored(
            loss=plain.mean,
            objective=Objective(rows.mean, rows.weight),
            finite=Objective(rows.finite_mean, rows.finite_weight),
            infinite=rows.infinite,
            counted={"clipped": clipped, "ties": ties},
            label=block.label,
            known=known,
            cell_loss=losses.reshape(shape),
            prob=outcome.prob_positive.reshape(shape),
            brier=brier.reshape(shape),
            row_sum=rows.total,
            cells=np.full(shape[0], shape[1], dtype=np.int64) if known is None else known.sum(axis=1, dtype=np.int64),
            divergence=_divergence(label, outcome, _soft_cells(label, known)) if block.soft else None,
            gradient=self._gradient(label, outcome, cell_amounts(plan, there, shape), shape)
            if plan.gradients
            else None,
        )

    def gradient_names(self) -> tuple[str, ...]:
        """Return the labels: each has a logit of its own."""
        return self._context.plan.classes

    def _gradient(self, label: Floats, outcome: BinaryOutcome, amount: Floats | None, shape: tuple[int, ...]) -> Floats:
        plan = self._context.plan
        shares = smoothing.smoothed_binary(label, plan.smoothing, plan.smoothing_kind)
        cells = gradient.of_positive(outcome.prob_negative, outcome.prob_positive, *shares).reshape(shape)
        return cells if amount is None else cells * amount

    def statistics(self) -> dict[str, Statistic]:
        """Return what is gathered beside the loss."""
        plan = self._context.plan
        parts: dict[str, Statistic] = {
            "labels": LabelStatistics(plan),
            "means": RowMeans(plan, row_mean_names(plan)),
            "divergence": CellDivergence(),
        }
        if plan.gradients:
            parts["gradients"] = GradientSums(plan.k)
        return parts

    def summarize(self, state: EvalState) -> Summary:
        """Return every figure."""
        return summarize(self._context.plan, state)

    def describe(self, pair: Pair, row: int, scored: CellScored, position: int) -> tuple[str, str, float]:  # noqa: ARG002
        """Return the labels of a row, those with a probability above 0.5, and the geometric mean of the probabilities."""
        known = slice(None) if scored.known is None else scored.known[position]
        numbers = np.arange(self._context.plan.k)[known]
        held, likely = scored.label[position][known], scored.prob[position][known]
        told = self._listed(numbers[held > 0], held[held > 0])
        predicted = self._listed(numbers[likely > 0.5], None)
        return told, predicted, float(np.exp(-scored.loss[position]))

    def sample_columns(self, scored: CellScored) -> dict[str, Floats | Ints | Coded]:
        """Return the sum of the losses of a row and over how many cells."""
        return {"loss_sum": scored.row_sum / self._context.plan.unit_size, "cells": scored.cells}

    def _listed(self, numbers: Ints, shares: Floats | None) -> str:
        names = [self._context.plan.classes[number] for number in numbers[:_SHOWN]]
        if shares is not None:
            names = [_with_share(name, share) for name, share in zip(names, shares.tolist(), strict=False)]
        more = [f"+ {len(numbers) - _SHOWN}"] if len(numbers) > _SHOWN else []
        return " ".join([*names, *more]) or "none"

    def _clipped(self, block: Block, known: Bools | None) -> tuple[Floats, Bools | None]:
        eps = self._context.plan.eps
        if eps is None:
            return block.scores, None
        scores = np.clip(block.scores, eps, 1 - eps)
        return scores, _in_row(scores != block.scores, known)

    def _outcome(self, scores: Floats) -> BinaryOutcome:
        plan = self._context.plan
        if plan.scale is Scale.LOGITS:
            return binary.from_logits(scores)
        if plan.scale is Scale.LOGPROBS:
            return binary.from_logprobs(scores, plan.log_base)
        return binary.from_probabilities(scores)


def cell_amounts(plan: EvalPlan, known: Floats | None, shape: tuple[int, ...]) -> Floats | None:
    """Return what every cell weighs: the weight of its label where it is known."""
    weights = plan.class_weights
    if weights is None:
        return known
    return np.tile(weights, (shape[0], 1)) if known is None else known * np.array(weights)


def _cells(label: Floats, outcome: BinaryOutcome, *, soft: bool) -> tuple[Floats, Floats]:
    """Return the loss and the squared error of every cell.

    The distance to a label of 1 is taken from the other probability, which keeps its digits where p rounds to 1.
    """
    mask = mask_of(label > 0.5)
    losses = choose(mask, outcome.loss_positive, outcome.loss_negative)
    miss = choose(mask, outcome.prob_negative, outcome.prob_positive)
    if soft:
        at = np.flatnonzero((label > 0) & (label < 1))
        share = label[at]
        shares = (1.0 - share, share)
        losses[at] = smoothing.binary_objective(shares, outcome.loss_negative[at], outcome.loss_positive[at], None)[0]
        miss[at] = outcome.prob_positive[at] - share
    return losses, np.square(miss, out=miss)


def _soft_cells(label: Floats, known: Bools | None) -> Bools:
    """Return which cells are known and neither there nor not."""
    soft = (label > 0) & (label < 1)
    return soft if known is None else soft & known.ravel()


def _divergence(label: Floats, outcome: BinaryOutcome, at: Bools) -> Divergence:
    sides = (1.0 - label, label), (outcome.prob_negative, outcome.prob_positive)
    losses = (outcome.loss_negative, outcome.loss_positive)
    return divergence(*(_beside(pair, at) for pair in (*sides, losses)))


def _beside(pair: Iterable[Floats], at: Any) -> Floats:
    return np.stack([side[at] for side in pair], axis=1)


def _in_row(flags: Bools, known: Bools | None) -> Bools:
    """Return which rows have a known cell of these."""
    return any_in_row(flags if known is None else flags & known)


def _with_share(name: str, share: float) -> str:
    return name if share == 1 else f"{name} {share:g}"
