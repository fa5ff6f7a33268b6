"""What the tests of the formats of other tools share."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from ce_cli.columns import Kind
from ce_cli.errors import CeError
from ce_cli.readers import lines, records
from ce_cli.readers.files import open_data
from ce_cli.workers import Workers
from tests.cli.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from ce_cli.errors import Problem

FORMATS = ROOT / "sample_data" / "formats"


@cache
def maker() -> ModuleType:
    """Return the script that writes the sample files."""
    spec = importlib.util.spec_from_file_location("make_formats", ROOT / "sample_data" / "make_formats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(path: Path | str, format_: str = "auto", *, jobs: int = 1) -> list[dict[str, Any]]:
    data = open_data(str(path), format_=format_)
    with Workers(jobs) as workers:
        found = [
            row for batch in data.batches(dict.fromkeys(data.names, Kind.TEXT), workers) for row in batch.to_pylist()
        ]
    sample = data.sample().to_pylist()
    assert repr(sample) == repr(found[: len(sample)])  # NaN is not equal to itself
    return found


def rows_in_blocks(path: Path, size: int, batch: int, jobs: int) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "READ_BYTES", size)
        patch.setattr(records, "BATCH_ROWS", batch)
        return rows(path, jobs=jobs)


def problem(path: Path, format_: str = "auto") -> Problem:
    """Return the one problem of a file."""
    with pytest.raises(CeError) as caught:
        rows(path, format_)
    (found,) = caught.value.problems
    assert found.file == str(path)
    return found
