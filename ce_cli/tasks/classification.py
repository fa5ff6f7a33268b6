"""What binary and multiclass tasks have in common: the statistics by class, and the figures made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.block import Objective, RowMean, Scored
from ce_cli.kernels.divergence import Divergence
from ce_cli.kernels.smoothing import product
from ce_cli.plan import Scale
from ce_cli.readers.arrays import cell_text
from ce_cli.report import ClassRow, Metric
from ce_cli.state.calibration import CalibrationBins
from ce_cli.state.classes import ClassSums, LabelledRows
from ce_cli.state.exact import ExactSums
from ce_cli.state.extent import extent_of
from ce_cli.state.fractions import entropy, to_float
from ce_cli.state.gradients import GradientSums
from ce_cli.state.hits import Hits
from ce_cli.state.products import add_products, factor
from ce_cli.state.row_means import RowMeans
from ce_cli.state.spread import Spread
from ce_cli.tasks.base import Coded, Summary, mean_metrics, with_errors, without_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from fractions import Fraction

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Block, Pair
    from ce_cli.plan import EvalPlan
    from ce_cli.state.classes import ClassTotals
    from ce_cli.state.evaluation import EvalState, Statistic
    from ce_cli.tasks.base import Context

_SHOWN = 3  # classes of a soft label


class Part(NamedTuple):
    """The rows of a block that have a class in their label, and the share of it; None: all rows, 1 each.

    prob: that of the class; None where the bins of calibration sum it.
    """

    at: Ints | None
    label: Ints
    loss: Floats
    prob: Floats | None
    share: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ClassScored(Scored):
    """What rows with a class in their label give; every array `(n,)`.

    prob_label: the probability of the label (its expectation where the label is soft). predicted: the class, of any
    integer type. correct: whether it is the label's. judged: whether it can be right or wrong at all (a tie cannot);
    None: all can. confidence and outcome: what calibration compares, the outcome as bool where it is 0 or 1. brier: the
    squared error. parts: the losses by class. divergence: what soft labels are judged by beside the loss, of the rows
    `soft`, None for all of them.
    """

    prob_label: Floats
    predicted: Ints
    correct: Bools
    judged: Bools | None
    confidence: Floats
    outcome: Floats | Bools
    brier: Floats
    parts: tuple[Part, ...]
    divergence: Divergence | None = None
    soft: Ints | None = None

    def row_means(self, plan: EvalPlan) -> dict[str, RowMean]:
        """Return accuracy and Brier score, and what smoothing and soft labels add."""
        judged = None if self.judged is None else self.judged.astype(np.float64)
        right = self.correct if self.judged is None else self.correct & self.judged
        found = {"accuracy": RowMean(right.astype(np.float64), judged), "brier": RowMean(self.brier)}
        if plan.smoothing:
            found["cross_entropy_unsmoothed"] = self._unsmoothed(plan.class_weights)
        return {**found, **divergence_means(plan, self.divergence)}

    def _unsmoothed(self, class_weights: tuple[float, ...] | None) -> RowMean:
        if class_weights is None:
            return RowMean(self.loss)
        total, weight = np.zeros((2, len(self.loss)))
        for part in self.parts:
            at = np.arange(len(self.loss)) if part.at is None else part.at
            own = np.array(class_weights)[part.label] * (1.0 if part.share is None else part.share)
            np.add.at(weight, at, own)
            np.add.at(total, at, product(own, part.loss))
        return RowMean(total, weight)


def divergence_means(plan: EvalPlan, divergence: Divergence | None) -> dict[str, RowMean]:
    """Return what each row has of the divergences, where labels are shares of every class."""
    if not plan.soft or divergence is None:
        return {}
    return {name: RowMean(values) for name, values in divergence._asdict().items()}


def further_means(plan: EvalPlan) -> list[str]:
    """Return the means of rows that only smoothing and soft labels bring."""
    return [*(["cross_entropy_unsmoothed"] if plan.smoothing else []), *(Divergence._fields if plan.soft else ())]


class ClassStatistics:
    """Sums by class, accuracy, Brier score and calibration."""

    def __init__(self, plan: EvalPlan) -> None:
        self.classes = ClassSums(plan.k)
        self.calibration = CalibrationBins(plan.ece_bins)
        self._brier, self._brier_spread = ExactSums(), Spread()
        self._hits = Hits()
        # Whether the bins have, by outcome, what labels were given: p the positive ones, 1 - p the others.
        self._binned = plan.task == "binary" and plan.single_score and plan.scale in (Scale.PROBS, Scale.PERCENT)

    def add(self, scored: ClassScored, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - rows do not matter
        """Add rows of positive weight."""
        self._hits.add(scored.correct, scored.judged, weight)
        binned = self._binned and weight is None and scored.outcome.dtype == np.bool_
        for part in scored.parts:
            self._add_part(part._replace(prob=None) if binned else part, scored, weight)
        self.calibration.add(scored.confidence, scored.outcome, weight)
        extent = extent_of(scored.brier)
        self._brier_spread.add(scored.brier, weight, extent)
        if weight is None:
            self._brier.add(scored.brier, extent=extent)
        else:
            add_products(self._brier, factor(scored.brier, extent), factor(weight))

    def merge(self, other: ClassStatistics) -> None:
        """Add what another state has seen."""
        self.classes.merge(other.classes)
        self.calibration.merge(other.calibration)
        self._brier.merge(other._brier)
        self._brier_spread.merge(other._brier_spread)
        self._hits.merge(other._hits)

    def totals(self) -> ClassTotals:
        """Return the sums of every class."""
        totals = self.classes.totals()
        return totals._replace(prob=totals.prob + self.calibration.probs_of_outcomes()) if self._binned else totals

    def brier(self, weight: Fraction) -> Fraction:
        """Return Σ w·brier / Σ w."""
        return self._brier.total() / weight

    def accuracy(self) -> Fraction | None:
        """Return the weighted share of right predictions among the rows that can be right or wrong; None without any."""
        return self._hits.rate()

    def row_metrics(self, plan: EvalPlan, weight: Fraction) -> dict[str, Metric]:
        """Return accuracy and Brier score, with their intervals where rows are independent; weight: Σw."""
        accuracy, brier = self.accuracy(), self.brier(weight)
        found = {}
        if accuracy is not None:
            found["accuracy"] = without_unit(plan, accuracy, self._hits.standard_error(), self._hits.n - 1)
        error = self._brier_spread.standard_error(brier, weight)
        found["brier"] = without_unit(plan, brier, error, self._brier_spread.n - 1)
        return found

    def _add_part(self, part: Part, scored: ClassScored, weight: Floats | None) -> None:
        if part.at is None:
            rows = LabelledRows(part.label, part.loss, part.prob, scored.correct, scored.judged)
            self.classes.add(rows, weight)
            return
        correct = scored.predicted[part.at] == part.label
        judged = None if scored.judged is None else scored.judged[part.at]
        rows = LabelledRows(part.label, part.loss, part.prob, correct, judged, part.share)
        self.classes.add(rows, None if weight is None else weight[part.at])


class DivergenceStatistics:
    """Σw times the entropy of soft labels, the divergences from them, and their loss.

    Rows with one class in their label have an entropy of 0 and a divergence that is their loss: they need not be added.
    """

    def __init__(self) -> None:
        self.seen = False
        self._infinite = False
        self._sums = {name: ExactSums() for name in (*Divergence._fields, "loss")}

    def add(self, scored: ClassScored, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - rows do not matter
        """Add rows of positive weight."""
        if scored.divergence is not None:
            at = slice(None) if scored.soft is None else scored.soft
            self.add_values(scored.divergence, scored.loss[at], None if weight is None else weight[at])

    def add_values(self, divergence: Divergence, loss: Floats, weight: Floats | None) -> None:
        """Add what rows or cells have: their divergence, and `(n,) float64` each of their loss and weight, None for 1."""
        self.seen = True
        by_weight = factor(np.ones(len(loss)) if weight is None else weight)
        for name, values in (*divergence._asdict().items(), ("loss", loss)):
            finite = np.isfinite(values)
            self._infinite |= not finite.all()
            add_products(self._sums[name], factor(np.where(finite, values, 0.0)), by_weight)

    def merge(self, other: DivergenceStatistics) -> None:
        """Add what another state has seen."""
        self.seen |= other.seen
        self._infinite |= other._infinite
        for name, sums in self._sums.items():
            sums.merge(other._sums[name])

    def means(self, totals: ClassTotals, unit: float, *, everywhere: bool) -> dict[str, Metric]:
        """Return the weighted means over all rows, in the report's unit; the last only where rows were added everywhere."""
        weight = totals.weight.total()
        if not self.seen or not weight:
            return {}
        entropy, kl, js, loss = (self._sums[name].total() for name in self._sums)
        infinite = self._infinite or any(totals.infinite)
        kl += totals.loss.total() - loss if not everywhere else 0
        return {
            "label_entropy": Metric(to_float(entropy / weight) / unit),
            "kl_divergence": Metric(math.inf if infinite else to_float(kl / weight) / unit),
            **({"js_divergence": Metric(to_float(js / weight) / unit)} if everywhere else {}),
        }


