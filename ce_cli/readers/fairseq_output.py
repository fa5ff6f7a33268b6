"""What `fairseq-generate` and `fairseq-interactive` write: the log-probability of every token of every hypothesis.

Of each sentence there are lines of a letter, the sentence's number, and cells after tabs: `S-` the source, `T-` the
reference, and for each hypothesis `H-` its score and its tokens, `D-` its score and its text without subword marks, `P-` the
log-probabilities of its tokens with blanks between, all scores to base 2; further letters are nothing to us. A hypothesis
ends with the end of the sentence, which its `P-` line has a number for, but its `H-` line no token. Source: fairseq,
fairseq_cli/generate.py (the loop over hypotheses) and its closing note that scores are in base 2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ce_cli.errors import fail
from ce_cli.readers.base import Meaning
from ce_cli.readers.json_text import malformed
from ce_cli.readers.records import RecordData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import Source

_COLUMNS = {"sequence": str, "token": str, "logprob": float, "words": int}
_MEANING = Meaning("tokens", "logprobs", "2", {name: name for name in _COLUMNS})
_RECORD = re.compile(r"([HDP])-(\d+)\t(.*)")
_END = "</s>"
_SUBWORD_MARKS = re.compile(r"@@(?:\s|$)|\u2581")
_NUMBER = rb"-?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)"
# A hypothesis and its log-probabilities: both, since a table may well have ids like P-1.
_HYPOTHESIS = re.compile(rb"^H-(\d+)\t" + _NUMBER + rb"\t", re.MULTILINE)
_SCORES = re.compile(rb"^P-(\d+)\t" + _NUMBER + rb"(?: " + _NUMBER + rb")*\r?$", re.MULTILINE)

_Row = tuple[str, str | None, float, int | None]


class _Hypothesis(NamedTuple):
    """What the lines before a `P-` line say of it."""

    sentence: str
    tokens: list[str] | None = None
    text: str | None = None


def looks_like_fairseq(head: bytes) -> bool:
    """Tell whether the beginning of a file has hypotheses with their log-probabilities."""
    hypotheses = {match.group(1) for match in _HYPOTHESIS.finditer(head)}
    return any(match.group(1) in hypotheses for match in _SCORES.finditer(head))


def open_fairseq(path: str, source: Source) -> RecordData:
    """Open an output of fairseq as rows of one token each."""
    return RecordData(path, source, _COLUMNS, _rows, _MEANING)


def _rows(lines: Iterator[Line], path: str) -> Iterator[_Row]:
    """Yield a row for every token; hypothesis n (from 0) of sentence s is the sequence s.n."""
    hypothesis, previous, n, scored, unscored = _Hypothesis(""), "", 0, False, False
    for line in lines:
        match = _RECORD.fullmatch(line.text)
        if match is None:
            continue
        letter, sentence, cells = match.groups()
        if letter == "P":
            n = n + 1 if sentence == previous else 0
            previous, scored = sentence, True
            known = hypothesis if hypothesis.sentence == sentence else _Hypothesis(sentence)
            yield from _tokens(line, path, cells, known, f"{sentence}.{n}")
            hypothesis = _Hypothesis("")
        else:
            unscored = True
            hypothesis = _described(line, path, letter, sentence, cells, hypothesis)
    if not scored:
        raise fail(
            "schema_mismatch" if unscored else "no_samples",
            "there are hypotheses (H-), but no log-probabilities (P-)" if unscored else "there are no hypotheses",
            file=path,
            hint="keep the lines that start with P-" if unscored else None,
        )


def _described(line: Line, path: str, letter: str, sentence: str, cells: str, hypothesis: _Hypothesis) -> _Hypothesis:
    """Return a hypothesis with what its `H-` or `D-` line says."""
    _, tab, text = cells.partition("\t")
    if not tab:
        raise malformed(f"expected a score and a text after {letter}-{sentence}, but got {cells!r}", line, path)
    if letter == "H":
        return _Hypothesis(sentence, text.split(" ") if text else [], text)
    return hypothesis._replace(text=text) if hypothesis.sentence == sentence else _Hypothesis(sentence, text=text)


def _tokens(line: Line, path: str, cells: str, hypothesis: _Hypothesis, sequence: str) -> Iterator[_Row]:
    """Yield the rows of a `P-` line. Tokens that were joined again (`--remove-bpe`) are not known one by one."""
    try:
        logprobs = [float(cell) for cell in cells.split()]
    except ValueError as error:
        odd = next(cell for cell in cells.split() if not _is_number(cell))
        raise fail("not_a_number", f"{odd!r} is not a number", file=path, rows=(line.number,), count=1) from error
    if not logprobs:
        raise malformed(f"there are no log-probabilities after P-{hypothesis.sentence}", line, path)
    known = hypothesis.tokens is not None and len(hypothesis.tokens) + 1 == len(logprobs)
    tokens = hypothesis.tokens if known and hypothesis.tokens is not None else [None] * (len(logprobs) - 1)
    words = _words(hypothesis.text)
    for token, logprob in zip((*tokens, _END), logprobs, strict=True):
        yield sequence, token, logprob, words
        words = 0 if words is not None else None


def _words(text: str | None) -> int | None:
    """Return the number of words of a text, None where it is not known or still has the marks of subwords."""
    return None if text is None or _SUBWORD_MARKS.search(text) else len(re.split(r"\s+", text))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
