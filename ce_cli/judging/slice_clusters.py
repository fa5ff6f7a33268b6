"""Slices of rows that depend on each other: a cluster may lie in one slice or in several."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.judging.clusters import usable_losses
from ce_cli.state.exact import GrowingSums
from ce_cli.state.groups import BEYOND, GroupSums, crossed, present
from ce_cli.state.products import add_products, factor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ce_cli.judging.base import JudgedRows
    from ce_cli.state.groups import Groups

_PRODUCTS = {
    "total_total": ("total", "total"),
    "total_weight": ("total", "weight"),
    "weight_weight": ("weight", "weight"),
}
# A squared standard error and its degrees of freedom, of a mean and of its difference from that of the other rows.
Spread = tuple[tuple[Fraction, float] | None, tuple[Fraction, float] | None]


class SliceClusters:
    """Σw and Σwℓ of every cluster in every slice: a pair of them takes about 300 bytes and its names.

    Of more than `most` slices the first by name are kept, as `SliceTable` does, and the others are one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums = GroupSums(("total", "weight"), ("ones",))
        self._slices: set[Any] = set()  # those that are kept so far
        self._last: Any = None  # the largest name that may still be kept, once there were too many

    def add(self, groups: Groups, clusters: Groups, rows: JudgedRows) -> None:
        """Add rows of positive weight by their slices and clusters."""
        groups = present(groups.codes, [self._kept(name) for name in groups.names])
        self._slices.update(name for name in groups.names if name is not BEYOND)
        _gather(self._sums, crossed([groups, clusters]), rows)
        self._bound()

    def merge(self, other: SliceClusters) -> None:
        """Add what another state has seen."""
        self._sums.merge(other._sums)
        self._slices |= other._slices
        self._bound()

    def _kept(self, name: Any) -> Any:
        return name if self._last is None or (name is not BEYOND and name <= self._last) else BEYOND

    def _bound(self) -> None:
        if len(self._slices) > 2 * self._most:
            kept = sorted(self._slices)[: self._most]
            self._slices, self._last = {*kept}, kept[-1]
            self._sums = self._sums.renamed(lambda name: (self._kept(name[0]), name[1]))

    def spread(self, kept: Collection[Any]) -> Callable[[Any], Spread]:
        """Return what looks up the standard errors of a slice that is kept.

        With d_c what a cluster adds to an estimate's error, the square of the standard error is C/(C-1) Σ d_c². A mean has
        d_c = (Σwℓ - μ Σw) / W over the rows of the cluster in the slice; its difference from the mean of the other rows has in
        addition what the rows of the same cluster outside the slice do.
        """
        sums = self._sums.renamed(lambda name: (name[0] if name[0] in kept else BEYOND, name[1]))
        whole = sums.renamed(lambda name: name[1])
        at_cluster = {name: at for at, name in enumerate(whole.names)}
        slices = {name: at for at, name in enumerate(dict.fromkeys(name for name, _ in sums.names))}
        code = np.array([slices[name] for name, _ in sums.names], dtype=np.int64)
        cluster = np.array([at_cluster[name] for _, name in sums.names], dtype=np.int64)
        (own, weight), (totals, weights) = _rounded(sums), _rounded(whole)
        per_slice = _Products([own, weight, totals[cluster], weights[cluster]], code, len(slices))
        everything = _Products([totals, weights], np.zeros(len(totals), dtype=np.int64), 1)
        inside = np.bincount(code, minlength=len(slices))
        in_one_slice = np.bincount(cluster)[cluster] == 1
        outside = len(totals) - np.bincount(code[in_one_slice], minlength=len(slices))

        def look_up(name: Any) -> Spread:
            if name not in slices:
                return None, None
            at = slices[name]
            return _spread(per_slice, everything, at, (int(inside[at]), int(outside[at]), len(totals)))

        return look_up


