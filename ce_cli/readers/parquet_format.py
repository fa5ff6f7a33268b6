"""Parquet: batches of rows, decoded ahead of their use."""

from __future__ import annotations

from copy import copy
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.errors import fail
from ce_cli.readers.base import check_distinct, sample_rows
from ce_cli.readers.parquet_chunks import StoredChunks, opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyarrow._parquet import ParquetReader

    from ce_cli.readers.base import Meaning
    from ce_cli.readers.streams import Source
    from ce_cli.workers import Workers

_BATCH_ROWS = 1 << 17
_BATCH_BYTES = 4 << 20
_READ_BYTES = 32 << 20  # over all columns: otherwise all of a row group is held


class ParquetData:
    """One Parquet file."""

    headerless = False
    meaning: Meaning | None = None

    def __init__(self, path: str, source: Source) -> None:
        self.path = path
        self.total_bytes = source.size
        self.bytes_read = 0
        self._source = source
        file = self._open()
        self._schema = file.schema_arrow
        self._metadata = file.metadata
        self.wanted = range(int(file.metadata.num_rows))
        self.names = tuple(self._schema.names)
        check_distinct(self.names, path)

    def sample(self) -> pa.Table:
        """Return the first rows."""
        wanted = sample_rows(len(self.names))
        batches = [*islice(self._decoded(self.names, wanted, ()), 1)]
        return pa.Table.from_batches(batches, schema=self._schema)

    def rows(self) -> int | None:
        """Return the number of rows, from the footer."""
        return len(self.wanted)

    def cuts(self) -> list[int]:
        """Return where the row groups begin and end."""
        groups = range(self._metadata.num_row_groups)
        return [0, *accumulate(self._metadata.row_group(group).num_rows for group in groups)]

    def between(self, start: int, stop: int) -> ParquetData:
        """Return some of the rows, read from the row group on that has the first of them."""
        part = copy(self)
        part.wanted = range(start, stop)
        return part

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
        chunks = StoredChunks(self._source.local(), self._metadata, {name: positions[name] for name in columns})
        return chunks if chunks.all_filled() else None

    def _decoded(
        self, names: list[str] | tuple[str, ...], rows: int, categories: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        try:
            file = self._open(categories, len(names))
            leaves = [at for at, path in enumerate(file.column_paths) if path[0] in set(names)]
            start, groups = self._groups()
            for batch in file.iter_batches(rows, groups, leaves, use_threads=False):
                first, stop = max(0, self.wanted.start - start), self.wanted.stop - start
                start += batch.num_rows
                yield batch.select(list(names)).slice(first, max(0, stop - first))  # in the order of the file
        except (pa.ArrowException, OSError) as error:
            raise fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path) from error

    def _groups(self) -> tuple[int, list[int]]:
        """Return the row where reading begins and the row groups that have the wanted rows."""
        ends = self.cuts()
        groups = [
            at
            for at, (first, stop) in enumerate(pairwise(ends))
            if first < self.wanted.stop and stop > self.wanted.start
        ]
        return ends[groups[0]] if groups else 0, groups

    def _open(self, categories: Sequence[str] = (), columns: int = 1) -> ParquetReader:
        try:
            return opened(self._source.local(), categories, max(1 << 16, min(1 << 20, _READ_BYTES // max(1, columns))))
        except (pa.ArrowException, OSError) as error:
            raise fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path) from error

    def _batch_rows(self, names: list[str]) -> int:
        """Return a batch size whose decoded bytes stay bounded where rows are wide."""
        if self._metadata.num_row_groups == 0:
            return _BATCH_ROWS
        group, wanted = self._metadata.row_group(0), set(names)
        chunks = [group.column(position) for position in range(group.num_columns)]
        chunks = [chunk for chunk in chunks if wanted & {chunk.path_in_schema, chunk.path_in_schema.split(".")[0]}]
        size = sum(max(chunk.total_uncompressed_size, 8 * chunk.num_values) for chunk in chunks)
        return max(1, min(_BATCH_ROWS, int(_BATCH_BYTES * group.num_rows // max(1, size))))
