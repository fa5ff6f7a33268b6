r"""Responses of OpenAI's API and of servers that speak it (vLLM and others), one JSON object a line.

Chat completions have `choices[].logprobs.content[]` (and `.refusal[]`), a `token`, its `logprob` and its `bytes` each;
completions have `choices[].logprobs` with the lists `tokens` and `token_logprobs`. A line of a batch's output has the response
in `response.body`, and `custom_id`. With `echo` the first token of a prompt has no log-probability; -9999.0 stands for one
that is not among the likeliest, and stays as it is. Completions spell a token that is a part of a character `bytes:\xf0\x9f`,
vLLM with U+FFFD, which has other bytes than the token: there they are not known; and `token_id:17` where it is asked for ids.

Sources: OpenAI's OpenAPI description (ChatCompletionTokenLogprob, CreateCompletionResponse, BatchRequestOutput); vLLM,
vllm/entrypoints/openai (CompletionLogProbs, ChatCompletionLogProbsContent, BatchRequestOutput).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ce_cli.errors import CeError, fail
from ce_cli.readers.base import Meaning
from ce_cli.readers.json_text import is_number, malformed, objects, shown
from ce_cli.readers.records import RecordData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import Source

_COLUMNS = {"sequence": str, "token": str, "logprob": float, "bytes": int, "words": int}
_MEANING = Meaning("tokens", "logprobs", "e", {name: name for name in _COLUMNS})
_REQUEST = "request them: logprobs=True with chat completions, logprobs=1 with completions"
_ESCAPES = re.compile(r"bytes:(?:\\x[0-9a-fA-F]{2}|[ -~])*\\x[0-9a-fA-F]{2}(?:\\x[0-9a-fA-F]{2}|[ -~])*")
_ESCAPE = re.compile(r"\\x[0-9a-fA-F]{2}")
_REPLACEMENT = "\ufffd".encode()  # what a part of a character is decoded to
_MARK = re.compile(r"<[^<>\s]+>")  # </s>, <|im_end|>, <end_of_turn>

_Row = tuple[str, str | None, float | None, int | None, int | None]


class _Token(NamedTuple):
    """A token as a response has it."""

    text: str | None
    logprob: float | None
    size: int | None  # in bytes
    encoded: bytes | None  # the bytes themselves


class _Place(NamedTuple):
    """Where in the file something stands."""

    line: Line
    path: str

    def malformed(self, message: str, hint: str | None = None) -> CeError:
        return malformed(message, self.line, self.path, hint)


def open_openai(path: str, source: Source) -> RecordData:
    """Open a file of responses as rows of one token each."""
    return RecordData(path, source, _COLUMNS, _rows, _MEANING)


def _rows(lines: Iterator[Line], path: str) -> Iterator[_Row]:
    """Yield a row for every token; choice n of response r is the sequence r.n."""
    previous: str | None = None
    for line, found in objects(lines, path):
        place = _Place(line, path)
        name, response = _response(found, place)
        if name == previous:
            raise fail(
                "duplicate_id",
                f"the response before has the same id {name!r}",
                file=path,
                rows=(line.number,),
                count=1,
                hint="give each response an id of its own",
            )
        previous = name
        for position, choice in enumerate(_list_of_objects(response.get("choices"), "choices", place)):
            index = choice.get("index", position)
            yield from _sequence(f"{name}.{index}", choice, place)


def _response(found: dict[str, Any], place: _Place) -> tuple[str, dict[str, Any]]:
    """Return a response and its id: that of the batch's request, its own, or the number of its line."""
    name = found.get("custom_id")
    if isinstance(outer := found.get("response"), dict) and "body" in outer:
        found = outer["body"] if isinstance(outer["body"], dict) else {"error": outer["body"]}
    if found.get("error") is not None:
        raise place.malformed(
            f"the request failed: {shown(found['error'])}", "leave such lines out, or send them again"
        )
    if "choices" not in found:
        raise fail(
            "schema_mismatch",
            "expected a response with choices, but there are none",
            file=place.path,
            rows=(place.line.number,),
            count=1,
            hint="a table of one object per line is read with --format jsonl",
        )
    if str(found.get("object", "")).endswith(".chunk"):
        raise place.malformed("this is a piece of a streamed response", "write whole responses: stream=False")
    name = found.get("id") if name is None else name
    return f"line {place.line.number}" if name is None else str(name), found


def _sequence(name: str, choice: dict[str, Any], place: _Place) -> Iterator[_Row]:
    """Yield the tokens of a choice; the number of its words stands in the first row that is scored."""
    tokens = _tokens(choice, place)
    text = _text(choice)
    words = len(re.split(r"\s+", text)) if text and _may_spell(tokens, text) else None
    tokens = tokens if text is None else _without_marks(tokens, text)
    first = next((at for at, token in enumerate(tokens) if token.logprob is not None), 0)
    for at, token in enumerate(tokens):
        yield name, token.text, token.logprob, token.size, words if at == first or words is None else 0


