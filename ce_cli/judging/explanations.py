"""The mistakes that are tried on the first rows, what each would give, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.judging.evidence import CAP, Evidence, Reading
from ce_cli.kernels.multiclass import log_sum_exp, most_after_softmax
from ce_cli.plan import Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from ce_cli.arrays import Floats, Ints
    from ce_cli.judging.evidence import Losses
    from ce_cli.plan import EvalPlan
    from ce_cli.tasks.base import Context

_LEAST_SKILL = 0.02  # with the explanation
_LEAST_SKILL_CALIBRATED = 0.003  # the same where it makes the scores calibrated, as rare outcomes leave little skill
_LEAST_GAIN = 0.05  # in skill
_LEAST_GAIN_TOLD = 0.005  # the same where the scores themselves tell what they are
_SURE, _SURE_OF_GAIN = 2.0, 4.0  # standard errors by which rows are better than the prior, and better than as given
_MOST = 3  # explanations
_WORTH = 0.5  # of the best one's skill
_BETTER = 0.02  # in skill: what any permutation must add to one that has a name
_SUM = 0.01  # by which rows may miss a sum of 1
_MOST_ASSIGNED = 1000  # classes that are permuted
_ROWS_EACH = 5  # for each of these classes
_MOST_NAMED = 6  # columns in a sentence


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was mistaken for what, what the first rows would give without the mistake, and what mends it.

    code: the name of the mistake. Losses in nats, over `n` rows. classes: what the score columns hold, in their order, where
    that is the mistake. shift: by how many rows the labels are behind their scores.
    """

    code: str
    message: str
    fix: str
    n: int
    cross_entropy: float
    skill: float
    given_cross_entropy: float
    given_skill: float
    classes: tuple[str, ...] = ()
    shift: int = 0
    worth: float = 0.0  # the skill with no outcome costing more than the cap, by which explanations are compared

    def to_dict(self, unit: float) -> dict[str, Any]:
        """Return plain values, losses in units of so many nats."""
        return {
            "explanation": self.code,
            "message": self.message,
            "cross_entropy": self.cross_entropy / unit,
            "skill": self.skill,
            "given_cross_entropy": self.given_cross_entropy / unit,
            "given_skill": self.given_skill,
            "n": self.n,
            "fix": self.fix,
            **({"classes": list(self.classes)} if self.classes else {}),
            **({"shift": self.shift} if self.shift else {}),
        }


class Trial(NamedTuple):
    """One mistake, and what rows would lose without it.

    least_gain: in skill; None where the loss as given is no proper score, so that nothing compares with it. held_out: the
    losses to decide by, of rows that `losses` were not fitted to, where they were fitted.
    """

    code: str
    message: str
    fix: str
    losses: Losses
    least_gain: float | None = _LEAST_GAIN
    least_skill: float = _LEAST_SKILL
    held_out: Losses | None = None
    classes: tuple[str, ...] = ()
    shift: int = 0


class Case(NamedTuple):
    """What is known of a run: the decisions and the first rows."""

    context: Context
    rows: Evidence

    @property
    def plan(self) -> EvalPlan:
        """What was decided."""
        return self.context.plan


def explain(context: Context, columns: Mapping[str, npt.NDArray[Any]], *, poor: float) -> list[Explanation]:
    """Return the mistakes that explain the loss of these rows, the best explanation first.

    poor: the skill below which anything is tried; above it only what the scores themselves tell.
    """
    case = Case(context, Evidence(context.plan, columns))
    if not case.rows.enough:
        return []
    given = case.rows.compared(case.rows.given)
    tries: list[Callable[[Case], Iterator[Trial]]] = [_scores_of_another_scale, _second_softmax]
    if given.skill(given.given_capped) < poor:
        tries += [_complement, _other_order, _shifted, _mistaken_scale]
    found = [_judged(trial) for one in tries for trial in one(case)]
    told = sorted((one for one in found if one is not None), key=lambda one: -one.worth)
    told = [one for one in told if one.worth >= _WORTH * told[0].worth]
    return _without_repetition(told)[:_MOST]


def _judged(trial: Trial) -> Explanation | None:
    """Return what a mistake explains, if it clearly does."""
    losses = trial.losses if trial.held_out is None else trial.held_out
    if len(losses.weight) < 2:
        return None
    skill, before = losses.skill(losses.capped), losses.skill(losses.given_capped)
    if not (skill >= trial.least_skill and losses.t(losses.prior - losses.capped) >= _SURE):
        return None
    if trial.least_gain is not None and (
        skill - before < trial.least_gain or losses.t(losses.given_capped - losses.capped) < _SURE_OF_GAIN
    ):
        return None
    told = trial.losses
    return Explanation(
        trial.code,
        trial.message,
        trial.fix,
        len(told.weight),
        told.mean(told.loss),
        told.skill(told.loss),
        told.mean(told.given),
        told.skill(told.given),
        trial.classes,
        trial.shift,
        told.skill(told.capped),
    )


