"""Parts of the rows by `--by`: how good the predictions are in each, and which of them differ from the others."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.errors import CeError, Problem
from ce_cli.judging.base import Aspect, Judgement
from ce_cli.judging.slice_clusters import SliceClusters, SliceSequences
from ce_cli.judging.slice_edges import interval_groups
from ce_cli.kernels.holm import adjusted
from ce_cli.metrics import METRICS
from ce_cli.readers.categories import groups_of
from ce_cli.report import Issue, Metric
from ce_cli.slicing import parse_all
from ce_cli.state.fractions import entropy, square_root, to_float
from ce_cli.state.groups import BEYOND, Groups, Placed, crossed
from ce_cli.state.loss_groups import NOTHING, LossGroups
from ce_cli.state.products import factor
from ce_cli.state.student_t import t_quantile, t_two_sided
from ce_cli.state.tally import Tally
from ce_cli.tasks.base import with_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats
    from ce_cli.judging.base import JudgedRows
    from ce_cli.plan import EvalPlan, Options
    from ce_cli.report import Report
    from ce_cli.slicing import Criterion
    from ce_cli.state.evaluation import EvalState
    from ce_cli.state.loss_groups import GroupMoments
    from ce_cli.tasks.base import Context

MOST_SLICES = 10_000
_MOST_CELLS = 1 << 20  # label weights by slice and class


class SliceTable:
    """The sums of the slices of one `--by`, of the first 10,000 by name: the others are one.

    Which these are does not depend on the order of rows: a name that is dropped anywhere has 10,000 smaller ones beside it.
    """

    def __init__(self, plan: EvalPlan) -> None:
        self._plan, self._k = plan, plan.k
        self.reweighed = False  # whether the loss that is averaged is not the plain one
        self.sums = LossGroups(
            ("hit", "judged", "plain"), ("hits", "judged", "plain_infinite"), {"prior": plan.k} if plan.k else {}
        )

    def add(self, groups: Groups, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        placed = self.sums.place(groups)
        self.sums.add_losses(placed, rows.scored, rows.weight)
        self._add_hits(placed, rows)
        if self._k and self.sums.has("prior"):
            self._add_priors(placed, rows)
        self._bound()

    def merge(self, other: SliceTable) -> None:
        """Add what another state has seen."""
        self.reweighed |= other.reweighed
        self.sums.merge(other.sums)
        self._bound()

    def bounded(self) -> LossGroups:
        """Return the sums of the slices that are kept, and of all others under no name."""
        return self.sums.bounded(MOST_SLICES)

    def _bound(self) -> None:
        if len(self.sums) > 2 * MOST_SLICES:
            self.sums = self.bounded()
        if min(len(self.sums), MOST_SLICES) * self._k > _MOST_CELLS:
            self.sums.drop("prior")

    def _add_hits(self, placed: Placed, rows: JudgedRows) -> None:
        correct: Bools | None = getattr(rows.scored, "correct", None)
        if correct is None:
            self._add_several_hits(placed, rows)
            return
        judged: Bools | None = getattr(rows.scored, "judged", None)
        if judged is not None:
            placed, correct = placed.take(judged), correct[judged]
        if rows.weight is None:
            self.sums.count("judged", placed)
            self.sums.count("hits", placed.take(correct))
            return
        weight = rows.weight if judged is None else rows.weight[judged]
        self.sums.add("judged", placed, weight)
        self.sums.add("hit", placed.take(correct), weight[correct])

    def _add_several_hits(self, placed: Placed, rows: JudgedRows) -> None:
        """Add the hits of rows that hold several values each."""
        mean = rows.scored.row_means(self._plan).get("accuracy")
        if mean is not None and mean.weight is not None:
            self.sums.add("judged", placed, mean.weight, rows.weight)
            self.sums.add("hit", placed, mean.total, rows.weight)

    def _add_priors(self, placed: Placed, rows: JudgedRows) -> None:
        """Add the weights of labels by class, and the loss without smoothing and class weights that they are compared with."""
        for at, label, share in _labels(rows.scored):
            weight = factor(np.ones(len(label)) if rows.weight is None else _at(rows.weight, at))
            by = weight if share is None else weight.times(factor(share))
            within = (placed if at is None else placed.take(at)).within(label, self._k)
            self.sums.add("prior", within, by)
        if rows.scored.objective is None:
            return
        self.reweighed = True
        loss, weights, where = rows.scored.loss, rows.weight, placed
        infinite = np.isinf(loss)
        if infinite.any():
            self.sums.count("plain_infinite", placed.take(infinite))
            loss, where = loss[~infinite], placed.take(~infinite)
            weights = None if weights is None else weights[~infinite]
        self.sums.add("plain", where, loss, weights)


def _labels(scored: Any) -> Iterator[tuple[Any, Any, Floats | None]]:
    """Yield some rows (None: all), their classes and the shares of these in the labels (None: 1 each)."""
    if hasattr(scored, "parts"):
        for part in scored.parts:
            if len(part.label):
                yield part.at, part.label, part.share
    elif hasattr(scored, "cell"):
        yield None, scored.cell, None


def _at(values: Floats, rows: Any) -> Floats:
    return values if rows is None else values[rows]


class SliceState:
    """What one pass gathers of all slices."""

    def __init__(self, context: Context, options: Options) -> None:
        self._edges = context.edges
        self._criteria = parse_all(options.by)
        self.tables = [SliceTable(context.plan) for _ in self._criteria]
        self.clusters = [_clusters_of(context) for _ in self._criteria]
        self.unreadable: dict[str, Tally] = {}

    def add(self, rows: JudgedRows) -> None:
        """Add rows of positive weight."""
        found = {part.text: self._groups(part, rows) for parts in self._criteria for part in parts}
        clusters = cluster_groups(rows) if any(self.clusters) else None
        for parts, table, by_cluster in zip(self._criteria, self.tables, self.clusters, strict=True):
            groups = crossed([found[part.text] for part in parts])
            table.add(groups, rows)
            if clusters is not None and by_cluster is not None:
                by_cluster.add(groups, clusters, rows)

    def merge(self, other: SliceState) -> None:
        """Add what another one has seen."""
        for mine, table in zip(self.tables, other.tables, strict=True):
            mine.merge(table)
        for one, two in zip(self.clusters, other.clusters, strict=True):
            if one is not None:
                one.merge(two)
        for role, tally in other.unreadable.items():
            self.unreadable.setdefault(role, Tally()).merge(tally)

    def _groups(self, part: Criterion, rows: JudgedRows) -> Groups:
        role = f"by:{part.column}"
        column = rows.column(role)
        if not part.cuts:
            return groups_of(column)
        groups, bad = interval_groups(column, self._edges[part.text] if part.edges is None else part.edges)
        if bad is not None:
            self.unreadable.setdefault(role, Tally()).add(rows.numbers(role, bad))
        return groups


def _clusters_of(context: Context) -> Any:
    """Return what gathers the clusters of a slice, None where rows are independent."""
    roles = context.layout.roles
    if {"cluster", "sequence"} & roles.keys():
        return SliceClusters(MOST_SLICES)
    return SliceSequences(MOST_SLICES) if "list" in roles else None


def cluster_groups(rows: JudgedRows) -> Groups:
    """Return the rows by what depends on each other: a cluster, a sequence, or a list of tokens."""
    for role in ("cluster", "sequence"):
        if role in rows.layout.roles:
            return groups_of(rows.column(role))
    numbers, codes = np.unique(rows.rows, return_inverse=True)
    return Groups(codes, numbers.tolist())


# --- from sums to figures


class _Slice(NamedTuple):
    """A slice with its sums, and those of all other rows.

    spread: the squared standard errors of its mean and of the difference from the others, and their degrees of freedom.
    """

    name: tuple[str, ...]
    own: GroupMoments
    rest: GroupMoments
    further: Mapping[str, Any]
    mean: tuple[Fraction, float] | None
    difference: tuple[Fraction, float] | None


def _judge(context: Context, options: Options, state: EvalState, report: Report) -> Judgement:  # noqa: ARG001
    gathered: SliceState = state.aspects["slices"]
    for role, tally in gathered.unreadable.items():
        raise _not_a_number(context, role, tally)
    found: list[dict[str, Any]] = []
    issues: list[Issue] = []
    for parts, table, clusters in zip(parse_all(options.by), gathered.tables, gathered.clusters, strict=True):
        sums = table.bounded()
        slices, beyond = _slices_of(sums, clusters, reweighed=table.reweighed)
        found += _entries(context.plan, options, [part.column for part in parts], slices)
        if beyond is not None:
            issues.append(_too_many("*".join(part.text for part in parts), beyond))
    return Judgement(found, issues=tuple(issues))


def _slices_of(
    sums: LossGroups, clusters: SliceClusters | SliceSequences | None, *, reweighed: bool
) -> tuple[list[_Slice], GroupMoments | None]:
    """Return the slices that are kept, and the sums of the others if there are any."""
    moments = [*sums.moments()]
    whole = NOTHING
    for _, own in moments:
        whole = whole.plus(own)
    further = _further(sums)
    robust = None if clusters is None else clusters.spread({name for name, _ in moments if name is not BEYOND})
    slices, beyond = [], None
    for at, (name, own) in enumerate(moments):
        if name is BEYOND:
            beyond = own
            continue
        rest = whole.minus(own)
        spread = _independent(own, rest) if robust is None else robust(name)
        found = further(at)
        if not reweighed:
            found["plain"] = None if own.infinite else own.total
        slices.append(_Slice(name, own, rest, found, *spread))
    return slices, beyond


def _further(sums: LossGroups) -> Callable[[int], dict[str, Any]]:
    """Return what looks up the hits, the plain loss and the label weights of a slice by its position."""
    hits = [one + two for one, two in zip(sums.totals("hit"), sums.counts("hits"), strict=True)]
    judged = [one + two for one, two in zip(sums.totals("judged"), sums.counts("judged"), strict=True)]
    plain, infinite = sums.totals("plain"), sums.counts("plain_infinite")
    prior = sums.totals("prior") if sums.has("prior") else None
    k = sums.widths.get("prior", 0)

    def look_up(at: int) -> dict[str, Any]:
        labels = [] if prior is None else prior[at * k : (at + 1) * k]
        return {"hits": hits[at], "judged": judged[at], "plain": None if infinite[at] else plain[at], "labels": labels}

    return look_up


def _independent(
    own: GroupMoments, rest: GroupMoments
) -> tuple[tuple[Fraction, float] | None, tuple[Fraction, float] | None]:
    """Return the squared standard errors and degrees of freedom where rows are independent, by Welch for the difference."""
    one, two = own.variance(), rest.variance()
    mean = None if one is None else (one, own.used - 1)
    if one is None or two is None or one + two == 0:
        return mean, None
    share = float(one / (one + two))
    df = 1 / (share**2 / (own.used - 1) + (1 - share) ** 2 / (rest.used - 1))
    return mean, (one + two, max(df, 1.0))


def _entries(plan: EvalPlan, options: Options, columns: Sequence[str], slices: list[_Slice]) -> list[dict[str, Any]]:
    """Return the slices of one `--by` as plain values, those that cost the most first."""
    whole = slices[0].own.plus(slices[0].rest) if slices else NOTHING
    tested = [one for one in slices if one.own.n >= options.min_slice and _difference(one) is not None]
    p_values = np.array([_p_value(one) for one in tested], dtype=np.float64)
    holm = {one.name: p for one, p in zip(tested, adjusted(p_values).tolist(), strict=True)}
    entries = []
    for one in sorted(slices, key=lambda one: _order(one, whole)):
        small = one.own.n < options.min_slice
        excess = _excess(one.own, whole)
        found = {
            "by": dict(zip(columns, one.name, strict=True)),
            "n": one.own.n,
            "weight": to_float(one.own.weight),
            "small": small,
            "infinite": one.own.infinite,
            "metrics": {name: _plain(metric) for name, metric in _metrics(plan, one).items()},
            "share_of_loss": _share(one.own, whole),
            "excess": None if excess is None else to_float(excess) / plan.unit_size,
            "difference": None if small else _tested(plan, one, holm.get(one.name)),
        }
        entries.append({name: value for name, value in found.items() if value is not None})
    return entries


def _order(one: _Slice, whole: GroupMoments) -> tuple[int, Fraction, tuple[str, ...]]:
    """Order slices by infinite losses, by what they add to the mean beyond what their size does, and by name."""
    excess = _excess(one.own, whole._replace(infinite=0))
    return -one.own.infinite, Fraction(0) if excess is None else -excess, one.name


def _excess(own: GroupMoments, whole: GroupMoments) -> Fraction | None:
    """Return by how much the mean of all rows would fall if the slice's were that mean."""
    mean, overall = own.mean(), whole.mean()
    if mean is None or overall is None or whole.infinite:
        return None
    return own.weight / whole.weight * (mean - overall)


