"""The law of every state, state(A ∪ B) = state(A) merged with state(B), and what only the whole of them can show."""

from __future__ import annotations

import math
import pickle
import random
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, d2_log_loss_score, log_loss

from ce_cli.block import Objective
from ce_cli.checks import Fault, Faults
from ce_cli.kernels.divergence import Divergence
from ce_cli.plan import EvalPlan, Scale
from ce_cli.state.calibration import CalibrationBins
from ce_cli.state.cell_sums import CellSums
from ce_cli.state.classes import ClassSums, ClassTotals, LabelledRows
from ce_cli.state.evaluation import EvalState
from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import to_float
from ce_cli.state.gradients import GradientSums
from ce_cli.state.histogram import LossHistogram
from ce_cli.state.moments import Moments
from ce_cli.state.products import add_products, factor
from ce_cli.state.tally import Tally
from ce_cli.state.worst import WorstRows
from ce_cli.tasks.classification import ClassScored, ClassStatistics, DivergenceStatistics, Part
from tests.state import weighted_mean

K = 3
PLAN = EvalPlan(
    task="multiclass",
    scale=Scale.PROBS,
    input_base="e",
    classes=("a", "b", "c"),
    single_score=False,
    score_dtype="float64",
    eps=None,
    row_sum="strict",
    alignment="file",
    weighted=False,
    base="e",
    confidence=0.95,
    ece_bins=15,
    top=4,
    on_invalid="error",
)


def empty(plan: EvalPlan = PLAN) -> EvalState:
    return EvalState(plan, {"classes": ClassStatistics(plan)})


