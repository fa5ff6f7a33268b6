"""Every mistake is planted and must be found, and sound files must be left alone."""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import d2_log_loss_score, log_loss

from ce_cli import evaluate
from ce_cli.judging.evidence import Evidence, recalibration
from ce_cli.judging.explanations import _assigned
from tests.cli.command import ROOT, SHARED
from tests.state.test_evaluation import PLAN

if TYPE_CHECKING:
    from ce_cli.report import Report

DATA = ROOT / "sample_data"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the shared data are not beside this tree")


def found(report: Report) -> list[str]:
    return [one["explanation"] for one in report.sections.get("diagnosis", [])]


def best(report: Report) -> dict[str, Any]:
    first: dict[str, Any] = report.sections["diagnosis"][0]
    return first


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the logits and the labels of the digits."""
    rows = pd.read_parquet(DATA / "digits" / "logistic.parquet").merge(
        pd.read_parquet(DATA / "digits" / "labels.parquet"), on="id"
    )
    return rows[[f"logit_{digit}" for digit in range(10)]].to_numpy(float), rows["label"].to_numpy()


def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of malignant and whether it is."""
    folder = DATA / "breast_cancer"
    rows = pd.read_csv(folder / "predictions.csv").merge(pd.read_csv(folder / "labels.csv"), on="id")
    return rows["prob_malignant"].to_numpy(), (rows["label"] == "malignant").to_numpy().astype(int)


def binary(n: int = 4000, seed: int = 0, centre: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities and outcomes."""
    generator = np.random.default_rng(seed)
    prob = expit(generator.normal(centre, 1.5, n))
    return prob, (generator.random(n) < prob).astype(int)


def many(k: int = 12, n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities of K classes, and classes."""
    generator = np.random.default_rng(seed)
    probs = softmax(generator.normal(0, 2.5, (n, k)), axis=1)
    return probs, (probs.cumsum(axis=1) > generator.random((n, 1))).argmax(axis=1)


# --- the other outcome


def test_the_wrong_positive_class() -> None:
    prob, label = cancer()
    report = evaluate(1 - prob, label)
    assert found(report) == ["complement"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, prob), rel=1e-9)
    assert best(report)["skill"] == pytest.approx(d2_log_loss_score(label, np.stack([1 - prob, prob], 1)), rel=1e-9)
    assert best(report)["given_skill"] == pytest.approx(report["skill"].value, rel=1e-12)
    assert best(report)["fix"] == "pass --positive 0"
    mended = evaluate(1 - prob, label, positive="0")
    assert mended["cross_entropy"].value == pytest.approx(best(report)["cross_entropy"], rel=1e-14)
    assert not found(mended)


def test_two_columns_that_are_exchanged() -> None:
    prob, label = cancer()
    frame = pd.DataFrame({"prob_ham": prob, "prob_spam": 1 - prob, "label": np.where(label, "spam", "ham")})
    report = evaluate(frame)
    assert found(report) == ["complement"]
    assert best(report)["classes"] == ["spam", "ham"]
    assert "prob_ham holds spam" in best(report)["fix"]
    mended = evaluate(frame.rename(columns={"prob_ham": "prob_spam", "prob_spam": "prob_ham"}))
    assert mended["cross_entropy"].value == pytest.approx(best(report)["cross_entropy"], rel=1e-12)


def test_soft_labels_and_weights() -> None:
    prob, _ = binary()
    soft = np.round(prob, 1)
    weight = np.random.default_rng(1).exponential(1, len(prob))
    frame = pd.DataFrame({"prob": 1 - prob, "label": soft, "weight": weight})
    report = evaluate(frame, weight_col="weight")
    assert best(report)["explanation"] == "complement"
    assert "1 - p" in best(report)["fix"]
    losses = -(soft * np.log(prob) + (1 - soft) * np.log1p(-prob))
    assert best(report)["cross_entropy"] == pytest.approx(np.average(losses, weights=weight), rel=1e-12)


