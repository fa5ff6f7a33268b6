"""What every part of the page is made of: lines, prose beside its lead, and columns.

Every piece of text passes `safe` on its way into a line, and none of it is taken for markup.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from ce_cli.render.text import cell_width, cut, safe, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MIN_WIDTH = 40
MAX_PROSE = 100  # longer lines of prose are hard to read, however wide the terminal
MAX_NAME = 40  # for which other columns may have to give way; where there is room it may be longer
LEAST_NAME = 8
GAP = "  "

KEY, QUIET, TITLE = "cyan", "dim", "bold"
GOOD, BAD, WARNING = "green", "bold red", "yellow"

Line = Text


class Span(NamedTuple):
    """Text and its style."""

    text: str
    style: str = ""


# --- lines -----------------------------------------------------------------------------------------------------------


def line_of(*spans: Span | str) -> Line:
    """Return a line of text, safe to be shown."""
    text = Line()
    for span in spans:
        content, style = (span, "") if isinstance(span, str) else span
        text.append(safe(content), style)
    text.rstrip()
    return text


def title_lines(title: str, remark: str, width: int) -> list[Line]:
    """Return the title of a part of the page, which may hold names from data, and a quiet remark on it."""
    return with_remark(line_of(Span(cut(safe(title), width), TITLE)), remark, len(GAP), width)


def prose(lead: Span, text: str, width: int, style: str = "", most: int = MAX_PROSE) -> list[Line]:
    """Return the text wrapped beside its lead, such as a name or blanks, in lines of at most `most` columns."""
    indent = cell_width(safe(lead.text))
    lines = wrap(safe(text), min(width, most) - indent)
    return [line_of(Span(" " * indent) if i else lead, Span(line, style)) for i, line in enumerate(lines)]


def entries_of(entries: Sequence[tuple[str, str, str]], width: int, most: int = MAX_PROSE) -> list[Line]:
    """Return names, what is said about each, and a quiet remark on it; the names in a column of their own."""
    column = max((len(name) for name, _, _ in entries), default=0) + len(GAP)
    lines: list[Line] = []
    for name, text, remark in entries:
        *above, last = prose(Span(name.ljust(column), KEY), text, width, most=most)
        lines += [*above, *with_remark(last, remark, column, width)]
    return lines


def with_remark(line: Line, remark: str, column: int, width: int) -> list[Line]:
    """Return the line with the remark behind it, or below it where there is no room."""
    if not remark:
        return [line]
    if cell_width(line.plain) + len(GAP) + cell_width(remark) <= width:
        return [line.append(GAP + safe(remark), QUIET)]
    return [line, *prose(Span(" " * column), remark, width, QUIET)]


# --- columns ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """Cells below a heading; `name` marks text from data, which stands on the left and is cut where room is short."""

    heading: str
    cells: tuple[Span, ...]
    name: bool = False
    left: bool = False

    @property
    def width(self) -> int:
        """How many terminal cells its widest cell takes."""
        return max(map(cell_width, (self.heading, *(cell.text for cell in self.cells))))


def names_column(heading: str, names: Iterable[str], styles: Iterable[str] | None = None) -> Column:
    """Return a column of text from data."""
    cells = [cut(safe(name), MAX_PROSE) for name in names]
    return Column(heading, tuple(map(Span, cells, styles or [""] * len(cells))), name=True, left=True)


def numbers_column(heading: str, values: Iterable[str], style: str = "") -> Column:
    """Return a column of numbers."""
    # An infinite loss should not be overlooked between ordinary ones.
    return Column(heading, tuple(Span(value, BAD if value == "inf" else style) for value in values))


def needed(columns: Sequence[Column], longest: int = MAX_NAME) -> int:
    """Return how wide a line with these columns is, the names in it cut to what deserves room."""
    return sum(len(GAP) + (min(column.width, longest) if column.name else column.width) for column in columns)


def fitting(columns: Sequence[Column], width: int, give_way: Iterable[str]) -> list[Column]:
    """Return the columns without those, of these headings, that have to give way for a line to fit: the first first."""
    kept = list(columns)
    for heading in give_way:
        if needed(kept) > width:
            kept = [column for column in kept if column.heading != heading]
    return kept


def grid(columns: Sequence[Column], width: int, give_way: Iterable[str] = ()) -> list[Line]:
    """Return a line of headings and one for each row, indented, the names cut so that the lines fit.

    give_way: headings of columns that are left out, the first of them first, where names would have no room at all.
    """
    for heading in give_way:
        if needed(columns, LEAST_NAME) > width:
            columns = [column for column in columns if column.heading != heading]
    limit = max(column.width for column in columns)
    excess = needed(columns, limit) - width
    while excess > 0 and limit > 1:
        limit -= 1
        excess -= sum(column.name and column.width > limit for column in columns)
    widths = [min(column.width, limit) if column.name else column.width for column in columns]
    headings = tuple(Span(column.heading, QUIET) for column in columns)
    rows = (headings, *zip(*(column.cells for column in columns), strict=True))
    lines = [
        line_of(*(part for cell in zip(row, columns, widths, strict=True) for part in _padded(*cell))) for row in rows
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")  # only where numbers of absurd length fill the line by themselves
    return lines


def grid_beside(
    columns: Sequence[Column], shown: Mapping[str, Sequence[str | None]], width: int, give_way: Iterable[str] = ()
) -> list[Line]:
    """Return a grid with cells from data beside it, by column; where they do not fit, those of a row stand below it."""
    cells = {name: ["-" if cell is None else cell for cell in column] for name, column in shown.items()}
    whole = [*columns, *(names_column(name, column) for name, column in cells.items())]
    if not shown or needed(whole) <= width:
        return grid(whole, width, give_way)
    heading, *lines = grid(columns, width, give_way)
    page = [heading]
    for at, line in enumerate(lines):
        told = (f"{cut(safe(name), MAX_NAME)}: {cut(safe(column[at]), MAX_PROSE)}" for name, column in cells.items())
        page += [line, *prose(Span(GAP * 2), ", ".join(told), width, QUIET)]
    return page


def _padded(cell: Span, column: Column, width: int) -> tuple[str, Span, str]:
    text = cut(cell.text, width)
    blanks = " " * (width - cell_width(text))
    content = Span(text, cell.style)
    return (GAP, content, blanks) if column.left else (GAP + blanks, content, "")


# --- the page --------------------------------------------------------------------------------------------------------


def printed(sections: Iterable[list[Line]], *, color: bool) -> str:
    """Return sections with an empty line between them."""
    return _text_of(Line("\n\n").join(Line("\n").join(lines) for lines in sections if lines), color)


def _text_of(page: Line, color: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        force_terminal=color,
        # The sixteen colours of the user's own theme, which are legible on any background.
        color_system="standard" if color else None,
        no_color=not color,
        force_jupyter=False,
        legacy_windows=False,
    )
    console.print(page, soft_wrap=True, end="")
    return stream.getvalue()
