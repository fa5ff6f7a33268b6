"""What explains a loss that is hardly better than that of the label frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.page import WARNING, Span, prose, title_lines
from ce_cli.render.text import number, plural

if TYPE_CHECKING:
    from ce_cli.render.page import Line
    from ce_cli.report import Report

_INDENT = "  "


def lines(report: Report, width: int, *, color: bool) -> list[Line]:  # noqa: ARG001 - nothing depends on it
    """Return each explanation, what it would give, and what to do."""
    found = report.sections["diagnosis"]
    rows = f"a mistake that explains the loss, tried on the first {plural(found[0]['n'], 'row')}"
    page = title_lines("diagnosis", rows, width)
    for one in found:
        page += prose(Span(_INDENT), one["message"], width, WARNING)
        loss, skill = (number(one[name], 4) for name in ("cross_entropy", "skill"))
        given = f"{number(one['given_cross_entropy'], 4)} and {number(one['given_skill'], 4)}"
        told = f"cross_entropy {loss} {report.unit}, skill {skill}, instead of {given}"
        page += prose(Span(_INDENT * 2), told, width)
        page += prose(Span(_INDENT * 2), f"to do: {one['fix']}", width)
    return page
