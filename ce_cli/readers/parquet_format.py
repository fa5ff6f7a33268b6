"""Parquet: batches of rows, decoded ahead of their use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ce_cli.columns import Kind
from ce_cli.errors import fail
from ce_cli.readers.base import sample_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.readers.streams import Source
    from ce_cli.workers import Workers

_BATCH_ROWS = 1 << 17
_BATCH_BYTES = 4 << 20
_READ_BYTES = 1 << 20  # at a time: otherwise the whole column of a row group is held


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
        repeated = [name for name in self.names if self.names.count(name) > 1]
        if repeated:
            raise fail("duplicate_column", f"the file has {repeated[0]!r} twice", file=path, column=repeated[0])

    def sample(self) -> pa.Table:
        """Return the first rows."""
        wanted = sample_rows(len(self.names))
        batches = (
            [*self._decoded(self.names, wanted, ())][:1]
            if self._metadata.num_rows == 0
            else [next(self._decoded(self.names, wanted, ()))]
        )
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

    def _decoded(self, names: list[str] | tuple[str, ...], rows: int, categories: object) -> Iterator[pa.RecordBatch]:
        try:
            file = self._open(categories)
            for batch in file.iter_batches(batch_size=rows, columns=list(names), use_threads=False):
                # Columns come in the order of the file, and a name with a dot would also match nested fields.
                yield batch.select(list(names))
        except (pa.ArrowException, OSError) as error:
            raise fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path) from error

    def _open(self, categories: object) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(
                str(self._source.local()),
                read_dictionary=list(categories),  # type: ignore[call-overload]
                pre_buffer=False,
                buffer_size=_READ_BYTES,
            )
        except (pa.ArrowException, OSError) as error:
            raise fail("unreadable_file", f"cannot be read as Parquet: {error}", file=self.path) from error

    def _batch_rows(self, names: list[str]) -> int:
        """Return a batch size whose bytes stay bounded where rows are wide."""
        if self._metadata.num_row_groups == 0:
            return _BATCH_ROWS
        group, wanted = self._metadata.row_group(0), set(names)
        columns = (group.column(position) for position in range(group.num_columns))
        size = sum(
            column.total_uncompressed_size
            for column in columns
            if column.path_in_schema in wanted or column.path_in_schema.split(".")[0] in wanted
        )
        return max(1, min(_BATCH_ROWS, int(_BATCH_BYTES * group.num_rows // max(1, size))))
