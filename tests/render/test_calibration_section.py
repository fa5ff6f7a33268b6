"""The section on calibration: within its width, plain in a pipe, and true to the report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ce_cli import evaluate
from ce_cli.judging import calibration_sample
from ce_cli.render.table import render_table
from tests.cli.command import ROOT, ce

if TYPE_CHECKING:
    from ce_cli.report import Report

SAMPLE = ROOT / "sample_data"
_SGR = re.compile(r"\x1b\[[0-9;]*m")


def report_of(n: int = 400, **options) -> Report:
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 2, n)
    outcome = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return evaluate(pa.table({"logit": 2 * odds, "label": outcome}), calibration=True, **options)


def section_of(page: str) -> list[str]:
    lines = page.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("calibration"))
    return lines[start : next((at for at, line in enumerate(lines) if at > start and line.startswith("ce|")), None)]


@pytest.mark.parametrize("width", [20, 40, 50, 60, 80, 160, 300])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("bins", [1, 15, 200])
def test_no_line_is_wider_than_the_page(width: int, color: bool, bins: int) -> None:
    page = render_table(report_of(ece_bins=bins), width=width, color=color)
    lines = section_of(_SGR.sub("", page))
    assert max(map(len, lines)) <= max(width, 40)
    assert len(lines) < (80 if width >= 60 else 120)
    if not color:
        assert "\x1b" not in page
        assert "".join(lines).replace("…", "").isascii()


def test_a_wide_page_has_the_intervals_and_a_wider_diagram() -> None:
    report = report_of()
    narrow, wide = (section_of(render_table(report, width=width, color=False)) for width in (80, 160))
    assert not any("interval  " in line for line in narrow)
    (heading,) = [line for line in wide if line.startswith("  probability")]
    assert heading.split() == ["probability", "rows", "predicted", "observed", "interval", "0", "1"]
    assert max(map(len, wide)) > 110
    first = report.sections["calibration"]["bins"][0]
    assert any(f"{first['lower']:.4f} to {first['upper']:.4f}" in line for line in wide)


def test_marks_stand_where_the_rates_are() -> None:
    report = report_of()
    lines = section_of(render_table(report, width=160, color=False))
    at = next(at for at, line in enumerate(lines) if line.startswith("  probability"))
    zero, one = lines[at].index(" 0 ") + 1, len(lines[at]) - 1
    for line, found in zip(lines[at + 1 :], report.sections["calibration"]["bins"], strict=False):
        for mark, name in (("|", "predicted"), ("o", "observed")):
            if "*" not in line:
                place = (line.rindex(mark, zero - 1) - zero) / (one - zero)
                assert place == pytest.approx(found[name], abs=0.51 / (one - zero)), line


def test_colours_only_change_the_marks() -> None:
    report = report_of()
    plain, colored = (render_table(report, width=100, color=color) for color in (False, True))
    changed = str.maketrans("─│●◆━", "-|o*#")
    assert _SGR.sub("", colored).translate(changed) == plain
    assert "●" in colored


def test_the_verdict_is_in_words() -> None:
    text = " ".join(section_of(render_table(report_of(2000), width=160, color=False)))
    assert "over-confident, after temperature 1." in text or "over-confident, after temperature 2." in text
    assert "(on rows held out)" in text
    report = evaluate(pa.table({"prob": [0.9, 0.2], "label": [1, 0]}), calibration=True)
    text = render_table(report, width=160, color=False)
    assert "every row is right, so the lower it is, the smaller the loss" in text
    assert "platt slope  none" in text


def test_a_sample_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_sample, "MOST_ROWS", 100)
    text = "\n".join(section_of(render_table(report_of(), width=120, color=False)))
    assert "bins of all 400 rows, the rest of a sample" in text
    assert "100 rows  of 400, chosen by their numbers" in text


def test_one_row_and_infinite_losses_have_a_page() -> None:
    for columns in (
        {"prob": [0.3], "label": [1]},
        {"prob": [0.0], "label": [1]},
        {"prob": [0.0, 1.0], "label": [0, 1]},
    ):
        page = render_table(evaluate(pa.table(columns), calibration=True), width=80, color=False)
        assert "reliability" in page
        assert "losses" in page


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            ("soft_digits/predictions.csv", "--labels", "soft_digits/labels.csv"),
            "over-confident, after temperature 1.34",
        ),
        (
            ("breast_cancer/predictions.csv", "--labels", "breast_cancer/labels.csv"),
            "neither over- nor under-confident",
        ),
        (("digits/neighbours.csv", "--labels", "digits/labels.parquet"), "4 rows  of infinite loss"),
        (
            ("traits/neighbours.csv", "--labels", "traits/labels.csv", "--task", "multilabel"),
            "11 cells  of infinite loss",
        ),
        (("wine/logistic.csv", "--base", "2"), "how many rows lose how many bits"),
    ],
)
def test_the_command_on_the_sample_data(files: tuple[str, ...], words: str) -> None:
    done = ce(*files, "--calibration", cwd=SAMPLE, expect=0, env={"COLUMNS": "120"})
    assert words in done.out
    assert done.out.splitlines() == [line.rstrip() for line in done.out.splitlines()]
    again = ce(*files, "--calibration", "--json", "--jobs", "3", "--chunk-rows", "50", cwd=SAMPLE, expect=0).json
    assert again == ce(*files, "--calibration", "--json", "--jobs", "1", cwd=SAMPLE, expect=0).json