class SliceSequences:
    """The same where each cluster is of one slice and of one block, as a row with a list of tokens is: folded at once.

    What is kept is Σ and Σ of squares and products of the clusters' Σwℓ and Σw, by slice: memory does not grow with rows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums = GroupSums(("total", "weight", *_PRODUCTS), ("clusters",))

    def add(self, groups: Groups, clusters: Groups, rows: JudgedRows) -> None:
        """Add rows of positive weight by their slices and clusters."""
        block = GroupSums(("total", "weight"), ("ones",))
        _gather(block, crossed([groups, clusters]), rows)
        slices = [name for name, _ in block.names]
        placed = self._sums.place(present(np.arange(len(slices)), slices))
        self._sums.count("clusters", placed)
        vectors = dict(zip(("total", "weight"), _rounded(block), strict=True))
        for name, vector in vectors.items():
            self._sums.add(name, placed, vector)
        for name, (one, two) in _PRODUCTS.items():
            self._sums.add(name, placed, vectors[one], vectors[two])
        self._bound()

    def merge(self, other: SliceSequences) -> None:
        """Add what another state has seen."""
        self._sums.merge(other._sums)
        self._bound()

    def _bound(self) -> None:
        if len(self._sums) > 2 * self._most:
            self._sums = self._sums.bounded(self._most)

    def spread(self, kept: Collection[Any]) -> Callable[[Any], Spread]:
        """Return what looks up the standard errors of a slice that is kept, as `SliceClusters.spread` does."""
        sums = self._sums.renamed(lambda name: name if name in kept else BEYOND)
        columns = [sums.totals(name) for name in ("total", "weight", *_PRODUCTS)]
        clusters = [_Clusters(*values) for values in zip(sums.counts("clusters"), *columns, strict=True)]
        found = dict(zip(sums.names, clusters, strict=True))
        whole = _Clusters._make(map(sum, zip(*clusters, strict=True)))

        def look_up(name: Any) -> Spread:
            own = found.get(name)
            if own is None or own.n < 2:
                return None, None
            of_mean = (Fraction(own.n, own.n - 1) * own.squares(), float(own.n - 1))
            rest = _Clusters._make(map(sub, whole, own))
            if rest.n < 2:
                return of_mean, None
            squares = own.squares() + rest.squares()
            if squares <= 0:
                return of_mean, None
            every = Fraction(whole.n, whole.n - 1) * squares
            return of_mean, (every, float(min(own.n, rest.n) - 1))

        return look_up


class _Clusters(NamedTuple):
    """Sums over clusters of T = Σwℓ and W = Σw of each."""

    n: int
    total: Fraction
    weight: Fraction
    total_total: Fraction
    total_weight: Fraction
    weight_weight: Fraction

    def squares(self) -> Fraction:
        """Return Σ (T - μW)² / (ΣW)²."""
        mean = self.total / self.weight
        squares = self.total_total - 2 * mean * self.total_weight + mean**2 * self.weight_weight
        return squares / self.weight**2


def _gather(sums: GroupSums, both: Groups, rows: JudgedRows) -> None:
    """Add the finite losses of rows, and what these weigh, to the sums of slices and clusters."""
    usable, loss, weight = usable_losses(rows)
    placed = sums.place(both if usable is None else both.take(usable))
    if weight is None:
        sums.count("ones", placed)
        sums.add("total", placed, loss)
    else:
        sums.add("weight", placed, weight)
        sums.add("total", placed, loss, weight)


def _rounded(sums: GroupSums) -> tuple[Any, Any]:
    """Return Σwℓ and Σw of every group, each rounded once."""
    return sums.rounded("total")[0], sums.rounded("weight", "ones")[0]


class _Products:
    """The exact sums of some vectors and of the products of any two of them, by group."""

    def __init__(self, vectors: Sequence[Any], code: Any, groups: int) -> None:
        factors = [factor(vector) for vector in vectors]
        self._size = len(vectors)
        cells = np.arange(groups)
        self._sums: dict[tuple[int, int], list[Fraction]] = {}
        self._vectors: list[list[Fraction]] = []
        for one, two in combinations_with_replacement(range(self._size), 2):
            sums = GrowingSums()
            sums.grow(groups)
            add_products(sums.at(cells), factors[one], factors[two], code)
            self._sums[one, two] = sums.totals()
        for vector in vectors:
            sums = GrowingSums()
            sums.grow(groups)
            sums.at(cells).add(vector, code)
            self._vectors.append(sums.totals())

    def total(self, vector: int, group: int) -> Fraction:
        """Return the sum of a vector over a group."""
        return self._vectors[vector][group]

    def squares(self, factors: Sequence[Fraction], group: int) -> Fraction:
        """Return the sum over a group of (Σ_i factor_i · vector_i)²; the factors of the vectors from the last back."""
        first = self._size - len(factors)
        found = Fraction(0)
        for one, left in enumerate(factors, first):
            for two, right in enumerate(factors, first):
                found += left * right * self._sums[min(one, two), max(one, two)][group]
        return found


def _spread(inside: _Products, everything: _Products, at: int, counts: tuple[int, int, int]) -> Spread:
    """Return the spread of a slice.

    counts: the clusters that have rows in it, those that have rows outside, and all.
    """
    own, outer, count = counts
    total, weight = inside.total(0, at), inside.total(1, at)
    if not weight or own < 2:
        return None, None
    mean = total / weight
    zero = Fraction(0)
    squares = inside.squares([1 / weight, -mean / weight, zero, zero], at)
    of_mean = (Fraction(own, own - 1) * squares, float(own - 1))
    other_weight = everything.total(1, 0) - weight
    if other_weight <= 0 or outer < 2:
        return of_mean, None
    other = (everything.total(0, 0) - total) / other_weight
    back = [-1 / other_weight, other / other_weight]
    both = [1 / weight - back[0], -mean / weight - back[1], *back]
    squares = inside.squares(both, at) + everything.squares(back, 0) - inside.squares(back, at)
    if squares <= 0:
        return of_mean, None
    return of_mean, (Fraction(count, count - 1) * squares, float(min(own, outer) - 1))
