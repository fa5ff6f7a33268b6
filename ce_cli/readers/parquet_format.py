"""Parquet: batches of rows, decoded ahead of their use."""

from __future__ import annotations

from itertools import accumulate, islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ce_cli.columns import Kind
from ce_cli.errors import fail
from ce_cli.readers.arrays import cell_text
from ce_cli.readers.base import check_distinct, sample_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ce_cli.readers.streams import Source
    from ce_cli.workers import Workers

_BATCH_ROWS = 1 << 17
_BATCH_BYTES = 4 << 20
_PIECE_BYTES = 4 << 20
_READ_BYTES = 32 << 20  # over all columns: otherwise all of a row group is held


class ParquetData:
    """One Parquet file."""

    headerless = False

    def __init__(self, path: str, source: Source) -> None:
        self.path = path
        self.total_bytes = source.size
        self.bytes_read = 0
        self._source = source
        file = self._open(())
        self._schema = file.schema_arrow
        self._metadata = file.metadata
        self.names = tuple(self._schema.names)
        check_distinct(self.names, path)

    def sample(self) -> pa.Table:
        """Return the first rows."""
        wanted = sample_rows(len(self.names))
        batches = [*islice(self._decoded(self.names, wanted, ()), 1)]
        return pa.Table.from_batches(batches, schema=self._schema)

    def rows(self) -> int | None:
        """Return the number of rows, from the footer."""
        return int(self._metadata.num_rows)

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns; the next batch is decoded while one is in use."""
        names = list(columns)
        categories = [
            name
            for name in names
            if columns[name] is Kind.CATEGORY and pa.types.is_string(self._schema.field(name).type)
        ]
        rows = self._batch_rows(names)
        done = 0
        for batch in workers.ahead(self._decoded(names, rows, categories)):
            done += batch.num_rows
            if self.total_bytes is not None:
                self.bytes_read = self.total_bytes * done // max(1, self._metadata.num_rows)
            if batch.num_rows:
                yield batch

    def stored(self, columns: Sequence[str]) -> StoredChunks | None:
        """Return columns that need not be decoded; None where one is nested or may have an empty cell."""
        positions = {self._metadata.schema.column(at).path: at for at in range(self._metadata.num_columns)}
        if not columns or not positions.keys() >= set(columns):
            return None
        chunks = StoredChunks(self._open, self._metadata, {name: positions[name] for name in columns}, self._source)
        return chunks if chunks.all_filled() else None

    def _decoded(self, names: list[str] | tuple[str, ...], rows: int, categories: object) -> Iterator[pa.RecordBatch]:
        try:
            file = self._open(categories, len(names))
            for batch in file.iter_batches(batch_size=rows, columns=list(names), use_threads=False):
                # Columns come in the order of the file, and a name with a dot would also match nested fields.
                yield batch.select(list(names))
        except (pa.ArrowException, OSError) as error:
            raise fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path) from error

    def _open(self, categories: object, columns: int = 1) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(
                str(self._source.local()),
                read_dictionary=list(categories),  # type: ignore[call-overload]
                pre_buffer=False,
                buffer_size=max(1 << 16, min(1 << 20, _READ_BYTES // max(1, columns))),
            )
        except (pa.ArrowException, OSError) as error:
            raise fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path) from error

    def _batch_rows(self, names: list[str]) -> int:
        """Return a batch size whose decoded bytes stay bounded where rows are wide."""
        if self._metadata.num_row_groups == 0:
            return _BATCH_ROWS
        group, wanted = self._metadata.row_group(0), set(names)
        chunks = [group.column(position) for position in range(group.num_columns)]
        chunks = [chunk for chunk in chunks if chunk.path_in_schema in wanted or _top_name(chunk) in wanted]
        size = sum(max(chunk.total_uncompressed_size, 8 * chunk.num_values) for chunk in chunks)
        return max(1, min(_BATCH_ROWS, int(_BATCH_BYTES * group.num_rows // max(1, size))))


class StoredChunks:
    """Column chunks as the file has them, page headers and dictionaries included.

    The same bytes under the same type, codec and nesting decode to the same values.
    """

    def __init__(
        self,
        reopen: Callable[[Sequence[str]], pq.ParquetFile],
        metadata: pq.FileMetaData,
        positions: Mapping[str, int],
        source: Source,
    ) -> None:
        self._reopen = reopen
        self._metadata = metadata
        self._positions = positions
        self._source = source
        self.rows = int(metadata.num_rows)

    def all_filled(self) -> bool:
        """Tell whether the statistics say of every chunk that no cell is empty."""
        return all(
            chunk.is_stats_set and chunk.statistics.has_null_count and chunk.statistics.null_count == 0
            for _, chunk in self._chunks()
        )

    def pieces(self) -> Iterator[object]:
        """Yield for every chunk what its bytes mean, then the bytes."""
        schema, types = self._metadata.schema, self._metadata.schema.to_arrow_schema()
        with self._source.local().open("rb") as file:
            for at, chunk in self._chunks():
                column = schema.column(at)
                levels = (column.max_definition_level, column.max_repetition_level)
                yield types.field(column.name).type, column.physical_type, column.length, levels
                yield chunk.num_values, chunk.compression, chunk.total_compressed_size
                # A dictionary, if there is one, comes before the data.
                file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
                left = chunk.total_compressed_size
                while left > 0 and (piece := file.read(min(left, _PIECE_BYTES))):
                    yield piece
                    left -= len(piece)

    def cells(self, rows: Sequence[int], workers: Workers) -> dict[int, tuple[str, ...]]:
        """Return the cells of a few rows as text, decoding only the row groups that have them."""
        sizes = [self._metadata.row_group(group).num_rows for group in range(self._metadata.num_row_groups)]
        wanted = []
        for group, (end, size) in enumerate(zip(accumulate(sizes), sizes, strict=True)):
            inside = sorted(row for row in rows if end - size <= row < end)
            if inside:
                wanted.append((group, end - size, inside))
        found: dict[int, tuple[str, ...]] = {}
        for cells in workers.ordered(lambda item: self._cells_of_group(*item), wanted):
            found.update(cells)
        return found

    def _cells_of_group(self, group: int, start: int, rows: list[int]) -> dict[int, tuple[str, ...]]:
        names = list(self._positions)
        found: dict[int, tuple[str, ...]] = {}
        for batch in self._reopen(()).iter_batches(_BATCH_ROWS, [group], names, use_threads=False):
            inside = [row for row in rows if start <= row < start + batch.num_rows]
            for row in inside:
                found[row] = tuple(cell_text(batch.column(name), row - start) for name in names)
            start += batch.num_rows
            if rows[-1] < start:
                break
        return found

    def _chunks(self) -> Iterator[tuple[int, pq.ColumnChunkMetaData]]:
        for group in range(self._metadata.num_row_groups):
            for at in self._positions.values():
                yield at, self._metadata.row_group(group).column(at)


def _top_name(chunk: pq.ColumnChunkMetaData) -> str:
    return str(chunk.path_in_schema.split(".")[0])
