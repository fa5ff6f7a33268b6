"""What is imported when, and what happens when we are at fault."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import ce, write

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("numpy", "pandas", "pyarrow", "rich", "scipy", "sklearn")
RUN = """
import sys
from ce_cli.cli.main import run
code = run(sys.argv[1:])
print("loaded:", *[name for name in {heavy} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def imported(*arguments: str, cwd: Path, expect: int = 0) -> set[str]:
    script = RUN.format(heavy=HEAVY)
    done = ce(*arguments, cwd=cwd, command=(sys.executable, "-c", script), expect=expect)
    return set(done.err.splitlines()[-1].split()[1:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, p="id,prob\n1,.9\n2,.2\n", l="id,label\n1,1\n2,0\n")
    pq.write_table(pa.table({"id": [1, 2], "prob": [0.9, 0.2]}), tmp_path / "p.parquet")
    pq.write_table(pa.table({"id": [1, 2], "label": [1, 0]}), tmp_path / "l.parquet")
    return tmp_path


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str, tmp_path: Path) -> None:
    assert imported(option, cwd=tmp_path) == set()


def test_bad_options_are_told_without_reading_anything(tmp_path: Path) -> None:
    assert imported("--bogus", cwd=tmp_path, expect=2) <= {"rich"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_run_for_programs_imports_neither_pandas_nor_rich(suffix: str, folder: Path) -> None:
    loaded = imported(f"p.{suffix}", "-l", f"l.{suffix}", "--json", "--per-sample", f"s.{suffix}", cwd=folder)
    assert loaded == {"numpy", "pyarrow"}


def test_json_lines_import_no_pandas(folder: Path) -> None:
    (folder / "p.jsonl").write_text('{"id": 1, "prob": 0.9, "l": [0.5]}\n{"id": 2, "prob": 0.2}\n')
    assert imported("p.jsonl", "-l", "l.csv", "--json", cwd=folder) == {"numpy", "pyarrow"}


def test_a_run_for_people_imports_no_pandas(folder: Path) -> None:
    assert not {"pandas", "scipy", "sklearn"} & imported("p.parquet", "-l", "l.csv", cwd=folder)


DEFECT = """
import sys
import ce_cli.api
import ce_cli.engine

def broken(*_, **__):
    raise RuntimeError("the \\x1b[31mcat sat\\non it")

ce_cli.engine.run = ce_cli.api.run = broken
from ce_cli.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_defect_is_one_line(folder: Path) -> None:
    done = ce("p.csv", "-l", "l.csv", cwd=folder, command=(sys.executable, "-c", DEFECT), expect=70)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert "RuntimeError" in line
    assert "--debug" in line
    assert "\x1b" not in line


def test_a_defect_in_full(folder: Path) -> None:
    script = DEFECT + ""
    with pytest.raises(AssertionError, match="RuntimeError"):
        ce("p.csv", "-l", "l.csv", "--debug", cwd=folder, command=(sys.executable, "-c", script))


def test_version_and_help_say_what_they_should(tmp_path: Path) -> None:
    from ce_cli import __version__

    assert ce("--version", cwd=tmp_path, expect=0).out == f"ce-eval {__version__}\n"
    usage = ce("--help", cwd=tmp_path, expect=0)
    assert usage.err == ""
    assert all(option in usage.out for option in ("--labels", "--gate", "--json", "--per-sample", "Exit codes"))
