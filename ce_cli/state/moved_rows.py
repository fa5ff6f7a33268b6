"""The rows whose loss a candidate changes most against the reference, for better and for worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.worst import WorstRows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.arrays import Bools, Floats, Ints


class MovedRows:
    """The `top` rows where a candidate loses most against the reference, and those where it gains most, ties by the row.

    Each is kept with (the reference's loss, the candidate's loss, whatever `describe` says of the row).
    """

    def __init__(self, top: int) -> None:
        self.worse, self.better = WorstRows(top), WorstRows(top)

    def add(
        self,
        reference: Floats,
        candidate: Floats,
        common: Bools,
        rows: Ints,
        describe: Callable[[Ints], Sequence[tuple[object, ...]]],
    ) -> None:
        """Add rows.

        reference, candidate: `(n,) float64`, nats, `inf` allowed. common: `(n,) bool`, which rows all models have scored;
        others may hold NaN. rows: `(n,) int64`, their numbers. describe: see `WorstRows.add`.
        """
        if self.worse.top == 0 or len(rows) == 0:
            return

        def told(chosen: Ints) -> list[tuple[object, ...]]:
            losses = zip(reference[chosen].tolist(), candidate[chosen].tolist(), strict=True)
            return [(*pair, *rest) for pair, rest in zip(losses, describe(chosen), strict=True)]

        with np.errstate(invalid="ignore"):  # of two infinite losses none is the larger
            difference = candidate - reference
        if not common.all():
            difference[~common] = np.nan
        if float(np.fmax.reduce(difference)) >= self.worse.threshold:
            self._add(self.worse, difference, rows, told)
        if -float(np.fmin.reduce(difference)) >= self.better.threshold:
            self._add(self.better, -difference, rows, told)

    def _add(
        self, moved: WorstRows, step: Floats, rows: Ints, told: Callable[[Ints], list[tuple[object, ...]]]
    ) -> None:
        at = np.flatnonzero(step > 0)
        moved.add(step[at], rows[at], lambda chosen: told(at[chosen]))

    def merge(self, other: MovedRows) -> None:
        """Add what another state has seen."""
        self.worse.merge(other.worse)
        self.better.merge(other.better)
