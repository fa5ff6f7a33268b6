"""A gate and its verdict.

A gate never passes for want of a number: what is absent, NaN or of a class without rows fails, with the reason.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ce_cli.gates.subjects import ModelSubject
from ce_cli.report import GateResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ce_cli.gates.subjects import Subject
    from ce_cli.report import Report


OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class Gate:
    """One parsed gate: `subject` `operator` `bound`; `expression` is what the user wrote, stripped."""

    expression: str
    subject: Subject
    operator: str
    bound: float


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


def _margin(comparison: str, observed: float, bound: float) -> float | None:
    if observed == bound and math.isinf(bound):
        return None
    if comparison in ("==", "!="):
        return abs(observed - bound)
    return bound - observed if comparison in ("<", "<=") else observed - bound
