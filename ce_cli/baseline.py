"""An earlier report as something to compare with: its figures, without its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_cli.errors import CeError, described, fail
from ce_cli.report import SCHEMA, Metric, Report

_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an earlier report says: the task, the unit of its losses, and its metrics by name."""

    path: str
    signature: str
    task: str
    unit: str
    metrics: Mapping[str, Metric]


def is_report(path: str) -> bool:
    """Tell whether a file is a report of --json, by how it begins; what cannot be read is told later."""
    if not Path(path).is_file():  # a pipe can be read only once
        return Path(path).suffix.lower() == ".json" and not Path(path).exists()
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    except OSError:
        return False
    return head.startswith("{") and f'"{SCHEMA.partition("/")[0]}/' in head and '"schema"' in head


def baseline_of(data: Any) -> Baseline:
    """Return an earlier report as a baseline: a `Report`, its `to_dict()`, or the path of its JSON.

    Raises CeError as `read_report` does, and bad_option where it is none of these.
    """
    if isinstance(data, (str, os.PathLike)):
        return read_report(os.fspath(data))
    if isinstance(data, Report):
        metrics = {name: Metric(metric.value) for name, metric in data.metrics.items()}
        return Baseline("<baseline>", data.signature, data.task, data.unit, metrics)
    if isinstance(data, Mapping):
        return _from_document(dict(data), "<baseline>")
    if hasattr(data, "models") and hasattr(data, "ranking"):
        raise _several("<baseline>")
    raise fail(
        "bad_option",
        f"baseline takes an earlier report: a Report, its to_dict(), or the path of its JSON, but got {described(data)}",
        hint="compare({'old': …, 'new': …}) takes the predictions of both, and pairs their rows",
    )


def is_earlier_report(data: Any) -> bool:
    """Tell whether something is a report of one model or of several, and no predictions."""
    if isinstance(data, (str, os.PathLike)):
        return is_report(os.fspath(data))
    return isinstance(data, (Report, Mapping)) or (hasattr(data, "models") and hasattr(data, "ranking"))


def read_report(path: str) -> Baseline:
    """Read an earlier report. Raises CeError: no_such_file, unreadable_file, and bad_option where it holds no metrics."""
    return _from_document(_document(path), path)


def _from_document(document: dict[str, Any], path: str) -> Baseline:
    schema = document.get("schema")
    if schema != SCHEMA:
        raise fail("bad_option", f"--baseline: this report is of schema {schema!r}, not {SCHEMA!r}", file=path)
    if "models" in document:
        raise _several(path)
    if "metrics" not in document:
        raise fail("bad_option", "--baseline: this report holds errors, not metrics", file=path)
    try:
        metrics = {str(name): Metric(float(metric["value"])) for name, metric in document["metrics"].items()}
        return Baseline(path, str(document["signature"]), str(document["task"]), str(document["unit"]), metrics)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, "this is no report of ce-eval") from error


def _several(path: str) -> CeError:
    return fail(
        "bad_option",
        "--baseline: this report compares several models",
        file=path,
        hint="name the report of one model, or the predictions of the baseline",
    )


def _document(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise fail("no_such_file", "there is no such file", file=path) from error
    except OSError as error:
        raise _unreadable(path, f"cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise _unreadable(path, "this is not JSON") from error
    if not isinstance(document, dict):
        raise _unreadable(path, "this is no report of ce-eval")
    return document


def _unreadable(path: str, why: str) -> CeError:
    return fail(
        "unreadable_file", f"--baseline: {why}", file=path, hint="write it with ce-eval … --json > baseline.json"
    )
