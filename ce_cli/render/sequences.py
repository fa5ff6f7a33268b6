"""The file with one line per sequence of tokens."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from ce_cli.errors import fail
from ce_cli.render.rows import RowFile, arrow_array, distinct, text_array
from ce_cli.render.tables import open_table
from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import to_float
from ce_cli.tasks.token_rows import sequences_of
from ce_cli.tasks.tokens import TokensTask

if TYPE_CHECKING:
    from ce_cli.arrays import Bools
    from ce_cli.folding import ScoredRows
    from ce_cli.tasks.base import Context

_BATCH = 1 << 13
_MANY = 256  # parts of a sequence that is still open


class _Open(NamedTuple):
    """A sequence that may go on: its name, what its tokens cost so far, and how many there are."""

    name: str | int
    losses: list[float]
    tokens: int
    unscored: int
    sizes: dict[str, list[float]]


class PerSequenceFile(RowFile):
    """The loss of every sequence, in the order of the predictions, as CSV or Parquet.

    Columns: the column that names the sequences, else `row` from 1; tokens, those that are scored; unscored; loss_sum and
    loss_mean, in the report's unit, without weights; perplexity; bytes and words where they are known. A sequence without
    a scored token has an empty loss.
    """

    def __init__(self, path: str, context: Context) -> None:
        self._task = TokensTask(context) if context.plan.task == "tokens" else None
        if self._task is None or not {"sequence", "list", "count"} & context.layout.roles.keys():
            raise fail(
                "bad_option",
                "--per-sequence writes sequences of tokens, but nothing says which rows are one",
                hint="name the column that tells them apart with --sequence-col",
            )
        super().__init__(path, spool=True)
        self._context = context
        self._parquet = path.lower().endswith(".parquet")
        role = context.layout.roles.get("sequence")
        self._named = role is not None
        self._open: _Open | None = None
        self._done: list[_Open] = []
        self._writer: Any = None
        written = {"row", "tokens", "unscored", "loss_sum", "loss_mean", "perplexity", "bytes", "words"}
        self._key = "row" if role is None else distinct(role.column, written, "sequence_")

    def write(self, rows: ScoredRows) -> None:
        """Add the next rows to the sequence they go on with, or start new ones."""
        for one in self._read(rows):
            if self._named and self._open is not None and self._open.name == one.name:
                self._open = self._joined(self._open, one)
                continue
            self._close()
            self._open = one
        if len(self._done) >= _BATCH:
            self._write()

    def restart(self) -> None:
        """Forget all rows."""
        super().restart()
        self._open, self._done = None, []

    def _read(self, rows: ScoredRows) -> list[_Open]:
        assert self._task is not None  # the constructor made sure
        pair = rows.pair
        if len(pair.rows) == 0:
            return []
        found = sequences_of(self._context.layout, pair)
        count = len(found.starts)
        n = len(pair.rows)
        loss, tokens = np.zeros(n), np.zeros(n, dtype=np.int64)
        for piece in rows.pieces:
            if piece.counts:
                loss[piece.at] = piece.scored.total
                tokens[piece.at] = 1 if piece.scored.tokens is None else piece.scored.tokens
        missing = self._task.without_score(pair)
        unscored = np.zeros(count, dtype=np.int64)
        if missing is not None:
            unscored = np.bincount(found.run()[missing & (tokens == 0)], minlength=count)
        members = tokens > 0 if missing is None else (tokens > 0) | missing
        sizes = self._task.all_sizes(pair, found, members)
        totals = np.add.reduceat(tokens, found.starts)
        names = found.names() or (pair.rows[found.starts] + 1).tolist()
        bounds = [*found.starts.tolist(), n]
        costs = loss.tolist()
        return [
            _Open(
                names[at],
                costs[bounds[at] : bounds[at + 1]],
                int(totals[at]),
                int(unscored[at]),
                {name: [float(size[at])] for name, size in sizes.items()},
            )
            for at in range(count)
        ]

    def _joined(self, one: _Open, two: _Open) -> _Open:
        assert self._task is not None  # the constructor made sure
        summed = self._task.summed_sizes()
        sizes = {
            name: _shortened(parts + two.sizes[name]) if summed[name] else parts for name, parts in one.sizes.items()
        }
        losses = _shortened(one.losses + two.losses)
        return _Open(one.name, losses, one.tokens + two.tokens, one.unscored + two.unscored, sizes)

    def _close(self) -> None:
        if self._open is not None:
            total = math.fsum(self._open.losses)
            self._done.append(self._open._replace(losses=[total]))
            self._open = None

    def _write(self) -> None:
        done, self._done = self._done, []
        unit = self._context.plan.unit_size
        sums = [one.losses[0] if one.tokens else None for one in done]
        means = [None if total is None else total / one.tokens for total, one in zip(sums, done, strict=True)]
        scored = np.array([total is not None for total in sums])
        names = [one.name for one in done]
        columns = {
            self._key: text_array(list(map(str, names))) if self._named else arrow_array(pa.int64(), np.array(names)),
            "tokens": arrow_array(pa.int64(), np.array([one.tokens for one in done])),
            "unscored": arrow_array(pa.int64(), np.array([one.unscored for one in done])),
            "loss_sum": _floats([0.0 if total is None else total / unit for total in sums], scored),
            "loss_mean": _floats([0.0 if mean is None else mean / unit for mean in means], scored),
            "perplexity": _floats([0.0 if mean is None else _exp(mean) for mean in means], scored),
        }
        for name in self._task.summed_sizes() if self._task is not None else ():
            values = [math.fsum(one.sizes[name]) for one in done]
            known = np.array([not math.isnan(value) for value in values])
            whole = np.array([0 if math.isnan(value) else int(value) for value in values], dtype=np.int64)
            columns[name] = arrow_array(pa.int64(), whole, known)
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        if self._writer is None:
            self._writer = open_table(self._file.raw, batch.schema, parquet=self._parquet)
        self._writer.write(batch)

    def _finish(self) -> None:
        self._close()
        self._write()
        self._writer.close()

    def _abandon(self) -> None:
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            if self._writer is not None:
                self._writer.close()
        self._writer = None


def _floats(values: list[float], valid: Bools) -> pa.Array:
    return arrow_array(pa.float64(), np.array(values), valid)


def _shortened(values: list[float]) -> list[float]:
    """Return values with exactly the same sum, but few of them where they were many."""
    if len(values) <= _MANY or not math.isfinite(math.fsum(values)):
        return values if len(values) <= _MANY else [math.fsum(values)]
    sums = ExactSums()
    sums.add(np.array(values))
    rest, few = sums.total(), []
    while rest:
        few.append(to_float(rest))
        rest -= Fraction(few[-1])
    return few


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
