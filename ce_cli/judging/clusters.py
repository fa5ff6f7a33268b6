"""Rows that depend on each other: standard errors with each cluster of `--cluster` as one observation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.errors import CeError, Problem
from ce_cli.judging.base import Aspect, Judgement
from ce_cli.readers.categories import groups_of
from ce_cli.report import Issue, Metric
from ce_cli.state.evaluation import averaged
from ce_cli.state.fractions import square_root, to_float
from ce_cli.state.groups import GroupSums
from ce_cli.state.ratios import ratio_variance
from ce_cli.state.tally import Tally
from ce_cli.tasks.base import with_interval

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from ce_cli.arrays import Bools, Floats
    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import Options
    from ce_cli.report import Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

FEW = 30
# Scores of a row that a task averages beside the loss, by the attribute of what it scored.
_OTHER_MEANS = {"row_sum": "cross_entropy_label_sum", "log_score": "log_score", "rps": "rps", "crps": "crps"}
_IN_UNIT = ("cross_entropy", "cross_entropy_label_sum", "log_score")


class Values(NamedTuple):
    """What is averaged under the name of a metric: `(n,) float64` each, weights None for 1 each."""

    name: str
    values: Floats
    weight: Floats | None


class ClusterSums:
    """Σw and Σwx of every cluster, for each mean.

    counts_only: whether rows are counted and nothing is summed, since the task does that.
    """

    def __init__(self, *, counts_only: bool = False) -> None:
        self.empty = Tally()
        self._counts_only = counts_only
        self._sums: dict[str, GroupSums] = {}

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        groups = groups_of(rows.column("cluster"), empty="")
        if "" in groups.names:
            self.empty.add(rows.numbers("cluster", groups.codes == groups.names.index("")))
        if self._counts_only:
            sums = self._of("cross_entropy")
            sums.count("n", sums.place(groups))
            return
        for name, found, by in _means(rows):
            usable, values, weight = _usable(found, by)
            sums = self._of(name)
            placed = sums.place(groups if usable is None else groups.take(usable))
            sums.count("n", placed)
            if weight is None:
                sums.count("ones", placed)
                sums.add("total", placed, values)
            else:
                sums.add("weight", placed, weight)
                sums.add("total", placed, values, weight)

    def merge(self, other: ClusterSums) -> None:
        """Add what another state has seen."""
        self.empty.merge(other.empty)
        for name, sums in other._sums.items():
            self._of(name).merge(sums)

    def means(self) -> list[str]:
        """Return the names of what is averaged."""
        return sorted(self._sums)

    def counts(self) -> list[int]:
        """Return how many rows every cluster has in the mean loss."""
        return self._of("cross_entropy").counts("n")

    def spread(self, name: str) -> tuple[Fraction, Fraction | None, int]:
        """Return a mean, its squared standard error with each cluster as one observation, and their number.

        C/(C-1) Σ_c (Σ w(x-μ))² / (Σw)², None for one cluster. Σwx and Σw of a cluster are rounded once, so that their products
        are exact in any order.
        """
        sums = self._of(name)
        (totals, total), (weights, weight), count = sums.rounded("total"), sums.rounded("weight", "ones"), len(sums)
        mean = total / weight
        return mean, ratio_variance(totals, weights, mean, weight), count

    def _of(self, name: str) -> GroupSums:
        return self._sums.setdefault(name, GroupSums(("total", "weight"), ("n", "ones")))


def usable_losses(rows: JudgedRows) -> tuple[Bools | None, Floats, Floats | None]:
    """Return which rows have a finite loss that weighs anything (None: all), those losses, and what they weigh."""
    loss, weight, _ = averaged(rows.scored, rows.weight)
    return _usable(loss, weight)


def _usable(values: Floats, weight: Floats | None) -> tuple[Bools | None, Floats, Floats | None]:
    usable = np.isfinite(values)
    if weight is not None:
        usable &= weight > 0
    if usable.all():
        return None, values, weight
    return usable, values[usable], None if weight is None else weight[usable]


def _means(rows: JudgedRows) -> Iterator[Values]:
    loss, weight, _ = averaged(rows.scored, rows.weight)
    yield Values("cross_entropy", loss, weight)
    for attribute, name in _OTHER_MEANS.items():
        values = getattr(rows.scored, attribute, None)
        if values is not None:
            yield Values(name, values, rows.weight)


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:
    sums: ClusterSums = state.aspects["clusters"]
    if sums.empty.count:
        raise _without_cluster(context, sums.empty)
    counts = sums.counts()
    metrics, independent = {}, report.metrics["cross_entropy"].stderr
    if context.plan.task == "tokens":
        from ce_cli.tasks.token_figures import error_by_sequence  # here, since it is for this task alone

        independent = error_by_sequence(context, state)
    else:
        metrics = _clustered(context, sums, report)
    section = {
        "column": options.cluster,
        "clusters": len(counts),
        "largest": max(counts, default=0),
        "stderr_independent": independent,
    }
    section = {name: value for name, value in section.items() if value is not None}
    return Judgement(section, metrics, tuple(_issues(len(counts))))


def _clustered(context: Context, sums: ClusterSums, report: Report) -> dict[str, Metric]:
    """Return the means of a report with the errors of clusters."""
    metrics: dict[str, Metric] = {}
    for name in sums.means():
        known = report.metrics.get(name)
        if known is None or not math.isfinite(known.value):
            continue
        mean, variance, count = sums.spread(name)
        unit = context.plan.unit_size if name in _IN_UNIT else 1.0
        if variance is None:
            metrics[name] = Metric(known.value)
        else:
            metrics[name] = with_interval(context.plan, to_float(mean), square_root(variance), count - 1, unit)
    return metrics


def _issues(count: int) -> Iterator[Issue]:
    """Say so where there are too few clusters for their interval to be trusted."""
    if count < FEW:
        message = f"only {count:,} cluster{'' if count == 1 else 's'}: the interval is likely to be too narrow"
        if count == 1:
            message = "all rows are of one cluster: there is no interval"
        yield Issue("few_clusters", "warning", message, count, hint="intervals of clusters want 30 of them or more")


def _without_cluster(context: Context, empty: Tally) -> CeError:
    role = context.layout.roles["cluster"]
    return CeError(
        Problem(
            "missing_id",
            "the cluster is empty",
            context.predictions_path if role.side == "predictions" else context.labels_path,
            role.column,
            empty.first,
            empty.count,
            "every row belongs to a cluster: one by itself needs a name of its own",
        )
    )


def _state(context: Context, options: Options) -> ClusterSums:  # noqa: ARG001 - as every aspect
    # What tokens come to by cluster has more than rows to divide by, bytes and sequences: the task sums it itself.
    return ClusterSums(counts_only=context.plan.task == "tokens")


ASPECT = Aspect(_state, _judge)
