"""Gates: what a user demands of a report, parsed before any data is read and judged when the report is there.

A gate never passes for want of a number: what is absent, NaN or of a class without rows fails, with the reason.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any, Protocol

from ce_cli.errors import CeError, Problem
from ce_cli.metrics import BOOTSTRAPPED, CALIBRATED, CONCENTRATION, METRICS, QUANTILES
from ce_cli.report import COUNTS, TASK_COUNTS, ClassRow, GateResult, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ce_cli.report import Report

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
METRIC_FIELDS: tuple[str, ...] = Metric._fields
# Numbers of a slice beside its metrics, and those of its difference from all other rows.
SLICE_FIELDS: tuple[str, ...] = ("n", "weight", "infinite", "share_of_loss", "excess", "difference")
DIFFERENCE_FIELDS: tuple[str, ...] = (*METRIC_FIELDS, "t", "df", "p", "p_holm")
CLASS_FIELDS: tuple[str, ...] = tuple(name for name in ClassRow._fields if name != "name")

_EXAMPLE = "cross_entropy < 0.35"
_CLASS_EXAMPLE = "class[cat].cross_entropy < 0.5"
_MODEL = "model[new].cross_entropy < 0.35"
_DELTA = "delta.cross_entropy.upper < 0.005"
_NO_INTERVAL = "only cross_entropy has one, where its losses are paired and finite"
_SLICE_EXAMPLE = "slice[country=DE].cross_entropy < 0.5"
_HIGHER_IS_BETTER = ("accuracy", "skill")
_NEITHER_IS_WORSE = ("n", "weight", "df", "p", "p_holm")  # numbers of a slice
_MAX_NAMES = 5

# The bound cannot contain an operator but a class name can, so the last run of operator characters is the operator.
_COMPARISON = re.compile(r"(?P<subject>.*?)(?P<operator>[<>=!]+)(?P<bound>[^<>=!]*)", re.DOTALL)
# Greedy: the last `].` ends the name, whatever brackets and dots the name has.
_CLASS = re.compile(r"class\[(?P<name>.*)\]\.(?P<field>.*)", re.DOTALL)
_SLICE = re.compile(r"slice\[(?P<name>.*)\]\.(?P<field>.*)", re.DOTALL)
# ASCII digits only and no underscores, unlike float().
_BOUND = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<infinity>inf)|(?P<digits>[0-9]+\.?[0-9]*|\.[0-9]+)(?:e(?P<exponent>[+-]?[0-9]{1,9}))?)"
    r"\s*(?P<percent>%?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a report holds for a gate's subject; `reason` says why it cannot be compared, where it cannot."""

    value: float | None
    reason: str | None = None


class Subject(Protocol):
    """The left side of a gate: a number that a report may hold."""

    def observe(self, report: Report) -> Observation:
        """Look the number up."""


@dataclass(frozen=True, slots=True)
class MetricSubject:
    """`NAME` or `NAME.FIELD`: a metric's value, a bound of its interval, or its standard error."""

    name: str
    field: str = "value"

    def observe(self, report: Report) -> Observation:
        """Look the field up; absent where the report lacks the metric, or the metric this field."""
        if self.name not in report:
            asked = ": pass --calibration" if self.name in CALIBRATED and "calibration" not in report.sections else ""
            return Observation(None, f"this report has no {self.name}{asked}")
        metric = report[self.name]
        value: float | None = getattr(metric, self.field)
        if value is None:
            return Observation(None, f"{self.name} = {metric.value:g} has no {self.field} in this report")
        return _compared(value)


@dataclass(frozen=True, slots=True)
class BootstrapSubject:
    """`bootstrap.NAME.FIELD`: what the replicates of a bootstrap say of a metric."""

    name: str
    field: str

    def observe(self, report: Report) -> Observation:
        """Look the field up; absent without --bootstrap, and where the metric has no interval of this kind."""
        section = report.sections.get("bootstrap")
        if section is None:
            return Observation(None, "this report has no bootstrap: pass --bootstrap")
        found = section["metrics"].get(self.name)
        if found is None:
            return Observation(None, f"this report has no bootstrap of {self.name}")
        return _compared(found[self.field])