def test_scores_of_labels_that_are_not_there() -> None:
    folder = DATA / "traits"
    scores, labels = pd.read_csv(folder / "logistic.csv"), pd.read_csv(folder / "labels.csv")
    sound = evaluate(scores, labels, task="multilabel")
    names = [name for name in scores if name != "id"]
    report = evaluate(scores.assign(**{name: 1 - scores[name] for name in names}), labels, task="multilabel")
    assert "complement" in found(report)
    (one,) = [one for one in report.sections["diagnosis"] if one["explanation"] == "complement"]
    assert one["cross_entropy"] == pytest.approx(sound["cross_entropy"].value, rel=1e-9)
    assert one["skill"] == pytest.approx(sound["skill"].value, rel=1e-9)


# --- the order of columns


def test_permuted_columns() -> None:
    logits, label = digits()
    order = np.random.default_rng(0).permutation(10)
    report = evaluate(logits[:, order], label, input="logits")
    assert found(report) == ["permuted_columns"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, softmax(logits, axis=1)), rel=1e-9)
    assert best(report)["classes"] == [str(digit) for digit in order]
    assert best(report)["fix"] == f"pass --classes {','.join(map(str, order))}"
    mended = evaluate(logits[:, order], label, input="logits", classes=best(report)["classes"])
    assert mended["cross_entropy"].value == pytest.approx(best(report)["cross_entropy"], rel=1e-14)


def test_permuted_columns_with_infinite_losses() -> None:
    rows = pd.read_csv(DATA / "digits" / "neighbours.csv")
    labels = pd.read_parquet(DATA / "digits" / "labels.parquet")
    names = [f"prob_{digit}" for digit in range(10)]
    mixed = [*names[5:], *names[:5]]
    report = evaluate(rows.rename(columns=dict(zip(names, mixed, strict=True))), labels)
    assert found(report) == ["permuted_columns"]
    assert best(report)["cross_entropy"] == math.inf  # four rows are infinite without the mistake too
    assert report.classes == ("5", "6", "7", "8", "9", "0", "1", "2", "3", "4")
    assert best(report)["classes"] == [*"0123456789"]


def test_permuted_labels_of_their_own() -> None:
    folder = DATA / "traits"
    scores, labels = pd.read_csv(folder / "logistic.csv"), pd.read_csv(folder / "labels.csv")
    names = ["prob_even", "prob_large", "prob_prime", "prob_loop"]
    mixed = [names[2], names[3], names[1], names[0]]
    report = evaluate(scores.rename(columns=dict(zip(names, mixed, strict=True))), labels, task="multilabel")
    sound = evaluate(scores, labels, task="multilabel")
    assert best(report)["explanation"] == "permuted_columns"
    assert best(report)["cross_entropy"] == pytest.approx(sound["cross_entropy"].value, rel=1e-12)


@pytest.mark.parametrize("listed", [True, False])
def test_order_of_text_instead_of_numbers(listed: bool) -> None:
    probs, label = many()
    text = sorted(range(12), key=str)
    if listed:
        report = evaluate(probs[:, text], label)
    else:
        frame = pd.DataFrame(probs[:, text], columns=[f"prob_{at}" for at in range(12)])
        report = evaluate(frame.assign(label=label))
    assert found(report) == ["class_order"]
    assert best(report)["classes"] == [str(at) for at in text]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, probs), rel=1e-12)
    if listed:
        mended = evaluate(probs[:, text], label, classes=best(report)["classes"])
        assert mended["cross_entropy"].value == pytest.approx(best(report)["cross_entropy"], rel=1e-14)


def test_order_of_numbers_instead_of_text() -> None:
    probs, label = many()
    text = sorted(range(12), key=str)
    frame = pd.DataFrame(probs, columns=[f"prob_{at}" for at in text])
    report = evaluate(frame.assign(label=label))
    assert found(report) == ["class_order"]
    assert best(report)["classes"] == [str(at) for at in range(12)]