def _without_repetition(found: Sequence[Explanation]) -> list[Explanation]:
    """Return the explanations without a permutation that a named one is as good as."""
    named = [one.worth for one in found if one.code in ("class_order", "labels_off_by_one")]
    best = max(named, default=-math.inf)
    return [one for one in found if one.code != "permuted_columns" or one.worth > best + _BETTER]


# --- what the scores themselves tell -------------------------------------------------------------------------------


def _scores_of_another_scale(case: Case) -> Iterator[Trial]:
    """Probabilities or log-probabilities of another base that were taken for something else, as their range or sums tell."""
    rows, plan = case.rows, case.plan
    score = rows.score
    if plan.task == "regression" and plan.scale in (Scale.DISTRIBUTION, Scale.POINT):
        return
    several = score.shape[1] > 1 and not rows.separate
    if plan.scale is Scale.LOGITS and score.min() >= 0 and score.max() <= 1:
        losses = rows.losses(Reading(Scale.PROBS))
        if (np.abs(score.sum(axis=1) - 1) <= _SUM).all() if several else rows.is_calibrated(losses):
            message = "the scores are probabilities, but were taken for logits"
            yield Trial("probs", message, "pass --input probs", rows.compared(losses), _LEAST_GAIN_TOLD)
    if several and plan.scale in (Scale.LOGITS, Scale.LOGPROBS) and score.max() <= 0:
        for base in _other_bases(plan):
            if (np.abs(np.expm1(log_sum_exp(score * math.log(base)))) <= _SUM).all():
                yield _of_base(case, base, None if plan.row_sum == "raw" else _LEAST_GAIN_TOLD)


def _other_bases(plan: EvalPlan) -> list[float]:
    """Return the bases that log-probabilities may have beside the one that they were taken to have."""
    if plan.scale is Scale.LOGITS:  # those of base e are logits too
        return [2.0, 10.0]
    return [base for base in (math.e, 2.0, 10.0) if base != (plan.log_base or math.e)]


def _of_base(case: Case, base: float, least_gain: float | None) -> Trial:
    name = "e" if base == math.e else f"{base:g}"
    taken = "logits" if case.plan.scale is Scale.LOGITS else f"those of base {case.plan.input_base}"
    losses = case.rows.losses(Reading(Scale.LOGPROBS, None if base == math.e else base))
    fix = f"pass --input logprobs --input-base {name}"
    message = f"the scores are log-probabilities of base {name}, but were taken for {taken}"
    return Trial("logprobs", message, fix, case.rows.compared(losses), least_gain)


def _second_softmax(case: Case) -> Iterator[Trial]:
    """Probabilities that are the softmax of probabilities: log p_i = q_i - c, so q follows from the differences."""
    rows, plan = case.rows, case.plan
    if plan.scale not in (Scale.PROBS, Scale.PERCENT):
        return
    if rows.separate:
        yield from _second_sigmoid(case)
        return
    k = rows.score.shape[1]
    if rows.score.min() <= 0 or rows.score.max() > most_after_softmax(k) + 1e-3:
        return
    logs = np.log(rows.score)
    first = logs - logs.mean(axis=1, keepdims=True) + 1.0 / k
    least = first.min(axis=1)
    # The first softmax of a sure model has probabilities near 0, and none has any below.
    if least.min() < -_ROUNDED or (k > 2 and float(np.median(least)) > _NEAR_0):
        return
    first = np.maximum(first, math.exp(-CAP))
    losses = -np.log(first / first.sum(axis=1, keepdims=True))[:, None, :]
    if k == 2 and not rows.is_calibrated(losses):
        return
    yield _twice("softmax", case, losses)


_ROUNDED, _NEAR_0 = 0.02, 0.05


def _second_sigmoid(case: Case) -> Iterator[Trial]:
    """Single scores of the same kind: the sigmoid of a probability q, or the softmax of (1 - q, q)."""
    prob = case.rows.score
    if prob.min() <= 0 or prob.max() >= 1:
        return
    logit = np.log(prob) - np.log1p(-prob)
    for name, first in (("sigmoid", logit), ("softmax", (1.0 + logit) / 2.0)):
        if first.min() < -_ROUNDED or first.max() > 1 + _ROUNDED:
            continue
        losses = case.rows.losses(Reading(Scale.PROBS), np.clip(first, 0.0, 1.0))
        if case.rows.is_calibrated(losses):
            yield _twice(name, case, losses)


