"""Sums by group, for as many groups as come: slices, clusters, and slices crossed with clusters.

Blocks number their groups as they like; what merges are names. A sum is exact whatever rows, blocks or processes it came
from, so nothing depends on the order in which groups are met.
"""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ce_cli.state.exact import GrowingSums
from ce_cli.state.fractions import to_float
from ce_cli.state.products import add_products, factor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.state.products import Factor


CLUSTER = "cluster"  # what rows or sequences are grouped by that depend on each other
BEYOND = None  # the name of all groups together that are too many


class Groups(NamedTuple):
    """The groups that rows belong to: `codes`, `(n,) int64`, are positions in `names`, which are all different."""

    codes: Ints
    names: Sequence[Any]

    def take(self, rows: Ints | Bools) -> Groups:
        """Return some of the rows, and the names that are left."""
        return present(self.codes[rows], self.names)


def present(codes: Ints, names: Sequence[Any]) -> Groups:
    """Return groups by names of which some may not occur, or may occur twice."""
    used, codes = np.unique(codes, return_inverse=True)
    found: dict[Any, int] = {}
    cells = np.array([found.setdefault(names[code], len(found)) for code in used.tolist()], dtype=np.int64)
    return Groups(cells[codes], [*found])


def crossed(parts: Sequence[Groups]) -> Groups:
    """Return the groups of rows by several criteria at once: a name is a tuple with one of each."""
    first, *others = parts
    codes, names = first.codes, [(name,) for name in first.names]
    for part in others:
        pairs, codes = np.unique(codes * len(part.names) + part.codes, return_inverse=True)
        split = zip(*(found.tolist() for found in np.divmod(pairs, len(part.names))), strict=True)
        names = [(*names[one], part.names[two]) for one, two in split]
    return Groups(codes, names)


class Placed(NamedTuple):
    """Rows of a block by group: `cells`, `(m,)`, are the groups there, `at`, `(n,)`, says which of these is a row's."""

    cells: Ints
    at: Ints

    def within(self, code: Ints, size: int) -> Placed:
        """Return the rows by group and by a code in [0, size), for sums that have `size` cells for each group."""
        cells, at = np.unique(self.cells[self.at] * size + code, return_inverse=True)
        return Placed(cells, at)

    def take(self, rows: Ints | Bools) -> Placed:
        """Return some of the rows; groups may be left without any."""
        return Placed(self.cells, self.at[rows])


class GroupSums:
    """Counts and exact sums of every group, by the names of both.

    sums: what is summed; a name with a number in `widths` has so many cells for each group. A group takes about 100 bytes and
    its name, and 50 bytes for each sum.
    """

    def __init__(
        self, sums: Iterable[str], counts: Iterable[str] = ("n",), widths: dict[str, int] | None = None
    ) -> None:
        self.widths = {**dict.fromkeys(sums, 1), **(widths or {})}
        self._index: dict[Hashable, int] = {}
        self._counts = {name: np.zeros(0, dtype=np.int64) for name in counts}
        self._sums = {name: GrowingSums() for name in self.widths}

    def __len__(self) -> int:
        return len(self._index)

    @property
    def names(self) -> list[Any]:
        """The groups, in the order in which all figures are returned."""
        return [*self._index]

    def place(self, groups: Groups) -> Placed:
        """Return where the rows of a block belong; groups that are not known yet become so."""
        return Placed(self._cells(groups.names), groups.codes)

    def count(self, name: str, placed: Placed) -> None:
        """Count the rows of every group."""
        self._counts[name][placed.cells] += np.bincount(placed.at, minlength=len(placed.cells))

    def add(self, name: str, placed: Placed, values: Floats | Factor, by: Floats | Factor | None = None) -> None:
        """Add finite values, `(n,)`, or their exact products with others, to the sums of their groups."""
        if len(placed.at) == 0:
            return
        sums = self._sums[name].at(placed.cells)
        if by is None and isinstance(values, np.ndarray):
            sums.add(values, placed.at)
            return
        one = factor(values) if isinstance(values, np.ndarray) else values
        other = factor(np.ones(len(placed.at))) if by is None else factor(by) if isinstance(by, np.ndarray) else by
        add_products(sums, one, other, placed.at)

    def merge(self, other: GroupSums, name: Callable[[Any], Any] = lambda name: name) -> None:
        """Add what another state has seen; groups to which `name` gives the same one are added together."""
        self._add_from(other, self._cells([name(one) for one in other.names]))

    def clear(self) -> None:
        """Forget all groups."""
        self._index = {}
        self._counts = {count: np.zeros(0, dtype=np.int64) for count in self._counts}
        self._sums = {one: GrowingSums() for one in self._sums}

    def drop(self, name: str) -> None:
        """Give up a sum."""
        self._sums.pop(name, None)

    def has(self, name: str) -> bool:
        """Tell whether a sum is still there."""
        return name in self._sums

    def renamed(self, name: Callable[[Any], Any]) -> Self:
        """Return the same with other names of the groups; those that get the same one are added together."""
        found = copy.copy(self)
        found.clear()
        found.merge(self, name)
        return found

    def bounded(self, most: int) -> Self:
        """Return the first `most` groups by name as they are, and all others as one, named `BEYOND`."""
        names = [name for name in self.names if name is not BEYOND]
        if len(names) <= most:
            return self
        kept = {*sorted(names)[:most]}
        return self.renamed(lambda name: name if name in kept else BEYOND)

    def counts(self, name: str) -> list[int]:
        """Return a count of every group."""
        return self._counts[name][: len(self._index)].tolist()  # type: ignore[no-any-return]

    def totals(self, name: str) -> list[Fraction]:
        """Return a sum of every group, or of every cell of every group."""
        return self._sums[name].totals()

    def rounded(self, name: str, ones: str | None = None) -> tuple[Floats, Fraction]:
        """Return a sum of every group, rounded once, and the exact sum over all.

        ones: a count that is added, of rows that were not summed because each would have been 1.
        """
        if ones is None:
            return self._sums[name].rounded()
        counts = self._counts[ones][: len(self._index)]
        if not counts.any():
            return self._sums[name].rounded()
        sums, total = self._sums[name].rounded()
        if sums.any():
            both = [one + two for one, two in zip(self.totals(name), counts.tolist(), strict=True)]
            return np.array([to_float(one) for one in both]), sum(both, Fraction(0))
        return counts.astype(np.float64), total + int(counts.sum())

    def _cells(self, names: Sequence[Any]) -> Ints:
        """Return the cells of some groups."""
        index = self._index
        cells = np.array([index.setdefault(name, len(index)) for name in names], dtype=np.int64)
        for count, values in self._counts.items():
            if len(values) < len(index):
                self._counts[count] = np.pad(values, (0, max(len(index), 2 * len(values)) - len(values)))
        for name, sums in self._sums.items():
            sums.grow(len(index) * self.widths[name])
        return cells

    def _add_from(self, other: GroupSums, cells: Ints) -> None:
        for name, counts in self._counts.items():
            np.add.at(counts, cells, other._counts[name][: len(cells)])
        for name in [*self._sums]:
            if name not in other._sums:
                del self._sums[name]
                continue
            width = self.widths[name]
            every = cells if width == 1 else (cells[:, None] * width + np.arange(width)).ravel()
            self._sums[name].add_from(other._sums[name], every)
