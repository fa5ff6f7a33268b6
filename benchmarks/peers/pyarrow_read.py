"""Read the predictions in batches and nothing else: the floor under any evaluation of a Parquet file.

Batches of a million numbers: with a list of 1,000 in each row, pyarrow's default of 65,536 rows takes longer. That and
reading ahead (`pre_buffer`, on by default) each take several times the memory.
"""

from __future__ import annotations

import sys

import pyarrow.parquet as pq

BATCH_NUMBERS = 1 << 20


def main(predictions_path: str) -> None:
    """Print the number of rows read."""
    with pq.ParquetFile(predictions_path, pre_buffer=False) as file:
        list_type = file.schema_arrow.field("logits").type
        rows = max(1, BATCH_NUMBERS // list_type.list_size)
        print(sum(batch.num_rows for batch in file.iter_batches(batch_size=rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
