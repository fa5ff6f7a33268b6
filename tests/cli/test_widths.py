"""Names of any length and script, on terminals of any width."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest

from ce_cli.render.text import ELLIPSIS, cell_width
from tests.cli.command import ce

if TYPE_CHECKING:
    from pathlib import Path

LONG, WIDE, EMOJI = "n" * 100, "猫犬鳥魚" * 20, "🎉🎊" * 20
CLASSES = (f"class_{LONG}", WIDE, EMOJI)
FILE = f"{'f' * 100}.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [[f"{LONG}{at}", 0.5, 0.3, 0.2, CLASSES[at % 3], CLASSES[at % 2], at % 7] for at in range(90)]
    header = ["id", *(f"prob_{name}" for name in CLASSES), "label", LONG, "num"]
    for name in (FILE, "模型.csv"):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
    return tmp_path


JUDGED = ("--by", LONG, "--by", "num:quantiles=3", "--show", LONG, "--calibration", "--cluster", "num")
GATES = ("--gate", f"class[{WIDE}].recall > 1%", "--gate", "slice[no=1].accuracy > 1%", "--gate", "cross_entropy < 9")


@pytest.mark.parametrize("width", [40, 60, 80, 160])
@pytest.mark.parametrize("color", ["--color", "--no-color"])
@pytest.mark.parametrize(
    "arguments",
    [
        (FILE, *JUDGED, *GATES),
        (FILE, "模型.csv", "--by", LONG, *GATES[:2]),
        (f"{LONG}={FILE}", f"{WIDE[:40]}=模型.csv"),
    ],
    ids=["one", "two", "named"],
)
def test_lines_fit(arguments: tuple[str, ...], color: str, width: int, folder: Path) -> None:
    done = ce(*arguments, color, cwd=folder, env={"COLUMNS": str(width)})
    assert done.code in (0, 1), done.err
    page = re.sub(r"\x1b\[[0-9;]*m", "", done.out)
    assert [line for line in page.splitlines() if cell_width(line) > width] == []
    assert ELLIPSIS in page


def test_a_wide_terminal_gives_long_names_room(folder: Path) -> None:
    wide, narrow = (ce(FILE, cwd=folder, env={"COLUMNS": str(width)}, expect=0).out for width in (250, 60))
    assert FILE in wide
    assert WIDE[:24] in wide.partition("classes  loss")[2]  # the first half of 100 terminal cells
    assert FILE not in narrow
    assert WIDE[:24] not in narrow


def test_columns_stand_below_their_headings(folder: Path) -> None:
    page = ce(FILE, cwd=folder, env={"COLUMNS": "40"}, expect=0).out
    table = page.partition("share of the total loss\n")[2].partition("\n\n")[0].splitlines()
    assert {cell_width(line) for line in table} == {cell_width(table[0])}
