"""The rows with the largest loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.extent import extent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.arrays import Floats, Ints
    from ce_cli.state.extent import Extent


class WorstRows:
    """The `top` rows with the largest loss, ties by the lowest row, each with whatever `describe` says of it.

    Rows are sorted by (-loss, row), which orders them all: so what is kept does not depend on how the data were split.
    """

    def __init__(self, top: int) -> None:
        self.top = top
        self.rows: list[tuple[float, int, tuple[object, ...]]] = []

    @property
    def threshold(self) -> float:
        """The least loss that may still be among them."""
        return -self.rows[-1][0] if self.rows and len(self.rows) == self.top else 0.0

    def add(
        self,
        loss: Floats,
        row: Ints,
        describe: Callable[[Ints], Sequence[tuple[object, ...]]],
        extent: Extent | None = None,
    ) -> None:
        """Add rows.

        loss: `(n,) float64`, nats, `inf` allowed. row: `(n,) int64`, their numbers. describe: returns what is to be kept of
        the rows at the given positions in the block, called for few of them. extent: bounds of the losses, where they are
        known.
        """
        if self.top == 0 or len(loss) == 0:
            return
        threshold = self.threshold
        if (extent or extent_of(loss)).largest < threshold:
            return
        if len(self.rows) < self.top < len(loss):
            threshold = max(threshold, float(np.partition(loss, -self.top)[-self.top]))
        candidates = np.flatnonzero(loss >= threshold)
        order = np.lexsort((row[candidates], -loss[candidates]))[: self.top]
        chosen = candidates[order]
        described = describe(chosen)
        new = zip((-loss[chosen]).tolist(), row[chosen].tolist(), described, strict=True)
        self.rows = sorted([*self.rows, *new], key=lambda item: item[:2])[: self.top]

    def merge(self, other: WorstRows) -> None:
        """Add what another state has seen."""
        self.rows = sorted([*self.rows, *other.rows], key=lambda item: item[:2])[: self.top]
