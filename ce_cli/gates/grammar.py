"""How a gate is written: text to a `Gate`, before any data is read."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ce_cli.errors import CeError, Problem
from ce_cli.gates.subjects import (
    BootstrapSubject,
    ClassSubject,
    ConcentrationSubject,
    CountSubject,
    DeltaSliceSubject,
    DeltaSubject,
    MetricSubject,
    ModelSubject,
    QuantileSubject,
    RowSumSubject,
    SliceSubject,
    WorstSliceSubject,
)
from ce_cli.gates.verdict import OPERATORS, Gate
from ce_cli.metrics import BOOTSTRAPPED, CONCENTRATION, METRICS, PAIRED, QUANTILES, SLICED
from ce_cli.report import COUNTS, TASK_COUNTS, ClassRow, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ce_cli.gates.subjects import Subject


METRIC_FIELDS: tuple[str, ...] = Metric._fields
# Numbers of a slice beside its metrics, and those of its difference from all other rows.
SLICE_FIELDS: tuple[str, ...] = ("n", "weight", "infinite", "share_of_loss", "excess", "difference")
DIFFERENCE_FIELDS: tuple[str, ...] = (*METRIC_FIELDS, "t", "df", "p", "p_holm")
CLASS_FIELDS: tuple[str, ...] = tuple(name for name in ClassRow._fields if name != "name")
_EXAMPLE = "cross_entropy < 0.35"
_CLASS_EXAMPLE = "class[cat].cross_entropy < 0.5"
_MODEL = "model[new].cross_entropy < 0.35"
_DELTA = "delta.cross_entropy.upper < 0.005"
_DELTA_SLICE = "delta.slice[country=DE].cross_entropy.upper < 0.01"
_SLICE_EXAMPLE = "slice[country=DE].cross_entropy < 0.5"
# What others call a metric.
_OTHER_NAMES = {
    **dict.fromkeys(("loss", "log_loss", "logloss", "nll", "ce", "xent", "cross_entropy_loss"), "cross_entropy"),
    **dict.fromkeys(("acc", "top1"), "accuracy"),
    **dict.fromkeys(("brier_score", "mse"), "brier"),
    **dict.fromkeys(("calibration", "calibration_error", "expected_calibration_error"), "ece"),
    **dict.fromkeys(("ppl", "pplx"), "perplexity"),
    **dict.fromkeys(("kl", "kld"), "kl_divergence"),
    **dict.fromkeys(("rows", "n", "samples"), "counts.scored"),
    **dict.fromkeys(("auc", "auroc", "roc_auc", "f1", "precision", "recall"), ""),  # there is none of these
}
_NEITHER_IS_WORSE = ("n", "weight", "df", "p", "p_holm")  # numbers of a slice
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


def parse_gate(text: str) -> Gate:
    """Parse `METRIC[.value|.lower|.upper|.stderr] OP NUMBER[%]`, OP being one of < <= > >= == and !=.

    METRIC is a name of `METRICS`, `slice[COL=VALUE].METRIC`, `worst_slice.METRIC`, `bootstrap.NAME` (whose field is not
    optional), `counts.NAME`, `class[NAME].FIELD`, `quantiles.NAME`, `concentration.NAME` or `max_row_sum_error`; the last five
    have no fields. Before a name of `METRICS`, and a slice, may stand `delta.`, and before anything `model[NAME].`. NUMBER is
    decimal, scientific, `inf` or `-inf`; `%` divides it by 100 before it is rounded to a double. Raises `CeError` with the
    code `bad_gate`.
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
    if re.search("[<>=!]", re.sub(r"\[.*\]", "", text)):  # what stands in brackets is a name
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
    _known(name, (*SLICED, *SLICE_FIELDS), "figure of a slice", spelling, _SLICE_EXAMPLE)
    if name in SLICE_FIELDS and name != "difference":
        if dot:
            raise _MalformedError(f"{name} has no fields", f"write {spelling.format(name)}")
        return (name,)
    if not dot:
        return name, "value"
    known = DIFFERENCE_FIELDS if name == "difference" else SLICED[name]
    return name, _known(field, known, f"field of the {name} of a slice", spelling.format(name + ".{}"), _SLICE_EXAMPLE)


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


def _parse_delta(text: str) -> DeltaSubject | DeltaSliceSubject:
    if text.startswith("slice["):
        return _parse_delta_slice(text)
    name, dot, field = text.partition(".")
    if name not in METRICS:
        close = [f"delta.{match}" for match in _close_matches(name, METRICS)]
        message = f"'delta.{name}' is not a difference of a metric" if name else "a metric is missing"
        known = f"delta.METRIC, for example {_DELTA}, or {_DELTA_SLICE}"
        raise _MalformedError(message, f"{_did_you_mean(close)}{known}")
    return DeltaSubject(name, _known(field, METRIC_FIELDS, "field", f"delta.{name}.{{}}", _DELTA) if dot else "value")


def _parse_delta_slice(text: str) -> DeltaSliceSubject:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise _MalformedError(
            "a slice needs a closing bracket and a metric", f"delta.slice[COL=VALUE].METRIC, for example {_DELTA_SLICE}"
        )
    name, dot, field = match["field"].partition(".")
    spelling = "delta.slice[…].{}"
    _known(name, dict.fromkeys(PAIRED.values()), "difference of a slice", spelling, _DELTA_SLICE)
    if dot:
        _known(field, METRIC_FIELDS, "field", spelling.format(name + ".{}"), _DELTA_SLICE)
    return DeltaSliceSubject(match["name"].strip(), name, field if dot else "value")


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
    meant = _OTHER_NAMES.get(text.lower().replace("-", "_").replace(" ", "_"))
    close = [*filter(None, [meant])] if meant is not None else _close_matches(text, [*names, "max_row_sum_error"])
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
