"""CSV, TSV and other delimited text: blocks of bytes, parsed in parallel, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from ce_cli.columns import Kind
from ce_cli.errors import fail
from ce_cli.readers.base import MALFORMED, Meaning, check_distinct, sample_rows, undecompressed
from ce_cli.readers.csv_text import blocks, first_record, holds_lists, not_utf8, sniff
from ce_cli.readers.streams import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.readers.streams import ByteStream, Source
    from ce_cli.workers import Workers

_NO_DELIMITER = "\x1f"  # the unit separator of ASCII, which text does not hold
_LISTS = Meaning("tokens", "logprobs", "e", {"logprob": "logprobs", "list": "logprobs"})
_TYPES = {
    Kind.NUMBER: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.CATEGORY: pa.string(),  # what it takes to find few distinct texts is left to whoever needs them
}


class CsvData:
    """One text file. Only an empty cell is missing: no spelling of null means anything here.

    lines: whether it is no table but has a list of log-probabilities on each line; None: to be told from its first lines.
    """

    meaning: Meaning | None = None

    def __init__(
        self,
        path: str,
        source: Source,
        *,
        delimiter: str | None = None,
        header: bool = True,
        lines: bool | None = False,
    ) -> None:
        self.path = path
        self.headerless = not header
        self.total_bytes = source.size
        self.bytes_read = 0
        self._source = source
        self._head = self._read_head()
        if b"\x00" in self._head:
            raise fail(
                "unreadable_file", "this is no text: it has NUL bytes", file=path, hint="convert it to UTF-8 or Parquet"
            )
        self.names: tuple[str, ...] = ("logprobs",)
        if lines is None:
            lines = header and delimiter is None and holds_lists(self._head)
        if lines:
            self.meaning, self.headerless = _LISTS, True
            self._dialect = sniff(self._head, _NO_DELIMITER)
            self._start = self._dialect.skip
            return
        self._dialect = sniff(self._head, delimiter)
        cells, end = first_record(self._head, self._dialect, path)
        if not cells:
            raise fail("no_samples", "this file is empty", file=path)
        self._start = end if header else self._dialect.skip
        self.names = _named(cells) if header else tuple(str(i + 1) for i in range(len(cells)))
        if header:
            self._check_header()

    def sample(self) -> pa.Table:
        """Return the first rows, every column as text."""
        body = self._head[self._start :]
        if len(self._head) >= HEAD_BYTES:
            body = body[: body.rfind(self._dialect.newline) + 1] or body
        wanted = sample_rows(len(self.names))
        lines = _first_lines(body, self._dialect.newline, 2 * wanted)
        batch = self._parse(lines, dict.fromkeys(self.names, Kind.TEXT))
        return pa.Table.from_batches([batch]).slice(0, wanted)

    def rows(self) -> int | None:
        """Text does not say."""
        return None

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns in batches of one block each; a malformed row is empty and named in column `MALFORMED`."""
        stream = self._source.open()
        try:
            pieces = self._counted(
                blocks(stream, self._start, self._dialect, self.path, single=len(self.names) == 1), stream
            )
            for batch in workers.ordered(lambda block: self._parse(block, columns), pieces):
                if batch.num_rows:
                    yield batch
        finally:
            stream.close()

    def stored(self, columns: Sequence[str]) -> None:
        """Text is parsed to be compared."""

    def _counted(self, pieces: Iterator[memoryview], stream: ByteStream) -> Iterator[memoryview]:
        try:
            for piece in pieces:
                self.bytes_read = stream.consumed()
                yield piece
        except (OSError, pa.ArrowException) as error:
            raise undecompressed(self.path, error) from error

    def _read_head(self) -> bytes:
        stream = self._source.open()
        try:
            return stream.read(HEAD_BYTES)
        except (OSError, pa.ArrowException) as error:
            raise undecompressed(self.path, error) from error
        finally:
            stream.close()

    def _check_header(self) -> None:
        numbers = [name for name in self.names if _is_number(name)]
        fractional = [name for name in numbers if not name.lstrip("+-").isdigit()]
        if fractional or (len(self.names) == 1 and numbers):
            raise fail(
                "no_header",
                f"the first line looks like data: {(fractional or numbers)[0]} is a number",
                file=self.path,
                hint="if neither file has a header, pass --no-header (columns are then 1, 2, …); else give the column a name",
            )
        hint = "if the file has no header, pass --no-header" if len(numbers) == len(self.names) else None
        check_distinct(self.names, self.path, hint)

    def _parse(self, block: memoryview | bytes, columns: Mapping[str, Kind]) -> pa.RecordBatch:
        try:
            return self._read(block, {name: _TYPES[kind] for name, kind in columns.items()})
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise not_utf8(self.path) from error
        try:  # some cell is not the number it should be: leave it to the checks, which name its row
            return self._read(block, dict.fromkeys(columns, pa.string()))
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise not_utf8(self.path) from error
            raise fail("unreadable_file", f"cannot be read as delimited text: {error}", file=self.path) from error

    def _read(self, block: memoryview | bytes, types: dict[str, pa.DataType]) -> pa.RecordBatch:
        malformed: dict[int, str] = {}

        def note(row: pa_csv.InvalidRow) -> str:
            expected, got = row.expected_columns, row.actual_columns
            malformed[row.number - 1] = f"expected {expected} cells, but got {got}"
            return "skip"

        if len(block) == 0:
            return _one_batch(pa.schema(list(types.items())).empty_table())
        table = pa_csv.read_csv(
            pa.BufferReader(block),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(block), column_names=list(self.names)),
            parse_options=pa_csv.ParseOptions(
                delimiter=self._dialect.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(self.names) > 1,  # in a file of one column a blank line is an empty cell
                invalid_row_handler=note,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[""],
                strings_can_be_null=True,
                true_values=[],
                false_values=[],
                check_utf8=not _is_ascii(block),  # cell by cell, which costs more than this look at all of them
            ),
        )
        batch = _one_batch(table)
        return _with_malformed(batch, malformed) if malformed else batch


def _is_ascii(block: memoryview | bytes) -> bool:
    return bool(np.frombuffer(block, dtype=np.uint8).max() < 0x80)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


def _with_malformed(batch: pa.RecordBatch, malformed: dict[int, str]) -> pa.RecordBatch:
    """Put an empty row where each malformed one was, so that the others keep their numbers."""
    rows = batch.num_rows + len(malformed)
    good = iter(range(batch.num_rows))
    positions = pa.array([None if row in malformed else next(good) for row in range(rows)], pa.int64())
    moved = batch.take(positions)
    why = pa.array([malformed.get(row) for row in range(rows)], pa.string())
    return pa.RecordBatch.from_arrays([*moved.columns, why], names=[*moved.schema.names, MALFORMED])


def _first_lines(body: bytes, newline: bytes, lines: int) -> bytes:
    end = 0
    for _ in range(lines):
        following = body.find(newline, end)
        if following < 0:
            return body
        end = following + 1
    return body[:end] if body.count(b'"', 0, end) % 2 == 0 else body


def _named(cells: list[str]) -> tuple[str, ...]:
    """Return the names of a header; an empty cell is an index column that pandas would call so."""
    return tuple(cell or f"Unnamed: {position}" for position, cell in enumerate(cells))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.strip().lower() not in ("nan", "inf", "-inf", "infinity", "+inf", "-infinity")
