"""What every format offers to the layers above it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from ce_cli.errors import CeError, fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from ce_cli.columns import Kind
    from ce_cli.workers import Workers

# A column that a batch has where some of its rows had the wrong number of cells: it says what is wrong with each row.
MALFORMED = "\x00malformed"
SAMPLE_ROWS = 200
SAMPLE_CELLS = 20_000


class Meaning(NamedTuple):
    """What a format by itself says of its columns: the task, the scale of the scores, and what each column is to the task."""

    task: str
    input: str
    input_base: str
    roles: Mapping[str, str]


class DataSet(Protocol):
    """One file, or the parts of one data set in order; `meaning` is None where only names tell what the columns are."""

    path: str
    names: tuple[str, ...]
    headerless: bool
    meaning: Meaning | None

    @property
    def total_bytes(self) -> int | None:
        """The size of what is read, None where it is not known."""

    @property
    def bytes_read(self) -> int:
        """How much of it has been read so far."""

    def sample(self) -> pa.Table:
        """Return the first rows of every column; text formats give every column as text."""

    def rows(self) -> int | None:
        """Return the number of rows where that is known without reading them all."""

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield these columns, rows in order.

        A text cell that is not the number it should be makes its whole column text in that batch.
        """

    def stored(self, columns: Sequence[str]) -> StoredColumns | None:
        """Return columns that need not be decoded; None where the format has no such, or where a cell may be empty."""


@runtime_checkable
class Divisible(Protocol):
    """A data set whose rows can be read from some of them on, without reading those before."""

    def cuts(self) -> Sequence[int]:
        """Return the numbers of the rows where that is cheap, ascending from 0, and at last the number of all rows."""

    def between(self, start: int, stop: int) -> DataSet:
        """Return the data set of the rows from `start` up to `stop`."""


class StoredColumns(Protocol):
    """Columns as a file stores them. Where two data sets store the same pieces, they hold the same cells."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def pieces(self) -> Iterator[object]:
        """Yield what is stored, with all that its meaning depends on, in pieces of bounded size."""

    def cells(self, rows: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return the cells of a few rows (numbers from 0) as text."""


def malformed_hint(reason: str) -> str | None:
    """Return what to do about a row with the wrong number of cells; other reasons say it themselves."""
    return "check the quotation marks and the --delimiter" if " cells, but got " in reason else None


def sample_rows(columns: int) -> int:
    """Return how many rows to look at before the columns are decided on: fewer where they are wide."""
    return max(1, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, columns)))


def undecompressed(path: str, error: Exception) -> CeError:
    """Return the error for a compressed file that ends too soon or is damaged."""
    hint = "the file may be cut short or damaged: copy or download it again"
    return fail("unreadable_file", f"cannot be decompressed: {error}", file=path, hint=hint)


def check_distinct(names: tuple[str, ...], path: str, hint: str | None = None) -> None:
    """Raise duplicate_column where two columns have the same name."""
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise fail(
            "duplicate_column",
            f"there are two columns {repeated!r}",
            file=path,
            column=repeated,
            hint=hint or "give each a name of its own",
        )
