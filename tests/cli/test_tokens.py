"""Tokens of language models and translations, through the command and the library."""

from __future__ import annotations

import json
import math
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import t

from ce_cli import CeError, evaluate
from ce_cli.plan import Options
from ce_cli.readers.base import Meaning
from ce_cli.readers.memory import TableData
from ce_cli.setup import prepare
from tests.cli.command import ce, lines, table, value, write

if TYPE_CHECKING:
    from pathlib import Path

LENGTHS = (4, 1, 7, 3, 5)
LOGPROBS = -np.random.default_rng(5).gamma(1.5, 1.2, sum(LENGTHS))
IDS = [f"s{number}" for number, length in enumerate(LENGTHS) for _ in range(length)]
BY_SEQUENCE = np.split(LOGPROBS, np.cumsum(LENGTHS)[:-1])
TEXTS = ["an  old man", "x", "Grüße aus Köln", " blank", "one two three four"]


def tokens_table() -> pa.Table:
    return pa.table({"seq_id": IDS, "logprob": LOGPROBS})


def lists_table() -> pa.Table:
    return pa.table({"logprobs": [part.tolist() for part in BY_SEQUENCE], "text": TEXTS})


def sums_table() -> pa.Table:
    return pa.table({"logprob": [part.sum() for part in BY_SEQUENCE], "n": LENGTHS, "text": TEXTS})