@dataclass(frozen=True, slots=True)
class CountSubject:
    """`counts.NAME`: a number of rows."""

    name: str

    def observe(self, report: Report) -> Observation:
        """Look the count up."""
        return _looked_up(report.counts, self.name, "count")


@dataclass(frozen=True, slots=True)
class QuantileSubject:
    """`quantiles.NAME`: a quantile of the loss."""

    name: str

    def observe(self, report: Report) -> Observation:
        """Look the quantile up; absent where the report has no quantiles."""
        return _looked_up(report.quantiles, self.name, "quantile")


@dataclass(frozen=True, slots=True)
class RowSumSubject:
    """`max_row_sum_error`: the largest distance of a row's sum from 1."""

    def observe(self, report: Report) -> Observation:
        """Look the distance up; absent where rows are not probabilities of several classes."""
        if report.max_row_sum_error is None:
            return Observation(None, "this report has no max_row_sum_error")
        return _compared(report.max_row_sum_error)


@dataclass(frozen=True, slots=True)
class ConcentrationSubject:
    """`concentration.NAME`: how much of the loss comes from few rows."""

    name: str

    def observe(self, report: Report) -> Observation:
        """Look the figure up; absent where it has no meaning, such as a share of an infinite loss."""
        return _looked_up(report.sections.get("concentration", {}), self.name, "concentration")


@dataclass(frozen=True, slots=True)
class ClassSubject:
    """`class[NAME].FIELD`: a number of one class, the name being compared exactly as it was written."""

    name: str
    field: str

    def observe(self, report: Report) -> Observation:
        """Look the field up; not comparable where the class is unknown or has no rows, not even its `n`."""
        row = next((row for row in report.per_class if row.name == self.name), None)
        if row is None:
            return Observation(None, f"there is no class {self.name!r}; {_classes_of(report)}")
        value: float | None = getattr(row, self.field)
        if row.n == 0:
            return Observation(None if value is None else float(value), f"class {self.name!r} has no rows")
        if value is None:
            return Observation(None, f"class {self.name!r} has no {self.field} in this report")
        return _compared(value)


@dataclass(frozen=True, slots=True)
class DeltaSubject:
    """`delta.NAME` or `delta.NAME.FIELD`: how a metric differs from that of the reference or the baseline."""

    name: str
    field: str = "value"

    def observe(self, report: Report) -> Observation:
        """Look the difference up; absent where there is nothing to compare with, and where both sides are infinite."""
        if self.name not in report.deltas and report.no_deltas is not None:
            return Observation(None, report.no_deltas)
        if not report.deltas:
            return Observation(None, "there is nothing to compare with: name two PREDICTIONS, or pass --baseline")
        if self.name not in report.deltas:
            return Observation(None, f"there is no difference of {self.name}: one side lacks it, or both are infinite")
        delta = report.deltas[self.name]
        value: float | None = getattr(delta, self.field)
        if value is None:
            return Observation(None, f"delta.{self.name} = {delta.value:g} has no {self.field}: {_NO_INTERVAL}")
        return _compared(value)


@dataclass(frozen=True, slots=True)
class SliceSubject:
    """`slice[COL=VALUE,…].FIELD`: a number of one slice, its columns in any order, compared exactly as they were written."""

    name: str
    field: tuple[str, ...]

    def observe(self, report: Report) -> Observation:
        """Look the field up; not comparable where there is no such slice."""
        if not report.slices:
            return Observation(None, "this report has no slices: cut the rows with --by")
        found = next((one for one in report.slices if self.name in _slice_names(one)), None)
        if found is None:
            return Observation(None, f"there is no slice {self.name!r}; {_slices_of(report)}")
        value = _of_slice(found, self.field)
        if value is None:
            return Observation(None, f"slice {self.name!r} has no {'.'.join(self.field)} in this report")
        return _compared(value)


