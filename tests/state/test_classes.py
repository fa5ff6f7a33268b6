from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.classes import ClassSums, LabelledRows
from tests.state import sizes, weights

K = 3
rows_of = st.lists(
    st.tuples(
        st.integers(0, K - 1),
        st.one_of(sizes, st.just(math.inf)),
        st.floats(0, 1),
        st.booleans(),
        st.booleans(),
        weights,
    ),
    max_size=25,
)


def columns(rows):
    label, loss, prob, correct, judged, weight = zip(*rows, strict=True) if rows else ((),) * 6
    return (
        np.array(label, dtype=np.int64),
        np.array(loss, dtype=np.float64),
        np.array(prob, dtype=np.float64),
        np.array(correct, dtype=np.bool_),
        np.array(judged, dtype=np.bool_),
        np.array(weight, dtype=np.float64),
    )


def brute_force(rows, *, weighted: bool, all_judged: bool):
    """Return the sums of every class, row by row in fractions."""
    result = []
    for number in range(K):
        n = infinite = 0
        weight = loss = prob = correct = judged = Fraction(0)
        for label, value, p, hit, counts, w in rows:
            if label != number:
                continue
            by = Fraction(w) if weighted else Fraction(1)
            n += 1
            weight += by
            prob += by * Fraction(p)
            if math.isinf(value):
                infinite += 1
            else:
                loss += by * Fraction(value)
            if all_judged or counts:
                judged += by
                correct += by * hit
        result.append((n, weight, loss, prob, correct, judged, infinite))
    return result


def by_class(state):
    """Return the sums of every class as fractions."""
    n, *sums, infinite = state.totals()
    return list(zip(n, *(one.fractions() for one in sums), infinite, strict=True))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("all_judged", [False, True])
@given(rows=rows_of)
def test_against_brute_force(rows, weighted, all_judged):
    label, loss, prob, correct, judged, weight = columns(rows)
    state = ClassSums(K)
    labelled = LabelledRows(label, loss, prob, correct, None if all_judged else judged)
    state.add(labelled, weight if weighted else None)
    assert by_class(state) == brute_force(rows, weighted=weighted, all_judged=all_judged)


def rounded_product(one: float, two: float) -> Fraction:
    """Return one * two with 53 bits and an exponent without bounds."""
    (mantissa, exponent), (other, more) = math.frexp(one), math.frexp(two)
    return Fraction(mantissa * other) * Fraction(2) ** (exponent + more)


@pytest.mark.parametrize("weighted", [False, True])
@given(
    rows=rows_of,
    share=st.lists(st.one_of(st.floats(0, 1, exclude_min=True), st.just(5e-324)), min_size=25, max_size=25),
)
def test_a_share_of_a_label_multiplies_the_weight(rows, share, weighted):
    label, loss, prob, correct, judged, weight = columns(rows)
    state = ClassSums(K)
    state.add(
        LabelledRows(label, loss, prob, correct, judged, np.array(share[: len(rows)])), weight if weighted else None
    )
    shared = [
        (*row[:-1], rounded_product(part, row[-1] if weighted else 1.0)) for row, part in zip(rows, share, strict=False)
    ]
    assert by_class(state) == brute_force(shared, weighted=True, all_judged=False)


def test_classes_without_rows_are_zero():
    assert by_class(ClassSums(2)) == [(0, 0, 0, 0, 0, 0, 0)] * 2


def test_many_classes():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 1000, 5000)
    loss = generator.exponential(1, 5000)
    state = ClassSums(1000)
    state.add(LabelledRows(label, loss, np.exp(-loss), loss < 0.5), None)
    totals = state.totals()
    for number in (0, 17, 999):
        mine = loss[label == number]
        assert totals.n[number] == len(mine)
        assert totals.loss.floats()[number] == math.fsum(mine)
