from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.columns import Kind
from ce_cli.errors import CeError
from ce_cli.readers import keys as keys_module
from ce_cli.readers.align import AlignmentCounts
from ce_cli.readers.arrays import plain
from ce_cli.readers.held import HeldColumns
from ce_cli.readers.join import JoinMemory, in_units, joined
from ce_cli.workers import Workers
from tests.readers import Chunked, cuts_of, layout_of

# Parts that could run into each other, if their keys were only joined by a mark.
tricky = st.text(st.sampled_from("ab|,\x1e\x1f01"), max_size=3)
keys = st.one_of(
    st.lists(st.tuples(st.integers(-12, 30)), unique=True, max_size=25),
    st.lists(st.tuples(st.integers(2**63 - 40, 2**63 - 1)), unique=True, max_size=25),
    st.lists(st.tuples(st.one_of(st.integers(-9, 9).map(str), tricky)), unique=True, max_size=25),
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)), unique=True, max_size=25),
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1)), unique=True, max_size=25),
    st.lists(st.tuples(st.text(max_size=3).filter(bool)), unique=True, max_size=25),
    st.lists(st.tuples(tricky, tricky), unique=True, max_size=25),
    st.lists(st.tuples(tricky, st.integers(0, 3), tricky), unique=True, max_size=25),
)


def data_of(path, rows, column, values, cuts):
    width = len(rows[0]) if rows else 1
    columns = {f"k{part}": [row[part] for row in rows] for part in range(width)}
    return Chunked(path, {**columns, column: values}, cuts), tuple(columns)


def join(predictions, labels, ids, *, drop=False, chunk_rows=1 << 16, counts=None, label_ids=None):
    result = []
    counts = counts if counts is not None else AlignmentCounts()
    layout = layout_of(ids, label_ids=label_ids)
    with Workers(1) as workers:
        for pair in joined(predictions, labels, layout, workers, chunk_rows, counts, drop=drop):
            assert len(pair.rows) <= chunk_rows
            scores, found = pair.predictions.column("prob").to_pylist(), pair.labels.column("label").to_pylist()
            result += zip(pair.rows.tolist(), pair.label_rows.tolist(), scores, found, strict=True)
    if counts.problems:
        raise CeError(*counts.problems)
    return result


@given(keys, st.randoms(use_true_random=False), cuts_of(25), cuts_of(25), st.integers(1, 30))
def test_any_order_is_a_dictionary_join(rows, random, mine, other, chunk_rows):
    shuffled = list(rows)
    random.shuffle(shuffled)
    predictions, ids = data_of("p", rows, "prob", [float(at) for at in range(len(rows))], mine)
    labels, _ = data_of("y", shuffled, "label", [repr(row) for row in shuffled], other)
    counts = AlignmentCounts()
    got = join(predictions, labels, ids, chunk_rows=chunk_rows, counts=counts)
    assert got == [(at, shuffled.index(row), float(at), repr(row)) for at, row in enumerate(rows)]
    assert (counts.predictions, counts.labels) == (len(rows), len(rows))
    assert counts.unmatched_predictions.count == counts.unmatched_labels.count == 0


