"""The results as a Markdown table, and the place of it in the documentation."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comparison import Comparison, Installed

PACKAGES = ("ce-eval", "click", "duckdb", "numpy", "pandas", "polars", "pyarrow", "scikit-learn", "torch")
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
HEADER = (
    "| job | rows | against | ours | theirs | result | limit | ours, MB | theirs, MB | limit, MB |\n"
    "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|"
)
ABSENT = "–"


def row(comparison: Comparison) -> str:
    """Format one row of the table."""
    job = comparison.job
    seconds = [comparison.seconds(side) for side in (job.ours, job.other)]
    memory = [comparison.megabytes(side) for side in (job.ours, job.other)]
    result, bound = outcome(comparison)
    cells = [
        job.name,
        f"{comparison.rows:,}",
        ABSENT if job.other is None else job.other.name,
        *(ABSENT if value is None else f"{value:.3g} s" if value < 10 else f"{value:.0f} s" for value in seconds),
        result,
        bound,
        *(ABSENT if value is None else f"{value:.0f}" for value in memory),
        judged("≤ {:.0f}", job.limit.megabytes, memory[0]),
    ]
    return f"| {' | '.join(cells)} |"


def outcome(comparison: Comparison) -> tuple[str, str]:
    """Format how the times compare, and the limit on that."""
    limit = comparison.job.limit
    if limit.seconds_more is not None:
        more = comparison.difference()
        told = why_absent(comparison) if more is None else f"{more * 1000:+.0f} ms"
        return told, judged("≤ +{:.0f} ms", limit.seconds_more, more, factor=1000)
    ratio = comparison.ratio()
    if ratio is None:
        return why_absent(comparison), judged("≤ {:.2f} ×", limit.ratio, None)
    least, most = comparison.spread()
    return f"**{ratio:.2f} ×** ({least:.2f}–{most:.2f})", judged("≤ {:.2f} ×", limit.ratio, ratio)


def why_absent(comparison: Comparison) -> str:
    """Say why a row has no result."""
    if comparison.skipped is not None:
        return comparison.skipped
    return "failed" if comparison.problems else ABSENT


def judged(text: str, bound: float | None, value: float | None, factor: float = 1) -> str:
    """Format a limit, with what came of it."""
    if bound is None:
        return ABSENT
    mark = "" if value is None else " ✓" if value <= bound else " ✗"
    return text.format(bound * factor) + mark


def environment(installed: Installed) -> dict[str, Any]:
    """Return what the times depend on."""
    found = {package: installed.find(package) for package in PACKAGES}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "platform": platform.platform(),
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
        "packages": {package: one.version for package, one in found.items() if one is not None},
    }


def processor() -> str:
    """Return the model of the processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def page(comparisons: Iterable[Comparison], of: dict[str, Any], *, pairs: int, scale: float) -> str:
    """Return the table below a paragraph on how and where it came about."""
    packages = ", ".join(f"{name} {number}" for name, number in of["packages"].items())
    scaled = "" if scale == 1 else f" **A trial at scale {scale:g}**: start-up dominates, limits do not apply."
    said = (
        f"{of['date']}; {of['processors']} × {of['processor']}, {of['gigabytes']} GB; {of['platform']}; "
        f"Python {of['python']}; {packages}. {pairs} pairs each.{scaled}"
    )
    return "\n".join([said, "", HEADER, *map(row, comparisons)])


def write(path: Path, text: str) -> None:
    """Replace what stands between the markers of a page."""
    before, opening, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, closing, after = rest.partition(END)
    if not (opening and closing):
        sys.exit(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
