"""Polars at its fastest: lazy scans on the streaming engine, the two files paired by position.

One pass computes the loss and the checks: equal ids row by row (nulls included), the range of every score and label,
and for several classes the row sums. Polars from 2.0 refuses files of unequal length; older ones would pad with nulls,
which the comparison of ids then finds. The CSV schema is given, which spares the guessing.

Tried without a difference beyond noise: streaming chunks of 32 Ki to 128 Ki rows, the parallel strategies of the
Parquet scan, arithmetic in place of when/then, minima and maxima in place of `is_between`. Taking the probability of
the label's class with `concat_list` and `list.get` is far slower.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

ROW_SUM_TOLERANCE = 3.5e-4


def scan(path: str) -> pl.LazyFrame:
    """Scan a CSV or Parquet file."""
    if path.endswith(".parquet"):
        return pl.scan_parquet(path)
    with Path(path).open(encoding="utf-8") as stream:
        names = stream.readline().strip().split(",")
    types = {"id": pl.Int64, "label": pl.Int8}
    return pl.scan_csv(path, schema={name: types.get(name, pl.Float64) for name in names})


def label_probability(scores: list[str]) -> pl.Expr:
    """Return the probability of each row's label."""
    label = pl.col("label")
    if len(scores) == 1:
        return pl.when(label == 1).then(pl.col(scores[0])).otherwise(1 - pl.col(scores[0]))
    return pl.coalesce(pl.when(label == k).then(pl.col(name)) for k, name in enumerate(scores))


def checks(scores: list[str]) -> list[pl.Expr]:
    """Return one boolean per check, true where every row passes."""
    result = [
        pl.col("id").eq_missing(pl.col("label_id")).all().alias("ids"),
        pl.col("label").is_between(0, max(1, len(scores) - 1)).all().alias("labels"),
        pl.all_horizontal(pl.col(name).is_between(0, 1).all() for name in scores).alias("range"),
    ]
    if len(scores) > 1:
        error = (pl.sum_horizontal(scores) - 1).abs().max()
        result.append((error <= ROW_SUM_TOLERANCE).alias("row sums"))
    return result


def main(predictions_path: str, labels_path: str) -> None:
    """Print the mean log loss in nats."""
    predictions = scan(predictions_path)
    labels = scan(labels_path).rename({"id": "label_id"})
    scores = [name for name in predictions.collect_schema().names() if name != "id"]
    rows = pl.concat([predictions, labels], how="horizontal")
    loss = -label_probability(scores).log().mean()
    result = rows.select(loss.alias("loss"), *checks(scores)).collect(engine="streaming").row(0, named=True)
    failed = [name for name, passed in result.items() if name != "loss" and not passed]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    print(repr(result["loss"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