def _twice(name: str, case: Case, losses: Floats) -> Trial:
    message = f"the scores went through a {name} twice: they look like the {name} of probabilities"
    fix = f"leave out the second {name} where the scores are written"
    return Trial("second_softmax", message, fix, case.rows.compared(losses), _LEAST_GAIN_TOLD)


# --- which outcome a score is of -----------------------------------------------------------------------------------


def _complement(case: Case) -> Iterator[Trial]:
    """Scores of two outcomes that are exchanged."""
    rows, plan = case.rows, case.plan
    if rows.labels.shape[1] != 2 or plan.task not in ("binary", "multiclass", "multilabel"):
        return
    losses = rows.compared(rows.given[..., ::-1])
    names, single = plan.classes, rows.separate
    if plan.task == "multilabel":
        message = "the scores are of a label not being there"
        yield Trial("complement", message, "score the presence of each label: 1 - p", losses)
        return
    other = names[::-1]
    if single:
        message = f"the score is of the class {names[0]}, not of {names[1]}"
        placeholder = names[0] == f"not {names[1]}" or rows.labels.soft
        fix = f"score the class {names[1]}: 1 - p" if placeholder else f"pass --positive {_word(names[0])}"
    else:
        message = f"the scores of {names[0]} and {names[1]} are exchanged"
        fix = _naming(case, other)
    yield Trial("complement", message, fix, losses, classes=() if single else other)


def _word(name: str) -> str:
    """Return a name as a shell takes it."""
    import shlex

    return shlex.quote(name)


def _naming(case: Case, classes: tuple[str, ...]) -> str:
    """Return how the score columns get these classes."""
    plan, scores = case.plan, case.context.layout.scores
    if scores.list_size is not None and len(",".join(classes)) <= 200 and plan.task != "regression":
        return f"pass --classes {_word(','.join(classes))}"
    columns = scores.columns if len(scores.columns) == len(classes) else plan.classes
    moved = [(column, new) for column, old, new in zip(columns, plan.classes, classes, strict=True) if old != new]
    told = ", ".join(f"{column} holds {new}" for column, new in moved[:_MOST_NAMED])
    more = f" and {len(moved) - _MOST_NAMED} more" if len(moved) > _MOST_NAMED else ""
    return f"name the score columns after what they hold: {told}{more}"


def _other_order(case: Case) -> Iterator[Trial]:
    """Columns that stand in another order than their names: of text instead of numbers, one further, or any."""
    rows, plan = case.rows, case.plan
    labels = plan.task == "multilabel"
    k = rows.labels.shape[0 if labels else 1]
    if k < (2 if labels else 3) or plan.scale in (Scale.DISTRIBUTION, Scale.POINT):
        return
    if not labels:
        for code, message, order in _named_orders(plan.classes):
            yield _reordered(case, code, message, order)
    there = int((rows.labels.held(rows.weight).sum(axis=1 if labels else 0) > 0).sum())
    if k > _MOST_ASSIGNED or len(rows.row) < _ROWS_EACH * there:
        return
    everything = np.arange(len(rows.row))
    even, odd = everything[::2], everything[1::2]
    half, whole = _assigned(rows, even), _assigned(rows, everything)
    if half is None or whole is None or (half == np.arange(k)).all():
        return
    held_out = rows.compared(_taken(rows, rows.given[odd], half), odd)
    message = "the score columns stand in another order than their names"
    trial = _reordered(case, "permuted_columns", message, whole)
    yield trial._replace(held_out=held_out)


def _named_orders(classes: tuple[str, ...]) -> Iterator[tuple[str, str, Ints]]:
    """Yield orders of columns by the mistake that leads to them: where the scores of each class really are."""
    k = len(classes)
    try:
        numeric = sorted(range(k), key=lambda at: int(classes[at]))
    except ValueError:
        numeric = []
    text = sorted(range(k), key=lambda at: classes[at])
    if numeric and numeric != text:
        both = (
            (text, "the score columns stand in the order of text (0, 1, 10, 2), not of numbers"),
            (numeric, "the score columns stand in the order of numbers (0, 1, 2, 10), not of text"),
        )
        for really, message in both:
            order = np.empty(k, dtype=np.int64)
            order[really] = np.arange(k)  # column j holds the class really[j]
            yield "class_order", message, order
    for step, word in ((-1, "before"), (1, "after")):
        order = (np.arange(k) + step) % k
        yield "labels_off_by_one", f"each label is the number of the class {word} it: counted from 0 or from 1?", order