def _share(own: GroupMoments, whole: GroupMoments) -> float | None:
    return None if whole.infinite or not whole.total else to_float(own.total / whole.total)


def _difference(one: _Slice) -> Fraction | None:
    """Return by how much the mean of a slice exceeds that of the other rows; None where either is infinite or not there."""
    mean, rest = one.own.mean(), one.rest.mean()
    if mean is None or rest is None or one.own.infinite or one.rest.infinite or one.difference is None:
        return None
    return mean - rest


def _t(one: _Slice) -> tuple[float, float, float]:
    """Return difference and standard error in nats, and t."""
    assert one.difference is not None  # whoever asks has looked
    value, error = to_float(_difference(one) or Fraction(0)), square_root(one.difference[0])
    return value, error, value / error if error else math.copysign(math.inf, value)


def _p_value(one: _Slice) -> float:
    assert one.difference is not None
    return t_two_sided(_t(one)[2], one.difference[1])


def _tested(plan: EvalPlan, one: _Slice, holm: float | None) -> dict[str, float] | None:
    """Return the difference from all other rows, its interval, t, p, and p adjusted for the number of slices."""
    if holm is None or one.difference is None:
        return None
    (value, error, t), df, unit = _t(one), one.difference[1], plan.unit_size
    margin = -t_quantile((1 - plan.confidence) / 2, df) * error
    return {
        "value": value / unit,
        "stderr": error / unit,
        "lower": (value - margin) / unit,
        "upper": (value + margin) / unit,
        "t": t,
        "df": df,
        "p": t_two_sided(t, df),
        "p_holm": holm,
    }