@pytest.mark.parametrize("step", [-1, 1])
def test_labels_off_by_one(step: int) -> None:
    logits, label = digits()
    logits, label = logits[label != (9 if step == 1 else 0)], label[label != (9 if step == 1 else 0)]
    report = evaluate(logits, label + step, input="logits")
    assert found(report) == ["labels_off_by_one"]
    assert best(report)["cross_entropy"] == pytest.approx(
        log_loss(label, softmax(logits, 1), labels=range(10)), rel=1e-9
    )


# --- the row


@pytest.mark.parametrize("shift", [-1, 1])
def test_rows_shifted_by_one(shift: int) -> None:
    logits, label = digits()
    order = np.random.default_rng(0).permutation(len(label))
    logits, label = logits[order], label[order]
    report = evaluate(logits, np.roll(label, shift), input="logits")
    assert found(report) == ["shifted_rows"]
    assert best(report)["shift"] == shift
    assert best(report)["n"] == len(label) - 1
    kept = slice(None, -1) if shift == 1 else slice(1, None)
    expected = log_loss(label[kept], softmax(logits[kept], axis=1), labels=range(10))
    assert best(report)["cross_entropy"] == pytest.approx(expected, rel=1e-9)


def test_rows_that_are_joined_by_id_are_not_shifted() -> None:
    prob, label = cancer()
    order = np.random.default_rng(0).permutation(len(label))
    ids = np.arange(len(label))
    scores = pd.DataFrame({"id": ids, "prob": prob[order]})
    labels = pd.DataFrame({"id": ids, "label": np.roll(label[order], 1)})
    assert not found(evaluate(scores, labels))
    assert found(evaluate(scores, labels, align="position")) == ["shifted_rows"]


def test_tokens_shifted_by_one() -> None:
    probs, label = many(k=8)
    frame = pd.DataFrame({f"prob_{at}": probs[:, at] for at in range(8)})
    assert not found(evaluate(frame.assign(token=label), task="tokens"))
    report = evaluate(frame.assign(token=np.roll(label, -1)), task="tokens")
    assert found(report) == ["shifted_rows"]
    assert best(report)["shift"] == -1


def test_bins_shifted_by_one() -> None:
    generator = np.random.default_rng(0)
    mean = generator.normal(0, 3, 2000)
    frame = pd.DataFrame({"mean": mean, "std": 1.0, "target": np.roll(mean + generator.normal(0, 1, 2000), 1)})
    report = evaluate(frame, bins="-inf,-3,-1,1,3,inf")
    assert report.task == "regression"
    assert found(report) == ["shifted_rows"]


# --- the scale


def test_percentages_taken_for_probabilities() -> None:
    generator = np.random.default_rng(0)
    prob = expit(generator.normal(-6, 1, 60_000))
    kept = prob < 0.01
    prob, label = prob[kept], (generator.random(len(prob)) < prob)[kept].astype(int)
    report = evaluate(prob * 100, label)
    assert found(report) == ["percent"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, prob), rel=1e-9)
    mended = evaluate(prob * 100, label, input="percent")
    assert mended["cross_entropy"].value == pytest.approx(best(report)["cross_entropy"], rel=1e-12)
    assert best(report)["fix"] == "pass --input percent"


def test_probabilities_taken_for_percentages() -> None:
    prob, label = cancer()
    report = evaluate(prob, label, input="percent")
    assert found(report) == ["probs"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, prob), rel=1e-9)
    assert best(report)["fix"] == "pass --input probs"


def test_logits_taken_for_probabilities() -> None:
    generator = np.random.default_rng(0)
    score = generator.choice([0.0, 1.0], 90_000, p=[0.5, 0.5])
    label = (generator.random(len(score)) < expit(score)).astype(int)
    report = evaluate(score, label)
    assert report["skill"].value == -math.inf
    assert found(report) == ["logits"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, expit(score)), rel=1e-9)


def test_logits_taken_for_log_probabilities() -> None:
    prob, label = binary(centre=-0.5)
    kept = prob < 0.5
    prob, label = prob[kept], label[kept]
    score = logit(prob)
    wrong = evaluate(score, label, input="logprobs")
    assert wrong["skill"].value < 0.02
    assert found(wrong)[0] == "logits"
    assert best(wrong)["cross_entropy"] == pytest.approx(log_loss(label, prob), rel=1e-9)


