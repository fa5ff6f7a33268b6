"""Several streams of aligned rows, side by side: each file is read once, however many models look at it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ce_cli.readers.base import MALFORMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from ce_cli.block import Pair
    from ce_cli.columns import Kind
    from ce_cli.readers.base import DataSet
    from ce_cli.workers import Workers


class Shared:
    """A data set that several readers go through at the same pace: its rows are read and parsed once for all of them.

    Readers say with `reader` which columns they want before the first of them reads. What one has read and another has not
    is kept, which is little as long as they stay side by side. Where two want a column in different ways, the second reads
    the file by itself.
    """

    def __init__(self, data: DataSet) -> None:
        self.data = data
        self.columns: dict[str, Kind] = {}
        self._waiting: list[deque[pa.RecordBatch]] = []  # for each reader
        self._batches: Iterator[pa.RecordBatch] | None = None

    def reader(self, columns: Mapping[str, Kind]) -> Reader | DataSet:
        """Return what reads these columns."""
        if any(self.columns.get(name, kind) is not kind for name, kind in columns.items()):
            return self.data
        self.columns.update(columns)
        self._waiting.append(deque())
        return Reader(self, self._waiting[-1])

    def next_of(self, waiting: deque[pa.RecordBatch], workers: Workers) -> pa.RecordBatch | None:
        """Return the next batch of a reader, with all columns that anyone wants; None at the end."""
        if not waiting:
            if self._batches is None:
                self._batches = self.data.batches(self.columns, workers)
            batch = next(self._batches, None)
            if batch is None:
                return None
            for one in self._waiting:
                one.append(batch)
        return waiting.popleft()


class Reader:
    """One of several readers of a data set; what is asked of it beside its rows, the data set answers."""

    def __init__(self, shared: Shared, waiting: deque[pa.RecordBatch]) -> None:
        self._shared = shared
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared.data, name)

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns that were asked for; only once."""
        while (batch := self._shared.next_of(self._waiting, workers)) is not None:
            names = [*columns, *((MALFORMED,) if MALFORMED in batch.schema.names else ())]
            yield batch.select(names)


def in_step(streams: Sequence[Iterable[Pair]]) -> Iterator[list[Pair]]:
    """Yield the rows of all streams, cut where any of them is; ends with the first that ends, then asks the others on.

    A stream that goes on tells by itself why it should not have (its own alignment does), so that one further pair of each
    is asked for.
    """
    cursors = [_PairCursor(stream) for stream in streams]
    while True:
        rows = min([cursor.available() for cursor in cursors])
        if rows == 0:
            return
        yield [cursor.take(rows) for cursor in cursors]


class _PairCursor:
    """A stream of pairs from which any number of rows can be taken."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = iter(pairs)
        self._pair: Pair | None = None
        self._offset = 0

    def available(self) -> int:
        """Return how many rows can be taken at once, 0 at the end."""
        while self._pair is None or self._offset >= len(self._pair.rows):
            self._pair, self._offset = next(self._pairs, None), 0
            if self._pair is None:
                self._pairs = iter(())
                return 0
        return len(self._pair.rows) - self._offset

    def take(self, rows: int) -> Pair:
        """Return the next rows."""
        assert self._pair is not None  # the caller asked what is available
        if self._offset == 0 and rows == len(self._pair.rows):
            self._offset = rows
            return self._pair
        part = self._pair.slice(self._offset, rows)
        self._offset += rows
        return part