def clustered(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Return Σa / Σb and its standard error with clusters (a, b)."""
    ratio, count = sums.sum() / sizes.sum(), len(sums)
    return ratio, math.sqrt(count / (count - 1) * ((sums - ratio * sizes) ** 2).sum()) / sizes.sum()


@pytest.mark.parametrize("shape", ["tokens", "lists", "text", "lines", "sums", "classes"])
def test_every_shape_gives_the_same_figures(shape: str, tmp_path: Path) -> None:
    options: tuple[object, ...] = ()
    file: Path = tmp_path / "p.parquet"
    words = [" ".join(map(repr, part.tolist())) for part in BY_SEQUENCE]
    if shape == "tokens":
        pq.write_table(tokens_table(), file)
    elif shape == "lists":
        pq.write_table(lists_table(), file)
    elif shape == "text":
        file = tmp_path / "p.csv"
        write(tmp_path, p=lines("sentence,logprobs", *enumerate(words)))
    elif shape == "lines":
        file = tmp_path / "p.txt"
        file.write_text("\n".join(words) + "\n")
    elif shape == "sums":
        pq.write_table(sums_table(), file)
        options = ("--token-count-col", "n")
    else:
        probs = np.exp(LOGPROBS)
        pq.write_table(
            pa.table({"seq_id": IDS, "prob_yes": probs, "prob_no": 1 - probs, "label": ["yes"] * len(probs)}), file
        )
        options = ("--task", "tokens")
    report = ce(file, *options, "--json", cwd=tmp_path, expect=0).json
    sums = -np.array([part.sum() for part in BY_SEQUENCE])
    sizes = np.array(LENGTHS, dtype=float)
    mean, error = clustered(sums, sizes)
    margin = t.ppf(0.975, len(LENGTHS) - 1) * error
    found = report["metrics"]
    assert report["task"] == "tokens"
    assert report["classes"] == []
    assert report["counts"]["sequences"] == len(LENGTHS)
    assert report["counts"]["tokens"] == len(LOGPROBS)
    assert found["cross_entropy"]["value"] == pytest.approx(mean, rel=1e-14)
    assert found["cross_entropy"]["stderr"] == pytest.approx(error, rel=1e-12)
    assert found["perplexity"]["value"] == pytest.approx(math.exp(mean), rel=1e-13)
    assert found["perplexity"]["lower"] == pytest.approx(math.exp(mean - margin), rel=1e-12)
    assert found["perplexity"]["upper"] == pytest.approx(math.exp(mean + margin), rel=1e-12)
    assert found["bits_per_token"]["value"] == pytest.approx(mean / math.log(2), rel=1e-14)
    assert found["sequence_sum_mean"]["value"] == pytest.approx(sums.mean(), rel=1e-14)
    assert found["sequence_sum_mean"]["stderr"] == pytest.approx(sums.std(ddof=1) / math.sqrt(5), rel=1e-12)
    assert found["sequence_mean"]["value"] == pytest.approx((sums / sizes).mean(), rel=1e-14)


@pytest.mark.parametrize("make", [lists_table, sums_table])
def test_bytes_and_words_are_counted_from_the_text(make: Any) -> None:
    report = evaluate(make(), text_col="text", **({"token_count_col": "n"} if make is sums_table else {}))
    size = np.array([len(text.encode()) for text in TEXTS], dtype=float)
    sums = -np.array([part.sum() for part in BY_SEQUENCE])
    ratio, error = clustered(sums, size)
    factor = math.exp(t.ppf(0.975, 4) * error / ratio)
    bits = report["bits_per_byte"]
    assert bits.value == pytest.approx(ratio / math.log(2), rel=1e-14)
    assert (bits.lower, bits.upper) == (
        pytest.approx(bits.value / factor, rel=1e-12),
        pytest.approx(bits.value * factor, rel=1e-12),
    )
    assert report["byte_perplexity"].value == pytest.approx(math.exp(ratio), rel=1e-14)
    assert report["word_perplexity"].value == pytest.approx(math.exp(sums.sum() / (3 + 1 + 3 + 2 + 4)), rel=1e-14)


def test_text_in_the_first_row_of_a_sequence_is_that_of_the_sequence() -> None:
    data = pa.table(
        {
            "seq_id": [1, 1, 2, 2, 2],
            "logprob": [None, -1.0, -2.0, -3.0, -4.0],
            "text": ["ab", None, "cde", None, None],
            "size": [2, 0, 1, None, 2],
        }
    )
    for chunk in (1, 2, 3, 5):
        report = evaluate(data, text_col="text", chunk_rows=chunk)
        assert report["bits_per_byte"].value == pytest.approx(10 / math.log(2) / 5, rel=1e-15)
        assert report.counts["unscored"] == 1
        assert "bits_per_byte" not in evaluate(data, bytes_col="size", chunk_rows=chunk)
        summed = evaluate(data.set_column(3, "size", [[2, 1, 1, 0, 2]]), bytes_col="size", chunk_rows=chunk)
        assert summed["bits_per_byte"].value == pytest.approx(10 / math.log(2) / 6, rel=1e-15)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["a", "b", "c", "d"])), min_size=1, max_size=6),
    st.integers(1, 7),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_chunks_and_jobs_change_no_bit(
    runs: list[tuple[int, str]], chunk: int, jobs: int, weighted: bool, seed: int
) -> None:
    random = Random(seed)
    ids = [f"{name}{number}" for number, (length, name) in enumerate(runs) for _ in range(length)]
    n = len(ids)
    data = pa.table(
        {
            "seq_id": ids,
            "logprob": [None if random.random() < 0.1 else -random.expovariate(1) for _ in range(n - 1)] + [-0.5],
            "w": [random.random() + 0.1 for _ in range(n)],
            "bytes": [random.randrange(1, 9) for _ in range(n)],
        }
    )
    options: dict[str, Any] = {"bytes_col": "bytes", **({"weight_col": "w"} if weighted else {})}
    whole = evaluate(data, **options, jobs=1).to_dict()
    assert evaluate(data, **options, jobs=jobs, chunk_rows=chunk).to_dict() == whole


def test_weights_count_in_the_mean_and_inside_sequences() -> None:
    weight = np.random.default_rng(2).uniform(0.5, 2, len(LOGPROBS))
    report = evaluate(tokens_table().append_column("w", pa.array(weight)), weight_col="w")
    bounds = np.cumsum((0, *LENGTHS[:-1]))
    sums, sizes = np.add.reduceat(-LOGPROBS * weight, bounds), np.add.reduceat(weight, bounds)
    mean, error = clustered(sums, sizes)
    assert report["cross_entropy"].value == pytest.approx(mean, rel=1e-14)
    assert report["cross_entropy"].stderr == pytest.approx(error, rel=1e-12)
    assert report["sequence_mean"].value == pytest.approx((sums / sizes).mean(), rel=1e-14)


def test_without_sequences_tokens_are_independent() -> None:
    report = evaluate(pa.table({"logprob": LOGPROBS}), task="tokens")
    assert report["cross_entropy"].stderr == pytest.approx(LOGPROBS.std(ddof=1) / math.sqrt(len(LOGPROBS)), rel=1e-12)
    assert "sequence_mean" not in report
    assert "sequences" not in report.counts


def test_a_vocabulary_in_a_list_column(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    k, n = 3000, 60
    logits = generator.normal(0, 3, (n, k)).astype(np.float32)
    label = generator.integers(0, k, n)
    losses = -log_softmax(logits.astype(float), axis=1)
    own = losses[np.arange(n), label]
    column = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), k)
    data = pa.table({"doc_id": np.arange(n) // 10, "logits": column, "token": label})
    report = evaluate(data, task="tokens", label_smoothing=0.1)
    assert report["cross_entropy"].value == pytest.approx((0.9 * own + 0.1 * losses.mean(axis=1)).mean(), rel=1e-12)
    assert report["cross_entropy_unsmoothed"].value == pytest.approx(own.mean(), rel=1e-12)
    assert report["perplexity"].value == pytest.approx(math.exp(own.mean()), rel=1e-12)
    assert report["accuracy"].value == (logits.argmax(axis=1) == label).mean()
    assert report.classes == ()
    assert f"|k:{k}|" in report.signature
    assert report.to_dict() == evaluate(data, task="tokens", label_smoothing=0.1, chunk_rows=7, jobs=1).to_dict()
    ignored = evaluate(data, task="tokens", ignore_label=str(label[0]))
    assert ignored.counts["ignored"] == (label == label[0]).sum()


def test_a_format_that_knows_what_its_columns_mean() -> None:
    data = TableData("<x>", pa.table({"u": ["a", "a", "b"], "v": [-1.0, -2.0, -3.0], "s": [3, 4, 5], "w": [2, 0, 1]}))
    roles = {"sequence": "u", "logprob": "v", "bytes": "s", "words": "w"}
    data.meaning = Meaning("tokens", "logprobs", "2", roles)
    context = prepare(data, None, Options())
    assert (context.plan.task, context.plan.input_base) == ("tokens", "2")
    assert {name: role.column for name, role in context.layout.roles.items()} == {
        "sequence": "u",
        "bytes": "s",
        "words": "w",
    }
    from ce_cli.api import evaluate_data

    report = evaluate_data(data, None, Options())
    assert report["bits_per_token"].value == pytest.approx(2.0, rel=1e-15)
    assert report["bits_per_byte"].value == pytest.approx(0.5, rel=1e-15)
    assert report["word_perplexity"].value == pytest.approx(4.0, rel=1e-14)


def test_probabilities_of_the_token(tmp_path: Path) -> None:
    write(tmp_path, p=lines("doc_id,prob", *zip("aabb", (0.5, 0.25, 0.5, 0.25), strict=True)))
    report = ce("p.csv", "--task", "tokens", "--input", "probs", "--json", cwd=tmp_path, expect=0).json
    assert value(report, "perplexity") == pytest.approx(math.sqrt(8), rel=1e-14)
    write(tmp_path, z=lines("doc_id,prob", "a,0", "a,1", "b,0.5"))
    report = ce("z.csv", "--task", "tokens", "--json", cwd=tmp_path, expect=0).json
    infinite = ("cross_entropy", "perplexity", "bits_per_token", "sequence_mean", "sequence_sum_mean")
    assert {value(report, name) for name in infinite} == {math.inf}
    assert value(report, "cross_entropy_finite") == pytest.approx(math.log(2) / 2, rel=1e-15)


def test_errors_name_the_row_of_the_file_and_the_place_in_the_list(tmp_path: Path) -> None:
    write(tmp_path, p=lines("id,logprobs", "1,-1 -2", "2,-0.5 0.7 0.9", "3,-9999 x"))
    done = ce("p.csv", "--task", "tokens", "--json", "--errors", "e.csv", cwd=tmp_path, expect=2)
    assert [(one["code"], one["rows"], one["count"]) for one in done.json["errors"]] == [
        ("not_a_number", [3], 1),
        ("logprob_positive", [2], 1),
        ("sentinel_logprob", [3], 1),
    ]
    assert "token 2: 0.7" in done.json["errors"][1]["message"]
    assert [row["row"] for row in table((tmp_path / "e.csv").read_text())] == ["2", "2", "3", "3"]
    report = ce("p.csv", "--task", "tokens", "--on-invalid", "drop", "--json", cwd=tmp_path, expect=0).json
    counts = report["counts"]
    assert (counts["rows"], counts["scored"], counts["invalid"], counts["sequences"]) == (7, 3, 4, 2)


def test_a_sequence_that_comes_back_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, p=lines("seq_id,logprob", "1,-1", "2,-1", "1,-1"))
    done = ce("p.csv", "--json", "--per-sequence", "s.csv", cwd=tmp_path, expect=2)
    assert [(one["code"], one["rows"]) for one in done.json["errors"]] == [("duplicate_id", [3])]
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("header", "options", "code"),
    [
        ("doc_id,a,b", ("--task", "tokens"), "ambiguous_columns"),
        ("doc_id,text", ("--task", "tokens"), "unknown_column"),
        ("doc_id,logprob", ("--sequence-col", "doc"), "unknown_column"),
        ("doc_id,logprob", ("--label-smoothing", "0.1"), "bad_option"),
        ("doc_id,logprob", ("--input", "logits"), "bad_option"),
        ("doc_id,logprob", ("--labels", "p.csv", "--task", "tokens"), "bad_option"),
        ("doc_id,logprob", ("--ignore-label", "x"), "bad_option"),
        ("x,logprob", ("--task", "tokens", "--per-sequence", "s.csv"), "bad_option"),
        ("n,logprob", ("--token-count-col", "n"), "not_a_number"),
        ("seq_id,logprob", ("--class-weights", "a=1"), "bad_option"),
    ],
)
def test_what_is_unclear_is_an_error(header: str, options: tuple[str, ...], code: str, tmp_path: Path) -> None:
    cells = {"doc_id": "d", "seq_id": "d", "text": "t", "x": "x", "n": "0"}
    row = ",".join(cells.get(name, "-1.5") for name in header.split(","))
    write(tmp_path, p=lines(header, row, row))
    assert ce("p.csv", *options, "--json", cwd=tmp_path, expect=2).codes == [code]


def test_files_of_rows_and_of_sequences(tmp_path: Path) -> None:
    rows = ["a,x,-1,2", "a,y,,3", "b,x,-3,4", "c,z,,5"]
    write(tmp_path, p=lines("seq_id,token,logprob,size", *rows))
    options = ("--bytes-col", "size", "--per-sequence", "s.csv", "--per-sample", "r.csv", "--base", "2")
    ce("p.csv", *options, "--chunk-rows", 1, cwd=tmp_path, expect=0)
    found = table((tmp_path / "s.csv").read_text())
    assert [row["seq_id"] for row in found] == ["a", "b", "c"]
    assert [(row["tokens"], row["unscored"], row["bytes"]) for row in found] == [
        ("1", "1", "5"),
        ("1", "0", "4"),
        ("0", "1", "5"),
    ]
    assert float(found[1]["loss_sum"]) == pytest.approx(3 / math.log(2), rel=1e-15)
    assert float(found[1]["perplexity"]) == pytest.approx(math.exp(3), rel=1e-15)
    assert found[2]["loss_mean"] == ""
    per_row = table((tmp_path / "r.csv").read_text())
    assert [(row["seq_id"], row["label"], row["weight"]) for row in per_row] == [
        ("a", "x", "1"),
        ("a", "y", ""),
        ("b", "x", "1"),
        ("c", "z", ""),
    ]


def test_gates_know_the_figures(tmp_path: Path) -> None:
    write(tmp_path, p=lines("seq_id,logprob", "a,-1", "b,-3"))
    done = ce(
        "p.csv",
        "--gate",
        "perplexity < 8",
        "--gate",
        "perplexity < 7",
        "--gate",
        "counts.sequences == 2",
        "--json",
        cwd=tmp_path,
        expect=1,
    )
    assert [gate["passed"] for gate in json.loads(done.out)["gates"]] == [True, False, True]


def test_the_bytes_of_a_list_count_once(tmp_path: Path) -> None:
    """`--bytes-col` holds the bytes of a row, however many tokens its list has."""
    data = pa.table(
        {"seq_id": ["x", "x", "y"], "logprobs": [[-1.0, None, -2.0], [-1.0], [-4.0, -1.0]], "size": [5, 2, 9]}
    )
    for weight in (None, "w"):
        weighed = data.append_column("w", [[0.5, 0.5, 0.5]])
        report = evaluate(weighed, bytes_col="size", weight_col=weight, per_sequence=tmp_path / "s.csv")
        assert report["bits_per_byte"].value == pytest.approx(9 / 16 / math.log(2), rel=1e-15)
        assert [row["bytes"] for row in table((tmp_path / "s.csv").read_text())] == ["7", "9"]


def test_lists_that_are_empty_are_not_scored() -> None:
    report = evaluate(pa.table({"logprobs": [[-1.0], [], None, [None, -2.0]]}))
    assert (report.counts["rows"], report.counts["scored"], report.counts["unscored"]) == (5, 2, 3)
    assert (report.counts["sequences"], report.counts["unscored_sequences"]) == (2, 2)
    with pytest.raises(CeError, match="no_scored_samples"):
        evaluate(pa.table({"logprobs": pa.array([[], None], pa.list_(pa.float64()))}))


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_lists_give_the_same_report_in_any_chunks(chunk: int) -> None:
    lists = [[-math.inf, -math.inf, -1.0], [-math.inf] * 6, [-2.0, -2.0], [-math.inf, 0.0]]
    data = pa.table({"logprobs": lists, "doc_id": ["x", "x", "y", "y"]})
    whole = evaluate(data, jobs=1)
    (issue,) = [one for one in whole.issues if one.code == "infinite"]
    assert (issue.count, issue.first_rows) == (9, (1, 2, 4))
    assert evaluate(data, chunk_rows=chunk, jobs=3).to_dict() == whole.to_dict()
    assert whole.counts["sequences"] == 2


def test_a_text_weighs_what_its_tokens_do_whatever_becomes_of_the_first(tmp_path: Path) -> None:
    rows = "1,<s>,hello world,-9,1\n1,a,hello world,-1,1\n1,b,hello world,-2,1\n2,a,foo bar,-1,1\n2,b,foo bar,-1,1\n"
    (tmp_path / "t.csv").write_text("seq_id,token,text,logprob,weight\n" + rows)
    options = ("-t", "tokens", "--text-col", "text", "--ignore-label", "<s>", "--json")
    plain = ce("t.csv", *options, cwd=tmp_path, expect=0).json["metrics"]
    weighted = ce("t.csv", *options, "--weight-col", "weight", cwd=tmp_path, expect=0).json["metrics"]
    assert weighted["bits_per_byte"] == plain["bits_per_byte"]
    assert weighted["word_perplexity"] == plain["word_perplexity"]


def test_counts_are_whole_numbers_that_float64_holds(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("seq_id,logprob,bytes\na,-1,1e308\na,-2,3\nb,-1,inf\n")
    done = ce("o.csv", "-t", "tokens", "--bytes-col", "bytes", "--json", cwd=tmp_path, expect=2)
    assert [(error["code"], error["rows"]) for error in done.json["errors"]] == [("not_a_number", [1, 3])]


def test_sizes_of_sequences_leave_out_what_the_report_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("seq_id,token,logprob,bytes\na,<s>,-9,3\na,x,-1,2\nb,x,-1,2\n")
    options = ("--bytes-col", "bytes", "--ignore-label", "<s>", "-q", "--chunk-rows", "1")
    ce("q.csv", *options, "--per-sequence", "s.csv", cwd=tmp_path, expect=0)
    assert (tmp_path / "s.csv").read_text().splitlines()[1:] == [
        f'"a",1,0,1,1,{math.e!r},2',
        f'"b",1,0,1,1,{math.e!r},2',
    ]


def test_a_long_sequence_is_summed_exactly_in_any_chunks(tmp_path: Path) -> None:
    rows = "".join(f"a,{-0.1 * (at % 7 + 1)!r}\n" for at in range(3000))
    (tmp_path / "l.csv").write_text("seq_id,logprob\n" + rows + "b,-1\n")
    found = []
    for chunk in ("1", "700", "5000"):
        ce("l.csv", "-q", "--per-sequence", "s.csv", "--chunk-rows", chunk, cwd=tmp_path, expect=0)
        found.append((tmp_path / "s.csv").read_text())
    assert found[0] == found[1] == found[2]
    assert float(found[0].splitlines()[1].split(",")[3]) == math.fsum(0.1 * (at % 7 + 1) for at in range(3000))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("grouped", [False, True])
def test_class_weights_of_a_vocabulary(smoothing: float, grouped: bool) -> None:
    generator = np.random.default_rng(12)
    logits, label = generator.normal(0, 2, (60, 4)), generator.integers(0, 4, 60)
    columns = {f"logit_{at}": logits[:, at] for at in range(4)}
    groups = {"seq_id": np.repeat(np.arange(12), 5)} if grouped else {}
    table = pa.table({**groups, "label": label, **columns})
    given = {"0": 2.5, "2": 0.25}
    report = evaluate(table, task="tokens", class_weights=given, label_smoothing=smoothing, chunk_rows=7)
    factors = np.array([2.5, 1, 0.25, 1])
    shares = ((1 - smoothing) * np.eye(4)[label] + smoothing / 4) * factors
    losses = -log_softmax(logits, axis=1)
    each, weight = (shares * losses).sum(axis=1), shares.sum(axis=1)
    mean = each.sum() / weight.sum()
    assert report.cross_entropy.value == pytest.approx(mean, rel=1e-13)
    run = np.repeat(np.arange(12), 5) if grouped else np.arange(60)
    gaps = np.bincount(run, each - weight * mean)
    c = len(gaps)
    expected = np.sqrt(c / (c - 1) * np.square(gaps).sum()) / weight.sum()
    assert report.cross_entropy.stderr == pytest.approx(expected, rel=1e-12)
    assert report.perplexity.value == pytest.approx(np.exp(losses[np.arange(60), label].mean()), rel=1e-13)


def test_a_class_weight_of_0_is_refused_for_tokens() -> None:
    table = pa.table({"seq_id": [0, 0], "label": [0, 1], "logit_0": [0.0, 1.0], "logit_1": [1.0, 0.0]})
    with pytest.raises(CeError, match="--ignore-label") as told:
        evaluate(table, task="tokens", class_weights={"0": 0.0})
    assert told.value.code == "bad_option"


def test_parts_may_write_the_ids_of_sequences_as_numbers_or_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(pa.table({"seq_id": [1, 1, 2], "logprob": [-1.0, -2.0, -3.0]}), folder / "a.parquet")
    pq.write_table(pa.table({"seq_id": ["2", "x", "x"], "logprob": [-1.0, -2.0, -3.0]}), folder / "b.parquet")
    report = ce("parts", "--json", cwd=tmp_path, expect=0).json
    assert report["counts"]["sequences"] == 3
    pq.write_table(pa.table({"seq_id": ["y", "1"], "logprob": [-1.0, -2.0]}), folder / "c.parquet")
    done = ce("parts", "--json", "--chunk-rows", "2", cwd=tmp_path, expect=2)
    assert [(one["code"], one["rows"]) for one in done.json["errors"]] == [("duplicate_id", [8])]


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_a_hundred_thousand_tokens_in_any_chunks_and_jobs(kind: str) -> None:
    generator = np.random.default_rng(5)
    lengths = generator.integers(1, 40, 5000)
    ids = np.repeat(generator.permutation(10**6)[:5000], lengths)
    losses = generator.exponential(2, len(ids))
    data = pa.table({"sequence_id": pa.array(ids).cast(kind), "logprob": -losses})
    report = evaluate(data, jobs=1)
    starts = np.cumsum(np.append(0, lengths[:-1]))
    sums = np.add.reduceat(losses, starts)
    mean, error = clustered(sums, lengths)
    assert report["cross_entropy"].value == pytest.approx(mean, rel=1e-14)
    assert report["cross_entropy"].stderr == pytest.approx(error, rel=1e-11)
    assert report["sequence_mean"].value == pytest.approx((sums / lengths).mean(), rel=1e-14)
    assert report["sequence_sum_mean"].value == pytest.approx(sums.mean(), rel=1e-14)
    assert report.counts["sequences"] == len(lengths)
    for jobs, chunk in ((1, 999), (2, 30_000), (2, 1 << 16)):
        assert evaluate(data, jobs=jobs, chunk_rows=chunk).to_dict() == report.to_dict()
