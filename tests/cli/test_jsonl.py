"""JSON Lines through the real command: the same rows as in CSV give the same report."""

from __future__ import annotations

import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import ROOT, ce, lines, table, value, write

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"id": 3, "prob": 0.6, "label": 1},
    {"id": 1, "prob": 0.9, "label": 1},
    {"id": 2, "prob": 0.2, "label": 0},
]
EXPECTED = math.fsum([-math.log(0.9), -math.log1p(-0.2), -math.log(0.6)]) / 3


def put(path: Path, *rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def only(*names: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in ROWS]


@pytest.mark.parametrize("name", ["p.jsonl", "p.ndjson", "p.txt", "p"])
def test_recognised_by_contents(name: str, tmp_path: Path) -> None:
    put(tmp_path / name, *ROWS)
    assert float(ce(name, "-q", cwd=tmp_path, expect=0).out) == pytest.approx(EXPECTED, rel=1e-15)


def test_the_report_of_csv(tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", *ROWS)
    write(tmp_path, p=lines("id,prob,label", *(row.values() for row in ROWS)))
    mine, other = (ce(name, "--json", cwd=tmp_path, expect=0).json for name in ("p.jsonl", "p.csv"))
    assert mine["inputs"]["predictions"].pop("path") == "p.jsonl"
    assert other["inputs"]["predictions"].pop("path") == "p.csv"
    assert json.dumps(mine).replace("p.jsonl", "p.csv") == json.dumps(other)


@pytest.mark.parametrize("labels", ["l.csv", "l.jsonl"])
def test_joined(labels: str, tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", *only("id", "prob"))
    put(tmp_path / "l.jsonl", *sorted(only("id", "label"), key=lambda row: row["id"]))
    write(tmp_path, l=lines("id,label", *sorted((row["id"], row["label"]) for row in ROWS)))
    report = ce("p.jsonl", "-l", labels, "--json", cwd=tmp_path, expect=0).json
    assert report["alignment"] == "id"
    assert value(report) == pytest.approx(EXPECTED, rel=1e-15)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input(compress: Any, tmp_path: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    done = ce("-", "-q", cwd=tmp_path, stdin=compress(text), expect=0)
    assert float(done.out) == pytest.approx(EXPECTED, rel=1e-15)


def test_lists_and_names(tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", {"probs": [0.5, 0.25, 0.25], "label": 0}, {"probs": [0.25, 0.25, 0.5], "label": 2})
    assert float(ce("p.jsonl", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(math.log(2), rel=1e-15)
    put(
        tmp_path / "q.jsonl", {"prob_a": 0.5, "prob_b": 0.5, "label": "a"}, {"label": "b", "prob_b": 0.5, "prob_a": 0.5}
    )
    assert float(ce("q.jsonl", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(math.log(2), rel=1e-15)


def test_booleans_are_labels(tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", {"prob": 0.5, "label": True}, {"prob": 0.5, "label": False})
    assert float(ce("p.jsonl", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(math.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ('{"id": 4, "prob": 0.5, "lab', "malformed_row", "row 4: the JSON object is not complete"),
        ('{"id": 4, "prob": "x", "label": 1}', "not_a_number", "row 4: 'x' is not a number"),
        ('{"id": 4, "label": 1}', "missing_prediction", "row 4: the score is empty"),
        ('{"id": 4, "prob": 0.5}', "missing_label", "row 4"),
        ('{"id": 4, "prob": NaN, "label": 1}', "nan_prediction", "row 4"),
    ],
)
def test_faults_of_rows(line: str, code: str, says: str, tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", *ROWS)
    with (tmp_path / "p.jsonl").open("a") as file:
        file.write(line)
    done = ce("p.jsonl", cwd=tmp_path, expect=2)
    assert done.codes == [code]
    assert says in done.err
    assert "--delimiter" not in done.err
    dropped = ce("p.jsonl", "-q", "--on-invalid", "drop", "--errors", "e.csv", cwd=tmp_path, expect=0)
    assert float(dropped.out) == pytest.approx(EXPECTED, rel=1e-15)
    assert [(row["row"], row["code"]) for row in table((tmp_path / "e.csv").read_text())] == [("4", code)]


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ('[{"prob": 0.5, "label": 1}]', "unreadable_file", "jq -c '.[]'"),
        ('{\n "prob": 0.5,\n "label": 1\n}\n', "malformed_row", "one object per line"),
        ("", "no_samples", ""),
    ],
)
def test_what_is_no_json_lines(text: str, code: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    done = ce("p.jsonl", cwd=tmp_path, expect=2)
    assert done.codes == [code]
    assert hint in done.err


def test_a_column_twice(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prob": 0.5, "label": 1, "prob": 0.5}\n{"prob": 0.5, "label": 1}\n')
    assert ce("p.jsonl", cwd=tmp_path, expect=2).codes == ["malformed_row"]


def test_samples_of_a_multiple_choice_task(tmp_path: Path) -> None:
    report = ce(ROOT / "sample_data/formats/samples_choices.jsonl", "--json", cwd=tmp_path, expect=0).json
    assert (report["task"], report["input"], report["classes"]) == ("multiclass", "logits", ["0", "1", "2"])
    text = (ROOT / "sample_data/formats/samples_choices.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    losses = []
    for row in rows:
        logprobs = [float(response[0][0]) for response in row["resps"]]
        losses.append(math.log(sum(map(math.exp, logprobs))) - logprobs[int(row["target"])])
    assert value(report) == pytest.approx(math.fsum(losses) / 3, rel=1e-14)


def test_a_malformed_line_in_a_join(tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", {"id": 3, "p": [0.5, 0.5]}, {"id": 9, "p": 1}, {"id": 1, "p": [0.25, 0.75]})
    put(tmp_path / "l.jsonl", {"id": 1, "label": 1}, {"id": 3, "label": 0})
    done = ce("p.jsonl", "-l", "l.jsonl", cwd=tmp_path, expect=2)
    assert done.codes == ["malformed_row"]
    assert "row 2: expected a list of numbers in 'p', but got 1" in done.err
    kept = ce("p.jsonl", "-l", "l.jsonl", "--on-invalid", "drop", "-q", cwd=tmp_path, expect=0)
    assert float(kept.out) == pytest.approx((math.log(2) - math.log(0.75)) / 2, rel=1e-15)
