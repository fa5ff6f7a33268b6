"""Compare ce-eval with other ways to compute the same number: whole processes, run alternately, judged by ratio.

This process imports nothing outside the standard library, and the data are made in a process of their own: the peak
memory that Linux reports for a child is never below that of the process that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# Compiled modules are kept, as they are where a package was installed; the untimed round writes them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
TOLERANCE = 1e-9
BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024
RSS_LIMIT = 250.0
PACKAGES = ("ce-eval", "click", "duckdb", "numpy", "pandas", "polars", "pyarrow", "scikit-learn")


@dataclass(frozen=True)
class Limit:
    """What is asked of ce-eval in one row of the table; None: nothing."""

    ratio: float | None = None
    seconds: float | None = None
    megabytes: float | None = None


@dataclass(frozen=True)
class Job:
    """One evaluation, and the peers that do it too, each with the limit it sets."""

    data_set: str
    predictions: str
    labels: str
    peers: dict[str, Limit]


@dataclass(frozen=True)
class Run:
    """One process, from start to exit."""

    seconds: float
    megabytes: float
    stdout: str
    error: str | None


@dataclass
class Comparison:
    """The runs of ce-eval and of one peer in a job; `ours[i]` and `peer[i]` are a pair, run one after the other."""

    job: str
    peer_name: str
    limit: Limit
    ours: list[Run] = field(default_factory=list)
    peer: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def ratio(self) -> float | None:
        """Return the median of the pairwise time ratios, ours over the peer's; None if either failed."""
        if not (self.ours and self.peer):
            return None
        return median(ours.seconds / peer.seconds for ours, peer in zip(self.ours, self.peer, strict=True))


FLOOR = "import click, numpy, pyarrow.csv"
FASTEST = Limit(ratio=1.0, megabytes=RSS_LIMIT)
LEAN = Limit(megabytes=RSS_LIMIT)
ALL_PEERS = {"polars_stream": FASTEST, "duckdb_join": LEAN, "pandas_sklearn": LEAN}
TWO_PEERS = {"polars_stream": FASTEST, "pandas_sklearn": LEAN}
JOIN_PEERS = {"duckdb_join": Limit(ratio=1.0), "pandas_sklearn": Limit()}

JOBS = {
    "binary CSV": Job("binary", "predictions.csv", "labels.csv", ALL_PEERS),
    "binary Parquet": Job("binary", "predictions.parquet", "labels.parquet", ALL_PEERS),
    "binary Parquet, other order": Job("binary", "predictions.parquet", "labels_shuffled.parquet", JOIN_PEERS),
    "10 classes CSV": Job("classes", "predictions.csv", "labels.csv", TWO_PEERS),
    "10 classes Parquet": Job("classes", "predictions.parquet", "labels.parquet", TWO_PEERS),
    "1,000 logits Parquet": Job("logits", "predictions.parquet", "labels.parquet", {"pyarrow_read": LEAN}),
    "1,000 rows CSV": Job("small", "predictions.csv", "labels.csv", {"floor": Limit(seconds=0.25)}),
}
WITHOUT_LOSS = {"pyarrow_read", "floor"}