@dataclass(frozen=True, slots=True)
class ModelSubject:
    """`model[NAME].SUBJECT`: what another subject is of one of several models."""

    name: str
    subject: Subject

    def observe(self, report: Report) -> Observation:  # noqa: ARG002 - one report is none of several
        """There are no models in the report of one."""
        return Observation(None, "there is only one model, which has no name")


@dataclass(frozen=True, slots=True)
class WorstSliceSubject:
    """`worst_slice.FIELD`: the worst number of any slice that is not too small: the lowest accuracy, the highest loss."""

    field: tuple[str, ...]

    def observe(self, report: Report) -> Observation:
        """Look the fields up; not comparable where a slice lacks the number, or where not all slices are in the report."""
        if not report.slices:
            return Observation(None, "this report has no slices: cut the rows with --by")
        if any(issue.code == "too_many_slices" for issue in report.issues):
            return Observation(None, "there are too many slices: not all of them were evaluated")
        large = [one for one in report.slices if not one["small"]]
        if not large:
            return Observation(None, "no slice is as large as --min-slice says")
        name = ".".join(self.field)
        found = [_of_slice(one, self.field) for one in large]
        values = [value for value in found if value is not None]
        if not values and all(_of_slice(one, self.field[:1]) is None for one in large):
            return Observation(None, f"no slice has {name} in this report")
        if len(values) < len(found):
            return Observation(None, f"slice {next(_slice_names(large[found.index(None)]))!r} has no {name}")
        odd = next((value for value in values if math.isnan(value)), None)
        worst = min(values) if self.field[0] in _HIGHER_IS_BETTER else max(values)
        return _compared(worst if odd is None else odd)


@dataclass(frozen=True, slots=True)
class Gate:
    """One parsed gate: `subject` `operator` `bound`; `expression` is what the user wrote, stripped."""

    expression: str
    subject: Subject
    operator: str
    bound: float


def parse_gate(text: str) -> Gate:
    """Parse `METRIC[.value|.lower|.upper|.stderr] OP NUMBER[%]`, OP being one of < <= > >= == and !=.

    METRIC is a name of `METRICS`, `slice[COL=VALUE].METRIC`, `worst_slice.METRIC`, `bootstrap.NAME` (whose field is not
    optional), `counts.NAME`, `class[NAME].FIELD`, `quantiles.NAME`, `concentration.NAME` or `max_row_sum_error`; the last five
    have no fields. Before a name of `METRICS` may stand `delta.`, and before anything `model[NAME].`. NUMBER is decimal,
    scientific, `inf` or `-inf`; `%` divides it by 100 before it is rounded to a double. Raises `CeError` with the code
    `bad_gate`.
    """
    expression = text.strip()
    try:
        subject, comparison, bound = _split(expression)
        return Gate(expression, _parse_subject(subject), comparison, _parse_bound(bound))
    except _MalformedError as error:
        raise CeError(Problem("bad_gate", f"{expression!r}: {error.message}", hint=error.hint)) from None


def parse_gates(texts: Iterable[str]) -> tuple[Gate, ...]:
    """Parse every gate, in order; raises one `CeError` with the problems of all that are malformed."""
    gates: list[Gate] = []
    problems: list[Problem] = []
    for text in texts:
        try:
            gates.append(parse_gate(text))
        except CeError as error:
            problems.extend(error.problems)
    if problems:
        raise CeError(*problems)
    return tuple(gates)


def judge(gate: Gate, report: Report) -> GateResult:
    """Compare what the report holds with the gate's bound.

    An infinite observation compares as any number does. `margin`, in the metric's unit, is the room left to the bound
    (negative where it is exceeded), and for == and != the distance from it; None where no comparison was possible, and
    where both sides are the same infinity. `reason` says why no comparison was possible, and is None otherwise.
    """
    seen = gate.subject.observe(report)
    if seen.value is None or seen.reason is not None:
        return GateResult(gate.expression, seen.value, gate.bound, margin=None, passed=False, reason=seen.reason)
    passed = OPERATORS[gate.operator](seen.value, gate.bound)
    margin = _margin(gate.operator, seen.value, gate.bound)
    return GateResult(gate.expression, seen.value, gate.bound, margin=margin, passed=passed)


