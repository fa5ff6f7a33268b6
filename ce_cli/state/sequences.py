"""Sums over sequences: runs of consecutive rows that belong together, as the tokens of a sentence do.

Blocks come in any order and cut sequences anywhere. A run inside a block is whole; one at its border is a fragment, kept by
its rows until its neighbour is known. What a sequence sums to is exact while it is in pieces and rounded once when it is
whole, so that no cut can change a bit; the sums over sequences are exact again.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ce_cli.state.exact import ExactSums, add_pairs, factor
from ce_cli.state.fractions import square_root, to_float
from ce_cli.state.run_sums import rounded, run_parts, run_sums, spread_runs
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints

_FOLD_RUNS = 1 << 13  # whole sequences that wait to be added together


class Runs(NamedTuple):
    """The sequences of a stretch of rows, in order; every array `(m,)`.

    starts: where each begins in the stretch. first, last: the numbers of their first and last rows. keys: 64 bits that stand
    for their ids, None where each row is a sequence of its own. unscored: how many of their tokens have no score. sizes: their
    bytes and words, as arrays that add up to the exact number; NaN where it is not known.
    """

    starts: Ints
    first: Ints
    last: Ints
    keys: Ints | None
    unscored: Ints
    sizes: Mapping[str, Sequence[Floats]]


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


@dataclass
class _Fragment:
    """A sequence, or a part of one that ends where its block does."""

    first: int
    last: int
    key: int
    open_left: bool
    open_right: bool
    counts: tuple[int, int, int]  # scored rows, those with an infinite loss, tokens that are not scored
    sums: dict[str, Fraction]
    sizes: dict[str, list[float]]  # numbers that add up to each


@dataclass
class _Table:
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
        )

    def fragment(self, at: int, *, open_left: bool, open_right: bool) -> _Fragment:
        """Return one run with its exact sums."""
        runs = self.runs
        assert runs.keys is not None  # a row by itself is whole
        return _Fragment(
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


class Ratio(NamedTuple):
    """Σa / Σb over sequences, None where it is infinite, and its standard error with each as a cluster, if there are two."""

    value: Fraction | None
    error: float | None


class SequenceStatistics:
    """What a report says of sequences: means over them, and standard errors with each of them as one cluster.

    sizes: those that are known, and whether each is a sum over the rows of a sequence, not told in its first row for all of
    it. smoothed: whether the loss that is averaged is not the plain one. Sequences without a scored token are counted and
    enter nothing else; one with an infinite loss makes every mean infinite.
    """

    clusters = True

    def __init__(self, sizes: Mapping[str, bool], *, smoothed: bool = False) -> None:
        self.sequences = 0
        self.unscored_sequences = 0
        self.infinite = 0
        self._sizes = dict(sizes)
        self._smoothed = smoothed
        self._unknown = dict.fromkeys(self._sizes, 0)
        self._tokens = ExactSums()
        vectors = ["loss", "weight", "mean", *(("objective", "objective_weight") if smoothed else ()), *self._sizes]
        self._vectors = tuple(vectors)
        pairs = [("loss", "loss"), ("loss", "weight"), ("weight", "weight"), ("mean", "mean")]
        if smoothed:
            pairs += [("objective", "objective"), ("objective", "objective_weight")]
            pairs += [("objective_weight", "objective_weight")]
        pairs += [(one, size) for size in self._sizes for one in ("loss", size)]
        self._sums: dict[tuple[str, str | None], ExactSums] = {(name, None): ExactSums() for name in vectors}
        self._sums.update({pair: ExactSums() for pair in pairs})
        self._by_first: dict[int, _Fragment] = {}
        self._by_last: dict[int, _Fragment] = {}
        self._finished: list[Whole] = []
        self._waiting = 0
        self._keys: list[Ints] = []
        self._firsts: list[Ints] = []
        self._pending: _Table | None = None

    def note(self, runs: Runs) -> None:
        """Learn which sequences the rows of a block belong to; what of it is scored follows by `add`, if anything."""
        self._settle()
        zeros = np.zeros(len(runs.first), dtype=np.int64)
        self._pending = _Table(runs, zeros, zeros)

    def add(self, scored: TokenRows, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - runs know their rows
        """Add the rows of positive weight of the block that was noted last."""
        assert self._pending is not None  # the engine notes a block before it scores it
        self._pending = run_table(self._pending.runs, scored, weight)

    def merge(self, other: SequenceStatistics) -> None:
        """Add what another state has seen."""
        other._settle()
        other._flush()
        self._settle()
        self._flush()
        self.sequences += other.sequences
        self.unscored_sequences += other.unscored_sequences
        self.infinite += other.infinite
        for name, count in other._unknown.items():
            self._unknown[name] += count
        self._tokens.merge(other._tokens)
        for pair, sums in other._sums.items():
            self._sums[pair].merge(sums)
        self._keys += other._keys
        self._firsts += other._firsts
        for fragment in sorted(other._by_first.values(), key=lambda one: one.first):
            self._place(replace(fragment))

    def closed(self) -> SequenceStatistics:
        """Return the same after the last block, with every fragment whole."""
        result = copy.deepcopy(self)
        result.close()
        return result

    def close(self) -> None:
        """Take every fragment for whole: no block follows."""
        self._settle()
        ordered = sorted(self._by_first.values(), key=lambda one: one.first)
        for position, right in enumerate(ordered[1:], start=1):
            # Rows between the two may have been left out on the way here.
            ordered[position] = self._join(ordered[position - 1], right)
        for fragment in [*self._by_first.values()]:
            self._remove(fragment)
            self._finish(fragment)
        self._flush()

    def repeated(self) -> Tally:
        """Return the first rows of sequences that had ended before."""
        tally = Tally()
        if self._keys:
            keys, firsts = np.concatenate(self._keys), np.concatenate(self._firsts)
            in_order = np.sort(keys)
            if not (in_order[1:] == in_order[:-1]).any():
                return tally
            order = np.lexsort((firsts, keys))
            again = np.flatnonzero(keys[order][1:] == keys[order][:-1]) + 1
            tally.add(np.sort(firsts[order][again]))
        return tally

    def tokens(self) -> int:
        """Return how many tokens are scored."""
        return int(self._tokens.total())

    def known(self, size: str) -> bool:
        """Tell whether the sizes of all sequences are known and not all 0."""
        return size in self._sizes and not self._unknown[size] and self.total(size) > 0

    def total(self, name: str) -> Fraction:
        """Return the sum of a vector over all sequences whose loss is finite."""
        return self._sums[name, None].total()

    def ratio(self, upper: str, lower: str) -> Ratio:
        """Return Σa / Σb and √(C/(C-1) Σ (a - μb)²) / Σb over C sequences, μ being the ratio (Cochran 1977, section 6)."""
        a, b, count = self.total(upper), self.total(lower), self.sequences
        mean = a / b
        if count < 2:
            return Ratio(mean, None)
        squares = self._product(upper, upper) - 2 * mean * self._product(upper, lower)
        squares += mean**2 * self._product(lower, lower)
        return Ratio(mean, square_root(Fraction(count, count - 1) * squares / b**2))

    def mean(self, name: str) -> Ratio:
        """Return the mean over sequences, each counting the same, and its standard error s/√C."""
        count = self.sequences
        mean = self.total(name) / count
        if count < 2:
            return Ratio(mean, None)
        squares = self._product(name, name) - mean**2 * count
        return Ratio(mean, square_root(squares / (count - 1) / count))

    def _product(self, one: str, two: str) -> Fraction:
        return self._sums[one, two].total()

    def _settle(self) -> None:
        table, self._pending = self._pending, None
        if table is None or len(table.runs.first) == 0:
            return
        count = len(table.runs.first)
        if table.runs.keys is None:
            self._take(table.take(slice(None)))
            return
        if count > 2:
            self._take(table.take(slice(1, count - 1)))
        start = int(table.runs.first[0]) == 0
        if count == 1:
            self._place(table.fragment(0, open_left=not start, open_right=True))
            return
        self._place(table.fragment(0, open_left=not start, open_right=False))
        self._place(table.fragment(count - 1, open_left=False, open_right=True))

    def _place(self, fragment: _Fragment) -> None:
        """Keep a fragment, and join it with those that end before its first row or begin after its last."""
        self._keep(fragment)
        left = self._by_last.get(fragment.first - 1)
        if left is not None:
            fragment = self._join(left, fragment)
        right = self._by_first.get(fragment.last + 1)
        joined = fragment if right is None else self._join(fragment, right)
        for one in {id(one): one for one in (left, fragment, right, joined) if one is not None}.values():
            if self._by_first.get(one.first) is one and not (one.open_left or one.open_right):
                self._remove(one)
                self._finish(one)

    def _join(self, left: _Fragment, right: _Fragment) -> _Fragment:
        """Let two neighbours meet: one sequence, or two with a border between them. Return the one on the right."""
        if not (left.open_right and right.open_left):
            return right
        if left.key != right.key:
            left.open_right = right.open_left = False
            return right
        self._remove(left)
        self._remove(right)
        joined = _Fragment(
            left.first,
            right.last,
            left.key,
            left.open_left,
            right.open_right,
            tuple(one + two for one, two in zip(left.counts, right.counts, strict=True)),  # type: ignore[arg-type]
            {
                name: left.sums.get(name, Fraction(0)) + right.sums.get(name, Fraction(0))
                for name in {**left.sums, **right.sums}
            },
            {name: size + right.sizes[name] if self._sizes[name] else size for name, size in left.sizes.items()},
        )
        self._keep(joined)
        return joined

    def _keep(self, fragment: _Fragment) -> None:
        self._by_first[fragment.first] = self._by_last[fragment.last] = fragment

    def _remove(self, fragment: _Fragment) -> None:
        del self._by_first[fragment.first], self._by_last[fragment.last]

    def _finish(self, fragment: _Fragment) -> None:
        self._take(whole(fragment))

    def _take(self, sequences: Whole) -> None:
        self._finished.append(sequences)
        self._waiting += len(sequences.first)
        if self._waiting >= _FOLD_RUNS or len(self._finished) >= _FOLD_RUNS:
            self._flush()

    def _flush(self) -> None:
        waiting, self._finished, self._waiting = self._finished, [], 0
        if not waiting:
            return
        scored = np.concatenate([one.scored for one in waiting])
        everything = np.ones(len(scored), dtype=np.bool_)
        infinite = np.concatenate([one.infinite for one in waiting]) > 0
        infinite |= np.isinf(
            _column(waiting, "loss", everything)
        )  # each of its tokens may be within the range of float64
        if waiting[0].keys is not None:
            self._keys.append(np.concatenate([one.keys for one in waiting if one.keys is not None]))
            self._firsts.append(np.concatenate([one.first for one in waiting]))
        there = scored > 0
        self.sequences += int(np.count_nonzero(there))
        self.unscored_sequences += int(np.count_nonzero(~there))
        self.infinite += int(np.count_nonzero(infinite))
        self._tokens.add(_column(waiting, "tokens", there))
        fine = there & ~infinite
        vectors = {name: _column(waiting, name, fine) for name in self._vectors if name not in (*self._sizes, "mean")}
        vectors["mean"] = vectors["loss"] / vectors["weight"]
        for name in self._sizes:
            size = np.concatenate([one.sizes[name] for one in waiting])
            self._unknown[name] += int(np.count_nonzero(np.isnan(size) & there))
            vectors[name] = np.nan_to_num(size[fine])
        at = {name: position for position, name in enumerate(vectors)}
        pairs = {(at[one], -1 if two is None else at[two]): sums for (one, two), sums in self._sums.items()}
        if fine.any():
            add_pairs([factor(values) for values in vectors.values()], pairs)


def _column(waiting: Sequence[Whole], name: str, chosen: Bools) -> Floats:
    """Return a sum of the chosen sequences; a block of which nothing was scored has none."""
    parts = [one.sums[name] if name in one.sums else np.zeros(len(one.first)) for one in waiting]
    joined: Floats = np.concatenate(parts)[chosen]
    return joined


def whole(fragment: _Fragment) -> Whole:
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
    )


def run_table(runs: Runs, scored: TokenRows, weight: Floats | None) -> _Table:
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
    return _Table(runs, scored_rows, infinite, table)


def _product(loss: Floats, weight: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.where(weight > 0, loss, 0.0) * weight
