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
    """Some rows of a data set, numbered by themselves; `path` says which they are. sample: the first of them."""

    def __init__(self, data: DataSet, column: str, value: str, sample: pa.Table) -> None:
        self.data = data
        self.column = column
        self.value = value
        self._sample = sample
        self.path = f"{data.path} ({column}={value})"
        self.names = tuple(name for name in data.names if name != column)
        self.headerless = data.headerless
        self.meaning = data.meaning
        self.total_bytes = data.total_bytes

    @property
    def bytes_read(self) -> int:
        """How much of the whole data set has been read."""
        return self.data.bytes_read

    def sample(self) -> pa.Table:
        """Return the first of these rows."""
        return self._sample

    def rows(self) -> None:
        """Nobody has counted them."""

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns of these rows."""
        for batch in self.data.batches({**columns, self.column: Kind.TEXT}, workers):
            chosen = batch.filter(self._wanted(batch))
            if chosen.num_rows:
                names = [*columns, *((MALFORMED,) if MALFORMED in batch.schema.names else ())]
                yield chosen.select(names)

    def stored(self, columns: Sequence[str]) -> None:
        """They are not stored by themselves."""

    def _wanted(self, batch: pa.RecordBatch) -> Any:
        """Return which rows are of this value; one with the wrong number of cells may be, and is told for what it is."""
        there = _there(batch.column(self.column), self.value)
        if MALFORMED not in batch.schema.names:
            return there
        import pyarrow.compute as pc

        return pc.or_(there, pc.is_valid(batch.column(MALFORMED)))


def chosen_rows(data: DataSet, column: str, values: Sequence[str]) -> dict[str, ChosenRows]:
    """Return the rows of each value; where the sample of all rows has none of some, these are looked for in one pass."""
    table = data.sample()
    found = {value: _of_value(table, column, value) for value in values}
    missing = [value for value in values if not found[value].num_rows]
    if missing:
        wanted = dict.fromkeys(table.schema.names, Kind.TEXT)
        with Workers(1) as workers:
            for batch in data.batches(wanted, workers):
                rows = pa.table([batch.column(name) for name in wanted], names=list(wanted))
                for value in missing:
                    found[value] = _of_value(rows, column, value)
                missing = [value for value in missing if not found[value].num_rows]
                if not missing:
                    break
    return {value: ChosenRows(data, column, value, sample) for value, sample in found.items()}


def _of_value(table: pa.Table, column: str, value: str) -> pa.Table:
    """Return the first rows of a value, without its column."""
    there = pa.chunked_array([_there(chunk, value) for chunk in _chunks(table, column)])
    return table.filter(there).slice(0, sample_rows(len(table.schema.names) - 1)).drop_columns([column])


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
