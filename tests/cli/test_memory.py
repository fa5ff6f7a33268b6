"""Peak memory of the real command: wide rows, and a reader of the rows that does not read."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import COMMAND, ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
MOST_MB = 250


def started(*arguments, folder):
    """Start the command and return its process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def peak_mb(process):
    """Return the peak resident memory of a process that has not been waited for."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def test_a_reader_that_does_not_read_holds_the_work_back(tmp_path):
    rows = 1_500_000
    rng = np.random.default_rng(2)
    table = pa.table({"label": (rng.random(rows) < 0.3).astype(np.int8), "prob": rng.random(rows)})
    pq.write_table(table, tmp_path / "p.parquet")
    with started("p.parquet", "--per-sample", "-", "-j", "2", folder=tmp_path) as process:
        assert process.stdout.readline().startswith(b'"row"')
        time.sleep(2)
        assert process.poll() is None
        assert peak_mb(process) < MOST_MB
        assert sum(1 for _ in process.stdout) == rows
        process.stderr.read()
    assert process.returncode == 0


def test_a_vocabulary_takes_memory_by_its_bytes(tmp_path):
    rows, k = 200, 50_257
    values = np.random.default_rng(3).normal(size=rows * k).astype(np.float32)
    lists = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * k, values)
    pq.write_table(pa.table({"label": np.arange(rows), "logits": lists}), tmp_path / "p.parquet", use_dictionary=False)
    assert _peak_of(["p.parquet", "--input", "logits", "-q", "-j", "2"], tmp_path) < MOST_MB


def test_many_columns_take_memory_by_their_bytes(tmp_path):
    rows, k = 8_000, 1_000
    probs = np.random.default_rng(4).random((rows, k))
    probs /= probs.sum(axis=1, keepdims=True)
    columns = {f"prob_{at}": np.ascontiguousarray(probs[:, at]) for at in range(k)}
    pq.write_table(pa.table({"label": np.arange(rows) % k, **columns}), tmp_path / "p.parquet")
    assert _peak_of(["p.parquet", "-q", "-j", "2"], tmp_path) < MOST_MB


def _peak_of(arguments, folder):
    # What the kernel tells after the end would count the process that this one was started from.
    most = 0.0
    with started(*arguments, folder=folder) as process:
        while process.poll() is None:
            with contextlib.suppress(StopIteration, OSError):
                most = max(most, peak_mb(process))
            time.sleep(0.01)
        process.stdout.read()
        process.stderr.read()
    assert process.returncode == 0
    return most
