"""Columns that are shown of the worst rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from ce_cli import evaluate
from tests.cli.command import ROOT, ce, lines, value, write

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    (1, "a", 0.9, 31, "first, with a comma"),
    (2, "b", 0.2, 45, ""),
    (3, "a", 0.1, 27, "third"),
    (4, "b", 0.6, 9, "x"),
]


def files(folder: Path) -> None:
    quoted = [(row, prob, age, f'"{text}"') for row, _, prob, age, text in ROWS]
    write(folder, p=lines(("id", "prob_a", "age", "note"), *quoted))
    write(folder, y=lines(("id", "label", "country"), *((row[0], row[1], f"c{row[0]}") for row in reversed(ROWS))))


def shown(report: dict[str, Any]) -> list[dict[str, str | None]]:
    return [row["shown"] for row in report["worst"]]


@pytest.mark.parametrize("options", [(), ("--jobs", "2", "--chunk-rows", "1")])
def test_columns_of_either_file(options: tuple[str, ...], tmp_path: Path) -> None:
    files(tmp_path)
    report = ce("p.csv", "-l", "y.csv", "--show", "note,country,age", *options, "--json", cwd=tmp_path, expect=0).json
    assert [row["id"] for row in report["worst"]] == ["3", "4", "2", "1"]
    assert shown(report) == [
        {"note": "third", "country": "c3", "age": "27"},
        {"note": "x", "country": "c4", "age": "9"},
        {"note": None, "country": "c2", "age": "45"},
        {"note": "first, with a comma", "country": "c1", "age": "31"},
    ]
    plain = ce("p.csv", "-l", "y.csv", "--json", "--pred-cols", "prob_a", cwd=tmp_path, expect=0).json
    assert "shown" not in plain["worst"][0]
    assert plain["metrics"] == report["metrics"]


def test_the_score_the_label_the_id_and_the_weight_stay_what_they_are(tmp_path: Path) -> None:
    files(tmp_path)
    plain = ce("p.csv", "-l", "y.csv", "--weight-col", "age", "--json", cwd=tmp_path, expect=0).json
    options = ("--weight-col", "age", "--show", "prob_a,label,ID,age")
    report = ce("p.csv", "-l", "y.csv", *options, "--json", cwd=tmp_path, expect=0).json
    assert report["metrics"] == plain["metrics"]
    assert shown(report)[0] == {"prob_a": "0.1", "label": "a", "id": "3", "age": "27"}


def test_classes_that_are_shown_are_scored_none_the_less(tmp_path: Path) -> None:
    write(tmp_path, p=lines(("cat", "dog", "label"), (0.9, 0.1, "cat"), (0.7, 0.3, "dog")))
    report = ce("p.csv", "--show", "cat", "--json", cwd=tmp_path, expect=0).json
    assert report["columns"]["scores"] == ["cat", "dog"]
    assert shown(report)[0] == {"cat": "0.7"}


def test_a_column_that_is_shown_is_no_score(tmp_path: Path) -> None:
    write(
        tmp_path,
        p=lines(("cat", "dog", "age"), (0.9, 0.1, 31), (0.7, 0.3, 45)),
        y=lines(("label",), ("cat",), ("dog",)),
    )
    report = ce("p.csv", "-l", "y.csv", "--show", "age", "--json", cwd=tmp_path, expect=0).json
    assert report["columns"]["scores"] == ["cat", "dog"]
    assert shown(report)[0] == {"age": "45"}


def test_in_the_table(tmp_path: Path) -> None:
    files(tmp_path)
    page = ce("p.csv", "-l", "y.csv", "--show", "country,note", "--top", "2", cwd=tmp_path, expect=0).out
    assert "prob of label     loss  country  note\n" in page
    assert "  c3       third\n" in page
    wide = ce(
        "p.csv", "-l", "y.csv", "--show", "country,note,age,prob_a,label", "--top", "1", cwd=tmp_path, expect=0
    ).out
    assert "    country: c3, note: third, age: 27, prob_a: 0.1, label: a\n" in wide


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    files(tmp_path)
    done = ce("p.csv", "-l", "y.csv", "--show", "contry", cwd=tmp_path, expect=2)
    assert done.codes == ["unknown_column"]
    assert "did you mean country?" in done.err


def test_lists_of_tokens_and_labels_of_their_own(tmp_path: Path) -> None:
    folder = ROOT / "sample_data"
    report = ce(folder / "translation/model1.csv", "--show", "text", "--json", cwd=tmp_path, expect=0).json
    assert shown(report)[0] == {"text": "the clever dog buys a garden"}
    pair = (folder / "traits/logistic.csv", "-l", folder / "traits/labels.csv", "--task", "multilabel")
    report = ce(*pair, "--show", "label_loop", "--json", cwd=tmp_path, expect=0).json
    assert {cell["label_loop"] for cell in shown(report)} <= {"0", "1", None}
    assert value(report) == value(ce(*pair, "--json", cwd=tmp_path, expect=0).json)


def test_in_python() -> None:
    frame = pd.DataFrame({"prob": [0.9, 0.2], "label": [1, 1], "loss": ["x", "y"], "day": [date(2024, 5, 1)] * 2})
    report = evaluate(frame, show=["loss", "day"])
    assert report.worst[0].shown == {"loss": "y", "day": "2024-05-01"}
    table = report.to_frame("worst")
    assert list(table.columns) == ["row", "id", "label", "predicted", "prob", "loss", "shown_loss", "day"]
    assert table["shown_loss"].tolist() == ["y", "x"]
    assert evaluate(frame, show="day").worst[0].shown == {"day": "2024-05-01"}
