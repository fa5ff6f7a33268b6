"""What the tests of the readers share: a data set in memory that is cut into batches where a test wants it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import strategies as st

from ce_cli.columns import Layout, Scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.columns import Kind
    from ce_cli.workers import Workers


class Chunked:
    """Columns in memory whose batches end at the given rows (some of them empty)."""

    headerless = False
    meaning = None
    total_bytes = None
    bytes_read = 0

    def __init__(self, path: str, columns: dict[str, Any], cuts: list[int] | None = None) -> None:
        self.path = path
        self.names = tuple(columns)
        self._table = pa.table(columns)
        self._cuts = cuts or []

    def sample(self) -> pa.Table:
        return self._table.slice(0, 200)

    def rows(self) -> int | None:
        return self._table.num_rows

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        n = self._table.num_rows
        whole = self._table.select(list(columns)).combine_chunks()
        for start, stop in pairwise([0, *sorted(min(cut, n) for cut in self._cuts), n]):
            batches = whole.slice(start, stop - start).to_batches()
            yield batches[0] if batches else pa.RecordBatch.from_pylist([], schema=whole.schema)

    def stored(self, columns: Any) -> None:
        """There is nothing to decode."""


def cuts_of(most: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, most), max_size=6)


def layout_of(ids: tuple[str, ...], *, alignment: str = "id", label_ids: tuple[str, ...] | None = None) -> Layout:
    """Return the layout of a file with the score `prob` and another with the labels `label`."""
    scores = Scores(("prob",), (), None)
    return Layout(scores, ("label",), "labels", None, None, ids, alignment, ids if label_ids is None else label_ids)