def _may_spell(tokens: list[_Token], text: str) -> bool:
    """Tell whether tokens can be a text, perhaps with an end after it: not those of a tool call, say, or of a reasoning."""
    parts = [token.encoded for token in tokens]
    spelled = b"".join(part for part in parts if part is not None)
    return None in parts or spelled.startswith(text.encode("utf-8", "replace"))


def _without_marks(tokens: list[_Token], text: str) -> list[_Token]:
    """Let the mark of the end, which some servers list as a token, have no bytes where it is not in the text."""
    last = tokens[-1] if tokens else None
    if last is None or last.text is None or _MARK.fullmatch(last.text) is None or text.endswith(last.text):
        return tokens
    return [*tokens[:-1], last._replace(size=0)]


def _text(choice: dict[str, Any]) -> str | None:
    message = choice.get("message")
    if isinstance(message, dict):
        parts = [part for part in (message.get("content"), message.get("refusal")) if isinstance(part, str)]
        return "".join(parts) if parts else None
    text = choice.get("text")
    return text if isinstance(text, str) else None


def _tokens(choice: dict[str, Any], place: _Place) -> list[_Token]:
    logprobs = choice.get("logprobs")
    if isinstance(logprobs, dict):
        if "token_logprobs" in logprobs:
            return _completion_tokens(logprobs, place)
        parts = [logprobs[key] for key in ("content", "refusal") if logprobs.get(key) is not None]
        if parts:
            cells = [cell for part in parts for cell in _list_of_objects(part, "logprobs", place)]
            return [_chat_token(cell, place) for cell in cells]
    raise fail(
        "schema_mismatch",
        f"choice {choice.get('index', 0)} has no log-probabilities",
        file=place.path,
        rows=(place.line.number,),
        count=1,
        hint=_REQUEST,
    )


def _chat_token(cell: dict[str, Any], place: _Place) -> _Token:
    token, numbers = cell.get("token"), cell.get("bytes")
    if token is not None and not isinstance(token, str):
        raise place.malformed(f"expected a token, but got {shown(token)}")
    if "logprob" not in cell:
        raise place.malformed(f"the token {shown(token)} has no logprob")
    return _token(
        token, _logprob(cell["logprob"], place), _encoded(token) if numbers is None else _bytes(numbers, place)
    )


def _bytes(numbers: Any, place: _Place) -> bytes:
    try:
        if isinstance(numbers, list):
            return bytes(numbers)
    except (ValueError, TypeError):
        pass
    raise place.malformed(f"expected a list of bytes, but got {shown(numbers)}")


def _token(token: str | None, logprob: float | None, encoded: bytes | None) -> _Token:
    """Return a token, its bytes unknown where those given are of what stands for it."""
    named = token is not None and token.startswith("token_id:") and encoded == token.encode()
    if named or (encoded is not None and _REPLACEMENT in encoded):
        encoded = None
    return _Token(token, logprob, None if encoded is None else len(encoded), encoded)


def _completion_tokens(logprobs: dict[str, Any], place: _Place) -> list[_Token]:
    values = logprobs["token_logprobs"]
    tokens = logprobs.get("tokens")
    if not isinstance(values, list):
        raise place.malformed(f"expected a list of log-probabilities, but got {shown(values)}", _REQUEST)
    if tokens is None:
        tokens = [None] * len(values)
    if not isinstance(tokens, list) or len(tokens) != len(values):
        count = len(tokens) if isinstance(tokens, list) else 0
        raise place.malformed(f"there are {count} tokens, but {len(values)} log-probabilities")
    odd = next((token for token in tokens if token is not None and not isinstance(token, str)), None)
    if odd is not None:
        raise place.malformed(f"expected a token, but got {shown(odd)}")
    return [_token(token, _logprob(value, place), _encoded(token)) for token, value in zip(tokens, values, strict=True)]


def _logprob(value: Any, place: _Place) -> float | None:
    if value is None:
        return None
    if not is_number(value):
        raise fail(
            "not_a_number",
            f"{shown(value)} is not a log-probability",
            file=place.path,
            column="logprob",
            rows=(place.line.number,),
            count=1,
        )
    return float(value)


def _encoded(token: str | None) -> bytes | None:
    """Return the bytes of a text, None where it does not tell them."""
    if token is None:
        return None
    if _ESCAPES.fullmatch(token):
        characters = token.removeprefix("bytes:")
        return _ESCAPE.sub(lambda escape: chr(int(escape.group()[2:], 16)), characters).encode("latin-1")
    try:
        return token.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def _list_of_objects(value: Any, name: str, place: _Place) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise place.malformed(f"expected a list of objects as {name}, but got {shown(value)}")
    return value
