"""From what the user named (a file, a folder, a glob, `-`) to a data set."""

from __future__ import annotations

import glob
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ce_cli.errors import CeError, Problem, fail
from ce_cli.readers.base import Divisible, undecompressed
from ce_cli.readers.foreign import address, check_page, check_table
from ce_cli.readers.streams import FileSource, PipeSource, SpooledSource, standard_input

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from ce_cli.columns import Kind
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet, StoredColumns
    from ce_cli.readers.streams import Source
    from ce_cli.workers import Workers

_GLOB = "*?["


def open_data(
    path: str, *, format_: str = "auto", delimiter: str | None = None, header: bool = True, twice: bool = True
) -> DataSet:
    """Open a data set.

    path: a file, a folder or a glob of parts in lexical order, or `-`. twice: False promises that a pipe's rows are read
    once only, so that it need not be copied to disk. Raises CeError: no_such_file, unreadable_file, and what the formats do.
    """
    if path == "-":
        raw = cast("io.BufferedReader", sys.stdin.buffer)
        return _open_one(
            "-", standard_input(raw, spool=twice or format_ == "parquet"), format_, delimiter, header=header
        )
    files = _parts(path)
    opened = [_open_one(str(file), _source(file), format_, delimiter, header=header) for file in files]
    if len(opened) > 1:
        _tell_apart(opened)
    return opened[0] if len(opened) == 1 and str(files[0]) == path else PartedData(path, opened)


def open_both(predictions: str, labels: str | None, options: Options) -> tuple[DataSet, DataSet | None]:
    """Open the predictions and, if they are named, the labels; what is wrong with both is told together."""
    opened: list[DataSet | None] = []
    problems: list[Problem] = []
    for path in (predictions, labels):
        try:
            twice = labels is not None or options.looks_first
            opened.append(None if path is None else open_named(path, options, twice=twice))
        except CeError as error:
            problems += error.problems
    if problems:
        raise CeError(*problems)
    mine, other = opened
    assert mine is not None  # the predictions have a path
    return mine, other


def open_several(
    predictions: Mapping[str, str], labels: str | None, options: Options
) -> tuple[dict[str, DataSet], DataSet | None]:
    """Open the predictions of several models and, if they are named, the labels; what is wrong with any is told together."""
    opened: dict[str, DataSet] = {}
    other: DataSet | None = None
    problems: list[Problem] = []
    for name, path in predictions.items():
        try:
            opened[name] = open_named(path, options, twice=True)
        except CeError as error:
            problems += error.problems
    try:
        other = None if labels is None else open_named(labels, options, twice=True)
    except CeError as error:
        problems += error.problems
    if problems:
        raise CeError(*problems)
    return opened, other


def open_named(path: str, options: Options, *, twice: bool) -> DataSet:
    """Open a data set as the options say."""
    return open_data(path, format_=options.format, delimiter=options.delimiter, header=options.header, twice=twice)


def _tell_apart(parts: list[DataSet]) -> None:
    """Let the sequences of several files have different names: each format counts them anew in each file."""
    from ce_cli.readers.records import RecordData

    for part in parts:
        if isinstance(part, RecordData):
            part.prefix = f"{part.path}:"


class PartedData:
    """The parts of one data set, one after another; they must have the same columns."""

    def __init__(self, path: str, parts: list[DataSet]) -> None:
        self.path = path
        self.parts = parts
        self.names = parts[0].names
        self.headerless = parts[0].headerless
        self.meaning = parts[0].meaning
        sizes = [part.total_bytes for part in parts]
        self.total_bytes = None if None in sizes else sum(cast("list[int]", sizes))
        for part in parts:
            if set(part.names) != set(self.names):
                odd = sorted(set(part.names) ^ set(self.names))
                raise fail(
                    "schema_mismatch",
                    f"its columns are not those of {parts[0].path}: {', '.join(odd[:5])}",
                    file=part.path,
                    hint="the parts of one data set have the same columns",
                )

    @property
    def bytes_read(self) -> int:
        """How many bytes of all parts were read."""
        return sum(part.bytes_read for part in self.parts)

    def sample(self) -> pa.Table:
        """Return the first rows of the first part that has any."""
        samples = (part.sample() for part in self.parts)
        first = next(samples)
        return next((table for table in samples if table.num_rows), first) if first.num_rows == 0 else first

    def rows(self) -> int | None:
        """Return the number of rows where every part knows its own."""
        counts = [part.rows() for part in self.parts]
        return None if None in counts else sum(cast("list[int]", counts))

    def cuts(self) -> list[int]:
        """Return where each part can be cut; only at the ends where a part cannot tell its number of rows."""
        found, start = [0], 0
        for part in self.parts:
            if not isinstance(part, Divisible):
                return [0, self.rows() or 0]
            found += [start + cut for cut in part.cuts()[1:]]
            start = found[-1]
        return found

    def between(self, start: int, stop: int) -> DataSet:
        """Return some of the rows; only for parts that can all be cut."""
        chosen, first = [], 0
        for part in self.parts:
            rows = part.rows() or 0
            if isinstance(part, Divisible) and first < stop and first + rows > start:
                chosen.append(part.between(max(0, start - first), min(rows, stop - first)))
            first += rows
        return PartedData(self.path, chosen)

    def batches(self, columns: Mapping[str, Kind], workers: Workers) -> Iterator[pa.RecordBatch]:
        """Yield the columns of all parts."""
        for part in self.parts:
            yield from part.batches(columns, workers)

    def stored(self, columns: Sequence[str]) -> StoredColumns | None:
        """Return columns that need not be decoded, where that is so in every part."""
        parts = [part.stored(columns) for part in self.parts]
        return None if None in parts else StoredParts(cast("list[StoredColumns]", parts))


