from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.labels import ClassLookup, LabelCodec, OneLookup, TruthLookup, is_truth_word, without_zeros

MISSING, UNKNOWN, IGNORED = "missing", "unknown", "ignored"


def encode(lookup, array, ignored=()):
    """Return for every cell its number, or why it has none."""
    encoded = LabelCodec(lookup, ignored).encode(array)
    cells: list[object] = encoded.values.tolist()
    assert encoded.values.dtype == np.float64
    for name, flags in ((UNKNOWN, encoded.unknown), (IGNORED, encoded.ignored), (MISSING, encoded.missing)):
        for at in [] if flags is None else np.flatnonzero(flags).tolist():
            assert isinstance(cells[at], float), "a cell has only one fault"
            cells[at] = name
    return cells


def forms_of(words):
    """Return a text column in every form that Arrow has for it."""
    array = pa.array(words, pa.string())
    return [
        array,
        array.cast(pa.large_string()),
        array.dictionary_encode(),
        pa.concat_arrays([pa.array(["no such class"]), array]).slice(1),
        pa.concat_arrays([pa.array(["no such class"]), array]).dictionary_encode().slice(1),
    ]


def test_classes_are_their_texts():
    lookup = ClassLookup(("b", "a", "01", "1", " a"))
    for array in forms_of(["a", "b", "1", "01", " a", "A", "", None]):
        assert encode(lookup, array) == [1.0, 0.0, 3.0, 2.0, 4.0, UNKNOWN, UNKNOWN, MISSING]


def test_spellings_of_null_are_ordinary_names():
    lookup = ClassLookup(("NA", "null", "None", "nan"))
    for array in forms_of(["nan", "None", "null", "NA", None]):
        assert encode(lookup, array) == [3.0, 2.0, 1.0, 0.0, MISSING]


def test_one_and_its_zeros():
    lookup = ClassLookup(("0", "1", "2.0"))
    for array in forms_of(["1.0", "1.00", "0.0", "2.0", "01", "1.", "1e0", "-0.0", "2"]):
        assert encode(lookup, array) == [1.0, 1.0, 0.0, 2.0, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("type_", [pa.int64(), pa.int8(), pa.uint16(), pa.float64(), pa.float32(), pa.float16()])
def test_numbers_are_their_digits(type_):
    made = [np.float16(cell) if cell is not None else None for cell in (3, 1, 2, None, 7)]
    array = pa.array(made if type_ == pa.float16() else [3, 1, 2, None, 7], type_)
    assert encode(ClassLookup(("1", "2", "3")), array) == [2.0, 0.0, 1.0, MISSING, UNKNOWN]
    assert encode(ClassLookup(("1", "2", "3")), array.dictionary_encode()) == [2.0, 0.0, 1.0, MISSING, UNKNOWN]


def test_booleans():
    array = pa.array([True, None, False])
    assert encode(ClassLookup(("false", "true")), array) == [1.0, MISSING, 0.0]
    assert encode(TruthLookup(), array) == [1.0, MISSING, 0.0]
    assert encode(TruthLookup(), array.slice(1)) == [MISSING, 0.0]


def test_truth_in_text():
    words = [
        "0",
        "1",
        "true",
        "False",
        "TRUE",
        "1.0",
        "0.0",
        "0.5",
        "1e-3",
        "-0.0",
        "yes",
        "2",
        "-1",
        "nan",
        "1_0",
        "",
        None,
    ]
    expected = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.5, 0.001, 0.0, *[UNKNOWN] * 6, MISSING]
    for array in forms_of(words):
        got = encode(TruthLookup(), array)
        assert got == expected
        assert not np.signbit([cell for cell in got if isinstance(cell, float)]).any()


@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()])
def test_soft_labels_in_numbers(type_):
    array = pa.array([0.25, None, 1.0, 0.0, -0.0], type_)
    got = encode(TruthLookup(), array)
    assert got == [0.25, MISSING, 1.0, 0.0, 0.0]
    assert not np.signbit(LabelCodec(TruthLookup()).encode(array).values).any()
    assert encode(TruthLookup(), pa.array([0.25, 1.5, float("nan"), None, -1.0], type_)) == [
        0.25, UNKNOWN, UNKNOWN, MISSING, UNKNOWN,
    ]  # fmt: skip


