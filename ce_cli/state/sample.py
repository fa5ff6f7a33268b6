"""A bounded sample of rows that does not depend on how the rows were cut, ordered or shared among threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.kernels.hashing import Words, mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ce_cli.arrays import Ints

    Array = npt.NDArray[Any]

_SALT = np.uint64(0x9E3779B97F4A7C15)  # else the hash of row 0 were 0
_SLACK = 8  # what is beyond the limit by a part of this many is cut off


class RowSample:
    """The rows with the lowest hashes of their numbers, at most `limit` of them, each with some columns.

    Every row has the same chance, and which rows are chosen depends on their numbers alone: a sample without replacement of
    bottom k (Cohen and Kaplan 2007). With no more than `limit` rows it holds them all. Rows of one number stay together
    as long as the limit allows, in the order in which they came.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen = 0
        self._size = 0
        self._highest = np.uint64(0xFFFFFFFFFFFFFFFF)
        self._hashes: list[Words] = []
        self._columns: list[tuple[Array, ...]] = []

    def wanted(self, rows: Ints) -> Ints:
        """Return the positions of the rows that may still be of the sample, by their numbers, `(n,) int64`."""
        return np.flatnonzero(_hashes(rows) <= self._highest)

    def add(self, rows: Ints, columns: Sequence[Array], *, seen: int) -> None:
        """Add rows that are wanted.

        rows: `(n,) int64`, their numbers. columns: `(n, …)` each, of the same types at each call. seen: how many rows
        `wanted` was asked about.
        """
        self.seen += seen
        if len(rows):
            self._append(_hashes(rows), tuple(columns))

    def merge(self, other: RowSample) -> None:
        """Add what another sample has seen."""
        self.seen += other.seen
        for hashes, columns in zip(other._hashes, other._columns, strict=True):
            self._append(hashes, columns)

    def columns(self) -> tuple[Words, tuple[Array, ...]]:
        """Return the hashes of the rows, increasing, and their columns; none without rows."""
        self._trim()
        return (self._hashes[0], self._columns[0]) if self._hashes else (np.zeros(0, dtype=np.uint64), ())

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: not more than is needed."""
        self._trim()
        return self.__dict__

    def _append(self, hashes: Words, columns: tuple[Array, ...]) -> None:
        self._hashes.append(hashes)
        self._columns.append(columns)
        self._size += len(hashes)
        if self._size > self.limit + self.limit // _SLACK:
            self._trim()

    def _trim(self) -> None:
        if not self._hashes:
            return
        hashes = np.concatenate(self._hashes)
        order = np.argsort(hashes, kind="stable")[: self.limit]
        place = np.full(len(hashes), -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        places = np.split(place, np.cumsum([len(part) for part in self._hashes])[:-1])
        columns = [list(parts) for parts in zip(*self._columns, strict=True)]
        self._columns.clear()
        # One piece of one column after another, so that little is held twice.
        chosen = tuple(_gathered(columns.pop(0), places, len(order)) for _ in range(len(columns)))
        self._hashes, self._columns = [hashes[order]], [chosen]
        self._size = len(order)
        if self._size == self.limit:
            self._highest = self._hashes[0][-1]


def _gathered(pieces: list[Array], places: Sequence[Ints], size: int) -> Array:
    """Return the pieces as one column of this size, each row at its place, or nowhere where that is -1; empties the list."""
    column = np.empty((size, *pieces[0].shape[1:]), dtype=pieces[0].dtype)
    for place in places:
        piece, there = pieces.pop(0), place >= 0
        column[place[there]] = piece[there]
    return column


def _hashes(rows: Ints) -> Words:
    return mixed(rows.astype(np.uint64) + _SALT)
