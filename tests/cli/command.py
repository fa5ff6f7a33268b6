"""Runs the real command in a process of its own, and tells what it said."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
COMMAND = (sys.executable, "-m", "ce_cli")
_TIMEOUT = 60


@dataclass(frozen=True)
class Done:
    """What a process left behind."""

    code: int
    out: str
    err: str
    raw_out: bytes = b""

    @property
    def json(self) -> dict[str, Any]:
        """The JSON on standard output, which must be strict and fit the schema."""
        document = json.loads(self.out, parse_constant=_refused)
        validator().validate(document)
        return document

    @property
    def codes(self) -> list[str]:
        """The codes of the errors, from JSON where there is some, else from the text."""
        if self.out.startswith("{"):
            return [error["code"] for error in self.json["errors"]]
        marked = [line for line in self.err.splitlines() if line.startswith("ce-eval: error[")]
        return [line.removeprefix("ce-eval: error[").partition("]")[0] for line in marked]


def _refused(constant: str) -> None:
    raise AssertionError(f"{constant} is not strict JSON")


@cache
def validator() -> jsonschema.Draft202012Validator:
    """Return the validator of what --json prints."""
    schema = json.loads((ROOT / "ce_cli" / "report.schema.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which nothing of the caller's changes the output."""
    names = ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TERM", "PYTHONWARNINGS", "PYTHONIOENCODING", "PYTHONUTF8")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    kept = {name: value for name, value in kept.items() if not name.startswith(("CE_EVAL_", "LC_"))}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **(extra or {})}


def ce(
    *arguments: object,
    cwd: Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    expect: int | None = None,
    command: Sequence[str] = COMMAND,
) -> Done:
    """Run the command; whatever happens, it shows no warning and no traceback of Python."""
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env=environment(env),
        timeout=_TIMEOUT,
        check=False,
    )
    out, err = done.stdout.decode(errors="surrogateescape"), done.stderr.decode(errors="surrogateescape")
    result = Done(done.returncode, out, err, done.stdout)
    assert "Traceback" not in err, err
    assert "Warning" not in err, err
    assert "Exception ignored" not in err, err
    if expect is not None:
        assert result.code == expect, f"exit {result.code}, not {expect}\n{out[-2000:]}\n{err[-2000:]}"
    return result


def value(report: Mapping[str, Any], metric: str = "cross_entropy") -> float:
    """Return a metric's value from a JSON report."""
    return float(report["metrics"][metric]["value"])


def table(text: str, **options: Any) -> list[dict[str, str]]:
    """Return the rows of CSV text."""
    return list(csv.DictReader(io.StringIO(text, newline=""), **options))


def write(folder: Path, **files: str | bytes) -> None:
    """Write files: `p="…"` becomes p.csv."""
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / f"{name}.csv").write_bytes(data)


def lines(*rows: Iterable[object] | str) -> str:
    """Return rows as CSV text, each a text or a sequence of cells that need no quotation marks."""
    return "".join((row if isinstance(row, str) else ",".join(map(str, row))) + "\n" for row in rows)
