"""Several models of the same texts: what is paired is a sequence of tokens, however each model cuts it.

Each model is evaluated by itself, and what its sequences sum to is held: some 50 bytes for each sequence and model, and three
times that while they are paired, whatever the number of tokens.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.columns import listed
from ce_cli.comparing.pairing import Paired, concluded_all
from ce_cli.deciding.layout import recognised_ids
from ce_cli.engine import Job, run
from ce_cli.errors import FIRST_ROWS, CeError, Problem, fail
from ce_cli.judging.slice_edges import interval_groups
from ce_cli.judging.slices import MOST_SLICES
from ce_cli.kernels.poisson import unit_words
from ce_cli.labels import without_zeros
from ce_cli.readers.categories import groups_of
from ce_cli.setup import prepare
from ce_cli.slicing import parse_all
from ce_cli.state.groups import CLUSTER, Groups, crossed, present
from ce_cli.state.paired_totals import PairedTotals
from ce_cli.state.tally import Tally
from ce_cli.tasks.planning import describe
from ce_cli.tasks.token_columns import DOCUMENTS
from ce_cli.tasks.tokens import TokensTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.comparing.entrants import Entrant
    from ce_cli.engine import Outcome, Watcher
    from ce_cli.plan import Options
    from ce_cli.slicing import Criterion
    from ce_cli.state.runs import KeptSequences

_WEIGHTED = 1e-9  # by how much sizes may differ that are sums of rounded products, relative to themselves


class _Texts(NamedTuple):
    """The sequences of one model; key: `(m,) int64`, what a sequence is known by in all models."""

    name: str
    path: str
    key: Ints
    kept: KeptSequences

    def at(self, keys: Ints) -> Ints:
        """Return where some sequences stand, by their keys."""
        order = np.argsort(self.key)
        return order[np.searchsorted(self.key, keys, sorter=order)]


def run_sequences(entrants: Sequence[Entrant], options: Options, watcher: Watcher | None = None) -> Paired:
    """Evaluate all models, the reference first, and pair their sequences. Raises CeError with every kind of fault."""
    if options.show:
        raise fail(
            "bad_option",
            f"--show {','.join(options.show)}: models of tokens are compared by sequences, of which no rows are shown",
            hint="leave --show out; --by cuts the differences by a column that has one value for each sequence",
        )
    by_place = options.align == "position" or len({id(one.predictions) for one in entrants}) == 1
    entrants = [_with_sequences(one, by_place=by_place) for one in entrants]
    jobs = [Job(one.predictions, one.labels, one.context, one.options) for one in entrants]
    outcomes = concluded_all([partial(run, job, (), watcher) for job in jobs], entrants)
    texts = [_texts(one, outcome, by_place=by_place) for one, outcome in zip(entrants, outcomes, strict=True)]
    _check_same_sequences(texts, options, by_place=by_place)
    common: Ints = reduce(np.intersect1d, [one.key[one.kept.scored] for one in texts])
    if not len(common):
        raise CeError(
            Problem("no_scored_samples", "no sequence was scored by all models", hint="look at each by itself")
        )
    return Paired(entrants, outcomes, _paired(entrants, options, texts, common))


def _with_sequences(entrant: Entrant, *, by_place: bool) -> Entrant:
    """Return a model whose sequences are kept; where they have no name, an id names them."""
    context, options = entrant.context, entrant.options
    alignment = context.plan.alignment
    if not by_place and "sequence" not in context.layout.roles:
        options = replace(options, sequence_col=_id_of_sequences(entrant))
        context = prepare(entrant.predictions, entrant.labels, options)
    if entrant.labels is None and options.models == ():
        alignment = "position" if by_place else "id"
    plan = context.plan._replace(alignment=alignment)
    return entrant._replace(context=context._replace(plan=plan, keeps_sequences=True), options=options)


def _id_of_sequences(entrant: Entrant) -> str:
    layout, names = entrant.context.layout, describe(entrant.predictions).columns
    taken = {*layout.scores.columns, *layout.labels, *(role.column for role in layout.roles.values())}
    free = [name for name in names if name not in taken and name.lower() != "token_id"]
    ids = layout.ids or recognised_ids(free, free)
    if len(ids) == 1:
        return ids[0]
    raise fail(
        "bad_option",
        f"models of tokens are compared by sequences, but {entrant.predictions.path} does not say which rows are one"
        + (f": it has {listed(ids)}" if ids else ""),
        file=entrant.predictions.path,
        hint="name the column that has the same id for the same text in all files with --sequence-col; if the texts of all "
        "files are the same and stand in the same order, pass --align position",
    )


def _texts(entrant: Entrant, outcome: Outcome, *, by_place: bool) -> _Texts:
    kept = TokensTask(entrant.context).checked_sequences(outcome.state.parts["sequences"]).kept()
    key = kept.keys
    if by_place or key is None:
        key = np.empty(len(kept.first), dtype=np.int64)
        key[np.argsort(kept.first)] = np.arange(len(key))
    return _Texts(entrant.name, entrant.predictions.path, key, kept)


def _check_same_sequences(texts: Sequence[_Texts], options: Options, *, by_place: bool) -> None:
    """Raise where a model lacks sequences that another has, unless those are to be dropped."""
    first = texts[0]
    problems: list[Problem] = []
    for other in texts[1:]:
        if by_place and len(other.key) != len(first.key):
            message = f"{first.path} has {len(first.key):,} sequences, but {other.path} {len(other.key):,}"
            hint = "sequences that are paired by position are the same ones in all files; else give them ids"
            problems.append(Problem("length_mismatch", message, other.path, hint=hint))
        if by_place or options.missing == "drop":
            continue
        for one, two in ((first, other), (other, first)):
            rows = np.sort(one.kept.first[~np.isin(one.key, two.key)])
            if len(rows):
                several = f"{len(rows):,} sequence{'' if len(rows) == 1 else 's'}"
                message = f"{several} of {one.path} {'is' if len(rows) == 1 else 'are'} not in {two.path}"
                hint = "pass --missing drop to compare the sequences that all models have"
                found = tuple((rows[:FIRST_ROWS] + 1).tolist())
                problems.append(Problem("missing_id", message, one.path, None, found, len(rows), hint))
    if problems:
        raise CeError(*problems)


def _paired(entrants: Sequence[Entrant], options: Options, texts: Sequence[_Texts], common: Ints) -> PairedTotals:
    places = [one.at(common) for one in texts]
    counted = all(one.context.plan.own != DOCUMENTS for one in entrants)
    per, numerator, size = _compared_by(texts, places, counted=counted, weighted=entrants[0].context.plan.weighted)
    groups = _groups(texts, places)
    clusters = groups.pop(CLUSTER, None)
    words = unit_words(common)
    if CLUSTER in texts[0].kept.groups:
        words = texts[0].kept.groups[CLUSTER][places[0]]
    return PairedTotals(
        [int(np.count_nonzero(one.kept.scored)) for one in texts],
        np.stack([one.kept.sums[numerator][at] for one, at in zip(texts, places, strict=True)]),
        size,
        per=per,
        tokens=[int(one.kept.sums["tokens"][at].sum()) for one, at in zip(texts, places, strict=True)]
        if counted
        else None,
        clusters=clusters,
        slices=dict(_slices(entrants[0], options, groups)),
        words=words,
        differing=_differing(texts, options),
        most=MOST_SLICES,
        bootstrap=None if options.bootstrap is None else (options.seed, options.bootstrap),
    )


def _differing(texts: Sequence[_Texts], options: Options) -> Tally:
    """Return the sequences that are paired by position although their ids differ, by where the reference has them."""
    found = Tally()
    if options.align != "position" or texts[0].kept.keys is None:
        return found
    first = np.argsort(texts[0].kept.first)
    for other in texts[1:]:
        if other.kept.keys is not None:
            odd = texts[0].kept.keys[first] != other.kept.keys[np.argsort(other.kept.first)]
            found.add(texts[0].kept.first[first][odd])
    return found


def _compared_by(
    texts: Sequence[_Texts], places: Sequence[Ints], *, counted: bool, weighted: bool
) -> tuple[str, str, Floats]:
    """Return what differences are by: the token, the byte or the sequence; which loss that is, and how many there are of it.

    Raises bad_option where these are not the same for all models.
    """

    def column(name: str) -> list[Floats]:
        return [one.kept.sums[name][at] for one, at in zip(texts, places, strict=True)]

    first, *others = column("tokens")
    if counted and all(np.array_equal(first, other) for other in others):
        reweighed = "objective" in texts[0].kept.sums
        loss, weight = ("objective", "objective_weight") if reweighed else ("loss", "weight")
        _check_alike(texts, places, column(weight), "weight", weighted=weighted)
        return "token", loss, column(weight)[0]
    if all("bytes" in one.kept.sums for one in texts):
        sizes = column("bytes")
        if sizes[0].any() and not any(np.isnan(one).any() for one in sizes):
            _check_alike(texts, places, sizes, "bytes", weighted=weighted)
            return "byte", "loss", sizes[0]
    if weighted:
        means = [weight / tokens for weight, tokens in zip(column("weight"), column("tokens"), strict=True)]
        _check_alike(texts, places, means, "weight", weighted=True)
    return "sequence", "loss", np.ones(len(first))


def _check_alike(
    texts: Sequence[_Texts], places: Sequence[Ints], values: Sequence[Floats], what: str, *, weighted: bool
) -> None:
    """Raise bad_option where models do not say the same of a sequence."""
    tolerance = _WEIGHTED if weighted else 0.0
    for other, own in zip(texts[1:], values[1:], strict=True):
        odd = ~np.isclose(own, values[0], rtol=tolerance, atol=0.0)
        hint = "models are compared on the same texts with the same weights"
        if what == "bytes":
            hint = (
                "models are compared on the same texts; without --bytes-col and --text-col they are by whole sequences"
            )
        _raise_odd(texts[0], other, places[0], odd, f"the {what} of a sequence", hint)


def _raise_odd(first: _Texts, other: _Texts, place: Ints, odd: Bools, what: str, hint: str) -> None:
    if not odd.any():
        return
    rows = np.sort(first.kept.first[place[odd]])
    message = (
        f"in {len(rows):,} sequence{'' if len(rows) == 1 else 's'} of {first.path}, {what} is not that in {other.path}"
    )
    if what.startswith("the bytes"):
        message = message.replace("is not that in", "are not those in")
    found = tuple((rows[:FIRST_ROWS] + 1).tolist())
    raise CeError(Problem("bad_option", message, first.path, None, found, len(rows), hint))


def _groups(texts: Sequence[_Texts], places: Sequence[Ints]) -> dict[str, Groups]:
    """Return what the common sequences belong to, by role; raise bad_option where models do not say the same of one."""
    first = texts[0]
    found = {}
    for role in first.kept.groups:
        own = _named(first, role, places[0])
        for other, at in zip(texts[1:], places[1:], strict=True):
            hashes, theirs = first.kept.groups[role][places[0]], other.kept.groups[role][at]
            odd = hashes != theirs
            if odd.any():
                mine, its = _plain_names(own), _plain_names(_named(other, role, at))
                odd &= mine != its
            what = "the cluster" if role == CLUSTER else f"column {role.partition(':')[2]}"
            hint = "models are compared on the same slices and clusters: they belong to the text, whoever reads it"
            _raise_odd(first, other, places[0], odd, what, hint)
        found[role] = own
    return found


def _named(one: _Texts, role: str, place: Ints) -> Groups:
    hashes, codes = np.unique(one.kept.groups[role][place], return_inverse=True)
    return Groups(codes, [one.kept.names[role][word] for word in hashes.tolist()])


def _plain_names(groups: Groups) -> np.ndarray:
    return np.array([without_zeros(name) for name in groups.names], dtype=object)[groups.codes]


def _slices(reference: Entrant, options: Options, groups: Mapping[str, Groups]) -> Iterator[tuple[str, Groups]]:
    """Yield the slices of sequences by what they are cut by."""
    edges = reference.context.edges
    for parts in parse_all(options.by):
        name = "*".join(part.text for part in parts)
        yield name, crossed([_cut(part, groups[f"by:{part.column}"], edges) for part in parts])


def _cut(part: Criterion, groups: Groups, edges: Mapping[str, Sequence[float]]) -> Groups:
    names = pa.array([name or None for name in groups.names], pa.string())
    cut = groups_of(names) if not part.cuts else interval_groups(names, part.edges or edges[part.text])[0]
    return present(cut.codes[groups.codes], cut.names)
