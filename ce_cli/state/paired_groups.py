"""Differences of two models by group: slices that are looked at one by one, and clusters of which each is one observation."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.block import Scored
from ce_cli.state.fractions import square_root, to_float
from ce_cli.state.groups import BEYOND, GroupSums, crossed
from ce_cli.state.loss_groups import LossGroups
from ce_cli.state.ratios import ratio_variance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ce_cli.arrays import Floats
    from ce_cli.state.groups import Groups


class GroupDifference(NamedTuple):
    """The mean difference in the rows of one group, nats, its standard error, and its part in the difference over all rows.

    units: how many independent observations there are: the rows, or their clusters.
    """

    n: int
    units: int
    mean: float | None
    stderr: float | None
    contribution: float | None


class PairedSlices:
    """The differences of one candidate from the reference by slice, of the first `most` slices by name.

    clustered: whether rows come in clusters, of which a slice has any number; each pair of the two that occurs is held.
    """

    def __init__(self, most: int, *, clustered: bool = False) -> None:
        self._most = most
        self._sums = LossGroups()
        self._clusters = PairedClusters() if clustered else None

    def add(self, groups: Groups, difference: Floats, weight: Floats | None, clusters: Groups | None = None) -> None:
        """Add rows by their groups; a difference is `inf` where either loss is."""
        self._sums.add_losses(self._sums.place(groups), Scored(loss=difference), weight)
        if self._clusters is not None and clusters is not None:
            self._clusters.add(crossed([groups, clusters]), difference, weight)
        self._bound()

    def merge(self, other: PairedSlices) -> None:
        """Add what another state has seen."""
        self._sums.merge(other._sums)
        if self._clusters is not None and other._clusters is not None:
            self._clusters.merge(other._clusters)
        self._bound()

    def _bound(self) -> None:
        if len(self._sums) > 2 * self._most:
            self._sums = self._sums.bounded(self._most)
            if self._clusters is not None:
                self._clusters.keep({*self._sums.names})

    def differences(self) -> Iterator[tuple[Any, GroupDifference]]:
        """Yield what is known of every slice, by name; those that are too many are left out."""
        sums = self._sums.bounded(self._most)
        found = sorted((item for item in sums.moments() if item[0] is not BEYOND), key=lambda item: item[0])
        every = [own for _, own in sums.moments()]
        whole = sum((own.weight for own in every), Fraction(0))
        infinite = any(own.infinite for own in every)
        clusters = None if self._clusters is None else self._clusters.by_slice()
        for name, own in found:
            mean = own.mean()
            units = own.n if clusters is None else len(clusters.get(name, ((), ()))[0])
            if own.infinite or mean is None:
                yield name, GroupDifference(own.n, units, None, None, None)
                continue
            if clusters is None:
                variance = own.variance()
            else:
                variance = ratio_variance(*clusters[name], mean, own.weight)
            error = None if variance is None else square_root(variance)
            part = None if infinite else to_float(own.total / whole)
            yield name, GroupDifference(own.n, units, to_float(mean), error, part)


class PairedClusters:
    """The sums of the differences of one candidate from the reference in every cluster, or every one of a slice."""

    def __init__(self) -> None:
        self._sums = GroupSums(("total", "weight"), ("ones",))

    def add(self, groups: Groups, difference: Floats, weight: Floats | None) -> None:
        """Add rows by their clusters; those whose difference is infinite are left out."""
        fine = np.isfinite(difference)
        if not fine.all():
            groups, difference = groups.take(fine), difference[fine]
            weight = None if weight is None else weight[fine]
        placed = self._sums.place(groups)
        if weight is None:
            self._sums.count("ones", placed)
            self._sums.add("total", placed, difference)
        else:
            self._sums.add("weight", placed, weight)
            self._sums.add("total", placed, difference, weight)

    def merge(self, other: PairedClusters) -> None:
        """Add what another state has seen."""
        self._sums.merge(other._sums)

    def keep(self, slices: Collection[Any]) -> None:
        """Give up the clusters of all slices but these, which are the first of the two in a name."""
        self._sums = self._sums.renamed(lambda name: name if name[0] in slices else (BEYOND, BEYOND))

    def by_slice(self) -> dict[Any, tuple[Floats, Floats]]:
        """Return what the clusters of every slice sum to, each rounded once: Σ w(loss - reference) and Σ w."""
        totals, weights = self._sums.rounded("total")[0], self._sums.rounded("weight", "ones")[0]
        places: dict[Any, list[int]] = {}
        for at, (name, _) in enumerate(self._sums.names):
            places.setdefault(name, []).append(at)
        return {name: (totals[at], weights[at]) for name, at in places.items()}

    def spread(self) -> tuple[int, float | None]:
        """Return how many clusters there are, and √(C/(C-1) Σ_c (Σ w(d - μ))²) / Σw; None for fewer than two.

        What a cluster sums to is rounded once, so that the products are exact in any order.
        """
        (totals, total), (weights, weight) = self._sums.rounded("total"), self._sums.rounded("weight", "ones")
        count = len(self._sums)
        if count < 2:
            return count, None
        variance = ratio_variance(totals, weights, total / weight, weight)
        return count, None if variance is None else square_root(variance)
