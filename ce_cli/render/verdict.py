"""What to know of the data, whether every gate passed, and the line that says how the number was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    KEY,
    MAX_PROSE,
    QUIET,
    TITLE,
    WARNING,
    Column,
    Line,
    Span,
    fitting,
    grid,
    line_of,
    names_column,
    needed,
    numbers_column,
    prose,
)
from ce_cli.render.text import cell_width, chunks, number, optional, plural, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.report import GateResult, Issue


def issue_lines(issues: Sequence[Issue], width: int) -> list[Line]:
    """Return the warnings and notes, each with its rows and its hint."""
    return [line for issue in issues for line in _issue(issue, width)]


def _issue(issue: Issue, width: int) -> list[Line]:
    lead = f"{issue.severity:<7}" + GAP
    blank = Span(" " * len(lead))
    lines = prose(Span(lead, WARNING if issue.severity == "warning" else KEY), issue.message, width)
    if issue.first_rows:
        lines += prose(blank, _first_rows(issue), width, QUIET)
    if issue.hint:
        lines += prose(blank, f"hint: {issue.hint}", width)
    return lines


def _first_rows(issue: Issue) -> str:
    rows = ", ".join(map(str, issue.first_rows))
    if issue.count > len(issue.first_rows):
        if issue.message.partition(" ")[2].startswith("cell"):  # several of them may be of one row
            return f"the first of {issue.count:,} cells are in rows {rows}"
        return f"the first of {issue.count:,} rows: {rows}"
    return f"row {rows}" if len(issue.first_rows) == 1 else f"rows {rows}"


def gate_lines(gates: Sequence[GateResult], width: int) -> list[Line]:
    """Return a line for every gate, and whether all of them passed."""
    if not gates:
        return []
    columns = [
        Column("", tuple(Span("PASS", GOOD) if gate.passed else Span("FAIL", BAD) for gate in gates)),
        names_column("model", (gate.model or "" for gate in gates)),
        names_column("gate", (gate.expression for gate in gates)),
        numbers_column("observed", (optional(gate.observed, number) for gate in gates)),
        numbers_column("bound", (f"{gate.bound:.12g}" for gate in gates)),
        numbers_column("margin", (optional(gate.margin, number) for gate in gates)),
    ]
    # Models are told apart by their whole names: where these have no room beside the gates, they stand below them.
    below = needed([column for column in columns if column.heading != "bound"], longest=MAX_PROSE) > width
    if below or all(gate.model is None for gate in gates):
        columns = [column for column in columns if column.heading != "model"]
    columns = fitting(columns, width, ("bound",))  # the expression ends in it, also where its middle is cut
    heading, *lines = grid(columns, width, ("margin",))
    page = [line_of(Span("gates", TITLE)), heading]
    for gate, line in zip(gates, lines, strict=True):
        told = (f"model {gate.model}" if below and gate.model is not None else None, gate.reason)
        page += [line, *(part for text in told if text for part in prose(Span(" " * 8), text, width, QUIET))]
    return [*page, Line(), line_of(_closing(gates))]


def _closing(gates: Sequence[GateResult]) -> Span:
    failed = sum(not gate.passed for gate in gates)
    if failed:
        return Span(f"FAIL: {failed:,} of {plural(len(gates), 'gate')} failed", BAD)
    return Span(f"PASS: {len(gates):,} of {plural(len(gates), 'gate')} passed", f"bold {GOOD}")


def signature_lines(signature: str, width: int) -> list[Line]:
    """Return the signature, broken between its fields where it is too long for a line."""
    first, *fields = safe(signature).split("|")
    lines = [first]
    for field in fields:
        lines[-1] += "|"
        if cell_width(lines[-1] + field) < width:  # one column is left for the next separator
            lines[-1] += field
        else:
            lines.append(field)
    return [line_of(Span(part, QUIET)) for line in lines for part in chunks(line, width)]