@pytest.mark.parametrize("single", [True, False])
def test_probabilities_taken_for_logits(single: bool) -> None:
    if single:
        prob, label = cancer()
        report = evaluate(prob, label, input="logits")
        expected = log_loss(label, prob)
    else:
        logits, label = digits()
        report = evaluate(softmax(logits, axis=1), label, input="logits")
        expected = log_loss(label, softmax(logits, axis=1))
    assert found(report) == ["probs"]
    assert best(report)["cross_entropy"] == pytest.approx(expected, rel=1e-9)
    assert best(report)["fix"] == "pass --input probs"


@pytest.mark.parametrize("base", [2, 10])
def test_log_probabilities_of_another_base_taken_for_logits(base: int) -> None:
    probs, label = many()
    report = evaluate(np.log(probs) / math.log(base), label, input="logits")
    assert found(report) == ["logprobs"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, probs), rel=1e-9)
    assert best(report)["fix"] == f"pass --input logprobs --input-base {base}"
    assert not found(evaluate(np.log(probs), label, input="logits"))  # which gives the same


@pytest.mark.parametrize(("given", "truth"), [("e", "2"), ("2", "10"), ("10", "e"), ("10", "2")])
def test_log_probabilities_of_the_wrong_base(given: str, truth: str) -> None:
    probs, label = many()
    size = 1.0 if truth == "e" else math.log(float(truth))
    report = evaluate(
        log_softmax(np.log(probs), axis=1) / size, label, input="logprobs", input_base=given, row_sum="raw"
    )
    assert found(report) == ["logprobs"]
    assert best(report)["fix"] == f"pass --input logprobs --input-base {truth}"
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, probs), rel=1e-9)


def test_single_log_probabilities_of_the_wrong_base() -> None:
    prob, label = binary(n=20_000, centre=-2.5)
    report = evaluate(np.log10(prob), label, input="logprobs")
    assert report["skill"].value < 0.02
    assert found(report)[0] == "logprobs"
    assert best(report)["fix"] == "pass --input logprobs --input-base 10"


def test_log_probabilities_taken_for_logits() -> None:
    prob, label = binary(n=20_000, centre=3)
    report = evaluate(np.log(prob), label, input="logits")
    assert report["skill"].value < 0.02
    assert found(report)[0] == "logprobs"
    assert best(report)["fix"] == "pass --input logprobs --input-base e"
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, prob), rel=1e-9)


def test_a_second_softmax() -> None:
    logits, label = digits()
    once = softmax(logits, axis=1)
    report = evaluate(softmax(once, axis=1), label)
    assert report["skill"].value > 0.02  # the scores themselves tell
    assert found(report) == ["second_softmax"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, once), rel=1e-3)
    assert not found(evaluate(once, label))


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "two columns"])
def test_a_second_sigmoid(kind: str) -> None:
    prob, label = binary()
    if kind == "two columns":
        twice = softmax(np.stack([1 - prob, prob], axis=1), axis=1)
    else:
        twice = expit(prob) if kind == "sigmoid" else expit(2 * prob - 1)
    report = evaluate(twice, label)
    assert found(report) == ["second_softmax"]
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label, prob), rel=1e-6)


# --- silence


