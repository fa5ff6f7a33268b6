"""Parquet: batches of rows, decoded ahead of their use."""

from __future__ import annotations

from copy import copy
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.errors import CeError, fail
from ce_cli.readers import build
from ce_cli.readers.arrays import is_list
from ce_cli.readers.base import check_distinct, sample_rows
from ce_cli.readers.parquet_chunks import StoredChunks, opened
from ce_cli.readers.parquet_wide import bytes_of_row, slabs_of, turned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyarrow._parquet import FileMetaData, ParquetReader

    from ce_cli.readers.base import Meaning
    from ce_cli.readers.streams import Source
    from ce_cli.workers import Workers

_BATCH_ROWS = 1 << 17
_BATCH_BYTES = 6 << 20
# So many columns hold a page and a dictionary each besides, and so large rows are copied on the way: fewer bytes pay. Of more
# columns the arrays of a batch cost more.
_NARROWER = range(8, 2000)
_LARGE_ROW = 1 << 16


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
        rows = min(sample_rows(len(self.names)), int(self._metadata.num_rows))
        lists = {field.name for field in self._schema if is_list(field.type)}
        others = [name for name in self.names if name not in lists]
        columns: dict[str, pa.ChunkedArray | pa.Array] = {name: self._first_list(name, rows) for name in lists}
        if others:
            schema = pa.schema([self._schema.field(name) for name in others])
            head = pa.Table.from_batches(self._first(others, rows), schema=schema)
            columns.update(zip(others, head.columns, strict=True))
        return pa.Table.from_arrays([columns[name] for name in self.names], names=list(self.names))

    def _first(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the first rows of some columns."""
        for batch in self._decoded(names, max(1, min(rows, self._batch_rows(names))), (), rows):
            yield batch.slice(0, rows)
            rows -= batch.num_rows
            if rows <= 0:
                return

    def _first_list(self, name: str, rows: int) -> pa.Array:
        """Return the first rows of a list column with the first list alone; all of them may take tens of megabytes."""
        at = 0
        for batch in self._first([name], rows):
            filled = next((row for row in range(batch.num_rows) if batch.column(0)[row].is_valid), None)
            if filled is not None:
                return build.lone_list(batch.column(0)[filled].values, at + filled, rows)
            at += batch.num_rows
        return pa.nulls(rows, pa.list_(self._schema.field(name).type.value_type))

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
        """Return columns that need not be decoded.

        None where one is nested or may have an empty cell, or where the rows are not those of whole row groups.
        """
        schema, flat = self._metadata.schema, {}
        for at in range(self._metadata.num_columns):
            leaf = schema.column(at)
            if leaf.name in columns and leaf.path == leaf.name and not leaf.max_repetition_level:
                flat[leaf.name] = at
        whole = {self.wanted.start, self.wanted.stop} <= set(self.cuts())
        if not columns or not whole or not flat.keys() >= set(columns):
            return None
        _, groups = self._groups()
        wanted = {name: flat[name] for name in columns}
        chunks = StoredChunks(self._source.local(), self._metadata, wanted, groups, self._unreadable)
        return chunks if chunks.all_filled() else None

    def _decoded(
        self, names: Sequence[str], rows: int, categories: Sequence[str], most: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        try:
            wanted = set(names)
            file = self._open(categories, self._metadata)
            leaves = [at for at, path in enumerate(file.column_paths) if path[0] in wanted]
            order = list(names)
            start, groups = self._groups()
            for batch in self._batches_of(file, groups, rows, leaves, most):
                first, stop = max(0, self.wanted.start - start), self.wanted.stop - start
                start += batch.num_rows
                yield batch.select(order).slice(first, max(0, stop - first))  # they come in the order of the file
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def _groups(self) -> tuple[int, list[int]]:
        """Return the row where reading begins and the row groups that have the wanted rows."""
        ends = self.cuts()
        groups = [
            at
            for at, (first, stop) in enumerate(pairwise(ends))
            if first < self.wanted.stop and stop > self.wanted.start
        ]
        return ends[groups[0]] if groups else 0, groups

    def _batches_of(
        self, file: ParquetReader, groups: list[int], rows: int, leaves: list[int], most: int | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the columns; row groups of so many that the pages of all would not fit are turned on disk."""
        slabs = slabs_of(self._metadata, leaves)
        if slabs is None:
            yield from file.iter_batches(rows, groups, leaves, use_threads=False)
            return
        for group in groups:
            if self._metadata.row_group(group).num_rows:
                yield from turned(file, group, slabs, rows, most)

    def _open(self, categories: Sequence[str] = (), metadata: FileMetaData | None = None) -> ParquetReader:
        try:
            return opened(self._source.local(), categories, metadata)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> CeError:
        hint = "the file may be cut short or damaged, or no Parquet: copy it again, and check --format"
        return fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path, hint=hint)

    def _batch_rows(self, names: Sequence[str]) -> int:
        """Return a batch size whose decoded bytes stay bounded where rows are wide, in the row group where they are widest."""
        wanted, metadata = set(names), self._metadata
        paths = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
        leaves = [at for at, path in enumerate(paths) if wanted & {path, path.split(".")[0]}]
        row = max(1, bytes_of_row(metadata, leaves))
        fewer = len(leaves) in _NARROWER or (len(leaves) == 1 and row > _LARGE_ROW)
        return max(1, min(_BATCH_ROWS, int((_BATCH_BYTES // 2 if fewer else _BATCH_BYTES) / row)))
