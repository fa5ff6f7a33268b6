"""The report as a page for people: what was decided, the number and what it means, where it comes from, the verdict.

Metrics carry the names that gates and the JSON report use. With and without colour the characters are the same, apart
from the bars. Names and values come from data: every piece of text passes `safe` on its way into a line, and none of it
is taken for markup.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ce_cli.render.header import header
from ce_cli.render.headline import headline, metrics
from ce_cli.render.origin import classes, worst
from ce_cli.render.page import MIN_WIDTH, printed
from ce_cli.render.verdict import gate_lines, issue_lines, signature_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.render.page import Line
    from ce_cli.report import Report


def render_table(report: Report, *, width: int, color: bool) -> str:
    """Return the page, without a newline at its end, in lines of at most `width` columns (never fewer than 40).

    With `color` the only escape sequences are those for colours and weights (SGR); without there are none.
    """
    width = max(width, MIN_WIDTH)
    sections = (
        header(report, width),
        headline(report, width),
        metrics(report, width),
        classes(report, width, "━" if color else "#"),
        worst(report, width),
        *_sections(report, width, color=color),
        _deltas(report, width),
        issue_lines(report.issues, width),
        gate_lines(report.gates, width),
        signature_lines(report.signature, width),
    )
    return printed(sections, color=color)


def _sections(report: Report, width: int, *, color: bool) -> Iterator[list[Line]]:
    """Yield what each section of the report says; only those that there are have their module imported."""
    for name in report.sections:
        module = import_module(f"ce_cli.render.sections.{name}")
        yield module.lines(report, width, color=color)


def _deltas(report: Report, width: int) -> list[Line]:
    if not report.deltas:
        return []
    from ce_cli.render import deltas

    return deltas.lines(report, width)
