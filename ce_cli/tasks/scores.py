"""The checks of scores, shared by every task with one score or K of them in a row.

All arrays are `(n, k) float64`, k = 1 for a single score of the positive class. Few columns of a file lie column by column.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.checks import Fault
from ce_cli.kernels.double import differences_are_exact, scaled_by_log
from ce_cli.kernels.multiclass import log_sum_exp
from ce_cli.kernels.rows import FEW_COLUMNS, row_sums
from ce_cli.plan import Scale
from ce_cli.readers.arrays import any_in_row, few_stacked, matrix, numbers, plain, stacked
from ce_cli.state.extent import extent_of
from ce_cli.tasks.base import Notes, first_true

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats
    from ce_cli.block import Pair
    from ce_cli.checks import RowChecks
    from ce_cli.state.extent import Extent
    from ce_cli.tasks.base import Context

TOLERANCE = {
    "text": math.sqrt(float(np.finfo(np.float32).eps)),
    "float64": math.sqrt(float(np.finfo(np.float32).eps)),
    "float32": math.sqrt(float(np.finfo(np.float32).eps)),
    "float16": math.sqrt(float(np.finfo(np.float16).eps)),
}
_WIDEST_TOLERANCE = 0.01
_UNEVEN = 3.5e-4  # from where on a row that is scored as it is does not sum to 1
_ROUNDING = float(np.finfo(np.float64).eps)  # of a sum, for each term: less is no reason to normalise
_SENTINELS = (
    -9999.0,
    float(np.finfo(np.float64).min),
    float(np.finfo(np.float32).min),
    float(np.finfo(np.float16).min),
    -3.3895313892515355e38,  # bfloat16
)
_MEND = "mend the model's output, or leave the rows out with --on-invalid drop"
_NAMES_OF_SCORES = {
    Scale.PROBS: "probability",
    Scale.PERCENT: "percentage",
    Scale.LOGITS: "logit",
    Scale.LOGPROBS: "log-probability",
}


def check_held_scores(context: Context, pair: Pair, checks: RowChecks) -> tuple[npt.NDArray[Any], Notes]:
    """Return what `check_scores` does of one label a row, as they lie; logits that are float32 in the file stay so."""
    read = read_scores(context, pair, checks)
    if context.plan.scale is not Scale.LOGITS:
        return _checked_probabilities(context, read, checks, sums=True)
    _check_logits(context, read, checks, sums=True)
    # Told from half of the bytes that the kernels get.
    single = read.held.dtype == np.float32 and read.held.shape[1] > 1
    return read.held, Notes(exact=single and differences_are_exact(read.held))


def check_scores(context: Context, pair: Pair, checks: RowChecks, *, sums: bool = True) -> tuple[Floats, Notes]:
    """Return the scores of a pair, `(n, k)` in C order: probabilities in [0, 1], logits, or log-probabilities up to 0.

    Rows that are at fault hold anything; `checks` knows them. Percentages come back as probabilities. sums: whether the
    scores of a row are of classes that exclude each other.
    """
    read = read_scores(context, pair, checks)
    if context.plan.scale is Scale.LOGITS:
        _check_logits(context, read, checks, sums=sums)
        return np.ascontiguousarray(read.scores), Notes()
    scores, notes = _checked_probabilities(context, read, checks, sums=sums)
    return np.ascontiguousarray(scores), notes


def _checked_probabilities(
    context: Context, read: ReadScores, checks: RowChecks, *, sums: bool
) -> tuple[Floats, Notes]:
    check = _check_logprobs if context.plan.scale is Scale.LOGPROBS else _check_probabilities
    return check(context, read, checks, sums=sums)


class ReadScores(NamedTuple):
    """Scores, `(n, k)`, as they lie.

    held: float32 where the file has that, else float64. raw: as the file has them. extent: theirs, of NaN where one is NaN.
    """

    held: npt.NDArray[Any]
    raw: npt.NDArray[np.floating]
    extent: Extent

    @property
    def scores(self) -> Floats:
        """The scores, float64."""
        return self.held.astype(np.float64, copy=False)


def read_scores(context: Context, pair: Pair, checks: RowChecks) -> ReadScores:
    """Return the scores; fail rows where one is missing or no number."""
    layout = context.layout.scores
    if layout.list_size is not None:
        return _read_list(context, pair.predictions.column(layout.columns[0]), checks)
    stack = few_stacked if len(layout.columns) <= FEW_COLUMNS else stacked
    filled = stack(pair.predictions, layout.columns) if len(layout.columns) > 1 else None
    if filled is not None:
        held = _held(filled)
        return _checked(
            context, ReadScores(held, filled if filled.dtype.kind == "f" else held, extent_of(held)), checks
        )
    columns = [pair.predictions.column(name) for name in layout.columns]
    parsed = [numbers(column) for column in columns]
    for name, column in zip(layout.columns, parsed, strict=True):
        _fail_cells(context, checks, "missing_prediction", column.missing, name, "", "the score is empty")
    for name, column in zip(layout.columns, parsed, strict=True):
        if column.bad:
            _fail_unreadable(context, checks, name, column.bad, len(column.values))
    scores = _side_by_side([column.values for column in parsed])
    narrow = context.plan.score_dtype in ("float32", "float16")
    raw = scores.astype(context.plan.score_dtype) if narrow else scores
    return _checked(context, ReadScores(scores, raw, extent_of(scores)), checks)


def _side_by_side(columns: list[Floats]) -> Floats:
    """Return `(n,)` each as `(n, k)`: few of them column by column in memory."""
    if len(columns) == 1:
        return columns[0][:, None]
    return np.stack(columns).T if len(columns) <= FEW_COLUMNS else np.stack(columns, axis=1)


def _read_list(context: Context, column: pa.Array, checks: RowChecks) -> ReadScores:
    name, k = context.layout.scores.columns[0], context.layout.scores.list_size or 1
    values, missing, sizes = matrix(plain(column), k)
    _fail_cells(context, checks, "missing_prediction", missing, name, "", "a score is empty")
    if sizes:
        wrong = np.zeros(len(values), dtype=np.bool_)
        wrong[list(sizes)] = True
        checks.fail(
            "malformed_row",
            wrong,
            context.predictions_path,
            lambda at: Fault(name, str(sizes[at]), f"expected a list of {k} scores, but got one of {sizes[at]}"),
            hint="every row has one score for each class",
        )
    held = _held(values)
    return _checked(context, ReadScores(held, values, extent_of(held)), checks)


def _fail_cells(
    context: Context, checks: RowChecks, code: str, bad: Bools | None, name: str, value: str, message: str
) -> None:
    checks.fail(
        code,
        bad,
        context.predictions_path,
        lambda _: Fault(name, value, message),
        hint="fill these cells, or leave the rows out with --on-invalid drop",
    )


def _fail_unreadable(context: Context, checks: RowChecks, name: str, bad: dict[int, str], rows: int) -> None:
    flags = np.zeros(rows, dtype=np.bool_)
    flags[list(bad)] = True
    checks.fail(
        "not_a_number",
        flags,
        context.predictions_path,
        lambda at: Fault(name, bad[at], f"{bad[at]!r} is not a number"),
        hint="write numbers with a decimal point"
        if any("," in text for text in bad.values())
        else "mend these cells, leave the rows out with --on-invalid drop, or choose the score columns with --pred-cols",
    )


def _held(raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return raw if raw.dtype == np.float32 else raw.astype(np.float64, copy=False)


def _checked(context: Context, read: ReadScores, checks: RowChecks) -> ReadScores:
    """Fail rows with a NaN."""
    if math.isnan(read.extent.largest):
        _fail_scores(context, checks, "nan_prediction", np.isnan(read.held), lambda _: "NaN is not a score", _MEND)
    return read


def _fail_scores(
    context: Context,
    checks: RowChecks,
    code: str,
    bad: Bools,
    message: Callable[[float], str],
    hint: str | None,
    shown: npt.NDArray[np.floating] | None = None,
) -> None:
    """Fail the rows with any bad cell; the first bad cell of a row is shown."""
    names = context.layout.scores.columns

    def describe(at: int) -> Fault:
        cell = first_true(bad[at])
        value = float("nan") if shown is None else shown[at, cell]
        name = names[cell] if len(names) > 1 else names[0]
        text = str(value)
        place = f"class {context.plan.classes[cell]}: " if bad.shape[1] > 1 and len(names) == 1 else ""
        return Fault(name, text, place + message(value))

    checks.fail(code, any_in_row(bad), context.predictions_path, describe, hint=hint)


def _check_probabilities(context: Context, read: ReadScores, checks: RowChecks, *, sums: bool) -> tuple[Floats, Notes]:
    scores, raw, extent = read.scores, read.raw, read.extent
    percent = context.plan.scale is Scale.PERCENT
    whole = 100.0 if percent else 1.0
    tolerance = TOLERANCE[context.plan.score_dtype]
    above = None
    if not (extent.least >= 0 and extent.largest <= whole):
        # Rows that failed an earlier check hold anything; NaN must not hide the others.
        usable = np.where(np.isnan(scores), 0.0, scores)
        if not percent:
            checks.faults.widen(usable.min(axis=0), usable.max(axis=0))
        bad = (usable < 0) | (usable > whole * (1 + tolerance))
        kind = _NAMES_OF_SCORES[context.plan.scale]
        _fail_scores(
            context,
            checks,
            "probability_out_of_range",
            bad,
            lambda value: f"{value} is not a {kind}",
            "a percentage is a number from 0 to 100",
            shown=raw,
        )
        over = usable > whole
        above = any_in_row(over)
        scores = np.where(over, whole, usable)
    values = scores / whole if percent else scores
    if values.shape[1] == 1 or not sums:
        return values, Notes({"above_one": above})
    return _check_sums(context, values, raw, above, checks)


def _check_sums(
    context: Context, probs: Floats, raw: npt.NDArray[np.floating], above: Bools | None, checks: RowChecks
) -> tuple[Floats, Notes]:
    sums = row_sums(probs)
    error = np.abs(sums - 1.0)
    if context.plan.row_sum == "raw":
        return probs, Notes({"above_one": above, "uneven": error > _UNEVEN}, error)
    if context.plan.row_sum == "normalize":
        zero = sums == 0
        _fail_rows(context, checks, "row_sum", zero, lambda _: "the probabilities are all 0", None)
        with np.errstate(invalid="ignore", divide="ignore"):
            normalized = probs / sums[:, None]
        return normalized, Notes({"above_one": above, "renormalized": error > probs.shape[1] * _ROUNDING}, error)
    beyond = error > TOLERANCE[context.plan.score_dtype]
    if beyond.any():
        bad = beyond.copy()
        rows = np.flatnonzero(beyond)
        bad[rows] = error[rows] > (1 + 1e-9) * _rounding_tolerance(raw[rows], context.plan.scale is Scale.PERCENT)
        _fail_rows(
            context,
            checks,
            "row_sum",
            bad,
            lambda at: f"the probabilities sum to {float(sums[at])!r}, not to 1",
            "pass --row-sum normalize to divide by the sum, or --row-sum raw to score them as they are",
        )
    return probs, Notes({"above_one": above}, error)


def _fail_rows(
    context: Context, checks: RowChecks, code: str, bad: Bools, message: Callable[[int], str], hint: str | None
) -> None:
    names = context.layout.scores.columns
    name = names[0] if len(names) == 1 else None
    checks.fail(code, bad, context.predictions_path, lambda at: Fault(name, "", message(at)), hint=hint)


def _rounding_tolerance(raw: npt.NDArray[np.floating], percent: bool) -> Floats:
    """Return by how much the sum of a row may miss because its numbers were written with few decimals.

    raw: `(n, k)` in the dtype of the file. The bound is k · ½ · 10⁻ᵈ, d being the most decimals that any number of the row
    needs, and at most 0.01. A float has d decimals at most if dividing a whole number by 10ᵈ gives it back.
    """
    rows, k = raw.shape
    tolerance = np.zeros(rows)
    undecided = np.ones(rows, dtype=np.bool_)
    for decimals in range(9):
        ten = 10.0**decimals
        unit = 0.5 * k / ten / (100.0 if percent else 1.0)
        with np.errstate(over="ignore"):
            whole = np.rint(raw.astype(np.float64) * ten)
        fits = ((whole / ten).astype(raw.dtype) == raw).all(axis=1) & undecided
        tolerance[fits] = min(unit, _WIDEST_TOLERANCE)
        undecided &= ~fits
        if not undecided.any():
            break
    return tolerance


def _check_logits(context: Context, read: ReadScores, checks: RowChecks, *, sums: bool) -> None:
    scores, extent = read.held, read.extent
    if math.isfinite(extent.least) and math.isfinite(extent.largest):
        return
    _fail_scores(
        context,
        checks,
        "infinite_logit",
        np.isposinf(scores),
        lambda _: "+inf is not a logit",
        "fix the model's output",
    )
    if scores.shape[1] > 1 and sums:
        _fail_rows(
            context, checks, "undefined_row", ~any_in_row(~np.isneginf(scores)), lambda _: "every logit is -inf", None
        )


def _check_logprobs(context: Context, read: ReadScores, checks: RowChecks, *, sums: bool) -> tuple[Floats, Notes]:
    scores, extent = read.scores, read.extent
    tolerance = TOLERANCE[context.plan.score_dtype]
    above = None
    if not extent.largest <= 0:
        usable = np.where(np.isnan(scores), -1.0, scores)
        _fail_scores(
            context,
            checks,
            "logprob_positive",
            usable > tolerance,
            lambda value: f"{value} is above 0 and no log-probability",
            "if these are logits, pass --input logits"
            if scores.shape[1] > 1 or context.plan.task != "tokens"
            else "if these are losses, change their sign",
            shown=scores,
        )
        over = usable > 0
        above = any_in_row(over)
        scores = np.where(over, 0.0, usable)
    if (extent.least if above is None else scores.min()) <= _SENTINELS[0]:
        _fail_scores(
            context,
            checks,
            "sentinel_logprob",
            np.isin(scores, _SENTINELS),
            lambda value: f"{value} stands for a value that is not known, not for a log-probability",
            "leave these rows out, or export the log-probabilities in full",
            shown=scores,
        )
    if scores.shape[1] == 1 or not sums:
        return scores, Notes({"above_one": above})
    return _check_log_sums(context, scores, above, checks, tolerance)


def _check_log_sums(
    context: Context, scores: Floats, above: Bools | None, checks: RowChecks, tolerance: float
) -> tuple[Floats, Notes]:
    base = context.plan.log_base
    totals = log_sum_exp(scaled_by_log(scores, base)[0])
    error = np.abs(np.expm1(totals))
    if context.plan.row_sum == "raw":
        return scores, Notes({"above_one": above, "uneven": error > _UNEVEN}, error)
    if context.plan.row_sum == "normalize":
        _fail_rows(
            context, checks, "undefined_row", np.isneginf(totals), lambda _: "every log-probability is -inf", None
        )
        with np.errstate(invalid="ignore"):
            shifted = scores - (totals / (1.0 if base is None else math.log(base)))[:, None]
        return np.minimum(shifted, 0.0), Notes(
            {"above_one": above, "renormalized": error > scores.shape[1] * _ROUNDING}, error
        )
    bad = ~(np.abs(totals) <= tolerance)
    other_base = _other_base(scores, tolerance) if base is None and bad.any() else None
    _fail_rows(
        context,
        checks,
        "row_sum",
        bad,
        lambda at: f"the probabilities sum to {float(np.exp(totals[at]))!r}, not to 1",
        other_base or "if these are logits, pass --input logits; or pass --row-sum normalize or raw",
    )
    return scores, Notes({"above_one": above}, error)


def _other_base(scores: Floats, tolerance: float) -> str | None:
    """Return the hint for logarithms to another base, in which every row would sum to 1; None where there is none."""
    for base in (2, 10):
        if (np.abs(log_sum_exp(scaled_by_log(scores, float(base))[0])) <= tolerance).all():
            return f"these are logarithms to base {base}: pass --input-base {base}"
    return None
