"""What columns are: the names by which they are known, what is seen of them, and what they were taken for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from ce_cli.errors import CeError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


Side = Literal["predictions", "labels"]
LABEL_NAMES = ("label", "y", "y_true", "target", "class", "truth", "obs")
ID_NAMES = ("id", "key", "uid", "row_id", "sample_id", "index")
WEIGHT_NAMES = ("weight", "sample_weight")
STRONG_SCORES = ("prob", "y_prob", "proba", "probability", "logit", "logprob")
WEAK_SCORES = ("p", "score", "prediction", "pred", "y_pred")
PREFIXES = {"prob_": "probs", "p_": "probs", "proba_": "probs", "logit_": "logits", "logprob_": "logprobs"}
# Prefixes of label columns that stand for one class each.
LABEL_PREFIXES = ("label_", "target_")
OUTCOME = "_outcome"  # behind the name of the score that it is the label of


class Kind(Enum):
    """How the cells of a column are to be read where the format leaves a choice (as text does)."""

    NUMBER = "number"
    TEXT = "text"
    CATEGORY = "category"  # text with few distinct values


class SampleColumn(NamedTuple):
    """The first cells of a column: as text (None: empty), and as numbers where all of them are."""

    kind: Literal["number", "text", "list", "other"]
    cells: tuple[str | None, ...]
    numbers: tuple[float, ...] = ()
    size: int | None = None  # of a list
    dtype: str = "text"  # of the numbers in the file: text, float64, float32 or float16


@dataclass(frozen=True, eq=False, repr=False)
class TableInfo:
    """A data set as the decisions need to see it."""

    path: str
    columns: dict[str, SampleColumn]
    headerless: bool

    def find(self, name: str) -> str | None:
        """Return the column of this name; case matters only where two differ by nothing else."""
        if name in self.columns:
            return name
        alike = self._by_lower_case.get(name.lower(), [])
        return alike[0] if len(alike) == 1 else None

    @cached_property
    def _by_lower_case(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for column in self.columns:
            found.setdefault(column.lower(), []).append(column)
        return found

    def require(self, name: str, option: str) -> str:
        """Return the column that an option names, or raise unknown_column."""
        found = self.find(name)
        if found is None:
            raise unknown_column(self, name, option)
        return found


class Scores(NamedTuple):
    """The score columns: their class names where they have any, and the scale that their names tell."""

    columns: tuple[str, ...]
    names: tuple[str, ...]
    scale: str | None
    list_size: int | None = None


class Role(NamedTuple):
    """A column that means something to one task: where it stands and how it is read."""

    column: str
    side: Side
    kind: Kind


class Layout(NamedTuple):
    """What every column was taken for. `ids` are the shared key columns; none means alignment by position or one file.

    labels: one column, or one for each class; none where a task has no labels. roles: further columns of a task, by what
    they mean to it.
    """

    scores: Scores
    labels: tuple[str, ...]
    label_side: Side
    weight: str | None
    weight_side: Side | None
    ids: tuple[str, ...]
    alignment: str  # "id", "position", or "file" where labels and scores stand in one file
    label_ids: tuple[str, ...] = ()  # how the labels file spells the ids
    label_kind: Kind = Kind.CATEGORY
    roles: Mapping[str, Role] = {}

    @property
    def label(self) -> str:
        """The label's column where there is one only."""
        return self.labels[0]


def unknown_column(
    table: TableInfo, name: str, option: str, other: TableInfo | None = None, hint: str | None = None
) -> CeError:
    """Return the error for a column that is not there; other: where it could have been as well; hint: a surer one."""
    import difflib

    names = [*dict.fromkeys((*table.columns, *(() if other is None else other.columns)))]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if hint is None:
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        hint = meant + (columns_listed(table) if other is None else f"the columns are: {listed(names)}")
    return CeError(
        Problem(
            "unknown_column", f"{option} names {name!r}, which is not a column", file=table.path, column=name, hint=hint
        )
    )


def columns_listed(table: TableInfo) -> str:
    """Return what to say of the columns that there are; one that looks like several was cut at the wrong character."""
    told = f"the columns are: {listed(table.columns)}"
    (first, *others) = table.columns or ("",)
    if not others and any(mark in first for mark in ",;\t|"):
        told += "; as this is one column only, check --delimiter"
    return told


def listed(names: Iterable[str], most: int = 12) -> str:
    """Return names in one line, cut where there are many."""
    names = list(names)
    more = f" … and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def without_prefix(name: str, prefixes: Iterable[str]) -> str:
    """Return a name without the longest of these prefixes that it has."""
    found = max((prefix for prefix in prefixes if name.lower().startswith(prefix)), key=len, default="")
    return name[len(found) :]


def is_id(name: str) -> bool:
    """Tell whether a name is that of an id."""
    return name.lower() in ID_NAMES or name.lower().endswith("_id")


def is_index(name: str) -> bool:
    """Tell whether a name is that of a data frame's index."""
    return name.startswith("Unnamed: ") or (name.startswith("__index_level_") and name.endswith("__"))


def is_weight(name: str) -> bool:
    """Tell whether a name is that of a weight."""
    return name.lower() in WEIGHT_NAMES