def judge_models(gate: Gate, models: Mapping[str, Report], candidates: Collection[str]) -> list[GateResult]:
    """Judge a gate for each of the candidates, or for the one of all models that it names."""
    subject = gate.subject
    if not isinstance(subject, ModelSubject):
        return [judge(gate, models[name])._replace(model=name) for name in candidates]
    if subject.name not in models:
        known = ", ".join(repr(name) for name in list(models)[:_MAX_NAMES])
        reason = f"there is no model {subject.name!r}; the models are {known}"
        return [GateResult(gate.expression, None, gate.bound, None, passed=False, reason=reason, model=subject.name)]
    inner = replace(gate, subject=subject.subject)
    return [judge(inner, models[subject.name])._replace(model=subject.name)]


class _MalformedError(Exception):
    """What is wrong with an expression, and how it could be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _split(expression: str) -> tuple[str, str, str]:
    """Return subject, operator and bound, without the blanks around them."""
    match = _COMPARISON.fullmatch(expression)
    if match is None:
        raise _MalformedError("there is no comparison", f"a gate reads METRIC OP NUMBER, for example {_EXAMPLE}")
    subject, comparison, bound = (part.strip() for part in match.groups())
    if comparison not in OPERATORS:
        raise _MalformedError(
            f"{comparison!r} is not an operator", f"the operators are {' '.join(OPERATORS)}, for example {_EXAMPLE}"
        )
    if not subject:
        raise _MalformedError("there is no metric before the operator", f"a gate reads like {_EXAMPLE}")
    return subject, comparison, bound


def _parse_subject(text: str) -> Subject:
    for starts, parse in _PARTS.items():
        if text.startswith(starts):
            return parse(text)
    if re.search("[<>=!]", text):
        raise _MalformedError("a gate has one comparison", f"write one gate for each, for example {_EXAMPLE}")
    if text == "max_row_sum_error":
        return RowSumSubject()
    name, dot, field = text.partition(".")
    if name in _FAMILIES:
        return _FAMILIES[name](field)
    if name not in METRICS:
        raise _unknown_metric(text)
    if not dot:
        return MetricSubject(name)
    return MetricSubject(name, _known(field, METRIC_FIELDS, "field", name + ".{}", "cross_entropy.upper <= 0.36"))


def _parse_count(field: str) -> CountSubject:
    return CountSubject(_known(field, (*COUNTS, *TASK_COUNTS), "count", "counts.{}", "counts.infinite == 0"))


def _parse_concentration(field: str) -> ConcentrationSubject:
    spelling, example = "concentration.{}", "concentration.top_1pct_share < 20%"
    return ConcentrationSubject(_known(field, CONCENTRATION, "concentration", spelling, example))


def _parse_quantile(field: str) -> QuantileSubject:
    return QuantileSubject(_known(field, QUANTILES, "quantile", "quantiles.{}", "quantiles.0.99 < 2.5"))


def _parse_slice(text: str) -> SliceSubject | WorstSliceSubject:
    if text.startswith("worst_slice"):
        return _parse_worst_slice(text.removeprefix("worst_slice."))
    match = _SLICE.fullmatch(text)
    if match is None:
        raise _MalformedError(
            "a slice needs a closing bracket and a metric", f"slice[COL=VALUE].METRIC, for example {_SLICE_EXAMPLE}"
        )
    name, field = match.groups()
    return SliceSubject(name.strip(), _slice_field(field, "slice[…].{}"))


def _parse_worst_slice(text: str) -> WorstSliceSubject:
    field = _slice_field(text, "worst_slice.{}")
    if field[-1] in _NEITHER_IS_WORSE:
        raise _MalformedError(
            f"no slice is the worst by its {'.'.join(field)}",
            f"slice[COL=VALUE].{text} is that of one slice; the worst slice has a metric: worst_slice.cross_entropy < 0.5",
        )
    return WorstSliceSubject(field)


def _slice_field(text: str, spelling: str) -> tuple[str, ...]:
    """Return the name of a number of a slice, and which field of it."""
    name, dot, field = text.partition(".")
    _known(name, (*METRICS, *SLICE_FIELDS), "slice field", spelling, _SLICE_EXAMPLE)
    if name in SLICE_FIELDS and name != "difference":
        if dot:
            raise _MalformedError(f"{name} has no fields", f"write {spelling.format(name)}")
        return (name,)
    known = DIFFERENCE_FIELDS if name == "difference" else METRIC_FIELDS
    return name, _known(field, known, "field", spelling.format(name + ".{}"), _SLICE_EXAMPLE) if dot else "value"


def _parse_bootstrap(text: str) -> BootstrapSubject:
    metric, _, field = text.partition(".")
    example = "bootstrap.cross_entropy.upper <= 0.36"
    _known(metric, BOOTSTRAPPED, "metric of the bootstrap", "bootstrap.{}", example)
    return BootstrapSubject(metric, _known(field, METRIC_FIELDS, "field", f"bootstrap.{metric}.{{}}", example))


def _parse_class(text: str) -> ClassSubject:
    match = _CLASS.fullmatch(text)
    if match is None:
        raise _MalformedError(
            "a class needs a closing bracket and a field", f"class[NAME].FIELD, for example {_CLASS_EXAMPLE}"
        )
    name, field = match.groups()
    return ClassSubject(name, _known(field, CLASS_FIELDS, "class field", "class[…].{}", _CLASS_EXAMPLE))


def _parse_model(text: str) -> ModelSubject:
    """Parse `model[NAME].SUBJECT`; the first `].` with a subject behind it ends the name."""
    end = text.find("].")
    error: _MalformedError | None = None
    while end >= 0:
        try:
            return ModelSubject(text[len("model[") : end], _parse_subject(text[end + 2 :]))
        except _MalformedError as found:
            error = error or found
        end = text.find("].", end + 1)
    if error is not None:
        raise error
    raise _MalformedError("a model needs a closing bracket and a metric", f"model[NAME].METRIC, for example {_MODEL}")


def _parse_delta(text: str) -> DeltaSubject:
    name, dot, field = text.partition(".")
    if name not in METRICS:
        close = [f"delta.{match}" for match in _close_matches(name, METRICS)]
        message = f"'delta.{name}' is not a difference of a metric" if name else "a metric is missing"
        raise _MalformedError(message, f"{_did_you_mean(close)}delta.METRIC, for example {_DELTA}")
    return DeltaSubject(name, _known(field, METRIC_FIELDS, "field", f"delta.{name}.{{}}", _DELTA) if dot else "value")


_FAMILIES: Mapping[str, Callable[[str], Subject]] = {
    "delta": _parse_delta,
    "bootstrap": _parse_bootstrap,
    "counts": _parse_count,
    "concentration": _parse_concentration,
    "quantiles": _parse_quantile,
}
_PARTS: Mapping[tuple[str, ...], Callable[[str], Subject]] = {
    ("model[",): _parse_model,
    ("class[",): _parse_class,
    ("slice[", "worst_slice."): _parse_slice,
}


def _known(name: str, names: Collection[str], kind: str, spelling: str, example: str) -> str:
    """Return the name if it is one of the names; otherwise say which there are and which come close."""
    if name in names:
        return name
    close = [spelling.format(match) for match in _close_matches(name, names)]
    message = f"{name!r} is not a {kind}" if name else f"a {kind} is missing"
    raise _MalformedError(message, f"{_did_you_mean(close)}there are {', '.join(names)}, for example {example}")


def _unknown_metric(text: str) -> _MalformedError:
    names = [*METRICS, *(f"counts.{name}" for name in COUNTS), *(f"quantiles.{name}" for name in QUANTILES)]
    close = _close_matches(text, [*names, "max_row_sum_error"])
    known = (
        f"the metrics are {', '.join(METRICS)}, and also counts.…, quantiles.…, concentration.…, class[…].…, delta.…, "
    )
    known += "model[…].… and max_row_sum_error"
    hint = f"{_did_you_mean(close)}a gate reads like {_EXAMPLE}" if close else f"{known}; for example {_EXAMPLE}"
    return _MalformedError(f"{text!r} is not a metric", hint)


def _close_matches(name: str, names: Collection[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name.lower(), names)


def _did_you_mean(names: list[str]) -> str:
    return f"did you mean {' or '.join(names)}? " if names else ""


def _parse_bound(text: str) -> float:
    """Return the number as a double; a percentage moves the decimal point in the text, so that 29% is exactly 0.29."""
    match = _BOUND.fullmatch(text)
    if match is None:
        raise _malformed_bound(text)
    if match["infinity"]:
        return float(match["sign"] + "inf")
    exponent = int(match["exponent"] or 0) - (2 if match["percent"] else 0)
    bound = float(f"{match['sign']}{match['digits']}e{exponent}")
    if math.isinf(bound):
        raise _MalformedError(f"{text!r} is beyond the largest double", "inf is a bound too: cross_entropy < inf")
    return bound + 0.0  # turns -0 into 0, which would show in the margin


def _malformed_bound(text: str) -> _MalformedError:
    example = f"for example {_EXAMPLE} or skill > 20%"
    if not text:
        return _MalformedError("there is no number after the operator", example)
    if text.lstrip("+-").lower() == "nan":
        return _MalformedError("nothing compares with nan", f"a gate on a metric that is NaN fails anyway; {example}")
    return _MalformedError(f"{text!r} is not a number", f"METRIC OP NUMBER[%], {example}")


def _compared(value: float) -> Observation:
    return Observation(
        float(value), "the observed value is NaN, which compares with nothing" if math.isnan(value) else None
    )


def _looked_up(values: Mapping[str, float], name: str, kind: str) -> Observation:
    return _compared(values[name]) if name in values else Observation(None, f"this report has no {kind} {name}")


def _slice_names(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a slice may be called: COL=VALUE for each of its columns, in any order, that of --by first."""
    parts = [f"{column}={value}" for column, value in one["by"].items()]
    return map(",".join, permutations(parts))


