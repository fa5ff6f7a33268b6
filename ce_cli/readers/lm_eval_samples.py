r"""Samples of lm-evaluation-harness, `samples_TASK_TIME.jsonl` as `--log_samples` writes them: one document a line.

A line has `doc_id`, `doc`, `target` (as text), `arguments` (what the model was asked: a list, or an object with the keys
`gen_args_0`, …, each a list, or an object with the keys `arg_0`, …), `resps` (for each request a list with an answer for each
repeat) and, from some version on, `filter`, one line for each filter of the task. What one answer is depends on the request:

- `loglikelihood_rolling`, asked with one text: the log-likelihood of the whole document, as a number or a pair. The words and
  bytes that the harness divides by stand beside it, `word_perplexity: [log-likelihood, words]` and `bits_per_byte` or
  `byte_perplexity` with bytes. They need not be those of the text that was asked: wikitext counts before it detokenises.
- `loglikelihood`, asked with a context and a continuation: the pair log-likelihood of the continuation, greedy or not.
- multiple choice: one such pair for each choice, and `target` is the number of the right one, or its text. The harness
  itself takes the softmax of the log-likelihoods for probabilities. With `acc_mutual_info` the choices follow a second time
  with an empty context.
- `generate_until`: text, which has no likelihood.

Numbers inside `resps` are texts, being written by `sanitize_list`. Source: EleutherAI/lm-evaluation-harness,
lm_eval/evaluator.py, lm_eval/api/task.py (construct_requests, process_results), lm_eval/loggers/evaluation_tracker.py
(save_results_samples), lm_eval/tasks/wikitext/preprocess_wikitext.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ce_cli.errors import CeError, fail
from ce_cli.readers.base import Meaning
from ce_cli.readers.json_text import is_number, malformed, objects, shown
from ce_cli.readers.lines import lines
from ce_cli.readers.records import RecordData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import Source

_TEXTS = {"sequence": str, "logprob": float, "token_count": int, "bytes": int, "words": int}
_ROLE_OF = {"token_count": "count"}
_MEANING = Meaning("tokens", "logprobs", "e", {_ROLE_OF.get(name, name): name for name in _TEXTS})
_LOOKED_AT = 200  # documents, for the largest number of choices
_GENERATED = "only tasks of the types loglikelihood, loglikelihood_rolling and multiple_choice have likelihoods"

_Row = tuple[Any, ...]


class _Sample(NamedTuple):
    """One line: what was asked and answered. kind: texts, choices, or what else it is."""

    line: Line
    path: str
    found: dict[str, Any]
    kind: str
    arguments: list[list[Any]]
    logprobs: list[float]

    def malformed(self, message: str, hint: str | None = None) -> CeError:
        return malformed(message, self.line, self.path, hint)


def open_lm_eval(path: str, source: Source) -> RecordData:
    """Open samples: a row with a sum for each text; or, of multiple choice, a row with a logit for each choice."""
    stream = source.open()
    try:
        choices = _most_choices(lines(stream, path), path)
    finally:
        stream.close()
    if choices is None:
        return RecordData(path, source, _TEXTS, _samples_with("texts", _text_row), _MEANING)
    columns = {"doc_id": str, "label": str, **{f"logit_{choice}": float for choice in range(choices)}}
    return RecordData(path, source, columns, _samples_with("choices", lambda sample: _choice_row(sample, choices)))


def _most_choices(text: Iterator[Line], path: str) -> int | None:
    """Return the largest number of choices in the first documents, None where there is nothing to choose from."""
    most = None
    for looked_at, sample in enumerate(_samples(text, path)):
        if sample.kind == "choices":
            most = max(most or 0, len(sample.logprobs))
        if most is None or looked_at >= _LOOKED_AT:
            break
    return most


def _samples_with(kind: str, row: Callable[[_Sample], _Row]) -> Callable[[Iterator[Line], str], Iterator[_Row]]:
    """Return what yields a row for each sample, all of one kind and of one filter."""

    def rows(text: Iterator[Line], path: str) -> Iterator[_Row]:
        first: Any = None
        for number, sample in enumerate(_samples(text, path)):
            if sample.kind != kind:
                message = f"the first samples are {_KINDS[kind]}, this one is {_KINDS[sample.kind]}"
                raise _mismatch(sample, message, "give each task's samples by themselves")
            filter_ = sample.found.get("filter")
            if number == 0:
                first = filter_
            elif filter_ != first:
                message = f"there are samples of the filters {first!r} and {filter_!r}, so documents come twice"
                raise _mismatch(sample, message, f"keep one: jq -c 'select(.filter == {shown(first)})' FILE")
            yield row(sample)

    return rows


_KINDS = {"texts": "texts with their log-likelihood", "choices": "choices with one each"}


def _mismatch(sample: _Sample, message: str, hint: str) -> CeError:
    return fail("schema_mismatch", message, file=sample.path, rows=(sample.line.number,), count=1, hint=hint)


def _samples(text: Iterator[Line], path: str) -> Iterator[_Sample]:
    for line, found in objects(text, path):
        missing = [key for key in ("doc_id", "arguments", "resps") if key not in found]
        if missing:
            raise fail(
                "schema_mismatch",
                f"expected a sample, but it has no {missing[0]}",
                file=path,
                rows=(line.number,),
                count=1,
                hint="a table of one object per line is read with --format jsonl",
            )
        arguments = [
            _values(request, "arguments", line, path)
            for request in _values(found["arguments"], "arguments", line, path)
        ]
        logprobs = [_logprob(answers, line, path) for answers in _values(found["resps"], "resps", line, path)]
        if not logprobs or len(arguments) != len(logprobs):
            raise malformed(f"there are {len(arguments)} requests, but {len(logprobs)} responses", line, path)
        yield _Sample(
            line, path, found, "texts" if len(logprobs) == 1 else "choices", *_conditional(arguments, logprobs)
        )


def _values(found: Any, name: str, line: Line, path: str) -> list[Any]:
    """Return a list, or the values of an object with numbered keys, in the order of the numbers."""
    if isinstance(found, dict):
        return [found[key] for key in sorted(found, key=lambda key: int("0" + re.sub(r"\D", "", key)))]
    if isinstance(found, list):
        return found
    raise malformed(f"expected a list as {name}, but got {shown(found)}", line, path)


def _logprob(answers: Any, line: Line, path: str) -> float:
    """Return the log-likelihood of the first answer to a request."""
    value = answers
    while isinstance(value, list) and value:
        value = value[0]
    try:
        if is_number(value) or isinstance(value, str):
            return float(value)
    except ValueError as error:
        if isinstance(answers, list) and answers and not isinstance(answers[0], list):
            message = f"the response {shown(value)} is a text, not a log-likelihood"
            raise fail("schema_mismatch", message, file=path, rows=(line.number,), count=1, hint=_GENERATED) from error
    raise fail("not_a_number", f"{shown(value)} is not a log-likelihood", file=path, rows=(line.number,), count=1)


def _conditional(arguments: list[list[Any]], logprobs: list[float]) -> tuple[list[list[Any]], list[float]]:
    """Leave out the second half where it asks for the same choices without their context."""
    half, odd = divmod(len(arguments), 2)
    again = [request[:1] == [""] for request in arguments]
    same = [request[1:2] for request in arguments]
    if half > 1 and not odd and all(again[half:]) and not any(again[:half]) and same[:half] == same[half:]:
        return arguments[:half], logprobs[:half]
    return arguments, logprobs


def _text_row(sample: _Sample) -> _Row:
    """Return sequence, log-likelihood, an unknown number of tokens, bytes and words."""
    (request,) = sample.arguments
    continued = len(request) > 1
    text = next(iter(request[continued:]), None)
    if not isinstance(text, str):
        raise _mismatch(sample, f"expected a text that was scored, but got {shown(text)}", _GENERATED)
    counted = text.strip() if continued else text  # the blank between context and continuation is no word
    words = _told(sample, "word_perplexity")
    size = _told(sample, "bits_per_byte", "byte_perplexity")
    return (
        str(sample.found["doc_id"]),
        sample.logprobs[0],
        None,
        len(text.encode("utf-8", "surrogatepass")) if size is None else size,
        len(re.split(r"\s+", counted)) if words is None else words,
    )


def _told(sample: _Sample, *metrics: str) -> int | None:
    """Return the number that the harness divides a document's log-likelihood by, None where it does not say."""
    for metric in metrics:
        pair = sample.found.get(metric)
        if isinstance(pair, list) and len(pair) == 2 and is_number(pair[1]):
            return int(pair[1])
    return None


