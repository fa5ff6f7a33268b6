"""What a Parquet file stores, to be compared or looked up without decoding all of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyarrow as pa

# What pyarrow.parquet is a thin face of. The face itself imports the file systems of clouds and TLS: 30 ms.
from pyarrow._parquet import ParquetReader

from ce_cli.readers.arrays import cell_text
from ce_cli.readers.parquet_pages import FewPages, UnknownPagesError, pages_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pyarrow._parquet import ColumnChunkMetaData, FileMetaData

    from ce_cli.errors import CeError

_BATCH_ROWS = 1 << 16
_PIECE_BYTES = 1 << 18
_READ_BYTES = 1 << 16  # of each column at a time: more only touches more memory


def opened(
    source: Path | FewPages, categories: Sequence[str] = (), metadata: FileMetaData | None = None
) -> ParquetReader:
    """Return a reader of one file; text columns named in `categories` come as dictionaries. Raises what pyarrow does.

    metadata: the footer, where it has been read: that of ten thousand columns takes 10 MB for each row group.
    """
    reader = ParquetReader()
    reader.open(
        source if isinstance(source, FewPages) else str(source),
        read_dictionary=list(categories),
        pre_buffer=False,
        buffer_size=_READ_BYTES,
        metadata=metadata,
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
        unreadable: Callable[[Exception], CeError],
    ) -> None:
        self._unreadable = unreadable
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

    def cells(self, rows: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return the cells of a few rows as text, decoding only the pages that have them. Raises CeError where it cannot."""
        found: dict[int, tuple[str, ...]] = {}
        start = 0
        for group in self._groups:
            stop = start + self._metadata.row_group(group).num_rows
            inside = sorted(row for row in rows if start <= row < stop)
            if inside:
                try:
                    columns = [
                        self._texts(group, at, [row - start for row in inside]) for at in self._positions.values()
                    ]
                except (pa.ArrowException, OSError) as error:
                    raise self._unreadable(error) from error
                found.update(zip(inside, zip(*columns, strict=True), strict=True))
            start = stop
        return found

    def _texts(self, group: int, column: int, rows: list[int]) -> list[str]:
        """Return the cells of some rows of a row group, ascending numbers from 0, in one column."""
        chunk = self._metadata.row_group(group).column(column)
        # Whatever is wrong with them, the whole column chunk tells.
        with contextlib.suppress(UnknownPagesError, pa.ArrowException, OSError), self._path.open("rb") as file:
            pages, values = pages_with(file, chunk, rows)
            found = self._decoded(pages, group, column, values)
            if len(found) == len(rows):
                return found
        found = self._decoded(self._path, group, column, rows)
        if len(found) < len(rows):
            raise pa.ArrowInvalid(f"row group {group} has fewer cells than rows")
        return found

    def _decoded(self, source: Path | FewPages, group: int, column: int, rows: list[int]) -> list[str]:
        found: list[str] = []
        start = 0
        for batch in opened(source, (), self._metadata).iter_batches(_BATCH_ROWS, [group], [column], use_threads=False):
            stop = start + batch.num_rows
            found += [cell_text(batch.column(0), row - start) for row in rows if start <= row < stop]
            start = stop
            if len(found) == len(rows):
                break
        return found

    def _chunks(self) -> Iterator[tuple[int, ColumnChunkMetaData]]:
        for group in self._groups:
            for at in self._positions.values():
                yield at, self._metadata.row_group(group).column(at)