def test_integers_other_than_truth_are_unknown():
    assert encode(TruthLookup(), pa.array([0, 1, 2, -1, None])) == [0.0, 1.0, UNKNOWN, UNKNOWN, MISSING]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20), st.booleans())
def test_any_soft_label_is_the_same_from_text_and_from_numbers(values, coded):
    expected = [MISSING if value is None else value for value in values]
    text = pa.array([None if value is None else repr(value) for value in values], pa.string())
    assert encode(TruthLookup(), text.dictionary_encode() if coded else text) == expected
    assert encode(TruthLookup(), pa.array(values, pa.float64())) == expected


@pytest.mark.parametrize("fault", [None, "maybe", "1.5"])
def test_many_distinct_soft_labels_in_text(fault):
    values = np.random.default_rng(0).random(2000).tolist()
    words = [repr(value) for value in values]
    expected: list[object] = list(values)
    words[3], expected[3] = None, MISSING
    if fault is not None:
        words[1500], expected[1500] = fault, UNKNOWN
    for array in (pa.array(words), pa.array(words).dictionary_encode(), pa.array(["0", *words]).slice(1)):
        assert encode(TruthLookup(), array) == expected


def test_many_classes():
    names = tuple(f"class {number}" for number in range(5000))
    words = [names[at] for at in np.random.default_rng(1).permutation(5000)]
    assert encode(ClassLookup(names), pa.array(words)) == [float(word.split()[1]) for word in words]


def test_ignored_labels():
    lookup = ClassLookup(("a", "b"))
    for array in forms_of(["a", "-100", "b", "skip", None, "c"]):
        assert encode(lookup, array, ("-100", "skip")) == [0.0, IGNORED, 1.0, IGNORED, MISSING, UNKNOWN]
    assert encode(TruthLookup(), pa.array([0, -100, 1]), ("-100",)) == [0.0, IGNORED, 1.0]
    assert encode(TruthLookup(), pa.array([0.0, -100.0, 0.5]), ("-100",)) == [0.0, IGNORED, 0.5]
    assert encode(TruthLookup(), pa.array(["0", "-100.0", "0.5"]), ("-100",)) == [0.0, IGNORED, 0.5]
    assert encode(lookup, pa.array(["a", "b"]), ("b",)) == [0.0, IGNORED]


def test_the_positive_class_and_the_other():
    for array in forms_of(["spam", "ham", None, "ham", "Spam"]):
        codec = LabelCodec(OneLookup("spam"))
        encoded = codec.encode(array)
        assert encoded.unknown is None or not encoded.unknown.any()
        assert encoded.missing.tolist() == [False, False, True, False, False]
        assert [encoded.values[at] for at in (0, 1, 3, 4)] == [1.0, 0.0, 0.0, 0.0]
        others = {text: at.tolist() for text, at in encoded.others.items() if len(at)}
        assert others == {"ham": [1, 3], "Spam": [4]}


def test_the_positive_class_as_a_number():
    encoded = LabelCodec(OneLookup("1")).encode(pa.array([1.0, -1.0, 1.0]))
    assert encoded.values.tolist() == [1.0, 0.0, 1.0]
    assert {text: at.tolist() for text, at in encoded.others.items()} == {"-1": [1]}
    assert LabelCodec(OneLookup("1")).encode(pa.array(["1.0", "1"])).values.tolist() == [1.0, 1.0]


def test_an_ignored_label_is_no_other():
    encoded = LabelCodec(OneLookup("spam"), ("?",)).encode(pa.array(["spam", "?", "ham"]))
    assert encoded.ignored.tolist() == [False, True, False]
    assert list(encoded.others) == ["ham"]