@given(keys, keys, cuts_of(25), cuts_of(25), st.integers(1, 9))
def test_ids_of_one_side_only(left, right, mine, other, chunk_rows):
    if not left or not right or [type(part) for part in left[0]] != [type(part) for part in right[0]]:
        right = left[::2]
    predictions, ids = data_of("p", left, "prob", [float(at) for at in range(len(left))], mine)
    labels, _ = data_of("y", right, "label", [repr(row) for row in right], other)
    if not right:
        return
    at_of = {row: at for at, row in enumerate(right)}
    expected = [(at, at_of[row], float(at), repr(row)) for at, row in enumerate(left) if row in at_of]
    lonely = [at + 1 for at, row in enumerate(left) if row not in at_of]
    unlabelled = [at + 1 for at, row in enumerate(right) if row not in set(left)]
    counts = AlignmentCounts()
    assert join(predictions, labels, ids, drop=True, chunk_rows=chunk_rows, counts=counts) == expected
    assert (counts.unmatched_predictions.count, counts.unmatched_predictions.first) == (len(lonely), (*lonely[:5],))
    assert (counts.unmatched_labels.count, counts.unmatched_labels.first) == (len(unlabelled), (*unlabelled[:5],))
    if lonely or unlabelled:
        with pytest.raises(CeError) as caught:
            join(predictions, labels, ids, chunk_rows=chunk_rows)
        found = {(problem.file, problem.code, problem.rows, problem.count) for problem in caught.value.problems}
        sides = [("p", lonely), ("y", unlabelled)]
        assert found == {(file, "missing_id", (*rows[:5],), len(rows)) for file, rows in sides if rows}


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=20).filter(lambda ids: len(set(ids)) < len(ids)),
    cuts_of(20),
    st.booleans(),
    st.booleans(),
)
def test_duplicates_in_the_predictions(ids, cuts, as_text, drop):
    cells = [str(key) for key in ids] if as_text else ids
    predictions = Chunked("p", {"id": cells, "prob": [0.5] * len(ids)}, cuts)
    labels = Chunked("y", {"id": list(range(6, -1, -1)), "label": ["0"] * 7})
    again = [at for at, key in enumerate(ids) if key in ids[:at]]
    with pytest.raises(CeError) as caught:
        join(predictions, labels, ("id",), drop=drop)
    problem = caught.value.problems[0]
    assert (problem.code, problem.file, problem.column) == ("duplicate_id", "p", "id")
    assert problem.count == len(again)
    assert problem.rows == tuple(at + 1 for at in again[:5])
    assert repr(str(ids[again[0]])) in problem.message


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20).filter(lambda ids: len(set(ids)) < len(ids)), cuts_of(20))
def test_duplicates_in_the_labels(ids, cuts):
    predictions = Chunked("p", {"id": sorted(set(ids)), "prob": [0.5] * len(set(ids))})
    labels = Chunked("y", {"id": ids, "label": ["0"] * len(ids)}, cuts)
    again = [at for at, key in enumerate(ids) if key in ids[:at]]
    with pytest.raises(CeError) as caught:
        join(predictions, labels, ("id",))
    (problem,) = caught.value.problems
    assert (problem.code, problem.file, problem.count) == ("duplicate_id", "y", len(again))
    assert problem.rows == tuple(at + 1 for at in again[:5])


@pytest.mark.parametrize("left", [pa.int64(), pa.int32(), pa.string(), pa.large_string(), pa.uint64(), pa.float64()])
@pytest.mark.parametrize("right", [pa.int64(), pa.int32(), pa.string(), pa.large_string(), pa.uint64(), pa.float64()])
def test_whole_numbers_meet_whatever_their_type(left, right):
    numbers, others = pa.array([3, 1, 2, 12]), pa.array([12, 2, 3, 1])
    predictions = Chunked("p", {"id": numbers.cast(left), "prob": [3.0, 1.0, 2.0, 12.0]}, [3])
    labels = Chunked("y", {"id": others.cast(right), "label": ["12", "2", "3", "1"]}, [1])
    got = join(predictions, labels, ("id",))
    assert [(score, label) for _, _, score, label in got] == [(3.0, "3"), (1.0, "1"), (2.0, "2"), (12.0, "12")]


def test_in_text_a_leading_zero_is_another_id():
    predictions = Chunked("p", {"id": ["01", "1", "1.0"], "prob": [0.1, 0.2, 0.3]})
    labels = Chunked("y", {"id": ["1.0", "1", "01"], "label": ["c", "b", "a"]})
    assert [label for *_, label in join(predictions, labels, ("id",))] == ["a", "b", "c"]


