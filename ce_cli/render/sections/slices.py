"""The slices of every `--by`, those that cost the most first; small ones share a line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ce_cli.render.page import (
    BAD,
    GAP,
    GOOD,
    QUIET,
    Column,
    Span,
    fitting,
    grid,
    line_of,
    names_column,
    numbers_column,
    prose,
    title_lines,
)
from ce_cli.render.text import ELLIPSIS, cell_number, number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.render.page import Line
    from ce_cli.report import Report

MAX_SLICES = 20
_NO_DIFFERENCE = "~"
# What gives way where lines are short, first things first.
_GIVE_WAY = ("p", "accuracy", "interval", "share", "finite loss")

Slice = dict[str, Any]


def lines(report: Report, width: int, *, color: bool) -> list[Line]:  # noqa: ARG001 - no bars here
    """Return a table for each `--by`."""
    tables: dict[tuple[str, ...], list[Slice]] = {}
    for one in report.slices:
        tables.setdefault(tuple(one["by"]), []).append(dict(one))
    found: list[Line] = []
    for columns, slices in tables.items():
        found += [line_of(""), *_table(report, columns, slices, width)]
    return found[1:]


def _table(report: Report, columns: tuple[str, ...], slices: Sequence[Slice], width: int) -> list[Line]:
    large = [one for one in slices if not one["small"]]
    shown, others, small = large[:MAX_SLICES], large[MAX_SLICES:], [one for one in slices if one["small"]]
    remark = f"loss in {report.unit}, those that cost the most first"
    found = title_lines(f"slices by {' * '.join(columns)}", remark, width)
    if shown:
        found += grid(fitting(_columns(shown, 1 - report.confidence), width, _GIVE_WAY), width, ("skill",))
    for rest, what in ((others, "more slice"), (small, "slice")):
        if rest:
            found += prose(Span(GAP), _folded(rest, what, len(small)), width, QUIET)
    if small and not shown and not others:
        found += prose(
            Span(GAP), f"lower --min-slice, or cut numbers into intervals: --by {columns[0]}:quantiles=4", width, QUIET
        )
    if any("difference" in one for one in shown):
        level = f"{100 * (1 - report.confidence):.3g} %"
        text = (
            f"vs rest: difference from all other rows; {_NO_DIFFERENCE}: none is detected at {level}, adjusted by Holm"
        )
        found += prose(Span(GAP), text, width, QUIET)
    return found


def _folded(rest: Sequence[Slice], what: str, small: int) -> str:
    """Return one line on slices that have none of their own."""
    rows = sum(one["n"] for one in rest)
    shares = [one["share_of_loss"] for one in rest if "share_of_loss" in one]
    loss = f" and {percent(max(math.fsum(shares), 0.0))} of the loss" if len(shares) == len(rest) else ""
    few = " too small to be judged (--min-slice)" if small and what == "slice" else ""
    return f"{ELLIPSIS} and {plural(len(rest), what)}{few} with {plural(rows, 'row')}{loss}"


def _columns(slices: Sequence[Slice], level: float) -> list[Column]:
    infinite = any(one["infinite"] for one in slices)
    columns = [
        names_column("slice", (", ".join(one["by"].values()) for one in slices)),
        numbers_column("rows", (f"{one['n']:,}" for one in slices)),
        numbers_column("loss", (_metric(one, "cross_entropy") for one in slices)),
        numbers_column("infinite", (f"{one['infinite']:,}" if infinite else "-" for one in slices)),
        numbers_column("finite loss", (_finite(one) if infinite else "-" for one in slices)),
        numbers_column("interval", (_interval(one) for one in slices), QUIET),
        numbers_column("skill", (_metric(one, "skill", _percent) for one in slices)),
        numbers_column("accuracy", (_metric(one, "accuracy", _percent) for one in slices)),
        numbers_column("share", (_optional(one.get("share_of_loss"), _percent) for one in slices)),
        _against_rest(slices, level),
        numbers_column("p", (_optional(one.get("difference", {}).get("p_holm"), _p) for one in slices)),
    ]
    empty = {"-"}
    return [column for column in columns if {cell.text for cell in column.cells} != empty]


def _against_rest(slices: Sequence[Slice], level: float) -> Column:
    """Return the differences from all other rows, with a sign, but none where none is detected."""
    return Column("vs rest", tuple(_difference(one.get("difference"), level) for one in slices))


def _difference(difference: dict[str, float] | None, level: float) -> Span:
    if difference is None:
        return Span("-")
    if not difference["p_holm"] < level:
        return Span(_NO_DIFFERENCE, QUIET)
    worse = difference["value"] > 0
    return Span(("+" if worse else "") + cell_number(difference["value"]), BAD if worse else GOOD)


def _interval(one: Slice) -> str:
    metric = one["metrics"].get("cross_entropy", {})
    if "lower" not in metric:
        return "-"
    return f"{number(metric['lower'], 4, like=metric['value'])} to {number(metric['upper'], 4, like=metric['value'])}"


def _finite(one: Slice) -> str:
    """Return the loss of the rows of a slice that have a finite one, which are all where none is infinite."""
    return _metric(one, "cross_entropy_finite" if one["infinite"] else "cross_entropy")


def _metric(one: Slice, name: str, shown: Callable[[float], str] = cell_number) -> str:
    return _optional(one["metrics"].get(name, {}).get("value"), shown)


def _optional(value: float | None, shown: Callable[[float], str]) -> str:
    return "-" if value is None else shown(value)


def _percent(value: float) -> str:
    """Return a share in percent, also a negative one."""
    if math.isinf(value):
        return number(value)
    return f"-{percent(-value)}" if value < 0 else percent(value)


def _p(value: float) -> str:
    return number(value, 2)
