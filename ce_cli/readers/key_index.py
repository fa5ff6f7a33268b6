"""Where each id stands in the labels: a table by number where ids are dense, an array sorted by hash where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ce_cli.readers.keys import BLOCK_ROWS, WholeCells, row_hashes, same_keys, whole_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ce_cli.arrays import Ints
    from ce_cli.kernels.hashing import Words
    from ce_cli.readers.keys import Cells, KeyBuilder

Positions = npt.NDArray[np.signedinteger]

_SPREAD = (
    4  # a table may have so many places for each row: four bytes each, where the other index takes 18 for whole numbers
)
_BUCKET_ROWS = 4  # at most so many rows share a bucket on average


class KeyIndex(Protocol):
    """Finds rows by their key."""

    repeats: Ints  # rows whose key an earlier row has
    first_repeat: str  # the key of the first of them

    def find(self, columns: Sequence[pa.Array]) -> Ints:
        """Return the first row with each of these keys, -1 where there is none."""

    def text(self, row: int) -> str:
        """Return the key of a row as people write it."""


def index_of(parts: list[Cells]) -> KeyIndex:
    """Return an index of keys, given by their parts; the list is emptied where they need not be kept."""
    only = parts[0] if len(parts) == 1 else None
    if isinstance(only, WholeCells) and len(only.values):
        least, most = int(only.values.min()), int(only.values.max())
        if most - least < _SPREAD * len(only.values):
            parts.clear()
            return TableIndex(only.values, least, most)
    return HashIndex(parts)


def index_bytes(keys: Sequence[KeyBuilder], rows: int) -> int:
    """Return the least memory that an index of so many rows takes beside its keys, and a mark for each row."""
    place = _row_type(rows).itemsize
    sorted_ = rows * (8 + place // _BUCKET_ROWS)
    span = keys[0].span if len(keys) == 1 else None
    return rows + (sorted_ if span is None else min(sorted_, place * span))


class TableIndex:
    """The row of every number from the least to the greatest."""

    def __init__(self, values: npt.NDArray[np.signedinteger], least: int, most: int) -> None:
        self._least, self._most = least, most
        self._rows = np.full(most - least + 1, -1, dtype=_row_type(len(values)))
        # Backwards, so that the first of equal ones stays.
        for start in reversed(range(0, len(values), BLOCK_ROWS)):
            part = values[start : start + BLOCK_ROWS]
            self._rows[self._places(part)[::-1]] = np.arange(start + len(part) - 1, start - 1, -1)
        self.repeats, self.first_repeat = np.zeros(0, dtype=np.int64), ""
        if np.count_nonzero(self._rows >= 0) < len(values):
            self.repeats = np.flatnonzero(self._rows[self._places(values)] != np.arange(len(values)))
            self.first_repeat = str(int(values[self.repeats[0]]))

    def find(self, columns: Sequence[pa.Array]) -> Ints:
        """Return the first row with each of these keys, -1 where there is none."""
        values, valid = whole_cells(columns[0])
        if not len(values):
            return np.zeros(0, dtype=np.int64)
        if int(values.min()) < self._least or int(values.max()) > self._most:
            inside = (values >= self._least) & (values <= self._most)
            valid = inside if valid is None else valid & inside
        if valid is not None:
            values = np.where(valid, values, self._least)
        at = self._rows.take(self._places(values)).astype(np.int64)
        return at if valid is None else np.where(valid, at, -1)

    def text(self, row: int) -> str:
        """Return the digits of the id of a row."""
        return str(self._least + int(np.flatnonzero(self._rows == row)[0]))

    def _places(self, values: npt.NDArray[np.signedinteger]) -> Ints:
        places = values.astype(np.int64)
        places -= self._least
        return places


class HashIndex:
    """Rows in the order of the hashes of their keys, and where those begin whose first bits are the same.

    An entry is a row and, before it, as many bits of the hash as there is place for. The keys themselves decide.
    """

    def __init__(self, parts: Sequence[Cells]) -> None:
        self._parts = tuple(parts)
        count = parts[0].rows
        self._row_bits = np.uint64(max(1, (count - 1).bit_length()))
        self._row_mask = (np.uint64(1) << self._row_bits) - np.uint64(1)
        self._entries: Words = np.empty(count, dtype=np.uint64)
        for start in range(0, count, BLOCK_ROWS):
            stop = min(count, start + BLOCK_ROWS)
            entries = row_hashes(parts, start, stop)
            entries &= ~self._row_mask
            entries |= np.arange(start, stop, dtype=np.uint64)
            self._entries[start:stop] = entries
        self._entries.sort()
        bits = max(1, (count // _BUCKET_ROWS).bit_length())
        self._bucket_shift = np.uint64(64 - bits)
        self._starts = self._bucket_starts(1 << bits)
        self.repeats = self._repeats() if self._any_repeat() else np.zeros(0, dtype=np.int64)
        self.first_repeat = self.text(int(self.repeats[0])) if len(self.repeats) else ""

    def find(self, columns: Sequence[pa.Array]) -> Ints:
        """Return the first row with each of these keys, -1 where there is none."""
        cells: list[Cells] = []
        rows = np.arange(len(columns[0]))
        for part, column in zip(self._parts, columns, strict=True):
            alike, valid = part.like(column)
            cells.append(alike)
            if valid is not None:
                rows = rows[valid[rows]]
        at = np.full(len(columns[0]), -1, dtype=np.int64)
        if not len(rows) or not len(self._entries):
            return at
        hashes = row_hashes(cells, 0, len(at))
        bucket = (hashes >> self._bucket_shift).astype(np.int64)
        entry, end = self._starts.take(bucket).astype(np.int64), self._starts.take(bucket + 1)
        while len(rows := rows[entry[rows] < end[rows]]):
            found = self._entries.take(entry[rows])
            likely = (found ^ hashes[rows]) <= self._row_mask
            there, candidates = rows[likely], (found[likely] & self._row_mask).astype(np.int64)
            same = same_keys(self._parts, candidates, cells, there)
            at[there[same]] = candidates[same]
            # Entries ascend: beyond the hash there is nothing more to look at.
            entry[rows] += 1
            rows = rows[(at[rows] < 0) & ((found | self._row_mask) <= (hashes[rows] | self._row_mask))]
        return at

    def text(self, row: int) -> str:
        """Return the key of a row, its parts divided by bars."""
        return "|".join(part.text(row) for part in self._parts)

    def _bucket_starts(self, buckets: int) -> Positions:
        starts = np.empty(buckets + 1, dtype=_row_type(len(self._entries)))
        starts[buckets] = len(self._entries)
        for first in range(0, buckets, BLOCK_ROWS):
            stop = min(buckets, first + BLOCK_ROWS)
            bounds = np.arange(first, stop, dtype=np.uint64) << self._bucket_shift
            starts[first:stop] = np.searchsorted(self._entries, bounds)
        return starts

    def _any_repeat(self) -> bool:
        """Tell whether two keys are the same: those whose hashes agree are compared, at growing distance."""
        distance, open_ = 1, True
        while open_:
            open_ = False
            for _, first, second in self._alike(distance):
                open_ = True
                if same_keys(self._parts, first, self._parts, second).any():
                    return True
            distance += 1
        return False

    def _alike(self, distance: int) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Yield, where entries so far apart have the same hash, their places and the rows of both."""
        for start in range(0, len(self._entries) - distance, BLOCK_ROWS):
            stop = min(len(self._entries) - distance, start + BLOCK_ROWS)
            one, two = self._entries[start:stop], self._entries[start + distance : stop + distance]
            places = np.flatnonzero((one ^ two) <= self._row_mask)
            if len(places):
                rows = [(part[places] & self._row_mask).astype(np.int64) for part in (one, two)]
                yield places + start, rows[0], rows[1]

    def _repeats(self) -> Ints:
        """Return the rows whose key an earlier one has, ascending."""
        again, mixed = [], []
        for places, first, second in self._alike(1):
            same = same_keys(self._parts, first, self._parts, second)
            again.append(second[same])
            mixed.append(self._entries[places[~same]] | self._row_mask)
        # Where different keys have one hash, neighbours do not tell; of each such hash its largest entry is known here.
        apart = np.concatenate(mixed)
        found = np.concatenate(again)
        if len(apart):
            among = self._entries[np.isin(self._entries | self._row_mask, apart)] & self._row_mask
            rows = np.sort(among.astype(np.int64))
            found = np.concatenate([found[~np.isin(found, rows)], self._repeats_of(rows)])
        return np.sort(found)

    def _repeats_of(self, rows: Ints) -> Ints:
        """Return those of a few rows, ascending, whose key an earlier one of them has."""
        seen: set[tuple[str, ...]] = set()
        again = []
        for row in rows.tolist():
            key = tuple(part.text(row) for part in self._parts)
            if key in seen:
                again.append(row)
            seen.add(key)
        return np.array(again, dtype=np.int64)


def _row_type(rows: int) -> np.dtype[Any]:
    return np.dtype(np.int32 if rows <= np.iinfo(np.int32).max else np.int64)
