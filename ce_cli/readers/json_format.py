"""JSON Lines as a table: one flat object a line, its keys as the columns.

What JSON Lines is: https://jsonlines.org (UTF-8, one JSON value a line, newlines between them).
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.errors import fail
from ce_cli.readers import build
from ce_cli.readers.arrays import number, texts
from ce_cli.readers.base import MALFORMED, SAMPLE_CELLS, SAMPLE_ROWS, undecompressed
from ce_cli.readers.json_text import NotAnObjectError, Repeating, is_number, object_of, shown, twice
from ce_cli.readers.lines import blocks, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.readers.base import Meaning
    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import ByteStream, Source
    from ce_cli.workers import Workers

_SHORT_INFINITY = re.compile(rb"[:\[,]\s*-?Inf(?!inity)")  # a number to pyarrow, though not even to Python
# A row as it was read: its cells by name, and what is wrong with its line where something is.
_Row = tuple[dict[str, Any], str | None]


class JsonData:
    """One file of flat objects. The columns are the keys of the first rows; a key that is missing is an empty cell.

    A column is one of lists where its first cell is a list of numbers. Any other holds numbers, texts and booleans, and what
    is nested as its JSON.
    """

    headerless = False
    meaning: Meaning | None = None

    def __init__(self, path: str, source: Source) -> None:
        self.path = path
        self.total_bytes = source.size
        self.bytes_read = 0
        self._source = source
        self._first = self._first_rows()
        self.names = tuple(dict.fromkeys(name for cells, _ in self._first for name in cells))
        self._lists = frozenset(name for name in self.names if _is_list_of_numbers(self._first_cell(name)))
        if not self._first:
            raise fail("no_samples", "this file is empty", file=path)
        if not self.names:
            wrong = self._first[0][1] or "the first objects have no keys"
            raise fail("malformed_row", wrong, file=path, rows=(1,), count=len(self._first), hint=_ONE_PER_LINE)

        if len(self._first) == 1 and all(isinstance(cell, dict) for cell in self._first[0][0].values()):
            raise fail(
                "malformed_row",
                "expected one object per line, a row each, but got one of whole columns, as pandas' to_json() writes it",
                file=path,
                rows=(1,),
                count=1,
                hint="write it with to_json(FILE, orient='records', lines=True)",
            )

    def sample(self) -> pa.Table:
        """Return the first rows: texts, and lists of numbers."""
        return pa.Table.from_batches([self._batch(self._first, dict.fromkeys(self.names, Kind.TEXT), malformed=False)])

    def rows(self) -> int | None:
        """Text does not say."""
        return None

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns, a batch for each block of lines; a malformed row is empty and named in column `MALFORMED`."""
        schema = self._schema(columns)
        stream = self._source.open()
        try:
            for batch in workers.ordered(
                lambda item: self._parse(item[0], item[1], columns, schema), self._blocks(stream)
            ):
                if batch.num_rows:
                    yield batch
        finally:
            stream.close()

    def stored(self, columns: Sequence[str]) -> None:
        """Text is parsed to be compared."""

    def _first_rows(self) -> list[_Row]:
        stream = self._source.open()
        try:
            found: list[_Row] = []
            cells = 0
            for row in islice(self._rows(stream), SAMPLE_ROWS):
                found.append(row)
                cells += sum(len(cell) if isinstance(cell, list) else 1 for cell in row[0].values())
                if cells > SAMPLE_CELLS:
                    break
            return found
        finally:
            stream.close()

    def _first_cell(self, name: str) -> object:
        return next((cells[name] for cells, _ in self._first if cells.get(name) is not None), None)

    def _rows(self, stream: ByteStream) -> Iterator[_Row]:
        for block, before in self._blocks(stream):
            yield from self._rows_of(block, before)

    def _blocks(self, stream: ByteStream) -> Iterator[tuple[bytes, int]]:
        """Yield blocks of lines, each with 0 if it is the first and 1 if it is not."""
        try:
            for number, block in enumerate(blocks(stream, self.path)):
                self.bytes_read = stream.consumed()
                yield block, min(number, 1)
        except (OSError, pa.ArrowException) as error:
            raise undecompressed(self.path, error) from error

    def _rows_of(self, block: bytes, before: int) -> Iterator[_Row]:
        for line in lines_of(block, self.path, before):
            if line.text and not line.text.isspace():
                yield _row(line)

    def _parse(
        self, block: bytes, before: int, columns: Mapping[str, Kind], schema: pa.Schema | None
    ) -> pa.RecordBatch:
        found = None if schema is None else fast_batch(block, schema)
        if found is None:
            return self._batch(list(self._rows_of(block, before)), columns)
        arrays = [_as_asked(found.column(name), kind) for name, kind in columns.items()]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _schema(self, columns: Mapping[str, Kind]) -> pa.Schema | None:
        """Return the types of the columns as the first rows have them; None where some column has several."""
        types = {name: self._type(name, kind) for name, kind in columns.items()}
        return None if None in types.values() or not types else pa.schema(list(types.items()))

    def _type(self, name: str, kind: Kind) -> pa.DataType | None:
        if name in self._lists:
            return pa.list_(pa.float64())
        cells = [cells[name] for cells, _ in self._first if cells.get(name) is not None]
        if kind is Kind.NUMBER:
            return pa.float64() if all(map(is_number, cells)) else None
        kinds = {type(cell) for cell in cells}
        return {str: pa.string(), int: pa.int64()}.get(*kinds) if len(kinds) == 1 else None

    def _batch(self, rows: list[_Row], columns: Mapping[str, Kind], *, malformed: bool = True) -> pa.RecordBatch:
        wrong = [reason or _repeated(cells, columns) for cells, reason in rows]
        for name in self._lists & columns.keys():
            _check_lists(name, rows, wrong)
        arrays = []
        for name, kind in columns.items():
            cells = [None if reason else cells.get(name) for (cells, _), reason in zip(rows, wrong, strict=True)]
            if name in self._lists:
                arrays.append(build.float_lists(cells))
            elif kind is Kind.NUMBER:
                arrays.append(_numbers(cells))
            else:
                found = _texts(cells)
                arrays.append(found.dictionary_encode() if kind is Kind.CATEGORY else found)
        names = list(columns)
        if malformed and any(wrong):
            arrays.append(build.texts(wrong))
            names.append(MALFORMED)
        return pa.RecordBatch.from_arrays(arrays, names=names)


