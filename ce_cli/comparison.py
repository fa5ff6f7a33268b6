"""The result of a comparison of several models: plain data, as the report of one model is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from ce_cli.report import SCHEMA, GateResult, InputFile, Issue, Metric, Report, gate_dict, strict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


@dataclass(frozen=True, slots=True)
class Model:
    """One of the models, and its own report.

    common: its metrics on the rows that all models have scored; None where it is those rows that its own report is of, and
    that of every other model. Of tokens, on the sequences: the one that is paired.
    """

    name: str
    reference: bool
    report: Report
    common: Mapping[str, Metric] | None = None

    @property
    def shared(self) -> Mapping[str, Metric]:
        """Its metrics on the rows that all models have scored, whether those are all of its rows or not."""
        return self.report.metrics if self.common is None else self.common


@dataclass(frozen=True, slots=True)
class Rank:
    """A model's place by its mean loss on the common rows, the smallest first; after the finite ones the infinite.

    Of models with infinite losses, one with fewer of them stands first, then one with a smaller mean of the others. Skill and
    prior entropy are of the common rows too, and absent where there is none.
    """

    rank: int
    model: str
    cross_entropy: Metric
    infinite: int
    skill: Metric | None = None
    prior_entropy: Metric | None = None


@dataclass(frozen=True, slots=True)
class ClassPart:
    """Where a difference comes from: the mean difference in the `n` common rows of a class, and its part in the whole.

    The contributions of all classes add up to the difference of the means.
    """

    name: str
    n: int
    difference: float | None
    contribution: float | None


@dataclass(frozen=True, slots=True)
class SlicePart:
    """The same of a slice: `by` has its value for each column that it is cut by. The interval is not adjusted for their number.

    small: whether it has fewer rows than `min_slice`. Where rows come in clusters, those of the slice are the observations.
    """

    by: Mapping[str, str]
    n: int
    small: bool
    difference: Metric | None
    contribution: float | None


@dataclass(frozen=True, slots=True)
class MovedRow:
    """One of the common rows whose loss differs most from the reference's (`row`: 1 = the first data row of the labels).

    difference: loss - reference_loss. predicted: by the candidate. `shown` has the cells of the columns that were to be shown.
    """

    row: int
    id: str | None
    label: str
    predicted: str
    loss: float
    reference_loss: float
    difference: float
    shown: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What the replicates of `bootstrap` say of a difference: its interval, and the p of a difference of 0, not adjusted."""

    p: float
    stderr: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How a candidate differs from the reference: candidate - reference, so that below 0 the candidate is better.

    rows: the common rows, which all models have scored. only_model, only_reference: further rows that the candidate or the
    reference has scored. difference: of the mean losses, with its paired t interval. t, df, p: of the paired t-test;
    p_adjusted: after Holm, over all candidates. detected: whether p_adjusted is below 1 - confidence. smallest_detectable:
    the difference that this number of rows detects at that level in 80 of 100 cases. All of these are None where there is no
    test: with an infinite loss, or a single row. wins, losses, ties: rows where the candidate's loss is smaller, larger, the
    same; share_improved: wins / rows. infinite: rows where either loss is infinite. per: of tokens, for which sequences take
    the place of rows in all of this, what the mean losses are by, "token", "byte" or "sequence"; None in other tasks.
    bootstrap: None where it was not asked for. by_class, by_slice: the largest part first. worse_rows, better_rows: the rows
    where the candidate loses and gains most, the largest difference first; tokens have none.
    """

    model: str
    reference: str
    rows: int
    only_model: int
    only_reference: int
    difference: Metric | None
    t: float | None
    df: int | None
    p: float | None
    p_adjusted: float | None
    detected: bool | None
    smallest_detectable: float | None
    wins: int
    losses: int
    ties: int
    share_improved: float
    infinite: int
    per: str | None = None
    bootstrap: Bootstrap | None = None
    by_class: tuple[ClassPart, ...] = ()
    by_slice: tuple[SlicePart, ...] = ()
    worse_rows: tuple[MovedRow, ...] = ()
    better_rows: tuple[MovedRow, ...] = ()


_PARTS = ("by_class", "by_slice", "worse_rows", "better_rows")
# What is said once, for all models.
_SHARED = ("schema", "version", "task", "unit", "confidence", "gates", "passed")


@dataclass(frozen=True, repr=False)
class Comparison:
    """Everything that a comparison found out; the reference is the first of `models`.

    `comparison["name"]` is the report of one model. `ranking` is by the loss on the common rows. `comparison` has a
    `Difference` for each candidate.
    """

    version: str
    task: str
    unit: str
    confidence: float
    labels: InputFile
    models: tuple[Model, ...]
    ranking: tuple[Rank, ...]
    comparison: tuple[Difference, ...]
    issues: tuple[Issue, ...]
    gates: tuple[GateResult, ...] = field(default=())

    @property
    def reference(self) -> Model:
        """The model with which the others are compared."""
        return self.models[0]

    @property
    def candidates(self) -> tuple[Model, ...]:
        """All models but the reference."""
        return self.models[1:]

    @property
    def same_rows(self) -> bool:
        """True where no model has scored a row, or a sequence of tokens, that another has not."""
        return all(model.common is None for model in self.models)

    @property
    def per(self) -> str | None:
        """What losses of tokens are compared by: "token", "byte" or "sequence"; None in other tasks."""
        return self.comparison[0].per

    @property
    def passed(self) -> bool:
        """True where every gate passed (also where there is none)."""
        return all(gate.passed for gate in self.gates)

    def __getitem__(self, name: str) -> Report:
        for model in self.models:
            if model.name == name:
                return model.report
        raise KeyError(f"there is no model {name!r}; there are {', '.join(model.name for model in self.models)}")

    def __repr__(self) -> str:
        names = ", ".join(f"{rank.model} {rank.cross_entropy.value!r}" for rank in self.ranking)
        return f"Comparison({names} {self.unit}, reference {self.reference.name})"

    def with_gates(self, gates: tuple[GateResult, ...]) -> Comparison:
        """Return the same comparison with these verdicts."""
        return replace(self, gates=gates)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as the JSON contract spells it: only strict JSON values, non-finite numbers as strings."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "task": self.task,
            "unit": self.unit,
            "confidence": self.confidence,
            "inputs": {"labels": {"path": self.labels.path, "rows": self.labels.rows}},
            "models": [_model(model) for model in self.models],
            "ranking": [strict(rank) for rank in self.ranking],
            "comparison": [_difference(one) for one in self.comparison],
            "issues": [{**strict(issue), "hint": issue.hint} for issue in self.issues],
            "gates": [gate_dict(gate) for gate in self.gates],
            "passed": self.passed,
        }

    def to_json(self, indent: int | None = None) -> str:
        """Return the comparison as strict RFC 8259 JSON in ASCII, with every digit of every number."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=indent)

    def to_frame(self, what: Literal["ranking", "comparison"] = "ranking") -> pd.DataFrame:
        """Return the ranking or the differences as a pandas frame, a row for each model; bounds are columns of their own."""
        import pandas as pd

        if what not in ("ranking", "comparison"):
            raise ValueError(f"expected 'ranking' or 'comparison', but got {what!r}")
        rows: tuple[Rank | Difference, ...] = self.ranking if what == "ranking" else self.comparison
        return pd.DataFrame([_flat(row) for row in rows])


