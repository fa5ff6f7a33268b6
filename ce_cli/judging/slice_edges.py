"""Numbers that are cut into slices: where, and what the parts are called."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.columns import Scores
from ce_cli.errors import fail
from ce_cli.readers.arrays import numbers
from ce_cli.readers.categories import EMPTY
from ce_cli.slicing import parse_all
from ce_cli.state.groups import Groups, present
from ce_cli.tasks.first_pass import over_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats
    from ce_cli.block import Pair
    from ce_cli.columns import Layout
    from ce_cli.slicing import Criterion
    from ce_cli.tasks.planning import Request

_EXACT = 2.0**53


def quantile_edges(request: Request, layout: Layout) -> Mapping[str, tuple[float, ...]]:
    """Return the edges between the quantiles that are asked for, by what asks for them, from a look at all rows."""
    found = {}
    for parts in parse_all(request.options.by):
        for part in parts:
            if part.quantiles is not None and part.text not in found:
                found[part.text] = _quantiles(request, layout, part, part.quantiles)
    return found


def _quantiles(request: Request, layout: Layout, part: Criterion, count: int) -> tuple[float, ...]:
    """Return numbers of the column, each the lowest of a part of about the same size, without those that repeat."""
    role = layout.roles[f"by:{part.column}"]
    only = layout._replace(scores=Scores((), (), None), weight=None, weight_side=None, roles={"by": role})

    def read(pair: Pair) -> Floats:
        side = pair.predictions if role.side == "predictions" else pair.labels
        values, missing, bad = numbers(side.column(role.column))
        fine = np.isfinite(values)
        fine[[*bad]] = False
        return values[fine if missing is None else fine & ~missing]

    values = np.concatenate([np.zeros(0), *over_pairs(request, only, read)])
    if len(values) == 0:
        table = request.predictions if role.side == "predictions" else request.labels
        assert table is not None  # it has the column
        cells = [cell for cell in table.columns[role.column].cells if cell is not None]
        seen = f", but for example {cells[0]!r}" if cells else ""
        raise fail(
            "bad_option",
            f"--by {part.text}: the column has no numbers{seen}",
            file=table.path,
            column=role.column,
            hint=f"--by {role.column} makes a slice of each of its values",
        )
    edges = np.quantile(values, np.arange(1, count) / count, method="higher")
    return tuple(np.unique(edges).tolist())


def interval_groups(column: pa.Array, edges: Sequence[float]) -> tuple[Groups, Bools | None]:
    """Return the rows of a column by the interval of their number, and which are no number at all (None: no row).

    Intervals are half-open: those below the first edge, from each edge to before the next, and from the last edge on. An empty
    cell and NaN are in none of them.
    """
    values, missing, bad = numbers(column)
    empty = np.isnan(values) if missing is None else np.isnan(values) | missing
    codes = np.where(empty, len(edges) + 1, np.searchsorted(np.array(edges), values, side="right"))
    if not bad:
        return present(codes, [*interval_names(edges), EMPTY]), None
    unreadable = np.zeros(len(values), dtype=np.bool_)
    unreadable[[*bad]] = True
    return present(np.where(unreadable, len(edges) + 1, codes), [*interval_names(edges), EMPTY]), unreadable


def interval_names(edges: Sequence[float]) -> list[str]:
    """Return what the intervals between edges are called, those below the first and from the last on included."""
    texts = [str(int(edge)) if edge.is_integer() and abs(edge) < _EXACT else repr(edge) for edge in edges]
    inner = [f"[{one},{two})" for one, two in pairwise(texts)]
    return [f"<{texts[0]}", *inner, f">={texts[-1]}"]
