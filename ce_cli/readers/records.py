"""Files of records that other tools write, one after another, as rows of a few columns."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ce_cli.readers import build
from ce_cli.readers.base import sample_rows, undecompressed
from ce_cli.readers.lines import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ce_cli.columns import Kind
    from ce_cli.readers.base import Meaning
    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import ByteStream, Source
    from ce_cli.workers import Workers

BATCH_ROWS = 1 << 14

# How a format's columns are built from cells, by the type that it says they have.
_BUILDERS: Mapping[type, Callable[[Sequence[Any]], pa.Array]] = {
    str: build.texts,
    float: build.floats,
    int: build.integers,
}


class RecordData:
    """One file whose format is a function from its lines to rows.

    columns: name and type (str, float or int) of each cell of a row; None is an empty cell. parse: what yields the rows,
    and raises CeError where a line is not what the format says. `prefix` is put before the names of sequences, so that
    those of several files differ.
    """

    headerless = False
    prefix = ""

    def __init__(
        self,
        path: str,
        source: Source,
        columns: Mapping[str, type],
        parse: Callable[[Iterator[Line], str], Iterator[tuple[Any, ...]]],
        meaning: Meaning | None = None,
    ) -> None:
        self.path = path
        self.names = tuple(columns)
        self.meaning = meaning
        self.total_bytes = source.size
        self.bytes_read = 0
        self._source = source
        self._columns = columns
        self._parse = parse

    def sample(self) -> pa.Table:
        """Return the first rows."""
        stream = self._source.open()
        try:
            rows = list(islice(self._rows(stream), sample_rows(len(self.names))))
        finally:
            stream.close()
        return pa.Table.from_batches([self._batch(rows, self.names)])

    def rows(self) -> int | None:
        """Text does not say."""
        return None

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns in their own types; the next batch is read while one is in use."""
        stream = self._source.open()
        try:
            yield from workers.ahead(self._read(stream, list(columns)))
        finally:
            stream.close()

    def stored(self, columns: Sequence[str]) -> None:
        """Text is parsed to be compared."""

    def _read(self, stream: ByteStream, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = self._rows(stream)
        while batch := list(islice(rows, BATCH_ROWS)):
            self.bytes_read = stream.consumed()
            yield self._batch(batch, names)

    def _rows(self, stream: ByteStream) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._parse(lines(stream, self.path), self.path)
        except (OSError, pa.ArrowException) as error:
            raise undecompressed(self.path, error) from error

    def _batch(self, rows: list[tuple[Any, ...]], names: Sequence[str]) -> pa.RecordBatch:
        by_column: list[tuple[Any, ...]] = [*zip(*rows, strict=True)] if rows else [()] * len(self.names)
        cells = dict(zip(self.names, by_column, strict=True))
        if self.prefix and self.meaning is not None and (sequence := self.meaning.roles.get("sequence")) is not None:
            cells[sequence] = tuple(f"{self.prefix}{cell}" for cell in cells[sequence])
        return pa.RecordBatch.from_arrays(
            [_BUILDERS[self._columns[name]](cells[name]) for name in names], names=list(names)
        )
