"""The result of an evaluation: plain data, with names and types that the JSON contract fixes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "ce-eval/1"


class Metric(NamedTuple):
    """A number, and its standard error and interval where they exist; all in the metric's own unit."""

    value: float
    stderr: float | None = None
    lower: float | None = None
    upper: float | None = None


class ClassRow(NamedTuple):
    """What one class contributes, over the scored rows that carry its label.

    `n` rows, `weight` their weight, `cross_entropy` their weighted mean loss (in the report's unit), `share_of_loss` of the
    total (0 to 1), `mean_prob` the weighted mean probability that they were given for this class, `recall` the weighted
    share that was predicted as this class. `mean_gradient` is that of the mean loss with respect to the class's logit: above 0
    where the class is over-predicted; only where gradients are wanted. None where there is no such row, or, for a share,
    where the total is 0 or inf.

    Of a multilabel task, the rows are the known cells of a label, and `recall` is over those with the label. `prevalence` is
    its weighted frequency among them, `skill` what the predictions save of the entropy of that (None where it is 0), and
    `ece` the label's own calibration error; None in other tasks.
    """

    name: str
    n: int
    weight: float
    cross_entropy: float | None
    share_of_loss: float | None
    mean_prob: float | None
    recall: float | None
    mean_gradient: float | None = None
    prevalence: float | None = None
    skill: float | None = None
    ece: float | None = None


class WorstRow(NamedTuple):
    """One of the rows with the largest loss (`row`: 1 = the first data row of the predictions).

    `shown` has the cells of the columns that were to be shown, by their names; None where one is empty.
    """

    row: int
    id: str | None
    label: str
    predicted: str
    prob: float
    loss: float
    shown: Mapping[str, str | None] = {}


@dataclass(frozen=True, slots=True)
class Issue:
    """Something a careful reader of the number would want to know; never a reason to stop."""

    code: str
    severity: Literal["note", "warning"]
    message: str
    count: int = 0
    first_rows: tuple[int, ...] = ()
    hint: str | None = None


class SliceDelta(NamedTuple):
    """How a metric of one slice differs from that of the reference; None where there is no such number."""

    by: Mapping[str, str]
    metric: str
    difference: Metric | None


class InputFile(NamedTuple):
    """A data set as the user named it, and how many rows it holds."""

    path: str
    rows: int


class Columns(NamedTuple):
    """Which column was taken for what."""

    labels: tuple[str, ...]
    scores: tuple[str, ...]
    id: tuple[str, ...] = ()
    weight: str | None = None


class GateResult(NamedTuple):
    """The verdict on one gate; `observed` and `margin` are None where the metric is absent."""

    expression: str
    observed: float | None
    bound: float
    margin: float | None
    passed: bool
    reason: str | None = None
    model: str | None = None  # of which it was judged, where there are several


# In the order in which reports list them. Every key is always present.
COUNTS: tuple[str, ...] = (
    "rows",
    "scored",
    "ignored",
    "dropped",
    "unmatched_predictions",
    "unmatched_labels",
    "zero_weight",
    "unscored",
    "infinite",
    "clipped",
    "above_one",
    "renormalized",
    "invalid",
)
# Counts of single tasks, absent elsewhere: the known cells of multilabel rows; tokens and their sequences.
TASK_COUNTS: tuple[str, ...] = ("cells", "tokens", "sequences", "unscored_sequences")


