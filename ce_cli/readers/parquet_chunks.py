"""What a Parquet file stores, to be compared or looked up without decoding all of it."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

# What pyarrow.parquet is a thin face of. The face itself imports the file systems of clouds and TLS: 30 ms.
from pyarrow._parquet import ParquetReader

from ce_cli.readers.arrays import cell_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyarrow._parquet import ColumnChunkMetaData, FileMetaData

    from ce_cli.workers import Workers

_BATCH_ROWS = 1 << 16
_PIECE_BYTES = 1 << 18
_READ_BYTES = 1 << 16  # of each column at a time: more only touches more memory


def opened(path: Path, categories: Sequence[str] = (), metadata: FileMetaData | None = None) -> ParquetReader:
    """Return a reader of one file; text columns named in `categories` come as dictionaries. Raises what pyarrow does.

    metadata: the footer, where it has been read: that of ten thousand columns takes 10 MB for each row group.
    """
    reader = ParquetReader()
    reader.open(
        str(path), read_dictionary=list(categories), pre_buffer=False, buffer_size=_READ_BYTES, metadata=metadata
    )
    return reader


class StoredChunks:
    """Column chunks of some row groups as the file has them, page headers and dictionaries included.

    The same bytes under the same type, codec and nesting decode to the same values.
    """

    def __init__(
        self,
        path: Path,
        metadata: FileMetaData,
        positions: Mapping[str, int],
        groups: Sequence[int],
    ) -> None:
        self._path = path
        self._metadata = metadata
        self._positions = positions
        self._groups = groups
        self.rows = sum(int(metadata.row_group(group).num_rows) for group in groups)

    def all_filled(self) -> bool:
        """Tell whether the statistics say of every chunk that no cell is empty."""
        return all(
            chunk.is_stats_set and chunk.statistics.has_null_count and chunk.statistics.null_count == 0
            for _, chunk in self._chunks()
        )

    def pieces(self) -> Iterator[object]:
        """Yield for every chunk what its bytes mean, then the bytes."""
        schema, types = self._metadata.schema, self._metadata.schema.to_arrow_schema()
        with self._path.open("rb") as file:
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
        sizes = [self._metadata.row_group(group).num_rows for group in self._groups]
        wanted = []
        for group, end, size in zip(self._groups, accumulate(sizes), sizes, strict=True):
            inside = sorted(row for row in rows if end - size <= row < end)
            if inside:
                wanted.append((group, end - size, inside))
        # Those that take longest come first, so that no thread is left with one of them at the end.
        wanted.sort(key=lambda item: item[1] - item[2][-1])
        found: dict[int, tuple[str, ...]] = {}
        for cells in workers.ordered(lambda item: self._cells_of_group(*item), wanted):
            found.update(cells)
        return found

    def _cells_of_group(self, group: int, start: int, rows: list[int]) -> dict[int, tuple[str, ...]]:
        names = list(self._positions)
        found: dict[int, tuple[str, ...]] = {}
        for batch in opened(self._path).iter_batches(
            _BATCH_ROWS, [group], [*self._positions.values()], use_threads=False
        ):
            inside = [row for row in rows if start <= row < start + batch.num_rows]
            for row in inside:
                found[row] = tuple(cell_text(batch.column(name), row - start) for name in names)
            start += batch.num_rows
            if rows[-1] < start:
                break
        return found

    def _chunks(self) -> Iterator[tuple[int, ColumnChunkMetaData]]:
        for group in self._groups:
            for at in self._positions.values():
                yield at, self._metadata.row_group(group).column(at)