SOUND = {
    "cancer": ("breast_cancer/predictions.csv", "breast_cancer/labels.csv", {}),
    "boosting": ("breast_cancer/gradient_boosting.csv", "breast_cancer/labels.csv", {}),
    "weighted": ("breast_cancer/gradient_boosting.csv", "breast_cancer/labels.csv", {"weight_col": "weight"}),
    "digits": ("digits/logistic.parquet", "digits/labels.parquet", {}),
    "neighbours": ("digits/neighbours.csv", "digits/labels.parquet", {}),
    "soft digits": ("soft_digits/predictions.csv", "soft_digits/labels.csv", {}),
    "topics": ("topics/logistic.csv", "topics/labels.csv", {}),
    "naive Bayes": ("topics/naive_bayes.csv", "topics/labels.csv", {}),
    "wine": ("wine/logistic.csv", None, {}),
    "naive wine": ("wine/naive_bayes.csv", None, {}),
    "traits": ("traits/logistic.csv", "traits/labels.csv", {"task": "multilabel"}),
    "infinite traits": ("traits/neighbours.csv", "traits/labels.csv", {"task": "multilabel"}),
    "bins": ("diabetes/bins.csv", "diabetes/labels.csv", {}),
    "means": ("diabetes/bayesian_ridge.csv", "diabetes/labels.csv", {"bins": "-inf,75,125,175,225,275,inf"}),
    "words": ("language/trigram.csv", None, {"bytes_col": "bytes"}),
    "sentences": ("translation/model1.csv", None, {"text_col": "text"}),
    "choices": ("formats/samples_choices.jsonl", None, {}),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_sample_data(name: str) -> None:
    predictions, labels, options = SOUND[name]
    report = evaluate(DATA / predictions, None if labels is None else DATA / labels, **options)
    assert "diagnosis" not in report.sections


OTHERS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "yardstick": ("yardstick/two_class_example.csv", None, {}),
    "nfl": ("nfl/nfl_games.csv", None, {}),
    "nhl": ("nhl/nhl_games.csv", None, {}),
    "world cup": ("worldcup_women/world_cup_matches_women.csv", None, {}),
    "flu": ("flusight/Hist-Avg_1wk.csv", None, {}),
    "flu, Delphi": ("flusight/Delphi-Stat_1wk.csv", None, {}),
    "translations": ("mlqe/ende_dev.logprobs.txt", None, {}),
    "electrocardiograms": ("ecg/predictions.csv", "ecg/labels.csv", {"task": "multilabel"}),
    "icing": ("icing/icing.csv", None, {"input": "percent"}),
    "kenlm": ("kenlm/token_logprob10.tsv", None, {"input_base": "10", "sequence_col": "doc"}),
    **{
        name: ("flares/C1_flares.csv", None, {"pred_cols": name})
        for name in ("NOAA", "DAFFS", "SIDC", "DAFFS-G", "MCSTAT", "CLIM120", "ASSA", "MCEVOL", "NICT")
    },
}


@needs_shared
@pytest.mark.parametrize("name", OTHERS)
def test_sound_published_data(name: str) -> None:
    predictions, labels, options = OTHERS[name]
    folder = SHARED / "data"
    report = evaluate(folder / predictions, None if labels is None else folder / labels, **options)
    assert "diagnosis" not in report.sections


@needs_shared
@pytest.mark.parametrize("name", ["nfl", "nhl", "yardstick"])
def test_published_data_the_other_way_round(name: str) -> None:
    games = {"nfl": ("prob1", "prob1_outcome"), "nhl": ("prob1", "prob1_outcome"), "yardstick": ("Class1", "truth")}
    score, label = games[name]
    frame = pd.read_csv(SHARED / "data" / OTHERS[name][0])
    outcome = (frame[label] == "Class1").astype(int) if name == "yardstick" else frame[label]
    report = evaluate(pd.DataFrame({"prob": 1 - frame[score], "label": outcome}))
    assert found(report) == ["complement"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 5, 12]), st.floats(0.1, 8), st.integers(20, 600))
