"""What is compared: each job is one row of the table. A new job or peer belongs here, its data in make_data.py."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True)
class Files:
    """A data set, and which of its files a side reads."""

    data_set: str
    predictions: str
    labels: str | None = None


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    command: its words, in which {predictions}, {labels} and {output} stand for paths. loss: reads the loss from what it
    prints; None if it prints none. tolerance: how far that loss may be from the expected one. package: the distribution
    without which the side cannot run.
    """

    name: str
    command: tuple[str, ...]
    files: Files
    loss: Callable[[str], float] | None = None
    tolerance: float = 1e-9
    package: str | None = None


@dataclass(frozen=True)
class Limit:
    """What is asked of ce-eval: a ratio of times, seconds more than the other side, its peak memory; None: nothing."""

    ratio: float | None = None
    seconds_more: float | None = None
    megabytes: float | None = None


@dataclass(frozen=True)
class Job:
    """Ours against another side, or alone; `per_row`: the times are divided by the rows of each side's data."""

    name: str
    ours: Side
    other: Side | None
    limit: Limit
    per_row: bool = False
    large: bool = False

    def sides(self) -> tuple[Side, ...]:
        """Return the sides that there are."""
        return (self.ours,) if self.other is None else (self.ours, self.other)


def json_loss(stdout: str) -> float:
    """Read the loss from a JSON report."""
    return float(json.loads(stdout)["metrics"]["cross_entropy"]["value"])


def ce_eval(files: Files, *options: str, name: str = "ce-eval") -> Side:
    """Return a run of ce-eval with its default metrics and a JSON report."""
    labels = () if files.labels is None else ("--labels", "{labels}")
    return Side(name, (sys.executable, "-m", "ce_cli", "{predictions}", *labels, "--json", *options), files, json_loss)


def table_of_ce_eval(files: Files) -> Side:
    """Return a run of ce-eval that prints its table."""
    command = (sys.executable, "-m", "ce_cli", "{predictions}", "--labels", "{labels}")
    return Side("ce-eval, table", command, files)


def peer(script: str, files: Files, *more: str, name: str, package: str, tolerance: float = 1e-9) -> Side:
    """Return a run of one of the scripts in peers/, which prints the loss."""
    labels = () if files.labels is None else ("{labels}",)
    command = (sys.executable, str(PEERS / script), "{predictions}", *labels, *more)
    return Side(name, command, files, float, tolerance, package)


def polars(files: Files) -> Side:
    """Return Polars, streaming, rows paired by position."""
    return peer("polars_stream.py", files, name="Polars, streaming", package="polars")


def duckdb(files: Files) -> Side:
    """Return DuckDB, joining by id."""
    return peer("duckdb_join.py", files, name="DuckDB, join", package="duckdb")


def notebook(files: Files) -> Side:
    """Return pandas and scikit-learn."""
    return peer("pandas_sklearn.py", files, name="pandas, scikit-learn", package="scikit-learn")


def torch(files: Files) -> Side:
    """Return PyTorch over batches of pyarrow; its losses are float32."""
    return peer("torch_batches.py", files, name="torch, cross_entropy", package="torch", tolerance=1e-6)


def only_read(files: Files) -> Side:
    """Return pyarrow reading the predictions and computing nothing."""
    command = (sys.executable, str(PEERS / "pyarrow_read.py"), "{predictions}")
    return Side("pyarrow, read only", command, files, package="pyarrow")


def only_parse(files: Files) -> Side:
    """Return pyarrow parsing both CSV files and computing nothing."""
    command = (sys.executable, str(PEERS / "pyarrow_parse.py"), "{predictions}", "{labels}")
    return Side("pyarrow, parse only", command, files, package="pyarrow")


def only_import(files: Files) -> Side:
    """Return the imports of a command that reads CSV."""
    return Side("imports", (sys.executable, "-c", "import click, numpy, pyarrow.csv"), files)


BINARY_CSV = Files("binary", "predictions.csv", "labels.csv")
BINARY = Files("binary", "predictions.parquet", "labels.parquet")
SHUFFLED = Files("binary", "predictions.parquet", "labels_shuffled.parquet")
LARGE_CSV = Files("binary_large", "predictions.csv", "labels.csv")
LARGE = Files("binary_large", "predictions.parquet", "labels.parquet")
CLASSES_CSV = Files("classes", "predictions.csv", "labels.csv")
CLASSES = Files("classes", "predictions.parquet", "labels.parquet")
LOGITS = Files("logits", "predictions.parquet", "labels.parquet")
TOKENS = Files("tokens", "predictions.parquet")
NAMED_TOKENS = Files("tokens_named", "predictions.parquet")
SMALL = Files("small", "predictions.csv", "labels.csv")
WIDE_HALF = Files("wide_half", "predictions.parquet", "labels.parquet")
WIDE_SINGLE = Files("wide_single", "predictions.parquet", "labels.parquet")
WIDE_CSV = Files("wide_text", "predictions.csv", "labels.csv")

