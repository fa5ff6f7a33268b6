from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.state.sample import RowSample


def filled(rows, limit: int) -> RowSample:
    sample = RowSample(limit)
    add(sample, np.array(rows, dtype=np.int64))
    return sample


def add(sample: RowSample, rows) -> None:
    at = sample.wanted(rows)
    sample.add(rows[at], (rows[at].astype(float), np.stack([rows[at] * 2.0, rows[at] * 3.0], axis=1)), seen=len(rows))


def content(sample: RowSample):
    hashes, columns = sample.columns()
    return hashes.tolist(), [column.tolist() for column in columns], sample.seen


@given(st.permutations(range(60)), st.integers(1, 80), st.lists(st.integers(0, 60), max_size=6))
def test_the_sample_does_not_depend_on_how_rows_are_cut_ordered_or_merged(order, limit: int, cuts) -> None:
    expected = content(filled(range(60), limit))
    parts = np.split(np.array(order, dtype=np.int64), sorted(cuts))
    together, merged = RowSample(limit), RowSample(limit)
    for part in parts:
        add(together, part)
        merged.merge(pickle.loads(pickle.dumps(filled(part, limit))))
    assert content(together) == content(merged) == expected
    assert len(expected[0]) == min(limit, 60)


def test_it_is_bounded_and_random_enough() -> None:
    sample = RowSample(1000)
    for start in range(0, 200_000, 5000):
        add(sample, np.arange(start, start + 5000))
        assert sum(map(len, sample._hashes)) <= 1125 + 5000
    hashes, (rows, _) = sample.columns()
    assert sample.seen == 200_000
    assert (np.diff(hashes.astype(float)) > 0).all()
    # Uniform over the rows, and over what folds are made of.
    assert abs(rows.mean() - 100_000) < 4 * 200_000 / np.sqrt(12 * 1000)
    folds = np.bincount((hashes % np.uint64(5)).astype(int), minlength=5)
    assert ((folds - 200) ** 2 / 200).sum() < 20


def test_without_rows_there_is_nothing() -> None:
    hashes, columns = RowSample(3).columns()
    assert (len(hashes), columns) == (0, ())
