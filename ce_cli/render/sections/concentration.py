"""How much of the loss comes from few rows, in a line or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.page import TITLE, Span, prose
from ce_cli.render.text import number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ce_cli.render.page import Line
    from ce_cli.report import Report

_ENOUGH = 100  # rows, so that 1 % of them is not just one of few
_NAME = "concentration  "


def lines(report: Report, width: int, *, color: bool) -> list[Line]:  # noqa: ARG001 - nothing depends on it
    """Return what the worst 1 % of the rows and the clipped ones make up."""
    found = report.sections["concentration"]
    page: list[Line] = []
    for text in _told(found, report):
        page += prose(Span(" " * len(_NAME)) if page else Span(_NAME, TITLE), text, width)
    return page


def _told(found: Mapping[str, float], report: Report) -> Iterator[str]:
    rows = int(found["top_1pct_rows"])
    if report.counts["scored"] >= _ENOUGH and "top_1pct_share" in found:
        yield _share(found, f"the worst 1 % ({plural(rows, 'row')})", "top_1pct", report.unit)
    if "clipped_share" in found:
        yield _share(found, plural(int(found["clipped_rows"]), "clipped row"), "clipped", report.unit)


def _share(found: Mapping[str, float], what: str, name: str, unit: str) -> str:
    mean = found.get(f"cross_entropy_without_{name}")
    rest = "" if mean is None else f", {number(mean, 3)} {unit} without them"
    return f"{what}: {percent(found[f'{name}_share'])} of the loss{rest}"