def data(n: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    """Return rows with losses and weights from one end of float64 to the other, some infinite, with many ties."""
    generator = np.random.default_rng(seed)
    loss = generator.exponential(1, n)
    loss[: n // 4] = np.ldexp(generator.uniform(1, 2, n // 4), generator.integers(-1074, 1023, n // 4))
    loss[n // 4 : n // 2] = generator.choice([0.0, 0.5, 1e308, 5e-324, math.inf], n // 2 - n // 4)
    loss = generator.permutation(loss)
    weight = np.where(
        generator.random(n) < 0.5, generator.uniform(0.1, 3, n), np.ldexp(1.1, generator.integers(-996, 996, n))
    )
    prob = np.where(generator.random(n) < 0.3, generator.integers(0, 16, n) / 15, generator.random(n))
    return {
        "row": np.arange(n),
        "loss": loss,
        "weight": weight,
        "prob": prob,
        "label": generator.integers(0, K, n),
        "predicted": generator.integers(0, K, n),
        "flag": generator.random(n) < 0.4,
        "judged": generator.random(n) < 0.8,
        "outcome": generator.choice([0.0, 1.0, 0.3], n),
        "share": generator.choice([1.0, 0.5, 0.3, 5e-324], n),
    }


def finite(rows):
    keep = np.isfinite(rows["loss"])
    return {name: values[keep] for name, values in rows.items()}


def words(rows):
    return lambda chosen: [(str(rows["row"][at]),) for at in chosen]


class ExactLaw:
    make = staticmethod(lambda: ExactSums(K))

    @staticmethod
    def add(state, rows, *, weighted):
        some = finite(rows)
        state.add(some["loss"], some["label"])
        if weighted:
            add_products(state, factor(some["loss"]), factor(some["weight"]), some["label"])

    @staticmethod
    def result(state):
        return state.totals()


class MomentsLaw:
    make = Moments

    @staticmethod
    def add(state, rows, *, weighted):
        some = finite(rows)
        state.add(some["loss"], some["weight"] if weighted else None)

    @staticmethod
    def result(state):
        return state.n, state.n and state.mean(), state.n and state.weight(), state.standard_error()


class ClassesLaw:
    make = staticmethod(lambda: ClassSums(K))

    @staticmethod
    def add(state, rows, *, weighted):
        weight = rows["weight"] if weighted else None
        labelled = LabelledRows(rows["label"], rows["loss"], rows["prob"], rows["flag"], rows["judged"], rows["share"])
        state.add(labelled if weighted else labelled._replace(share=None), weight)

    @staticmethod
    def result(state):
        n, *sums, infinite = state.totals()
        return n, [one.fractions() for one in sums], infinite


class CalibrationLaw:
    make = staticmethod(lambda: CalibrationBins(15))

    @staticmethod
    def add(state, rows, *, weighted):
        state.add(rows["prob"], rows["outcome"], rows["weight"] if weighted else None)

    @staticmethod
    def result(state):
        return state.errors()


class HistogramLaw:
    make = LossHistogram

    @staticmethod
    def add(state, rows, *, weighted):
        state.add(rows["loss"])

    @staticmethod
    def result(state):
        return [repr(state.quantile(level)) for level in np.linspace(0, 1, 41).tolist()]


class WorstLaw:
    make = staticmethod(lambda: WorstRows(7))

    @staticmethod
    def add(state, rows, *, weighted):
        state.add(rows["loss"], rows["row"], words(rows))

    @staticmethod
    def result(state):
        return state.rows


class TallyLaw:
    make = Tally

    @staticmethod
    def add(state, rows, *, weighted):
        state.add(np.sort(rows["row"][rows["flag"]]))

    @staticmethod
    def result(state):
        return state.count, state.first


class FaultsLaw:
    make = Faults

    @staticmethod
    def add(state, rows, *, weighted):
        for name in ("missing_label", "nan_prediction"):
            at = np.sort(rows["row"][rows["flag"] if name == "missing_label" else ~rows["judged"]])
            if len(at):
                state.add(name, "p.csv", at, Fault("column", str(at[0]), f"row {at[0]}"), "hint")
                state.invalid += len(at)
        if len(rows["prob"]):
            state.widen(rows["prob"].min(keepdims=True), rows["prob"].max(keepdims=True))

    @staticmethod
    def result(state):
        ends = [None if end is None else end.tolist() for end in (state.low, state.high)]
        return sorted(map(repr, state.problems())), state.invalid, ends


class DivergenceLaw:
    make = DivergenceStatistics

    @staticmethod
    def add(state, rows, *, weighted):
        soft = np.flatnonzero(rows["flag"])
        own, kl, js = rows["share"], np.where(np.isfinite(rows["loss"]), rows["loss"], math.inf), rows["prob"]
        scored = replace(scored_of(rows), divergence=Divergence(own[soft], kl[soft], js[soft]), soft=soft)
        state.add(scored, rows["weight"] if weighted else None, rows["row"])

    @staticmethod
    def result(state):
        nothing = CellSums([0])
        totals = ClassTotals([1], CellSums([2]), CellSums([3], -2), nothing, nothing, nothing, [0])
        return state.seen, state.means(totals, 1.0, everywhere=True), state.means(totals, 1.0, everywhere=False)


class GradientsLaw:
    make = staticmethod(lambda: GradientSums(2))

    @staticmethod
    def add(state, rows, *, weighted):
        gradient = np.stack([rows["prob"] - rows["outcome"], rows["share"]], axis=1)
        objective = Objective(rows["loss"], rows["share"]) if weighted else None
        scored = replace(scored_of(rows), gradient=gradient, objective=objective)
        state.add(scored, rows["weight"] if weighted else None, rows["row"])

    @staticmethod
    def result(state):
        return state.weight(), state.weight() and state.means()


class EvaluationLaw:
    make = staticmethod(lambda: empty())

    @staticmethod
    def add(state, rows, *, weighted):
        state.update(scored_of(rows), rows["weight"] if weighted else None, rows["row"], words(rows))
        state.tally("above_one", rows["flag"], rows["row"])
        state.note_other(f"label {rows['label'][0] if len(rows['label']) else ''}", rows["row"])
        state.note_sum_error(rows["prob"])

    @staticmethod
    def result(state):
        parts = (
            MomentsLaw.result(state.loss),
            ClassesLaw.result(state.parts["classes"].classes),
            CalibrationLaw.result(state.parts["classes"].calibration),
            HistogramLaw.result(state.quantiles),
            WorstLaw.result(state.worst),
            state.tallies,
            sum(tally.count for tally in state.others.values()),
            state.scored,
            state.max_row_sum_error,
        )
        if state.scored == 0:
            return parts
        classes = state.parts["classes"]
        return (*parts, classes.brier(classes.totals().weight.total()), classes.accuracy())


def scored_of(rows) -> ClassScored:
    part = Part(None, rows["label"], rows["loss"], rows["prob"], None)
    return ClassScored(
        loss=rows["loss"],
        prob_label=rows["prob"],
        predicted=rows["predicted"],
        correct=rows["predicted"] == rows["label"],
        judged=rows["judged"],
        confidence=rows["prob"],
        outcome=rows["outcome"],
        brier=(rows["prob"] - rows["outcome"]) ** 2,
        parts=(part,),
        counted={"clipped": rows["flag"], "ties": ~rows["judged"]},
    )


LAWS = [
    ExactLaw,
    MomentsLaw,
    ClassesLaw,
    CalibrationLaw,
    HistogramLaw,
    WorstLaw,
    TallyLaw,
    FaultsLaw,
    DivergenceLaw,
    GradientsLaw,
    EvaluationLaw,
]
every_state = pytest.mark.parametrize("law", LAWS, ids=[law.__name__.removesuffix("Law") for law in LAWS])
with_and_without_weights = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])


def state_of(law, rows, at, *, weighted):
    state = law.make()
    law.add(state, {name: values[at] for name, values in rows.items()}, weighted=weighted)
    return state


@every_state
@with_and_without_weights
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 3),
    cuts=st.lists(st.integers(0, 64), max_size=6),
    shuffle=st.integers(0, 2**32),
    pickled=st.booleans(),
)
def test_the_law(law, weighted, seed, cuts, shuffle, pickled):
    rows, order = data(seed=seed), random.Random(shuffle)
    whole = law.result(state_of(law, rows, slice(None), weighted=weighted))
    edges = [0, *sorted(cuts), 64]
    assigned = np.random.default_rng(shuffle).permutation(64)
    parts = [np.sort(assigned[start:stop]) for start, stop in pairwise(edges)]
    states = [state_of(law, rows, part, weighted=weighted) for part in parts] + [law.make()]
    order.shuffle(states)
    while len(states) > 1:
        one, other = states.pop(order.randrange(len(states))), states.pop(order.randrange(len(states)))
        if pickled:
            one, other = pickle.loads(pickle.dumps(one)), pickle.loads(pickle.dumps(other))
        before = law.result(other)
        one.merge(other)
        assert law.result(other) == before
        states.append(one)
    assert law.result(states[0]) == whole