def _choice_row(sample: _Sample, choices: int) -> _Row:
    """Return id, label and a logit for each choice; a document with fewer choices has none for the others (-inf)."""
    if len(sample.logprobs) > choices:
        message = f"there are {len(sample.logprobs)} choices, but at most {choices} in the first {_LOOKED_AT} documents"
        raise _mismatch(sample, message, "put a document with the most choices first")
    missing = [float("-inf")] * (choices - len(sample.logprobs))
    return (str(sample.found["doc_id"]), str(_right_choice(sample)), *sample.logprobs, *missing)


def _right_choice(sample: _Sample) -> int:
    """Return the number of the right choice, from its number or its text."""
    target = sample.found.get("target")
    texts = [
        request[1].strip() if len(request) > 1 and isinstance(request[1], str) else None for request in sample.arguments
    ]
    if len({*texts}) == 1:
        raise _mismatch(
            sample,
            "the choices are contexts of one continuation, and which one is right is not in such samples",
            "join the answers to a table of your own: doc_id, label, logit_0, logit_1, …",
        )
    told = str(target).strip()
    if re.fullmatch(r"\d+", told) and int(told) < len(texts):
        return int(told)
    if texts.count(told) == 1:
        return texts.index(told)
    if told.startswith("["):
        message = f"several choices are right: {shown(target)}"
    else:
        message = f"the target {shown(target)} is neither the number of a choice nor the text of one"
    raise fail("unknown_label", message, file=sample.path, column="target", rows=(sample.line.number,), count=1)
