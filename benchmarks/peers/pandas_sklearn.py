"""The notebook way: read both files with pandas, merge them on the id, ask scikit-learn for the log loss.

scikit-learn checks the range and, with a warning only, the row sums.
"""

from __future__ import annotations

import sys

import pandas as pd
from sklearn.metrics import log_loss


def read(path: str) -> pd.DataFrame:
    """Read a CSV or Parquet file."""
    return pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path)


def main(predictions_path: str, labels_path: str) -> None:
    """Print the mean log loss in nats."""
    predictions, labels = read(predictions_path), read(labels_path)
    merged = predictions.merge(labels, on="id")
    if not len(merged) == len(predictions) == len(labels):
        sys.exit("ids without a partner")
    scores = merged[predictions.columns.drop("id")]
    classes = range(max(2, scores.shape[1]))
    print(repr(float(log_loss(merged["label"], scores.squeeze(axis=1), labels=classes))))


if __name__ == "__main__":
    main(*sys.argv[1:])
