"""Tokens of language models and translations: what each costs, and what sequences of them come to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_cli.block import Block, Objective, RowMean, Scored
from ce_cli.checks import Fault, RowChecks
from ce_cli.errors import CeError, Problem
from ce_cli.kernels import tokens as kernels
from ce_cli.plan import Scale
from ce_cli.readers.arrays import cell_text, nulls, numbers, plain, texts
from ce_cli.report import Metric
from ce_cli.state.gradients import GradientSums
from ce_cli.state.groups import CLUSTER
from ce_cli.state.hits import Hits
from ce_cli.state.run_sums import run_sums
from ce_cli.state.runs import Runs
from ce_cli.state.sequences import SequenceStatistics
from ce_cli.tasks.base import (
    Checked,
    Coded,
    Notes,
    Summary,
    check_ids,
    check_labels,
    check_structure,
    check_weights,
    mean_metrics,
    without_unit,
)
from ce_cli.tasks.scores import check_scores
from ce_cli.tasks.token_columns import DOCUMENTS
from ce_cli.tasks.token_figures import in_unit, per_size, per_token, plain_mean, size_metrics, suspected_sums
from ce_cli.tasks.token_rows import POSITION, TokenChecks, once_a_row, positions, run_groups, sequences_of, unfolded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats, Ints
    from ce_cli.block import Pair
    from ce_cli.checks import Faults
    from ce_cli.labels import Encoded
    from ce_cli.plan import EvalPlan
    from ce_cli.state.evaluation import EvalState, Statistic
    from ce_cli.state.runs import RunGroups
    from ce_cli.tasks.base import Context
    from ce_cli.tasks.multiclass import MulticlassTask
    from ce_cli.tasks.token_rows import Sequences

_OF_TOKENS = ("perplexity", "bits_per_token", "sequence_mean")
_MOST = 2.0**53  # of what is counted: whole numbers up to here are exact
_BLOCK_ROWS = 1 << 16
_SIZES = ("bytes", "words")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScored(Scored):
    """What tokens give; every array `(n,)`.

    run: the position of their sequence among those of the block, None where all rows of it are there. total: the loss of
    all tokens of a row, nats, without smoothing. tokens: how many a row has, None for 1 each. prob: what the row's tokens
    were given, None where `score` is the logarithm of it, as the file has it. smoothed: loss and weight that are averaged
    where they are not the plain ones. predicted and correct: the most probable token, and whether it is the label, where all
    are known. place: the position in the list of a row.
    """

    run: Ints | None
    total: Floats
    tokens: Floats | None
    prob: Floats | None
    score: Floats | None = None
    smoothed: tuple[Floats, Floats | None] | None = None
    predicted: Ints | None = None
    correct: Bools | None = None
    place: Ints | None = None

    def row_means(self, plan: EvalPlan) -> dict[str, RowMean]:  # noqa: ARG002 - as every task
        """Return the accuracy, where the most probable token is known."""
        return {} if self.correct is None else {"accuracy": RowMean(self.correct.astype(np.float64))}


class TokenHits:
    """How often the most probable token is the one that came."""

    def __init__(self) -> None:
        self._hits = Hits()

    def add(self, scored: TokenScored, weight: Floats | None, rows: Ints) -> None:  # noqa: ARG002 - rows do not matter
        """Add rows of positive weight."""
        if scored.correct is not None:
            self._hits.add(scored.correct, None, weight)

    def merge(self, other: TokenHits) -> None:
        """Add what another state has seen."""
        self._hits.merge(other._hits)

    def accuracy(self, plan: EvalPlan, sequences: SequenceStatistics | None) -> dict[str, Metric]:
        """Return the share of hits with its interval: that of sequences, or of their clusters, where there are such."""
        rate = self._hits.rate()
        if rate is None:
            return {}
        if sequences is None:
            return {"accuracy": without_unit(plan, rate, self._hits.standard_error(), self._hits.n - 1)}
        share, count = sequences.hits()
        return {"accuracy": without_unit(plan, rate, share.error, count - 1)}


class TokensTask:
    """Rows are tokens, lists of tokens or sums over tokens; consecutive rows may be one sequence."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._layout = context.layout
        self._classes = _of_classes(context) if context.plan.classes else None
        self._sizes = known_sizes(context)

    def unfold(self, pair: Pair) -> Pair:
        """Return a pair with a row for each token of its lists."""
        return unfolded(self._layout, pair) if "list" in self._layout.roles else pair

    def block_rows(self, pair: Pair) -> int:
        """Return how many rows make a block of bounded size; lists are not cut."""
        if self._classes is not None:
            return self._classes.block_rows(pair)
        return max(1, len(pair.rows)) if "list" in self._layout.roles else _BLOCK_ROWS

    def check(self, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
        """Return the tokens of a pair that pass every check; one without a score is left out and is no fault."""
        context = self._context
        unfolds = POSITION in pair.predictions.schema.names
        checks = TokenChecks(faults, pair, keep=keep) if unfolds else RowChecks(faults, pair.rows, keep=keep)
        check_structure(context, pair, checks)
        check_ids(context, pair, checks)
        self._check_sequences(pair, checks)
        encoded = self._labels(pair)
        ignored = checks.skip(None if encoded is None else encoded.ignored)
        unscored = checks.skip(self.without_score(pair))
        if encoded is not None and self._classes is not None:
            check_labels(context, pair, checks, encoded)
        scores, notes = check_scores(context, pair, checks)
        counts = self._counts(pair, checks)
        sizes = {name: self._checked_size(name, pair, checks) for name, role in self._sizes.items() if role != "text"}
        weight = check_weights(context, pair, checks)
        at = None if checks.ok is None else np.flatnonzero(checks.ok)
        valid = slice(None) if at is None else at
        sequences = sequences_of(self._layout, pair)
        extra: dict[str, Any] = {}
        if checks.ok is not None or weight is not None:
            extra["run"] = sequences.run()[valid]
        if counts is not None:
            extra["tokens"] = counts[valid]
        if unfolds:
            extra["place"] = numbers(pair.predictions.column(POSITION)).values[valid].astype(np.int64)
        block = Block(
            at,
            np.broadcast_to(0.0, len(scores))[valid] if encoded is None else encoded.values[valid],
            np.ascontiguousarray(scores[valid]),
            None if weight is None else weight[valid],
            extra=extra,
        )
        told = {}
        if self.gathers_sequences():
            left_out = None if checks.ok is None else ~checks.ok
            if left_out is not None:
                left_out[unscored] = False
            told["sequences"] = self._runs(pair, sequences, sizes, weight, left_out, unscored)
        return Checked(block, ignored, checks.kept, Notes(notes.flags, notes.sum_error), told=told, unscored=unscored)

    def counted(self, block: Block) -> Bools | None:  # noqa: ARG002 - no token weighs nothing by what it is
        """Return None: only its own weight takes a row out."""
        return None

    def score(self, block: Block) -> TokenScored:
        """Return the losses of tokens."""
        place = block.extra.get("place")
        if self._classes is not None:
            found = self._classes.score(block)
            objective = found.objective
            return TokenScored(
                loss=found.loss,
                counted={name: flags for name, flags in found.counted.items() if name == "clipped"},
                objective=objective,
                run=block.extra.get("run"),
                total=found.loss,
                tokens=None,
                prob=found.prob_label,
                smoothed=None if objective is None else (objective.loss, objective.weight),
                predicted=found.predicted,
                correct=found.correct,
                gradient=found.gradient,
            )
        score = block.scores[:, 0]
        loss, prob, clipped = self._single(score)
        tokens = block.extra.get("tokens")
        each = loss if tokens is None else loss / tokens
        return TokenScored(
            loss=each,
            counted={"clipped": clipped},
            objective=None if tokens is None else Objective(each, tokens),
            run=block.extra.get("run"),
            total=loss,
            tokens=tokens,
            prob=prob,
            score=score,
            place=place,
        )

    def statistics(self) -> dict[str, Statistic]:
        """Return what is gathered beside the loss."""
        parts: dict[str, Statistic] = {}
        if self.gathers_sequences():
            parts["sequences"] = SequenceStatistics(
                self.summed_sizes(),
                smoothed=self._reweighed(),
                clustered=CLUSTER in self._layout.roles,
                keeps=self._context.keeps_sequences,
            )
        if self._classes is not None:
            parts["hits"] = TokenHits()
        if self._context.plan.gradients:
            parts["gradients"] = GradientSums(self._context.plan.k)
        return parts

    def summarize(self, state: EvalState) -> Summary:
        """Return every figure."""
        plan, gathered = self._context.plan, state.parts.get("sequences")
        metrics = mean_metrics(plan, state)
        counts = {"tokens": state.scored}
        whole: SequenceStatistics | None = None
        if gathered is None:
            metrics.update(per_token(plan, plain_mean(state), state.loss.n - 1))
        else:
            whole = self.checked_sequences(gathered)
            counts["tokens"] = whole.tokens()
            if self._grouped():
                counts.update(sequences=whole.sequences, unscored_sequences=whole.unscored_sequences)
            metrics.update(self._of_sequences(whole, metrics["cross_entropy"]))
        if "hits" in state.parts:
            metrics.update(state.parts["hits"].accuracy(plan, whole))
        if plan.own == DOCUMENTS:
            metrics = {name: metric for name, metric in metrics.items() if name not in _OF_TOKENS}
            del counts["tokens"]
        single = self._classes is None and plan.own != DOCUMENTS and not {"list", "count"} & self._layout.roles.keys()
        issues = suspected_sums(plan, state, whole) if single else ()
        return Summary(metrics, counts=counts, issues=issues, classes=())

    def checked_sequences(self, gathered: SequenceStatistics) -> SequenceStatistics:
        """Return the statistics of sequences after the last block. Raises CeError where rows do not make sequences."""
        whole = gathered.closed()
        self._check_repeated(whole)
        self._check_groups(whole)
        return whole

    def describe(self, pair: Pair, row: int, scored: TokenScored, position: int) -> tuple[str, str, float]:
        """Return the token or its place in the list, the most probable one, and the probability of the token."""
        prob = float(self._prob(scored, slice(position, position + 1))[0])
        if self._layout.labels:
            label = cell_text(pair.labels.column(self._layout.label), row)
        else:
            label = "" if scored.place is None else f"token {int(scored.place[position]) + 1}"
        predicted = "" if scored.predicted is None else self._context.plan.classes[int(scored.predicted[position])]
        return label, predicted, prob

    def sample_columns(self, scored: TokenScored) -> dict[str, Floats | Ints | Coded]:
        """Return the place in the list, the most probable token, the number of tokens and the probability."""
        columns: dict[str, Floats | Ints | Coded] = {}
        if scored.place is not None:
            columns["position"] = scored.place + 1
        if scored.predicted is not None:
            columns["predicted"] = Coded(scored.predicted, self._context.plan.classes)
        if scored.tokens is not None:
            columns["tokens"] = scored.tokens.astype(np.int64)
        columns["prob"] = self._prob(scored, slice(None))
        return columns

    def gradient_names(self) -> tuple[str, ...]:
        """Return the vocabulary, where the score of every token is known."""
        return () if self._classes is None else self._classes.gradient_names()

    def gathers_sequences(self) -> bool:
        """Tell whether anything is asked of sequences, or of tokens beyond the mean of what is averaged."""
        asked = self._context.keeps_sequences or CLUSTER in self._layout.roles
        return bool(asked or self._grouped() or self._sizes or self._reweighed())

    def _groups(self, pair: Pair, sequences: Sequences) -> dict[str, RunGroups]:
        """Return what sequences belong to: clusters, and slices where these are to be made of whole sequences."""
        slices = (
            [role for role in self._layout.roles if role.startswith("by:")] if self._context.keeps_sequences else []
        )
        clusters = [CLUSTER] if CLUSTER in self._layout.roles else []
        return {role: run_groups(self._column(pair, role), sequences, pair.rows) for role in (*clusters, *slices)}

    def _reweighed(self) -> bool:
        """Tell whether the loss that is averaged is not the plain one."""
        return bool(self._context.plan.smoothing or self._context.plan.class_weights)

    def without_score(self, pair: Pair) -> Bools | None:
        """Return which tokens have no score."""
        columns = self._layout.scores.columns
        return nulls(plain(pair.predictions.column(columns[0]))) if len(columns) == 1 else None

    def summed_sizes(self) -> dict[str, bool]:
        """Return the sizes that are known, and whether each is a sum over rows, not told for the whole sequence."""
        return {name: role != "text" for name, role in self._sizes.items()}

    def all_sizes(self, pair: Pair, sequences: Sequences, members: Bools) -> dict[str, Floats]:
        """Return the sizes of the sequences of a pair over the rows that are `members`, NaN where one is not known."""
        sizes = self.sizes_of(pair, sequences)
        members = once_a_row(members, pair.rows) if "list" in self._layout.roles else members
        for name, summed in self.summed_sizes().items():
            if summed:
                values, missing, _ = numbers(self._column(pair, name))
                values = values if missing is None else np.where(missing, math.nan, values)
                sizes[name] = np.add.reduceat(np.where(members, values, 0.0), sequences.starts)
        return {name: sizes[name] for name in self._sizes}

    def sizes_of(self, pair: Pair, sequences: Sequences) -> dict[str, Floats]:
        """Return the bytes and words that the texts of sequences have, NaN where there is no text."""
        if "text" not in self._sizes.values():
            return {}
        cells: list[str | None] = texts(self._column(pair, "text").take(positions(sequences.starts))).to_pylist()
        sizes = {}
        for name, role in self._sizes.items():
            if role == "text":
                count = _bytes if name == "bytes" else kernels.words
                sizes[name] = np.array([math.nan if cell is None else float(count(cell)) for cell in cells])
        return sizes

    def _grouped(self) -> bool:
        return bool({"sequence", "list", "count"} & self._layout.roles.keys())

    def _column(self, pair: Pair, role: str) -> pa.Array:
        where = self._layout.roles[role]
        return plain((pair.predictions if where.side == "predictions" else pair.labels).column(where.column))

    def _labels(self, pair: Pair) -> Encoded | None:
        if not self._layout.labels or (self._classes is None and not self._context.plan.ignored):
            return None
        return self._context.codec.encode(pair.labels.column(self._layout.label))

    def _check_sequences(self, pair: Pair, checks: RowChecks) -> None:
        if "sequence" not in self._layout.roles:
            return
        name = self._layout.roles["sequence"].column
        checks.fail(
            "missing_id",
            nulls(self._column(pair, "sequence")),
            self._context.predictions_path,
            lambda _: Fault(name, "", "the sequence is empty"),
            hint="every row belongs to a sequence",
        )

    def _counts(self, pair: Pair, checks: RowChecks) -> Floats | None:
        """Return how many tokens each row is the sum of."""
        if "count" not in self._layout.roles:
            return None
        return self._whole_numbers("count", "a number of tokens", pair, checks, least=1)

    def _checked_size(self, name: str, pair: Pair, checks: RowChecks) -> Floats:
        return self._whole_numbers(name, f"a number of {name}", pair, checks, least=0)

    def _whole_numbers(self, role: str, what: str, pair: Pair, checks: RowChecks, *, least: int) -> Floats:
        """Return counts; an unknown one is NaN where it may be 0, else a fault."""
        values, missing, unreadable = numbers(self._column(pair, role))
        bad = ~((values <= _MOST) & (values >= least) & (values == np.rint(values)))
        bad[list(unreadable)] = True
        if missing is not None:
            bad = bad | missing if least else bad & ~missing
            values = np.where(missing, math.nan, values)
        name = self._layout.roles[role].column

        def describe(at: int) -> Fault:
            text = "" if missing is not None and missing[at] else unreadable.get(at, repr(float(values[at])))
            return Fault(name, text, f"{text or 'an empty cell'} is not {what}")

        checks.fail("not_a_number", bad, self._context.predictions_path, describe, hint=f"{what} is whole, up to 2**53")
        return values

    def _runs(
        self,
        pair: Pair,
        sequences: Sequences,
        sizes: Mapping[str, Floats],
        weight: Floats | None,
        left_out: Bools | None,
        unscored: Ints,
    ) -> Runs:
        """Return the sequences of a block; the sizes of rows count that are not `left_out` as neither scored nor unscored."""
        starts, count = sequences.starts, len(sequences.starts)
        ends = np.append(starts[1:], len(pair.rows)) - 1
        parts = {}
        if self._sizes:
            by = np.ones(len(pair.rows)) if weight is None else weight
            by = by if left_out is None else np.where(left_out, 0.0, by)
            once = once_a_row(by, pair.rows) if "list" in self._layout.roles else by
            for name, values in sizes.items():
                parts[name] = _size_sums(values, once, starts)
            for name, values in self.sizes_of(pair, sequences).items():
                # Told once for a sequence, which weighs what its tokens do: whatever became of the first of them.
                parts[name] = [values if weight is None else values * np.maximum.reduceat(by, starts)]
        without = np.bincount(sequences.run()[unscored], minlength=count) if len(unscored) else np.zeros_like(starts)
        return Runs(
            starts,
            pair.rows[starts] if count else starts,
            pair.rows[ends] if count else starts,
            sequences.keys(),
            without,
            parts,
            self._groups(pair, sequences),
        )

    def _prob(self, scored: TokenScored, rows: slice) -> Floats:
        """Return what some tokens were given, of a row with several the geometric mean."""
        if scored.tokens is not None:
            return np.exp(-scored.loss[rows])
        if scored.prob is not None:
            return scored.prob[rows]
        assert scored.score is not None  # it is there where prob is not
        return kernels.probabilities(scored.score[rows], self._context.plan.log_base)

    def _single(self, scores: Floats) -> tuple[Floats, Floats | None, Bools | None]:
        """Return loss, probability if that is at hand, and which were clipped, of tokens of which only their own is known."""
        plan = self._context.plan
        if plan.scale is Scale.LOGPROBS:
            return kernels.from_logprobs(scores, plan.log_base), None, None
        clipped = scores if plan.eps is None else np.clip(scores, plan.eps, 1 - plan.eps)
        return kernels.from_probabilities(clipped), clipped, None if plan.eps is None else clipped != scores

    def _check_repeated(self, whole: SequenceStatistics) -> None:
        """Raise duplicate_id where a sequence comes back after another one: its parts would count as several."""
        again = whole.repeated()
        if not again.count:
            return
        column = self._layout.roles["sequence"].column
        several = "sequence comes" if again.count == 1 else "sequences come"
        raise CeError(
            Problem(
                "duplicate_id",
                f"{again.count:,} {several} back after another one: the rows of a sequence must stand together",
                self._context.predictions_path,
                column,
                again.first,
                again.count,
                f"sort the file by {column}, or name the column that tells all sequences apart with --sequence-col",
            )
        )

    def _check_groups(self, whole: SequenceStatistics) -> None:
        """Raise bad_option where a sequence belongs to two clusters, or to two of the slices that are made of sequences."""
        for role, rows in whole.changes.items():
            if not rows.count:
                continue
            place = self._layout.roles[role]
            told = "cluster" if role == CLUSTER else "slice"
            hint = "a cluster is made of whole sequences, such as the sentences of a document"
            if role != CLUSTER:
                hint = "models are compared in slices of whole sequences: cut the tokens of each model by itself"
            raise CeError(
                Problem(
                    "bad_option",
                    f"in {rows.count:,} row{'' if rows.count == 1 else 's'} the {told} is not that of the row before, which is "
                    "of the same sequence",
                    self._context.predictions_path if place.side == "predictions" else self._context.labels_path,
                    place.column,
                    rows.first,
                    rows.count,
                    hint,
                )
            )

    def _of_sequences(self, whole: SequenceStatistics, mean: Metric) -> dict[str, Metric]:
        """Return what the losses of sequences come to, and the mean with each of them as a cluster."""
        plan = self._context.plan
        smoothed = bool(plan.smoothing) and plan.class_weights is None
        names = ["cross_entropy_unsmoothed"] if smoothed else []
        names += ["perplexity", "bits_per_token", *(["sequence_sum_mean", "sequence_mean"] if self._grouped() else [])]
        if whole.infinite:
            infinite = dict.fromkeys(names, Metric(math.inf))
            return {**infinite, **dict.fromkeys(size_metrics(whole), Metric(math.inf))}
        df = whole.units - 1
        metrics: dict[str, Metric] = {}
        plain_ratio = whole.ratio("loss", "weight")
        averaged = whole.ratio("objective", "objective_weight") if self._reweighed() else plain_ratio
        if math.isfinite(mean.value):
            metrics["cross_entropy"] = metrics["cross_entropy_finite"] = in_unit(plan, averaged, df)
        if smoothed:
            metrics["cross_entropy_unsmoothed"] = in_unit(plan, plain_ratio, df)
        metrics.update(per_token(plan, plain_ratio, df))
        if self._grouped():
            metrics["sequence_sum_mean"] = in_unit(plan, whole.mean("loss"), df)
            metrics["sequence_mean"] = in_unit(plan, whole.mean("mean"), df)
        metrics.update(per_size(plan, whole))
        return metrics


def _of_classes(context: Context) -> MulticlassTask:
    from ce_cli.tasks.multiclass import MulticlassTask  # here, since most tokens have one score

    return MulticlassTask(context)


def _size_sums(values: Floats, by: Floats, starts: Ints) -> list[Floats]:
    """Return the weighted sizes of sequences, as arrays that add up to them; NaN where one is not known."""
    product = np.where(by > 0, values, 0.0) * by
    unknown = np.isnan(product)
    parts = run_sums(np.where(unknown, 0.0, product), starts)
    if unknown.any():
        parts.append(np.where(np.add.reduceat(unknown.astype(np.int64), starts) > 0, math.nan, 0.0))
    return parts


def known_sizes(context: Context) -> dict[str, str]:
    """Return which sizes are known, and by which role: a column of their own, or the text."""
    roles = context.layout.roles
    found = {name: name if name in roles else "text" for name in _SIZES if name in roles or "text" in roles}
    return dict(found)


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
