"""Errors as text for people, and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ce_cli.render.text import safe
from ce_cli.report import SCHEMA

if TYPE_CHECKING:
    from ce_cli.errors import CeError, Problem


def render_error(error: CeError) -> str:
    """Return every problem of the error, each on one line, with lines for the affected rows and the hint below it."""
    return "\n".join(line for problem in error.problems for line in _problem_lines(problem))


def errors_json(error: CeError) -> str:
    """Return the error as the JSON contract spells it: every problem under "errors", the first also under "error".

    The text is strict RFC 8259 in ASCII: it can be written to any stream, whatever bytes a file name is made of.
    """
    problems = [problem.to_dict() for problem in error.problems]
    return json.dumps({"schema": SCHEMA, "errors": problems, "error": problems[0]}, allow_nan=False)


def render_defect(exc: BaseException) -> str:
    """Return one line for an exception that no input should be able to cause."""
    what = ": ".join(filter(None, (type(exc).__name__, str(exc))))
    return safe(
        f"ce-eval: defect: {what} (this is a defect of ce-eval, not of your data: "
        "please report it with the command and the output of --debug)"
    )


def _problem_lines(problem: Problem) -> list[str]:
    lines = [f"ce-eval: error[{problem.code}]: {problem.place()}{problem.message}"]
    if problem.count > 1:
        lines.append(f"  {problem.count} rows are affected{problem.first_rows()}")
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return [safe(line) for line in lines]
