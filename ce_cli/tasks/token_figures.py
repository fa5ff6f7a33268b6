"""What the losses of tokens come to: means, perplexities and bits by token, byte and word, with their intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ce_cli.report import Issue, Metric
from ce_cli.state.fractions import to_float
from ce_cli.state.ratios import Ratio
from ce_cli.state.student_t import t_quantile
from ce_cli.tasks.base import with_interval

if TYPE_CHECKING:
    from ce_cli.plan import EvalPlan
    from ce_cli.state.evaluation import EvalState
    from ce_cli.state.sequences import SequenceStatistics
    from ce_cli.tasks.base import Context

_LN2 = math.log(2.0)
# More than a token costs or holds in the mean: a vocabulary that is drawn from evenly would have a million words.
_TOKEN_LOSS = math.log(1e6)
_TOKEN_BYTES = 32


def error_by_sequence(context: Context, state: EvalState) -> float | None:
    """Return the standard error of the mean loss with sequences as clusters, whatever these are part of; None for infinity."""
    whole: SequenceStatistics = state.parts["sequences"].closed()
    if whole.infinite:
        return None
    reweighed = bool(context.plan.smoothing or context.plan.class_weights)
    error = whole.ratio(
        *(("objective", "objective_weight") if reweighed else ("loss", "weight")), by_sequence=True
    ).error
    return None if error is None else error / context.plan.unit_size


def plain_mean(state: EvalState) -> Ratio:
    """Return the mean loss and its standard error with rows that are independent; infinite where one loss is."""
    mean = state.loss.mean()
    if mean is None or state.tallies["infinite"].count:
        return Ratio(None, None)
    return Ratio(mean, state.loss.standard_error())


def in_unit(plan: EvalPlan, ratio: Ratio, df: int) -> Metric:
    """Return a mean in nats as a metric in the report's unit, with its interval where it has one."""
    assert ratio.value is not None  # finite ones only
    value = to_float(ratio.value)
    return Metric(value / plan.unit_size) if ratio.error is None else with_interval(plan, value, ratio.error, df)


def bounds(plan: EvalPlan, ratio: Ratio, df: int) -> tuple[float, float, float] | None:
    """Return value, lower and upper bound of a ratio in nats; None where it has no interval."""
    if ratio.value is None or ratio.error is None:
        return None
    value, margin = to_float(ratio.value), -t_quantile((1 - plan.confidence) / 2, df) * ratio.error
    return value, value - margin, value + margin


def exponential(plan: EvalPlan, ratio: Ratio, df: int) -> Metric:
    """Return exp of a ratio, the interval on the log scale."""
    if ratio.value is None:
        return Metric(math.inf)
    interval = bounds(plan, ratio, df)
    if interval is None:
        return Metric(_exp(to_float(ratio.value)))
    value, lower, upper = map(_exp, interval)
    return Metric(value, None, lower, upper)


def per_token(plan: EvalPlan, ratio: Ratio, df: int) -> dict[str, Metric]:
    """Return the perplexity and the bits of a token."""
    if ratio.value is None:
        return {"perplexity": Metric(math.inf), "bits_per_token": Metric(math.inf)}
    interval = bounds(plan, ratio, df)
    bits = Metric(to_float(ratio.value) / _LN2)
    if interval is not None and ratio.error is not None:
        value, lower, upper = interval
        bits = Metric(value / _LN2, ratio.error / _LN2, lower / _LN2, upper / _LN2)
    return {"perplexity": exponential(plan, ratio, df), "bits_per_token": bits}


def size_metrics(whole: SequenceStatistics) -> list[str]:
    """Return the names of the metrics that the known sizes allow."""
    found = ["bits_per_byte", "byte_perplexity"] if whole.known("bytes") else []
    return found + (["word_perplexity"] if whole.known("words") else [])


def per_size(plan: EvalPlan, whole: SequenceStatistics) -> dict[str, Metric]:
    """Return the loss by bytes and words, where all are known."""
    metrics, df = {}, whole.units - 1
    if whole.known("bytes"):
        ratio = whole.ratio("loss", "bytes")
        metrics["bits_per_byte"] = bits_on_log_scale(plan, ratio, df)
        metrics["byte_perplexity"] = exponential(plan, ratio, df)
    if whole.known("words"):
        metrics["word_perplexity"] = exponential(plan, whole.ratio("loss", "words"), df)
    return metrics


def bits_on_log_scale(plan: EvalPlan, ratio: Ratio, df: int) -> Metric:
    """Return a ratio in bits, its interval that of its logarithm."""
    assert ratio.value is not None  # finite ones only
    value = to_float(ratio.value) / _LN2
    if ratio.error is None or not value:
        return Metric(value)
    factor = _exp(-t_quantile((1 - plan.confidence) / 2, df) * ratio.error / to_float(ratio.value))
    return Metric(value, ratio.error / _LN2, value / factor, value * factor)


def suspected_sums(plan: EvalPlan, state: EvalState, whole: SequenceStatistics | None) -> tuple[Issue, ...]:
    """Warn where rows that are taken for tokens are likely to be the sums of sequences: one row each, and large ones."""
    mean = state.loss.mean()
    if mean is None or (whole is not None and whole.sequences < state.scored):
        return ()
    loss = to_float(mean)
    told = f"a mean loss of {loss / plan.unit_size:.4g} {plan.unit}" if loss > _TOKEN_LOSS else None
    if whole is not None and whole.known("bytes"):
        size = to_float(whole.total("bytes") / whole.total("weight"))
        told = told or (f"a mean of {size:.4g} bytes" if size > _TOKEN_BYTES else None)
    if told is None:
        return ()
    return (
        Issue(
            "sums_as_tokens",
            "warning",
            f"every row was taken for one token, but {told} is more than a token has: these look like sums of sequences",
            state.scored,
            hint="name the column with the number of tokens of each row with --token-count-col; what is by byte or by sequence "
            "holds as it is",
        ),
    )


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