def run(command: list[str]) -> Run:
    """Run a command to its end and measure it."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        error = None
        if process.returncode != 0:
            last_lines = stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            error = f"exit code {process.returncode}: {''.join(last_lines)}"
        megabytes = usage.ru_maxrss * BYTES_PER_MAXRSS / 1e6
        return Run(seconds, megabytes, stdout.read().decode(errors="replace"), error)


def our_command(predictions: Path, labels: Path) -> list[str]:
    """Return the command line of ce-eval."""
    return [sys.executable, "-m", "ce_cli", str(predictions), "--labels", str(labels), "--json"]


def peer_command(name: str, predictions: Path, labels: Path) -> list[str]:
    """Return the command line of a peer."""
    if name == "floor":
        return [sys.executable, "-c", FLOOR]
    return [sys.executable, str(HERE / "peers" / f"{name}.py"), str(predictions), str(labels)]


def our_loss(stdout: str) -> float:
    """Read the loss from a JSON report."""
    return float(json.loads(stdout)["metrics"]["cross_entropy"]["value"])


def problem(name: str, result: Run, expected: float) -> str | None:
    """Return what is wrong with a run: a failure or another loss than expected."""
    if result.error is not None:
        return f"{name} failed, {result.error}"
    if name in WITHOUT_LOSS:
        return None
    try:
        loss = our_loss(result.stdout) if name == "ce-eval" else float(result.stdout)
    except (ValueError, LookupError, TypeError) as error:
        return f"{name} printed no loss: {error!r}"
    if not abs(loss - expected) <= TOLERANCE:
        return f"MISMATCH: {name} says {loss!r}, expected {expected!r}"
    return None


def compare(name: str, job: Job, peer_name: str, folder: Path, pairs: int) -> Comparison:
    """Run both sides once untimed, then in timed pairs whose order alternates; a side that goes wrong drops out."""
    comparison = Comparison(name, peer_name, job.peers[peer_name])
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["cross_entropy"]
    files = folder / job.predictions, folder / job.labels
    sides = [
        ("ce-eval", our_command(*files), comparison.ours),
        (peer_name, peer_command(peer_name, *files), comparison.peer),
    ]
    for round_number in range(pairs + 1):
        for side in list(sides):
            side_name, command, runs = side
            result = run(command)
            trouble = problem(side_name, result, expected)
            if trouble is not None:
                comparison.problems.append(f"{name}: {trouble}")
                runs.clear()
                sides.remove(side)
            elif round_number > 0:
                runs.append(result)
        sides.reverse()
    return comparison


def typical(runs: list[Run]) -> tuple[float, float] | None:
    """Return the median seconds and megabytes."""
    if not runs:
        return None
    return median(result.seconds for result in runs), median(result.megabytes for result in runs)


def cell(value: float | None, digits: int) -> str:
    """Format a number of the table."""
    return "failed" if value is None else f"{value:.{digits}f}"


def verdict(comparison: Comparison) -> str:
    """Format the limits of a row, each with what came of it."""
    seconds, megabytes = typical(comparison.ours) or (None, None)
    limit = comparison.limit
    measured = [
        ("ratio ≤ {:.2f}", limit.ratio, comparison.ratio()),
        ("≤ {:.2f} s", limit.seconds, seconds),
        ("≤ {:.0f} MB", limit.megabytes, megabytes),
    ]
    parts = []
    for text, bound, value in measured:
        if bound is not None:
            outcome = "" if value is None else " ✓" if value <= bound else " ✗"
            parts.append(text.format(bound) + outcome)
    return ", ".join(parts)


def row(comparison: Comparison) -> str:
    """Format one row of the Markdown table."""
    ours, peer = typical(comparison.ours) or (None, None), typical(comparison.peer) or (None, None)
    ratio = comparison.ratio()
    cells = [
        comparison.job,
        cell(ours[0], 2),
        cell(ours[1], 0),
        comparison.peer_name,
        cell(peer[0], 2),
        cell(peer[1], 0),
        "–" if ratio is None else cell(ratio, 2),
        verdict(comparison),
    ]
    return f"| {' | '.join(cells)} |"


def raw(comparison: Comparison) -> dict[str, object]:
    """Return the measurements of a comparison, in the order of its pairs."""
    return {
        "job": comparison.job,
        "peer": comparison.peer_name,
        "limit": asdict(comparison.limit),
        "ratio": comparison.ratio(),
        "ours": [{"seconds": result.seconds, "megabytes": result.megabytes} for result in comparison.ours],
        "theirs": [{"seconds": result.seconds, "megabytes": result.megabytes} for result in comparison.peer],
        "problems": comparison.problems,
    }


def environment() -> dict[str, object]:
    """Return what the times depend on."""
    versions = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "packages": versions,
    }


def make_data(folder: Path, scale: float, names: list[str]) -> None:
    """Make the data sets that are absent, in a process of its own."""
    command = [sys.executable, str(HERE / "make_data.py"), str(folder), *names, "--scale", str(scale)]
    subprocess.run(command, check=True)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE / "data", metavar="FOLDER", help="made here if absent")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the numbers of rows by this")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs of each comparison")
    parser.add_argument("--only", default="", metavar="PATTERN", help="regular expression, jobs to run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to this file")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or not arguments.scale > 0:
        parser.error("--pairs must be at least 1, --scale above 0")
    return arguments


def select(pattern: str) -> dict[str, Job]:
    """Return the jobs whose name matches the pattern, in any case."""
    jobs = {name: job for name, job in JOBS.items() if re.search(pattern, name, re.IGNORECASE)}
    if not jobs:
        sys.exit(f"no job matches {pattern!r}; there are: {'; '.join(JOBS)}")
    return jobs


def compare_all(jobs: dict[str, Job], folder: Path, pairs: int) -> list[Comparison]:
    """Run every comparison and print its row as soon as it is known."""
    print("| job | ours (s) | ours (MB) | peer | peer (s) | peer (MB) | ratio | limit |")
    print("|---|--:|--:|---|--:|--:|--:|---|", flush=True)
    comparisons = []
    for name, job in jobs.items():
        for peer_name in job.peers:
            comparison = compare(name, job, peer_name, folder / job.data_set, pairs)
            print(row(comparison), flush=True)
            comparisons.append(comparison)
    return comparisons


def main() -> int:
    """Run the benchmark; return 1 if a command failed or gave another loss than expected."""
    arguments = parse_arguments()
    jobs = select(arguments.only)
    folder = arguments.data.resolve() / f"scale-{arguments.scale:g}"
    make_data(folder, arguments.scale, sorted({job.data_set for job in jobs.values()}))
    comparisons = compare_all(jobs, folder, arguments.pairs)
    problems = [text for comparison in comparisons for text in comparison.problems]
    for text in dict.fromkeys(problems):
        print(f"!!! {text}", file=sys.stderr)
    if arguments.json is not None:
        content = {
            "environment": environment(),
            "scale": arguments.scale,
            "comparisons": [raw(comparison) for comparison in comparisons],
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
