"""From rows to tokens and sequences: lists are unfolded, and consecutive rows with the same id are one sequence."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.block import Pair
from ce_cli.checks import RowChecks
from ce_cli.readers.arrays import is_list, nulls, plain, texts, view
from ce_cli.readers.categories import groups_of
from ce_cli.readers.keys import text_words
from ce_cli.state.runs import RunGroups

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ce_cli.arrays import Bools, Ints
    from ce_cli.checks import Fault, Faults
    from ce_cli.columns import Layout

# A column that unfolded rows have: the place of the token in the list of its row, from 0.
POSITION = "\x00position"
UNSCORED_WORDS = ("null", "None")
_MOST_INT64 = 2**63 - 1
_DIGITS = 20  # of such a number, with its sign
_WORD = 8  # bytes
_ALL = np.uint64(2**64 - 1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # so that the empty text does not have the hash 0


class Sequences(NamedTuple):
    """The sequences of a pair: where each starts, and the ids of all rows, None where rows or lists are sequences.

    starts: `(m,) int64`. rows: how many there are.
    """

    starts: Ints
    rows: int
    ids: pa.Array | None

    def run(self) -> Ints:
        """Return to which of the sequences each row belongs, `(n,) int64`."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=self.rows))

    def names(self) -> list[str] | None:
        """Return the id of each as text."""
        if self.ids is None:
            return None
        names: list[str] = texts(self.ids.take(positions(self.starts))).to_pylist()
        return names

    def keys(self) -> Ints | None:
        """Return 64 bits for each id, the same for the same text: whole numbers are themselves, others their hashes."""
        if self.ids is None:
            return None
        whole = _whole(self.ids)
        if whole is not None:
            return whole[self.starts].astype(np.int64)
        return _keys(texts(self.ids.take(positions(self.starts))))


def sequences_of(layout: Layout, pair: Pair) -> Sequences:
    """Return the sequences of a pair: rows of one id, or else of one number, that stand together."""
    n = len(pair.rows)
    role = layout.roles.get("sequence")
    if role is None:
        return Sequences(_starts(pair.rows), n, None)
    side = pair.predictions if role.side == "predictions" else pair.labels
    ids = plain(side.column(role.column))
    whole = _whole(ids)
    if whole is not None:
        return Sequences(_starts(whole), n, ids)
    import pyarrow.compute as pc  # here, since it takes 25 ms to import

    if ids.null_count:
        ids = pc.fill_null(texts(ids), "")
    changes = np.ones(n, dtype=np.bool_)
    if n > 1:
        different = view(pc.not_equal(ids.slice(1), ids.slice(0, n - 1)).cast(pa.int8()))
        assert different is not None  # int8 has a view
        changes[1:] = different != 0
    return Sequences(np.flatnonzero(changes), n, ids)


def run_groups(cells: pa.Array, sequences: Sequences, rows: Ints) -> RunGroups:
    """Return what sequences belong to by the cells of a column; rows: `(n,) int64`, their numbers."""
    groups = groups_of(cells, empty="")
    hashes = text_words(pa.array(groups.names, pa.string()))
    found = hashes[groups.codes]
    changes = np.zeros(len(rows), dtype=np.bool_)
    np.not_equal(found[1:], found[:-1], out=changes[1:])
    changes[sequences.starts] = False
    ends = np.append(sequences.starts[1:], len(rows)) - 1
    names = dict(zip(hashes.tolist(), groups.names, strict=True))
    return RunGroups(found[sequences.starts], found[ends], rows[changes], names)


def _whole(ids: pa.Array) -> npt.NDArray[np.integer] | None:
    """Return ids that are whole numbers within the range of int64; None where one is not."""
    values = None if ids.null_count or not pa.types.is_integer(ids.type) else view(ids)
    if values is not None and values.dtype == np.uint64 and values.size and values.max() > _MOST_INT64:
        return None
    return values


def _starts(ids: npt.NDArray[np.integer]) -> Ints:
    """Return where values differ from those before them, `(m,) int64`."""
    changes = np.ones(len(ids), dtype=np.bool_)
    np.not_equal(ids[1:], ids[:-1], out=changes[1:])
    return np.flatnonzero(changes)


def _keys(names: pa.StringArray) -> Ints:
    """Return 64 bits for each text: of a whole number as it is written, that number; else a hash."""
    with contextlib.suppress(pa.ArrowInvalid):
        whole = names.cast(pa.int64())
        found = view(whole)
        if found is not None and whole.cast(pa.string()).equals(names):
            return found
    keys, first = _hashes(names)
    maybe = np.flatnonzero((first == ord("-")) | ((first >= ord("0")) & (first <= ord("9"))))
    for at, name in zip(maybe.tolist(), names.take(positions(maybe)).to_pylist(), strict=True):
        if name.removeprefix("-").isdecimal() and len(name) <= _DIGITS and name == str(number := int(name)):
            keys[at] = number if -_MOST_INT64 - 1 <= number <= _MOST_INT64 else keys[at]
    return keys