_ONE_PER_LINE = "write one object per line, for example with jq -c . FILE, or jq -c '.[]' FILE where it is one array"


def fast_batch(block: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
    """Return some columns of a block, None where it has anything that must be looked at more closely.

    pyarrow reads what is exactly of the types that it is told, numbers to the nearest float64. It neither checks UTF-8 nor
    that each object has a line of its own.
    """
    import pyarrow.json as pa_json

    if _SHORT_INFINITY.search(block):
        return None
    objects = block.count(b"\n") + (not block.endswith(b"\n"))
    try:
        block.decode()
        table = pa_json.read_json(
            pa.BufferReader(block),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != objects:
        return None
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


def _as_asked(array: pa.Array, kind: Kind) -> pa.Array:
    if kind is Kind.NUMBER or pa.types.is_list(array.type):
        return array
    found = texts(array)
    return found.dictionary_encode() if kind is Kind.CATEGORY else found


def _row(line: Line) -> _Row:
    try:
        return object_of(line), None
    except NotAnObjectError as error:
        return {}, str(error)


def _repeated(cells: dict[str, Any], columns: Mapping[str, Kind]) -> str | None:
    """Return what is wrong with a row that has one of the columns twice."""
    found = cells.repeated & columns.keys() if isinstance(cells, Repeating) else None
    return twice(found) if found else None


def _numbers(cells: Sequence[Any]) -> pa.Array:
    """Return cells as float64; as text where one of them is no number, so that the checks can say which."""
    try:
        return build.floats([_number(cell) for cell in cells])
    except ValueError:
        return _texts(cells)


def _number(cell: Any) -> float | None:
    if cell is None or isinstance(cell, (int, float)):
        return cell
    if isinstance(cell, str):
        return number(cell)
    raise ValueError(cell)


def _texts(cells: Sequence[Any]) -> pa.Array:
    """Return cells as text: numbers as other formats spell them, so that they can be compared."""
    fractions = [cell for cell in cells if isinstance(cell, float)]
    spelled = iter(texts(build.floats(fractions)).to_pylist() if fractions else ())
    return build.texts([next(spelled) if isinstance(cell, float) else _text(cell) for cell in cells])


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False)


def _check_lists(name: str, rows: list[_Row], wrong: list[str | None]) -> None:
    """Note the rows whose cell in a list column is neither a list of numbers nor empty."""
    for at, (cells, _) in enumerate(rows):
        cell = cells.get(name)
        if cell is not None and not _is_list_of_numbers(cell):
            wrong[at] = wrong[at] or f"expected a list of numbers in {name!r}, but got {shown(cell)}"


def _is_list_of_numbers(cell: object) -> bool:
    return isinstance(cell, list) and all(item is None or is_number(item) for item in cell)