def test_large_integers_are_not_rounded():
    ids = [2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    predictions = Chunked("p", {"id": ids, "prob": [0.0, 1.0, 2.0, 3.0]})
    labels = Chunked("y", {"id": ids[::-1], "label": [str(key) for key in ids[::-1]]})
    assert [label for *_, label in join(predictions, labels, ("id",))] == [str(key) for key in ids]


def test_large_unsigned_integers_are_not_wrapped():
    predictions = Chunked("p", {"id": pa.array([2**64 - 1, 5], pa.uint64()), "prob": [0.5, 0.5]})
    labels = Chunked("y", {"id": pa.array([5, -1], pa.int64()), "label": ["5", "-1"]})
    counts = AlignmentCounts()
    got = join(predictions, labels, ("id",), drop=True, counts=counts)
    assert [label for *_, label in got] == ["5"]
    assert counts.unmatched_predictions.count == counts.unmatched_labels.count == 1


def test_an_empty_integer_id_is_no_zero():
    predictions = Chunked("p", {"id": pa.array([0, None, 7]), "prob": [0.1, 0.2, 0.3]})
    labels = Chunked("y", {"id": pa.array([7, 0]), "label": ["seven", "zero"]})
    counts = AlignmentCounts()
    got = join(predictions, labels, ("id",), drop=True, counts=counts)
    # The row without an id is there for the checks of rows to fail.
    assert [(row, label) for row, _, _, label in got if row != 1] == [(0, "zero"), (2, "seven")]
    assert [row for row, *_ in got] == [0, 1, 2]
    assert counts.unmatched_predictions.count == counts.unmatched_labels.count == 0


def test_an_empty_id_after_the_sampled_rows_is_no_zero():
    ids = pa.array([*range(300), None])
    predictions = Chunked("p", {"id": ids, "prob": [0.5] * 301}, [300])
    labels = Chunked("y", {"id": list(range(299, -1, -1)), "label": [str(at) for at in range(299, -1, -1)]})
    counts = AlignmentCounts()
    got = join(predictions, labels, ("id",), drop=True, counts=counts)
    assert [label for *_, label in got][:300] == [str(at) for at in range(300)]
    assert [row for row, *_ in got] == [*range(301)]
    assert counts.unmatched_predictions.count == counts.unmatched_labels.count == 0


def test_the_two_files_may_spell_the_column_differently():
    predictions = Chunked("p", {"ID": ["b", "a"], "prob": [0.1, 0.2]})
    labels = Chunked("y", {"id": ["a", "b"], "label": ["A", "B"]})
    assert [label for *_, label in join(predictions, labels, ("ID",), label_ids=("id",))] == ["B", "A"]


def test_no_labels_at_all():
    predictions = Chunked("p", {"id": [1, 2], "prob": [0.1, 0.2]})
    labels = Chunked("y", {"id": pa.array([], pa.int64()), "label": pa.array([], pa.string())})
    with pytest.raises(CeError) as caught:
        join(predictions, labels, ("id",))
    assert [(p.code, p.count) for p in caught.value.problems] == [("missing_id", 2)]


def test_whole_numbers_beyond_64_bits_are_found_by_their_digits():
    numbers = [2**64 - 1, 2**63, 7]
    predictions = Chunked("p", {"id": pa.array(numbers, pa.uint64()), "prob": [0.0, 1.0, 2.0]})
    labels = Chunked("y", {"id": [str(2**64), *map(str, numbers[::-1])], "label": ["a", "b", "c", "d"]})
    assert [label for *_, label in join(predictions, labels, ("id",), drop=True)] == ["d", "c", "b"]


@pytest.mark.parametrize("cells", [["+1", "01", "1.0", " 1", "0x1", "-0", "1_0", "１", "1e0", "", "0xFFFFFF", "a"]])
def test_what_is_no_integer_in_its_usual_form_is_no_number(cells):
    labels = Chunked("y", {"id": [0, 1, 10, 16777215], "label": ["zero", "one", "ten", "many"]})
    predictions = Chunked("p", {"id": cells, "prob": [0.5] * len(cells)})
    counts = AlignmentCounts()
    assert join(predictions, labels, ("id",), drop=True, counts=counts) == []
    assert counts.unmatched_predictions.count == len(cells)
    # The same the other way round: such cells make the ids of the labels texts.
    counts = AlignmentCounts()
    swapped = Chunked("p", {"id": [0, 1, 10, 16777215], "prob": [0.5] * 4})
    assert join(swapped, Chunked("y", {"id": cells, "label": cells}), ("id",), drop=True, counts=counts) == []
    assert counts.unmatched_labels.count == len(cells)


@pytest.mark.parametrize("jobs", [1, 3])
def test_ids_may_turn_into_texts_on_either_side(jobs):
    ids = [str(at) for at in range(50)]
    predictions = Chunked("p", {"id": [*ids, "x", "0050"], "prob": [float(at) for at in range(52)]}, [10, 51])
    labels = Chunked("y", {"id": [*ids[::-1], "0050", "x"], "label": [*ids[::-1], "0050", "x"]}, [20, 51])
    counts = AlignmentCounts()
    with Workers(jobs) as workers:
        pairs = [*joined(predictions, labels, layout_of(("id",)), workers, 7, counts, drop=False)]
    assert not counts.problems
    assert [label for pair in pairs for label in plain(pair.labels.column("label")).to_pylist()] == [*ids, "x", "0050"]


@pytest.mark.parametrize("parts", [1, 2])
def test_keys_whose_hashes_agree_are_told_apart(parts, monkeypatch):
    def poor(part, start, stop):
        return np.zeros(stop - start, dtype=np.uint64)

    monkeypatch.setattr(keys_module.TextCells, "hashes", poor)
    monkeypatch.setattr(keys_module.WholeCells, "hashes", poor)
    rows = [(f"k{at}", at * 2**50)[:parts] for at in range(40)]
    predictions, ids = data_of("p", rows, "prob", [float(at) for at in range(40)], [])
    labels, _ = data_of("y", rows[::-1], "label", [repr(row) for row in rows[::-1]], [])
    assert [label for *_, label in join(predictions, labels, ids)] == [repr(row) for row in rows]
    twice = [*rows, rows[3], rows[5], rows[3]]
    labels, _ = data_of("y", twice, "label", ["0"] * 43, [])
    with pytest.raises(CeError) as caught:
        join(predictions, labels, ids)
    (problem,) = caught.value.problems
    assert (problem.code, problem.rows, problem.count) == ("duplicate_id", (41, 42, 43), 3)


@given(
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", ""])), min_size=1, max_size=12),
    cuts_of(12),
    st.randoms(use_true_random=False),
)
def test_labels_come_back_as_they_were(cells, cuts, random):
    assert_same_cells(pa.array(cells, pa.string()), cuts, random)
    assert_same_cells(pa.array(cells, pa.string()).dictionary_encode(), cuts, random)


@given(
    st.one_of(
        st.lists(st.one_of(st.none(), st.floats()), min_size=1, max_size=12).map(
            lambda cells: pa.array(cells, pa.float64())
        ),
        st.lists(st.sampled_from([0.0, 1.0, -0.0, 5.0, 127.0, 128.0]), min_size=1, max_size=12).map(pa.array),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12).map(pa.array),
        st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12).map(lambda cells: pa.array(cells, pa.uint64())),
        st.lists(st.booleans(), min_size=1, max_size=12).map(pa.array),
        st.lists(st.lists(st.integers(0, 3)), min_size=1, max_size=12).map(
            lambda cells: pa.array(cells, pa.list_(pa.int64()))
        ),
    ),
    cuts_of(12),
    st.randoms(use_true_random=False),
)
def test_numbers_come_back_as_they_were(cells, cuts, random):
    assert_same_cells(cells, cuts, random)


