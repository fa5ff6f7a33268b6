"""The differences of a report from a baseline, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ce_cli.render.page import grid, names_column, numbers_column, title_lines
from ce_cli.render.text import cell_number, signed_number

if TYPE_CHECKING:
    from ce_cli.report import Report


def lines(report: Report, width: int) -> list[Any]:
    """Return a row for each metric that the baseline has too: its value here, and how much larger that is than there."""
    names = [name for name in report.metrics if name in report.deltas]
    columns = [
        names_column("metric", names),
        numbers_column("here", (cell_number(report.metrics[name].value) for name in names)),
        numbers_column("difference", (signed_number(report.deltas[name].value) for name in names)),
    ]
    return [*title_lines("differences from the baseline", "here - there", width), *grid(columns, width)]