def _of_slice(one: Mapping[str, Any], field: tuple[str, ...]) -> float | None:
    """Return a number of a slice, None where it has none; a metric without a field stands for its value."""
    found = one["metrics"].get(field[0], one.get(field[0]))
    if isinstance(found, dict):
        found = found.get(field[1] if len(field) > 1 else "value")
    return None if found is None else float(found)


def _slices_of(report: Report) -> str:
    """Return what to say of the slices that a report has."""
    names = ", ".join(repr(next(_slice_names(one))) for one in report.slices[:_MAX_NAMES])
    more = len(report.slices) - _MAX_NAMES
    return f"the slices are {names}{f' and {more} more' if more > 0 else ''}"


def _classes_of(report: Report) -> str:
    """Return what to say of the classes that a report has; repr, because a name may hold any character."""
    if not report.per_class:
        return "this report has no classes"
    names = ", ".join(repr(row.name) for row in report.per_class[:_MAX_NAMES])
    more = len(report.per_class) - _MAX_NAMES
    return f"the classes are {names}{f' and {more} more' if more > 0 else ''}"


def _margin(comparison: str, observed: float, bound: float) -> float | None:
    if observed == bound and math.isinf(bound):
        return None
    if comparison in ("==", "!="):
        return abs(observed - bound)
    return bound - observed if comparison in ("<", "<=") else observed - bound