OUTPUT = "{output}.parquet"
LEAN = Limit(megabytes=250)
FASTEST = Limit(ratio=1.0, megabytes=250)
STEADY = Limit(ratio=1.05, megabytes=250)
NOTHING = Limit()


def tokens_of_polars(files: Files) -> Side:
    """Return Polars, grouping by sequence."""
    return peer("polars_tokens.py", files, name="Polars, group_by", package="polars")


def rows_of_polars(files: Files) -> Side:
    """Return Polars, writing the rows that --per-sample writes."""
    return peer("polars_per_sample.py", files, OUTPUT, name="Polars, sink_parquet", package="polars")


JOBS = (
    Job("binary, CSV", ce_eval(BINARY_CSV), polars(BINARY_CSV), FASTEST),
    Job("binary, CSV", ce_eval(BINARY_CSV), only_parse(BINARY_CSV), NOTHING),
    Job("binary, CSV", ce_eval(BINARY_CSV), duckdb(BINARY_CSV), NOTHING),
    Job("binary, CSV", ce_eval(BINARY_CSV), notebook(BINARY_CSV), NOTHING),
    Job("binary, Parquet", ce_eval(BINARY), polars(BINARY), FASTEST),
    Job("binary, Parquet", ce_eval(BINARY), duckdb(BINARY), NOTHING),
    Job("binary, Parquet", ce_eval(BINARY), notebook(BINARY), NOTHING),
    Job("10 classes, CSV", ce_eval(CLASSES_CSV), polars(CLASSES_CSV), FASTEST),
    Job("10 classes, CSV", ce_eval(CLASSES_CSV), only_parse(CLASSES_CSV), NOTHING),
    Job("10 classes, Parquet", ce_eval(CLASSES), polars(CLASSES), FASTEST),
    Job("1,000 logits, Parquet", ce_eval(LOGITS), only_read(LOGITS), Limit(ratio=1.3, megabytes=250)),
    Job("1,000 logits, Parquet", ce_eval(LOGITS), torch(LOGITS), Limit(ratio=0.4)),
    Job("binary, Parquet, labels in another order", ce_eval(SHUFFLED), duckdb(SHUFFLED), Limit(ratio=1.0)),
    Job("tokens, Parquet", ce_eval(TOKENS), tokens_of_polars(TOKENS), FASTEST),
    Job("tokens, Parquet, sequences named by text", ce_eval(NAMED_TOKENS), tokens_of_polars(NAMED_TOKENS), FASTEST),
    Job("`--per-sample`, Parquet", ce_eval(BINARY, "--per-sample", OUTPUT), rows_of_polars(BINARY), Limit(ratio=1.2)),
    Job("small file, CSV", ce_eval(SMALL), only_import(SMALL), Limit(ratio=1.4)),
    Job("small file, CSV, table", table_of_ce_eval(SMALL), ce_eval(SMALL, name="`--json`"), Limit(seconds_more=0.08)),
    Job(
        "binary, CSV, time per row",
        ce_eval(LARGE_CSV),
        ce_eval(BINARY_CSV, name="a tenth of the rows"),
        STEADY,
        per_row=True,
        large=True,
    ),
    Job(
        "binary, Parquet, time per row",
        ce_eval(LARGE),
        ce_eval(BINARY, name="a tenth of the rows"),
        STEADY,
        per_row=True,
        large=True,
    ),
    Job(
        "binary, Parquet, `--jobs 2`",
        ce_eval(BINARY, "--jobs", "2"),
        ce_eval(BINARY, "--jobs", "1", name="`--jobs 1`"),
        Limit(ratio=0.6),
    ),
    Job(
        "binary, Parquet, `--jobs 2`",
        ce_eval(LARGE, "--jobs", "2"),
        ce_eval(LARGE, "--jobs", "1", name="`--jobs 1`"),
        NOTHING,
        large=True,
    ),
    Job("50,000 words, float16 lists, Parquet", ce_eval(WIDE_HALF), only_read(WIDE_HALF), LEAN),
    Job("50,000 words, float32 lists, Parquet", ce_eval(WIDE_SINGLE), only_read(WIDE_SINGLE), LEAN),
    Job("10,000 columns of logits, CSV", ce_eval(WIDE_CSV), None, LEAN),
)