def _hashes(names: pa.StringArray) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Return a hash of each text, `(m,) int64`, and its first byte, 0 where there is none.

    Words of 8 bytes are mixed in one after another, after the length. The mixing is the finalizer of SplitMix64: Steele, Lea
    and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    n = len(names)
    _, offsets, text = names.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[names.offset : names.offset + n + 1].astype(np.int64)
    data = np.zeros((0 if text is None else text.size) + _WORD, dtype=np.uint8)
    if text is not None:
        data[:-_WORD] = np.frombuffer(text, dtype=np.uint8)
    words = np.ndarray(len(data) - _WORD + 1, dtype="<u8", buffer=data, strides=(1,))
    start, left = bounds[:-1], np.diff(bounds)
    hashes = _mixed(left.astype(np.uint64) + _GOLDEN)
    rows = np.arange(n)
    first = np.zeros(n, dtype=np.uint8)
    first[left > 0] = data[start[left > 0]]
    while len(rows := rows[left[rows] > 0]):
        there = np.minimum(left[rows], _WORD).astype(np.uint64)
        word = words[start[rows]] & (_ALL >> (np.uint64(64) - np.uint64(8) * there))
        hashes[rows] = _mixed(hashes[rows] ^ word)
        start, left = start + _WORD, left - _WORD
    return hashes.view(np.int64), first


def _mixed(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def positions(at: Ints, valid: Bools | None = None) -> pa.Array:
    """Return positions as Arrow takes them; null where they are not valid."""
    bitmap = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.int64(), len(at), [bitmap, pa.py_buffer(np.ascontiguousarray(at, dtype=np.int64))])


def unfolded(layout: Layout, pair: Pair) -> Pair:
    """Return a pair with a row for each token of a column of lists; an empty list is one token that is not scored."""
    name = layout.scores.columns[0]
    column = plain(pair.predictions.column(name))
    tokens, lengths = _tokens(column)
    sizes = np.maximum(lengths, 1)
    row = np.repeat(np.arange(len(lengths)), sizes)
    ends = np.cumsum(sizes)
    place = np.arange(len(row)) - np.repeat(ends - sizes, sizes)
    if (lengths == 0).any():
        there = lengths[row] > 0
        tokens = tokens.take(positions(np.maximum(np.cumsum(there) - 1, 0), there))
    index = positions(row)
    text = layout.roles.get("text")
    arrays, names = [], []
    for field in pair.predictions.schema.names:
        values = plain(pair.predictions.column(field))
        if field == name:
            values = tokens
        elif text is not None and field == text.column:
            values = pa.DictionaryArray.from_arrays(index, values)  # not a copy for each token
        else:
            values = values.take(index)
        arrays.append(values)
        names.append(field)
    batch = pa.RecordBatch.from_arrays([*arrays, positions(place)], names=[*names, POSITION])
    return Pair(pair.rows[row], pair.label_rows[row], batch, batch)


def _tokens(column: pa.Array) -> tuple[pa.Array, Ints]:
    """Return the tokens of all rows, one after another, and how many each row has."""
    import pyarrow.compute as pc

    if not is_list(column.type):
        cells = pc.fill_null(texts(column), "")
        cells = pc.utf8_trim_whitespace(pc.replace_substring_regex(cells, r"[\[\](),;]", " "))
        column = pc.utf8_split_whitespace(cells)
        lengths = _lengths(column)
        empty = view(pc.equal(cells, "").cast(pa.int8()))
        assert empty is not None  # int8 has a view
        lengths = np.where(empty != 0, 0, lengths)
        words = column.flatten()
        if (empty != 0).any():
            words = words.filter(pc.not_equal(words, ""))
        return _numbers(words), lengths
    missing = nulls(column)
    lengths = _lengths(column)
    if missing is not None:
        lengths = np.where(missing, 0, lengths)
    return column.flatten(), lengths


def _lengths(column: pa.Array) -> Ints:
    import pyarrow.compute as pc

    lengths = view(pc.fill_null(pc.list_value_length(column), 0))
    assert lengths is not None  # they are integers
    return lengths.astype(np.int64)


def _numbers(words: pa.Array) -> pa.Array:
    """Return words as numbers, or as they are where one is none: the checks tell which."""
    import pyarrow.compute as pc

    if words.null_count == 0:
        for word in UNSCORED_WORDS:
            same = pc.equal(words, word)
            if pc.any(same).as_py():
                words = pc.if_else(pc.fill_null(same, False), pa.scalar(None, pa.string()), words)
    try:
        return words.cast(pa.float64())
    except pa.ArrowInvalid:
        return words


def once_a_row(values: Any, rows: Ints) -> Any:
    """Return the largest of the values of each row that was unfolded at its first token, and 0 at the others, `(n,)`."""
    starts = _starts(rows)
    found = np.zeros_like(values)
    found[starts] = np.maximum.reduceat(values, starts)
    return found


class TokenChecks(RowChecks):
    """Checks that say which token of a list is at fault."""

    def __init__(self, faults: Faults, pair: Pair, *, keep: bool) -> None:
        super().__init__(faults, pair.rows, keep=keep)
        self._place = view(pair.predictions.column(POSITION))

    def fail(
        self,
        code: str,
        bad: Bools | None,
        file: str,
        describe: Callable[[int], Fault],
        *,
        hint: str | None = None,
        rows: Ints | None = None,
    ) -> None:
        """Record the rows where `bad` is true, with the place in the list in front of the message."""

        def placed(at: int) -> Fault:
            fault = describe(at)
            assert self._place is not None  # positions are integers
            return fault._replace(message=f"token {int(self._place[at]) + 1}: {fault.message}")

        super().fail(code, bad, file, placed, hint=hint, rows=rows)
