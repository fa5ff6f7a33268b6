"""Options from a file: `ce-eval.toml`, or `[tool.ce-eval]` in pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ce_cli.errors import fail

_OWN_FILE = Path("ce-eval.toml")
_PROJECT_FILE = Path("pyproject.toml")
# What an option is called in Python, where that is not its own name.
_ALIASES = {"json": "as_json"}


def load_config(path: str | None, known: set[str]) -> dict[str, Any]:
    """Return the options that a file sets, by parameter name.

    path: a TOML file; None looks for `ce-eval.toml` and then `pyproject.toml` in the working directory. Raises CeError:
    no_such_file, unreadable_file, and bad_option for a key that is no option.
    """
    if path is not None:
        if not Path(path).is_file():
            raise fail("no_such_file", "there is no such file", file=path)
        source = Path(path)
    else:
        found = next((file for file in (_OWN_FILE, _PROJECT_FILE) if file.is_file()), None)
        if found is None:
            return {}
        source = found
    values = _parsed(source, optional=path is None)
    options = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        name = _ALIASES.get(name, name)
        if name not in known or name in ("predictions", "config"):
            raise fail(
                "bad_option", f"{key!r} is not an option", file=str(source), hint="ce-eval --help lists the options"
            )
        options[name] = value
    return options


def _parsed(path: Path, *, optional: bool) -> dict[str, Any]:
    text = path.read_bytes()
    if optional and path == _PROJECT_FILE and b"tool.ce-eval" not in text:
        return {}
    try:
        table = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise fail("unreadable_file", f"this is not TOML: {error}", file=str(path)) from error
    if path.name == "pyproject.toml" or "tool" in table:
        table = table.get("tool", {}).get("ce-eval", {})
    return table
