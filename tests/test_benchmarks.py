"""The benchmark suite, on a few rows: every job finds its data, and every side that is installed agrees on the loss."""

from __future__ import annotations

import importlib.metadata
import json
import os
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
    chosen = "per-sample|tokens, Parquet against|small file, CSV, table"
    done = bench("--data", tmp_path, "--scale", 1e-4, "--pairs", 1, "--only", chosen, "--json", results)
    assert (done.returncode, "!!!" in done.stderr) == (0, False), done.stderr
    found = json.loads(results.read_text())["comparisons"]
    assert len(found) == 3
    for one in found:
        if one["against"].startswith("Polars") and not has("polars"):
            assert one["skipped"] == "no polars here"
            continue
        assert one["skipped"] is None
        assert one["ratio"] > 0
        assert all(side["megabytes"] > 20 for side in one["sides"].values())
    assert {path.name for path in (tmp_path / "scale-0.0001").iterdir()} == {"binary", "small", "tokens"}


def test_rows_that_are_repeated_have_ids_that_go_on(tmp_path: Path) -> None:
    csv = pytest.importorskip("pyarrow.csv")
    make = [sys.executable, str(ROOT / "benchmarks" / "make_data.py"), str(tmp_path), "binary_large", "--scale", "1e-5"]
    subprocess.run(make, check=True, timeout=100)
    table = csv.read_csv(tmp_path / "binary_large" / "predictions.csv")
    assert table["id"].to_pylist() == list(range(1000))
    assert table["prob"].to_pylist()[:100] == table["prob"].to_pylist()[900:]


def test_a_wrong_loss_is_told_and_fails(tmp_path: Path) -> None:
    make = [sys.executable, str(ROOT / "benchmarks" / "make_data.py"), str(tmp_path / "scale-1"), "small"]
    subprocess.run(make, check=True, timeout=100)
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


def test_a_page_has_a_row_for_each_job_with_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import comparison
    import jobs
    import processes
    import table

    def measured(job: jobs.Job, ours: list[float], theirs: list[float], rows: tuple[int, int]) -> comparison.Comparison:
        assert job.other is not None
        names = job.ours.name, job.other.name
        runs = [[processes.Run(seconds, seconds, 0.0, "", None) for seconds in times] for times in (ours, theirs)]
        peaks = dict(zip(names, (240.0, 300.0), strict=True))
        return comparison.Comparison(
            job, rows[0], dict(zip(names, runs, strict=True)), peaks, dict(zip(names, rows, strict=True))
        )

    fast = next(job for job in jobs.JOBS if job.limit == jobs.FASTEST)
    steady = next(job for job in jobs.JOBS if job.per_row)
    more = next(job for job in jobs.JOBS if job.limit.seconds_more is not None)
    found = [
        measured(fast, [1.0, 3.0, 4.0], [2.0, 2.0, 2.0], (10, 10)),
        measured(steady, [10.0], [1.0], (100, 10)),
        measured(more, [0.3, 0.2], [0.2, 0.15], (10, 10)),
        comparison.Comparison(fast, 10, skipped="no polars here"),
    ]
    text = table.page(found, table.environment(comparison.Installed([sys.executable])), pairs=3, scale=1)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[-4:]]
    assert [row[5:7] for row in rows] == [
        ["**1.50 ×** (0.50–2.00)", "≤ 1.00 × ✗"],
        ["**1.00 ×** (1.00–1.00)", "≤ 1.05 × ✓"],
        ["+75 ms", "≤ +80 ms ✓"],
        ["no polars here", "≤ 1.00 ×"],
    ]
    assert rows[0][3:5] + rows[0][7:] == ["3 s", "2 s", "240", "300", "≤ 250 ✓"]
    assert "numpy" in text


def test_memory_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("there is no /proc/self/smaps_rollup")
    # The children hold their memory together: each tells that it has it, and waits until all have.
    child = "held = b'x' * 40_000_000; print(flush=True); input()"
    parent = f"""
import subprocess, sys, time
pipes = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}}
children = [subprocess.Popen([sys.executable, "-c", {child!r}], **pipes) for _ in range(3)]
for one in children:
    one.stdout.readline()
time.sleep(1)
for one in children:
    one.communicate(b"go")
"""
    # Measured from a small process, as run.py is: the kernel's peak of a child is never below that of its parent.
    measure = f"""
import sys; from pathlib import Path; from processes import run
for sampled in (True, False):
    print(run([sys.executable, "-c", {parent!r}], Path({str(tmp_path)!r}), sample_memory=sampled).megabytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", measure],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    whole, largest = map(float, done.stdout.split())
    assert whole > 120
    assert 40 < largest < 100


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
