from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.checks import Fault, FaultRow, Faults, RowChecks
from ce_cli.errors import FIRST_ROWS, CeError

flags = st.lists(st.booleans(), min_size=30, max_size=30)


def faults_of(bad, at, *, keep=False):
    """Check the rows `at` of a file in which rows are bad in one of two ways; `bad` maps codes to flags."""
    faults = Faults()
    rows = np.array(at, dtype=np.int64)
    checks = RowChecks(faults, rows, keep=keep)
    for code, all_flags in bad.items():
        checks.fail(
            code,
            np.array(all_flags)[rows] if len(rows) else np.zeros(0, dtype=np.bool_),
            f"{code}.csv",
            lambda position, code=code: Fault("column", str(rows[position]), f"{code} in {rows[position]}"),
            hint=f"hint for {code}",
        )
    return faults, checks


def told(faults):
    return CeError(*faults.problems()).problems if faults.problems() else ()


@given(flags, flags, st.lists(st.integers(0, 30), max_size=5), st.randoms(use_true_random=False), st.booleans())
def test_any_split_and_any_order_of_merging_tells_the_same(one, other, cuts, random, pickled):
    bad = {"missing_label": one, "nan_prediction": other}
    whole, _ = faults_of(bad, range(30))
    edges = [0, *sorted(cuts), 30]
    parts = [faults_of(bad, range(start, stop))[0] for start, stop in itertools.pairwise(edges)]
    random.shuffle(parts)
    merged = Faults()
    for part in parts:
        merged.merge(pickle.loads(pickle.dumps(part)) if pickled else part)
    assert told(merged) == told(whole)
    assert merged.problems() == whole.problems()
    assert merged.invalid == whole.invalid == sum(map(max, zip(one, other, strict=True)))


@given(flags, flags)
def test_the_first_rows_the_count_and_the_first_value(one, other):
    faults, checks = faults_of({"missing_label": one, "nan_prediction": other}, range(30))
    second = [b and not a for a, b in zip(one, other, strict=True)]
    found = {problem.code: problem for problem in faults.problems()}
    for code, expected in (("missing_label", one), ("nan_prediction", second)):
        rows = [at for at, bad in enumerate(expected) if bad]
        assert (code in found) == bool(rows)
        if rows:
            problem = found[code]
            assert problem.rows == tuple(at + 1 for at in rows[:FIRST_ROWS])
            assert problem.count == len(rows)
            assert problem.message == f"{code} in {rows[0]}"
            assert (problem.file, problem.column, problem.hint) == (f"{code}.csv", "column", f"hint for {code}")
    ok = [True] * 30 if checks.ok is None else checks.ok.tolist()
    assert ok == [not (a or b) for a, b in zip(one, other, strict=True)]


@given(flags, flags)
def test_every_fault_is_kept_once_where_they_are_asked_for(one, other):
    _, checks = faults_of({"missing_label": one, "nan_prediction": other}, range(30), keep=True)
    expected = [
        FaultRow(at + 1, "column", str(at), code, f"{code} in {at}")
        for code, bad in (
            ("missing_label", one),
            ("nan_prediction", [b and not a for a, b in zip(one, other, strict=True)]),
        )
        for at in range(30)
        if bad[at]
    ]
    assert checks.kept == expected
    assert faults_of({"missing_label": one}, range(30))[1].kept == []


def test_rows_of_the_other_file_are_told_by_their_own_numbers():
    faults = Faults()
    checks = RowChecks(faults, np.arange(100, 106), keep=True)
    label_rows = np.array([40, 9, 77, 3, 8, 21])
    bad = np.array([True, False, True, True, False, True])
    checks.fail("unknown_label", bad, "y.csv", lambda at: Fault("y", str(at), f"at {at}"), rows=label_rows)
    (problem,) = faults.problems()
    assert problem.rows == (4, 22, 41, 78)
    assert problem.message == "at 3"
    assert [row.row for row in checks.kept] == [101, 103, 104, 106]


def test_skipped_rows_are_not_looked_at_again():
    faults = Faults()
    checks = RowChecks(faults, np.arange(4), keep=False)
    checks.skip(None)
    assert checks.ok is None
    checks.skip(np.array([True, False, False, False]))
    checks.fail("nan_prediction", np.array([True, True, False, False]), "p", lambda at: Fault("p", "nan", f"{at}"))
    checks.fail("bad_weight", None, "p", lambda at: Fault("w", "", ""))
    assert [(problem.code, problem.rows) for problem in faults.problems()] == [("nan_prediction", (2,))]
    assert checks.ok.tolist() == [False, False, True, True]
    assert faults.invalid == 1


def range_faults(*ends):
    faults = Faults()
    faults.add("probability_out_of_range", "p", np.array([0]), Fault("p", "7", "7 is not a probability"))
    for low, high in ends:
        faults.widen(np.array(low), np.array(high))
    return faults


@pytest.mark.parametrize(
    ("ends", "word"),
    [
        ([([-3.0, -1.0], [4.0, 2.0])], "--input logits"),
        ([([-3.0, 0.0], [4.0, 1.0])], "--pred-cols"),
        ([([0.0, 0.0], [100.0, 99.5])], "--input percent"),
        ([([0.0, 0.0], [101.0, 1.0])], "--pred-cols"),
        ([([0.5, 0.5], [1.5, 0.7]), ([-2.0, -0.1], [0.5, 0.5])], "--input logits"),
    ],
)
def test_the_hint_follows_the_range_of_every_column(ends, word):
    for order in itertools.permutations(ends):
        merged = Faults()
        for end in order:
            merged.merge(range_faults(end))
        for faults in (range_faults(*order), merged):
            assert word in faults.problems()[0].hint


def test_no_faults():
    assert Faults().problems() == []
