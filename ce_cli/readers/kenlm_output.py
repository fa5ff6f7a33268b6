r"""What KenLM's `query` writes: the log-probability of every word, or the sum over every sentence, to base 10.

With `-v word` (the default) a line holds `word=vocabulary_id ngram_length log10_probability` and a tab for every word, then
`Total: sum OOV: count`; a sentence ends with the word `</s>`, unless -n was given. `-v sentence` writes the totals alone,
`-v summary` only four lines for all of the text: `Perplexity including OOVs:`, `Perplexity excluding OOVs:`, `OOVs:` and
`Tokens:`, each with a tab and a number, which the other two have at the end as well. Vocabulary id 0 is the unknown word.
Words are what stands between blanks in a line of the text. Source: KenLM, lm/ngram_query.hh (QueryPrinter, Query) and the
usage text of lm/query_main.cc.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ce_cli.errors import CeError, fail
from ce_cli.readers.base import Meaning
from ce_cli.readers.json_text import malformed
from ce_cli.readers.records import RecordData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.readers.lines import Line
    from ce_cli.readers.streams import Source

_WORDS = {"sequence": str, "token": str, "logprob": float, "words": int, "oov": int}
_SENTENCES = {"sequence": str, "logprob": float, "token_count": int, "oov": int}
_ROLE_OF = {"token_count": "count"}
_ROLES = ("sequence", "token", "logprob", "words", "token_count")

_TOTAL = re.compile(r"Total: (\S+) OOV: (\d+)\s*")
_WORD = re.compile(r"(.*)=(\d+) \d+ (\S+)", re.DOTALL)
_SUMMARY = re.compile(r"(Perplexity (?:in|ex)cluding OOVs|OOVs|Tokens):\s+(\S+)\s*")
_WORD_CELL = re.compile(rb"^[^\t\n]*=\d+ \d+ \S+\t", re.MULTILINE)
_LINE = re.compile(rb"^(?:[^\t\n]*=\d+ \d+ \S+\t)*Total: \S+ OOV: \d+\s*?$", re.MULTILINE)
_SUMMARY_LINE = re.compile(rb"^Perplexity including OOVs:\s", re.MULTILINE)
_AGAIN = "write it anew with: query -v word MODEL < TEXT > FILE"

_Row = tuple[object, ...]


def looks_like_kenlm(head: bytes) -> bool:
    """Tell whether the beginning of a file has a scored sentence, or the summary."""
    return b" OOV" in head and any(pattern.search(head) is not None for pattern in (_LINE, _SUMMARY_LINE))


def open_kenlm(path: str, source: Source) -> RecordData:
    """Open an output of KenLM: a row for each word, or for each sentence where there are only sums.

    The column `oov` counts unknown words: 0 or 1 of a word, any number of a sentence.
    """
    by_word = _WORD_CELL.search(source.preview()) is not None
    columns = _WORDS if by_word else _SENTENCES
    meaning = Meaning(
        "tokens", "logprobs", "10", {_ROLE_OF.get(name, name): name for name in _ROLES if name in columns}
    )
    return RecordData(path, source, columns, _Reader(by_word=by_word).rows, meaning)


class _Reader:
    """Reads the lines of one kind of output; a sequence is the number of its line in the text, from 1."""

    def __init__(self, *, by_word: bool) -> None:
        self._row_of = _words if by_word else _sentence
        self._by_word = by_word

    def rows(self, lines: Iterator[Line], path: str) -> Iterator[_Row]:
        """Yield the rows; the number of words is checked against the summary, so that a file that lacks some is found."""
        sentences, tokens, summary = 0, 0, False
        for line in lines:
            if found := _SUMMARY.fullmatch(line.text):
                summary = True
                if found.group(1) == "Tokens":
                    self._check_tokens(found.group(2), tokens, line, path)
                    tokens = 0
                continue
            *cells, last = line.text.split("\t")
            total = _TOTAL.fullmatch(last)
            if total is None:
                _check_remark(line, cells, path)
                continue
            sentences += 1
            for row in self._row_of(cells, total, line, path):
                yield str(sentences), *row
            tokens += len(cells)
        if not sentences:
            raise _nothing(path, summary=summary)

    def _check_tokens(self, told: str, tokens: int, line: Line, path: str) -> None:
        if self._by_word and told != str(tokens):
            message = f"the summary counts {told} tokens, but there are {tokens} before it"
            raise malformed(message, line, path, f"lines are missing: {_AGAIN}")


def _words(cells: list[str], total: re.Match[str], line: Line, path: str) -> Iterator[_Row]:
    """Yield the words of a line: token, log-probability, words, unknown words."""
    found = [_word(cell, line, path) for cell in cells]
    unknown = sum(oov for _, _, oov in found)
    if str(unknown) != total.group(2):
        message = f"the line says OOV: {total.group(2)}, but {unknown} of its words have the vocabulary id 0"
        raise malformed(message, line, path, _AGAIN)
    words = sum(token != "</s>" for token, _, _ in found)
    for token, logprob, oov in found:
        yield token, logprob, words, oov
        words = 0


def _sentence(cells: list[str], total: re.Match[str], line: Line, path: str) -> Iterator[_Row]:
    """Yield the sum of a line: log-probability, an unknown number of tokens, unknown words."""
    if cells:
        raise malformed("there are words in this line, but none in the first ones", line, path, _AGAIN)
    yield _number(total.group(1), line, path), None, int(total.group(2))


def _word(cell: str, line: Line, path: str) -> tuple[str, float, int]:
    match = _WORD.fullmatch(cell)
    if match is None:
        raise malformed(f"expected word=id length log-probability, but got {cell!r}", line, path, _AGAIN)
    token, vocabulary_id, logprob = match.groups()
    return token, _number(logprob, line, path), int(int(vocabulary_id) == 0)


def _number(text: str, line: Line, path: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise fail("not_a_number", f"{text!r} is not a number", file=path, rows=(line.number,), count=1) from error


def _check_remark(line: Line, cells: list[str], path: str) -> None:
    """Raise malformed_row where a line without a total has words; others are remarks of the tool, and nothing to us."""
    if not any(_WORD.fullmatch(cell) for cell in cells):
        return
    cut = " and of the file" if not line.ended else ""
    raise malformed(f"the sentence is not complete at the end of the line{cut}: it has no Total:", line, path, _AGAIN)


def _nothing(path: str, *, summary: bool) -> CeError:
    if summary:
        return fail(
            "schema_mismatch", "there is only the summary, which has no sentence by itself", file=path, hint=_AGAIN
        )
    return fail("no_samples", "there are no scored sentences", file=path, hint=_AGAIN)
