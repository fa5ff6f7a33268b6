from __future__ import annotations

import datetime as dt
import decimal
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.readers.arrays import is_list, list_size, matrix, nulls, numbers, plain, texts, view

NUMERIC = [
    pa.float64(), pa.float32(), pa.float16(), pa.int64(), pa.int32(), pa.int16(), pa.int8(), pa.uint64(), pa.uint32(),
    pa.uint16(), pa.uint8(),
]  # fmt: skip
slices = st.tuples(st.integers(0, 12), st.integers(0, 12))
optional = st.lists(st.one_of(st.none(), st.integers(0, 100)), max_size=12)


@pytest.mark.parametrize("type_", NUMERIC, ids=str)
@given(cells=optional, part=slices)
def test_numbers_of_any_type_and_any_slice(type_, cells, part):
    # NumPy scalars, since Arrow takes half floats only as such.
    made = [None if cell is None else np.float16(cell) for cell in cells] if type_ == pa.float16() else cells
    array = pa.array(made, type_).slice(*part)
    expected = cells[part[0] : part[0] + part[1]]
    found = numbers(array)
    assert found.values.dtype == np.float64
    assert found.values.tolist() == [0.0 if cell is None else float(cell) for cell in expected]
    flags = [cell is None for cell in expected]
    assert (found.missing.tolist() if found.missing is not None else [False] * len(flags)) == flags
    assert (found.missing is None) == (not any(flags))
    assert found.bad == {}


@given(st.lists(st.one_of(st.none(), st.booleans()), max_size=20), slices)
def test_booleans(cells, part):
    array = pa.array(cells, pa.bool_()).slice(*part)
    expected = cells[part[0] : part[0] + part[1]]
    assert numbers(array).values.tolist() == [float(bool(cell)) for cell in expected]
    found = nulls(array)
    assert (found.tolist() if found is not None else [False] * len(expected)) == [cell is None for cell in expected]


@given(st.lists(st.floats(), max_size=10))
def test_text_and_numbers_are_the_same_numbers(values):
    as_text = numbers(pa.array([repr(value) for value in values], pa.string()))
    assert as_text.values.tobytes() == np.array(values, dtype=np.float64).tobytes() or any(map(math.isnan, values))
    assert np.array_equal(as_text.values, np.array(values, dtype=np.float64), equal_nan=True)
    assert as_text.bad == {}


def test_text_that_is_no_number_is_named():
    found = numbers(pa.array(["1.5", None, "abc", "1_000", "inf", "-2e3", "NA"]).slice(0))
    assert found.bad == {2: "abc", 3: "1_000", 6: "NA"}
    assert found.missing.tolist() == [False, True, False, False, False, False, False]
    assert [found.values[at] for at in (0, 4, 5)] == [1.5, math.inf, -2000.0]


def test_dictionaries_extensions_and_chunks_are_unwrapped():
    words = pa.array(["b", None, "a", "b"]).dictionary_encode()
    assert plain(words).to_pylist() == ["b", None, "a", "b"]
    assert plain(words.slice(1, 2)).to_pylist() == [None, "a"]
    assert plain(pa.chunked_array([words, words.slice(2)])).to_pylist() == ["b", None, "a", "b", "a", "b"]
    extension = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))
    assert plain(extension).type == pa.binary(16)


def test_decimals_and_empty_columns():
    assert numbers(pa.array([decimal.Decimal("0.25"), None])).values.tolist() == [0.25, 0.0]
    found = numbers(pa.nulls(3))
    assert found.values.tolist() == [0.0] * 3
    assert found.missing.tolist() == [True] * 3
    assert numbers(pa.array([], pa.string())).values.tolist() == []


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None, -3]), ["1", None, "-3"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([1.0, 0.5, -2.0]), ["1", "0.5", "-2"]),
        (pa.array([123456789.0]), ["123456789"]),
        (pa.array([10000000000.0]), ["10000000000"]),
        (pa.array([np.float16(1.5), np.float16(2)]), ["1.5", "2"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["01", "", None, "NA"]), ["01", "", None, "NA"]),
        (pa.array(["x"], pa.large_string()), ["x"]),
        (pa.array([dt.date(2024, 2, 29)]), ["2024-02-29"]),
        (pa.array(["b", "a"]).dictionary_encode(), ["b", "a"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_texts(array, expected):
    assert texts(array).to_pylist() == expected
    assert texts(array.slice(1)).to_pylist() == expected[1:]


@pytest.mark.parametrize("cell", [1e10, 2.0, -1e10, 0.5, -0.0])
def test_the_text_of_a_float_does_not_depend_on_its_neighbours(cell):
    alone = texts(pa.array([cell])).to_pylist()
    for other in (math.nan, None, math.inf, 2.0, 1e10, 1e300):
        for cells in ([cell, other], [other, cell]):
            column = texts(pa.array(cells, pa.float64(), from_pandas=False)).to_pylist()
            assert column[cells.index(cell)] == alone[0]


def test_a_view_copies_nothing():
    array = pa.array(np.arange(10.0))
    found = view(array.slice(3, 4))
    assert found.tolist() == [3.0, 4.0, 5.0, 6.0]
    assert np.shares_memory(found, np.frombuffer(array.buffers()[1]))
    assert view(pa.array(["a"])) is None
    assert view(pa.array([True])) is None
    assert view(pa.array([], pa.int8())).dtype == np.int8


def list_types(k):
    return [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float64(), k), pa.list_(pa.int16(), k)]


@pytest.mark.parametrize("which", range(4))
@given(
    rows=st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=3, max_size=3)), max_size=9),
    part=slices,
)  # fmt: skip
def test_lists_of_one_length(which, rows, part):
    array = pa.array(rows, list_types(3)[which]).slice(*part)
    expected = rows[part[0] : part[0] + part[1]]
    found = matrix(array, 3)
    assert found.values.shape == (len(expected), 3)
    missing = [row is None or None in row for row in expected]
    assert (found.missing.tolist() if found.missing is not None else [False] * len(missing)) == missing
    for got, row, empty in zip(found.values.tolist(), expected, missing, strict=True):
        assert empty or got == row
    assert found.sizes == {}


@given(st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=4)), max_size=9), slices)
def test_lists_of_other_lengths_are_named(rows, part):
    array = pa.array(rows, pa.list_(pa.float64())).slice(*part)
    expected = rows[part[0] : part[0] + part[1]]
    found = matrix(array, 2)
    assert found.sizes == {at: len(row) for at, row in enumerate(expected) if row is not None and len(row) != 2}
    assert [row for row in found.values.tolist() if any(row)] == [
        row for row in expected if row is not None and len(row) == 2 and any(row)
    ]


def test_list_types():
    assert is_list(pa.list_(pa.float32()))
    assert is_list(pa.list_(pa.int8(), 4))
    assert not is_list(pa.list_(pa.string()))
    assert not is_list(pa.float64())
    assert list_size(pa.list_(pa.float32(), 4)) == 4
    assert list_size(pa.list_(pa.float32())) is None
