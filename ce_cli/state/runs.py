"""Runs of consecutive rows that belong together, as the tokens of a sentence do, and what blocks and parts say of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ce_cli.state.fractions import to_float
from ce_cli.state.run_sums import rounded, run_parts, run_sums, spread_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.kernels.hashing import Words


class RunGroups(NamedTuple):
    """What the sequences of a stretch belong to, by a column: hashes of its cells.

    first, last: `(m,) uint64`, those of the first and the last row of each. changes: the numbers of rows of which the cell is
    another than that of the row before, in the same sequence. names: the cells by their hashes.
    """

    first: Words
    last: Words
    changes: Ints
    names: Mapping[int, str]


class Runs(NamedTuple):
    """The sequences of a stretch of rows, in order; every array `(m,)`.

    starts: where each begins in the stretch. first, last: the numbers of their first and last rows. keys: 64 bits that stand
    for their ids, None where each row is a sequence of its own. unscored: how many of their tokens have no score. sizes: their
    bytes and words, as arrays that add up to the exact number; NaN where it is not known. groups: what they belong to.
    """

    starts: Ints
    first: Ints
    last: Ints
    keys: Ints | None
    unscored: Ints
    sizes: Mapping[str, Sequence[Floats]]
    groups: Mapping[str, RunGroups] = {}


class TokenRows(Protocol):
    """What scored rows say of their sequences; every array `(n,)`.

    run: the position among the runs of their block, ascending; None where all rows of the block are there. total: the loss
    of all tokens of the row, nats, without smoothing. tokens: how many those are, None for 1 each.
    """

    @property
    def run(self) -> Ints | None:
        """The position of the row's sequence."""

    @property
    def total(self) -> Floats:
        """The loss of the row."""

    @property
    def tokens(self) -> Floats | None:
        """The number of its tokens."""

    @property
    def smoothed(self) -> tuple[Floats, Floats | None] | None:
        """The loss that is averaged and what it weighs, where that is not the plain one."""

    @property
    def correct(self) -> Bools | None:
        """Whether the most probable token is the one that came, where that is known."""


@dataclass
class Fragment:
    """A sequence, or a part of one that ends where its block does."""

    first: int
    last: int
    key: int
    open_left: bool
    open_right: bool
    counts: tuple[int, int, int]  # scored rows, those with an infinite loss, tokens that are not scored
    sums: dict[str, Fraction]
    sizes: dict[str, list[float]]  # numbers that add up to each
    groups: dict[str, tuple[int, int]]  # of the first and the last row


@dataclass
class RunTable:
    """The sums of the runs of one block: sums[name] is a list of arrays that add up to the exact sums."""

    runs: Runs
    scored: Ints
    infinite: Ints
    sums: dict[str, list[Floats]] = field(default_factory=dict)

    def take(self, chosen: slice) -> Whole:
        """Return some of the runs, their sums rounded once."""
        runs = self.runs
        n = len(runs.first[chosen])
        return Whole(
            runs.first[chosen],
            None if runs.keys is None else runs.keys[chosen],
            self.scored[chosen],
            self.infinite[chosen],
            runs.unscored[chosen],
            {name: rounded([part[chosen] for part in parts], n) for name, parts in self.sums.items()},
            {name: rounded([part[chosen] for part in parts], n) for name, parts in runs.sizes.items()},
            {name: own.first[chosen] for name, own in runs.groups.items()},
        )

    def fragment(self, at: int, *, open_left: bool, open_right: bool) -> Fragment:
        """Return one run with its exact sums."""
        runs = self.runs
        assert runs.keys is not None  # a row by itself is whole
        return Fragment(
            int(runs.first[at]),
            int(runs.last[at]),
            int(runs.keys[at]),
            open_left,
            open_right,
            (int(self.scored[at]), int(self.infinite[at]), int(runs.unscored[at])),
            {
                name: sum((Fraction(float(part[at])) for part in parts), Fraction(0))
                for name, parts in self.sums.items()
            },
            {name: [float(part[at]) for part in parts] for name, parts in runs.sizes.items()},
            {name: (int(own.first[at]), int(own.last[at])) for name, own in runs.groups.items()},
        )


class Whole(NamedTuple):
    """Complete sequences; every array `(m,)`. sums: by name, each rounded once."""

    first: Ints
    keys: Ints | None
    scored: Ints
    infinite: Ints
    unscored: Ints
    sums: Mapping[str, Floats]
    sizes: Mapping[str, Floats]
    groups: Mapping[str, Words]


class KeptSequences(NamedTuple):
    """All sequences of a run, in no order; every array `(m,)`.

    first: the numbers of their first rows. keys: as those of `Runs`. scored: which of them have a scored token. sums: of those,
    `loss`, infinite where that of a token is, `weight`, `tokens` and what else is gathered, the sizes included, NaN where one
    is not known; 0 for the others. groups: hashes of what they belong to, by column, and `names` what those stand for.
    """

    first: Ints
    keys: Ints | None
    scored: Bools
    sums: Mapping[str, Floats]
    groups: Mapping[str, Words]
    names: Mapping[str, Mapping[int, str]]


def whole(fragment: Fragment) -> Whole:
    """Return a fragment that is a whole sequence, its sums rounded once."""
    scored, infinite, unscored = (np.array([count]) for count in fragment.counts)
    return Whole(
        np.array([fragment.first]),
        np.array([fragment.key]),
        scored,
        infinite,
        unscored,
        {name: np.array([to_float(total)]) for name, total in fragment.sums.items()},
        {name: np.array([math.fsum(parts)]) for name, parts in fragment.sizes.items()},
        {name: np.array([group], dtype=np.uint64) for name, (group, _) in fragment.groups.items()},
    )


def run_table(runs: Runs, scored: TokenRows, weight: Floats | None) -> RunTable:
    """Return the sums of a block by its runs: of loss and weight, and of what is averaged where that is something else."""
    run, total, count = scored.run, scored.total, len(runs.first)
    which, starts = (None, runs.starts) if run is None else run_parts(run)
    lengths = np.diff(starts, append=len(total))

    def spread(parts: Sequence[Any]) -> list[Any]:
        return [*parts] if which is None else [spread_runs(part, which, count) for part in parts]

    vectors = {"loss": total if weight is None else _product(total, weight)}
    sums: dict[str, list[Floats]] = {}
    if scored.tokens is None:
        sums["tokens"] = [lengths.astype(np.float64)]
    else:
        vectors["tokens"] = scored.tokens
    if weight is not None:
        vectors["weight"] = weight if scored.tokens is None else scored.tokens * weight
    if scored.smoothed is not None:
        loss, own = scored.smoothed
        by = np.ones(len(total)) if weight is None else weight
        own = by if own is None else own * by
        vectors.update(objective=_product(loss, own), objective_weight=own)
    if scored.correct is not None:
        vectors["hits"] = scored.correct * (np.ones(len(total)) if weight is None else weight)
    infinite = np.zeros(len(starts), dtype=np.int64)
    for name, values in vectors.items():
        finite = None if np.maximum.reduce(values, initial=0.0) < math.inf else np.isfinite(values)
        if name == "loss" and finite is not None:
            infinite = np.add.reduceat((~finite).astype(np.int64), starts)
        sums[name] = run_sums(values if finite is None else np.where(finite, values, 0.0), starts)
    if weight is None:
        sums["weight"] = sums["tokens"]
    table = {name: spread(parts) for name, parts in sums.items()}
    scored_rows, infinite = spread([lengths, infinite])
    return RunTable(runs, scored_rows, infinite, table)


def _product(loss: Floats, weight: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.where(weight > 0, loss, 0.0) * weight
