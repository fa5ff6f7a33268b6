"""Means over rows beside that of the loss, each row being one observation whatever it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.block import Objective
from ce_cli.state.evaluation import weighed
from ce_cli.state.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import RowMean, Scored
    from ce_cli.plan import EvalPlan


class Usable(NamedTuple):
    """The rows of a mean whose value is finite and weighs anything: which these are (None: all), and what they have."""

    chosen: Bools | None
    total: Floats
    weight: Floats | None


def usable(mean: RowMean) -> Usable:
    """Return the rows that a mean is of, an infinite value being none."""
    chosen = np.isfinite(mean.total)
    if mean.weight is not None:
        chosen &= mean.weight > 0
    if chosen.all():
        return Usable(None, *mean)
    return Usable(chosen, mean.total[chosen], None if mean.weight is None else mean.weight[chosen])


class RowMeans:
    """The moments of some of the means that scored rows have (`Scored.row_means`), with a row's mean as its value.

    A row that holds m values of weight w counts as its mean does with the weight w·m: the variance of a ratio of two sums,
    linearised (Cochran 1977, section 6), in which the values of one row may depend on each other as they like.
    """

    def __init__(self, plan: EvalPlan, names: Iterable[str]) -> None:
        self._plan = plan
        self._moments = {name: Moments() for name in names}
        self._infinite: set[str] = set()

    def add(self, scored: Scored, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - rows do not matter
        """Add rows of positive weight."""
        means = scored.row_means(self._plan)
        for name, moments in self._moments.items():
            mean = means[name]
            some = usable(mean)
            if some.chosen is not None and np.isinf(mean.total).any():
                self._infinite.add(name)
            by = weight if weight is None or some.chosen is None else weight[some.chosen]
            if len(some.total):
                values = some.total if some.weight is None else some.total / some.weight
                moments.add(*weighed(Objective(values, some.weight), by))

    def merge(self, other: RowMeans) -> None:
        """Add what another state has seen."""
        self._infinite |= other._infinite
        for name, moments in self._moments.items():
            moments.merge(other._moments[name])

    @property
    def names(self) -> list[str]:
        """The means that are gathered."""
        return [*self._moments]

    def mean(self, name: str) -> Fraction | None:
        """Return a mean; None where it is infinite, and without rows."""
        return None if name in self._infinite else self._moments[name].mean()

    def error(self, name: str) -> tuple[float, int] | None:
        """Return the standard error and its degrees of freedom; None with an infinite value and for fewer than two rows."""
        error = None if name in self._infinite else self._moments[name].standard_error()
        return None if error is None else (error, self._moments[name].n - 1)