class StoredParts:
    """The stored columns of several parts, one after another."""

    def __init__(self, parts: list[StoredColumns]) -> None:
        self._parts = parts

    @property
    def rows(self) -> int:
        """The number of rows of all parts."""
        return sum(part.rows for part in self._parts)

    def pieces(self) -> Iterator[object]:
        """Yield the pieces of all parts."""
        for part in self._parts:
            yield from part.pieces()

    def cells(self, rows: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return the cells of some rows as text."""
        found: dict[int, tuple[str, ...]] = {}
        start = 0
        for part in self._parts:
            inside = [row - start for row in rows if start <= row < start + part.rows]
            found.update({row + start: cells for row, cells in part.cells(inside).items()})
            start += part.rows
        return found


def _parts(path: str) -> list[Path]:
    given = Path(path)
    if given.is_dir():
        files = sorted(file for file in given.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
        if not files:
            raise fail("no_such_file", "this folder holds no files", file=path)
        return files
    if not given.exists() and any(mark in path for mark in _GLOB) and address(path) is None:
        files = sorted(Path(found) for found in glob.glob(path, recursive=True) if Path(found).is_file())  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not files:
            raise fail("no_such_file", "no file matches this pattern", file=path)
        return files
    if not given.exists():
        raise CeError(
            Problem("no_such_file", "there is no such file", file=path, hint=address(path) or _similar(given))
        )
    return [given]


def _similar(path: Path) -> str | None:
    import difflib

    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either"
    close = difflib.get_close_matches(path.name, [file.name for file in path.parent.iterdir()], n=3)
    return f"did you mean {' or '.join(close)}?" if close else None


def _source(path: Path) -> Source:
    try:
        if not path.is_file():  # a pipe by its path: it can be read only once
            with path.open("rb") as raw:
                return SpooledSource(raw)
        with path.open("rb"):
            return FileSource(path)
    except OSError as error:
        raise fail("unreadable_file", f"cannot be opened: {error.strerror}", file=str(path)) from error


def _open_one(path: str, source: Source, format_: str, delimiter: str | None, *, header: bool) -> DataSet:
    kind = _format_of(path, source) if format_ == "auto" else format_
    if kind == "parquet":
        from ce_cli.readers.parquet_format import ParquetData

        if isinstance(source, PipeSource):
            source = source.spooled()
        return ParquetData(path, source)
    if kind not in ("csv", "tsv", "lines"):
        return _open_lines(path, source, kind)
    from ce_cli.readers.csv_format import CsvData

    lines = None if format_ == "auto" else kind == "lines"
    return CsvData(path, source, delimiter=delimiter or ("\t" if kind == "tsv" else None), header=header, lines=lines)


def _open_lines(path: str, source: Source, kind: str) -> DataSet:
    """Open a format of one record a line; they are opened several times, so a pipe is copied to disk."""
    if isinstance(source, PipeSource):
        source = source.spooled()
    if kind == "jsonl":
        from ce_cli.readers.recognise import json_format

        kind = json_format(_preview(path, source))
    return _line_format(kind)(path, source)


def _line_format(kind: str) -> Callable[[str, Source], DataSet]:
    """Return what opens a format of one record a line; only that one is imported."""
    if kind == "openai":
        from ce_cli.readers.openai_responses import open_openai

        return open_openai
    if kind == "lm-eval":
        from ce_cli.readers.lm_eval_samples import open_lm_eval

        return open_lm_eval
    if kind == "fairseq":
        from ce_cli.readers.fairseq_output import open_fairseq

        return open_fairseq
    if kind == "kenlm":
        from ce_cli.readers.kenlm_output import open_kenlm

        return open_kenlm
    from ce_cli.readers.json_format import JsonData

    return JsonData


def _preview(path: str, source: Source) -> bytes:
    import pyarrow as pa

    try:
        return source.preview()
    except (OSError, pa.ArrowException) as error:
        raise undecompressed(path, error) from error


def _format_of(path: str, source: Source) -> str:
    head = source.head()
    if head.startswith(b"PAR1"):
        return "parquet"
    check_table(path, head)
    from ce_cli.readers.recognise import text_format

    text = _preview(path, source)
    check_page(path, text)
    return text_format(path, text)
