"""What the options are made of: their types, their sections, and where else their values come from."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import click

from ce_cli.config import Setting, load_config

if TYPE_CHECKING:
    from collections.abc import Callable


SECTIONS = ("Input", "Scoring", "Statistics", "Output", "Gates", "Work")


class Line(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Text that may hold spaces; several in an environment variable stand on a line each."""

    name = "text"
    envvar_list_splitter = "\n"

    def __init__(self, name: str = "text") -> None:
        self.name = name


class Names(click.ParamType):  # type: ignore[type-arg]  # likewise
    """Names separated by commas, quoted as in CSV where one holds a comma."""

    name = "A,B,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split the names."""
        if isinstance(value, (list, tuple)):
            return tuple(str(name) for name in value)
        names = tuple(next(csv.reader([value]), []))
        if not names or not all(names):
            self.fail(f"expected names separated by commas, but got {value!r}", param, ctx)
        return names


class Replicates(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A number that may be left out."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number; a path in its place was meant to be an argument."""
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is no number of replicates; write --bootstrap=N, or name the files first", param, ctx)


class SectionedCommand(click.Command):
    """A command whose help groups its options as the documentation does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if not isinstance(param, click.Option):
                continue
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(section_of(param), []).append(record)
        for title in SECTIONS:
            with formatter.section(title):
                formatter.write_dl(sections[title], col_max=26)


class SectionedOption(click.Option):
    """An option that knows its section."""

    def __init__(self, *names: Any, section: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.section = section


def section_of(param: click.Parameter) -> str:
    """Return the title under which the help shows a parameter."""
    return param.section if isinstance(param, SectionedOption) else "Work"


def option(section: str) -> Callable[..., Callable[[Any], Any]]:
    """Return `click.option` for one section of the help."""

    def decorate(*names: str, **settings: Any) -> Callable[[Any], Any]:
        return click.option(*names, cls=SectionedOption, section=section, **settings)

    return decorate


def configured(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Take the defaults of all options from a configuration file."""
    settings = {
        param.name: Setting(
            several=bool(getattr(param, "multiple", False)),
            takes_list=isinstance(param.type, Names),
            negatable=bool(param.secondary_opts),
            switch=bool(getattr(param, "is_flag", False)),
            bare=param.flag_value if isinstance(param, click.Option) and isinstance(param.type, Replicates) else None,
        )
        for param in ctx.command.params
        if param.name is not None
    }
    ctx.default_map = load_config(value, settings)
    return value


def noted(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Remember how errors are to be shown, also those in the options that come later."""
    if isinstance(ctx.obj, dict) and param.name is not None:
        ctx.obj[param.name] = value
    return value
