"""Options from a file: `ce-eval.toml`, or `[tool.ce-eval]` in pyproject.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN_FILE = Path("ce-eval.toml")
_PROJECT_FILE = Path("pyproject.toml")
# Parameters that only a command line can have.
NOT_IN_FILES = frozenset({"predictions", "config", "version", "help"})


class Setting(NamedTuple):
    """What a file may say of an option: several values, a list as one value, the opposite as `no-NAME`.

    switch: whether it is true or false. bare: what `true` stands for where the option may be given without its value.
    """

    several: bool
    takes_list: bool
    negatable: bool
    switch: bool = False
    bare: str | None = None


def load_config(path: str | None, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the options that a file sets, by parameter name.

    path: a TOML file; None looks for `ce-eval.toml` and then `pyproject.toml` in the working directory. settings: what
    there is to set, by name. Raises CeError: no_such_file, unreadable_file, and bad_option for a key that is no option or
    a value that is none.
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
    known = {name: setting for name, setting in settings.items() if name not in NOT_IN_FILES}
    given = _parsed(source, optional=path is None)
    return dict(_option(source, key, value, known) for key, value in given.items())


def _option(source: Path, key: str, value: Any, known: Mapping[str, Setting]) -> tuple[str, Any]:
    name = key.replace("-", "_")
    positive = name.removeprefix("no_")
    if name not in known and positive in known and known[positive].negatable and isinstance(value, bool):
        name, value = positive, not value
    if name not in known:
        raise fail("bad_option", f"{key!r} is not an option", file=str(source), hint="ce-eval --help lists the options")
    setting = known[name]
    if isinstance(value, bool) and not setting.switch:
        if setting.bare is None:
            raise fail("bad_option", f"{key!r} takes a value, but got {str(value).lower()}", file=str(source))
        return name, setting.bare if value else None
    lists = setting.several or setting.takes_list
    if lists and isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return name, [str(item) for item in value]
    if isinstance(value, (str, int, float)):
        return name, [str(value)] if setting.several else value
    expected = "a list or a single value" if lists else "a single value"
    raise fail("bad_option", f"{key!r} takes {expected}, but got {value!r}", file=str(source))


def _parsed(path: Path, *, optional: bool) -> dict[str, Any]:
    text = path.read_bytes()
    if optional and path == _PROJECT_FILE and b"tool.ce-eval" not in text:
        return {}
    import tomllib

    try:
        table = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise fail("unreadable_file", f"this is not TOML: {error}", file=str(path)) from error
    if path.name == "pyproject.toml" or "tool" in table:
        tool = table.get("tool", {})
        table = tool.get("ce-eval", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise fail("bad_option", "[tool.ce-eval] is to be a table", file=str(path))
    return table
