"""Every pair of the sample data gives the right answer without an option, but for the task of several labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from sklearn.metrics import log_loss

from tests.cli.command import ROOT, ce, value

if TYPE_CHECKING:
    from pathlib import Path

DATA = ROOT / "sample_data"


class Pair(NamedTuple):
    """Two files, and what should be found out about them."""

    predictions: str
    labels: str | None
    task: str
    prefix: str
    classes: tuple[str, ...]
    infinite: int = 0


DIGITS, TOPICS = tuple("0123456789"), ("text", "numbers", "files", "network")
WINES = ("barolo", "grignolino", "barbera")
CANCER = ("benign", "malignant")
PAIRS = [
    Pair("breast_cancer/predictions.csv", "breast_cancer/labels.csv", "binary", "prob_", CANCER),
    Pair("breast_cancer/gradient_boosting.csv", "breast_cancer/labels.csv", "binary", "prob_", CANCER),
    Pair("digits/logistic.parquet", "digits/labels.parquet", "multiclass", "logit_", DIGITS),
    Pair("digits/neighbours.csv", "digits/labels.parquet", "multiclass", "prob_", DIGITS, 4),
    Pair("topics/logistic.csv", "topics/labels.csv", "multiclass", "prob_", TOPICS),
    Pair("topics/naive_bayes.csv", "topics/labels.csv", "multiclass", "prob_", TOPICS),
    Pair("wine/logistic.csv", None, "multiclass", "prob_", WINES),
    Pair("wine/naive_bayes.csv", None, "multiclass", "prob_", WINES),
]


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    # Python's float() reads every decimal to the nearest double.
    frame = pd.read_csv(path, dtype=str)
    numeric = [name for name in frame if name == "weight" or name.startswith(("prob_", "logit_"))]
    return frame.assign(**{name: frame[name].map(float) for name in numeric})


def joined(pair: Pair) -> pd.DataFrame:
    predictions = read(DATA / pair.predictions)
    if pair.labels is None:
        return predictions
    labels = read(DATA / pair.labels)
    keyed = [frame.assign(id=frame["id"].astype(str)) for frame in (predictions, labels)]
    return keyed[0].merge(keyed[1], on="id", how="left", validate="one_to_one")


def loss(row: np.ndarray, truth: int, prefix: str) -> mpmath.mpf:
    numbers = [mpmath.mpf(float(number)) for number in row]
    if prefix == "logit_":
        return mpmath.log(mpmath.fsum(map(mpmath.exp, numbers))) - numbers[truth]
    return mpmath.inf if numbers[truth] == 0 else -mpmath.log(numbers[truth])


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.predictions)
def test_pair(pair: Pair) -> None:
    files = [f"sample_data/{pair.predictions}", *(("--labels", f"sample_data/{pair.labels}") if pair.labels else ())]
    report = ce(*files, "--json", cwd=ROOT, expect=0).json
    assert (report["task"], tuple(report["classes"])) == (pair.task, pair.classes)
    assert report["alignment"] == ("id" if pair.labels else "file")
    assert report["input"] == ("logits" if pair.prefix == "logit_" else "probs")
    data = joined(pair)
    scores = data[[f"{pair.prefix}{name}" for name in pair.classes if f"{pair.prefix}{name}" in data]].to_numpy(float)
    if pair.task == "binary":
        scores = np.column_stack([1 - scores[:, 0], scores[:, 0]])
    truth = [pair.classes.index(str(label)) for label in data["label"]]
    with mpmath.workdps(60):
        losses = [loss(row, at, pair.prefix) for row, at in zip(scores, truth, strict=True)]
        finite = [one for one in losses if one != mpmath.inf]
        mean = float(mpmath.fsum(finite) / len(finite))
    assert report["counts"]["scored"] == len(data) == report["counts"]["rows"]
    assert report["counts"]["infinite"] == pair.infinite == len(losses) - len(finite)
    assert value(report, "cross_entropy_finite") == pytest.approx(mean, rel=1e-12 if pair.task == "binary" else 1e-14)
    if pair.infinite:
        assert value(report) == float("inf")
    elif pair.prefix == "prob_":
        # scikit-learn divides by the sums of the rows, which differ from 1 in the last digits.
        assert value(report) == pytest.approx(log_loss(truth, scores / scores.sum(axis=1, keepdims=True)), rel=1e-6)
    accuracy = (
        np.mean(scores.argmax(axis=1) == truth) if pair.task != "binary" else np.mean((scores[:, 1] > 0.5) == truth)
    )
    assert value(report, "accuracy") == pytest.approx(float(accuracy), rel=1e-15)


def test_soft_labels() -> None:
    files = ("sample_data/soft_digits/predictions.csv", "--labels", "sample_data/soft_digits/labels.csv")
    report = ce(*files, "--json", cwd=ROOT, expect=0).json
    assert (report["task"], tuple(report["classes"])) == ("multiclass", DIGITS)
    probs, shares = (
        pd.read_csv(DATA / "soft_digits" / f"{name}.csv").to_numpy()[:, 1:] for name in ("predictions", "labels")
    )
    assert value(report) == pytest.approx(-(shares * np.log(probs)).sum(axis=1).mean(), rel=1e-12)
    assert value(report, "label_entropy") == pytest.approx(entropy(shares, axis=1).mean(), rel=1e-12)
    gap = value(report) - value(report, "label_entropy")
    assert value(report, "kl_divergence") == pytest.approx(gap, abs=1e-6)  # probabilities are rounded to six digits


@pytest.mark.parametrize(
    ("name", "options"), [("bins.csv", ()), ("bayesian_ridge.csv", ()), ("boosting.parquet", ("--sigma", "auto"))]
)
def test_regression(name: str, options: tuple[str, ...]) -> None:
    pair = Pair(f"diabetes/{name}", "diabetes/labels.csv", "regression", "prob_[", ())
    rows = joined(pair).assign(target=lambda frame: frame["target"].astype(float))
    edges = [25.0, 75.0, 125.0, 175.0, 225.0, 275.0, 350.0]
    cell = np.searchsorted(edges, rows["target"], side="right") - 1
    if name == "bins.csv":
        probs = rows[[column for column in rows if column.startswith("prob_")]].to_numpy(float)
    else:
        edges[0], edges[-1] = -np.inf, np.inf
        mean = rows["mean" if "mean" in rows else "prediction"].astype(float).to_numpy()
        std = rows["std"].astype(float) if "std" in rows else np.full(len(rows), np.std(rows["target"] - mean, ddof=1))
        probs = np.array([np.diff([mpmath.ncdf(edge, m, s) for edge in edges]) for m, s in zip(mean, std, strict=True)])
        options = (*options, "--bins", ",".join(map(str, edges)))
    wanted = -np.log(probs[np.arange(len(rows)), cell].astype(float))
    arguments = [f"sample_data/diabetes/{name}", "--labels", "sample_data/diabetes/labels.csv", *options, "--json"]
    report = ce(*arguments, cwd=ROOT, expect=0).json
    assert report["task"] == "regression"
    assert value(report) == pytest.approx(wanted.mean(), rel=1e-12)
    assert value(report, "accuracy") == pytest.approx(float(np.mean(probs.argmax(axis=1) == cell)), rel=1e-15)
    cumulated, steps = probs.cumsum(axis=1)[:, :-1], np.arange(len(edges) - 2) >= cell[:, None]
    assert value(report, "rps") == pytest.approx(float(np.square(cumulated - steps).sum(axis=1).mean()), rel=1e-8)


def test_weights_count_only_when_asked_for() -> None:
    files = ("sample_data/breast_cancer/predictions.csv", "--labels", "sample_data/breast_cancer/labels.csv")
    data = joined(PAIRS[0])
    truth = (data["label"] == "malignant").astype(int)
    report = ce(*files, "--weight-col", "weight", "--json", cwd=ROOT, expect=0).json
    expected = log_loss(truth, data["prob_malignant"], sample_weight=data["weight"])
    assert value(report) == pytest.approx(float(expected), rel=1e-12)
    plain = ce(*files, "--json", cwd=ROOT, expect=0).json
    assert any(issue["code"] == "unused_weight" for issue in plain["issues"])


@pytest.mark.parametrize(("model", "infinite"), [("logistic", 0), ("neighbours", 11)])
def test_several_labels(model: str, infinite: int) -> None:
    files = (f"sample_data/traits/{model}.csv", "--labels", "sample_data/traits/labels.csv", "--task", "multilabel")
    report = ce(*files, "--json", cwd=ROOT, expect=0).json
    traits = ("even", "large", "prime", "loop")
    assert (report["task"], tuple(report["classes"])) == ("multilabel", traits)
    data = joined(Pair(f"traits/{model}.csv", "traits/labels.csv", "multilabel", "prob_", traits))
    losses, counts = [], []
    for trait, row in zip(traits, report["per_class"], strict=True):
        known = data[data[f"label_{trait}"].notna()]
        labels, scores = (known[f"{kind}_{trait}"].astype(float) for kind in ("label", "prob"))
        with mpmath.workdps(60):
            chances = [score if label else 1 - mpmath.mpf(score) for label, score in zip(labels, scores, strict=True)]
            cells = [-mpmath.log(chance) for chance in chances if chance]
        losses += cells
        counts.append(len(known))
        assert row["n"] == len(known)
        assert row["prevalence"] == pytest.approx(labels.mean(), rel=1e-14)
        if len(cells) == len(known):
            assert row["cross_entropy"] == pytest.approx(log_loss(labels, scores), rel=1e-12)
    assert report["counts"]["infinite"] == infinite == sum(counts) - len(losses)
    assert report["counts"]["cells"] == sum(counts) == 7007
    assert value(report, "cross_entropy_finite") == pytest.approx(float(mpmath.fsum(losses) / len(losses)), rel=1e-13)
    assert value(report) == (float("inf") if infinite else value(report, "cross_entropy_finite"))


def test_words_of_a_trigram_model() -> None:
    file = "sample_data/language/trigram.csv"
    report = ce(file, "--bytes-col", "bytes", "--json", cwd=ROOT, expect=0).json
    words = pd.read_csv(ROOT / file, dtype=str)
    losses = [-mpmath.mpf(float(cell)) for cell in words["logprob"]]
    mean = float(mpmath.fsum(losses) / len(losses))
    assert (report["task"], report["counts"]["tokens"]) == ("tokens", len(words))
    assert report["counts"]["sequences"] == words["sequence_id"].nunique()
    assert value(report) == pytest.approx(mean, rel=1e-15)
    assert value(report, "perplexity") == pytest.approx(float(np.exp(mean)), rel=1e-14)
    total = words["bytes"].map(int).sum()
    assert value(report, "bits_per_byte") == pytest.approx(mean * len(words) / total / np.log(2), rel=1e-14)


def test_sentences_of_a_translation_model() -> None:
    file = "sample_data/translation/model1.csv"
    report = ce(file, "--text-col", "text", "--json", cwd=ROOT, expect=0).json
    sentences = pd.read_csv(ROOT / file)
    sums = [[-float(token) for token in cell.split()] for cell in sentences["logprobs"]]
    count = sum(map(len, sums))
    assert report["counts"]["tokens"] == count == sentences["text"].str.split().map(len).sum()
    assert value(report) == pytest.approx(sum(map(sum, sums)) / count, rel=1e-14)
    assert value(report, "sequence_sum_mean") == pytest.approx(float(np.mean([*map(sum, sums)])), rel=1e-14)
    assert value(report, "word_perplexity") == pytest.approx(value(report, "perplexity"), rel=1e-14)