def test_a_null_among_the_words_of_a_dictionary_is_missing():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None], pa.int32()), pa.array(["a", None, "b"]))
    assert encode(ClassLookup(("a", "b")), array) == [0.0, MISSING, 1.0, MISSING]


@pytest.mark.parametrize("lookup", [ClassLookup(("a", "b")), TruthLookup(), OneLookup("a")])
@pytest.mark.parametrize("array", [pa.array([], pa.string()), pa.array([], pa.float64()), pa.nulls(0), pa.nulls(2)])
def test_columns_without_labels(lookup, array):
    assert encode(lookup, array) == [MISSING] * len(array)


def test_one_codec_gives_every_batch_the_same():
    codec = LabelCodec(ClassLookup(("a", "b")))
    assert codec.encode(pa.array(["b", "x"])).values[0] == 1.0
    again = codec.encode(pa.array(["x", "a", "b"]))
    assert again.unknown.tolist() == [True, False, False]
    assert again.values[1:].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "expected"), [("1.0", "1"), ("-12.000", "-12"), ("01.0", "01"), ("0.0", "0"), ("10.0", "10")]
)
def test_zeros_are_taken_off(text, expected):
    assert without_zeros(text) == expected


@pytest.mark.parametrize("text", ["1.50", "1.", ".0", "1.0a", "a1.0", "1e0", "1.0\n", "", "01", "1.0.0"])
def test_other_texts_stay(text):
    assert without_zeros(text) == text


@pytest.mark.parametrize("word", ["0", "1", "True", "FALSE", "0.5", "1.0", "1e-9"])
def test_words_of_truth(word):
    assert is_truth_word(word)


@pytest.mark.parametrize("word", ["yes", "2", "-1", "nan", "inf", "", "spam"])
def test_other_words(word):
    assert not is_truth_word(word)


@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(-300, 9000)), max_size=12), max_size=6),
    st.sampled_from([pa.int16(), pa.int32(), pa.int64(), pa.uint16()]),
)
def test_whole_numbers_are_the_same_as_their_text(batches, type_):
    names = ["7", "-100", "12", "5000", "0", "200"]
    one, other = (LabelCodec(ClassLookup(names), ("-100",)) for _ in range(2))
    for batch in batches:
        cells = [None if cell is None or (cell < 0 and type_ == pa.uint16()) else cell for cell in batch]
        direct = one.encode(pa.array(cells, type_))
        by_text = other.encode(pa.array([None if cell is None else str(cell) for cell in cells], pa.string()))
        flags = [[False] * len(cells) if found is None else list(found) for found in (direct.unknown, by_text.unknown)]
        assert flags[0] == flags[1]
        flags = [[False] * len(cells) if found is None else list(found) for found in (direct.ignored, by_text.ignored)]
        assert flags[0] == flags[1]
        missing = np.array([cell is None for cell in cells], dtype=bool)
        assert np.array_equal(missing, np.zeros(len(cells), bool) if direct.missing is None else direct.missing)
        assert np.array_equal(direct.values[~missing], by_text.values[~missing])


@pytest.mark.parametrize("most", [(1 << 63) - 1, (1 << 64) - 1])
def test_the_largest_numbers(most):
    codec = LabelCodec(ClassLookup([str(most), "3"]))
    assert codec.encode(pa.array([most, most], pa.uint64())).values.tolist() == [0.0, 0.0]
    assert codec.encode(pa.array([3, most], pa.uint64())).values.tolist() == [1.0, 0.0]


def test_a_range_of_numbers_grows_both_ways_and_stays_bounded():
    codec = LabelCodec(ClassLookup([str(number) for number in range(-3000, 3000)]))
    for lowest, highest in ((0, 9), (5, 40), (-3, 2), (-900, -890), (0, 2999), (-3000, -2990), (0, 5)):
        cells = np.arange(lowest, highest + 1)
        assert codec.encode(pa.array(cells)).values.tolist() == (cells + 3000.0).tolist()
        first, known = codec._numbers
        assert len(known.words) <= 4096
        assert known.words == [str(number) for number in range(first, first + len(known.words))]
