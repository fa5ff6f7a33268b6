"""DuckDB: a full join on the id, so that an id without a partner shows; ranges checked in the same pass.

Column types are given, which spares the CSV reader its guessing. Binary predictions only.
"""

from __future__ import annotations

import sys

import duckdb

QUERY = """
    SELECT
        -avg(ln(CASE WHEN label = 1 THEN prob ELSE 1 - prob END)),
        bool_and(p.id IS NOT NULL AND l.id IS NOT NULL),
        bool_and(prob BETWEEN 0 AND 1 AND label BETWEEN 0 AND 1)
    FROM {predictions} p FULL JOIN {labels} l ON p.id = l.id
"""


def source(path: str, columns: dict[str, str]) -> str:
    """Return the SQL that reads a CSV or Parquet file."""
    if path.endswith(".parquet"):
        return f"read_parquet('{path}')"
    return f"read_csv('{path}', header = true, columns = {columns})"


def main(predictions_path: str, labels_path: str) -> None:
    """Print the mean log loss in nats."""
    query = QUERY.format(
        predictions=source(predictions_path, {"id": "BIGINT", "prob": "DOUBLE"}),
        labels=source(labels_path, {"id": "BIGINT", "label": "BIGINT"}),
    )
    ((loss, *passed),) = duckdb.connect().execute(query).fetchall()
    if not all(passed):
        sys.exit("ids without a partner, or values out of range")
    print(repr(loss))


if __name__ == "__main__":
    main(*sys.argv[1:])
