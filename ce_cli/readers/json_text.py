"""JSON, one object a line (JSON Lines), and what is wrong where it is not."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ce_cli.errors import CeError
    from ce_cli.readers.lines import Line

_SHOWN = 40


class Repeating(dict[str, Any]):
    """An object that has keys twice, of which the last counts."""

    repeated: frozenset[str] = frozenset()


class NotAnObjectError(ValueError):
    """A line is no JSON object, or none that is complete."""


def objects(lines: Iterator[Line], path: str) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield the object of every line that is not blank. Raises CeError malformed_row where a line holds none."""
    for line in lines:
        if not line.text or line.text.isspace():
            continue
        try:
            found = object_of(line)
        except NotAnObjectError as error:
            raise malformed(str(error), line, path) from error
        if isinstance(found, Repeating):
            raise malformed(twice(found.repeated), line, path)
        yield line, found


def object_of(line: Line) -> dict[str, Any]:
    """Return the object of a line; NaN, Infinity and -Infinity, which Python writes, are numbers.

    One that has keys twice is `Repeating`. Raises NotAnObjectError, which says what is wrong.
    """
    try:
        found = json.loads(line.text, object_pairs_hook=_with_repeated)
    except (ValueError, RecursionError) as error:
        raise NotAnObjectError(_what_is_wrong(line, error)) from error
    if not isinstance(found, dict):
        raise NotAnObjectError(f"expected a JSON object, but got {shown(found)}")
    return found


def malformed(message: str, line: Line, path: str, hint: str | None = None) -> CeError:
    """Return the error for a line that does not hold what its format says."""
    return fail("malformed_row", message, file=path, rows=(line.number,), count=1, hint=hint)


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: object) -> str:
    """Return a JSON value as an error shows it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def twice(names: Iterable[str]) -> str:
    """Return what is wrong where these keys stand twice."""
    return f"the key {min(names)!r} stands twice in one object"


def _with_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = Repeating(found)
    repeating.repeated = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeating


def _what_is_wrong(line: Line, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "this JSON is nested too deeply"
    if not isinstance(error, json.JSONDecodeError):  # a whole number with thousands of digits
        return f"this is no JSON that can be read: {error}"
    if line.text.lstrip()[:1] not in ("{", "["):
        return f"expected a JSON object, but got {shown(line.text.strip())}"
    if error.pos >= len(line.text.rstrip()) or "Unterminated string" in error.msg:
        return f"the JSON object is not complete at the end of the line{'' if line.ended else ' and of the file'}"
    return f"this is no JSON: {error.msg} at character {error.pos + 1}"
