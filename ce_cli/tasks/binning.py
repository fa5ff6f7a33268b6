"""The plan of a regression through bins: which columns hold the predictions, and where the bins and their targets lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.columns import PREFIXES, WEAK_SCORES, Kind, Layout, Scores, listed
from ce_cli.deciding.layout import decide
from ce_cli.deciding.scores import find_named
from ce_cli.edges import (
    Bins,
    Interval,
    check_edges,
    half_open,
    joined,
    parse_edges,
    parse_interval,
    parse_lines,
    parse_rule,
)
from ce_cli.errors import CeError, fail
from ce_cli.labels import ClassLookup, LabelCodec
from ce_cli.plan import TASK_OPTIONS, Scale
from ce_cli.readers.arrays import number
from ce_cli.report import Issue
from ce_cli.state.moments import Moments
from ce_cli.tasks.base import Context
from ce_cli.tasks.classes import with_list_size
from ce_cli.tasks.first_pass import over_pairs
from ce_cli.tasks.planning import common, refuse
from ce_cli.tasks.targets import Numbers, read_numbers
from ce_cli.tasks.weights import class_weights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ce_cli.arrays import Floats
    from ce_cli.block import Pair
    from ce_cli.columns import TableInfo
    from ce_cli.edges import Rule
    from ce_cli.plan import Options
    from ce_cli.tasks.planning import Request

_MEANS = ("mean", "mu")
_SPREADS = ("std", "sd", "sigma", "stddev")
_POINTS = (*_MEANS, "prediction", "pred", "y_pred", *WEAK_SCORES[:2])


@dataclass(frozen=True, slots=True)
class Binning:
    """What was decided on a regression.

    dist, sigma: of a distribution around a mean; sigma is None where a column has it. targets: as the option says.
    target_sigma: of Gaussian targets, None for 0.75 times the width of the target's own bin.
    """

    bins: Bins
    dist: str | None
    sigma: float | None
    targets: str
    target_sigma: float | None


class _Found(NamedTuple):
    """The columns of the predictions; the bins, where the headers tell them."""

    layout: Layout
    bins: Bins | None


def claims(request: Request) -> bool:
    """Tell whether an option or the headers say that this is a regression through bins."""
    defaults = type(request.options)()
    if any(getattr(request.options, name) != getattr(defaults, name) for name in TASK_OPTIONS["regression"]):
        return True
    if len(_intervals(_candidates(request))) < 2:
        return False
    try:
        layout = _columns(request).layout
    except CeError:  # told when the plan is made
        return True
    cells = [cell for cell in request.label_table.columns[layout.label].cells if cell is not None]
    return not cells or any(map(_is_number, cells))  # else these are classes that are called like bins


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def prepare(request: Request) -> Context:
    """Decide on everything for a regression through bins."""
    options = request.options
    refuse(
        request,
        "regression",
        classes="its classes are the bins",
        positive="its classes are the bins",
        ece_bins="it has no calibration error",
        calibration="it compares the probabilities of classes with their frequencies, and bins are ordered",
    )
    layout, bins = _columns(request)
    if layout.scores.scale in ("distribution", "point"):
        refuse(request, "regression", row_sum="the probabilities of a distribution have a sum of 1")
    if len(layout.labels) != 1:
        raise fail("bad_option", f"--task regression has one target, but there are {listed(layout.labels)}")
    layout = layout._replace(label_kind=Kind.TEXT if request.verbatim else Kind.NUMBER)
    scale = Scale(layout.scores.scale or "probs")
    issues: list[Issue] = []
    if bins is None:
        bins = _bins(request, layout, issues)
    _check_count(bins, layout, options)
    own = Binning(
        bins,
        _dist(options, scale),
        _sigma(request, layout, issues) if scale is Scale.POINT else None,
        options.targets,
        _target_sigma(options, bins),
    )
    names = bins.names
    plan = common(
        request,
        layout,
        scale,
        task="regression",
        classes=names,
        single_score=False,
        class_weights=class_weights(request, names),
        soft=options.targets != "hard",
        details=_details(own, options),
        own=own,
    )
    codec = LabelCodec(ClassLookup(names), options.ignore_label)
    return Context(plan, layout, codec, request.predictions.path, request.label_table.path, tuple(issues))


def _details(own: Binning, options: Options) -> tuple[tuple[str, str], ...]:
    """Return what belongs into the signature."""
    rule = options.bins is not None and parse_rule(options.bins) is not None
    bins = str(options.bins) if rule else ",".join(f"{edge:.15g}" for edge in own.bins.edges)
    targets = own.targets + ("" if own.target_sigma is None else f"-{own.target_sigma!r}")
    spread = options.sigma if options.sigma == "auto" else own.sigma
    return (
        ("bins", bins),
        *((("targets", targets),) if own.targets != "hard" else ()),
        *((("dist", own.dist),) if own.dist is not None else ()),
        *((("sigma", str(spread)),) if spread is not None and own.sigma is not None else ()),
    )


# --- columns


def _columns(request: Request) -> _Found:
    """Return which columns hold what; the scale of the scores says what the predictions are."""
    options, table = request.options, request.predictions
    names = _candidates(request)
    intervals = _intervals(names)
    spread = _mean_and_spread(request, names)
    bins_too = len(intervals) > 1 or (not options.pred_cols and _has_families(table))
    if spread is not None and bins_too and options.dist is None:
        raise fail(
            "ambiguous_columns",
            f"the predictions could be the bins or the columns {listed(spread)}",
            file=table.path,
            hint="choose the bins with --pred-cols, or the mean and the standard deviation with --dist",
        )
    if spread is not None:
        return _Found(_with_scores(request, Scores(spread, (), "distribution")), None)
    if options.sigma is not None and options.targets != "hl-gauss":
        return _Found(_point(request, names), None)
    if options.dist is not None:
        raise fail(
            "bad_option",
            "--dist is the distribution around a mean, but there is no column for its standard deviation",
            file=table.path,
            hint=f"call it {' or '.join(_SPREADS)}, name both with --pred-cols MEAN,STD, or pass --sigma",
        )
    if len(intervals) > 1:
        return _from_headers(request, intervals)
    return _Found(_bin_columns(request), None)


def _candidates(request: Request) -> list[str]:
    """Return the columns that may hold predictions."""
    options, table = request.options, request.predictions
    if options.pred_cols:
        return list(find_named(table, options.pred_cols))
    taken = {name.lower() for name in (options.label_col, options.weight_col, *options.id_col) if name is not None}
    return [name for name in table.columns if name.lower() not in taken]


def _intervals(names: Iterable[str]) -> dict[str, Interval]:
    found = {name: parse_interval(name) for name in names}
    return {name: interval for name, interval in found.items() if interval is not None}


def _has_families(table: TableInfo) -> bool:
    counts = [sum(name.lower().startswith(prefix) for name in table.columns) for prefix in PREFIXES]
    return max(counts) > 1


def _mean_and_spread(request: Request, names: list[str]) -> tuple[str, str] | None:
    """Return the columns of the mean and of the standard deviation, by their names, or by two names beside --dist."""
    options = request.options
    if options.pred_cols and len(names) == 2 and options.dist is not None:
        return names[0], names[1]
    mean, spread = _first(names, _MEANS), _first(names, _SPREADS)
    if mean is None or spread is None:
        return None
    if options.sigma is not None and options.targets != "hl-gauss":
        raise fail(
            "bad_option",
            f"--sigma is the spread of point predictions, but column {spread} has one for each row",
            file=request.predictions.path,
            hint=f"leave --sigma out, or name the prediction alone: --pred-cols {mean}",
        )
    return mean, spread


def _first(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(list(names))}
    return next((by_lower[name] for name in wanted if name in by_lower), None)


def _with_scores(request: Request, scores: Scores) -> Layout:
    if request.options.input is not None:
        raise fail("bad_option", f"--input is the scale of probabilities, but {listed(scores.columns)} hold none")
    return decide(request.predictions, request.labels, request.options, scores)


def _point(request: Request, names: list[str]) -> Layout:
    """Return the layout of point predictions: one column by its name, or the only one there is."""
    options, numeric = request.options, [n for n in names if request.predictions.columns[n].kind == "number"]
    named = numeric[0] if options.pred_cols and len(numeric) == 1 else _first(numeric, _POINTS)
    if named is not None:
        return _with_scores(request, Scores((named,), (), "point"))
    found = decide(request.predictions, request.labels, options).scores
    if len(found.columns) > 1 or found.list_size is not None:
        raise fail(
            "bad_option",
            f"--sigma is the spread of one point prediction or of --targets hl-gauss, but the scores are "
            f"{listed(found.columns)}",
            file=request.predictions.path,
            hint="name the prediction with --pred-cols",
        )
    return _with_scores(request, Scores(found.columns, (), "point"))


def _from_headers(request: Request, intervals: dict[str, Interval]) -> _Found:
    bins, order = joined(list(intervals.values()), request.predictions.path)
    columns = [list(intervals)[at] for at in order]
    scales = {interval.scale for interval in intervals.values()}
    scale = request.options.input or (scales.pop() if len(scales) == 1 else None)
    options = request.options
    if options.bins is not None:
        given = parse_edges(options.bins)
        if given != bins.edges:
            raise fail(
                "bad_bins",
                f"the headers have the bins {listed(bins.names, 4)}, but --bins is {options.bins}",
                file=request.predictions.path,
                hint="leave --bins out",
            )
    scores = Scores(tuple(columns), bins.names, scale)
    return _Found(decide(request.predictions, request.labels, options, scores), bins)


def _bin_columns(request: Request) -> Layout:
    """Return the layout of one column for each bin, or of one list column; numbered columns in their order."""
    options, table = request.options, request.predictions
    layout = with_list_size(decide(table, request.labels, options), table, options)
    scores = layout.scores
    if len(scores.columns) == 1 and scores.list_size in (None, 1):
        raise fail(
            "bad_option",
            f"a regression needs a column for each bin, but there is only {scores.columns[0]!r}",
            file=table.path,
            hint="--targets hl-gauss takes --sigma for the targets: give a prediction its spread in a column std"
            if options.targets == "hl-gauss"
            else "if that is a point prediction, pass --sigma S or --sigma auto; beside a column std it is a mean",
        )
    scores = scores._replace(scale=options.input or scores.scale)
    if scores.list_size is None and not options.pred_cols and all(name.isdecimal() for name in scores.names):
        order = sorted(range(len(scores.names)), key=lambda at: int(scores.names[at]))
        scores = scores._replace(
            columns=tuple(scores.columns[at] for at in order),
            names=tuple(scores.names[at] for at in order),
        )
    return layout._replace(scores=scores)


# --- bins


def _bins(request: Request, layout: Layout, issues: list[Issue]) -> Bins:
    """Return the bins that the option asks for."""
    text = request.options.bins
    if text is None:
        raise fail(
            "bad_bins",
            "a regression needs bins",
            hint="pass --bins with edges (0,1,2,4), uniform:K, quantile:K or a file; or write the edges into the headers "
            "of the score columns, such as prob_[0,1)",
        )
    rule = parse_rule(text)
    if rule is not None:
        return _from_targets(request, layout, rule, issues)
    edges = parse_edges(text)
    if edges is None:
        if not Path(text).is_file():
            raise fail(
                "bad_bins",
                f"--bins takes edges such as 0,1,2,4, uniform:K, quantile:K or a file of edges, but got {text!r}",
            )
        edges = _edges_of_file(text)
    return half_open(edges)


def _edges_of_file(path: str) -> tuple[float, ...]:
    data = Path(path).read_bytes()
    try:
        return parse_lines(data.decode("utf-8-sig"), path)
    except UnicodeDecodeError as error:
        raise fail("unreadable_file", "the edges of bins are to be text in UTF-8", file=path) from error


def _from_targets(request: Request, layout: Layout, rule: Rule, issues: list[Issue]) -> Bins:
    """Return bins of the same width, or of about the same number of targets, from a first pass over the targets."""
    ignored = request.options.ignore_label

    def targets(pair: Pair) -> Floats:
        found = _usable(read_numbers(pair.labels.column(layout.label), ignored))
        return np.array([found.min(), found.max()]) if rule.kind == "uniform" and len(found) else found

    only_targets = layout._replace(scores=Scores((), (), None), weight=None, weight_side=None)
    values = np.concatenate([np.zeros(0), *over_pairs(request, only_targets, targets)])
    if len(values) == 0 or values.min() == values.max():
        raise fail(
            "bad_bins",
            "all targets are the same" if len(values) else "there are no targets to make bins of",
            file=request.label_table.path,
            column=layout.label,
        )
    if rule.kind == "uniform":
        edges = np.linspace(values.min(), values.max(), rule.bins + 1)
    else:
        edges = np.unique(np.quantile(values, np.arange(rule.bins + 1) / rule.bins))
        if len(edges) - 1 < rule.bins:
            left = len(edges) - 1
            message = f"targets repeat so often that {left} of {rule.bins} quantile bins remain"
            issues.append(Issue("merged_bins", "warning", message, left))
    check_edges(edges.tolist())
    return half_open(edges.tolist())


def _usable(numbers: Numbers) -> Floats:
    fine = np.isfinite(numbers.values) & ~numbers.ignored
    fine[list(numbers.bad)] = False
    if numbers.missing is not None:
        fine &= ~numbers.missing
    return numbers.values[fine]


def _check_count(bins: Bins, layout: Layout, options: Options) -> None:
    scores = layout.scores
    if scores.scale in ("distribution", "point"):
        return
    found = scores.list_size or len(scores.columns)
    if found != len(bins.names):
        raise fail(
            "bad_bins",
            f"--bins {options.bins} makes {len(bins.names)} bins, but there are {found} scores: {listed(scores.columns)}",
            hint="K scores need K + 1 edges, the outer two included",
        )


# --- spreads


def _dist(options: Options, scale: Scale) -> str | None:
    return (options.dist or "normal") if scale in (Scale.DISTRIBUTION, Scale.POINT) else None


def _sigma(request: Request, layout: Layout, issues: list[Issue]) -> float:
    """Return the spread around point predictions: a number, or the standard deviation of the residuals."""
    given = request.options.sigma
    if given != "auto":
        return float(given)  # type: ignore[arg-type]
    ignored = request.options.ignore_label

    def residuals(pair: Pair) -> Moments:
        target = read_numbers(pair.labels.column(layout.label), ignored)
        prediction = read_numbers(pair.predictions.column(layout.scores.columns[0]), ())
        for numbers in (target, prediction):
            numbers.values[list(numbers.bad)] = np.nan
            if numbers.missing is not None:
                numbers.values[numbers.missing] = np.nan
        with np.errstate(invalid="ignore"):
            difference: Floats = target.values - prediction.values
        found = Moments()
        found.add(difference[np.isfinite(difference) & ~target.ignored], None)
        return found

    moments = Moments()
    for part in over_pairs(request, layout, residuals):
        moments.merge(part)
    error = moments.standard_error()
    if not error:
        raise fail("bad_option", "--sigma auto: the residuals have no spread", hint="pass --sigma with a number")
    sigma = error * math.sqrt(moments.n)
    message = (
        f"the spread of the predictions, {sigma:.6g}, was taken from these very targets: the scores are optimistic"
    )
    hint = "take it from residuals of other rows and pass it as --sigma"
    issues.append(Issue("optimistic_sigma", "warning", message, moments.n, hint=hint))
    return sigma


def _target_sigma(options: Options, bins: Bins) -> float | None:
    """Return the spread of Gaussian targets, None for that of each target's bin; refuse what has no meaning."""
    if options.targets == "hard":
        return None
    if options.targets == "two-hot":
        if not bins.bounded:
            raise fail("bad_option", "--targets two-hot needs bin centres, but a bin is open-ended")
        return None
    if options.sigma == "auto":
        raise fail("bad_option", "--sigma auto is for point predictions, not for --targets hl-gauss")
    if options.sigma is None and not bins.bounded:
        raise fail(
            "bad_option",
            "--targets hl-gauss takes 0.75 times the width of a bin, but a bin is open-ended",
            hint="pass --sigma",
        )
    return None if options.sigma is None else float(options.sigma)
