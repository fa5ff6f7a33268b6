"""Sums per class: what each class contributes to the loss and how well it is recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.state.cell_sums import CellSums
from ce_cli.state.exact import ExactSums
from ce_cli.state.extent import extent_of
from ce_cli.state.products import Factor, add_products, factor

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.state.extent import Extent


_SUMS = ("weight", "loss", "prob", "correct", "judged")


class ClassTotals(NamedTuple):
    """Exact sums over the rows of each class; `infinite` counts the rows whose loss is not in `loss`."""

    n: list[int]
    weight: CellSums
    loss: CellSums
    prob: CellSums
    correct: CellSums
    judged: CellSums
    infinite: list[int]


class LabelledRows(NamedTuple):
    """Rows by the class of their label.

    label: `(n,) int64`. loss: `(n,) float64` nats, may be `inf`. prob: `(n,) float64`, of the label; None where others sum it.
    correct, judged: `(n,) bool` (judged None: all are). share: `(n,) float64`, the part of a soft label that this class has;
    None for 1.
    """

    label: Ints
    loss: Floats
    prob: Floats | None
    correct: Bools
    judged: Bools | None = None
    share: Floats | None = None


class ClassSums:
    """Σw, Σwℓ, Σwp and Σw[correct] by class. `judged` is the weight of the rows that can be right or wrong at all."""

    def __init__(self, classes: int) -> None:
        self._n, self._infinite = np.zeros((2, classes), dtype=np.int64)
        self._sums = {name: ExactSums(classes) for name in _SUMS}
        # Rows of weight 1 are only counted.
        self._ones = {name: np.zeros(classes, dtype=np.int64) for name in ("weight", "correct", "judged")}

    def add(self, rows: LabelledRows, weight: Floats | None) -> None:
        """Add rows with their weights, `(n,) float64`, positive, or None for 1 each."""
        total = _total_weight(rows, weight)
        label, loss = rows.label, rows.loss
        extent = extent_of(loss)
        if extent.largest == np.inf:
            finite = loss < np.inf
            self._infinite += np.bincount(label[~finite], minlength=len(self._n))
            self._add_weighted("loss", loss[finite], label[finite], None if total is None else total.at(finite))
        else:
            self._add_weighted("loss", loss, label, total, extent)
        if rows.prob is not None:
            self._add_weighted("prob", rows.prob, label, total)
        self._count(rows, total)

    def _count(self, rows: LabelledRows, weight: Factor | None) -> None:
        label, correct, judged, classes = rows.label, rows.correct, rows.judged, len(self._n)
        n = _counts(label, None, classes)
        self._n += n
        if weight is None:
            self._ones["weight"] += n
            self._ones["correct"] += _counts(label, correct if judged is None else correct & judged, classes)
            self._ones["judged"] += n if judged is None else _counts(label, judged, classes)
            return
        everyone = np.ones(len(label), dtype=np.bool_)
        judged = everyone if judged is None else judged
        for name, flags in (("weight", everyone), ("correct", correct & judged), ("judged", judged)):
            add_products(self._sums[name], factor(flags.astype(np.float64)), weight, label)

    def merge(self, other: ClassSums) -> None:
        """Add what another state has seen."""
        self._n += other._n
        self._infinite += other._infinite
        for name, sums in self._sums.items():
            sums.merge(other._sums[name])
        for name, counts in self._ones.items():
            counts += other._ones[name]

    def totals(self) -> ClassTotals:
        """Return the sums of every class, in the order of the classes."""
        sums = {name: self._sums[name].by_cell() for name in _SUMS}
        for name, counts in self._ones.items():
            sums[name] += CellSums(counts.tolist())
        return ClassTotals(n=self._n.tolist(), infinite=self._infinite.tolist(), **sums)

    def _add_weighted(
        self, name: str, values: Floats, label: Ints, weight: Factor | None, extent: Extent | None = None
    ) -> None:
        if weight is None:
            self._sums[name].add(values, label, extent=extent)
        else:
            add_products(self._sums[name], factor(values, extent), weight, label)


def _total_weight(rows: LabelledRows, weight: Floats | None) -> Factor | None:
    """Return weight times share, which may be too small for float64 by itself; None for 1 each."""
    if weight is None:
        return None if rows.share is None else factor(rows.share)
    return factor(weight) if rows.share is None else factor(weight).times(factor(rows.share))


def _counts(label: Ints, rows: Bools | None, classes: int) -> Ints:
    """Count the rows of every class, all or those where `rows` is true."""
    if classes == 2:  # the common case, without counting into cells
        second = label.astype(np.bool_)
        hits = np.count_nonzero(second if rows is None else second & rows)
        return np.array([(len(label) if rows is None else np.count_nonzero(rows)) - hits, hits])
    # Faster than indexing with flags that have no pattern.
    return np.bincount(label if rows is None else label.compress(rows), minlength=classes)
