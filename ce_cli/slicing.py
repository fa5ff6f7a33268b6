"""What `--by` says: the columns by which rows are cut into slices, and how numbers are."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterable

_CUT = re.compile(r"(?P<column>.+):(?P<how>quantiles|edges)=(?P<what>.*)", re.DOTALL)
_MOST_QUANTILES = 1000


class Criterion(NamedTuple):
    """A column, by its cells, by `quantiles` of its numbers or between `edges`; `text` is how it was asked for."""

    text: str
    column: str
    quantiles: int | None = None
    edges: tuple[float, ...] | None = None

    @property
    def cuts(self) -> bool:
        """Whether the column is one of numbers that is cut into intervals."""
        return self.quantiles is not None or self.edges is not None


def parse_by(text: str) -> tuple[Criterion, ...]:
    """Parse `COL`, `COL:quantiles=K`, `COL:edges=A,B,…`, or several of these with `*` between them. Raises bad_option."""
    parts = tuple(_criterion(part.strip(), text) for part in text.split("*"))
    columns = [part.column for part in parts]
    if len({*columns}) < len(columns):
        raise fail("bad_option", f"--by {text} names a column twice")
    return parts


def parse_all(texts: Iterable[str]) -> tuple[tuple[Criterion, ...], ...]:
    """Parse every `--by`. Raises bad_option, also where two cut by the same columns, whose slices would be mixed up."""
    found: dict[tuple[str, ...], tuple[Criterion, ...]] = {}
    for text in texts:
        parts = parse_by(text)
        columns = tuple(sorted(part.column for part in parts))
        if columns in found:
            both = " and ".join("*".join(part.text for part in one) for one in (found[columns], parts))
            raise fail("bad_option", f"--by {both} cut by the same columns: ask for one at a time")
        found[columns] = parts
    return tuple(found.values())


def advice(text: str, columns: Iterable[str]) -> str | None:
    """Return how to write what a text that names no column may be meant for, None where it says nothing of that."""
    start = re.split("[:=,;/+ ]", text)[0]
    found = next((name for name in columns if name.lower() == start.lower()), None)
    if found is None or start == text:
        return None
    other = re.sub(r"[,;/+ ]+", "*", text)
    if {*re.split(r"\*", other)} <= {*columns}:
        return f"{other} crosses two columns; for one after the other repeat --by"
    return f"to cut the numbers of a column write {found}:quantiles=4, or {found}:edges=0,10,20"


def _criterion(text: str, whole: str) -> Criterion:
    if not text:
        raise fail(
            "bad_option", f"--by takes a column, or several with * between them such as country*sex, but got {whole!r}"
        )
    match = _CUT.fullmatch(text)
    if match is None:
        return Criterion(text, text)
    column, how, what = match.groups()
    if how == "quantiles":
        if not (what.isascii() and what.isdigit() and 2 <= int(what) <= _MOST_QUANTILES):
            raise fail(
                "bad_option",
                f"--by {text}: quantiles are a whole number from 2 to {_MOST_QUANTILES}, such as {column}:quantiles=4",
            )
        return Criterion(text, column, quantiles=int(what))
    try:
        edges = tuple(float(edge) for edge in what.split(","))
    except ValueError:
        edges = ()
    if not edges or any(not one < two for one, two in pairwise(edges)) or edges[0] != edges[0]:
        raise fail("bad_option", f"--by {text}: edges are numbers that ascend, such as {column}:edges=0,10,20")
    return Criterion(text, column, edges=edges)
