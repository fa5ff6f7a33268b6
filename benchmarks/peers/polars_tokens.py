"""Polars at its fastest on tokens: a streaming group-by of the sequences, then the mean over tokens and over sequences.

Log-probabilities above 0 are refused. That the sequences ascend is told to Polars and not verified, which spares it a
little work and memory. Tried without a difference beyond noise: the mean in place of sum and count, `all` of a comparison
in place of the maximum. The engine in memory takes as long and half as much memory again.
"""

from __future__ import annotations

import sys

import polars as pl


def main(predictions_path: str) -> None:
    """Print the mean loss of a token in nats."""
    logprob = pl.col("logprob")
    sequences = (
        pl.scan_parquet(predictions_path)
        .set_sorted("sequence_id")
        .group_by("sequence_id")
        .agg(logprob.sum().alias("total"), pl.len().alias("tokens"), logprob.max().alias("largest"))
    )
    result = sequences.select(
        token_mean=-pl.col("total").sum() / pl.col("tokens").sum(),
        sequence_mean=-(pl.col("total") / pl.col("tokens")).mean(),
        passed=(pl.col("largest") <= 0).all(),
    )
    row = result.collect(engine="streaming").row(0, named=True)
    if not row["passed"]:
        sys.exit("a log-probability above 0")
    print(repr(row["token_mean"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
