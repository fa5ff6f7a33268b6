"""Tables that are written batch by batch, as CSV or Parquet."""

from __future__ import annotations

import base64
import contextlib
from typing import Any, Protocol

import pyarrow as pa

_FORMATTED_ROWS = 1 << 13  # whose text, column by column, stays in the cache
_GROUP_ROWS = 1 << 18
_GROUP_BYTES = 32 << 20
_FEW = 64  # batches that are made one
# Distinct values of a column that has more of them than fit in here are written as they are. The text of a class takes
# a few bytes; losses and probabilities that hardly ever repeat are found out after 2 % of a row group, where the default
# of 1 MB would have all of them looked up, for more than half of the time and a larger file.
_DICTIONARY_BYTES = 1 << 15


class TableWriter(Protocol):
    """Takes batches of one schema."""

    def write(self, rows: Any) -> None:
        """Write the next rows."""

    def close(self) -> None:
        """Write what is still held back; the file stays open."""

    def discard(self) -> None:
        """End without what is held back: the file is not wanted any more."""


def open_table(raw: Any, schema: pa.Schema, *, parquet: bool) -> TableWriter:
    """Return a writer of batches to an open file, as Parquet or CSV."""
    return ParquetTable(raw, schema) if parquet else CsvTable(raw, schema)


def named(codes: pa.Array, names: pa.Array) -> pa.Array:
    """Return a column of names by their numbers, as a dictionary where Parquet would make one of it."""
    return pa.DictionaryArray.from_arrays(codes, names) if names.nbytes <= _DICTIONARY_BYTES // 2 else names.take(codes)


class ParquetTable:
    """Row groups of the same size, whatever the size of the batches.

    A column may come as a dictionary of text; it is read back as text.
    """

    def __init__(self, raw: Any, schema: pa.Schema) -> None:
        # What pyarrow.parquet is a thin face of. The face itself imports the file systems of clouds and TLS: 30 ms.
        from pyarrow._parquet import ParquetWriter

        plain = _without_dictionaries(schema)
        whole = [field.name for field in schema if pa.types.is_integer(field.type)]
        self._writer = ParquetWriter(
            raw,
            schema,
            version="2.6",
            compression="snappy",
            use_dictionary=[name for name in schema.names if name not in whole],
            column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            # Every row group has about all names of a dictionary: that the first and the last are known helps nobody.
            write_statistics=[field.name for field in schema if not pa.types.is_dictionary(field.type)],
            store_schema=False,
            writer_engine_version="V2",
        )
        # Where pyarrow looks for types that Parquet does not have.
        self._writer.add_key_value_metadata({b"ARROW:schema": base64.b64encode(plain.serialize())})
        self._group_rows = max(1, min(_GROUP_ROWS, _GROUP_BYTES // sum(map(_width, schema.types))))
        self._waiting: list[pa.RecordBatch] = []
        self._few: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Write the next rows."""
        self._hold(rows)
        if len(self._few) == _FEW:  # a batch of one row takes kilobytes
            self._waiting += pa.Table.from_batches(self._few).combine_chunks().to_batches()
            self._few = []
        while self._rows >= self._group_rows or self._bytes >= 2 * _GROUP_BYTES:
            table = self._table()
            self._write(table.slice(0, self._group_rows))
            for rest in table.slice(self._group_rows).to_batches():
                self._hold(rest)

    def close(self) -> None:
        """Write what is still held back; the file stays open."""
        if self._rows:
            self._write(self._table())
        self._writer.close()

    def discard(self) -> None:
        """End without what is held back, and without complaint."""
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            self._writer.close()

    def _hold(self, rows: pa.RecordBatch) -> None:
        self._few.append(rows)
        self._rows += rows.num_rows
        self._bytes += rows.nbytes

    def _table(self) -> pa.Table:
        """Return what is held back, and hold nothing any more."""
        table = pa.Table.from_batches([*self._waiting, *self._few])
        self._waiting, self._few = [], []
        self._rows = self._bytes = 0
        return table

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=self._group_rows)


class CsvTable:
    """A header, then lines, either from a batch or as `csv_text` gives them."""

    def __init__(self, raw: Any, schema: pa.Schema) -> None:
        self._raw = raw
        self._raw.write(_csv(pa.Table.from_batches([], schema), header=True))

    def write(self, rows: pa.RecordBatch | pa.Buffer) -> None:
        """Write the next rows."""
        self._raw.write(rows if isinstance(rows, pa.Buffer) else csv_text(rows))

    def close(self) -> None:
        """Nothing is held back."""

    def discard(self) -> None:
        """Nothing is held back."""


def csv_text(rows: pa.RecordBatch) -> pa.Buffer:
    """Return the lines of a batch, numbers in their shortest form."""
    return _csv(rows, header=False)


def _csv(rows: pa.RecordBatch | pa.Table, *, header: bool) -> pa.Buffer:
    import pyarrow.csv as pa_csv

    # The pool of the system keeps freed memory for the next lines; Arrow's own returns it, to be cleared again.
    text = pa.BufferOutputStream(pa.system_memory_pool())
    options = pa_csv.WriteOptions(include_header=header, quoting_style="needed", batch_size=_FORMATTED_ROWS)
    pa_csv.write_csv(rows, text, options)
    return text.getvalue()


def _without_dictionaries(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in schema]
    )


def _width(type_: pa.DataType) -> int:
    """Return about how many bytes a cell takes."""
    try:
        return max(1, int(type_.bit_width) // 8)
    except ValueError:  # text
        return 16