class ClassTask:
    """What the tasks with classes do alike."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def statistics(self) -> dict[str, Statistic]:
        """Return what is gathered beside the loss."""
        plan = self._context.plan
        parts: dict[str, Statistic] = {"classes": ClassStatistics(plan), "divergence": DivergenceStatistics()}
        if further := further_means(plan):
            parts["means"] = RowMeans(plan, further)
        if plan.gradients:
            parts["gradients"] = GradientSums(len(self.gradient_names()))
        return parts

    def gradient_names(self) -> tuple[str, ...]:
        """Return what the columns of the gradient are called: the positive class alone where it has the only score."""
        plan = self._context.plan
        return plan.classes[1:] if plan.single_score else plan.classes

    def summarize(self, state: EvalState) -> Summary:
        """Return every figure."""
        return summarize(self._context.plan, state)

    def describe(self, pair: Pair, row: int, scored: ClassScored, position: int) -> tuple[str, str, float]:
        """Return the label as the file has it, the predicted class and the probability of the label."""
        plan, layout = self._context.plan, self._context.layout
        cells = [cell_text(pair.labels.column(name), row) for name in layout.labels]
        label = cells[0] if len(cells) == 1 else shares(plan.classes, cells)
        return label, plan.classes[int(scored.predicted[position])], float(scored.prob_label[position])

    def sample_columns(self, scored: ClassScored) -> dict[str, Floats | Ints | Coded]:
        """Return the predicted class and the probability of the label, and what soft labels are judged by."""
        plan = self._context.plan
        columns: dict[str, Floats | Ints | Coded] = {
            "predicted": Coded(scored.predicted, plan.classes),
            "prob": scored.prob_label,
        }
        if scored.divergence is not None and plan.soft:
            columns.update({name: values / plan.unit_size for name, values in scored.divergence._asdict().items()})
        return columns


def shares(names: tuple[str, ...], cells: Sequence[str]) -> str:
    """Return a soft label for people: the classes that have a share, the largest first."""
    held = [(float(cell), name, cell) for name, cell in zip(names, cells, strict=True) if float(cell or 0) > 0]
    held.sort(key=lambda item: -item[0])
    if len(held) == 1:
        return held[0][1]
    return " ".join(f"{name} {cell}" for _, name, cell in held[:_SHOWN]) + (" …" if len(held) > _SHOWN else "")


def summarize(plan: EvalPlan, state: EvalState) -> Summary:
    """Return every figure of a task with classes."""
    gathered: ClassStatistics = state.parts["classes"]
    totals, unit = gathered.totals(), plan.unit_size
    metrics = mean_metrics(plan, state)
    if plan.smoothing:
        metrics["cross_entropy_unsmoothed"] = Metric(mean_loss(totals, plan.class_weights) / unit)
    metrics.update(macro(totals, unit))
    metrics.update(gathered.row_metrics(plan, totals.weight.total()))
    metrics.update(against_prior(totals, mean_loss(totals, None) / unit, unit))
    metrics.update(state.parts["divergence"].means(totals, unit, everywhere=plan.soft))
    metrics.update(calibration_errors(gathered.calibration))
    if "means" in state.parts:
        metrics = with_errors(plan, metrics, state.parts["means"])
    return Summary(metrics, with_gradients(class_rows(plan.classes, totals, unit), plan, state))


def with_gradients(rows: tuple[ClassRow, ...], plan: EvalPlan, state: EvalState) -> tuple[ClassRow, ...]:
    """Return the rows with the mean gradient of every class, where gradients are wanted."""
    if not plan.gradients:
        return rows
    means = [to_float(mean) for mean in state.parts["gradients"].means()]
    # With one score the gradient of the other class is the same with the other sign.
    both = [-means[0] + 0.0, means[0]] if plan.single_score else means
    return tuple(row._replace(mean_gradient=mean) for row, mean in zip(rows, both, strict=True))


def mean_loss(totals: ClassTotals, class_weights: tuple[float, ...] | None) -> float:
    """Return the mean loss in nats without smoothing, with or without class weights."""
    infinite = totals.infinite if class_weights is None else compress(totals.infinite, class_weights)
    weight, loss = (sums.weighted(class_weights) for sums in (totals.weight, totals.loss))
    return to_float(loss / weight) if weight and not any(infinite) else math.inf


def macro(totals: ClassTotals, unit: float) -> dict[str, Metric]:
    """Return the unweighted mean of the losses of the classes that have rows."""
    if any(totals.infinite):
        return {"macro_cross_entropy": Metric(math.inf)}
    return {"macro_cross_entropy": Metric(totals.loss.mean_over(totals.weight) / unit)}


def calibration_errors(bins: CalibrationBins) -> dict[str, Metric]:
    """Return the calibration errors that every report has."""
    errors = bins.errors()
    return {
        "ece": Metric(errors.l1),
        "ece_l2": Metric(errors.l2),
        "ece_l2_debiased": Metric(errors.l2_debiased),
    }


def against_prior(totals: ClassTotals, loss: float, unit: float) -> dict[str, Metric]:
    """Return the entropy of the label frequencies and what the loss is beside it; nothing where it is 0."""
    shares = totals.weight.shares()
    prior = entropy(shares) / unit
    if prior == 0:
        return {}
    normalized = loss / prior
    return {
        "prior_entropy": Metric(prior),
        "normalized_entropy": Metric(normalized),
        "skill": Metric(1 - normalized),
    }


def class_rows(names: tuple[str, ...], totals: ClassTotals, unit: float) -> tuple[ClassRow, ...]:
    """Return what every class contributes."""
    nothing: list[float | None] = [None] * len(names)
    losses = totals.loss.over(totals.weight)
    shares = nothing if any(totals.infinite) or not totals.loss.total() else totals.loss.shares()
    columns = (
        names,
        totals.n,
        totals.weight.floats(),
        [
            math.inf if infinite else None if loss is None else loss / unit
            for loss, infinite in zip(losses, totals.infinite, strict=True)
        ],
        [None if loss is None else share for loss, share in zip(losses, shares, strict=True)],
        totals.prob.over(totals.weight),
        totals.correct.over(totals.judged),
    )
    return tuple(ClassRow(*row) for row in zip(*columns, strict=True))


def in_pieces(score: Callable[[Block], ClassScored], block: Block, rows: int) -> ClassScored:
    """Score a block a few rows at a time, so that what a kernel works on stays in the cache.

    Rows do not depend on each other, so the result is the same.
    """
    if len(block.label) <= rows:
        return score(block)
    starts = range(0, len(block.label), rows)
    pieces = [score(block.unplaced(start, start + rows)) for start in starts]
    joined = {
        name: _joined(pieces, name)
        for name in ("loss", "prob_label", "predicted", "correct", "judged", "confidence", "outcome", "brier")
    }
    counted = {name: _concatenated([piece.counted[name] for piece in pieces]) for name in pieces[0].counted}
    parts = _joined_parts(pieces, starts)
    joined["divergence"] = _joined_divergence(pieces)
    joined["gradient"] = _joined(pieces, "gradient")
    return ClassScored(**joined, parts=parts, counted=counted, objective=_joined_objective(pieces))


def _joined(pieces: Sequence[Any], name: str) -> Any:
    return _concatenated([getattr(piece, name) for piece in pieces])


def _concatenated(values: Sequence[Any]) -> Any:
    return None if values[0] is None else np.concatenate(values)


def _joined_divergence(pieces: Sequence[ClassScored]) -> Divergence | None:
    found = [piece.divergence for piece in pieces if piece.divergence is not None]
    return Divergence(*map(np.concatenate, zip(*found, strict=True))) if found else None


def _joined_objective(pieces: Sequence[ClassScored]) -> Objective | None:
    found = [piece.objective for piece in pieces if piece.objective is not None]
    return Objective(_joined(found, "loss"), _joined(found, "weight")) if found else None


def _joined_parts(pieces: Sequence[ClassScored], starts: Iterable[int]) -> tuple[Part, ...]:
    placed = [(start, part) for start, piece in zip(starts, pieces, strict=True) for part in piece.parts]
    parts = [part for _, part in placed]
    whole = all(part.at is None for part in parts)
    at = None if whole else np.concatenate([start + part.at for start, part in placed if part.at is not None])
    return (Part(at, _joined(parts, "label"), _joined(parts, "loss"), _joined(parts, "prob"), _joined(parts, "share")),)
