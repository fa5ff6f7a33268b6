"""The statistics of rows with several labels, and the figures made of them: over all cells, and label by label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.report import Metric
from ce_cli.state.calibration import CalibrationBins
from ce_cli.state.classes import LabelledRows
from ce_cli.state.fractions import entropy, to_float
from ce_cli.state.products import add_products, factor
from ce_cli.tasks.base import Summary, mean_metrics, row_mean, with_errors
from ce_cli.tasks.classification import (
    ClassStatistics,
    DivergenceStatistics,
    calibration_errors,
    class_rows,
    macro,
    mean_loss,
    with_gradients,
)

if TYPE_CHECKING:
    from fractions import Fraction

    from ce_cli.arrays import Floats, Ints
    from ce_cli.plan import EvalPlan
    from ce_cli.report import ClassRow
    from ce_cli.state.classes import ClassTotals
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.multilabel import CellScored


class LabelStatistics(ClassStatistics):
    """Sums by label, calibration by label, accuracy and Brier score over all cells that are known."""

    def __init__(self, plan: EvalPlan) -> None:
        super().__init__(plan)
        self.calibration = CalibrationBins(plan.ece_bins, plan.k)

    def add(self, scored: CellScored, weight: Floats | None, rows: Ints) -> None:  # type: ignore[override]  # noqa: ARG002
        """Add rows of positive weight."""
        n, k = scored.label.shape
        at = slice(None) if scored.known is None else np.flatnonzero(scored.known)
        number = np.tile(np.arange(k), n)[at]
        by_cell = None if weight is None else np.repeat(weight, k)[at]
        label, prob, loss = (values.ravel()[at] for values in (scored.label, scored.prob, scored.cell_loss))
        positive, predicted = label > 0.5, prob > 0.5
        self.classes.add(LabelledRows(number, loss, prob, predicted, positive), by_cell)
        hard = not ((label > 0) & (label < 1)).any()
        self.calibration.add(prob, positive if hard else label, by_cell, number)
        self._hits.add(predicted == positive, None if hard else label != 0.5, by_cell)
        brier = scored.brier.ravel()[at]
        if by_cell is None:
            self._brier.add(brier)
        else:
            add_products(self._brier, factor(brier), factor(by_cell))


def row_mean_names(plan: EvalPlan) -> list[str]:
    """Return the means over cells whose standard errors take rows as the observations, and that of the rows' sums."""
    names = ["accuracy", "brier", "cross_entropy_label_sum"]
    return [*names, "cross_entropy_unsmoothed"] if plan.smoothing else names


class CellDivergence(DivergenceStatistics):
    """The divergence from soft labels, cell by cell."""

    def add(self, scored: CellScored, weight: Floats | None, rows: Ints) -> None:  # type: ignore[override]  # noqa: ARG002
        """Add rows of positive weight."""
        if scored.divergence is not None:
            soft = (scored.label > 0) & (scored.label < 1)
            soft = soft if scored.known is None else soft & scored.known
            by_cell = None if weight is None else np.repeat(weight, soft.sum(axis=1))
            self.add_values(scored.divergence, scored.cell_loss[soft], by_cell)


def summarize(plan: EvalPlan, state: EvalState) -> Summary:
    """Return every figure of a multilabel task."""
    gathered: LabelStatistics = state.parts["labels"]
    totals, unit, calibration = gathered.totals(), plan.unit_size, gathered.calibration
    metrics = mean_metrics(plan, state)
    metrics["cross_entropy_label_sum"] = row_mean(plan, state.parts["means"], "cross_entropy_label_sum")
    if plan.smoothing:
        metrics["cross_entropy_unsmoothed"] = Metric(mean_loss(totals, plan.class_weights) / unit)
    metrics.update(macro(totals, unit))
    accuracy = gathered.accuracy()
    if accuracy is not None:
        metrics["accuracy"] = Metric(to_float(accuracy))
    metrics["brier"] = Metric(to_float(gathered.brier(totals.weight.total())))
    weights, positive = totals.weight.fractions(), calibration.outcomes()
    entropies = [_entropy(weight, held) for weight, held in zip(weights, positive, strict=True)]
    metrics.update(_against_priors(totals, entropies, mean_loss(totals, None), unit))
    metrics.update(state.parts["divergence"].means(totals, unit, everywhere=False))
    metrics.update(calibration_errors(calibration))
    metrics = with_errors(plan, metrics, state.parts["means"])
    rows = tuple(
        _label_row(row, weight, held, entropy / unit, ece)
        for row, weight, held, entropy, ece in zip(
            class_rows(plan.classes, totals, unit), weights, positive, entropies, calibration.l1_by_group(), strict=True
        )
    )
    rows = with_gradients(rows, plan, state)
    return Summary(metrics, rows, {"cells": sum(totals.n)})


def _entropy(weight: Fraction, positive: Fraction) -> float:
    """Return the entropy of a label's prevalence, nats."""
    return entropy(to_float(part / weight) for part in (positive, weight - positive)) if weight else 0.0


def _against_priors(totals: ClassTotals, entropies: list[float], loss: float, unit: float) -> dict[str, Metric]:
    """Return the loss of always predicting the prevalence of each label, and what the loss is beside it."""
    prior = math.fsum(share * one for share, one in zip(totals.weight.shares(), entropies, strict=True))
    if prior == 0:
        return {}
    return {
        "prior_entropy": Metric(prior / unit),
        "normalized_entropy": Metric(loss / prior),
        "skill": Metric(1 - loss / prior),
    }


def _label_row(row: ClassRow, weight: Fraction, positive: Fraction, prior: float, ece: float) -> ClassRow:
    """Return a row with what a label of its own has beside what every class has."""
    if row.cross_entropy is None:
        return row
    skill = 1 - row.cross_entropy / prior if prior else None
    return row._replace(prevalence=to_float(positive / weight), skill=skill, ece=ece)