def _model(model: Model) -> dict[str, Any]:
    report = {name: value for name, value in model.report.to_dict().items() if name not in _SHARED}
    common = (
        {} if model.common is None else {"common_metrics": {name: strict(one) for name, one in model.common.items()}}
    )
    return {"name": model.name, "reference": model.reference, **report, **common}


def _difference(one: Difference) -> dict[str, Any]:
    found = strict(one)
    found["by_class"] = [{("class" if key == "name" else key): part[key] for key in part} for part in found["by_class"]]
    for name in ("worse_rows", "better_rows"):
        found[name] = [{key: row[key] for key in row if key != "shown" or row[key]} for row in found[name]]
    return {name: value for name, value in found.items() if name not in _PARTS or value}


def _flat(row: Rank | Difference) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for one in fields(row):
        value = getattr(row, one.name)
        if one.name in _PARTS or (one.name == "per" and value is None):
            continue
        if one.name == "bootstrap":
            flat |= {"p_bootstrap": value.p} if value is not None else {}
            continue
        if one.name in ("cross_entropy", "difference"):
            metric = value or Metric(float("nan"))
            bounds = {name: getattr(metric, name) for name in ("stderr", "lower", "upper")}
            flat |= {one.name: metric.value, **bounds}
        elif one.name in ("skill", "prior_entropy"):
            flat[one.name] = None if value is None else value.value
        else:
            flat[one.name] = value
    return flat
