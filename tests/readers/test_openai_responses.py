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
    return tmp_path / "responses.jsonl"


def put(path: Path, *responses: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(response) + "\n" for response in responses), encoding="utf-8")
    return path


def token(text: str | None, logprob: Any = -1.0, **more: Any) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "top_logprobs": [], **more}


def chat(*tokens: dict[str, Any], content: str | None = None, name: str | None = "c", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"content": content, **message}, "logprobs": {"content": [*tokens]}}
    return {"id": name, "object": "chat.completion", "choices": [choice]}


def completion(tokens: list[Any] | None, logprobs: Any, text: str = "", name: str = "c") -> dict[str, Any]:
    logged = {"tokens": tokens, "token_logprobs": logprobs, "text_offset": [], "top_logprobs": None}
    return {"id": name, "object": "text_completion", "choices": [{"index": 0, "text": text, "logprobs": logged}]}


def test_choices_are_sequences_of_their_own(path: Path) -> None:
    response = chat(token("a"), name="r")
    response["choices"].append({**response["choices"][0], "index": 3})
    response["choices"].append({key: value for key, value in response["choices"][0].items() if key != "index"})
    assert [row["sequence"] for row in rows(put(path, response))] == ["r.0", "r.3", "r.2"]


def test_a_response_without_an_id_has_the_number_of_its_line(path: Path) -> None:
    path.write_text("\n" + json.dumps(chat(token("a"), name=None)) + "\n" + json.dumps(chat(token("b"))))
    assert [row["sequence"] for row in rows(path)] == ["line 2.0", "c.0"]


def test_logprobs_stay_as_they_are(path: Path) -> None:
    values = [-9999.0, -math.inf, 0, -5e-324, None]
    found = rows(put(path, chat(*(token("a", value) for value in values))))
    assert [row["logprob"] for row in found] == values


@pytest.mark.parametrize(
    ("one", "size"),
    [
        (token("é"), 2),
        (token("é", bytes=None), 2),
        (token("é", bytes=[195, 169]), 2),
        (token("\\xc3", bytes=[195]), 1),
        (token(None), None),
        (token("\ud83d"), None),  # half of a surrogate pair
        (token("\ufffd", bytes=[239, 191, 189]), None),  # what vLLM has for a part of a character
        (token("\ufffd", bytes=[240, 159]), 2),
        (token("token_id:17", bytes=[32, 97]), 2),
        (token("token_id:17", bytes=list(b"token_id:17")), None),
        (token("token_id:17"), None),
        (token("bytes:\\xe2\\x80"), 2),
        (token("bytes: \\xe2"), 2),
        (token("bytes:"), 6),
        (token(""), 0),
    ],
)
def test_bytes(one: dict[str, Any], size: int | None, path: Path) -> None:
    (row,) = rows(put(path, chat(one)))
    assert row["bytes"] == size
    (row,) = rows(put(path, completion([one["token"]], [-1.0]))) if "bytes" not in one else (row,)
    assert row["bytes"] == size


@pytest.mark.parametrize("mark", ["</s>", "<|im_end|>", "<end_of_turn>"])
def test_the_mark_of_the_end_has_no_bytes_where_it_is_not_in_the_text(mark: str, path: Path) -> None:
    tokens = [token("a b"), token(mark, bytes=list(mark.encode()))]
    assert [row["bytes"] for row in rows(put(path, chat(*tokens, content="a b")))] == [3, 0]
    for content in (f"a b{mark}", None):
        assert [row["bytes"] for row in rows(put(path, chat(*tokens, content=content)))] == [3, len(mark)]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"content": "a b c"}, 3),
        ({"content": "a b"}, 2),  # and then something that the text does not have, such as a stop
        ({"content": "c"}, None),  # the tokens before are those of a reasoning, or of a tool call
        ({"content": None}, None),
        ({"content": ""}, None),
        ({"content": None, "refusal": "a b c"}, 3),
    ],
)
def test_words_are_those_of_the_text(message: dict[str, Any], words: int | None, path: Path) -> None:
    found = rows(put(path, chat(token("a b"), token(" c"), **message)))
    assert [row["words"] for row in found] == [words, None if words is None else 0]


def test_refusals_have_tokens_too(path: Path) -> None:
    response = chat(content=None, refusal="no")
    response["choices"][0]["logprobs"] = {"content": None, "refusal": [token("no")]}
    assert [(row["token"], row["words"]) for row in rows(put(path, response))] == [("no", 1)]


