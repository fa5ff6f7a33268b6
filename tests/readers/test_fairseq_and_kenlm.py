from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.readers.formats import problem, rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.txt"


def put(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return path


def test_fairseq_with_remarks_between(path: Path) -> None:
    found = rows(
        put(
            path,
            "2024-01-01 | INFO | fairseq_cli.generate | loading",
            "S-7\tein Haus",
            "W-7\t0.057\tseconds",
            "H-7\t-0.3\ta house",
            "D-7\t-0.3\ta  house !",
            "P-7\t-0.5 -inf nan",
            "A-7\t0-0",
        )
    )
    assert [row["token"] for row in found] == ["a", "house", "</s>"]
    assert [row["logprob"] for row in found][:2] == [-0.5, -math.inf]
    assert math.isnan(found[2]["logprob"])
    assert [row["words"] for row in found] == [3, 0, 0]


def test_fairseq_tokens_that_were_joined_are_not_known(path: Path) -> None:
    found = rows(put(path, "H-0\t-1\tbook@@ let", "P-0\t-1 -2 -3", "H-1\t-1\tbooklet", "P-1\t-1 -2 -3"))
    assert [row["token"] for row in found] == ["book@@", "let", "</s>", None, None, "</s>"]
    assert [row["words"] for row in found] == [None, None, None, 1, 0, 0]


def test_fairseq_scores_alone(path: Path) -> None:
    found = rows(put(path, "P-3\t-1 -2", "P-3\t-3", "P-4\t-4", end=""), "fairseq")
    assert [(row["sequence"], row["token"], row["logprob"], row["words"]) for row in found] == [
        ("3.0", None, -1.0, None), ("3.0", "</s>", -2.0, None), ("3.1", "</s>", -3.0, None), ("4.0", "</s>", -4.0, None)
    ]  # fmt: skip


def test_fairseq_an_empty_hypothesis(path: Path) -> None:
    assert [row["token"] for row in rows(put(path, "H-0\t-1\t", "P-0\t-1"))] == ["</s>"]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("P-1\t-1 x", "not_a_number", "'x' is not a number"),
        ("P-1\t", "malformed_row", "no log-probabilities after P-1"),
        ("H-1\t-1", "malformed_row", "expected a score and a text after H-1"),
    ],
)
def test_fairseq_faults(line: str, code: str, says: str, path: Path) -> None:
    found = problem(put(path, "H-0\t-1\ta", "P-0\t-1 -2", line))
    assert (found.code, found.rows) == (code, (3,))
    assert says in found.message


def test_fairseq_without_scores(path: Path) -> None:
    found = problem(put(path, "H-0\t-1\ta", "D-0\t-1\ta"), "fairseq")
    assert (found.code, found.hint) == ("schema_mismatch", "keep the lines that start with P-")
    assert problem(put(path, "nothing"), "fairseq").code == "no_samples"


WORDS = "a=5 1 -1.5\t=b==7 2 -inf\t</s>=2 2 -0.5\tTotal: -inf OOV: 0"
SUMMARY = ("Perplexity including OOVs:\t2", "Perplexity excluding OOVs:\t2", "OOVs:\t0", "Tokens:\t3")
REMARK = "Name:query\tVmPeak:74968 kB\tVmRSS:1676 kB"


def test_kenlm_words(path: Path) -> None:
    found = rows(put(path, "This binary file contains probing hash tables.", WORDS, *SUMMARY, REMARK, WORDS, *SUMMARY))
    assert [tuple(row.values()) for row in found] == [
        ("1", "a", -1.5, 2, 0), ("1", "=b=", -math.inf, 0, 0), ("1", "</s>", -0.5, 0, 0),
        ("2", "a", -1.5, 2, 0), ("2", "=b=", -math.inf, 0, 0), ("2", "</s>", -0.5, 0, 0),
    ]  # fmt: skip


def test_kenlm_an_empty_line_of_the_text(path: Path) -> None:
    found = rows(put(path, "</s>=2 1 -2\tTotal: -2 OOV: 0", "Total: 0 OOV: 0", WORDS))
    assert [(row["sequence"], row["words"]) for row in found][:2] == [("1", 0), ("3", 2)]


def test_kenlm_sentences(path: Path) -> None:
    found = rows(put(path, "Total: -3.5 OOV: 1", "Total: -4 OOV: 0", *SUMMARY))
    assert found == [
        {"sequence": "1", "logprob": -3.5, "token_count": None, "oov": 1},
        {"sequence": "2", "logprob": -4.0, "token_count": None, "oov": 0},
    ]


AGAIN = "write it anew with: query -v word MODEL < TEXT > FILE"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("a=5 1 -1.5\tb=0 1", "malformed_row", "not complete at the end of the line and of the file"),
        ("a=5 1 -1.5\tTotal: -1.5 OOV: 1", "malformed_row", "OOV: 1, but 0 of its words"),
        (
            "a 5 -1.5\tTotal: -1.5 OOV: 0",
            "malformed_row",
            "expected word=id length log-probability, but got 'a 5 -1.5'",
        ),
        ("a=5 1 x\tTotal: -1.5 OOV: 0", "not_a_number", "'x' is not a number"),
        ("Tokens:\t4", "malformed_row", "counts 4 tokens, but there are 3"),
    ],
)
def test_kenlm_faults(line: str, code: str, says: str, path: Path) -> None:
    found = problem(put(path, WORDS, line, end=""))
    assert (found.code, found.rows) == (code, (2,))
    assert says in found.message


def test_kenlm_words_after_sentences(path: Path) -> None:
    path.write_text("Total: -1 OOV: 0\n" * 20000 + WORDS + "\n")
    found = problem(path)
    assert (found.code, found.rows) == ("malformed_row", (20001,))


def test_kenlm_the_summary_alone(path: Path) -> None:
    found = problem(put(path, *SUMMARY))
    assert (found.code, found.hint) == ("schema_mismatch", AGAIN)
    assert problem(put(path, "nothing"), "kenlm").code == "no_samples"
