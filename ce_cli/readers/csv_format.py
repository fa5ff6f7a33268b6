"""CSV, TSV and other delimited text: blocks of bytes, parsed in parallel, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv

from ce_cli.errors import FIRST_ROWS, CeError, Problem, fail
from ce_cli.readers.base import Kind, sample_rows
from ce_cli.readers.csv_text import blocks, first_record, not_utf8, sniff
from ce_cli.readers.streams import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.readers.streams import Source
    from ce_cli.workers import Workers

_TYPES = {
    Kind.NUMBER: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
}


class _Parsed(NamedTuple):
    batch: pa.RecordBatch
    malformed: list[tuple[int, str]]  # (row in the block from 0, what is wrong)


class CsvData:
    """One text file. Only an empty cell is missing: no spelling of null means anything here."""

    def __init__(self, path: str, source: Source, *, delimiter: str | None = None, header: bool = True) -> None:
        self.path = path
        self.headerless = not header
        self.total_bytes = source.size
        self.bytes_read = 0
        self._source = source
        self._head = self._read_head()
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
        parsed = self._parse(
            _first_lines(body, self._dialect.newline, 2 * wanted), dict.fromkeys(self.names, Kind.TEXT)
        )
        return pa.Table.from_batches([parsed.batch]).slice(0, wanted)

    def rows(self) -> int | None:
        """Text does not say."""
        return None

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns in batches of one block each; malformed rows are counted to the end and then raised."""
        stream = self._source.open()
        malformed: list[tuple[int, str]] = []
        count = row = 0
        try:
            pieces = blocks(stream, self._start, self._dialect, self.path, single=len(self.names) == 1)
            for batch, faults in workers.ordered(
                lambda block: self._parse(block, columns), self._counted(pieces, stream)
            ):
                count += len(faults)
                malformed.extend((row + at, what) for at, what in faults[: FIRST_ROWS - len(malformed)])
                row += batch.num_rows + len(faults)
                if not count and batch.num_rows:
                    yield batch
        finally:
            stream.close()
        if count:
            raise self._malformed(malformed, count)

    def _counted(self, pieces: Iterator[memoryview], stream: object) -> Iterator[memoryview]:
        for piece in pieces:
            self.bytes_read = stream.consumed()  # type: ignore[attr-defined]
            yield piece

    def _read_head(self) -> bytes:
        stream = self._source.open()
        try:
            return stream.read(HEAD_BYTES)
        except (OSError, pa.ArrowException) as error:
            raise fail("unreadable_file", f"cannot be decompressed: {error}", file=self.path) from error
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
                hint="if the file has no header, pass --no-header (its columns are then called 1, 2, …)",
            )
        repeated = [name for name in self.names if name and self.names.count(name) > 1]
        if repeated:
            raise fail("duplicate_column", f"the header has {repeated[0]!r} twice", file=self.path, column=repeated[0])

    def _malformed(self, rows: list[tuple[int, str]], count: int) -> CeError:
        return CeError(
            Problem(
                "malformed_row",
                rows[0][1],
                file=self.path,
                rows=tuple(row + 1 for row, _ in rows),
                count=count,
                hint="check the quotation marks and the --delimiter",
            )
        )

    def _parse(self, block: memoryview | bytes, columns: Mapping[str, Kind]) -> _Parsed:
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

    def _read(self, block: memoryview | bytes, types: dict[str, pa.DataType]) -> _Parsed:
        malformed: list[tuple[int, str]] = []

        def note(row: pa_csv.InvalidRow) -> str:
            expected, got = row.expected_columns, row.actual_columns
            number = row.number - 1 if row.number is not None else 0
            malformed.append((number, f"expected {expected} cells, but got {got}"))
            return "skip"

        if len(block) == 0:
            return _Parsed(_one_batch(pa.schema(list(types.items())).empty_table()), [])
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
            ),
        )
        return _Parsed(_one_batch(table), malformed)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


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
