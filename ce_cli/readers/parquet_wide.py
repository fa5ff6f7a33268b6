"""Parquet files with so many columns that a page of each, decompressed, would not fit into memory.

A Parquet file stores a row group column by column. To read it by rows is to hold a page and a dictionary of every column at
once, which for a thousand columns is most of the row group and more. Here the columns are decoded a few at a time and written
to a temporary file that is cut by rows, from which the rows are then read.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyarrow._parquet import FileMetaData, ParquetReader

_HELD_BYTES = 48 << 20  # by the readers of all columns; where it would be more, the row group is turned
_SLAB_BYTES = 16 << 20
_PAGE_BYTES = 1 << 20  # what writers make a page or a dictionary of, unless they are told otherwise
_COPIES = 3  # of a page: as stored, decompressed, and the values of the dictionary
_READER_BYTES = 12 << 10  # of a column's reader by itself
_EXACT_CHUNKS = 20_000


def bytes_of_row(metadata: FileMetaData, leaves: Sequence[int]) -> float:
    """Return how many bytes a decoded row of some columns takes on average, in the row group where that is most."""
    groups = [at for at in range(metadata.num_row_groups) if metadata.row_group(at).num_rows]
    if len(groups) * len(leaves) > _EXACT_CHUNKS:  # to look at every chunk would take longer than to read some
        groups = [max(groups, key=lambda at: metadata.row_group(at).total_byte_size / metadata.row_group(at).num_rows)]
    return max((_bytes_of_row(metadata, at, leaves) for at in groups), default=0.0)


def _bytes_of_row(metadata: FileMetaData, group: int, leaves: Sequence[int]) -> float:
    stored = metadata.row_group(group)
    chunks = map(stored.column, leaves)
    size = sum(max(int(chunk.total_uncompressed_size), 8 * int(chunk.num_values)) for chunk in chunks)
    return size / int(stored.num_rows)


def slabs_of(metadata: FileMetaData, leaves: Sequence[int]) -> list[list[int]] | None:
    """Return the columns in groups that are decoded one after another; None where all can be at once."""
    if metadata.num_row_groups == 0:
        return None
    widest = max(range(metadata.num_row_groups), key=lambda at: metadata.row_group(at).total_byte_size)
    stored = metadata.row_group(widest)
    held = [_READER_BYTES + _COPIES * min(_PAGE_BYTES, stored.column(leaf).total_uncompressed_size) for leaf in leaves]
    if len(leaves) < 2 or sum(held) <= _HELD_BYTES:
        return None
    slabs: list[list[int]] = []
    left = 0
    for leaf, size in zip(leaves, held, strict=True):
        if left < size or not slabs:
            slabs.append([])
            left = _SLAB_BYTES
        slabs[-1].append(leaf)
        left -= size
    return slabs


def turned(
    file: ParquetReader, group: int, slabs: Sequence[Sequence[int]], rows: int, most: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield one row group in batches of `rows`, the columns in the order of the slabs; it may end after `most` rows."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="ce-eval-") as folder, contextlib.ExitStack() as stack:
        parts = []
        for number, leaves in enumerate(slabs):
            path = Path(folder) / str(number)
            _write(path, file.iter_batches(rows, [group], list(leaves), use_threads=False), most)
            parts.append(pa.ipc.open_file(stack.enter_context(pa.OSFile(str(path)))))
            with contextlib.suppress(OSError):  # what is open needs no name, and is gone whatever ends the process
                path.unlink()
        schema = pa.schema([field for part in parts for field in part.schema])
        for at in range(parts[0].num_record_batches):
            pieces = [part.get_batch(at) for part in parts]
            columns = [column for piece in pieces for column in piece.columns]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _write(path: Path, batches: Iterator[pa.RecordBatch], most: int | None) -> None:
    writer, written = None, 0
    with pa.OSFile(str(path), "wb") as sink:
        for coded in batches:
            batch = pa.RecordBatch.from_arrays(list(map(_decoded, coded.columns)), names=coded.schema.names)
            if writer is None:
                writer = pa.ipc.new_file(sink, batch.schema)
            writer.write_batch(batch)
            written += batch.num_rows
            if most is not None and written >= most:
                break
        if writer is not None:
            writer.close()


def _decoded(column: pa.Array) -> pa.Array:
    """Return a column without its dictionary: a file takes one of them, but every batch has its own."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
