"""The first rows of the data as they are, for what needs to look at them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from ce_cli.arrays import Ints

_MOST_PIECES = 256  # small arrays cost more than they hold


class FirstRows:
    """The rows whose number is below a limit, with some columns of them; the order of arrival does not matter."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pieces: list[dict[str, npt.NDArray[Any]]] = []

    def wants(self, rows: Ints) -> bool:
        """Tell whether any of these rows, in ascending order, is below the limit."""
        return len(rows) > 0 and int(rows[0]) < self.limit

    def add(self, rows: Ints, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add rows by their numbers from 0, `(n,) int64` in ascending order; columns: `(n, …)` each, the same at every call."""
        stop = int(np.searchsorted(rows, self.limit))
        if stop:
            whole = {"row": rows, **columns}
            # Copies: what they are cut from is larger, and may belong to a reader.
            self._pieces.append({name: np.array(values[:stop]) for name, values in whole.items()})
            if len(self._pieces) > _MOST_PIECES:
                self._pieces = [self._joined()]

    def merge(self, other: FirstRows) -> None:
        """Add what another one has seen."""
        self._pieces += other._pieces
        if len(self._pieces) > _MOST_PIECES:
            self._pieces = [self._joined()]

    def pieces(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """Yield the parts of one column, in any order."""
        return (piece[name] for piece in self._pieces)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return every column in the order of the rows, their numbers as `row`; nothing where there are no rows."""
        if not self._pieces:
            return {}
        whole = self._joined()
        order = np.argsort(whole["row"], kind="stable")
        return {name: values[order] for name, values in whole.items()}

    def _joined(self) -> dict[str, npt.NDArray[Any]]:
        return {name: np.concatenate([piece[name] for piece in self._pieces]) for name in self._pieces[0]}
