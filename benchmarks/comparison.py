"""One comparison: the runs of both sides, whether they are right, and what they come to."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from processes import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs import Job, Side
    from processes import Run

UNTIMED_ROUNDS = 2


@dataclass
class Comparison:
    """The timed runs of a job, by side: the i-th of both are a pair, run one after the other; and their peak memory."""

    job: Job
    rows: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    rows_of: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    skipped: str | None = None

    def seconds(self, side: Side | None) -> float | None:
        """Return the median time of a side."""
        runs = None if side is None else self.runs.get(side.name)
        return median(one.seconds for one in runs) if runs else None

    def megabytes(self, side: Side | None) -> float | None:
        """Return the peak memory of a side."""
        return None if side is None else self.peaks.get(side.name)

    def ratio(self) -> float | None:
        """Return the median of the ratios of the pairs, ours over theirs."""
        ratios = self._ratios()
        return median(ratios) if ratios else None

    def spread(self) -> tuple[float, float]:
        """Return the least and the largest ratio of a pair."""
        ratios = self._ratios()
        return min(ratios), max(ratios)

    def difference(self) -> float | None:
        """Return the median of what ours takes longer in a pair, in seconds."""
        pairs = self._pairs()
        return median(ours - theirs for ours, theirs in pairs) if pairs else None

    def raw(self) -> dict[str, object]:
        """Return every measurement, pairs in their order."""
        return {
            "job": self.job.name,
            "against": None if self.job.other is None else self.job.other.name,
            "limit": asdict(self.job.limit),
            "ratio": self.ratio(),
            "seconds_more": self.difference(),
            "sides": {
                name: {
                    "rows": self.rows_of[name],
                    "seconds": [one.seconds for one in runs],
                    "cpu_seconds": [one.cpu_seconds for one in runs],
                    "megabytes": self.peaks.get(name),
                }
                for name, runs in self.runs.items()
            },
            "problems": self.problems,
            "skipped": self.skipped,
        }

    def _pairs(self) -> list[tuple[float, float]]:
        if self.job.other is None:
            return []
        ours, theirs = (self.runs.get(side.name, []) for side in (self.job.ours, self.job.other))
        if not (ours and theirs):
            return []
        return [(mine.seconds, other.seconds) for mine, other in zip(ours, theirs, strict=True)]

    def _ratios(self) -> list[float]:
        if self.job.other is None:
            return []
        factor = 1.0
        if self.job.per_row:
            factor = self.rows_of[self.job.other.name] / self.rows_of[self.job.ours.name]
        return [ours / theirs * factor for ours, theirs in self._pairs()]


@dataclass(frozen=True)
class Found:
    """A package, and the interpreter that has it."""

    python: str
    version: str


class Installed:
    """Looks for packages in several interpreters; the first that has one is used."""

    def __init__(self, pythons: Sequence[str]) -> None:
        self._pythons = pythons
        self._found: dict[str, Found | None] = {}

    def find(self, package: str) -> Found | None:
        """Return where a package is installed."""
        if package not in self._found:
            self._found[package] = next(filter(None, (installed_in(python, package) for python in self._pythons)), None)
        return self._found[package]


def installed_in(python: str, package: str) -> Found | None:
    """Return a package of an interpreter."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return Found(python, done.stdout.strip()) if done.returncode == 0 else None


class Contest:
    """Runs a job on the data sets of a folder."""

    def __init__(self, job: Job, folder: Path, installed: Installed) -> None:
        self._job = job
        self._folder = folder
        self._installed = installed
        self._expected = {side.name: expected(folder, side) for side in job.sides()}
        rows = {name: int(told["rows"]) for name, told in self._expected.items()}
        self._result = Comparison(job, rows[job.ours.name], rows_of=rows)

    def run(self, pairs: int) -> Comparison:
        """Run the sides in turn, first untimed for their memory; which begins alternates, and one that goes wrong drops out."""
        result, sides = self._result, []
        for side in self._job.sides():
            found = None if side.package is None else self._installed.find(side.package)
            if found is not None:
                side = replace(side, command=(found.python, *side.command[1:]))
            elif side.package is not None:
                result.skipped = f"no {side.package} here"
                continue
            sides.append(side)
            result.runs[side.name] = []
        for number in range(UNTIMED_ROUNDS + pairs):
            timed = number >= UNTIMED_ROUNDS
            for side in list(sides):
                done = self._run(side, sample_memory=not timed)
                trouble = self._problem(side, done)
                if trouble is not None:
                    result.problems.append(f"{self._job.name}: {trouble}")
                    result.runs[side.name].clear()
                    sides.remove(side)
                elif timed:
                    result.runs[side.name].append(done)
                else:
                    result.peaks[side.name] = max(result.peaks.get(side.name, 0.0), done.megabytes)
            sides.reverse()
        return result

    def _run(self, side: Side, *, sample_memory: bool) -> Run:
        """Run a side once; what it writes goes beside the data and is removed."""
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            folder = self._folder / side.files.data_set
            paths = {
                "predictions": folder / side.files.predictions,
                "labels": folder / (side.files.labels or "none"),
                "output": Path(scratch) / "output",
            }
            command = [word.format_map(paths) for word in side.command]
            return run(command, Path(scratch), sample_memory=sample_memory)

    def _problem(self, side: Side, done: Run) -> str | None:
        """Return what is wrong with a run: a failure, or another loss than expected."""
        if done.error is not None:
            return f"{side.name} failed, {done.error}"
        if side.loss is None:
            return None
        try:
            loss = side.loss(done.stdout)
        except (ValueError, LookupError, TypeError) as error:
            return f"{side.name} printed no loss: {error!r}"
        wanted = self._expected[side.name]["cross_entropy"]
        if not abs(loss - wanted) <= side.tolerance:
            return f"MISMATCH: {side.name} says {loss!r}, expected {wanted!r}"
        return None


def expected(folder: Path, side: Side) -> dict[str, float]:
    """Return the number of rows and the loss of the data that a side reads."""
    mark = folder / side.files.data_set / "expected.json"
    told: dict[str, float] = json.loads(mark.read_text(encoding="utf-8"))
    return told
