"""Files of other tools through the real command, without an option, compared with a plain reading of the same file."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from tests.cli.command import ROOT, ce, value

FORMATS = "sample_data/formats"


def lines(name: str) -> list[str]:
    return (ROOT / FORMATS / name).read_text(encoding="utf-8").splitlines()


def chat() -> list[list[float]]:
    responses = map(json.loads, lines("chat.jsonl"))
    return [
        [token["logprob"] for token in choice["logprobs"]["content"]]
        for response in responses
        for choice in response["choices"]
    ]


def completions() -> list[list[float]]:
    responses = (json.loads(line)["response"]["body"] for line in lines("completions.jsonl"))
    return [
        [one for one in choice["logprobs"]["token_logprobs"] if one is not None]
        for response in responses
        for choice in response["choices"]
    ]


def fairseq() -> list[list[float]]:
    found = [line.split("\t")[1].split() for line in lines("fairseq.txt") if line.startswith("P-")]
    return [[float(one) * math.log(2) for one in row] for row in found]


def kenlm() -> list[list[float]]:
    words = [re.findall(r"=\d+ \d+ (\S+)", line.split("Total:")[0]) for line in lines("kenlm.txt") if "Total:" in line]
    return [[float(one) * math.log(10) for one in row] for row in words]


@pytest.mark.parametrize(
    ("name", "read"),
    [("chat.jsonl", chat), ("completions.jsonl", completions), ("fairseq.txt", fairseq), ("kenlm.txt", kenlm)],
)
def test_tokens(name, read) -> None:
    sequences = read()
    report = ce(f"{FORMATS}/{name}", "--json", cwd=ROOT, expect=0).json
    tokens = [-one for row in sequences for one in row]
    assert report["task"] == "tokens"
    assert (report["counts"]["sequences"], report["counts"]["tokens"]) == (len(sequences), len(tokens))
    assert value(report) == pytest.approx(np.mean(tokens), rel=1e-13)
    assert value(report, "perplexity") == pytest.approx(math.exp(np.mean(tokens)), rel=1e-13)
    assert value(report, "sequence_sum_mean") == pytest.approx(-np.mean([sum(row) for row in sequences]), rel=1e-13)


def test_rolling_samples_have_no_tokens() -> None:
    documents = [json.loads(line) for line in lines("samples_rolling.jsonl")]
    report = ce(f"{FORMATS}/samples_rolling.jsonl", "--json", cwd=ROOT, expect=0).json
    assert report["counts"]["sequences"] == len(documents)
    assert not {"perplexity", "bits_per_token", "sequence_mean"} & report["metrics"].keys()
    assert {"bits_per_byte", "byte_perplexity", "word_perplexity"} <= report["metrics"].keys()
    assert value(report) == value(report, "sequence_sum_mean")
    assert value(report, "byte_perplexity") == pytest.approx(2 ** value(report, "bits_per_byte"), rel=1e-14)
    assert next(issue["code"] for issue in report["issues"]) == "unknown_tokens"


def test_choices_are_a_classification() -> None:
    report = ce(f"{FORMATS}/samples_choices.jsonl", "--json", cwd=ROOT, expect=0).json
    assert (report["task"], report["input"]) == ("multiclass", "logits")


def test_gradients_need_every_score() -> None:
    done = ce(f"{FORMATS}/chat.jsonl", "--gradients", "-", cwd=ROOT, expect=2)
    assert done.codes == ["bad_option"]