def _taken(rows: Evidence, losses: Floats, order: Ints) -> Floats:
    """Return the losses with every class scored by its column in an order."""
    return losses[:, order, :] if rows.plan.task == "multilabel" else losses[:, :, order]


def _reordered(case: Case, code: str, message: str, order: Ints) -> Trial:
    holds = np.empty(len(order), dtype=np.int64)
    holds[order] = np.arange(len(order))
    classes = tuple(case.plan.classes[at] for at in holds.tolist())
    losses = case.rows.compared(_taken(case.rows, case.rows.given, order))
    fix = _naming(case, classes)
    if code == "labels_off_by_one":
        fix = f"add or subtract 1 from the labels, or {fix}"
    return Trial(code, message, fix, losses, classes=classes)


def _assigned(rows: Evidence, chosen: Ints) -> Ints | None:
    """Return the column that each class should have for the smallest loss of some rows: an assignment, `(k,) int64`.

    None where even the best column for each class by itself has no skill.
    """
    weight, labels = rows.weight[chosen], rows.labels.take(chosen)
    cost = labels.costs(np.minimum(rows.given[chosen], CAP), weight)
    # A class without rows stays where it is.
    cost = cost - 1e-9 * (np.abs(cost).max() + 1.0) * np.eye(len(cost))
    best: Ints = cost.argmin(axis=1)
    if float(cost.min(axis=1).sum()) > (1 - _LEAST_SKILL) * float((weight * labels.prior(weight)).sum()):
        return None
    if len(np.unique(best)) == len(best):
        return best
    from scipy.optimize import linear_sum_assignment  # some 40 MB

    columns: Ints = linear_sum_assignment(cost)[1].astype(np.int64)
    return columns


# --- which row a score is of ---------------------------------------------------------------------------------------


def _shifted(case: Case) -> Iterator[Trial]:
    """Labels that belong to the scores of the row before or after."""
    if case.plan.alignment not in ("position", "file"):
        return
    rows = case.rows
    for shift, words in ((1, "before"), (-1, "after")):
        follows = np.flatnonzero(np.diff(rows.row) == 1)
        of_label, of_score = (follows + 1, follows) if shift == 1 else (follows, follows + 1)
        if len(of_label) < 2:
            continue
        losses = rows.compared(rows.given[of_score], of_label)
        message = f"each label belongs to the scores of the row {words} it"
        side = "labels" if shift == 1 else "scores"
        fix = f"look for a row that the {side} have too many at their start, such as a header, or the other side lost"
        yield Trial("shifted_rows", message, fix, losses, shift=shift)


# --- single scores that were taken for something else ----------------------------------------------------------------


def _mistaken_scale(case: Case) -> Iterator[Trial]:
    """Scores that could be of either scale by their range; what they are is the scale by which they are calibrated."""
    rows = case.rows
    if not rows.separate:
        return
    for code, message, fix, score, reading in _readings(case):
        losses = rows.losses(reading, score)
        if rows.is_calibrated(losses):
            compared = rows.compared(losses)
            yield Trial(code, f"the scores are {message}", f"pass {fix}", compared, least_skill=_LEAST_SKILL_CALIBRATED)


def _readings(case: Case) -> Iterator[tuple[str, str, str, Floats, Reading]]:
    plan, score = case.plan, case.rows.score
    if plan.scale is Scale.PROBS:
        taken = ", but were taken for probabilities"
        yield "percent", f"percentages{taken}", "--input percent", score / 100.0, Reading(Scale.PROBS)
        yield "logits", f"logits{taken}", "--input logits", score, Reading(Scale.LOGITS)
    if plan.scale is Scale.PERCENT and score.max() <= 0.01:
        taken = ", but were taken for percentages"
        yield "probs", f"probabilities{taken}", "--input probs", np.minimum(score * 100.0, 1.0), Reading(Scale.PROBS)
    if plan.scale is Scale.LOGPROBS and plan.log_base is None:
        taken = ", but were taken for log-probabilities"
        yield "logits", f"logits{taken}", "--input logits", score, Reading(Scale.LOGITS)
    if score.max() > 0:
        return
    if plan.scale in (Scale.LOGITS, Scale.LOGPROBS):
        taken = "logits" if plan.scale is Scale.LOGITS else f"those of base {plan.input_base}"
        current = None if plan.scale is Scale.LOGITS else plan.log_base or math.e
        for base, name in ((math.e, "e"), (2.0, "2"), (10.0, "10")):
            if base != current:
                message = f"log-probabilities of base {name}, but were taken for {taken}"
                reading = Reading(Scale.LOGPROBS, None if base == math.e else base)
                yield "logprobs", message, f"--input logprobs --input-base {name}", score, reading
