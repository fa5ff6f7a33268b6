"""The Poisson bootstrap of the mean loss: what it would have been on other rows, or other clusters, of the same kind."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.judging.base import Aspect, Judgement
from ce_cli.kernels.poisson import replicate_words, resampled_sums, unit_words
from ce_cli.readers.keys import text_words
from ce_cli.report import Issue, Metric
from ce_cli.state.evaluation import objective
from ce_cli.state.exact import factor
from ce_cli.state.fractions import to_float
from ce_cli.state.replicates import ReplicateSums
from ce_cli.workers import default_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.tasks.base import Context

_TRIAL_ROWS = 1 << 10  # on which the cost is measured
_MILLION = 1_000_000
_MINUTE = 60  # seconds, from which on minutes are told
_LN2 = math.log(2.0)


class BootstrapState:
    """Σwℓ and Σw in every replicate.

    unit: the role of the column whose values are resampled whole, None for rows. A row that holds several values is one unit,
    as all of them have its number.
    """

    def __init__(self, seed: int, replicates: int, unit: str | None, *, repeated: bool) -> None:
        self._sums = ReplicateSums(seed, replicates, 2)
        self._unit = unit
        self._repeated = repeated
        self.infinite = False

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        loss, weight = objective(rows.scored, rows.weight)
        # With one infinite loss the mean has no distribution to speak of, and nothing more need be summed.
        self.infinite |= bool(len(loss)) and not float(loss.max()) < np.inf
        if self.infinite:
            return
        units = unit_words(rows.rows) if self._unit is None else text_words(rows.column(self._unit))
        if weight is not None and not weight.all():
            # A class may weigh nothing.
            there = weight > 0
            loss, weight, units = loss[there], weight[there], units[there]
        if weight is None:
            self._sums.add(units, [None, factor(loss)], repeated=self._repeated)
        else:
            by_weight = factor(weight)
            self._sums.add(units, [by_weight, factor(loss).times(by_weight)], repeated=self._repeated)

    def merge(self, other: BootstrapState) -> None:
        """Add what another one has seen."""
        self.infinite |= other.infinite
        self._sums.merge(other._sums)

    def means(self) -> list[float]:
        """Return the mean loss of every replicate that is not empty, nats, in ascending order."""
        weights, losses = self._sums.totals()
        return sorted(to_float(loss / weight) for weight, loss in zip(weights, losses, strict=True) if weight)


def _state(context: Context, options: Options) -> BootstrapState:
    unit = _unit(context)
    roles = context.layout.roles
    role = next((role for role in ("cluster", "sequence") if role in roles and unit == role), None)
    assert options.bootstrap is not None  # else nobody asks for this
    repeated = role is not None or "list" in roles
    return BootstrapState(options.seed, options.bootstrap, role, repeated=repeated)


def _unit(context: Context) -> str:
    """Return what is resampled whole: a cluster, a sequence, or a row."""
    roles = context.layout.roles
    if "cluster" in roles:
        return "cluster"
    return "sequence" if {"sequence", "list", "count"} & roles.keys() else "row"


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:
    gathered: BootstrapState = state.aspects["bootstrap"]
    section: dict[str, Any] = {
        "replicates": options.bootstrap,
        "seed": options.seed,
        "unit": _unit(context),
        "empty": 0,
        "metrics": {},
    }
    if gathered.infinite:
        message = "with an infinite loss the mean has no bootstrap interval"
        return Judgement(section, issues=(Issue("no_bootstrap", "note", message),))
    means = gathered.means()
    section["empty"] = (options.bootstrap or 0) - len(means)
    if state.scored < 2 or len(means) < 2:
        return Judgement(section)
    metrics = _metrics(context.plan, means, report)
    section["metrics"] = {
        name: {"value": one.value, "stderr": one.stderr, "lower": one.lower, "upper": one.upper}
        for name, one in metrics.items()
    }
    return Judgement(section)


def _metrics(plan: EvalPlan, means: Sequence[float], report: Report) -> dict[str, Metric]:
    """Return the metrics that are functions of the mean loss, each with what its replicates say."""
    forms: dict[str, Callable[[float], float]] = {"cross_entropy": lambda mean: mean / plan.unit_size}
    if not plan.smoothing and plan.class_weights is None:
        forms["perplexity"] = _exp
        forms["bits_per_token"] = lambda mean: mean / _LN2
    found = {}
    for name, form in forms.items():
        if name in report and math.isfinite(report[name].value):
            values = [form(mean) for mean in means]
            lower, upper = percentile_interval(values, plan.confidence)
            error = statistics.stdev(values) if math.isfinite(values[-1]) else math.inf
            found[name] = Metric(report[name].value, error, lower, upper)
    return found


def percentile_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the quantiles of sorted replicates at (1 ∓ confidence)/2: the order statistics (m + 1)p, interpolated.

    Source: Davison & Hinkley, "Bootstrap Methods and their Application" (1997), section 5.2; type 6 of Hyndman & Fan (1996).
    """
    tail = (1 - confidence) / 2
    return _quantile(values, tail), _quantile(values, 1 - tail)


def _quantile(values: Sequence[float], probability: float) -> float:
    position = min(max((len(values) + 1) * probability, 1.0), float(len(values)))
    whole = math.floor(position)
    below = values[whole - 1]
    above = values[min(whole, len(values) - 1)]
    return below if above == below else below + (position - whole) * (above - below)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def cost(options: Options, rows: int | None) -> str:
    """Return in words how long it will take, from a short trial; rows: how many there are, None where nobody knows yet."""
    jobs = options.jobs or default_jobs()
    seconds = (_MILLION if rows is None else rows) * seconds_per_row(options) / jobs
    shown = f"{seconds:.1f} s" if seconds < _MINUTE else f"{seconds / _MINUTE:.0f} min"
    of_rows = "each million rows" if rows is None else f"{rows:,} rows"
    threads = "1 thread" if jobs == 1 else f"{jobs} threads"
    return f"bootstrap of {options.bootstrap:,} replicates: about {shown} for {of_rows} on {threads}, less for clusters"


def seconds_per_row(options: Options) -> float:
    """Return about how long one thread takes for one row that is a unit of its own, from a short trial."""
    units = unit_words(np.arange(_TRIAL_ROWS))
    words = replicate_words(options.seed, options.bootstrap or 0)
    columns = np.ones((3, _TRIAL_ROWS))
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        resampled_sums(units, words, columns)
        best = min(best, time.perf_counter() - start)
    return best / _TRIAL_ROWS


ASPECT = Aspect(_state, _judge)
