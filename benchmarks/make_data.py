"""Make the benchmark data: the same seed and scale give the same files.

Each data set is a folder with `predictions.*`, `labels.*` and, written last, `expected.json`: its number of rows and
its mean log loss, computed here from the arrays before they become text. A folder without that file is made again.
"""

from __future__ import annotations

import argparse
import json
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

SEED = 20240229
BOTH = (".csv", ".parquet")


@dataclass(frozen=True)
class Chunk:
    """Some rows: their score columns, their labels and the sum of their losses in nats."""

    scores: Mapping[str, pa.Array[Any]]
    labels: Integers
    loss: float


@dataclass(frozen=True)
class DataSet:
    """What a data set consists of; `sample` draws that many rows."""

    rows: int
    chunk_rows: int
    sample: Callable[[np.random.Generator, int], Chunk]
    suffixes: tuple[str, ...] = BOTH
    scaled: bool = True
    shuffled_labels: bool = False

    def rows_at(self, scale: float) -> int:
        """Return the number of rows at this scale."""
        return max(1, round(self.rows * scale)) if self.scaled else self.rows


def sample_binary(rng: np.random.Generator, rows: int) -> Chunk:
    """Draw probabilities of the positive class, full float64, as a model's sigmoid leaves them."""
    probability = 1 / (1 + np.exp(-rng.normal(-0.5, 2.0, rows)))
    labels = (rng.random(rows) < probability).astype(np.int64)
    loss = -np.where(labels == 1, np.log(probability), np.log1p(-probability)).sum()
    return Chunk({"prob": pa.array(probability)}, labels, float(loss))


def sample_classes(rng: np.random.Generator, rows: int) -> Chunk:
    """Draw softmax rows over ten classes, rounded to six significant digits."""
    weights = np.exp(rng.normal(0.0, 2.0, (rows, 10)))
    probabilities = round_significant(weights / weights.sum(axis=1, keepdims=True), 6)
    labels = draw(rng, probabilities)
    loss = -np.log(probabilities[np.arange(rows), labels]).sum()
    columns = {f"prob_{k}": pa.array(np.ascontiguousarray(probabilities[:, k])) for k in range(10)}
    return Chunk(columns, labels, float(loss))


def sample_logits(rng: np.random.Generator, rows: int) -> Chunk:
    """Draw 1,000 float32 logits a row, in one list column."""
    logits = 2 * rng.standard_normal((rows, 1000), dtype=np.float32)
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    labels = draw(rng, weights)
    loss = (np.log(weights.sum(axis=1)) - shifted[np.arange(rows), labels]).sum()
    column = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), 1000)
    return Chunk({"logits": column}, labels, float(loss))


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


DATA_SETS = {
    "binary": DataSet(10_000_000, 1 << 20, sample_binary, shuffled_labels=True),
    "classes": DataSet(1_000_000, 1 << 17, sample_classes),
    "logits": DataSet(200_000, 1 << 13, sample_logits, suffixes=(".parquet",)),
    "small": DataSet(1_000, 1_000, sample_binary, suffixes=(".csv",), scaled=False),
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

    def write(self, columns: Mapping[str, pa.Array[Any]]) -> None:
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


def make(data_set: DataSet, folder: Path, rows: int) -> None:
    """Write the files of a data set, holding one chunk of scores at a time (and two bytes per label)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "expected.json").unlink(missing_ok=True)
    rng = np.random.default_rng(SEED)
    losses: list[float] = []
    all_labels = np.empty(rows, dtype=np.int16)
    with (
        TableFiles(folder / "predictions", data_set.suffixes) as predictions,
        TableFiles(folder / "labels", data_set.suffixes) as labels,
    ):
        for start, stop in spans(rows, data_set.chunk_rows):
            chunk = data_set.sample(rng, stop - start)
            ids = pa.array(np.arange(start, stop, dtype=np.int64))
            predictions.write({"id": ids, **chunk.scores})
            labels.write({"id": ids, "label": pa.array(chunk.labels)})
            all_labels[start:stop] = chunk.labels
            losses.append(chunk.loss)
    if data_set.shuffled_labels:
        write_shuffled(data_set, folder, all_labels, rng)
    expected = {"seed": SEED, "rows": rows, "cross_entropy": math.fsum(losses) / rows}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")


def write_shuffled(data_set: DataSet, folder: Path, labels: NDArray[np.int16], rng: np.random.Generator) -> None:
    """Write the labels once more, their rows in random order."""
    order = rng.permutation(len(labels))
    with TableFiles(folder / "labels_shuffled", data_set.suffixes) as shuffled:
        for start, stop in spans(len(labels), data_set.chunk_rows):
            ids = order[start:stop]
            shuffled.write({"id": pa.array(ids), "label": pa.array(labels[ids].astype(np.int64))})


def is_made(folder: Path, rows: int) -> bool:
    """Say whether the folder holds this data set, complete."""
    mark = folder / "expected.json"
    if not mark.exists():
        return False
    expected = json.loads(mark.read_text(encoding="utf-8"))
    return bool(expected["seed"] == SEED and expected["rows"] == rows)


def main() -> None:
    """Make the named data sets that are absent."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", choices=sorted(DATA_SETS))
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.names:
        rows = DATA_SETS[name].rows_at(arguments.scale)
        if not is_made(arguments.folder / name, rows):
            make(DATA_SETS[name], arguments.folder / name, rows)


if __name__ == "__main__":
    main()
