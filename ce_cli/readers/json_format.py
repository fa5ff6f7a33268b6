"""JSON Lines as a table: one flat object a line, its keys as the columns.

What JSON Lines is: https://jsonlines.org (UTF-8, one JSON value a line, newlines between them).
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.errors import fail
from ce_cli.readers import build
from ce_cli.readers.arrays import number, texts
from ce_cli.readers.base import MALFORMED, SAMPLE_CELLS, SAMPLE_ROWS
from ce_cli.readers.json_text import NotAnObjectError, is_number, object_of, shown
from ce_cli.readers.lines import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.readers.base import Meaning
    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import ByteStream, Source
    from ce_cli.workers import Workers

BATCH_ROWS = 1 << 14

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

    def sample(self) -> pa.Table:
        """Return the first rows: texts, and lists of numbers."""
        return pa.Table.from_batches([self._batch(self._first, dict.fromkeys(self.names, Kind.TEXT), malformed=False)])

    def rows(self) -> int | None:
        """Text does not say."""
        return None

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns; the next batch is read while one is in use."""
        stream = self._source.open()
        try:
            yield from workers.ahead(self._read(stream, columns))
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

    def _read(self, stream: ByteStream, columns: Mapping[str, Kind]) -> Iterator[pa.RecordBatch]:
        rows = self._rows(stream)
        while batch := list(islice(rows, BATCH_ROWS)):
            self.bytes_read = stream.consumed()
            yield self._batch(batch, columns)

    def _rows(self, stream: ByteStream) -> Iterator[_Row]:
        try:
            for line in lines(stream, self.path):
                if line.text and not line.text.isspace():
                    yield _row(line)
        except (OSError, pa.ArrowException) as error:
            raise fail("unreadable_file", f"cannot be decompressed: {error}", file=self.path) from error

    def _batch(self, rows: list[_Row], columns: Mapping[str, Kind], *, malformed: bool = True) -> pa.RecordBatch:
        wrong = [reason for _, reason in rows]
        arrays = []
        for name, kind in columns.items():
            cells = [cells.get(name) for cells, _ in rows]
            if name in self._lists:
                arrays.append(build.float_lists(_lists(name, cells, wrong)))
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


def _row(line: Line) -> _Row:
    try:
        return object_of(line), None
    except NotAnObjectError as error:
        return {}, str(error)


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


def _lists(name: str, cells: list[Any], wrong: list[str | None]) -> list[list[float | None] | None]:
    """Return lists of numbers; a cell that is something else is empty, and its row is noted as wrong."""
    for row, cell in enumerate(cells):
        if cell is not None and not _is_list_of_numbers(cell):
            wrong[row] = wrong[row] or f"expected a list of numbers in {name!r}, but got {shown(cell)}"
            cells[row] = None
    return cells


def _is_list_of_numbers(cell: object) -> bool:
    return isinstance(cell, list) and all(item is None or is_number(item) for item in cell)
