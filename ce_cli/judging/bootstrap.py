"""The Poisson bootstrap of the mean loss: what it would have been on other rows, or other clusters, of the same kind."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.judging.base import Aspect, Judgement
from ce_cli.kernels.poisson import replicate_words, resampled_sums, unit_words
from ce_cli.metrics import BOOTSTRAPPED
from ce_cli.readers.keys import text_words
from ce_cli.report import Issue, Metric
from ce_cli.state.evaluation import objective
from ce_cli.state.fractions import to_float
from ce_cli.state.products import factor
from ce_cli.state.replicates import ReplicateSums
from ce_cli.workers import default_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    from ce_cli.arrays import Floats
    from ce_cli.judging.base import JudgedRows
    from ce_cli.kernels.hashing import Words
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.state.evaluation import EvalState
    from ce_cli.state.products import Factor
    from ce_cli.tasks.base import Context

_TRIAL_ROWS = 1 << 10  # on which the cost is measured
_MILLION = 1_000_000
_MINUTE = 60  # seconds, from which on minutes are told
_LN2 = math.log(2.0)


class BootstrapState:
    """Σwx and Σw in every replicate, x being the loss, and what else is a mean over rows.

    unit: the role of the column whose values are resampled whole, None for rows. A row that holds several values is one unit,
    as all of them have its number. repeated: whether several rows may be of one unit. others: the other means, "accuracy" and
    "brier" as far as rows have them. reweighed: whether a row's loss may have another weight than these.
    """

    def __init__(
        self,
        plan: EvalPlan,
        seed: int,
        replicates: int,
        unit: str | None = None,
        *,
        repeated: bool = False,
        others: Sequence[str] = (),
        reweighed: bool = True,
    ) -> None:
        self._unit, self._repeated = unit, repeated
        self._plan, self._others, self._reweighed = plan, others, reweighed and bool(others)
        self._sums = ReplicateSums(seed, replicates, 2 + len(others) + (1 if self._reweighed else 0))
        self._ties = ReplicateSums(seed, replicates, 1)
        self.infinite = False

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        loss, weight = objective(rows.scored, rows.weight)
        if weight is not None and not weight.all():
            loss = np.where(weight > 0, loss, 0.0)  # a class may weigh nothing
        if len(loss) and not float(loss.max()) < np.inf:
            # The mean has no distribution to speak of; the other figures have.
            self.infinite = True
            loss = np.where(loss < np.inf, loss, 0.0)
        units = unit_words(rows.rows) if self._unit is None else text_words(rows.column(self._unit))
        columns = _weighed(weight, loss)
        if self._others:
            columns += self._columns(rows, units)
        self._sums.add(units, columns, repeated=self._repeated)

    def _columns(self, rows: JudgedRows, units: Words) -> list[Factor | None]:
        """Return the other means of rows times what they weigh, and that first where it is not what the loss weighs."""
        means = rows.scored.row_means(self._plan)
        judged = means["accuracy"].weight
        # What a row holds of values: all that the Brier score is of, some of which cannot be right or wrong.
        size = means["brier"].weight if "brier" in means else None
        weight = _times(rows.weight, size)
        totals = [factor(means[name].total) for name in self._others]
        if judged is not None:
            ties = (1.0 if size is None else size) - judged
            tied = np.flatnonzero(ties)
            if len(tied):
                by = factor(ties[tied])
                by = by if rows.weight is None else by.times(factor(rows.weight[tied]))
                self._ties.add(units[tied], [by], repeated=self._repeated)
        weighed = totals if rows.weight is None else [total.times(factor(rows.weight)) for total in totals]
        return [weight, *weighed] if self._reweighed else [*weighed]

    def merge(self, other: BootstrapState) -> None:
        """Add what another one has seen."""
        self.infinite |= other.infinite
        self._sums.merge(other._sums)
        self._ties.merge(other._ties)

    @property
    def several(self) -> bool:
        """Whether at least two units have been seen, without which nothing has a spread."""
        return self._sums.several

    def means(self) -> dict[str, list[float]]:
        """Return the means of the replicates that are not empty, in ascending order: that of the loss in nats."""
        weights, losses, *others = self._sums.totals()
        found = {} if self.infinite else {"cross_entropy": _ratios(losses, weights)}
        own = others.pop(0) if self._reweighed else weights
        for name, totals in zip(self._others, others, strict=True):
            by = own
            if name == "accuracy":
                by = [weight - tied for weight, tied in zip(own, self._ties.totals()[0], strict=True)]
            found[name] = _ratios(totals, by)
        return found


def _weighed(weight: Floats | None, *values: Floats) -> list[Factor | None]:
    """Return weights, and values times these, as columns to be summed."""
    if weight is None:
        return [None, *map(factor, values)]
    by_weight = factor(weight)
    return [by_weight, *(factor(one).times(by_weight) for one in values)]


def _times(weight: Floats | None, size: Floats | None) -> Factor | None:
    """Return how much rows weigh with all that they hold; None for 1 each."""
    factors = [factor(one) for one in (weight, size) if one is not None]
    return None if not factors else factors[0] if len(factors) == 1 else factors[0].times(factors[1])


def _ratios(numerators: Sequence[Fraction], denominators: Sequence[Fraction]) -> list[float]:
    return sorted(to_float(a / b) for a, b in zip(numerators, denominators, strict=True) if b)


def _state(context: Context, options: Options) -> BootstrapState:
    plan, roles = context.plan, context.layout.roles
    role = next((role for role in ("cluster", "sequence") if role in roles), None)
    assert options.bootstrap is not None  # else nobody asks for this
    return BootstrapState(
        plan,
        options.seed,
        options.bootstrap,
        role,
        repeated=role is not None or "list" in roles,
        others=_others(context),
        reweighed=bool(plan.smoothing or plan.class_weights or plan.soft),
    )


def _others(context: Context) -> tuple[str, ...]:
    """Return the means beside that of the loss that are resampled."""
    if context.plan.task in ("binary", "multiclass", "multilabel"):
        return "accuracy", "brier"
    # Tokens of which only the probability of the one that came is known are neither right nor wrong.
    return ("accuracy",) if context.plan.task == "regression" or context.plan.classes else ()


def _unit(context: Context) -> str:
    """Return what is resampled whole: a cluster, a sequence, or a row."""
    roles = context.layout.roles
    if "cluster" in roles:
        return "cluster"
    return "sequence" if {"sequence", "list", "count"} & roles.keys() else "row"


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:
    gathered: BootstrapState = state.aspects["bootstrap"]
    means = gathered.means()
    replicates = options.bootstrap or 0
    metrics = _metrics(context.plan, means, report) if gathered.several else {}
    section = {
        "replicates": replicates,
        "seed": options.seed,
        "unit": _unit(context),
        "empty": replicates - max(map(len, means.values()), default=replicates),
        "metrics": {
            name: {"value": one.value, "stderr": one.stderr, "lower": one.lower, "upper": one.upper}
            for name, one in metrics.items()
        },
    }
    if not gathered.infinite:
        return Judgement(section)
    message = "with an infinite loss the mean loss has no bootstrap interval"
    return Judgement(section, issues=(Issue("no_bootstrap", "note", message),))


def _metrics(plan: EvalPlan, means: Mapping[str, list[float]], report: Report) -> dict[str, Metric]:
    """Return the metrics that are functions of the means, each with what its replicates say."""
    forms: dict[str, tuple[str, Callable[[float], float]]] = {
        "cross_entropy": ("cross_entropy", lambda mean: mean / plan.unit_size),
        "accuracy": ("accuracy", float),
        "brier": ("brier", float),
    }
    if not plan.smoothing and plan.class_weights is None:
        forms["perplexity"] = ("cross_entropy", _exp)
        forms["bits_per_token"] = ("cross_entropy", lambda mean: mean / _LN2)
    found = {}
    for name in BOOTSTRAPPED:
        source, form = forms.get(name, ("", float))
        values = [form(mean) for mean in means.get(source, ())]
        if name in report and len(values) > 1:
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
    columns = np.ones((6, _TRIAL_ROWS))  # a count, a hit, and two parts each of loss and Brier score
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        resampled_sums(units, words, columns)
        best = min(best, time.perf_counter() - start)
    return best / _TRIAL_ROWS


ASPECT = Aspect(_state, _judge)
