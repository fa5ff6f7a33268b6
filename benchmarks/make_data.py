"""Make the benchmark data: the same seed and scale give the same files.

Each data set is a folder with `predictions.*`, mostly `labels.*` and, written last, `expected.json`: its number of rows
and its mean log loss, computed here from the arrays before they become text. A folder without that file is made again.
"""

from __future__ import annotations

import argparse
import json
import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

SEED = 20240229
BOTH = (".csv", ".parquet")
MARK = "expected.json"


@dataclass(frozen=True)
class Chunk:
    """Some rows: their score columns, their labels (None where there are none) and the sum of their losses in nats."""

    scores: Mapping[str, pa.Array[Any]]
    labels: Integers | None
    loss: float


@dataclass(frozen=True)
class DataSet:
    """What a data set consists of; `sample` draws the rows of these ids."""

    rows: int
    chunk_rows: int
    sample: Callable[[np.random.Generator, Integers], Chunk]
    suffixes: tuple[str, ...] = BOTH
    scaled: bool = True
    shuffled_labels: bool = False

    def rows_at(self, scale: float) -> int:
        """Return the number of rows at this scale."""
        return max(1, round(self.rows * scale)) if self.scaled else self.rows


@dataclass(frozen=True)
class Repeated:
    """The rows of another data set again and again, with ids that go on."""

    source: str
    times: int

    def rows_at(self, scale: float) -> int:
        """Return the number of rows at this scale."""
        return DATA_SETS[self.source].rows_at(scale) * self.times


def sample_binary(rng: np.random.Generator, ids: Integers) -> Chunk:
    """Draw probabilities of the positive class, full float64, as a model's sigmoid leaves them."""
    rows = len(ids)
    probability = 1 / (1 + np.exp(-rng.normal(-0.5, 2.0, rows)))
    labels = (rng.random(rows) < probability).astype(np.int64)
    loss = -np.where(labels == 1, np.log(probability), np.log1p(-probability)).sum()
    return Chunk({"prob": pa.array(probability)}, labels, float(loss))


def sample_classes(rng: np.random.Generator, ids: Integers) -> Chunk:
    """Draw softmax rows over ten classes, rounded to six significant digits."""
    rows = len(ids)
    weights = np.exp(rng.normal(0.0, 2.0, (rows, 10)))
    probabilities = round_significant(weights / weights.sum(axis=1, keepdims=True), 6)
    labels = draw(rng, probabilities)
    loss = -np.log(probabilities[np.arange(rows), labels]).sum()
    columns = {f"prob_{k}": pa.array(np.ascontiguousarray(probabilities[:, k])) for k in range(10)}
    return Chunk(columns, labels, float(loss))


def sample_logits(rng: np.random.Generator, ids: Integers) -> Chunk:
    """Draw 1,000 float32 logits a row, in one list column."""
    logits = 2 * rng.standard_normal((len(ids), 1000), dtype=np.float32)
    return of_lists(rng, logits)


def sample_words(rng: np.random.Generator, ids: Integers, dtype: type[np.float16 | np.float32]) -> Chunk:
    """Draw the logits of a vocabulary of 50,000 words a row, in one list column."""
    logits = 2 * rng.standard_normal((len(ids), 50_000), dtype=np.float32)
    return of_lists(rng, logits.astype(dtype))


def sample_columns(rng: np.random.Generator, ids: Integers) -> Chunk:
    """Draw 10,000 logits a row with four decimals, in as many columns."""
    logits = np.round(2 * rng.standard_normal((len(ids), 10_000)), 4)
    labels, loss = draw_by_logits(rng, logits)
    columns = np.ascontiguousarray(logits.T)
    return Chunk({f"logit_{k}": pa.array(column) for k, column in enumerate(columns)}, labels, loss)


def of_lists(rng: np.random.Generator, logits: NDArray[np.floating[Any]]) -> Chunk:
    """Return rows of logits as a list column, with labels drawn from them."""
    labels, loss = draw_by_logits(rng, logits)
    column = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), logits.shape[1])
    return Chunk({"logits": column}, labels, loss)


