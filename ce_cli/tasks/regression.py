"""Regression through bins: the target is a number, the prediction a distribution over bins or one that gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.block import Block, Objective, RowMean, Scored
from ce_cli.checks import Fault, RowChecks
from ce_cli.kernels import bins as kernel
from ce_cli.kernels import gradient, multiclass, smoothing
from ce_cli.kernels.divergence import Divergence, divergence
from ce_cli.plan import Scale
from ce_cli.readers.arrays import any_in_row, cell_text
from ce_cli.report import Issue, Metric
from ce_cli.state.classes import ClassSums, LabelledRows
from ce_cli.state.fractions import to_float
from ce_cli.state.gradients import GradientSums
from ce_cli.state.hits import Hits
from ce_cli.state.moments import Moments
from ce_cli.state.row_means import RowMeans
from ce_cli.tasks.base import (
    Checked,
    Coded,
    Notes,
    Summary,
    check_ids,
    check_structure,
    check_weights,
    mean_metrics,
    row_mean,
    with_errors,
    without_unit,
)
from ce_cli.tasks.classification import (
    DivergenceStatistics,
    against_prior,
    class_rows,
    divergence_means,
    macro,
    mean_loss,
    with_gradients,
)
from ce_cli.tasks.scores import check_scores, read_scores
from ce_cli.tasks.targets import check_targets, read_numbers

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair
    from ce_cli.checks import Faults
    from ce_cli.kernels.multiclass import ClassOutcome
    from ce_cli.plan import EvalPlan
    from ce_cli.state.evaluation import EvalState, Statistic
    from ce_cli.tasks.base import Context
    from ce_cli.tasks.binning import Binning

_BLOCK_ROWS = 1 << 16
_BLOCK_CELLS = 1 << 17
_OUTSIDE = 1e-6  # of a distribution beyond the outer edges: from here on it is worth a word
_MUCH_OUTSIDE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class BinScored(Scored):
    """What rows with a target in a bin give; every array `(n,)`. The loss is that of the target's bin.

    cell: the bin. prob: its probability. correct: whether it is the most probable one. predicted: that one. log_score: the
    loss of the density, None with open-ended bins, as crps. outside: what the distribution had beyond the bins, None where
    bins were predicted. divergence: what spread targets are judged by.
    """

    cell: Ints
    prob: Floats
    predicted: Ints
    correct: Bools
    log_score: Floats | None
    rps: Floats
    crps: Floats | None
    outside: Floats | None
    divergence: Divergence | None
    soft: Ints | None = None  # the rows of the divergence: all

    def row_means(self, plan: EvalPlan) -> dict[str, RowMean]:
        """Return accuracy and the scores of distance, and what smoothing and spread targets add."""
        found = {"accuracy": RowMean(self.correct.astype(np.float64)), "rps": RowMean(self.rps)}
        if self.log_score is not None and self.crps is not None:
            found.update(log_score=RowMean(self.log_score), crps=RowMean(self.crps))
        if plan.smoothing or plan.soft:
            own = None if plan.class_weights is None else np.array(plan.class_weights)[self.cell]
            found["cross_entropy_unsmoothed"] = RowMean(
                self.loss if own is None else smoothing.product(own, self.loss), own
            )
        return {**found, **divergence_means(plan, self.divergence)}


class BinStatistics:
    """Sums by bin, the rate of hits, and what lay outside the bins."""

    def __init__(self, bins: int) -> None:
        self.classes = ClassSums(bins)
        self.hits = Hits()
        self.outside = Moments()
        self.most_outside = 0.0

    def add(self, scored: BinScored, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - rows do not matter
        """Add rows of positive weight."""
        self.classes.add(LabelledRows(scored.cell, scored.loss, scored.prob, scored.correct), weight)
        self.hits.add(scored.correct, None, weight)
        if scored.outside is not None and len(scored.outside):
            self.outside.add(scored.outside, weight)
            self.most_outside = max(self.most_outside, float(scored.outside.max()))

    def merge(self, other: BinStatistics) -> None:
        """Add what another state has seen."""
        self.classes.merge(other.classes)
        self.hits.merge(other.hits)
        self.outside.merge(other.outside)
        self.most_outside = max(self.most_outside, other.most_outside)


class RegressionTask:
    """Targets are numbers between the edges of bins."""

    def __init__(self, context: Context) -> None:
        self._context = context
        own: Binning = context.plan.own
        self._own = own
        self._edges = np.array(own.bins.edges)
        self._below = np.array(own.bins.below)
        self._log_widths = np.log(np.diff(self._edges)) if own.bins.bounded else None

    def block_rows(self, pair: Pair) -> int:  # noqa: ARG002 - every row has K scores
        """Return how many rows make a block of bounded size."""
        return max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // self._context.plan.k))

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the rows of a pair that pass every check."""
        context = self._context
        checks = RowChecks(faults, pair.rows, keep=keep)
        check_structure(context, pair, checks)
        check_ids(context, pair, checks)
        targets = read_numbers(pair.labels.column(context.layout.label), context.plan.ignored)
        ignored = checks.skip(targets.ignored)
        check_targets(context, pair, checks, targets)
        cell = kernel.cells(targets.values, self._edges, self._below)
        self._check_range(pair, checks, targets.values, cell)
        scores, notes, outside = self._scores(pair, checks)
        weight = check_weights(context, pair, checks)
        extra = {"bin": cell} if outside is None else {"bin": cell, "outside": outside}
        block = Block(None, targets.values, np.ascontiguousarray(scores), weight, extra=extra)
        if checks.ok is not None:
            block = block.take(checks.ok)
        return Checked(block, ignored, checks.kept, notes)

    def counted(self, block: Block) -> Bools | None:
        """Return the rows whose bin weighs anything."""
        weights = self._context.plan.class_weights
        if weights is None or all(weights) or self._context.plan.smoothing:
            return None
        factors, shares = np.array(weights), self._shares(block)
        flags: Bools = (factors[block.extra["bin"]] if shares is None else shares @ factors) > 0
        return flags

    def score(self, block: Block) -> BinScored:
        """Return the losses of a block."""
        plan, cell = self._context.plan, block.extra["bin"]
        scores, clipped = block.scores, None
        if plan.eps is not None:
            scores = np.clip(scores, plan.eps, 1 - plan.eps)
            clipped = multiclass.pick(scores, cell) != multiclass.pick(block.scores, cell)
        outcome = self._outcome(scores, cell)
        # Clipped probabilities sum to more than 1, and distances need no clipping.
        probs = outcome.probs if plan.eps is None else block.scores
        shares = self._shares(block)
        losses = self._all_losses(scores) if shares is not None or plan.smoothing or plan.gradients else None
        distances = kernel.distances(probs, block.label, cell, self._edges)
        return BinScored(
            loss=outcome.loss,
            cell=cell,
            prob=outcome.prob_label,
            predicted=outcome.predicted,
            correct=outcome.predicted == cell,
            log_score=None if self._log_widths is None else outcome.loss + self._log_widths[cell],
            rps=distances.rps,
            crps=distances.crps,
            outside=block.extra.get("outside"),
            divergence=None if shares is None or losses is None else divergence(shares, outcome.probs, losses),
            counted={"clipped": clipped},
            objective=self._objective(cell, outcome.loss, shares, losses),
            gradient=None if losses is None else self._gradient(cell, outcome.probs, shares, losses),
        )

    def gradient_names(self) -> tuple[str, ...]:
        """Return the bins."""
        return self._context.plan.classes

    def _gradient(self, cell: Ints, probs: Floats, shares: Floats | None, losses: Floats) -> Floats | None:
        plan = self._context.plan
        if not plan.gradients:
            return None
        shares = smoothing.one_hot(cell, plan.k) if shares is None else shares
        if plan.smoothing:
            shares = smoothing.smoothed_shares(shares, plan.smoothing, plan.smoothing_kind)
        if plan.class_weights is not None:
            shares = shares * np.array(plan.class_weights)
        return gradient.of_classes(probs, losses, shares)

    def statistics(self) -> dict[str, Statistic]:
        """Return what is gathered beside the loss."""
        plan = self._context.plan
        parts: dict[str, Statistic] = {"bins": BinStatistics(plan.k), "means": RowMeans(plan, self._means())}
        if plan.soft:
            parts["divergence"] = DivergenceStatistics()
        if plan.gradients:
            parts["gradients"] = GradientSums(plan.k)
        return parts

    def _scores_of_distance(self) -> list[str]:
        return ["rps"] if self._log_widths is None else ["log_score", "rps", "crps"]

    def _means(self) -> list[str]:
        plan = self._context.plan
        unsmoothed = ["cross_entropy_unsmoothed"] if plan.soft or plan.smoothing else []
        return [*self._scores_of_distance(), *unsmoothed, *(Divergence._fields if plan.soft else ())]

    def summarize(self, state: EvalState) -> Summary:
        """Return every figure."""
        plan, gathered = self._context.plan, state.parts["bins"]
        totals, unit = gathered.classes.totals(), plan.unit_size
        metrics = mean_metrics(plan, state)
        if plan.smoothing or plan.soft:
            metrics["cross_entropy_unsmoothed"] = Metric(mean_loss(totals, plan.class_weights) / unit)
        metrics.update(macro(totals, unit))
        accuracy = gathered.hits.rate()
        if accuracy is not None:
            metrics["accuracy"] = without_unit(plan, accuracy, gathered.hits.standard_error(), gathered.hits.n - 1)
        metrics.update(against_prior(totals, mean_loss(totals, None) / unit, unit))
        if plan.soft:
            metrics.update(state.parts["divergence"].means(totals, unit, everywhere=True))
        metrics = with_errors(plan, metrics, state.parts["means"])
        metrics.update({name: row_mean(plan, state.parts["means"], name) for name in self._scores_of_distance()})
        rows = with_gradients(class_rows(plan.classes, totals, unit), plan, state)
        return Summary(metrics, rows, issues=_outside_issues(gathered))

    def describe(self, pair: Pair, row: int, scored: BinScored, position: int) -> tuple[str, str, float]:
        """Return the target as the file has it, the most probable bin and the probability of the target's bin."""
        target = cell_text(pair.labels.column(self._context.layout.label), row)
        predicted = self._context.plan.classes[int(scored.predicted[position])]
        return target, predicted, float(scored.prob[position])

    def sample_columns(self, scored: BinScored) -> dict[str, Floats | Ints | Coded]:
        """Return the target's bin, its probability and the scores of the row."""
        unit = self._context.plan.unit_size
        columns: dict[str, Floats | Ints | Coded] = {
            "bin": Coded(scored.cell, self._context.plan.classes),
            "prob": scored.prob,
        }
        if scored.log_score is not None:
            columns["log_score"] = scored.log_score / unit
        columns["rps"] = scored.rps
        if scored.crps is not None:
            columns["crps"] = scored.crps
        if scored.divergence is not None:
            columns.update({name: values / unit for name, values in scored.divergence._asdict().items()})
        return columns

    # --- rows

    def _check_range(self, pair: Pair, checks: RowChecks, target: Floats, cell: Ints) -> None:
        name, names = self._context.layout.label, self._context.plan.classes

        def describe(at: int) -> Fault:
            text = repr(float(target[at]))
            return Fault(name, text, f"{text} is in none of the bins, which go from {names[0]} to {names[-1]}")

        checks.fail(
            "target_out_of_range",
            cell < 0,
            self._context.labels_path,
            describe,
            hint="bins with the outer edges -inf and inf hold every number; or leave such rows out with --on-invalid drop",
            rows=pair.label_rows,
        )

    def _scores(self, pair: Pair, checks: RowChecks) -> tuple[Floats, Notes, Floats | None]:
        """Return the scores of the bins, and what a distribution has outside them."""
        if self._own.dist is None:
            return (*check_scores(self._context, pair, checks), None)
        read = np.ascontiguousarray(read_scores(self._context, pair, checks).scores)
        mean, std = self._moments(read, checks)
        log_mass, outside = kernel.masses(mean, std, self._edges, self._own.dist)
        nowhere = ~any_in_row(log_mass > -np.inf)
        checks.fail(
            "undefined_row",
            nowhere,
            self._context.predictions_path,
            lambda at: Fault(
                self._context.layout.scores.columns[0],
                repr(float(mean[at])),
                f"every bin is so far from {float(mean[at])!r} that its probability is 0",
            ),
            hint="check that predictions and bins are in one unit",
        )
        return log_mass, Notes(), outside

    def _moments(self, read: Floats, checks: RowChecks) -> tuple[Floats, Floats]:
        """Return means and standard deviations; fail rows where they are no such thing, and give them some."""
        names = self._context.layout.scores.columns
        mean = np.where(np.isfinite(read[:, 0]), read[:, 0], 0.0)
        self._fail_value(checks, ~np.isfinite(read[:, 0]), names[0], read[:, 0], "no finite mean")
        if self._own.sigma is not None:
            return mean, np.full(len(mean), self._own.sigma)
        fine = np.isfinite(read[:, 1]) & (read[:, 1] > 0)
        self._fail_value(checks, ~fine, names[1], read[:, 1], "no standard deviation, a finite number above 0")
        return mean, np.where(fine, read[:, 1], 1.0)

    def _fail_value(self, checks: RowChecks, bad: Bools, name: str, values: Floats, what: str) -> None:
        checks.fail(
            "not_a_number",
            bad,
            self._context.predictions_path,
            lambda at: Fault(name, repr(float(values[at])), f"{float(values[at])!r} is {what}"),
            hint="mend the model's output, or leave the rows out with --on-invalid drop",
        )

    # --- losses

    def _outcome(self, scores: Floats, cell: Ints) -> ClassOutcome:
        plan = self._context.plan
        if plan.scale is Scale.LOGPROBS:
            return multiclass.from_logprobs(scores, cell, plan.log_base)
        if plan.scale in (Scale.PROBS, Scale.PERCENT):
            return multiclass.from_probabilities(scores, cell)
        # The masses of a distribution are logits: their softmax is the distribution given that the target is in a bin.
        return multiclass.from_logits(scores, cell)

    def _all_losses(self, scores: Floats) -> Floats:
        plan = self._context.plan
        if plan.scale is Scale.LOGPROBS:
            return multiclass.all_losses_of_logprobs(scores, plan.log_base)
        if plan.scale in (Scale.PROBS, Scale.PERCENT):
            return multiclass.all_losses_of_probabilities(scores)
        return multiclass.all_losses_of_logits(scores)

    def _shares(self, block: Block) -> Floats | None:
        """Return how targets are spread over the bins; None where they are not."""
        if self._own.targets == "hard":
            return None
        if self._own.targets == "two-hot":
            return kernel.two_hot_shares(block.label, self._edges)
        given = self._own.target_sigma
        if given is not None:
            sigma = np.full(len(block.label), given)
        else:
            sigma = kernel.DEFAULT_WIDTHS * np.diff(self._edges)[block.extra["bin"]]
        return kernel.gaussian_shares(block.label, sigma, self._edges)

    def _objective(self, cell: Ints, loss: Floats, shares: Floats | None, losses: Floats | None) -> Objective | None:
        plan = self._context.plan
        if shares is not None and losses is not None:
            smoothed = smoothing.smoothed_shares(shares, plan.smoothing, plan.smoothing_kind)
            return Objective(*smoothing.soft_objective(smoothed, losses, plan.class_weights))
        if not plan.smoothing and plan.class_weights is None:
            return None
        own, other = smoothing.spread(plan.smoothing, plan.smoothing_kind, plan.k)
        return Objective(*smoothing.class_objective(cell, loss, losses, own, other, plan.class_weights))


def _outside_issues(gathered: BinStatistics) -> tuple[Issue, ...]:
    """Say how much of the predicted distributions lay beyond the outer edges, and was shared out among the bins."""
    mean = gathered.outside.mean()
    if mean is None or gathered.most_outside < _OUTSIDE:
        return ()
    share = to_float(mean)
    message = (
        f"the predicted distributions have {share:.3g} of their probability outside the bins (at most "
        f"{gathered.most_outside:.3g} in a row): they were taken given that the target is in a bin"
    )
    return (
        Issue(
            "outside_mass",
            "warning" if share > _MUCH_OUTSIDE else "note",
            message,
            hint="with -inf and inf as the outer edges nothing is outside",
        ),
    )
