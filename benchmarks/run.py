"""Compare ce-eval with other ways to get the same: whole processes, run alternately, judged by ratio.

This process imports nothing outside the standard library, and the data are made in a process of their own: the peak
memory that Linux reports for a child is never below that of the process that started it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import table
from comparison import Contest, Installed
from jobs import JOBS
from processes import ENVIRONMENT

if TYPE_CHECKING:
    from comparison import Comparison
    from jobs import Job

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
LARGE_BYTES = "5.6 GB"


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE / "data", metavar="FOLDER", help="made here if absent")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the numbers of rows by this")
    parser.add_argument("--pairs", type=int, default=5, help="timed pairs of each comparison")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="regular expression: jobs to run, 'NAME against NAME'"
    )
    parser.add_argument(
        "--large", action="store_true", help=f"also the jobs of 100 million rows, {LARGE_BYTES} of data"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PYTHON",
        help="another interpreter for the peers whose package this one lacks (repeatable)",
    )
    parser.add_argument("--list", action="store_true", help="only tell the names of the jobs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to this file")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=PAGE,
        metavar="PAGE",
        help=f"put the table into {PAGE.name}, or this page",
    )
    arguments = parser.parse_args()
    if arguments.pairs < 1 or not arguments.scale > 0:
        parser.error("--pairs must be at least 1, --scale above 0")
    if arguments.write is not None and arguments.only:
        parser.error("--write replaces the whole table: it goes without --only")
    return arguments


def title(job: Job) -> str:
    """Return what tells a job from all others."""
    return job.name if job.other is None else f"{job.name} against {job.other.name}"


def select(pattern: str, *, large: bool) -> list[Job]:
    """Return the jobs whose title matches the pattern, in any case."""
    jobs = [job for job in JOBS if re.search(pattern, title(job), re.IGNORECASE) and (large or not job.large)]
    if not jobs:
        sys.exit(f"no job matches {pattern!r}; --list tells their names, and some need --large")
    return jobs


def make_data(folder: Path, scale: float, jobs: list[Job]) -> None:
    """Make the data sets that are absent, in a process of its own."""
    names = sorted({side.files.data_set for job in jobs for side in job.sides()})
    command = [sys.executable, str(HERE / "make_data.py"), str(folder), *names, "--scale", str(scale)]
    subprocess.run(command, check=True)


def tell_what_is_measured(folder: Path) -> None:
    """Say which copy of the package runs, started as the jobs start it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-c", "import ce_cli; print(ce_cli.__version__, ce_cli.__path__[0])"]
        done = subprocess.run(command, cwd=scratch, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit("ce-eval is not installed for this Python: pip install '.[bench]'")
    print(f"ce-eval {done.stdout.strip()}", file=sys.stderr)


def compare_all(jobs: list[Job], folder: Path, installed: Installed, pairs: int) -> list[Comparison]:
    """Run every comparison and print its row as soon as it is known."""
    print(table.HEADER, flush=True)
    comparisons = []
    for job in jobs:
        comparison = Contest(job, folder, installed).run(pairs)
        print(table.row(comparison), flush=True)
        comparisons.append(comparison)
    return comparisons


def main() -> int:
    """Run the benchmark; return 1 if a command failed or gave another loss than expected."""
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(map(title, JOBS)))
        return 0
    jobs = select(arguments.only, large=arguments.large)
    folder = arguments.data.resolve() / f"scale-{arguments.scale:g}"
    make_data(folder, arguments.scale, jobs)
    tell_what_is_measured(folder)
    installed = Installed([sys.executable, *arguments.python])
    comparisons = compare_all(jobs, folder, installed, arguments.pairs)
    problems = [text for comparison in comparisons for text in comparison.problems]
    for text in dict.fromkeys(problems):
        print(f"!!! {text}", file=sys.stderr)
    environment = table.environment(installed)
    if arguments.json is not None:
        content = {
            "environment": environment,
            "scale": arguments.scale,
            "comparisons": [comparison.raw() for comparison in comparisons],
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if arguments.write is not None:
        table.write(arguments.write, table.page(comparisons, environment, pairs=arguments.pairs, scale=arguments.scale))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
