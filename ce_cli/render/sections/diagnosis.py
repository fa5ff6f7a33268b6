"""What explains a loss that is hardly better than that of the label frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.table import QUIET, TITLE, WARNING, _line, _prose, _Span
from ce_cli.render.text import number, plural

if TYPE_CHECKING:
    from rich.text import Text

    from ce_cli.report import Report

_INDENT = "  "


def lines(report: Report, width: int, *, color: bool) -> list[Text]:  # noqa: ARG001 - nothing depends on it
    """Return each explanation, what it would give, and what to do."""
    found = report.sections["diagnosis"]
    rows = f"a mistake that explains the loss, tried on the first {plural(found[0]['n'], 'row')}"
    page = [_line(_Span("diagnosis", TITLE), _Span(_INDENT + rows, QUIET))]
    for one in found:
        page += _prose(_Span(_INDENT), one["message"], width, WARNING)
        loss, skill = (number(one[name], 4) for name in ("cross_entropy", "skill"))
        given = f"{number(one['given_cross_entropy'], 4)} and {number(one['given_skill'], 4)}"
        told = f"cross_entropy {loss} {report.unit}, skill {skill}, instead of {given}"
        page += _prose(_Span(_INDENT * 2), told, width)
        page += _prose(_Span(_INDENT * 2), f"to do: {one['fix']}", width)
    return page
