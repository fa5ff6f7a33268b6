"""Sums along the rows of a matrix; what a row gives does not depend on the rows around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ce_cli.arrays import Floats

# Up to here columns are added one after another: the same bits however the matrix lies in memory, fastest column by column.
FEW_COLUMNS = 32
# Up to here np.add.reduce does not add pairwise either, and takes up to five times as long for each row.
_SHORT = 128


def row_sums(values: Floats) -> Floats:
    """Return Σ_j v_ij: `(n, k) float64` to `(n,)`; pairwise where rows are long."""
    k = values.shape[1]
    if k > FEW_COLUMNS:
        values = np.ascontiguousarray(values)
        total: Floats = np.einsum("ij->i", values) if k <= _SHORT else np.add.reduce(values, axis=1)
        return total
    first, *others = values.T
    total = first + 0.0
    for column in others:
        total += column
    return total


def row_squares(values: Floats) -> Floats:
    """Return Σ_j v_ij²: `(n, k) float64` to `(n,)`; pairwise where rows are long."""
    k = values.shape[1]
    if k > _SHORT:
        return row_sums(np.square(values))
    if k > FEW_COLUMNS:
        values = np.ascontiguousarray(values)
        total: Floats = np.einsum("ij,ij->i", values, values)
        return total
    first, *others = values.T
    total = np.square(first)
    square = np.empty_like(total)
    for column in others:
        total += np.square(column, out=square)
    return total
