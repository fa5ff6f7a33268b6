from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.readers.formats import problem, rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def put(path: Path, *samples: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
    return path


def sample(arguments: Any, resps: Any, number: int = 0, **more: Any) -> dict[str, Any]:
    return {"doc_id": number, "doc": {}, "target": "", "arguments": arguments, "resps": resps, **more}


def rolling(text: str, resp: Any = "-3.5", **more: Any) -> dict[str, Any]:
    return sample({"gen_args_0": {"arg_0": text}}, [[resp]], **more)


def choice(
    logprobs: list[float], target: Any = "0", texts: tuple[str, ...] = "abcdefghijkl", **more: Any
) -> dict[str, Any]:  # type: ignore[assignment]
    arguments = {
        f"gen_args_{at}": {"arg_0": "Q:", "arg_1": f" {text}"} for at, text in enumerate(texts[: len(logprobs)])
    }
    return sample(arguments, [[[repr(one), "False"]] for one in logprobs], target=target, **more)


@pytest.mark.parametrize("resp", ["-3.5", -3.5, ["-3.5", "False"], [-3.5, False]])
def test_rolling_in_every_spelling(resp: Any, path: Path) -> None:
    for one in (rolling("é b\n", resp), sample([["é b\n"]], [[resp]])):
        (row,) = rows(put(path, one))
        assert row == {"sequence": "0", "logprob": -3.5, "token_count": None, "bytes": 5, "words": 3}


def test_what_the_harness_divides_by_wins(path: Path) -> None:
    told = {"word_perplexity": [-3.5, 7], "bits_per_byte": [-3.5, 40], "byte_perplexity": [-3.5, 40]}
    (row,) = rows(put(path, rolling("a b", **told)))
    assert (row["bytes"], row["words"]) == (40, 7)
    (row,) = rows(put(path, rolling("a b", byte_perplexity=[-3.5, 41])))
    assert (row["bytes"], row["words"]) == (41, 2)


def test_a_continuation_is_a_text(path: Path) -> None:
    (row,) = rows(put(path, sample({"gen_args_0": {"arg_0": "a b", "arg_1": " Carlos é"}}, [[["-1.5", "True"]]])))
    assert row == {"sequence": "0", "logprob": -1.5, "token_count": None, "bytes": 10, "words": 2}


def test_repeats_are_the_same(path: Path) -> None:
    (row,) = rows(put(path, sample([["a"]], [["-1.5", "-1.5"]])))
    assert row["logprob"] == -1.5


def test_more_than_ten_choices_keep_their_order(path: Path) -> None:
    logprobs = [-1.0 - at for at in range(12)]
    (row,) = rows(put(path, choice(logprobs, "11")))
    assert [row[f"logit_{at}"] for at in range(12)] == logprobs
    assert row["label"] == "11"


@pytest.mark.parametrize(("target", "label"), [("1", "1"), (1, "1"), ("b", "1"), (" b", "1")])
def test_the_right_choice(target: Any, label: str, path: Path) -> None:
    assert rows(put(path, choice([-1.0, -2.0], target)))[0]["label"] == label


def test_choices_without_their_context_are_left_out(path: Path) -> None:
    arguments = [["Q:", " a"], ["Q:", " b"], ["", " a"], ["", " b"]]
    one = sample(
        arguments, [[["-1.0", "False"]], [["-2.0", "False"]], [["-5.0", "False"]], [["-6.0", "False"]]], target="1"
    )
    assert rows(put(path, one)) == [{"doc_id": "0", "label": "1", "logit_0": -1.0, "logit_1": -2.0}]


def test_fewer_choices_have_no_probability_for_the_others(path: Path) -> None:
    found = rows(put(path, choice([-1.0, -2.0]), choice([-1.0, -2.0, -3.0], number=1)))
    assert [row["logit_2"] for row in found] == [-math.inf, -3.0]


@pytest.mark.parametrize(
    ("one", "code", "says"),
    [
        (rolling("a", "x"), "schema_mismatch", "text, not a log-likelihood"),
        (sample([["Q:", {"until": ["\n"]}]], [["42"]]), "schema_mismatch", "expected a text that was scored"),
        (rolling("a", None), "not_a_number", "null is not"),
        (rolling("a", ["x", "False"]), "not_a_number", '"x" is not'),
        (sample([["a"]], []), "malformed_row", "1 requests, but 0 responses"),
        (sample([], []), "malformed_row", "0 requests, but 0 responses"),
        (sample([["a"]], "x"), "malformed_row", "expected a list as resps"),
        (sample("x", [["-1"]]), "malformed_row", "expected a list as arguments"),
        ({"doc_id": 1, "resps": []}, "schema_mismatch", "no arguments"),
        (choice([-1.0, -2.0]), "schema_mismatch", "this one is choices"),
        (rolling("a", filter="other"), "schema_mismatch", "documents come twice"),
    ],
)
def test_faults_of_texts(one: dict[str, Any], code: str, says: str, path: Path) -> None:
    found = problem(put(path, rolling("a", filter="none"), {"filter": "none", **one}))
    assert (found.code, found.rows) == (code, (2,))
    assert says in found.message


@pytest.mark.parametrize(
    ("one", "code", "says"),
    [
        (choice([-1.0, -2.0], "2"), "unknown_label", "neither the number of a choice nor the text of one"),
        (choice([-1.0, -2.0], "[0, 1]"), "unknown_label", "several choices are right"),
        (choice([-1.0, -2.0], "same", ("same", "same")), "schema_mismatch", "contexts of one continuation"),
        (rolling("a"), "schema_mismatch", "this one is texts"),
    ],
)
def test_faults_of_choices(one: dict[str, Any], code: str, says: str, path: Path) -> None:
    found = problem(put(path, choice([-1.0, -2.0]), one))
    assert (found.code, found.rows) == (code, (2,))
    assert says in found.message


def test_more_choices_than_the_first_documents_have(path: Path) -> None:
    many = [choice([-1.0, -2.0], number=at) for at in range(300)]
    found = problem(put(path, *many, choice([-1.0, -2.0, -3.0], number=300)))
    assert (found.code, found.rows) == ("schema_mismatch", (301,))


def test_a_table_is_no_sample(path: Path) -> None:
    assert problem(put(path, {"id": 1, "prob": 0.5}), "lm-eval").code == "schema_mismatch"