@every_state
@with_and_without_weights
def test_row_by_row_in_any_order(law, weighted):
    rows = data()
    state = law.make()
    for at in np.random.default_rng(9).permutation(64).tolist():
        law.add(state, {name: values[[at]] for name, values in rows.items()}, weighted=weighted)
    assert law.result(state) == law.result(state_of(law, rows, slice(None), weighted=weighted))


@every_state
def test_empty_states_change_nothing(law):
    rows = data()
    expected = law.result(state_of(law, rows, slice(None), weighted=True))
    full = state_of(law, rows, slice(None), weighted=True)
    full.merge(law.make())
    empty = law.make()
    empty.merge(law.make())
    assert law.result(empty) == law.result(law.make())
    empty.merge(full)
    assert law.result(full) == law.result(empty) == expected


@every_state
def test_what_was_merged_does_not_follow_the_other(law):
    rows = data()
    one, other = law.make(), state_of(law, rows, slice(0, 32), weighted=True)
    one.merge(other)
    before = law.result(one)
    law.add(other, {name: values[32:] for name, values in rows.items()}, weighted=True)
    assert law.result(one) == before


@pytest.mark.parametrize(
    "change",
    [
        {"eps": 1e-7},
        {"classes": ("a", "c", "b")},
        {"scale": Scale.PERCENT},
        {"ece_bins": 10},
        {"score_dtype": "float32"},
    ],
)
def test_states_of_other_plans_are_refused(change):
    with pytest.raises(ValueError, match="different plans"):
        empty().merge(empty(PLAN._replace(**change)))


def test_an_equal_plan_is_the_same_plan():
    state = empty()
    state.merge(pickle.loads(pickle.dumps(empty(PLAN._replace()))))
    assert state.scored == 0


def classification(n=400, seed=2):
    generator = np.random.default_rng(seed)
    probs = generator.dirichlet([0.8, 1.0, 1.5], n)
    label = (probs.cumsum(axis=1) < generator.random((n, 1))).sum(axis=1)
    weight = generator.uniform(0.1, 4, n)
    prob = probs[np.arange(n), label]
    predicted = probs.argmax(axis=1)
    confidence = probs.max(axis=1)
    loss = -np.log(prob)
    scored = ClassScored(
        loss=loss,
        prob_label=prob,
        predicted=predicted,
        correct=predicted == label,
        judged=None,
        confidence=confidence,
        outcome=(predicted == label).astype(float),
        brier=((probs - np.eye(K)[label]) ** 2).sum(axis=1),
        parts=(Part(None, label, loss, prob, None),),
    )
    return probs, label, weight, scored