def _metrics(plan: EvalPlan, one: _Slice) -> dict[str, Metric]:
    """Return the metrics of a slice, as the report has those of all rows."""
    metrics = {**_loss(plan, one), **_against_prior(plan, one)}
    if one.further["judged"]:
        metrics["accuracy"] = Metric(to_float(one.further["hits"] / one.further["judged"]))
    order = list(METRICS)
    return dict(sorted(metrics.items(), key=lambda item: order.index(item[0])))


def _loss(plan: EvalPlan, one: _Slice) -> dict[str, Metric]:
    mean = one.own.mean()
    finite = None if mean is None else Metric(to_float(mean) / plan.unit_size)
    if one.own.infinite:
        rest = {} if finite is None else {"cross_entropy_finite": finite}
        return {"cross_entropy": Metric(math.inf), **rest}
    if mean is None or finite is None:
        return {}
    metrics = {"cross_entropy": finite}
    if one.mean is not None:
        variance, df = one.mean
        metrics["cross_entropy"] = with_interval(plan, to_float(mean), square_root(variance), df)
    if plan.task == "tokens" and not plan.smoothing and plan.class_weights is None:
        nats = [None if bound is None else bound * plan.unit_size for bound in _bounds(metrics["cross_entropy"])]
        value, lower, upper = (None if bound is None else _exp(bound) for bound in nats)
        metrics["perplexity"] = Metric(_exp(to_float(mean)) if value is None else value, None, lower, upper)
    return metrics


