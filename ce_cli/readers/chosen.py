"""The rows of a data set that have a certain value in a column: those of one model in a file of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.readers.arrays import plain, texts
from ce_cli.readers.base import MALFORMED, sample_rows
from ce_cli.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ce_cli.readers.base import DataSet

MOST_VALUES = 1000


class ChosenRows:
    """Some rows of a data set, numbered by themselves; `path` says which they are."""

    def __init__(self, data: DataSet, column: str, value: str) -> None:
        self._data = data
        self._column = column
        self._value = value
        self.path = f"{data.path} ({column}={value})"
        self.names = tuple(name for name in data.names if name != column)
        self.headerless = data.headerless
        self.meaning = data.meaning
        self.total_bytes = data.total_bytes

    @property
    def bytes_read(self) -> int:
        """How much of the whole data set has been read."""
        return self._data.bytes_read

    def sample(self) -> pa.Table:
        """Return the first of these rows; where the sample of all rows has none, they are looked for."""
        table = self._data.sample()
        found = table.filter(pa.chunked_array([_there(chunk, self._value) for chunk in _chunks(table, self._column)]))
        if found.num_rows == 0:
            found = self._sought(table.schema)
        return found.drop_columns([self._column])

    def rows(self) -> None:
        """Nobody has counted them."""

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns of these rows."""
        for batch in self._data.batches({**columns, self._column: Kind.TEXT}, workers):
            chosen = batch.filter(self._wanted(batch))
            if chosen.num_rows:
                names = [*columns, *((MALFORMED,) if MALFORMED in batch.schema.names else ())]
                yield chosen.select(names)

    def stored(self, columns: Sequence[str]) -> None:
        """They are not stored by themselves."""

    def _wanted(self, batch: pa.RecordBatch) -> Any:
        """Return which rows are of this value; one with the wrong number of cells may be, and is told for what it is."""
        there = _there(batch.column(self._column), self._value)
        if MALFORMED not in batch.schema.names:
            return there
        import pyarrow.compute as pc

        return pc.or_(there, pc.is_valid(batch.column(MALFORMED)))

    def _sought(self, schema: pa.Schema) -> pa.Table:
        wanted = dict.fromkeys(schema.names, Kind.TEXT)
        most = sample_rows(len(self.names))
        with Workers(1) as workers:
            for batch in self._data.batches(wanted, workers):
                chosen = batch.filter(_there(batch.column(self._column), self._value))
                if chosen.num_rows:
                    return pa.table([chosen.column(name) for name in schema.names], names=schema.names).slice(0, most)
        return schema.empty_table()


def distinct(data: DataSet, column: str) -> list[str]:
    """Return the values of a column in the order in which they appear, at most a few more than MOST_VALUES."""
    found: dict[str, None] = {}
    with Workers(1) as workers:
        for batch in data.batches({column: Kind.CATEGORY}, workers):
            for text in texts(plain(batch.column(column).unique())).to_pylist():
                found.setdefault(text or "")
            if len(found) > MOST_VALUES:
                break
    return list(found)


def _chunks(table: pa.Table, column: str) -> list[pa.Array]:
    return [plain(chunk) for chunk in table.column(column).chunks] or [pa.array([], pa.string())]


def _there(column: pa.Array, value: str) -> Any:
    """Return which cells have this text; an empty one is the text of no letters."""
    import pyarrow.compute as pc

    return pc.fill_null(pc.equal(texts(plain(column)), value), value == "")
