"""How often something happened, and to which rows first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.errors import FIRST_ROWS

if TYPE_CHECKING:
    from ce_cli.arrays import Ints


@dataclass
class Tally:
    """A count of rows and the lowest few of them (1 = the first data row), in any order of arrival."""

    count: int = 0
    first: tuple[int, ...] = ()

    def add(self, rows: Ints, count: int | None = None) -> None:
        """Add rows by their numbers from 0, `(n,) int64`, in ascending order; one that holds several values may recur.

        count: how many there are, where that is not the number of rows.
        """
        self.count += len(rows) if count is None else count
        if len(rows) > 1:
            changes = np.ones(len(rows), dtype=np.bool_)
            np.not_equal(rows[1:], rows[:-1], out=changes[1:])
            rows = rows[np.flatnonzero(changes)[:FIRST_ROWS]]
        self._keep((rows[:FIRST_ROWS] + 1).tolist())

    def merge(self, other: Tally) -> None:
        """Add what another tally has seen."""
        self.count += other.count
        self._keep(other.first)

    def _keep(self, rows: list[int] | tuple[int, ...]) -> None:
        self.first = tuple(sorted({*self.first, *rows})[:FIRST_ROWS])