def draw_by_logits(rng: np.random.Generator, logits: NDArray[np.floating[Any]]) -> tuple[Integers, float]:
    """Return labels with the probabilities that logits stand for, and the sum of their losses."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    labels = draw(rng, weights)
    loss = (np.log(weights.sum(axis=1)) - shifted[np.arange(len(labels)), labels]).sum()
    return labels, float(loss)


def sample_tokens(rng: np.random.Generator, ids: Integers, *, named: bool = False) -> Chunk:
    """Draw log-probabilities of tokens; on average 20 rows of the chunk are a sequence, which has a number or a name."""
    sequences = -(-len(ids) // 20)
    starts = np.zeros(len(ids), dtype=np.int64)
    starts[rng.choice(np.arange(1, len(ids)), sequences - 1, replace=False)] = 1
    sequence = ids[0] // 20 + np.cumsum(starts)
    logprob = -rng.gamma(1.0, 2.0, len(ids))
    names = pa.array([f"document-{number:07d}" for number in sequence.tolist()] if named else sequence)
    return Chunk({"sequence_id": names, "logprob": pa.array(logprob)}, None, float(-logprob.sum()))


def round_significant(values: Floats, digits: int) -> Floats:
    """Round positive values to so many significant digits; the quotient by a power of ten prints as short as that."""
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(values)))
    return np.asarray(np.round(values * scale) / scale, dtype=np.float64)


def draw(rng: np.random.Generator, weights: Floats) -> Integers:
    """Draw one class per row with probabilities proportional to the weights, by inverting the cumulative sum."""
    cumulative = np.cumsum(weights, axis=1)
    threshold = rng.random(len(weights)) * cumulative[:, -1]
    labels: Integers = np.count_nonzero(cumulative[:, :-1] <= threshold[:, None], axis=1)
    return labels


DATA_SETS: dict[str, DataSet | Repeated] = {
    "binary": DataSet(10_000_000, 1 << 20, sample_binary, shuffled_labels=True),
    "classes": DataSet(1_000_000, 1 << 17, sample_classes),
    "logits": DataSet(200_000, 1 << 13, sample_logits, suffixes=(".parquet",)),
    "small": DataSet(1_000, 1_000, sample_binary, suffixes=(".csv",), scaled=False),
    "tokens": DataSet(2_000_000, 100_000, sample_tokens, suffixes=(".parquet",)),
    "tokens_named": DataSet(2_000_000, 100_000, partial(sample_tokens, named=True), suffixes=(".parquet",)),
    "wide_half": DataSet(4_000, 500, partial(sample_words, dtype=np.float16), suffixes=(".parquet",)),
    "wide_single": DataSet(2_000, 250, partial(sample_words, dtype=np.float32), suffixes=(".parquet",)),
    "wide_text": DataSet(2_000, 250, sample_columns, suffixes=(".csv",)),
    "binary_large": Repeated("binary", 10),
}


class TableFiles:
    """One table written chunk by chunk to a file per suffix; each chunk becomes a Parquet row group."""

    def __init__(self, stem: Path, suffixes: tuple[str, ...]) -> None:
        self._stem = stem
        self._suffixes = suffixes
        self._writers: list[pa_csv.CSVWriter | pq.ParquetWriter] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, columns: Mapping[str, pa.Array[Any] | pa.ChunkedArray[Any]]) -> None:
        """Append these columns; the first call fixes the schema."""
        table = pa.table(dict(columns))
        if not self._writers:
            self._writers = [self._open(suffix, table.schema) for suffix in self._suffixes]
        for writer in self._writers:
            writer.write_table(table)

    def _open(self, suffix: str, schema: pa.Schema) -> pa_csv.CSVWriter | pq.ParquetWriter:
        path = self._stem.with_suffix(suffix)
        if suffix == ".parquet":
            return self._stack.enter_context(pq.ParquetWriter(path, schema))
        stream = self._stack.enter_context(path.open("wb"))
        stream.write((",".join(schema.names) + "\n").encode())  # pyarrow would quote the names
        options = pa_csv.WriteOptions(include_header=False)
        return self._stack.enter_context(pa_csv.CSVWriter(stream, schema, write_options=options))


def spans(rows: int, chunk_rows: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each chunk."""
    for start in range(0, rows, chunk_rows):
        yield start, min(start + chunk_rows, rows)