def test_words_stand_where_the_first_score_is(path: Path) -> None:
    found = rows(put(path, completion(["a", " b", " c"], [None, -1.0, -2.0], "a b c")))
    assert [(row["logprob"], row["words"]) for row in found] == [(None, 0), (-1.0, 3), (-2.0, 0)]


def test_completions_without_tokens(path: Path) -> None:
    assert [row["token"] for row in rows(put(path, completion(None, [-1.0, -2.0])))] == [None, None]


REQUEST = "request them: logprobs=True with chat completions, logprobs=1 with completions"


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": None, "refusal": None}])
def test_no_logprobs(logprobs: Any, path: Path) -> None:
    bad = chat(name="d")
    bad["choices"][0]["logprobs"] = logprobs
    found = problem(put(path, chat(token("a")), bad))
    assert (found.code, found.rows, found.hint) == ("schema_mismatch", (2,), REQUEST)
    assert found.message == "choice 0 has no log-probabilities"


@pytest.mark.parametrize(
    ("response", "code", "says"),
    [
        (chat(token("a", "x")), "not_a_number", '"x" is not a log-probability'),
        (chat(token("a", True)), "not_a_number", "true is not"),
        (chat({"token": "a"}), "malformed_row", "no logprob"),
        (chat(token(1)), "malformed_row", "expected a token, but got 1"),  # type: ignore[arg-type]
        (chat(token("a", bytes="a")), "malformed_row", "list of bytes"),
        (chat(token("a", bytes=[256])), "malformed_row", "list of bytes"),
        (chat(token("a", bytes=[0.5])), "malformed_row", "list of bytes"),
        (completion(["a", "b"], [-1.0]), "malformed_row", "2 tokens, but 1 log-probabilities"),
        (completion(["a"], "x"), "malformed_row", "list of log-probabilities"),
        (completion(["a"], None), "malformed_row", "list of log-probabilities"),
        (completion([1], [-1.0]), "malformed_row", "expected a token"),
        ({"id": "x", "choices": None}, "malformed_row", "list of objects as choices"),
        ({"id": "x", "choices": [1]}, "malformed_row", "list of objects as choices"),
        ({"id": "x", "object": "chat.completion.chunk", "choices": []}, "malformed_row", "streamed"),
        ({"custom_id": "x", "response": None, "error": {"code": "expired"}}, "malformed_row", "request failed"),
        (
            {"custom_id": "x", "response": {"status_code": 500, "body": {"error": {"message": "no"}}}, "error": None},
            "malformed_row",
            "request failed",
        ),
        ({"custom_id": "x", "response": {"status_code": 500, "body": "no"}}, "malformed_row", "request failed"),
        ({"id": "x", "label": 1}, "schema_mismatch", "expected a response with choices"),
        (chat(token("a"), name="first"), "duplicate_id", "the same id 'first'"),
    ],
)
def test_faults(response: dict[str, Any], code: str, says: str, path: Path) -> None:
    found = problem(put(path, chat(token("a"), name="first"), response))
    assert (found.code, found.rows) == (code, (2,))
    assert says in found.message


@pytest.mark.parametrize(
    ("text", "says"),
    [("[]", "expected a JSON object"), ("{}x", "no JSON"), ('{"id": "b", "choi', "end of the line and of the file")],
)
def test_lines_that_are_no_json(text: str, says: str, path: Path) -> None:
    path.write_text(json.dumps(chat(token("a"))) + "\n" + text)
    found = problem(path)
    assert (found.code, found.rows) == ("malformed_row", (2,))
    assert says in found.message


def test_a_table_is_no_response(path: Path) -> None:
    assert problem(put(path, {"id": 1, "prob": 0.5}), "openai").code == "schema_mismatch"


def test_a_response_longer_than_what_is_looked_at(path: Path) -> None:
    many = [token("word ", bytes=[0] * 5) for _ in range(6000)]
    assert len(rows(put(path, chat(*many)))) == 6000
    outer = {"id": "b", "custom_id": "mine", "response": {"status_code": 200, "body": chat(*many)}}
    assert {row["sequence"] for row in rows(put(path, outer))} == {"mine.0"}


def test_alternatives_that_look_the_same_are_no_fault(path: Path) -> None:
    response = completion(["a"], [-1.0])
    response["choices"][0]["logprobs"]["top_logprobs"] = "HERE"
    path.write_text(json.dumps(response).replace('"HERE"', '[{"a": -1.0, "a": -2.0}]'))
    assert [row["logprob"] for row in rows(path)] == [-1.0]
    path.write_text(json.dumps(response).replace('"id"', '"id": "x", "id"'))
    assert problem(path).message == "the key 'id' stands twice in one object"