def test_calibrated_forecasts_of_any_sharpness_are_left_alone(seed: int, k: int, sharpness: float, n: int) -> None:
    generator = np.random.default_rng(seed)
    probs = softmax(generator.normal(0, sharpness, (n, max(2, k))), axis=1)
    label = (probs.cumsum(axis=1) > generator.random((n, 1))).argmax(axis=1)
    report = evaluate(probs[:, 1] if k == 1 else probs, label)
    assert "diagnosis" not in report.sections


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3, 12]), st.integers(20, 600))
def test_forecasts_that_know_nothing_are_left_alone(seed: int, k: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    probs = softmax(generator.normal(0, 2, (n, max(2, k))), axis=1)
    label = generator.integers(0, max(2, k), n)
    report = evaluate(probs[:, 1] if k == 1 else probs, label)
    assert "diagnosis" not in report.sections


@pytest.mark.parametrize("temperature", [0.1, 0.3, 3, 10])
def test_a_bad_temperature_is_no_mistake_in_the_file(temperature: float) -> None:
    logits, label = digits()
    assert not found(evaluate(softmax(logits / temperature, axis=1), label))
    prob, outcome = binary()
    assert not found(evaluate(expit(logit(prob) / temperature), outcome))


def test_few_rows_and_one_class_say_nothing() -> None:
    assert not found(evaluate(np.array([0.9, 0.1] * 5), np.array([0, 1] * 5)))
    assert not found(evaluate(np.full(100, 0.1), np.ones(100, dtype=int)))


# --- the figures


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 400), st.sampled_from([1, 3]))  # seeds whose rows happen to be clear enough
def test_any_chunking_gives_the_same(seed: int, chunk: int, jobs: int) -> None:
    prob, label = binary(n=700, seed=seed)
    weight = np.random.default_rng(seed).exponential(1, 700)
    frame = pd.DataFrame({"prob": 1 - prob, "label": label, "w": weight})
    reports = [evaluate(frame, weight_col="w", chunk_rows=size, jobs=n) for size, n in ((None, 1), (chunk, jobs))]
    assert reports[0].to_json() == reports[1].to_json()
    assert found(reports[0])


def test_losses_are_in_the_unit_of_the_report() -> None:
    prob, label = cancer()
    nats, bits = (best(evaluate(1 - prob, label, base=base)) for base in ("e", "2"))
    assert bits["cross_entropy"] == pytest.approx(nats["cross_entropy"] / math.log(2), rel=1e-14)
    assert bits["skill"] == nats["skill"]


def test_only_the_first_rows_are_looked_at() -> None:
    prob, label = binary(n=100_500)
    report = evaluate(1 - prob, label)
    assert best(report)["n"] == 100_000
    assert best(report)["cross_entropy"] == pytest.approx(log_loss(label[:100_000], prob[:100_000]), rel=1e-12)


def test_the_regression_of_calibration() -> None:
    prob, label = binary(n=2000)
    weight = np.random.default_rng(1).exponential(1, 2000)
    z = 0.5 + 2 * logit(prob)
    model = LogisticRegression(C=math.inf, tol=1e-10).fit(z[:, None], label, sample_weight=weight)
    intercept, slope = recalibration(z, label.astype(float), weight)
    assert (intercept, slope) == (
        pytest.approx(model.intercept_[0], abs=1e-5),
        pytest.approx(model.coef_[0, 0], rel=1e-5),
    )
    assert math.isnan(recalibration(np.array([-1.0, 1.0] * 9), np.array([0.0, 1.0] * 9), np.ones(18))[0])


@pytest.mark.parametrize("soft", [False, True])
def test_the_assignment_is_the_best_of_all(soft: bool) -> None:
    generator = np.random.default_rng(0)
    plan = PLAN._replace(classes=tuple("abcde"))
    for _ in range(20):
        probs = generator.dirichlet(np.full(5, 2.0), 40)  # so weak that several classes prefer one column
        label = generator.integers(0, 5, 40)
        shares = generator.dirichlet(np.ones(5), 40)
        weight = generator.exponential(1, 40)
        columns = {"row": np.arange(40), "score": probs, "label": shares if soft else label, "weight": weight}
        evidence = Evidence(plan, columns)
        target = shares if soft else np.eye(5)[label]
        totals = {
            order: float((weight[:, None] * target * -np.log(probs[:, order])).sum())
            for order in permutations(range(5))
        }
        found = _assigned(evidence, np.arange(40))
        best = min(totals, key=lambda order: totals[order])
        if found is not None:
            assert tuple(found) == best
        else:
            assert evidence.labels.prior(weight) @ weight * 0.98 < totals[best]
