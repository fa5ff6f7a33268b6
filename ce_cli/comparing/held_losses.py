"""The losses of several models, held by row where their files stand in different orders: 8 bytes for each row and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.comparing.disagreement import Disagreement
from ce_cli.state.groups import present
from ce_cli.state.moved_rows import MovedRows
from ce_cli.state.paired import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.comparing.row_losses import RowLosses
    from ce_cli.kernels.hashing import Words
    from ce_cli.state.groups import Groups

_UNSET = UNKNOWN - 1
_HELD_ROWS = 1 << 16


class HeldLosses:
    """The losses of every model by the row of the label, `8` bytes each, and the weight and the class of each row."""

    def __init__(self, models: int, top: int) -> None:
        self._top = top
        self._losses = [np.zeros(0)] * models
        self._weight: Floats | None = None
        self._label: Ints | None = None
        self._groups: dict[str, _HeldGroups] = {}
        self._cells: list[Words] = []  # of the reference
        self.odd = [Disagreement() for _ in range(models)]
        self.moved = [MovedRows(top) for _ in range(models)]  # against the reference, which comes first

    def forget(self, model: int) -> None:
        """Forget what was counted of a model whose rows come again; what is held by row stays right."""
        self.odd[model], self.moved[model] = Disagreement(), MovedRows(self._top)

    def put(self, model: int, found: RowLosses) -> None:
        """Hold the losses of some rows of one model."""
        if not len(found.rows):
            return
        size = int(found.rows.max()) + 1
        self._losses[model] = _grown(self._losses[model], size, np.nan)
        self._losses[model][found.rows] = found.loss
        there = ~np.isnan(found.loss)
        if found.odd is not None:
            self.odd[model].labels.add(np.sort(found.rows[found.odd]))
        if found.odd_weight is not None:
            self.odd[model].weights.add(np.sort(found.rows[found.odd_weight]))
        if found.describe is not None:
            reference = _fitted(self._losses[0], size, np.nan)[found.rows]
            common = there & ~np.isnan(reference)
            self.moved[model].add(reference, found.loss, common, found.rows, found.describe)
        rows = found.rows[there]
        if found.weight is not None:
            self._put_weight(model, rows, found.weight[there])
        if found.label is not None:
            self._label = _grown(np.zeros(0, dtype=np.int64) if self._label is None else self._label, size, _UNSET)
            self._label[rows] = found.label[there]
        self._put_cells(model, found.rows, there, found.cells or {})
        for name, groups in (found.groups or {}).items():
            self._groups.setdefault(name, _HeldGroups()).put(found.rows, groups)

    def common(self) -> Bools:
        """Return which rows all models have scored."""
        size = max(len(losses) for losses in self._losses)
        common: Bools = np.logical_and.reduce([~np.isnan(_fitted(own, size, np.nan)) for own in self._losses])
        return common

    def pieces(self) -> Iterator[tuple[Floats, Floats | None, Ints | None, Mapping[str, Groups] | None]]:
        """Yield the losses of all models, the weights, the classes and the groups of a few rows at a time."""
        size = max(len(losses) for losses in self._losses)
        losses = [_fitted(own, size, np.nan) for own in self._losses]
        weight = None if self._weight is None else _fitted(self._weight, size, 1.0)
        label = None if self._label is None else _fitted(self._label, size, UNKNOWN)
        for start in range(0, size, _HELD_ROWS):
            at = slice(start, start + _HELD_ROWS)
            code = None if label is None else np.maximum(label[at], UNKNOWN)
            groups = {
                name: held.piece(at, min(size, start + _HELD_ROWS) - start) for name, held in self._groups.items()
            }
            yield np.stack([own[at] for own in losses]), None if weight is None else weight[at], code, groups or None

    def _put_cells(self, model: int, rows: Ints, there: Bools, cells: Mapping[str, Words]) -> None:
        """Hold the cells of the reference, which comes first, and compare with them those of the other models."""
        if model == 0:
            size = int(rows.max()) + 1
            before = self._cells or [np.zeros(0, dtype=np.uint64) for _ in cells]
            self._cells = [_grown(held, size, 0) for held in before]
            for held, own in zip(self._cells, cells.values(), strict=True):
                held[rows] = own
            return
        reference = _fitted(self._losses[0], int(rows.max()) + 1, np.nan)[rows]
        both = there & ~np.isnan(reference)
        for (column, own), held in zip(cells.items(), self._cells, strict=True):
            self.odd[model].add_cells(column, np.sort(rows[both][own[both] != held[rows[both]]]))

    def _put_weight(self, model: int, rows: Ints, weight: Floats) -> None:
        size = int(rows.max()) + 1 if len(rows) else 0
        before = np.zeros(0) if self._weight is None else self._weight
        self._weight = _grown(before, size, np.nan)
        held = self._weight[rows]
        self.odd[model].weights.add(np.sort(rows[~np.isnan(held) & (held != weight)]))
        self._weight[rows] = np.where(np.isnan(held), weight, held)


class _HeldGroups:
    """Which group every row belongs to; a row that the reference has not got belongs to none, and is not common anyway."""

    def __init__(self) -> None:
        self._index: dict[Any, int] = {}
        self._codes = np.zeros(0, dtype=np.int32)

    def put(self, rows: Ints, groups: Groups) -> None:
        own = np.array([self._index.setdefault(name, len(self._index)) for name in groups.names], dtype=np.int32)
        self._codes = _grown(self._codes, int(rows.max()) + 1, 0)
        self._codes[rows] = own[groups.codes]

    def piece(self, at: slice, size: int) -> Groups:
        return present(_fitted(self._codes[at], size, 0).astype(np.int64), [*self._index])


def _fitted(values: Any, size: int, fill: float) -> Any:
    """Return an array of this size."""
    if len(values) >= size:
        return values[:size]
    return np.append(values, np.full(size - len(values), fill, dtype=values.dtype))


def _grown(values: Any, size: int, fill: float) -> Any:
    """Return an array of at least this size, twice as large as before where it has to grow."""
    if len(values) >= size:
        return values
    grown = np.full(max(size, 2 * len(values)), fill, dtype=values.dtype)
    grown[: len(values)] = values
    return grown
