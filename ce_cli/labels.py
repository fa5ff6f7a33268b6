"""From the labels in a file to class numbers: by their text, never by sorting them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ce_cli.errors import Problem
from ce_cli.readers.arrays import nulls, numbers, plain, texts, view
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats, Ints

_WHOLE = re.compile(r"-?\d+\.0+")
_MANY = 512  # distinct labels in one batch: from here on they are probabilities, parsed in bulk
_FEW_NUMBERS = 4096  # whose words are kept, whether they occur or not
_MOST_INT64 = (1 << 63) - 1
_UNKNOWN, _IGNORED = -1.0, -2.0


class Encoded(NamedTuple):
    """Labels of one batch: values `(n,) float64`, a class number or, for a binary task, the probability of the positive class.

    `missing`, `unknown` and `ignored` mark the cells that have none. `others` has the positions of every text that was
    taken for the negative class because it is not the positive one.
    """

    values: Floats
    missing: Bools | None
    unknown: Bools | None
    ignored: Bools | None
    others: dict[str, Ints]
    soft: bool = False  # whether any value lies between two classes


class Lookup(Protocol):
    """What a codec needs to know: the value of one text; below 0 where there is none."""

    @property
    def soft(self) -> bool:
        """Whether labels may be probabilities."""

    @property
    def positive(self) -> str | None:
        """The one name beside which every other is the negative class."""

    def value(self, text: str) -> float:
        """Return the class number or the probability that a text stands for, -1 for an unknown text."""


class ClassLookup:
    """Class names, each its own number; failing that, 1.0 stands for 1."""

    soft = False
    positive = None

    def __init__(self, names: tuple[str, ...]) -> None:
        self._numbers = {name: float(number) for number, name in enumerate(names)}

    def value(self, text: str) -> float:
        """Return the number of a class."""
        return self._numbers.get(text, self._numbers.get(without_zeros(text), _UNKNOWN))


class TruthLookup:
    """0 and 1, true and false, and any probability of the positive class between."""

    soft = True
    positive = None

    def value(self, text: str) -> float:
        """Return the probability that a text stands for."""
        known = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}.get(text.lower())
        if known is not None:
            return known
        try:
            number = float(text)
        except ValueError:
            return _UNKNOWN
        return number + 0.0 if 0.0 <= number <= 1.0 and "_" not in text else _UNKNOWN


class OneLookup:
    """One name is the positive class; whatever else there is, once, is the negative one."""

    soft = False

    def __init__(self, positive: str) -> None:
        self.positive: str | None = positive

    def value(self, text: str) -> float:
        """Return 1 for the positive class and 0 for any other."""
        return float(self.positive in (text, without_zeros(text)))


class _Words(NamedTuple):
    """Texts (None for an empty cell, which is at the place `empty`), and what each stands for, `(m,) float64`."""

    words: list[str | None]
    values: Floats
    empty: int | None = None


class LabelCodec:
    """Turns a label column into numbers, looking each distinct text up once."""

    def __init__(self, lookup: Lookup, ignored: tuple[str, ...] = ()) -> None:
        self._lookup = lookup
        self._ignored = frozenset(ignored)
        self._known: dict[str, float] = {}
        self._numbers: tuple[int | None, _Words] = None, _Words([], np.zeros(0))

    def encode(self, array: pa.Array) -> Encoded:
        """Return the labels of a column of any type."""
        import pyarrow as pa

        if self._lookup.soft and (pa.types.is_floating(array.type) or _is_truth(array)):
            fast = self._encode_numbers(array)
            if fast is not None:
                return fast
        single = _single_characters(array)
        if single is not None:
            return self._looked_up(self._words(single[0]), single[1], None)
        whole = self._encode_whole_numbers(array)
        if whole is not None:
            return whole
        coded = array if pa.types.is_dictionary(array.type) else plain(array).dictionary_encode()
        if len(coded.dictionary) > _MANY and self._lookup.soft:
            fast = self._encode_numbers(array)
            if fast is not None:
                return fast
        index = view(coded.indices)
        assert index is not None  # indices are integers
        return self._looked_up(self._words(texts(coded.dictionary).to_pylist()), index, nulls(coded))

    def _encode_numbers(self, array: pa.Array) -> Encoded | None:
        """Return probabilities as they are; None where some cell needs a closer look."""
        values, missing, bad = numbers(array)
        if bad or self._ignored or not (len(values) == 0 or (values.min() >= 0 and values.max() <= 1)):
            return None
        soft = not _is_truth(array) and bool((values != np.rint(values)).any())
        return Encoded(values + 0.0, missing, None, None, {}, soft)

    def _encode_whole_numbers(self, array: pa.Array) -> Encoded | None:
        """Return the labels of a column of integers in a short range; else None.

        A dictionary would take longer to make, and pyarrow 25 ms to import what makes it.
        """
        import pyarrow as pa

        cells = view(array) if pa.types.is_integer(array.type) else None
        if cells is None or len(cells) == 0:
            return None
        missing = nulls(array)
        if missing is not None:
            there = cells[~missing]
            cells = np.where(missing, there[0] if len(there) else 0, cells)  # what an empty cell holds is undefined
        first, words = self._whole_numbers(int(cells.min()), int(cells.max()))
        if first is None:
            return None
        return self._looked_up(words, np.subtract(cells, first, dtype=np.int64), missing)

    def _whole_numbers(self, lowest: int, highest: int) -> tuple[int | None, _Words]:
        """Return the words of a range of numbers that has these, and its first one; None where they are too many."""
        first, words = self._numbers
        known = len(words.words)
        if first is not None:
            if first <= lowest and highest < first + known:
                return first, words
            # At least twice as many, so that batch after batch does not add one.
            lowest = first if lowest >= first else min(lowest, max(first - known, highest - _FEW_NUMBERS + 1))
            highest = max(highest, min(first + 2 * known, lowest + _FEW_NUMBERS) - 1)
        if highest - lowest >= _FEW_NUMBERS or not -_MOST_INT64 <= lowest <= highest <= _MOST_INT64:
            return None, words
        # Another thread may have a range of its own: each goes on with the one that it has made.
        made = lowest, self._words([str(number) for number in range(lowest, highest + 1)])
        self._numbers = made
        return made

    def _words(self, words: list[str | None]) -> _Words:
        values = np.array([self._value(word) for word in words] or [0.0])
        return _Words(words, values, words.index(None) if None in words else None)

    def _looked_up(self, known: _Words, index: Ints, missing: Bools | None) -> Encoded:
        """Return what words stand for, by the place of each cell's in `known`."""
        table = known.values
        if known.empty is not None:
            empty = index == known.empty
            missing = empty if missing is None else missing | empty
        if missing is not None:
            index = np.where(missing, 0, index)
        values = table.take(index)
        others = self._others(known, index, missing)
        soft = bool((table != np.rint(table)).any())
        if table.min() >= 0 or (len(values) and values.min() >= 0):
            return Encoded(values, missing, None, None, others, soft)
        unknown, ignored = values == _UNKNOWN, values == _IGNORED
        if missing is not None:
            unknown &= ~missing
            ignored &= ~missing
        return Encoded(np.maximum(values, 0.0), missing, unknown, ignored, others, soft)

    def _others(self, known: _Words, index: Ints, missing: Bools | None) -> dict[str, Ints]:
        if self._lookup.positive is None:
            return {}
        there = np.ones(len(index), dtype=np.bool_) if missing is None else ~missing
        counts = np.bincount(index[there], minlength=len(known.values))
        numbers = np.flatnonzero((counts > 0) & (known.values == 0.0)).tolist()
        return {str(known.words[number]): np.flatnonzero((index == number) & there) for number in numbers}

    def _value(self, word: str | None) -> float:
        if word is None:
            return _UNKNOWN
        value = self._known.get(word)
        if value is None:
            ignored = word in self._ignored or without_zeros(word) in self._ignored
            value = _IGNORED if ignored else self._lookup.value(word)
            if len(self._known) < 1 << 16:
                self._known[word] = value
        return value


