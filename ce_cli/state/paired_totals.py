"""What several models lose on the same units, whole texts say: totals, and what those are divided by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.state.fractions import to_float
from ce_cli.state.groups import GroupSums
from ce_cli.state.paired import PairedDifference
from ce_cli.state.paired_groups import GroupDifference
from ce_cli.state.products import factor
from ce_cli.state.ratios import Ratio, ratio_of, total_of
from ce_cli.state.replicates import ReplicateSums
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from fractions import Fraction

    from ce_cli.arrays import Bools, Floats
    from ce_cli.kernels.hashing import Words
    from ce_cli.state.groups import Groups
    from ce_cli.state.paired import ClassDifference

_RESAMPLED = 1 << 16  # units at a time


class PairedTotals:
    """The statistics of units that all models have scored; the first model is the reference. Everything is there at once.

    scored: how many units each model has scored, common to all or not. losses: `(models, n) float64`, nats, `inf` allowed.
    size: `(n,) float64`, what the losses are divided by, positive in sum, and `per` what it counts: "token", "byte" or
    "sequence". tokens: how many each model has in the common units, None where nobody knows. clusters: those of the units,
    None where each is one. slices: the slices of the units, by what is cut by. words: `(n,) uint64`, what stands for the units,
    or their clusters, where they are resampled. most: how many slices of one cut are looked at, the first by name.
    """

    classes = 0

    def __init__(
        self,
        scored: Sequence[int],
        losses: Floats,
        size: Floats,
        *,
        per: str,
        tokens: Sequence[int] | None = None,
        clusters: Groups | None = None,
        slices: Mapping[str, Groups] | None = None,
        words: Words | None = None,
        differing: Tally | None = None,
        most: int = 10_000,
        bootstrap: tuple[int, int] | None = None,
    ) -> None:
        self.scored = list(scored)
        self.models, self.n = losses.shape
        self.per = per
        self.tokens = tokens
        self._losses = losses
        self._size = size
        self.differing = differing or Tally()
        self._clusters = clusters
        self._slices = dict(slices or {})
        self._most = most
        self._words = words
        self._bootstrap = bootstrap
        self.infinite = [int(np.count_nonzero(np.isinf(own))) for own in losses]
        self._whole = total_of(size)
        self.units = self.n if clusters is None else len(clusters.names)
        self._means = [self._ratio(own) for own in losses]

    def mean(self, model: int) -> Fraction | None:
        """Return a model's exact mean over the units whose loss is finite, None where there is none."""
        return self._means[model].value

    def standard_error(self, model: int) -> float | None:
        """Return the standard error of that mean."""
        return self._means[model].error

    def difference(self, candidate: int) -> PairedDifference:
        """Return how a model (1 = the first candidate) differs from the reference."""
        mine, reference = self._losses[candidate], self._losses[0]
        wins, worse = int(np.count_nonzero(mine < reference)), int(np.count_nonzero(mine > reference))
        difference, both = self._differences(candidate)
        infinite = self.n - int(np.count_nonzero(both))
        mean = error = None
        if not infinite and self._whole:
            mean, error = to_float((total_of(mine) - total_of(reference)) / self._whole), self._ratio(difference).error
        return PairedDifference(self.n, mean, error, wins, worse, self.n - wins - worse, infinite, self.units)

    def by_class(self, candidate: int) -> list[ClassDifference]:  # noqa: ARG002 - as where rows have classes
        """Return nothing: a unit has no class."""
        return []

    def by_slice(self, candidate: int) -> Iterator[tuple[str, Any, GroupDifference]]:
        """Yield what a model's differences are in every slice, with the names of what is cut by and of the slice."""
        difference, both = self._differences(candidate)
        for by, groups in self._slices.items():
            order = np.argsort(groups.codes, kind="stable")
            bounds = np.searchsorted(groups.codes[order], np.arange(len(groups.names) + 1))
            for at in sorted(range(len(groups.names)), key=lambda at: groups.names[at])[: self._most]:
                chosen = order[bounds[at] : bounds[at + 1]]
                yield by, groups.names[at], self._slice(difference, chosen, contributes=bool(both.all()))

    def replicates(self, candidate: int) -> list[float]:
        """Return the difference of a model in every replicate that has any unit, ascending.

        There is none with an infinite loss, and with fewer than two units, or clusters.
        """
        difference, both = self._differences(candidate)
        if self._bootstrap is None or self._words is None or not both.all():
            return []
        resampled = ReplicateSums(*self._bootstrap, 2)
        for start in range(0, self.n, _RESAMPLED):
            at = slice(start, start + _RESAMPLED)
            columns = [factor(self._size[at]), factor(difference[at])]
            resampled.add(self._words[at], columns, repeated=self._clusters is not None)
        if not resampled.several:
            return []
        sizes, sums = resampled.totals()
        return sorted(to_float(one / size) for one, size in zip(sums, sizes, strict=True) if size)

    def _differences(self, candidate: int) -> tuple[Floats, Bools]:
        """Return the differences, `inf` where either loss is, and where neither is."""
        both = np.isfinite(self._losses[candidate]) & np.isfinite(self._losses[0])
        difference = np.full(self.n, np.inf)
        np.subtract(self._losses[candidate], self._losses[0], out=difference, where=both)
        return difference, both

    def _slice(self, difference: Floats, chosen: Any, *, contributes: bool) -> GroupDifference:
        own = difference[chosen]
        units = len(own) if self._clusters is None else len(np.unique(self._clusters.codes[chosen]))
        ratio = Ratio(None, None) if np.isinf(own).any() else self._ratio(own, chosen)
        if ratio.value is None:
            return GroupDifference(len(own), units, None, None, None)
        part = to_float(total_of(own) / self._whole) if contributes else None
        return GroupDifference(len(own), units, to_float(ratio.value), ratio.error, part)

    def _ratio(self, values: Floats, chosen: Any = slice(None)) -> Ratio:
        """Return the ratio of finite values to what they are divided by, its error that of clusters where there are some."""
        size, fine = self._size[chosen], np.isfinite(values)
        values, size = values[fine], size[fine]
        if not size.any():
            return Ratio(None, None)
        if self._clusters is None:
            return ratio_of(values, size)
        sums = GroupSums(("values", "size"), ())
        placed = sums.place(self._clusters.take(np.arange(self.n)[chosen][fine]))
        sums.add("values", placed, values)
        sums.add("size", placed, size)
        return ratio_of(sums.rounded("values")[0], sums.rounded("size")[0])._replace(value=ratio_of(values, size).value)
