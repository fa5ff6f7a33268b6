"""The way out: arguments to an exit code, and every error to what is shown of it."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from ce_cli.cli.command import command
from ce_cli.cli.output import forget_stdout, guarded, show_error, write_text
from ce_cli.errors import CeError, ExitCode, fail
from ce_cli.process import leave_on_terminate

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_BYTES = 40


def run(arguments: Sequence[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    leave_on_terminate()
    # What the options say of errors, as far as they were read: a fault may lie in the options themselves.
    display = {"json": "--json" in arguments, "debug": "--debug" in arguments}
    try:
        # Not command.main(), which would turn a closed pipe into exit code 1: that of a failed gate.
        with command.make_context("ce-eval", list(arguments), obj=display) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as exit_:
        return int(exit_.exit_code)
    except CeError as error:
        return guarded(partial(show_error, error, as_json=display["json"]), ExitCode.ERROR)
    except click.UsageError as error:
        told = fail("bad_option", error.format_message(), hint="ce-eval --help lists the options")
        return guarded(partial(show_error, told, as_json=display["json"]), ExitCode.ERROR)
    except BrokenPipeError:
        return guarded(forget_stdout, ExitCode.OK)
    except (KeyboardInterrupt, click.Abort):
        return int(ExitCode.INTERRUPTED)
    except UnicodeDecodeError as error:  # text of a Parquet file, which is decoded where it is needed
        message = f"a text cell is not UTF-8: {error.object[:_SHOWN_BYTES]!r}"
        told = fail("unreadable_file", message, hint="write the text columns of the Parquet file as UTF-8")
        return guarded(partial(show_error, told, as_json=display["json"]), ExitCode.ERROR)
    except OSError as error:  # a disk that is full, an output that went away: reading has errors of its own
        told = fail("unwritable_output", error.strerror or str(error), file=error.filename)
        return guarded(partial(show_error, told, as_json=display["json"]), ExitCode.ERROR)
    except Exception as error:  # a defect: one line, not a screen of internals
        if display["debug"]:
            raise
        from ce_cli.render.errors import render_defect

        write_text(render_defect(error), sys.stderr)
        return int(ExitCode.DEFECT)