def assert_same_cells(cells, cuts, random):
    order = list(range(len(cells)))
    random.shuffle(order)
    held = HeldColumns(("label",))
    for batch in Chunked("y", {"label": cells}, cuts).batches({"label": Kind.TEXT}, None):
        held.add(batch, 0.5)
    assert held.nbytes > 0
    held.close()
    found = plain(held.take(np.array(order)).column("label"))
    expected = plain(cells).take(pa.array(order))
    assert found.type == expected.type
    assert repr(found.to_pylist()) == repr(expected.to_pylist())


def test_many_words_are_held_as_they_are():
    words = pa.array([f"w{at % 9000}" for at in range(20_000)])
    held = HeldColumns(("label",))
    for start in range(0, 20_000, 3000):
        held.add(pa.RecordBatch.from_arrays([words.slice(start, 3000)], names=["label"]))
    held.close()
    assert plain(held.take(np.arange(19_999, -1, -1)).column("label")).to_pylist() == words.to_pylist()[::-1]


@pytest.mark.parametrize(
    ("ids", "most"),
    [
        (pa.array(range(10_000)), 12),  # while they are read, the ids beside the table
        (pa.array([at * 2**40 for at in range(10_000)]), 20),
        (pa.array([f"{at:020x}" for at in range(10_000)]), 36),
    ],
)
def test_memory_is_bounded_by_the_labels(ids, most):
    labels = Chunked("y", {"id": ids.take(pa.array(range(9_999, -1, -1))), "label": [at % 2 for at in range(10_000)]})
    predictions = Chunked("p", {"id": ids, "prob": [0.5] * 10_000})
    layout = layout_of(("id",))
    with Workers(1) as workers:
        enough = JoinMemory(most * 10_000, given=True)
        assert (
            sum(
                len(pair.rows)
                for pair in joined(
                    *(predictions, labels, layout, workers, 1 << 16, AlignmentCounts()), drop=False, memory=enough
                )
            )
            == 10_000
        )
        with pytest.raises(CeError) as caught:
            next(
                joined(
                    *(predictions, labels, layout, workers, 1 << 16, AlignmentCounts()),
                    drop=False,
                    memory=JoinMemory(4 * 10_000, given=True),
                )
            )
    (problem,) = caught.value.problems
    assert (problem.code, problem.file) == ("bad_option", "y")
    assert "--join-memory" in problem.message
    assert "sort both files" in problem.hint


def test_too_many_labels_are_told_before_they_are_read():
    class Endless(Chunked):
        def rows(self):
            return 10**12

    labels = Endless("y", {"id": [3, 2, 1], "label": ["a", "b", "c"]}, [1, 2])
    predictions = Chunked("p", {"id": [1, 2, 3], "prob": [0.5] * 3})
    with Workers(1) as workers, pytest.raises(CeError, match="about"):
        next(
            joined(
                predictions,
                labels,
                layout_of(("id",)),
                workers,
                9,
                AlignmentCounts(),
                drop=False,
                memory=JoinMemory(1 << 30, given=False),
            )
        )


@pytest.mark.parametrize(
    ("size", "text"), [(1, "1 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (500 << 20, "500 MiB"), (3 << 40, "3 TiB")]
)
def test_sizes_for_people(size, text):
    assert in_units(size) == text