@with_and_without_weights
def test_against_scikit_learn(weighted):
    probs, label, weight, scored = classification()
    by = weight if weighted else None
    state = empty()
    state.update(scored, by, np.arange(len(label)), lambda chosen: [() for _ in chosen])
    close = {"rel": 1e-13, "abs": 0}
    assert to_float(state.loss.mean()) == pytest.approx(log_loss(label, probs, sample_weight=by), **close)
    assert to_float(state.parts["classes"].accuracy()) == pytest.approx(
        accuracy_score(label, probs.argmax(axis=1), sample_weight=by), **close
    )
    multiclass_brier = brier_score_loss(label, probs, sample_weight=by, scale_by_half=False)
    weights = state.parts["classes"].totals().weight
    brier = state.parts["classes"].brier(weights.total())
    assert to_float(brier) == pytest.approx(multiclass_brier, **close)
    shares = [float(part / weights.total()) for part in weights.fractions()]
    prior = -sum(share * math.log(share) for share in shares)
    skill = 1 - to_float(state.loss.mean()) / prior
    assert skill == pytest.approx(d2_log_loss_score(label, probs, sample_weight=by), rel=1e-12)


def test_infinite_losses_are_counted_and_left_out_of_the_mean():
    rows = data()
    state = state_of(EvaluationLaw, rows, slice(None), weighted=True)
    infinite = np.flatnonzero(np.isinf(rows["loss"]))
    some = finite(rows)
    assert len(infinite) > 0
    assert state.tallies["infinite"].count == len(infinite)
    assert state.tallies["infinite"].first == tuple((infinite[:5] + 1).tolist())
    assert state.loss.mean() == weighted_mean(some["loss"], some["weight"])
    assert state.scored == 64


def test_ties_count_for_the_loss_but_not_for_the_accuracy():
    rows = data()
    state = state_of(EvaluationLaw, rows, slice(None), weighted=False)
    hits = (rows["predicted"] == rows["label"])[rows["judged"]]
    assert state.parts["classes"].accuracy() == Fraction(int(hits.sum()), len(hits))
    assert state.tallies["ties"].count == int((~rows["judged"]).sum())


def test_shares_of_soft_labels_go_to_their_classes():
    loss, prob = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.25, 0.125])
    soft, hard = np.array([0, 2]), np.array([1])
    scored = ClassScored(
        loss=loss,
        prob_label=prob,
        predicted=np.array([0, 1, 1]),
        correct=np.array([True, True, False]),
        judged=None,
        confidence=prob,
        outcome=np.array([0.75, 1.0, 0.25]),
        brier=prob,
        parts=(
            Part(hard, np.array([1]), loss[hard], prob[hard], None),
            Part(soft, np.array([0, 0]), loss[soft], prob[soft], np.array([0.75, 0.25])),
            Part(soft, np.array([1, 1]), loss[soft], prob[soft], np.array([0.25, 0.75])),
        ),
    )
    for weight in (None, np.array([1.0, 2.0, 8.0])):
        by = np.ones(3) if weight is None else weight
        state = empty()
        state.update(scored, weight, np.arange(3), lambda chosen: [() for _ in chosen])
        totals = state.parts["classes"].classes.totals()
        first, second, third = totals.weight.fractions()
        assert first == Fraction(0.75 * by[0] + 0.25 * by[2])
        assert second == Fraction(0.25 * by[0] + by[1] + 0.75 * by[2])
        assert third == totals.n[2] == 0
        assert totals.loss.fractions()[0] == Fraction(0.75 * by[0] * 1 + 0.25 * by[2] * 4)


def test_an_empty_block_changes_nothing():
    state = empty()
    EvaluationLaw.add(state, {name: values[:0] for name, values in data().items()}, weighted=False)
    assert EvaluationLaw.result(state) == EvaluationLaw.result(empty())
    assert state.parts["classes"].accuracy() is None
    assert state.max_row_sum_error is None
