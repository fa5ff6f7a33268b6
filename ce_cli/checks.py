"""The faults of rows: found block by block, counted, and told together at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_cli.errors import CODES, Problem, shortened
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.arrays import Bools, Floats, Ints


class Fault(NamedTuple):
    """What is wrong with one row: in which column, which value, and in words."""

    column: str | None
    value: str
    message: str


class FaultRow(NamedTuple):
    """One invalid row, as `--errors` lists it (`row` from 1, of the predictions)."""

    row: int
    column: str | None
    value: str
    code: str
    message: str


@dataclass(eq=False, repr=False)
class _Kind:
    file: str
    hint: str | None
    tally: Tally = field(default_factory=Tally)
    first_row: int = -1
    first: Fault | None = None


class Faults:
    """All faults seen so far, by code and file; mergeable, and the same in any order."""

    def __init__(self) -> None:
        self.invalid = 0
        self.kinds: dict[tuple[str, str], _Kind] = {}
        self.low: Floats | None = None
        self.high: Floats | None = None

    def add(self, code: str, file: str, rows: Ints, first: Fault, hint: str | None = None) -> None:
        """Add the rows (numbers from 0, ascending) that show one fault; `first` is that of the lowest."""
        kind = self.kinds.setdefault((code, file), _Kind(file, hint))
        kind.tally.add(rows)
        if kind.first is None or int(rows[0]) < kind.first_row:
            kind.first_row, kind.first, kind.hint = int(rows[0]), first, hint

    def widen(self, low: Floats, high: Floats) -> None:
        """Note the range of the scores of every column, for the hints."""
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)

    def merge(self, other: Faults) -> None:
        """Add what another state has seen."""
        self.invalid += other.invalid
        for key, kind in other.kinds.items():
            mine = self.kinds.setdefault(key, _Kind(kind.file, kind.hint))
            mine.tally.merge(kind.tally)
            if kind.first is not None and (mine.first is None or kind.first_row < mine.first_row):
                mine.first_row, mine.first, mine.hint = kind.first_row, kind.first, kind.hint
        if other.low is not None and other.high is not None:
            self.widen(other.low, other.high)

    def problems(self) -> list[Problem]:
        """Return one problem for each code and file, in the order of the codes."""
        return sorted(
            (self._problem(code, kind) for (code, _), kind in sorted(self.kinds.items(), key=lambda item: item[0])),
            key=lambda problem: CODES.index(problem.code),
        )

    def _problem(self, code: str, kind: _Kind) -> Problem:
        first = kind.first or Fault(None, "", "")
        message = first.message.replace(first.value, shortened(first.value)) if first.value else first.message
        hint = self._scale_hint() if code == "probability_out_of_range" else kind.hint
        return Problem(code, message, kind.file, first.column, kind.tally.first, kind.tally.count, hint)

    def _scale_hint(self) -> str | None:
        if self.low is None or self.high is None:
            return None
        if self.low.min() >= 0 and self.high.max() <= 100 and (self.high > 1).any():
            return "if these are percentages, pass --input percent"
        if ((self.low < 0) | (self.high > 1)).all():
            return "if these are logits, pass --input logits"
        return "a probability is a number from 0 to 1; choose the score columns with --pred-cols"


class RowChecks:
    """The checks of one block: a row that fails one is not looked at by the later ones."""

    def __init__(self, faults: Faults, rows: Ints, *, keep: bool) -> None:
        self.faults = faults
        self.rows = rows
        self.kept: list[FaultRow] = []
        self.ok: Bools | None = None
        self._keep = keep

    def fail(
        self,
        code: str,
        bad: Bools | None,
        file: str,
        describe: Callable[[int], Fault],
        *,
        hint: str | None = None,
        rows: Ints | None = None,
    ) -> None:
        """Record the rows where `bad` is true; `rows` has their numbers in `file` where those differ from the block's."""
        if bad is None:
            return
        at = np.flatnonzero(bad if self.ok is None else bad & self.ok)
        if len(at) == 0:
            return
        numbers = (self.rows if rows is None else rows)[at]
        order = np.argsort(numbers, kind="stable")
        # A row that holds several values may fail more than once.
        self.faults.add(code, file, np.unique(numbers), describe(int(at[order[0]])), hint)
        self.faults.invalid += len(at)
        if self._keep:
            self.kept += [self._row(code, int(row), describe(int(row))) for row in at]
        self.skip(bad)

    def skip(self, rows: Bools | None) -> Ints:
        """Leave rows out of all that follows without a fault; return the positions of those that were still in."""
        if rows is None or not rows.any():
            return np.zeros(0, dtype=np.int64)
        left = rows if self.ok is None else rows & self.ok
        self.ok = ~rows if self.ok is None else self.ok & ~rows
        return np.flatnonzero(left)

    def _row(self, code: str, at: int, fault: Fault) -> FaultRow:
        return FaultRow(int(self.rows[at]) + 1, fault.column, fault.value, code, fault.message)
