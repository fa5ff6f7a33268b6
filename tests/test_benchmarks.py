"""The benchmark suite, on a few rows: every job finds its data, and every side that is installed agrees on the loss."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUN = ROOT / "benchmarks" / "run.py"


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUN), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def page(folder: Path) -> Path:
    path = folder / "page.md"
    path.write_text((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def has(package: str) -> bool:
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def test_jobs_run_alone_or_against_their_peers(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    chosen = "per-sample|tokens, Parquet against|labels in another order|--jobs|small file, CSV, table|10 classes, Par"
    done = bench("--data", tmp_path, "--scale", 1e-4, "--pairs", 1, "--only", chosen, "--json", results)
    assert (done.returncode, "!!!" in done.stderr) == (0, False), done.stderr
    found = json.loads(results.read_text())["comparisons"]
    assert len(found) == 6
    for one in found:
        package = {"Polars": "polars", "DuckDB": "duckdb"}.get(re.split(r"[, ]", one["against"])[0])
        if package is not None and not has(package):
            assert one["skipped"] == f"no {package} here"
            continue
        assert one["skipped"] is None
        assert one["ratio"] > 0
        assert all(side["megabytes"] > 20 for side in one["sides"].values())
    assert {path.name for path in (tmp_path / "scale-0.0001").iterdir()} == {"binary", "classes", "small", "tokens"}


def test_rows_that_are_repeated_have_ids_that_go_on(tmp_path: Path) -> None:
    csv = pytest.importorskip("pyarrow.csv")
    make = [sys.executable, str(ROOT / "benchmarks" / "make_data.py"), str(tmp_path), "binary_large", "--scale", "1e-5"]
    subprocess.run(make, check=True, timeout=100)
    table = csv.read_csv(tmp_path / "binary_large" / "predictions.csv")
    assert table["id"].to_pylist() == list(range(1000))
    assert table["prob"].to_pylist()[:100] == table["prob"].to_pylist()[900:]


def test_a_wrong_loss_is_told_and_fails(tmp_path: Path) -> None:
    assert bench("--data", tmp_path, "--pairs", 1, "--only", "small file, CSV against").returncode == 0
    mark = tmp_path / "scale-1" / "small" / "expected.json"
    told = json.loads(mark.read_text())
    mark.write_text(json.dumps({**told, "cross_entropy": told["cross_entropy"] + 1e-8}))
    done = bench("--data", tmp_path, "--pairs", 1, "--only", "small file, CSV against")
    assert done.returncode == 1
    assert "MISMATCH: ce-eval says" in done.stderr


def test_the_table_replaces_what_stands_between_the_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import table

    path = page(tmp_path)
    before = path.read_text(encoding="utf-8")
    table.write(path, "first")
    table.write(path, "| new |")
    after = path.read_text(encoding="utf-8")
    assert f"{table.BEGIN}\n| new |\n{table.END}" in after
    assert after.partition(table.BEGIN)[0] == before.partition(table.BEGIN)[0]
    assert after.partition(table.END)[2] == before.partition(table.END)[2]


def test_memory_is_that_of_the_whole_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("there is no /proc/self/smaps_rollup")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import processes

    child = "import time; held = b'x' * 40_000_000; time.sleep(0.5)"
    parent = f"import subprocess, sys; [p.wait() for p in [subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in '123']]"
    command = [sys.executable, "-c", parent]
    assert processes.run(command, tmp_path, sample_memory=True).megabytes > 120
    assert processes.run(command, tmp_path, sample_memory=False).megabytes < 100


def test_a_run_that_takes_too_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("there is no /proc/self/smaps_rollup")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import processes

    monkeypatch.setattr(processes, "MOST_BYTES", 30_000_000)
    command = [sys.executable, "-c", "import time; held = b'x' * 40_000_000; time.sleep(20)"]
    done = processes.run(command, tmp_path, sample_memory=True)
    assert done.error is not None
    assert "half of the machine" in done.error
    assert done.seconds < 10
