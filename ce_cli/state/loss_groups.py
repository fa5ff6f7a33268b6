"""The mean loss of every group, and what its standard error needs."""

from __future__ import annotations

import math
from fractions import Fraction
from operator import add, sub
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ce_cli.state.evaluation import averaged
from ce_cli.state.groups import GroupSums
from ce_cli.state.products import factor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ce_cli.arrays import Bools, Floats
    from ce_cli.block import Scored
    from ce_cli.state.groups import Placed

_COUNTS = ("n", "used", "ones", "infinite")
_SUMS = ("loss", "squares", "weight", "weighted", "weighted_squares", "cross", "weight_squares")


class GroupMoments(NamedTuple):
    """Sums over the rows of a group. They subtract: what is left is that of the other rows.

    n: all rows. used: those with a finite loss. infinite: the others that weigh anything. weight: Σw, total: Σwℓ, squares:
    Σw²ℓ², cross: Σw²ℓ, weight_squares: Σw², of the rows with a finite loss.
    """

    n: int
    used: int
    infinite: int
    weight: Fraction
    total: Fraction
    squares: Fraction
    cross: Fraction
    weight_squares: Fraction

    def plus(self, other: GroupMoments) -> GroupMoments:
        """Return the sums over both groups."""
        return GroupMoments._make(map(add, self, other))

    def minus(self, other: GroupMoments) -> GroupMoments:
        """Return the sums over the rows that are not in the other group, which is a part of this one."""
        return GroupMoments._make(map(sub, self, other))

    def mean(self) -> Fraction | None:
        """Return the mean of the finite losses, None without any."""
        return self.total / self.weight if self.weight else None

    def variance(self) -> Fraction | None:
        """Return the squared standard error n/(n-1) Σw²(ℓ-μ)² / (Σw)²; None for fewer than two rows."""
        mean = self.mean()
        if mean is None or self.used < 2:
            return None
        squares = self.squares - 2 * mean * self.cross + mean**2 * self.weight_squares
        return Fraction(self.used, self.used - 1) * squares / self.weight**2


NOTHING = GroupMoments(0, 0, 0, *[Fraction(0)] * 5)


class LossGroups(GroupSums):
    """The loss that a task averages, by group, beside further sums."""

    def __init__(
        self,
        sums: Iterable[str] = (),
        counts: Iterable[str] = (),
        widths: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__((*_SUMS, *sums), (*_COUNTS, *counts), dict(widths or {}))

    def add_losses(self, placed: Placed, scored: Scored, weight: Floats | None) -> None:
        """Add the rows of a block of positive weight, `(n,) float64` or None for 1 each."""
        self.count("n", placed)
        loss, total_weight, infinite = averaged(scored, weight)
        if infinite is not None:
            self.count("infinite", placed.take(infinite))
        finite = _usable(loss, total_weight)
        if finite is not None:
            placed, loss = placed.take(finite), loss[finite]
            total_weight = None if total_weight is None else total_weight[finite]
        self.count("used", placed)
        value = factor(loss)
        if total_weight is None:
            self.count("ones", placed)
            self.add("loss", placed, loss)
            self.add("squares", placed, value, value)
            return
        by = factor(total_weight)
        both = value.times(by)
        self.add("weight", placed, total_weight)
        self.add("weighted", placed, value, by)
        self.add("weighted_squares", placed, both, both)
        self.add("cross", placed, both, by)
        self.add("weight_squares", placed, by, by)

    def moments(self) -> Iterator[tuple[Any, GroupMoments]]:
        """Yield the name and the sums of every group."""
        counts = {name: self.counts(name) for name in _COUNTS}
        sums = {name: self.totals(name) for name in _SUMS}
        for at, name in enumerate(self.names):
            ones, loss = counts["ones"][at], sums["loss"][at]
            yield (
                name,
                GroupMoments(
                    counts["n"][at],
                    counts["used"][at],
                    counts["infinite"][at],
                    sums["weight"][at] + ones,
                    sums["weighted"][at] + loss,
                    sums["weighted_squares"][at] + sums["squares"][at],
                    sums["cross"][at] + loss,
                    sums["weight_squares"][at] + ones,
                ),
            )


def _usable(loss: Floats, weight: Floats | None) -> Bools | None:
    """Return which rows have a finite loss that weighs anything; None where all do."""
    usable = None
    if len(loss) and math.isinf(float(loss.max())):
        usable = np.isfinite(loss)
    if weight is not None and not weight.all():
        usable = weight > 0 if usable is None else usable & (weight > 0)
    return usable
