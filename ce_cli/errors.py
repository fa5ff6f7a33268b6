"""Every error that a user can cause, as one family with stable codes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns to its caller."""

    OK = 0
    GATE_FAILED = 1
    ERROR = 2
    DEFECT = 70
    INTERRUPTED = 130


# The order in which problems are shown: what must be mended first comes first.
CODES: tuple[str, ...] = (
    "bad_option",
    "bad_gate",
    "bad_bins",
    "unwritable_output",
    "no_such_file",
    "unreadable_file",
    "malformed_row",
    "schema_mismatch",
    "no_header",
    "duplicate_column",
    "unknown_column",
    "ambiguous_columns",
    "ambiguous_task",
    "no_samples",
    "length_mismatch",
    "duplicate_id",
    "missing_id",
    "missing_label",
    "unknown_label",
    "target_out_of_range",
    "missing_prediction",
    "not_a_number",
    "nan_prediction",
    "probability_out_of_range",
    "row_sum",
    "infinite_logit",
    "undefined_row",
    "logprob_positive",
    "sentinel_logprob",
    "bad_weight",
    "negative_weight",
    "weights_sum_to_zero",
    "no_scored_samples",
)
_RANK = {code: rank for rank, code in enumerate(CODES)}

FIRST_ROWS = 5
_LONGEST_VALUE = 60  # characters of what stood in a file, in a message


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of fault: where it is, how often, and what to do about it.

    `rows` holds the lowest affected rows (1 = the first data row), at most `FIRST_ROWS` of them; `count` is the number of
    rows affected. `message` describes the first of them, offending value included.
    """

    code: str
    message: str
    file: str | None = None
    column: str | None = None
    rows: tuple[int, ...] = ()
    count: int = 0
    hint: str | None = None

    def __post_init__(self) -> None:
        if self.code not in _RANK:
            raise ValueError(f"unknown error code {self.code!r}")

    def __str__(self) -> str:
        rows = f" ({self.count} rows are affected{self.first_rows()})" if self.count > 1 else ""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"[{self.code}] {self.place()}{self.message}{rows}{hint}"

    def place(self) -> str:
        """Return file, column and first row as the beginning of a line, empty where none is known."""
        parts = (
            self.file,
            None if self.column is None else f"column {self.column}",
            f"row {self.rows[0]}" if self.rows else None,
        )
        place = ", ".join(part for part in parts if part is not None)
        return f"{place}: " if place else ""

    def first_rows(self) -> str:
        """Return the rows that are known of those affected, as the end of a sentence about how many there are."""
        return ", the first: " + ", ".join(map(str, self.rows)) if self.rows else ""

    def to_dict(self) -> dict[str, object]:
        """Return the problem as the JSON contract spells it."""
        return {
            "code": self.code,
            "message": self.message,
            "file": self.file,
            "column": self.column,
            "rows": list(self.rows),
            "count": self.count,
            "hint": self.hint,
        }


class CeError(Exception):
    """The input or the options are at fault: nothing was evaluated.

    Carries every problem that was found, as `problems`, in the order of `CODES`, then by first row; its text has a line for
    each.
    """

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise ValueError("an error needs at least one problem")
        self.problems = tuple(sorted(problems, key=lambda p: (_RANK[p.code], p.rows[:1], p.column or "")))
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def code(self) -> str:
        """The code of the first problem."""
        return self.problems[0].code

    def __reduce__(self) -> tuple[type[CeError], tuple[Problem, ...]]:
        return (type(self), self.problems)


def fail(code: str, message: str, **where: object) -> CeError:
    """Return a `CeError` with one problem, to be raised."""
    return CeError(Problem(code, message, **where))  # type: ignore[arg-type]


def shortened(value: str) -> str:
    """Return a value as a message shows it: cut where it is long."""
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"


def described(value: object) -> str:
    """Return what a value is, in a few words: a table of numbers is not shown cell by cell."""
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{_article(kind)} of shape {shape}"
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text and " at 0x" not in text else _article(kind)


def _article(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
