"""What a gate may be about: numbers that a report holds, each knowing where to find itself and why it may be absent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Protocol

from ce_cli.metrics import CALIBRATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.report import Report


_HIGHER_IS_BETTER = ("accuracy", "skill")
_MAX_NAMES = 5


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
            return Observation(
                None, f"delta.{self.name} = {delta.value:g} has no {self.field}: {_with_interval(report)}"
            )
        return _compared(value)


@dataclass(frozen=True, slots=True)
class DeltaSliceSubject:
    """`delta.slice[COL=VALUE,…].NAME.FIELD`: the difference of the paired metric in the rows of one slice."""

    slice: str
    name: str
    field: str = "value"

    def observe(self, report: Report) -> Observation:
        """Look the difference up; absent where there is no such slice, and where a loss in it is infinite."""
        if not report.slice_deltas:
            if report.no_deltas is not None and not report.deltas:
                return Observation(None, report.no_deltas)
            return Observation(
                None, "there are no differences by slice: name two PREDICTIONS, and cut the rows with --by"
            )
        found = next((one for one in report.slice_deltas if self.slice in _names_by(one.by)), None)
        if found is None:
            known = [next(_names_by(one.by)) for one in report.slice_deltas]
            return Observation(None, f"there is no slice {self.slice!r}; {_listed('slices', known)}")
        if self.name != found.metric:
            return Observation(None, f"slices are compared by {found.metric}: write delta.slice[…].{found.metric}")
        if found.difference is None:
            return Observation(None, f"slice {self.slice!r} has no difference: a loss in it is infinite")
        value: float | None = getattr(found.difference, self.field)
        if value is None:
            return Observation(None, f"slice {self.slice!r} has a single observation, and so no {self.field}")
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
            return Observation(None, f"slice {self.name!r} has no {_dotted(self.field)}; {_figures_of(found)}")
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
        name = _dotted(self.field)
        found = [_of_slice(one, self.field) for one in large]
        values = [value for value in found if value is not None]
        if not values and all(_of_slice(one, self.field[:1]) is None for one in large):
            return Observation(None, f"no slice has {name} in this report; {_figures_of(large[0])}")
        if len(values) < len(found):
            return Observation(None, f"slice {next(_slice_names(large[found.index(None)]))!r} has no {name}")
        odd = next((value for value in values if math.isnan(value)), None)
        worst = min(values) if self.field[0] in _HIGHER_IS_BETTER else max(values)
        return _compared(worst if odd is None else odd)


def _compared(value: float) -> Observation:
    return Observation(
        float(value), "the observed value is NaN, which compares with nothing" if math.isnan(value) else None
    )


def _looked_up(values: Mapping[str, float], name: str, kind: str) -> Observation:
    return _compared(values[name]) if name in values else Observation(None, f"this report has no {kind} {name}")


def _slice_names(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a slice may be called: COL=VALUE for each of its columns, in any order, that of --by first."""
    return _names_by(one["by"])


def _names_by(by: Mapping[str, str]) -> Iterator[str]:
    return map(",".join, permutations([f"{column}={value}" for column, value in by.items()]))


def _with_interval(report: Report) -> str:
    """Return which differences have an interval."""
    names = [name for name, delta in report.deltas.items() if delta.upper is not None]
    if names:
        return f"only delta.{' and delta.'.join(names)} has one, whose losses are paired"
    return "none has one here, which takes the losses of two models or more, finite and paired"


def _figures_of(one: Mapping[str, Any]) -> str:
    """Return what to say of the metrics that a slice has."""
    return f"it has {', '.join(one['metrics'])}" if one["metrics"] else "it has no metrics"


def _dotted(field: tuple[str, ...]) -> str:
    return ".".join(field).removesuffix(".value")


def _of_slice(one: Mapping[str, Any], field: tuple[str, ...]) -> float | None:
    """Return a number of a slice, None where it has none; a metric without a field stands for its value."""
    found = one["metrics"].get(field[0], one.get(field[0]))
    if isinstance(found, dict):
        found = found.get(field[1] if len(field) > 1 else "value")
    return None if found is None else float(found)


def _slices_of(report: Report) -> str:
    """Return what to say of the slices that a report has."""
    return _listed("slices", [next(_slice_names(one)) for one in report.slices])


def _listed(what: str, names: Sequence[str]) -> str:
    """Return the first names of what there is; repr, because a name may hold any character."""
    more = len(names) - _MAX_NAMES
    return f"the {what} are {', '.join(map(repr, names[:_MAX_NAMES]))}{f' and {more} more' if more > 0 else ''}"


def _classes_of(report: Report) -> str:
    """Return what to say of the classes that a report has."""
    return (
        _listed("classes", [row.name for row in report.per_class]) if report.per_class else "this report has no classes"
    )
