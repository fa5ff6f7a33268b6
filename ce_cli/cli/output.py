"""What reaches the terminal, a pipe or a program: reports, errors, progress."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ce_cli.errors import CeError, ExitCode, fail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.comparison import Comparison
    from ce_cli.plan import Options
    from ce_cli.report import Report


def show_report(report: Report, values: dict[str, Any]) -> None:
    """Print a report as the options say."""
    if values["json"]:
        write_text(report.to_json(indent=2), sys.stdout)
    elif values["quiet"]:
        write_text(repr(report.cross_entropy.value), sys.stdout)
    else:
        from ce_cli.render.table import render_table

        stream = sys.stderr if "-" in tables_of(values).values() else sys.stdout
        write_text(render_table(report, width=_width(stream), color=_colored(values["color"], stream)), stream)


def show_comparison(comparison: Comparison, values: dict[str, Any]) -> None:
    """Print a comparison as the options say."""
    from ce_cli.render.text import safe

    if values["json"]:
        write_text(comparison.to_json(indent=2), sys.stdout)
    elif values["quiet"]:
        loss = {rank.model: rank.cross_entropy.value for rank in comparison.ranking}  # on the common rows
        lines = [f"{safe(model.name)}\t{loss[model.name]!r}" for model in comparison.models]
        write_text("\n".join(lines), sys.stdout)
    else:
        from ce_cli.render.comparison import render_comparison

        color = _colored(values["color"], sys.stdout)
        write_text(render_comparison(comparison, width=_width(sys.stdout), color=color), sys.stdout)


def show_failed_gates(report: Report | Comparison) -> None:
    """Tell on standard error which gates failed, where only the number is printed."""
    from ce_cli.render.text import safe

    for gate in report.gates:
        if not gate.passed:
            why = gate.reason or f"observed {gate.observed!r}"
            whose = "" if gate.model is None else f"{safe(gate.model)}: "
            write_text(f"ce-eval: gate failed: {whose}{safe(gate.expression)}: {safe(why)}", sys.stderr)


def show_error(error: CeError, *, as_json: bool) -> None:
    """Tell what is wrong: to people on standard error, to programs on standard output too."""
    from ce_cli.render.errors import errors_json, render_error

    if as_json:
        write_text(errors_json(error), sys.stdout)
    write_text(render_error(error), sys.stderr)


def write_text(text: str, stream: Any) -> None:
    """Write text and a newline, also where the encoding of the stream lacks a character."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    stream.write(text + "\n")
    stream.flush()


def guarded(show: Callable[[], None], code: ExitCode) -> int:
    """Show something and return the code, also where nobody reads it any more."""
    try:
        show()
    except BrokenPipeError:
        forget_stdout()
    except OSError as error:
        forget_stdout()
        show_error(fail("unwritable_output", error.strerror or str(error), file="standard output"), as_json=False)
        return int(ExitCode.ERROR)
    return int(code)


def forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere: the reader of the pipe has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def progress_of(values: dict[str, Any], options: Options, files: Sequence[Any]) -> Any:
    """Return what shows the progress of reading these files, which may be nothing."""
    from ce_cli.render.progress import NoProgress, Progress

    wanted = values["progress"]
    if wanted is None:
        wanted = sys.stderr is not None and sys.stderr.isatty()
    if not wanted:
        return NoProgress()
    there = [data for data in files if data is not None]
    sizes = [data.total_bytes for data in there]
    total = None if None in sizes else sum(sizes)
    rows, task = there[0].rows(), ""
    if options.bootstrap is not None:
        from ce_cli.judging.bootstrap import cost

        task = f"bootstrap {options.bootstrap:,}"
        write_text(f"ce-eval: {cost(options, rows)}", sys.stderr)
    return Progress(total_bytes=total, total_rows=rows, stream=sys.stderr, task=task)


def _width(stream: Any) -> int:
    import shutil

    return shutil.get_terminal_size((80, 24)).columns if stream.isatty() or "COLUMNS" in os.environ else 80


def _colored(wanted: bool | None, stream: Any) -> bool:
    if wanted is not None:
        return wanted
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def tables_of(values: dict[str, Any]) -> dict[str, str]:
    """Return the files with a line per row that are wanted, by their options."""
    from ce_cli.outputs import TABLES

    return {name: values[name] for name in TABLES if values[name] is not None}
