"""Write `formats/`: the same small language model's log-probabilities as several tools write them.

The model counts pairs of words in a few sentences and adds a little to every count (Lidstone's law), so that each number can
be checked by hand; the tools' own files have the same layout and numbers of a real model. Run it with
`python sample_data/make_formats.py`; the same Python writes the same bytes again.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "formats"
ADDED = 0.1
START, END, UNKNOWN = "<s>", "</s>", "<unk>"

LEARNED = """\
the rain came early and the river rose
the river was cold and the boats stayed in
the boats came back when the rain stopped
a cold rain fell and the café was full
the café by the river opened early"""

ASKED = (
    "the rain came back",
    "a cold café by the river",
    "the boats stayed when the lighthouse fell",
)


class Scored(NamedTuple):
    """A sentence with the natural log-probability of each of its words and of its end."""

    words: list[str]
    logprobs: list[float]
    ids: list[int]


class Bigrams:
    """P(word | word before) = (count of the pair + ADDED) / (count of the word before + ADDED * size of the vocabulary)."""

    def __init__(self, text: str) -> None:
        sentences = [[START, *line.split(), END] for line in text.splitlines()]
        self.pairs = Counter(pair for words in sentences for pair in pairwise(words))
        self.before = Counter(word for words in sentences for word in words[:-1])
        known = sorted({word for words in sentences for word in words} - {START})
        self.ids = {word: number for number, word in enumerate([UNKNOWN, START, *known])}
        self.size = len(known) + 1  # with the unknown word, but never the start

    def logprob(self, before: str, word: str) -> float:
        """Return ln P(word | word before)."""
        before, word = (one if one in self.ids else UNKNOWN for one in (before, word))
        return math.log((self.pairs[before, word] + ADDED) / (self.before[before] + ADDED * self.size))

    def score(self, sentence: str) -> Scored:
        """Return a sentence with all of its log-probabilities."""
        words = [*sentence.split(), END]
        logprobs = [self.logprob(before, word) for before, word in pairwise([START, *words])]
        return Scored(words, logprobs, [self.ids.get(word, 0) for word in words])


def kenlm(scored: list[Scored]) -> str:
    """Return what `query -v word` would write."""
    lines, total, tokens, unknown = [], 0.0, 0, 0
    known_total = 0.0
    for words, logprobs, ids in scored:
        tens = [float(f"{logprob / math.log(10):.7g}") for logprob in logprobs]
        cells = [
            f"{word}={number} {2 if number else 1} {ten!r}" for word, number, ten in zip(words, ids, tens, strict=True)
        ]
        lines.append("\t".join([*cells, f"Total: {sum(tens):.7g} OOV: {ids.count(0)}"]))
        total += sum(tens)
        known_total += sum(ten for ten, number in zip(tens, ids, strict=True) if number)
        tokens += len(words)
        unknown += ids.count(0)
    lines += [
        f"Perplexity including OOVs:\t{10 ** (-total / tokens)!r}",
        f"Perplexity excluding OOVs:\t{10 ** (-known_total / (tokens - unknown))!r}",
        f"OOVs:\t{unknown}",
        f"Tokens:\t{tokens}",
    ]
    return "\n".join(lines) + "\n"


def fairseq(scored: list[Scored]) -> str:
    """Return what `fairseq-generate --score-reference` would write, and a second hypothesis for the first sentence."""
    lines = []
    for number, (words, logprobs, _) in enumerate(scored):
        text = " ".join(words[:-1])
        lines += [f"S-{number}\t{text.upper()}", f"T-{number}\t{text}"]
        for hypothesis in range(2 if number == 0 else 1):
            twos = [(logprob - hypothesis) / math.log(2) for logprob in logprobs]
            mean = sum(twos) / len(twos)
            lines += [
                f"H-{number}\t{mean!r}\t{text}",
                f"D-{number}\t{mean!r}\t{text}",
                f"P-{number}\t{' '.join(f'{two:.4f}' for two in twos)}",
            ]
    lines.append("Generate test with beam=5: BLEU4 = 0.00, 0.0/0.0/0.0/0.0")
    return "\n".join(lines) + "\n"


def pieces(word: str, *, first: bool) -> list[bytes]:
    """Return a word as tokens: a blank before it where it is not the first, é as two tokens of one byte."""
    encoded = ("" if first else " ").encode() + word.encode()
    return [part for part in re.split(rb"(?<=\xc3)|(?=\xc3)", encoded) if part]


def chat(scored: list[Scored]) -> str:
    """Return chat completions, one a line; a word's log-probability is shared by its tokens."""
    lines = []
    for number, (words, logprobs, _) in enumerate(scored):
        content = []
        for position, (word, logprob) in enumerate(zip(words[:-1], logprobs[:-1], strict=True)):
            parts = pieces(word, first=position == 0)
            for part in parts:
                token = part.decode(errors="backslashreplace")
                one = {"token": token, "logprob": logprob / len(parts), "bytes": list(part)}
                content.append({**one, "top_logprobs": [one]})
        response = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "bigrams",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": " ".join(words[:-1])},
                    "logprobs": {"content": content, "refusal": None},
                    "finish_reason": "stop",
                }
            ],
        }
        lines.append(json.dumps(response))
    return "\n".join(lines) + "\n"