def make(data_set: DataSet, folder: Path, rows: int) -> float:
    """Write the files of a data set and return its loss, holding one chunk of scores at a time (and two bytes per label)."""
    rng = np.random.default_rng(SEED)
    losses: list[float] = []
    all_labels = np.empty(rows if data_set.shuffled_labels else 0, dtype=np.int16)
    with (
        TableFiles(folder / "predictions", data_set.suffixes) as predictions,
        TableFiles(folder / "labels", data_set.suffixes) as labels,
    ):
        for start, stop in spans(rows, data_set.chunk_rows):
            numbers = np.arange(start, stop, dtype=np.int64)
            chunk = data_set.sample(rng, numbers)
            losses.append(chunk.loss)
            if chunk.labels is None:
                predictions.write(chunk.scores)
                continue
            ids = pa.array(numbers)
            predictions.write({"id": ids, **chunk.scores})
            labels.write({"id": ids, "label": pa.array(chunk.labels)})
            if data_set.shuffled_labels:
                all_labels[start:stop] = chunk.labels
    if data_set.shuffled_labels:
        write_shuffled(data_set, folder, all_labels, rng)
    return math.fsum(losses) / rows


def repeat(repeated: Repeated, folder: Path, rows: int) -> float:
    """Write the files of a data set that repeats the one beside it, holding a row group, and return its loss."""
    source = folder.parent / repeated.source
    for stem in ("predictions", "labels"):
        with (
            pq.ParquetFile(source / f"{stem}.parquet") as file,
            TableFiles(folder / stem, BOTH) as files,
        ):
            for shift in range(0, rows, file.metadata.num_rows):
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    columns = dict(zip(table.column_names, table.columns, strict=True))
                    files.write({**columns, "id": pc.add(columns["id"], shift)})
    return float(json.loads((source / MARK).read_text(encoding="utf-8"))["cross_entropy"])


def write_shuffled(data_set: DataSet, folder: Path, labels: NDArray[np.int16], rng: np.random.Generator) -> None:
    """Write the labels once more, their rows in random order."""
    order = rng.permutation(len(labels))
    with TableFiles(folder / "labels_shuffled", data_set.suffixes) as shuffled:
        for start, stop in spans(len(labels), data_set.chunk_rows):
            ids = order[start:stop]
            shuffled.write({"id": pa.array(ids), "label": pa.array(labels[ids].astype(np.int64))})


def is_made(folder: Path, rows: int) -> bool:
    """Say whether the folder holds this data set, complete."""
    mark = folder / MARK
    if not mark.exists():
        return False
    expected = json.loads(mark.read_text(encoding="utf-8"))
    return bool(expected["seed"] == SEED and expected["rows"] == rows)


def ensure(name: str, folder: Path, scale: float) -> None:
    """Make a data set if it is absent, and first the one that it repeats."""
    data_set = DATA_SETS[name]
    if isinstance(data_set, Repeated):
        ensure(data_set.source, folder, scale)
    rows = data_set.rows_at(scale)
    if is_made(folder / name, rows):
        return
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / MARK).unlink(missing_ok=True)
    if isinstance(data_set, Repeated):
        loss = repeat(data_set, folder / name, rows)
    else:
        loss = make(data_set, folder / name, rows)
    expected = {"seed": SEED, "rows": rows, "cross_entropy": loss}
    (folder / name / MARK).write_text(json.dumps(expected) + "\n", encoding="utf-8")


def main() -> None:
    """Make the named data sets that are absent."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", choices=sorted(DATA_SETS))
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.names:
        ensure(name, arguments.folder, arguments.scale)


if __name__ == "__main__":
    main()
