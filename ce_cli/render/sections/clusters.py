"""What rows that depend on each other do to the interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.page import TITLE, Span, prose
from ce_cli.render.text import number, plural

if TYPE_CHECKING:
    from ce_cli.render.page import Line
    from ce_cli.report import Report


def lines(report: Report, width: int, *, color: bool) -> list[Line]:  # noqa: ARG001 - as every section
    """Say how many clusters there are, and how far off the standard error of independent rows is."""
    section = report.sections["clusters"]
    found = f"column {section['column']}: {plural(section['clusters'], 'cluster')}, the largest "
    found += f"has {plural(section['largest'], 'row')}"
    error, independent = report.metrics["cross_entropy"].stderr, section.get("stderr_independent")
    if error is not None and independent:
        units = "sequences" if "sequences" in report.counts else "rows"
        found += f"; the standard error is {number(error / independent, 3)} times that of independent {units}"
    return prose(Span("clusters  ", TITLE), found, width)
