"""Sums over replicates against sums of fractions, one replicate at a time."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels.hashing import mixed
from ce_cli.kernels.poisson import poisson_counts, replicate_words, unit_words
from ce_cli.state import replicates
from ce_cli.state.products import factor
from ce_cli.state.replicates import ReplicateSums

REPLICATES = 6
values_of = st.floats(allow_nan=False, allow_infinity=False, min_value=0)


def expected(units, columns, seed=3):
    counts = poisson_counts(units, replicate_words(seed, REPLICATES))[:, :REPLICATES].tolist()
    return [
        [
            sum((Fraction(value) * row[at] for value, row in zip(column, counts, strict=True)), Fraction(0))
            for at in range(REPLICATES)
        ]
        for column in columns
    ]


def gathered(units, columns, seed=3, **settings):
    sums = ReplicateSums(seed, REPLICATES, len(columns))
    sums.add(units, [factor(np.array(column)) for column in columns], **settings)
    return sums


@given(st.lists(st.tuples(values_of, values_of), max_size=30))
def test_sums_are_exact_for_any_values(rows):
    units = unit_words(np.arange(len(rows)))
    columns = [np.array([row[at] for row in rows]) for at in range(2)]
    assert gathered(units, columns).totals() == expected(units, columns)


@given(st.integers(0, 2**32), st.booleans(), st.integers(0, 500))
def test_any_split_order_and_cluster_gives_the_same_bits(seed, clustered, cut):
    rng = np.random.default_rng(seed)
    rows = 500
    numbers = np.arange(rows)
    units = mixed((numbers // 7).astype(np.uint64)) if clustered else unit_words(numbers)
    columns = [rng.exponential(10.0 ** rng.integers(-12, 3, rows)), rng.uniform(0.1, 2, rows)]
    whole = gathered(units, columns, repeated=clustered)
    assert whole.totals() == expected(units, columns)
    order = rng.permutation(rows)
    parts = [
        gathered(units[chosen], [column[chosen] for column in columns], repeated=clustered)
        for chosen in (order[:cut], order[cut:])
    ]
    parts[1].merge(pickle.loads(pickle.dumps(parts[0])))
    assert parts[1].totals() == whole.totals()


def test_slices_of_a_block_make_no_difference(monkeypatch):
    rng = np.random.default_rng(1)
    units, column = unit_words(np.arange(1000)), rng.exponential(size=1000)
    whole = gathered(units, [column]).totals()
    monkeypatch.setattr(replicates, "_SLICE", 64)
    assert gathered(units, [column]).totals() == whole == expected(units, [column])


def test_a_column_of_ones_counts_units():
    units = unit_words(np.arange(300))
    sums = ReplicateSums(3, REPLICATES, 1)
    sums.add(units, [None])
    assert sums.totals() == expected(units, [np.ones(300)])


def test_the_largest_slice_with_the_largest_values_stays_exact():
    rows = 1 << 14
    units = mixed(np.full(rows, 1, dtype=np.uint64))  # one cluster, all rows with the same count
    values = np.full(rows, np.nextafter(2.0, 1.0))
    counts = poisson_counts(units[:1], replicate_words(3, REPLICATES))[0, :REPLICATES].tolist()
    for repeated in (False, True):
        totals = gathered(units, [values], repeated=repeated).totals()[0]
        assert totals == [Fraction(float(values[0])) * rows * count for count in counts]


def test_other_replicates_do_not_merge():
    units = unit_words(np.arange(3))
    one, two = gathered(units, [np.ones(3)], seed=1), gathered(units, [np.ones(3)], seed=2)
    with pytest.raises(ValueError, match="different replicates"):
        one.merge(two)