@dataclass(frozen=True, repr=False)
class Report:
    """Everything that one evaluation found out.

    Metrics are reached by attribute or by key: `report.cross_entropy.value`, `report["skill"].value`. What does not apply
    is absent (`"rps" in report` is False). `counts` always has every key of `COUNTS`, and
    rows = scored + ignored + dropped + zero_weight + unscored, where dropped = invalid + unmatched_predictions. `sections` has
    what was asked beside the metrics, by name, as plain JSON values (floats may be infinite): `report.sections["slices"]`.
    `deltas` are the differences of its metrics from those of the reference of a comparison, or of a baseline; empty where
    there is neither. `no_deltas` says why those of a comparison lack what the metrics have, where they do.
    `slice_deltas` are the differences of the paired metric by slice, which the JSON report has in `comparison`.
    """

    version: str
    signature: str
    task: str
    unit: str
    input: str
    alignment: str
    classes: tuple[str, ...]
    predictions: InputFile
    labels: InputFile
    columns: Columns
    confidence: float
    counts: Mapping[str, int]
    metrics: Mapping[str, Metric]
    quantiles: Mapping[str, float]
    max_row_sum_error: float | None
    per_class: tuple[ClassRow, ...]
    worst: tuple[WorstRow, ...]
    issues: tuple[Issue, ...]
    gates: tuple[GateResult, ...] = field(default=())
    sections: Mapping[str, Any] = field(default_factory=dict)
    deltas: Mapping[str, Metric] = field(default_factory=dict)
    no_deltas: str | None = None
    slice_deltas: tuple[SliceDelta, ...] = ()

    @property
    def passed(self) -> bool:
        """True where every gate passed (also where there is none)."""
        return all(gate.passed for gate in self.gates)

    @property
    def slices(self) -> tuple[Mapping[str, Any], ...]:
        """The slices that `by` asked for, each as the JSON report has it; none where it was not given."""
        return tuple(self.sections.get("slices", ()))

    def __getitem__(self, name: str) -> Metric:
        return self.metrics[name]

    def __contains__(self, name: object) -> bool:
        return name in self.metrics

    def __getattr__(self, name: str) -> Metric:
        if not name.startswith("_"):
            metrics = self.__dict__.get("metrics", {})
            if name in metrics:
                metric: Metric = metrics[name]
                return metric
        raise AttributeError(
            f"this report has no metric {name!r}; it has {', '.join(self.__dict__.get('metrics', ()))}"
        )

    def __repr__(self) -> str:
        return f"Report({self.signature!r}, cross_entropy={self.metrics['cross_entropy'].value!r} {self.unit})"

    def with_gates(self, gates: tuple[GateResult, ...]) -> Report:
        """Return the same report with these verdicts."""
        return replace(self, gates=gates)

    def judged(self, name: str, section: Any, metrics: Mapping[str, Metric], issues: tuple[Issue, ...]) -> Report:
        """Return the report with one more section, and with these metrics and issues."""
        sections = self.sections if section is None else {**self.sections, name: section}
        metrics = {**self.metrics, **metrics}
        return replace(self, sections=sections, metrics=metrics, issues=(*self.issues, *issues))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the JSON contract spells it: only strict JSON values, non-finite numbers as strings."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "signature": self.signature,
            "task": self.task,
            "unit": self.unit,
            "input": self.input,
            "alignment": self.alignment,
            "classes": list(self.classes),
            "inputs": {
                "predictions": {"path": self.predictions.path, "rows": self.predictions.rows},
                "labels": {"path": self.labels.path, "rows": self.labels.rows},
            },
            "columns": _plain(self.columns),
            "confidence": self.confidence,
            "counts": dict(self.counts),
            "metrics": {name: _present(metric) for name, metric in self.metrics.items()},
            **({"deltas": {name: _present(delta) for name, delta in self.deltas.items()}} if self.deltas else {}),
            "quantiles": {name: json_number(value) for name, value in self.quantiles.items()},
            **({} if self.max_row_sum_error is None else {"max_row_sum_error": json_number(self.max_row_sum_error)}),
            "per_class": [_renamed(_present(row), "name", "class") for row in self.per_class],
            "worst": [_worst_row(row) for row in self.worst],
            **{name: _strict(section) for name, section in self.sections.items()},
            "issues": [_plain(issue) for issue in self.issues],
            "gates": [gate_dict(gate) for gate in self.gates],
            "passed": self.passed,
        }

    def to_json(self, indent: int | None = None) -> str:
        """Return the report as strict RFC 8259 JSON in ASCII, with every digit of every number."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=indent)

    def to_frame(self, what: Literal["classes", "worst", "slices"] = "classes") -> pd.DataFrame:
        """Return the classes, the worst rows or the slices as a pandas frame, one row each; what none has is no column."""
        import pandas as pd

        if what not in ("classes", "worst", "slices"):
            raise ValueError(f"expected 'classes', 'worst' or 'slices', but got {what!r}")
        if what == "slices":
            return pd.DataFrame([_flat(one) for one in self.slices])
        if what == "classes":
            absent = [
                name for name in ClassRow._field_defaults if all(getattr(row, name) is None for row in self.per_class)
            ]
            frame = pd.DataFrame([_fields(row) for row in self.per_class], columns=list(ClassRow._fields))
            return frame.drop(columns=absent)
        columns = [name for name in WorstRow._fields if name != "shown"]
        frame = pd.DataFrame([_fields(row) for row in self.worst], columns=columns)
        for name in self.worst[0].shown if self.worst else ():
            column = name
            while column in frame:
                column = f"shown_{column}"
            frame[column] = [row.shown[name] for row in self.worst]
        return frame


def json_number(value: float) -> float | str:
    """Return a number as JSON can hold it: a non-finite one as "inf", "-inf" or "nan"."""
    return value if math.isfinite(value) else str(float(value))


def gate_dict(gate: GateResult) -> dict[str, Any]:
    """Return a gate as JSON has it: `model` only where there are several."""
    plain = _plain(gate)
    return plain if gate.model is not None else {name: plain[name] for name in plain if name != "model"}


def strict(value: Any) -> Any:
    """Return plain values as strict JSON has them, those with named fields by these, without those that are None."""
    if hasattr(value, "_fields") or hasattr(value, "__dataclass_fields__"):
        return {name: strict(one) for name, one in _fields(value).items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [strict(one) for one in value]
    return _strict(value)


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a slice with a name in place of its columns, and numbers in place of metrics: `skill`, `cross_entropy_lower`."""
    name = ",".join(f"{column}={value}" for column, value in one["by"].items())
    row = {"slice": name, **{key: value for key, value in one.items() if key not in ("by", "metrics", "difference")}}
    for key, metric in {**one["metrics"], "difference": one.get("difference", {})}.items():
        row.update({key if part == "value" else f"{key}_{part}": value for part, value in metric.items()})
    return row


def _fields(item: Any) -> dict[str, Any]:
    names = item._fields if hasattr(item, "_fields") else item.__dataclass_fields__
    return {name: getattr(item, name) for name in names}


def _plain(item: Any) -> dict[str, Any]:
    return {name: _json_value(value) for name, value in _fields(item).items()}


def _present(item: Any) -> dict[str, Any]:
    return {name: value for name, value in _plain(item).items() if value is not None}


def _worst_row(row: WorstRow) -> dict[str, Any]:
    """Return a worst row; what was to be shown of it only where something was."""
    plain = _plain(row)
    shown = plain.pop("shown")
    return {**plain, "shown": dict(shown)} if shown else plain


def _strict(value: Any) -> Any:
    """Return plain values as strict JSON has them."""
    if isinstance(value, Mapping):
        return {name: _strict(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(one) for one in value]
    return json_number(value) if isinstance(value, float) else value


def _renamed(row: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in row.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return json_number(value) if isinstance(value, float) else value
