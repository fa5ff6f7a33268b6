"""Rows that depend on each other: standard errors with each cluster of `--cluster` as one observation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.block import RowMean
from ce_cli.errors import CeError, Problem
from ce_cli.judging.base import Aspect, Judgement
from ce_cli.readers.categories import groups_of
from ce_cli.report import Issue, Metric
from ce_cli.state.evaluation import averaged
from ce_cli.state.fractions import square_root
from ce_cli.state.groups import GroupSums
from ce_cli.state.products import factor
from ce_cli.state.ratios import ratio_variance
from ce_cli.state.row_means import Usable, usable
from ce_cli.state.tally import Tally
from ce_cli.tasks.base import around

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from ce_cli.arrays import Floats
    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.state.groups import Placed
    from ce_cli.tasks.base import Context

FEW = 30
_LOSS = "cross_entropy"


class ClusterSums:
    """Σw and Σwx of every cluster, for each mean that the report has of rows.

    counts_only: whether rows are counted and nothing is summed, since the task does that.
    """

    def __init__(self, plan: EvalPlan, *, counts_only: bool = False) -> None:
        self.empty = Tally()
        self._counts_only = counts_only
        self._plan = plan
        self._names: list[str] = []
        self._sums = GroupSums(())

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        groups = groups_of(rows.column("cluster"), empty="")
        if "" in groups.names:
            self.empty.add(rows.numbers("cluster", groups.codes == groups.names.index("")))
        if self._counts_only:
            self._know([_LOSS])
            self._sums.count(f"n {_LOSS}", self._sums.place(groups))
            return
        means = rows.scored.row_means(self._plan)
        self._know([_LOSS, *means])
        placed = self._sums.place(groups)
        chosen, loss, weight = usable_losses(rows)
        self._add(_LOSS, placed if chosen is None else placed.take(chosen), loss, weight, [weight])
        for name, mean in means.items():
            some = usable(mean)
            own = rows.weight if rows.weight is None or some.chosen is None else rows.weight[some.chosen]
            among = placed if some.chosen is None else placed.take(some.chosen)
            self._add(name, among, some.total, own, [some.weight, own])

    def merge(self, other: ClusterSums) -> None:
        """Add what another state has seen."""
        self.empty.merge(other.empty)
        if other._names:
            self._know(other._names)
            self._sums.merge(other._sums)

    def means(self) -> list[str]:
        """Return the names of what is averaged."""
        return sorted(self._names)

    def counts(self) -> list[int]:
        """Return how many rows every cluster has in the mean loss, those that have any."""
        return [count for count in self._sums.counts(f"n {_LOSS}") if count]

    def spread(self, name: str) -> tuple[Fraction, Fraction | None, int]:
        """Return a mean, its squared standard error with each cluster as one observation, and their number.

        C/(C-1) Σ_c (Σ w(x-μ))² / (Σw)², None for one cluster. Σwx and Σw of a cluster are rounded once, so that their products
        are exact in any order.
        """
        sums, there = self._sums, np.array(self._sums.counts(f"n {name}")) > 0
        (totals, total), (weights, weight) = (
            sums.rounded(f"total {name}"),
            sums.rounded(f"weight {name}", f"ones {name}"),
        )
        mean = total / weight
        # A cluster all of whose values are left out is no observation.
        return mean, ratio_variance(totals[there], weights[there], mean, weight), int(np.count_nonzero(there))

    def _know(self, names: Sequence[str]) -> None:
        """Make room for what a plan averages, which the first rows tell."""
        if not self._names:
            self._names = [*names]
            sums = [f"{what} {name}" for name in names for what in ("total", "weight")]
            self._sums = GroupSums(sums, [f"{what} {name}" for name in names for what in ("n", "ones")])

    def _add(
        self, name: str, placed: Placed, total: Floats, by: Floats | None, weights: Sequence[Floats | None]
    ) -> None:
        """Add values, times `by`, and weights, which are the products of those that are not None."""
        self._sums.count(f"n {name}", placed)
        self._sums.add(f"total {name}", placed, total, by)
        factors = [factor(one) for one in weights if one is not None]
        if not factors:
            self._sums.count(f"ones {name}", placed)
        else:
            self._sums.add(f"weight {name}", placed, *factors)


def usable_losses(rows: JudgedRows) -> Usable:
    """Return which rows have a finite loss that weighs anything (None: all), those losses, and what they weigh."""
    loss, weight, _ = averaged(rows.scored, rows.weight)
    return usable(RowMean(loss, weight))


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:
    sums: ClusterSums = state.aspects["clusters"]
    if sums.empty.count:
        raise _without_cluster(context, sums.empty)
    counts = sums.counts()
    metrics, independent = {}, report.metrics[_LOSS].stderr
    if context.plan.task == "tokens":
        from ce_cli.tasks.token_figures import error_by_sequence  # here, since it is for this task alone

        independent = error_by_sequence(context, state)
    else:
        metrics = _means(context, sums, report)
    section = {
        "column": options.cluster,
        "clusters": len(counts),
        "largest": max(counts, default=0),
        "stderr_independent": independent,
    }
    section = {name: value for name, value in section.items() if value is not None}
    return Judgement(section, metrics, tuple(_issues(len(counts))))


def _means(context: Context, sums: ClusterSums, report: Report) -> dict[str, Metric]:
    """Return the means of a report with the intervals of clusters."""
    metrics: dict[str, Metric] = {}
    for name in sums.means():
        known = report.metrics.get(name)
        if name == _LOSS:
            finite = report.metrics.get("cross_entropy_finite")
            metrics.update({} if finite is None else {"cross_entropy_finite": _clustered(context, sums, name, finite)})
        if known is not None and math.isfinite(known.value):
            metrics[name] = _clustered(context, sums, name, known)
    return metrics


def _clustered(context: Context, sums: ClusterSums, name: str, known: Metric) -> Metric:
    """Return a mean with the interval of clusters, without one where there is but one cluster."""
    _, variance, count = sums.spread(name)
    if variance is None:
        return Metric(known.value)
    return around(context.plan, known.value, name, square_root(variance), count - 1)


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
    return ClusterSums(context.plan, counts_only=context.plan.task == "tokens")


ASPECT = Aspect(_state, _judge)