def completions(scored: list[Scored]) -> str:
    """Return completions with echo, as the lines of a batch: the first token has no log-probability."""
    lines = []
    for number, (words, logprobs, _) in enumerate(scored):
        tokens = [("" if at == 0 else " ") + word for at, word in enumerate(words[:-1])]
        offsets = [sum(map(len, tokens[:at])) for at in range(len(tokens))]
        logged = {
            "tokens": tokens,
            "token_logprobs": [None, *logprobs[1:-1]],
            "top_logprobs": None,
            "text_offset": offsets,
        }
        body = {
            "id": f"cmpl-{number}",
            "object": "text_completion",
            "created": 1700000000,
            "model": "bigrams",
            "choices": [{"index": 0, "text": "".join(tokens), "logprobs": logged, "finish_reason": "length"}],
        }
        response = {"status_code": 200, "request_id": f"request-{number}", "body": body}
        lines.append(
            json.dumps({"id": f"batch-{number}", "custom_id": f"text-{number}", "response": response, "error": None})
        )
    return "\n".join(lines) + "\n"


def rolling(scored: list[Scored]) -> str:
    """Return samples of a task of the type loglikelihood_rolling."""
    lines = []
    for number, (words, logprobs, _) in enumerate(scored):
        text = " ".join(words[:-1])
        total = math.fsum(logprobs)
        counts = {"word_perplexity": len(text.split()), "byte_perplexity": len(text.encode())}
        sample = {
            "doc_id": number,
            "doc": {"text": text},
            "target": text,
            "arguments": {"gen_args_0": {"arg_0": text}},
            "resps": [[repr(total)]],
            "filtered_resps": [repr(total)],
            "filter": "none",
            "metrics": [*counts, "bits_per_byte"],
            **{name: [total, count] for name, count in counts.items()},
            "bits_per_byte": [total, counts["byte_perplexity"]],
        }
        lines.append(json.dumps(sample, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def choices(model: Bigrams) -> str:
    """Return samples of a multiple-choice task that asks which word follows."""
    questions = (
        ("the", ["boats", "café", "early"], 0),
        ("rain", ["sang", "came"], 1),
        ("was", ["opened", "full", "rain"], 1),
    )
    lines = []
    for number, (before, words, right) in enumerate(questions):
        logprobs = [model.logprob(before, word) for word in words]
        best = max(logprobs)
        pairs = [[repr(logprob), str(logprob == best)] for logprob in logprobs]
        sample = {
            "doc_id": number,
            "doc": {"before": before, "words": words},
            "target": str(right),
            "arguments": {f"gen_args_{at}": {"arg_0": before, "arg_1": f" {word}"} for at, word in enumerate(words)},
            "resps": [[pair] for pair in pairs],
            "filtered_resps": pairs,
            "filter": "none",
            "metrics": ["acc"],
            "acc": float(logprobs[right] == best),
        }
        lines.append(json.dumps(sample, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def files() -> dict[str, str]:
    """Return every file by its name."""
    model = Bigrams(LEARNED)
    scored = [model.score(sentence) for sentence in ASKED]
    return {
        "chat.jsonl": chat(scored),
        "completions.jsonl": completions(scored),
        "fairseq.txt": fairseq(scored),
        "kenlm.txt": kenlm(scored),
        "samples_choices.jsonl": choices(model),
        "samples_rolling.jsonl": rolling(scored),
    }


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
