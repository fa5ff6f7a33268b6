"""The sample files, whose numbers are a small model's own; what holds for every format."""

from __future__ import annotations

import bz2
import gzip
import io
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ce_cli.readers.files import open_data
from ce_cli.readers.recognise import text_format
from tests.readers.formats import FORMATS, maker, rows, rows_in_blocks

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(path.name for path in FORMATS.iterdir())
KINDS = {
    "chat.jsonl": "openai",
    "completions.jsonl": "openai",
    "fairseq.txt": "fairseq",
    "kenlm.txt": "kenlm",
    "samples_choices.jsonl": "lm-eval",
    "samples_rolling.jsonl": "lm-eval",
}
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scored() -> list:
    model = maker().Bigrams(maker().LEARNED)
    return [model.score(sentence) for sentence in maker().ASKED]


def by_sequence(found: list[dict]) -> dict[str, list[dict]]:
    sequences: dict[str, list[dict]] = {}
    for row in found:
        sequences.setdefault(row["sequence"], []).append(row)
    return sequences


def test_the_sample_files_are_what_the_script_writes() -> None:
    assert maker().files() == {name: (FORMATS / name).read_text(encoding="utf-8") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_recognised_by_contents(name: str, tmp_path: Path) -> None:
    data = (FORMATS / name).read_bytes()
    assert text_format("anything.csv", data) == KINDS[name]
    assert text_format("anything", data[: len(data) // 2]) == KINDS[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst"])
def test_compressed(name: str, suffix: str, tmp_path: Path) -> None:
    data = (FORMATS / name).read_bytes()
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "zst": lambda text: bytes(pa.Codec("zstd").compress(text))}
    (tmp_path / f"x.{suffix}").write_bytes(compress[suffix](data))
    assert rows(tmp_path / f"x.{suffix}") == rows(FORMATS / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compressed", [False, True])
def test_standard_input(name: str, compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (FORMATS / name).read_bytes()
    raw = io.BufferedReader(io.BytesIO(gzip.compress(data) if compressed else data))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=raw))
    assert rows("-") == rows(FORMATS / name)


@pytest.mark.parametrize("name", NAMES)
def test_windows_line_ends_and_a_byte_order_mark(name: str, tmp_path: Path) -> None:
    data = (FORMATS / name).read_bytes()
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    assert rows(tmp_path / "x") == rows(FORMATS / name)


@few
@given(name=st.sampled_from(NAMES), size=st.integers(1, 5000), batch=st.integers(1, 50), jobs=st.sampled_from([1, 2]))
def test_blocks_and_batches_change_nothing(name: str, size: int, batch: int, jobs: int) -> None:
    assert rows_in_blocks(FORMATS / name, size, batch, jobs) == rows(FORMATS / name)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_format_means(name: str) -> None:
    data = open_data(str(FORMATS / name))
    if name == "samples_choices.jsonl":
        assert data.meaning is None
        return
    assert data.meaning is not None
    base = {"fairseq.txt": "2", "kenlm.txt": "10"}.get(name, "e")
    assert data.meaning[:3] == ("tokens", "logprobs", base)
    assert set(data.meaning.roles) <= {"sequence", "token", "logprob", "bytes", "words", "count"}
    assert {*data.meaning.roles.values()} <= {*data.names}
    assert {"sequence", "logprob"} <= {*data.meaning.roles}


def test_chat_completions() -> None:
    sequences = by_sequence(rows(FORMATS / "chat.jsonl"))
    assert list(sequences) == ["chatcmpl-0.0", "chatcmpl-1.0", "chatcmpl-2.0"]
    for (words, logprobs, _), tokens in zip(scored(), sequences.values(), strict=True):
        text = " ".join(words[:-1])
        assert sum(token["bytes"] for token in tokens) == len(text.encode())
        assert [token["words"] for token in tokens] == [len(words) - 1, *[0] * (len(tokens) - 1)]
        assert math.fsum(token["logprob"] for token in tokens) == pytest.approx(math.fsum(logprobs[:-1]), rel=1e-15)
    assert [(token["token"], token["bytes"]) for token in sequences["chatcmpl-1.0"][:5]] == [
        ("a", 1), (" cold", 5), (" caf", 4), ("\\xc3", 1), ("\\xa9", 1)
    ]  # fmt: skip


def test_completions_in_a_batch() -> None:
    sequences = by_sequence(rows(FORMATS / "completions.jsonl"))
    assert list(sequences) == ["text-0.0", "text-1.0", "text-2.0"]
    for (words, logprobs, _), tokens in zip(scored(), sequences.values(), strict=True):
        assert "".join(token["token"] for token in tokens) == " ".join(words[:-1])
        assert [token["logprob"] for token in tokens] == [None, *logprobs[1:-1]]
        assert [token["bytes"] for token in tokens] == [len(token["token"].encode()) for token in tokens]
        assert [token["words"] for token in tokens] == [0, len(words) - 1, *[0] * (len(tokens) - 2)]


def test_kenlm() -> None:
    sequences = by_sequence(rows(FORMATS / "kenlm.txt"))
    assert list(sequences) == ["1", "2", "3"]
    for (words, logprobs, ids), tokens in zip(scored(), sequences.values(), strict=True):
        assert [token["token"] for token in tokens] == words
        assert [token["logprob"] * math.log(10) for token in tokens] == pytest.approx(logprobs, rel=1e-6)
        assert [token["words"] for token in tokens] == [len(words) - 1, *[0] * (len(tokens) - 1)]
        assert [token["oov"] for token in tokens] == [int(number == 0) for number in ids]


def test_fairseq() -> None:
    sequences = by_sequence(rows(FORMATS / "fairseq.txt"))
    assert list(sequences) == ["0.0", "0.1", "1.0", "2.0"]
    for (words, logprobs, _), name in zip(scored(), ("0.0", "1.0", "2.0"), strict=True):
        tokens = sequences[name]
        assert [token["token"] for token in tokens] == words
        assert [token["logprob"] * math.log(2) for token in tokens] == pytest.approx(logprobs, abs=4e-5)
        assert [token["words"] for token in tokens] == [len(words) - 1, *[0] * (len(tokens) - 1)]
    assert [token["logprob"] for token in sequences["0.1"]] == [-2.275, -3.8706, -3.7112, -3.4095, -6.4871]


def test_rolling_samples() -> None:
    found = rows(FORMATS / "samples_rolling.jsonl")
    for at, ((words, logprobs, _), row) in enumerate(zip(scored(), found, strict=True)):
        text = " ".join(words[:-1])
        assert row == {
            "sequence": str(at),
            "logprob": math.fsum(logprobs),
            "token_count": None,
            "bytes": len(text.encode()),
            "words": len(words) - 1,
        }


def test_samples_of_choices() -> None:
    found = rows(FORMATS / "samples_choices.jsonl")
    model = maker().Bigrams(maker().LEARNED)
    assert [row["label"] for row in found] == ["0", "1", "1"]
    assert found[0]["logit_1"] == model.logprob("the", "café")
    assert list(found[1].values()) == [
        "1", "1", model.logprob("rain", "sang"), model.logprob("rain", "came"), -math.inf
    ]  # fmt: skip


def test_the_sequences_of_several_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes((FORMATS / "kenlm.txt").read_bytes())
    assert list(by_sequence(rows(tmp_path))) == [
        f"{tmp_path / name}:{n}" for name in ("a.txt", "b.txt") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "id\tprob\nH-1\t0.3\nP-1\t0.4\n",
        "word,count\nPerplexity including OOVs,3\n",
        "a=1 2,b\n1,2\n",
        '"{""a"": 1}",b\n1,2\n',
        "[0.1,0.2],b\n1,2\n",
    ],
)
def test_what_only_looks_like_a_format_is_a_table(text: str) -> None:
    assert text_format("x.csv", text.encode()) == "csv"


@pytest.mark.parametrize(
    "text",
    [
        '{"choices": ["a", "b"], "prob": 0.5}\n',
        '{"choices": [{"name": "a"}], "prob": 0.5}\n',
        '{"doc_id": 1, "resps": 3, "prob": 0.5}\n',
        '{"custom_id": 1, "prob": 0.5}\n',
        '{"response": {"body": 1}, "prob": 0.5}\n',
        "{\n",
    ],
)
def test_objects_that_only_look_like_a_format_are_a_table(text: str) -> None:
    assert text_format("x.jsonl", text.encode()) == "jsonl-table"
