"""Read the predictions in batches and nothing else: the floor under any evaluation of a Parquet file.

Batches of 1,024 rows: with a list of 1,000 numbers in each row, pyarrow's default of 65,536 takes longer. That and
reading ahead (`pre_buffer`, on by default) each take several times the memory.
"""

from __future__ import annotations

import sys

import pyarrow.parquet as pq


def main(predictions_path: str, _labels_path: str) -> None:
    """Print the number of rows read."""
    with pq.ParquetFile(predictions_path, pre_buffer=False) as file:
        print(sum(batch.num_rows for batch in file.iter_batches(batch_size=1024)))


if __name__ == "__main__":
    main(*sys.argv[1:])
