"""What flows between the layers: pairs of aligned rows, validated blocks, and what they score."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.plan import EvalPlan


class Pair(NamedTuple):
    """Consecutive rows of the predictions with the labels that belong to them.

    rows: `(n,) int64`, their numbers in the predictions, from 0. label_rows: the same in the labels' file.
    """

    rows: Ints
    label_rows: Ints
    predictions: pa.RecordBatch
    labels: pa.RecordBatch

    def slice(self, start: int, size: int) -> Pair:
        """Return some of the rows."""
        return Pair(
            self.rows[start : start + size],
            self.label_rows[start : start + size],
            self.predictions.slice(start, size),
            self.labels.slice(start, size),
        )


class Block(NamedTuple):
    """Validated rows.

    at: `(n,) int64`, their positions in the pair, None where they are all of it. label: `(n,) float64`, what the task makes
    of it (the class, the probability of the positive class, a target), or `(n, k) float64`, the share of every class.
    held: `(n, k)`, the scores in the plan's scale, k = 1 for a single one, row by row or column by column in memory; float32
    where they were read so and a kernel takes them piece by piece, else float64. weight: `(n,) float64` >= 0, or None. soft:
    whether any label lies between two classes. extra: further columns by what they mean, `(n, …)` each. exact: whether all
    differences of finite scores are known to be float64 numbers.
    """

    at: Ints | None
    label: Floats
    held: npt.NDArray[np.float32] | Floats
    weight: Floats | None
    soft: bool = False
    extra: Mapping[str, Any] = MappingProxyType({})
    exact: bool = False

    @property
    def scores(self) -> Floats:
        """The scores, `(n, k) float64`, in C order."""
        return np.ascontiguousarray(self.held, dtype=np.float64)

    @property
    def scores_as_held(self) -> Floats:
        """The same in whatever order they lie, on which numpy's sums along rows depend."""
        return self.held.astype(np.float64, copy=False)

    def take(self, rows: Ints | Bools) -> Block:
        """Return some of the rows."""
        at: Ints = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
        return Block(
            at if self.at is None else self.at[at],
            self.label[at],
            self.held[at],
            None if self.weight is None else self.weight[at],
            self.soft,
            {name: values[at] for name, values in self.extra.items()},
            self.exact,
        )

    def unplaced(self, start: int, stop: int) -> Block:
        """Return consecutive rows without their positions and weights, for a kernel that needs neither."""
        extra = {name: values[start:stop] for name, values in self.extra.items()}
        return Block(None, self.label[start:stop], self.held[start:stop], None, self.soft, extra, self.exact)


class Objective(NamedTuple):
    """The loss to be averaged where it is not the plain one: smoothed, weighted by class, or over several cells.

    loss: `(n,) float64`, nats. weight: `(n,) float64`, what the row weighs beside its own weight; None for 1 each.
    """

    loss: Floats
    weight: Floats | None


class RowMean(NamedTuple):
    """What rows have in a mean Σ w·total / Σ w·weight, w being the weight of a row.

    total: `(n,) float64`, a value, or the sum of several. weight: `(n,) float64`, of how many; 0 for a row that has none. None
    for one each.
    """

    total: Floats
    weight: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Scored:
    """What the rows of a block give in any task; every array `(n,)`, losses in nats. Tasks add what they need.

    counted: rows to be counted, by the name of the tally. infinite, finite: where a row has several losses, how many of
    them are infinite, `(n,) int64`, and the objective over the others; None where the loss of a row is a single one.
    gradient: `(n, m) float64`, of the row's loss with respect to its logits, times what the row weighs beside its own weight;
    None where nobody wants it.
    """

    loss: Floats
    counted: Mapping[str, Bools | None] = field(default_factory=dict)
    objective: Objective | None = None
    infinite: Ints | None = None
    gradient: Floats | None = None
    finite: Objective | None = None

    def row_means(self, plan: EvalPlan) -> dict[str, RowMean]:  # noqa: ARG002 - tasks want to know it
        """Return what rows have in each mean beside that of the loss, by its metric: of a plan, always the same ones."""
        return {}
