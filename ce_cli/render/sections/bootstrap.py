"""The bootstrap on the page: what was resampled, and the interval of every metric that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.metrics import IN_UNIT
from ce_cli.render.page import GAP, Span, entries_of, prose, title_lines
from ce_cli.render.text import number

if TYPE_CHECKING:
    from rich.text import Text

    from ce_cli.report import Report


_MANY = 1000  # from here on three digits are not all that stand before the point


def lines(report: Report, width: int, *, color: bool) -> list[Text]:  # noqa: ARG001 - the same with colours
    """Return the intervals."""
    found = report.sections["bootstrap"]
    told = f"{found['replicates']:,} resamples of whole {found['unit']}s, seed {found['seed']}"
    if found["unit"] == "row":
        told = f"{found['replicates']:,} resamples of the rows, seed {found['seed']}"
    if found["empty"]:
        told += f", {found['empty']:,} of them without any and left out"
    title = title_lines("bootstrap", told, width)
    if not found["metrics"]:
        why = "an infinite loss" if report.counts["infinite"] else f"too few {found['unit']}s"
        return [*title, *prose(Span(GAP), f"no interval: {why}", width)]
    entries = [
        (
            name,
            f"{100 * report.confidence:g} % from {number(one['lower'], like=one['value'])} "
            f"to {number(one['upper'], like=one['value'])}" + (f" {report.unit}" if name in IN_UNIT else ""),
            f"standard error {number(one['stderr'], 3 if one['stderr'] < _MANY else 6)}",
        )
        for name, one in found["metrics"].items()
    ]
    return [*title, *entries_of(entries, width)]
