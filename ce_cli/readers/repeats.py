"""Ids that occur more than once in one file, and the column that may tell why: the model that a row is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ce_cli.columns import Kind
from ce_cli.readers.arrays import cell_texts, is_list, plain
from ce_cli.readers.chosen import MOST_VALUES
from ce_cli.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ce_cli.readers.base import DataSet

_MOST_ROWS = 1 << 15  # that are looked at: a run of any size is to take no longer for it


class Repeats(NamedTuple):
    """How many of the first `looked_at` rows have an id that occurred before, the first of them (from 0), and why, if told.

    apart: the first column of few texts that differs wherever the id is the same.
    """

    looked_at: int
    rows: tuple[int, ...]
    apart: str | None


def repeats(data: DataSet, ids: Sequence[str], taken: Collection[str]) -> Repeats | None:
    """Look at the first rows for ids that occur again; None where none does. taken: columns that mean something else."""
    keys = list(zip(*_cells(data, ids), strict=True))
    if len({*keys}) == len(keys):
        return None
    nothing = (None,) * len(ids)
    seen: set[tuple[str | None, ...]] = set()
    rows = []
    for row, key in enumerate(keys):
        if key in seen:
            rows.append(row)
        elif key != nothing:
            seen.add(key)
    if not rows:
        return None
    return Repeats(len(keys), tuple(rows), _apart(data, keys, {*ids, *taken}))


def by_model(column: str) -> str:
    """Return what to do where a column tells rows of the same id apart."""
    return (
        f"column {column} tells rows of the same id apart: if it names models, compare them with --model-col {column}"
    )


def _apart(data: DataSet, keys: list[tuple[str | None, ...]], taken: Collection[str]) -> str | None:
    sample = data.sample()
    for name in data.names:
        if name in taken or is_list(sample.schema.field(name).type) or _numbers(sample.column(name).to_pylist()):
            continue
        (cells,) = _cells(data, (name,))
        few = 1 < len({*cells}) <= min(MOST_VALUES, len(cells) // 2)
        if few and len({*zip(keys, cells, strict=True)}) == len(keys):
            return name
    return None


def _numbers(cells: list[object]) -> bool:
    """Tell whether cells are numbers that could be scores: what is whole may number models, runs or folds."""
    try:
        return not all(float(str(cell)).is_integer() for cell in cells if cell is not None)
    except (ValueError, OverflowError):
        return False


def _cells(data: DataSet, names: Sequence[str]) -> list[list[str | None]]:
    """Return the cells of columns in the first rows, as text."""
    found: list[list[str | None]] = [[] for _ in names]
    with Workers(1) as workers:
        for batch in data.batches(dict.fromkeys(names, Kind.TEXT), workers):
            for cells, name in zip(found, names, strict=True):
                cells += cell_texts(plain(batch.column(name).slice(0, _MOST_ROWS - len(cells))))
            if len(found[0]) >= _MOST_ROWS:
                break
    return found
