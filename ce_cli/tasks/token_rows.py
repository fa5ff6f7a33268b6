"""From rows to tokens and sequences: lists are unfolded, and consecutive rows with the same id are one sequence."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.block import Pair
from ce_cli.checks import RowChecks
from ce_cli.readers.arrays import is_list, nulls, plain, texts, view

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.arrays import Bools, Ints
    from ce_cli.checks import Fault, Faults
    from ce_cli.columns import Layout

# A column that unfolded rows have: the place of the token in the list of its row, from 0.
POSITION = "\x00position"
UNSCORED_WORDS = ("null", "None")


class Sequences(NamedTuple):
    """The sequences of a pair: where each starts, their ids, and to which of them each row belongs.

    starts: `(m,) int64`. names: the id of each, None where rows or lists are sequences by themselves. run: `(n,) int64`.
    """

    starts: Ints
    names: list[str] | None
    run: Ints

    def keys(self) -> Ints | None:
        """Return 64-bit hashes of the ids."""
        if self.names is None:
            return None
        hashes = b"".join(blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest() for name in self.names)
        return np.frombuffer(hashes, dtype=np.int64)


def sequences_of(layout: Layout, pair: Pair) -> Sequences:
    """Return the sequences of a pair: rows of one id, or else of one number, that stand together."""
    import pyarrow.compute as pc

    n = len(pair.rows)
    changes = np.ones(n, dtype=np.bool_)
    role = layout.roles.get("sequence")
    if role is None:
        np.not_equal(pair.rows[1:], pair.rows[:-1], out=changes[1:])
        starts = np.flatnonzero(changes)
        return Sequences(starts, None, np.cumsum(changes) - 1)
    side = pair.predictions if role.side == "predictions" else pair.labels
    ids = plain(side.column(role.column))
    if ids.null_count:
        ids = pc.fill_null(texts(ids), "")
    if n > 1:
        different = view(pc.not_equal(ids.slice(1), ids.slice(0, n - 1)).cast(pa.int8()))
        assert different is not None  # int8 has a view
        changes[1:] = different != 0
    starts = np.flatnonzero(changes)
    return Sequences(starts, texts(ids.take(positions(starts))).to_pylist(), np.cumsum(changes) - 1)


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
