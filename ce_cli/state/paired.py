"""Losses of several models on the same rows: what each has in the mean, and how each differs from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import to_float
from ce_cli.state.groups import CLUSTER
from ce_cli.state.moments import Moments
from ce_cli.state.paired_groups import PairedClusters, PairedSlices
from ce_cli.state.products import add_products, factor
from ce_cli.state.replicates import ReplicateSums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from fractions import Fraction
    from typing import Any

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.kernels.hashing import Words
    from ce_cli.state.groups import Groups
    from ce_cli.state.paired_groups import GroupDifference

UNKNOWN = -1  # the class of a row that has none, or several


class PairedDifference(NamedTuple):
    """How a candidate differs from the reference on the common rows, in nats.

    n: the common rows. mean: candidate - reference, None where a loss is infinite or there are no rows. stderr: of that mean,
    None also for a single row. wins, losses, ties: the rows where the candidate's loss is smaller, larger, the same.
    infinite: the rows where either loss is infinite. units: how many independent observations there are: the rows, or their
    clusters.
    """

    n: int
    mean: float | None
    stderr: float | None
    wins: int
    losses: int
    ties: int
    infinite: int
    units: int


class ClassDifference(NamedTuple):
    """The same in the rows of one class: its mean difference, and what it contributes to that over all rows (they add up)."""

    n: int
    mean: float | None
    contribution: float | None


class PairedLosses:
    """The statistics of rows that several models have scored; the first model is the reference.

    state(A ∪ B) = state(A) merged with state(B), to the last bit: every sum is exact.
    """

    per = None  # what losses are divided by, where that is not the weight of a row
    tokens = None

    def __init__(
        self,
        models: int,
        classes: int,
        *,
        clustered: bool = False,
        slices: tuple[str, ...] = (),
        most: int = 10_000,
        bootstrap: tuple[int, int] | None = None,
    ) -> None:
        candidates = range(models - 1)
        self._clusters = [PairedClusters() for _ in candidates] if clustered else None
        # Of a seed and the number of replicates: each has Σw and Σwd.
        self._replicates = None if bootstrap is None else [ReplicateSums(*bootstrap, 2) for _ in candidates]
        self._slices = {by: [PairedSlices(most, clustered=clustered) for _ in candidates] for by in slices}
        self.models = models
        self.classes = classes
        self.n = 0
        self.scored = [0] * models  # rows with a loss, common to all models or not
        self.infinite = [0] * models  # of the common rows
        self._means = [Moments(spread=False) for _ in range(models)]
        self._differences = [Moments() for _ in range(models - 1)]
        self._signs = np.zeros((models - 1, 3), dtype=np.int64)  # smaller, larger, the same
        self._either = [0] * (models - 1)  # rows where the reference or the candidate is infinite
        self._class_n = np.zeros(classes, dtype=np.int64)
        self._class_weight = ExactSums(max(1, classes))
        self._class_losses = [ExactSums(max(1, classes)) for _ in range(models)]
        self._class_infinite = np.zeros((models, classes), dtype=np.int64)

    def add(
        self,
        losses: Floats,
        weight: Floats | None,
        label: Ints | None,
        groups: Mapping[str, Groups] | None = None,
        units: Words | None = None,
    ) -> None:
        """Add rows.

        losses: `(models, n) float64`, nats, `inf` allowed, NaN where a model has not scored the row. weight: `(n,) float64`,
        positive where all have, None for 1 each. label: `(n,) int64`, the class of each row, UNKNOWN for none; None for none.
        groups: what the rows belong to, by CLUSTER and by the names of the slices. units: `(n,) uint64`, what
        stands for the rows or clusters that are resampled.
        """
        there = ~np.isnan(losses)
        for model, count in enumerate(np.count_nonzero(there, axis=1).tolist()):
            self.scored[model] += count
        common: Bools = np.logical_and.reduce(there, axis=0)
        if not common.all():
            losses = losses[:, common]
            weight = None if weight is None else weight[common]
            label = None if label is None else label[common]
            groups = None if groups is None else {name: own.take(common) for name, own in groups.items()}
            units = None if units is None else units[common]
        n = losses.shape[1]
        if n == 0:
            return
        self.n += n
        finite = losses < np.inf
        for model, (own, fine) in enumerate(zip(losses, finite, strict=True)):
            self.infinite[model] += n - int(np.count_nonzero(fine))
            _add(self._means[model], own, weight, fine)
        for at in range(self.models - 1):
            self._compare(at, losses[0], losses[at + 1], finite[0] & finite[at + 1], weight)
        if units is not None and self._replicates is not None:
            self._resample(self._replicates, losses, finite, weight, units)
        if groups:
            self._by_group(losses, finite, weight, groups)
        if label is not None and self.classes:
            self._by_class(losses, finite, weight, label)

    def merge(self, other: PairedLosses) -> None:
        """Add what another state of the same models has seen."""
        if (other.models, other.classes) != (self.models, self.classes):
            raise ValueError("these states belong to different comparisons")
        self.n += other.n
        for name in ("scored", "infinite", "_either"):
            setattr(self, name, [a + b for a, b in zip(getattr(self, name), getattr(other, name), strict=True)])
        for name in ("_signs", "_class_n", "_class_infinite"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("_means", "_differences", "_class_losses"):
            for mine, theirs in zip(getattr(self, name), getattr(other, name), strict=True):
                mine.merge(theirs)
        self._class_weight.merge(other._class_weight)
        for one, two in zip(self._clusters or (), other._clusters or (), strict=True):
            one.merge(two)
        for resampled, its in zip(self._replicates or (), other._replicates or (), strict=True):
            resampled.merge(its)
        for by, slices in self._slices.items():
            for mine, theirs in zip(slices, other._slices[by], strict=True):
                mine.merge(theirs)

    def mean(self, model: int) -> Fraction | None:
        """Return a model's exact mean of the finite losses on the common rows, None where there is none."""
        return self._means[model].mean()

    def difference(self, candidate: int) -> PairedDifference:
        """Return how a model (1 = the first candidate) differs from the reference."""
        at = candidate - 1
        wins, losses, ties = self._signs[at].tolist()
        infinite, units = self._either[at], self.n
        mine, reference = self.mean(candidate), self.mean(0)
        mean = error = None
        if not infinite and mine is not None and reference is not None:
            mean = to_float(mine - reference)
            error = self._differences[at].standard_error()
            if self._clusters is not None:
                units, error = self._clusters[at].spread()
        return PairedDifference(self.n, mean, error, wins, losses, ties, infinite, units)

    def by_class(self, candidate: int) -> list[ClassDifference]:
        """Return how a model differs from the reference in the rows of every class."""
        sums = [self._class_losses[model].totals() for model in (0, candidate)]
        weights = self._class_weight.totals()
        total = self._means[0].weight() if not self.infinite[0] else None
        everything = sum(self._class_n.tolist()) == self.n
        found = []
        for at, n in enumerate(self._class_n.tolist()):
            mean = contribution = None
            if n and not self._class_infinite[[0, candidate], at].any():
                difference = sums[1][at] - sums[0][at]
                mean = to_float(difference / weights[at])
                contribution = to_float(difference / total) if total and everything else None
            found.append(ClassDifference(n, mean, contribution))
        return found

    def by_slice(self, candidate: int) -> Iterator[tuple[str, Any, GroupDifference]]:
        """Yield what a model's differences are in every slice, with the names of what is cut by and of the slice."""
        for by, slices in self._slices.items():
            for name, found in slices[candidate - 1].differences():
                yield by, name, found

    def replicates(self, candidate: int) -> list[float]:
        """Return the mean difference of a model in every replicate that has any row, ascending.

        There is none with an infinite loss, and with fewer than two rows, or clusters.
        """
        if self._replicates is None or self._either[candidate - 1] or not self._replicates[candidate - 1].several:
            return []
        weights, sums = self._replicates[candidate - 1].totals()
        return sorted(to_float(one / weight) for one, weight in zip(sums, weights, strict=True) if weight)

    def _resample(
        self,
        replicates: list[ReplicateSums],
        losses: Floats,
        finite: Bools,
        weight: Floats | None,
        units: Words,
    ) -> None:
        for at, sums in enumerate(replicates):
            if not (finite[0] & finite[at + 1]).all():
                continue  # what is not finite has no mean in any replicate
            difference = factor(losses[at + 1] - losses[0])
            by = None if weight is None else factor(weight)
            columns = [by, difference if by is None else difference.times(by)]
            sums.add(units, columns, repeated=self._clusters is not None)

    def _by_group(self, losses: Floats, finite: Bools, weight: Floats | None, groups: Mapping[str, Groups]) -> None:
        for at in range(self.models - 1):
            both = finite[0] & finite[at + 1]
            difference = np.full(len(both), np.inf)
            np.subtract(losses[at + 1], losses[0], out=difference, where=both)
            for by, slices in self._slices.items():
                slices[at].add(groups[by], difference, weight, groups.get(CLUSTER))
            if self._clusters is not None:
                self._clusters[at].add(groups[CLUSTER], difference, weight)

    def _compare(self, at: int, reference: Floats, candidate: Floats, finite: Bools, weight: Floats | None) -> None:
        smaller = int(np.count_nonzero(candidate < reference))
        larger = int(np.count_nonzero(candidate > reference))
        self._signs[at] += (smaller, larger, len(candidate) - smaller - larger)
        self._either[at] += len(candidate) - int(np.count_nonzero(finite))
        if finite.all():
            _add(self._differences[at], candidate - reference, weight, finite)
        # With an infinite loss nothing is made of the differences.

    def _by_class(self, losses: Floats, finite: Bools, weight: Floats | None, label: Ints) -> None:
        known = label != UNKNOWN
        if not known.all():
            losses, finite, label = losses[:, known], finite[:, known], label[known]
            weight = None if weight is None else weight[known]
        if not len(label):
            return
        self._class_n += np.bincount(label, minlength=self.classes)
        by_weight = factor(np.ones(len(label)) if weight is None else weight)
        add_products(self._class_weight, factor(np.ones(len(label))), by_weight, label)
        for model, (own, fine) in enumerate(zip(losses, finite, strict=True)):
            if not fine.all():
                self._class_infinite[model] += np.bincount(label[~fine], minlength=self.classes)
                own = np.where(fine, own, 0.0)
            if weight is None:
                self._class_losses[model].add(own, label)
            else:
                add_products(self._class_losses[model], factor(own), by_weight, label)


def _add(moments: Moments, values: Floats, weight: Floats | None, finite: Bools) -> None:
    if finite.all():
        moments.add(values, weight)
    elif finite.any():
        moments.add(values[finite], None if weight is None else weight[finite])