def _bounds(metric: Metric) -> tuple[float, float | None, float | None]:
    return metric.value, metric.lower, metric.upper


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _against_prior(plan: EvalPlan, one: _Slice) -> dict[str, Metric]:
    """Return the entropy of the slice's own labels and what the loss saves of it; nothing where all labels are the same."""
    labels: Sequence[Fraction] = [weight for weight in one.further["labels"] if weight]
    if len(labels) < 2:
        return {}
    whole = sum(labels, Fraction(0))
    shares = [to_float(weight / whole) for weight in labels]
    prior = entropy(shares)
    if prior == 0:
        return {}
    loss = one.further["plain"]
    normalized = math.inf if loss is None else to_float(loss / whole) / prior
    return {
        "prior_entropy": Metric(prior / plan.unit_size),
        "normalized_entropy": Metric(normalized),
        "skill": Metric(1 - normalized),
    }


def _plain(metric: Metric) -> dict[str, float]:
    found = {name: getattr(metric, name) for name in ("value", "stderr", "lower", "upper")}
    return {name: value for name, value in found.items() if value is not None}


def _too_many(by: str, beyond: GroupMoments) -> Issue:
    others = f"{beyond.n:,} rows are of others"
    message = f"--by {by} has more than {MOST_SLICES:,} slices: the first by name are evaluated, {others}"
    return Issue("too_many_slices", "warning", message, beyond.n, hint="cut by fewer values, or number into intervals")


def _not_a_number(context: Context, role: str, tally: Tally) -> CeError:
    place = context.layout.roles[role]
    path = context.predictions_path if place.side == "predictions" else context.labels_path
    return CeError(
        Problem(
            "not_a_number",
            "the cell is no number, which quantiles and edges are of",
            path,
            place.column,
            tally.first,
            tally.count,
            f"--by {place.column} takes each value for a slice",
        )
    )


ASPECT = Aspect(SliceState, _judge)
