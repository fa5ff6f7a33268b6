"""Text for people: names that cannot harm a terminal, widths in terminal cells, and numbers in readable form.

Only the standard library: what has to be imported before an error can be shown should be little.
"""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ELLIPSIS = "…"

# Controls (C0, DEL, C1), invisible formatting (bidi overrides, zero-width characters, tags), lone surrogates (which no
# encoding can write), line and paragraph separators. So two names that differ only in one of these look different, too.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def safe(text: str) -> str:
    r"""Return the text with every control, format and line-separator character as a visible escape.

    ESC becomes `\x1b`, a right-to-left override `\u202e`. What is already safe comes back unchanged, so applying it
    twice does no harm; a backslash of the text itself stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in _UNSAFE else char for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def cell_width(text: str) -> int:
    """Return how many terminal cells a safe text takes: 2 for a wide East Asian character, 0 for a combining mark."""
    return len(text) if text.isascii() else sum(map(_char_cells, text))


def _char_cells(char: str) -> int:
    # The vowels and finals of decomposed Hangul are letters to Unicode, yet join the syllable before them.
    if unicodedata.category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return the text, with its middle replaced by an ellipsis where it takes more than `width` cells (at least 1)."""
    if cell_width(text) <= width:
        return text
    tail = _take(reversed(text), (width - 1) // 2)[::-1]
    while tail and _char_cells(tail[0]) == 0:  # a mark whose letter was cut away would join the ellipsis
        tail = tail[1:]
    return _take(text, width - 1 - cell_width(tail)) + ELLIPSIS + tail


def wrap(text: str, width: int) -> list[str]:
    """Return the text in lines of at most `width` cells (at least 2), broken at spaces, and within overlong words."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines += chunks(word, width)
    return lines or [""]


def chunks(text: str, width: int) -> list[str]:
    """Return the text in pieces of at most `width` cells (at least 2), broken anywhere."""
    pieces = []
    while text:
        piece = _take(text, width) or text[0]
        pieces.append(piece)
        text = text[len(piece) :]
    return pieces


def _take(chars: Iterable[str], width: int) -> str:
    taken: list[str] = []
    for char in chars:
        width -= _char_cells(char)
        if width < 0:
            break
        taken.append(char)
    return "".join(taken)


def number(value: float, digits: int = 6, like: float | None = None) -> str:
    """Return a number with `digits` significant digits, or with the decimals that `like` would have, for an interval.

    Fixed notation from 1e-4 up to 10**digits, else scientific; "0" is an exact zero; non-finite: "inf", "-inf", "nan".
    """
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    pattern = value if like is None or like == 0 or not math.isfinite(like) or abs(value) >= 10**digits else like
    # The exponent after rounding: 9.9999999 has that of 10.
    exponent = int(f"{pattern:.{digits - 1}e}".partition("e")[2])
    if -4 <= exponent < digits:
        return f"{value:z.{digits - 1 - exponent}f}"
    return f"{value:.{digits - 1}e}"


def cell_number(value: float) -> str:
    """Return a number for a column, whose decimal points should align: 5 decimals, or scientific if they say little."""
    if value == 0 or not math.isfinite(value):
        return number(value)
    return f"{value:.5f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def signed_number(value: float) -> str:
    """Return the same of a difference: with its sign."""
    return f"+{cell_number(value)}" if value > 0 else cell_number(value)


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, which shows 0 and 100 only where they are exact."""
    if 0 < share < 5e-4:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:g} %"


def plural(count: int, noun: str) -> str:
    """Return a count with thousands separators and its noun: `1 row`, `2,000 rows`, `3 classes`."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def optional(value: float | None, shown: Callable[[float], str] = cell_number) -> str:
    """Return a number as it is shown, and a dash where there is none."""
    return "-" if value is None else shown(value)
