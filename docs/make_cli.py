"""Write docs/cli.md: the options from the command itself, the rest from cli.md.in.

`python docs/make_cli.py` rewrites it; with `--check` it writes nothing and exits 1 where the file is stale.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from ce_cli.cli.command import command
from ce_cli.cli.params import section_of

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "cli.md.in"
TARGET = FOLDER / "cli.md"
PREFIX = "CE_EVAL"
_DEFAULT_IN_HELP = re.compile(r"\s*\[default: (?P<text>.*)\]$")


def page() -> str:
    """Return the whole page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for marker, part in (("<!-- usage -->", usage()), ("<!-- options -->", options())):
        if text.count(marker) != 1:
            raise ValueError(f"expected {marker} once in {TEMPLATE.name}, but got it {text.count(marker)} times")
        text = text.replace(marker, part)
    return text


def usage() -> str:
    """Return the line that shows how the command is called."""
    return "    " + command.get_usage(_context()).removeprefix("Usage: ")


def options() -> str:
    """Return every option under the title of its section, in the order of the help."""
    context = _context()
    sections: dict[str, list[str]] = {}
    for param in command.get_params(context):
        if isinstance(param, click.Option):
            sections.setdefault(section_of(param), []).append(_entry(param, context))
    return "\n\n".join(f"### {title} options\n\n" + "\n\n".join(entries) for title, entries in sections.items())


def _context() -> click.Context:
    return command.context_class(command, info_name="ce-eval", **command.context_settings)


def _entry(option: click.Option, context: click.Context) -> str:
    text = _DEFAULT_IN_HELP.sub("", option.help or "")
    facts = [f"type {_type(option)}", f"default {_default(option, context)}"]
    if option.expose_value or option.name == "config":  # --help and --version are for the command line
        facts += [f"environment `{_variable(option)}`", f"key {_key(option)}"]
    return f"- `{_spelling(option, context)}` · {' · '.join(facts)}\n\n  {text}"


def _spelling(option: click.Option, context: click.Context) -> str:
    names = ", ".join(option.opts) + "".join(f" / {name}" for name in option.secondary_opts)
    if option.is_flag or option.count:
        return names
    return f"{names} {option.make_metavar(context)}"


def _type(option: click.Option) -> str:
    if option.is_flag:
        return "flag"
    if isinstance(option.type, click.Choice):
        return "choice"
    kind = {"integer": "whole number", "float": "number", "A,B,…": "names", "a,b,c": "names"}.get(
        option.type.name, "text"
    )
    return f"{kind}, repeatable" if option.multiple else kind


def _default(option: click.Option, context: click.Context) -> str:
    told = _DEFAULT_IN_HELP.search(option.help or "")
    if told:
        return told["text"]
    value = option.get_default(context)
    if option.is_flag and option.secondary_opts:
        return "on a terminal" if value is None else option.opts[0] if value else option.secondary_opts[0]
    if option.is_flag:
        return "off"
    return f"`{value}`" if isinstance(value, (str, int, float)) else "none"


def _variable(option: click.Option) -> str:
    given = option.envvar
    if given is not None:
        return given if isinstance(given, str) else given[0]
    return f"{PREFIX}_{(option.name or '').upper()}"


def _key(option: click.Option) -> str:
    name = option.name or ""
    return "none" if name == "config" else f"`{name.replace('_', '-')}`"


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    text = page()
    if arguments == ["--check"]:
        stale = not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text
        if stale:
            sys.stderr.write("docs/cli.md is stale: run python docs/make_cli.py\n")
        return int(stale)
    if arguments:
        sys.stderr.write(f"expected --check or nothing, but got {' '.join(arguments)}\n")
        return 2
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
