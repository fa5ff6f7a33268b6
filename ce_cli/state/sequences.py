"""Sums over sequences: runs of consecutive rows that belong together, as the tokens of a sentence do.

Blocks come in any order and cut sequences anywhere. A run inside a block is whole; one at its border is a fragment, kept by
its rows until its neighbour is known. What a sequence sums to is exact while it is in pieces and rounded once when it is
whole, so that no cut can change a bit; the sums over sequences are exact again.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import square_root
from ce_cli.state.groups import CLUSTER, GroupSums, present
from ce_cli.state.products import add_pairs, factor
from ce_cli.state.ratios import Ratio, ratio_variance
from ce_cli.state.runs import Fragment, KeptSequences, RunTable, run_table, whole
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.kernels.hashing import Words
    from ce_cli.state.runs import Runs, TokenRows, Whole

_FOLD_RUNS = 1 << 13  # whole sequences that wait to be added together


class SequenceStatistics:
    """What a report says of sequences: means over them, and standard errors with each of them as one cluster.

    sizes: those that are known, and whether each is a sum over the rows of a sequence, not told in its first row for all of
    it. smoothed: whether the loss that is averaged is not the plain one. clustered: whether it is groups of sequences, CLUSTER,
    that are the clusters. keeps: whether what each sequence sums to is held, to be paired with others. Sequences
    without a scored token are counted and enter nothing else; one with an infinite loss makes every mean infinite.
    """

    clusters = True

    def __init__(
        self, sizes: Mapping[str, bool], *, smoothed: bool = False, clustered: bool = False, keeps: bool = False
    ) -> None:
        self.sequences = 0
        self.unscored_sequences = 0
        self.infinite = 0
        self._sizes = dict(sizes)
        self._unknown = dict.fromkeys(self._sizes, 0)
        self._tokens = ExactSums()
        vectors = ["loss", "weight", "mean", *(("objective", "objective_weight") if smoothed else ()), *self._sizes]
        self._vectors = tuple(vectors)
        pairs = [("loss", "loss"), ("loss", "weight"), ("weight", "weight"), ("mean", "mean")]
        if smoothed:
            pairs += [("objective", "objective"), ("objective", "objective_weight")]
            pairs += [("objective_weight", "objective_weight")]
        pairs += [(one, size) for size in self._sizes for one in ("loss", size)]
        self._hits = {pair: ExactSums() for pair in ((0, -1), (1, -1), (0, 0), (0, 1), (1, 1))}
        self._sums: dict[tuple[str, str | None], ExactSums] = {(name, None): ExactSums() for name in vectors}
        self._sums.update({pair: ExactSums() for pair in pairs})
        self._clusters = GroupSums(self._vectors) if clustered else None
        self._hit_clusters = GroupSums(("hits", "weight")) if clustered else None
        self._kept: list[KeptSequences] | None = [] if keeps else None
        self._names: dict[str, dict[int, str]] = {}
        self.changes: dict[str, Tally] = {}  # rows that belong to another group than the row before in their sequence
        self._by_first: dict[int, Fragment] = {}
        self._by_last: dict[int, Fragment] = {}
        self._finished: list[Whole] = []
        self._waiting = 0
        self._keys: list[Ints] = []
        self._firsts: list[Ints] = []
        self._pending: RunTable | None = None

    def note(self, runs: Runs) -> None:
        """Learn which sequences the rows of a block belong to; what of it is scored follows by `add`, if anything."""
        self._settle()
        for name, own in runs.groups.items():
            self.changes.setdefault(name, Tally()).add(own.changes)
            if self._kept is not None:
                self._names.setdefault(name, {}).update(own.names)
        zeros = np.zeros(len(runs.first), dtype=np.int64)
        self._pending = RunTable(runs, zeros, zeros)

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
        for at, sums in other._hits.items():
            self._hits[at].merge(sums)
        self._keys += other._keys
        self._firsts += other._firsts
        if self._clusters is not None and other._clusters is not None:
            self._clusters.merge(other._clusters)
        if self._hit_clusters is not None and other._hit_clusters is not None:
            self._hit_clusters.merge(other._hit_clusters)
        if self._kept is not None:
            self._kept += other._kept or []
        for name, names in other._names.items():
            self._names.setdefault(name, {}).update(names)
        for name, tally in other.changes.items():
            self.changes.setdefault(name, Tally()).merge(tally)
        for fragment in sorted(other._by_first.values(), key=lambda one: one.first):
            self._place(replace(fragment))

    def closed(self) -> SequenceStatistics:
        """Return the same after the last block, with every fragment whole."""
        # What is held is never changed, only added to.
        result = copy.deepcopy(self, {id(one): one for one in (*self._keys, *self._firsts, *(self._kept or ()))})
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

    @property
    def units(self) -> int:
        """How many independent observations there are: the sequences, or their clusters."""
        return self.sequences if self._clusters is None else len(self._clusters)

    def ratio(self, upper: str, lower: str, *, by_sequence: bool = False) -> Ratio:
        """Return Σa / Σb and √(C/(C-1) Σ (a - μb)²) / Σb over C sequences, μ being the ratio (Cochran 1977, section 6).

        by_sequence: whether sequences count as independent where clusters of them are known.
        """
        if self._clusters is not None and not by_sequence:
            return _clustered_ratio(self._clusters, upper, lower, self.total(upper), self.total(lower))
        pairs = ((upper, None), (lower, None), (upper, upper), (upper, lower), (lower, lower))
        return self._ratio(*(self._sums[pair].total() for pair in pairs))

    def hits(self) -> tuple[Ratio, int]:
        """Return the share of tokens that are the most probable ones like `ratio`, whatever the losses are, and C."""
        totals = [sums.total() for sums in self._hits.values()]
        if self._hit_clusters is None:
            return self._ratio(*totals), self.sequences
        found = _clustered_ratio(self._hit_clusters, "hits", "weight", totals[0], totals[1])
        return found, len(self._hit_clusters)

    def _ratio(self, a: Fraction, b: Fraction, aa: Fraction, ab: Fraction, bb: Fraction) -> Ratio:
        mean, count = a / b, self.sequences
        if count < 2:
            return Ratio(mean, None)
        return _with_error(mean, Fraction(count, count - 1) * (aa - 2 * mean * ab + mean**2 * bb) / b**2)

    def mean(self, name: str) -> Ratio:
        """Return the mean over sequences, each counting the same, and its standard error: s/√C, or that of clusters."""
        count = self.sequences
        mean = self.total(name) / count
        if self._clusters is not None:
            sums, counts = self._clusters.rounded(name)[0], np.array(self._clusters.counts("n"), dtype=np.float64)
            return _with_error(mean, ratio_variance(sums, counts, mean, Fraction(count)))
        if count < 2:
            return Ratio(mean, None)
        squares = self._product(name, name) - mean**2 * count
        return _with_error(mean, squares / (count - 1) / count)

    def kept(self) -> KeptSequences:
        """Return all sequences, where they are kept; after the last block."""
        assert self._kept  # asked for, and a report without any sequence is an error
        first, *_ = self._kept
        keys = [one.keys for one in self._kept if one.keys is not None]
        return KeptSequences(
            np.concatenate([one.first for one in self._kept]),
            np.concatenate(keys) if keys else None,
            np.concatenate([one.scored for one in self._kept]),
            {name: np.concatenate([one.sums[name] for one in self._kept]) for name in first.sums},
            {name: np.concatenate([one.groups[name] for one in self._kept]) for name in first.groups},
            self._names,
        )

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

    def _place(self, fragment: Fragment) -> None:
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

    def _join(self, left: Fragment, right: Fragment) -> Fragment:
        """Let two neighbours meet: one sequence, or two with a border between them. Return the one on the right."""
        if not (left.open_right and right.open_left):
            return right
        if left.key != right.key:
            left.open_right = right.open_left = False
            return right
        for name, (group, _) in right.groups.items():
            if left.groups[name][1] != group:
                self.changes[name].add(np.array([right.first]))
        self._remove(left)
        self._remove(right)
        joined = Fragment(
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
            {name: (group, right.groups[name][1]) for name, (group, _) in left.groups.items()},
        )
        self._keep(joined)
        return joined

    def _keep(self, fragment: Fragment) -> None:
        self._by_first[fragment.first] = self._by_last[fragment.last] = fragment

    def _remove(self, fragment: Fragment) -> None:
        del self._by_first[fragment.first], self._by_last[fragment.last]

    def _finish(self, fragment: Fragment) -> None:
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
        groups = {name: np.concatenate([one.groups[name] for one in waiting]) for name in waiting[0].groups}
        if self._kept is not None:
            self._kept.append(self._held(waiting, there, infinite, groups))
        self.sequences += int(np.count_nonzero(there))
        self.unscored_sequences += int(np.count_nonzero(~there))
        self.infinite += int(np.count_nonzero(infinite))
        self._tokens.add(_column(waiting, "tokens", there))
        if any("hits" in one.sums for one in waiting):
            self._add_hits(_column(waiting, "hits", there), _column(waiting, "weight", there), groups, there)
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
            if self._clusters is not None:
                _add_by_cluster(self._clusters, groups[CLUSTER][fine], vectors)

    def _add_hits(self, hits: Floats, weight: Floats, groups: Mapping[str, Words], there: Bools) -> None:
        add_pairs([factor(hits), factor(weight)], self._hits)
        if self._hit_clusters is not None:
            _add_by_cluster(self._hit_clusters, groups[CLUSTER][there], {"hits": hits, "weight": weight})

    def _held(
        self, waiting: Sequence[Whole], scored: Bools, infinite: Bools, groups: Mapping[str, Words]
    ) -> KeptSequences:
        everything = np.ones(len(scored), dtype=np.bool_)
        names = [name for name in self._vectors if name not in (*self._sizes, "mean")]
        sums = {name: _column(waiting, name, everything) for name in ("tokens", *names)}
        for name in {"loss", "objective"} & sums.keys():
            sums[name] = np.where(infinite, math.inf, sums[name])
        sums.update({name: np.concatenate([one.sizes[name] for one in waiting]) for name in self._sizes})
        # The same arrays as those that tell whether a sequence comes back, where there are any.
        first = self._firsts[-1] if waiting[0].keys is not None else np.concatenate([one.first for one in waiting])
        return KeptSequences(first, self._keys[-1] if waiting[0].keys is not None else None, scored, sums, groups, {})


def _add_by_cluster(sums: GroupSums, clusters: Words, vectors: Mapping[str, Floats]) -> None:
    placed = sums.place(present(np.arange(len(clusters)), clusters.tolist()))
    sums.count("n", placed)
    for name, values in vectors.items():
        sums.add(name, placed, values)


def _clustered_ratio(sums: GroupSums, upper: str, lower: str, a: Fraction, b: Fraction) -> Ratio:
    """Return a / b with clusters as observations; a, b: the exact sums over all of them."""
    one, two = (sums.rounded(name)[0] for name in (upper, lower))
    return _with_error(a / b, ratio_variance(one, two, a / b, b))


def _with_error(value: Fraction, variance: Fraction | None) -> Ratio:
    return Ratio(value, None if variance is None else square_root(variance))


def _column(waiting: Sequence[Whole], name: str, chosen: Bools) -> Floats:
    """Return a sum of the chosen sequences; a block of which nothing was scored has none."""
    parts = [one.sums[name] if name in one.sums else np.zeros(len(one.first)) for one in waiting]
    joined: Floats = np.concatenate(parts)[chosen]
    return joined