def not_one_class(others: Mapping[str, Tally], positive: str, path: str, column: str) -> Problem | None:
    """Return the problem with labels of which more than one is not the positive class.

    others: the rows of every other text; the text that comes first is the negative class.
    """
    if len(others) < 2:
        return None
    by_row = sorted(others, key=lambda text: others[text].first)
    extra = Tally()
    for text in by_row[1:]:
        extra.merge(others[text])
    return Problem(
        "unknown_label",
        f"{by_row[1]!r} is neither {positive!r} nor {by_row[0]!r}",
        path,
        column,
        extra.first,
        extra.count,
        "a binary task has two labels; for more classes give each a score column",
    )


def without_zeros(text: str) -> str:
    """Return 1 for 1.0, and any other text as it is."""
    return text[: text.index(".")] if _WHOLE.fullmatch(text) else text


def is_truth_word(text: str) -> bool:
    """Tell whether a text is one that a single score column takes for a label without further ado."""
    if text.lower() in ("0", "1", "true", "false"):
        return True
    try:
        return 0.0 <= float(text) <= 1.0 and not math.isnan(float(text))
    except ValueError:
        return False


def _single_characters(array: pa.Array) -> tuple[list[str | None], Ints] | None:
    """Return the words and the position of each cell in them where every cell is text of one ASCII character; else None.

    Such labels need no dictionary, which takes longer to make than anything else that is done with a label.
    """
    import pyarrow as pa

    if not pa.types.is_string(array.type) or array.null_count or len(array) == 0:
        return None
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    if bounds[-1] - bounds[0] != len(array) or not (np.diff(bounds) == 1).all():
        return None
    cells = np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]
    lowest, highest = int(cells.min()), int(cells.max())
    return [chr(code) for code in range(lowest, highest + 1)], np.subtract(cells, lowest, dtype=np.int64)


def _is_truth(array: pa.Array) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(array.type) or pa.types.is_boolean(array.type))
