"""Whole processes: how long they take, and how much memory they and their children hold."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Compiled modules are kept, as they are where a package was installed; the untimed rounds write them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
SAMPLE_SECONDS = 0.004
_BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024
_PROC = Path("/proc")
# A run that takes more is ended, before the machine swaps or its kernel ends something else.
MOST_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True)
class Run:
    """One process, from start to exit, with the children that it waited for; `error` tells how it failed."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    stdout: str
    error: str | None


def run(command: list[str], folder: Path, *, sample_memory: bool) -> Run:
    """Run a command in a folder to its end and measure it.

    With sample_memory, `megabytes` is the largest memory of the whole tree of processes that was seen, which costs time;
    without, and elsewhere than on Linux, the peak of the largest process alone. Only where it is sampled, a run that takes
    half of the machine is ended.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            process_group=0,
        )
        try:
            sampled = sampled_peak(process.pid) if sample_memory and _PROC.exists() else 0
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        error = None
        if process.returncode != 0:
            last_lines = stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            error = f"exit code {process.returncode}: {''.join(last_lines)}"
        if sampled > MOST_BYTES:
            error = f"ended at {sampled / 1e9:.1f} GB, more than half of the machine's memory"
        # The kernel's own peak of a single process misses nothing, and shares no page with strangers.
        peak = max(sampled, usage.ru_maxrss * _BYTES_PER_MAXRSS)
        cpu_seconds = usage.ru_utime + usage.ru_stime
        return Run(seconds, cpu_seconds, peak / 1e6, stdout.read().decode(errors="replace"), error)


def sampled_peak(pid: int) -> int:
    """Return the most bytes seen in a process and its descendants until it ends; it is left to be waited for."""
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        peak = max(peak, sum(map(proportional_bytes, tree(pid))))
        if peak > MOST_BYTES:
            os.killpg(pid, signal.SIGKILL)
            break
        time.sleep(SAMPLE_SECONDS)
    return peak


def tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants, as far as they are there."""
    yield pid
    with contextlib.suppress(OSError):
        for children in (_PROC / str(pid) / "task").glob("*/children"):
            for child in children.read_text().split():
                yield from tree(int(child))


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process, a page that n processes share counted as an n-th; 0 if it is gone."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
