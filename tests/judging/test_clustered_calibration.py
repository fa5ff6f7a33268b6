"""The gain of a temperature where rows come in clusters: folds of whole clusters, and their sums as observations."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression

from ce_cli import evaluate
from ce_cli.kernels.hashing import mixed
from ce_cli.readers.keys import text_words
from tests.judging.test_calibration import binary_data, judged


def folds_by_hand(names):
    """Return the fold of each row: clusters take turns in the order of their hashes."""
    order = np.argsort(np.argsort(mixed(text_words(pa.array(np.unique(names))))))
    return order[np.unique(names, return_inverse=True)[1]] % 5


def gain_by_hand(gains, weight, names, confidence=0.95):
    total, size = (pd.Series(one).groupby(names).sum() for one in (gains * weight, weight))
    total, size = total[size > 0], size[size > 0]
    count, mean = len(size), total.sum() / size.sum()
    error = math.sqrt(count / (count - 1) * ((total - mean * size) ** 2).sum()) / size.sum()
    margin = student.ppf((1 + confidence) / 2, count - 1) * error
    return {"value": mean, "stderr": error, "lower": mean - margin, "upper": mean + margin}


@pytest.mark.parametrize("weighted", [False, True])
def test_folds_are_of_whole_clusters(weighted: bool) -> None:
    outcome, odds = binary_data(600, 4, 1.7, 0.4)
    rng = np.random.default_rng(5)
    names = np.array([f"user {number}" for number in rng.integers(0, 47, 600)])
    weight = rng.choice([0.0, 0.5, 1.0, 3.0], 600) if weighted else np.ones(600)
    columns = {"logit": odds, "label": outcome, "user": names, "weight": weight}
    _, section = judged(columns, cluster="user", **({"weight_col": "weight"} if weighted else {}))
    folds, sign = folds_by_hand(names), np.where(outcome, -1, 1)
    scaled, lined = np.zeros(600), np.zeros(600)
    for fold in range(5):
        held = folds == fold
        assert not {*names[held]} & {*names[~held]}
        best = minimize_scalar(
            lambda beta: np.average(np.logaddexp(0, sign * beta * odds)[~held], weights=weight[~held]),  # noqa: B023
            bounds=(0.05, 5),
            options={"xatol": 1e-10},
        ).x
        scaled[held] = np.logaddexp(0, sign * best * odds)[held]
        line = LogisticRegression(C=math.inf, tol=1e-12, max_iter=1000)
        line.fit(odds[~held, None], outcome[~held], weight[~held])
        lined[held] = -line.predict_log_proba(odds[held, None])[np.arange(held.sum()), outcome[held]]
    before = np.logaddexp(0, sign * odds)
    for name, after in (("temperature", scaled), ("platt", lined)):
        found = section[name]
        assert found["clusters"] == 47
        assert found["gain"] == pytest.approx(gain_by_hand(before - after, weight, names), rel=1e-5)


def test_rows_that_are_told_again_and_again_tell_no_more() -> None:
    outcome, odds = binary_data(200, 6, 1.5)
    _, once = judged({"logit": odds, "label": outcome, "case": np.arange(200)}, cluster="case")
    again = {"logit": np.repeat(odds, 10), "label": np.repeat(outcome, 10), "case": np.repeat(np.arange(200), 10)}
    _, clustered = judged(again, cluster="case")
    _, taken_for_new = judged(again)
    one, ten = once["temperature"], clustered["temperature"]
    assert ten["folds"] == pytest.approx(one["folds"], rel=1e-9)
    assert ten["gain"] == pytest.approx(one["gain"], rel=1e-6)
    assert taken_for_new["temperature"]["gain"]["stderr"] < 0.4 * ten["gain"]["stderr"]


def several(task: str, rng: np.random.Generator) -> pa.Table:
    """Return rows of users with three classes, or with three labels of which some are not known."""
    logits = rng.normal(0, 2, (240, 3))
    columns = {f"logit_{name}": logits[:, at] for at, name in enumerate("abc")}
    if task == "multiclass":
        columns["label"] = np.array(list("abc"))[rng.integers(0, 3, 240)]
    else:
        for at, name in enumerate("abc"):
            there = (rng.random(240) < 1 / (1 + np.exp(-logits[:, at] / 2))).astype(float)
            columns[f"label_{name}"] = np.where(rng.random(240) < 0.2, np.nan, there)
    return pa.Table.from_pandas(
        pd.DataFrame({**columns, "user": np.sort(rng.integers(0, 40, 240)), "w": rng.random(240)})
    )


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_neither_cuts_nor_workers_change_a_figure(task: str) -> None:
    data = several(task, np.random.default_rng(7))
    options = {"task": task, "cluster": "user", "calibration": True, "weight_col": "w"}
    whole = evaluate(data, **options)
    assert whole.sections["calibration"]["temperature"]["gain"]["stderr"] > 0
    for jobs, chunk in ((1, 7), (2, 50)):
        again = evaluate(data, **options, jobs=jobs, chunk_rows=chunk)
        assert (again.metrics, again.sections["calibration"]) == (whole.metrics, whole.sections["calibration"])


def test_labels_of_a_cluster_are_one_observation() -> None:
    data = several("multilabel", np.random.default_rng(8))
    frame = data.to_pandas()
    report = evaluate(data, task="multilabel", cluster="user", calibration=True)
    found = report.sections["calibration"]["temperature"]
    names = frame["user"].astype(str).to_numpy()
    folds = folds_by_hand(names)
    logits, label = (frame[[f"{part}_{name}" for name in "abc"]].to_numpy() for part in ("logit", "label"))
    known = ~np.isnan(label)
    loss = lambda beta: np.where(known, np.logaddexp(0, np.where(label == 1, -1, 1) * beta * logits), 0.0)  # noqa: E731
    gains = np.zeros(240)
    for fold, temperature in enumerate(found["folds"]):
        gains[folds == fold] = (loss(1) - loss(1 / temperature)).sum(axis=1)[folds == fold]
    cells = known.sum(axis=1)
    assert found["gain"] == pytest.approx(gain_by_hand(gains / np.maximum(cells, 1), cells, names), rel=1e-9)


@pytest.mark.parametrize("clusters", [1, 2])
def test_few_clusters(clusters: int) -> None:
    outcome, odds = binary_data(100, 9, 1.5)
    found = judged({"logit": odds, "label": outcome, "user": np.arange(100) % clusters}, cluster="user")[1][
        "temperature"
    ]
    if clusters == 1:
        assert found["reason"] == "there are too few clusters with a finite loss to hold any out"
    else:
        assert len(found["folds"]) == 2
        assert found["gain"]["lower"] < found["gain"]["value"] < found["gain"]["upper"]


def test_the_interval_of_clusters_covers_where_that_of_rows_does_not() -> None:
    """Users share what is wrong of them: over many draws the spread of the gain is what the clustered error says."""
    gains, clustered, plain = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(40), 10)
        odds = rng.normal(0, 1, 400) + rng.normal(0, 2, 40)[user]
        outcome = (rng.random(40) < 1 / (1 + np.exp(-odds[::10])))[user].astype(int)  # one outcome for a user
        data = pa.table({"logit": odds * 1.5, "label": outcome, "user": user})
        found = evaluate(data, cluster="user", calibration=True).metrics["temperature_gain"]
        gains.append(found.value)
        clustered.append(found.stderr)
        plain.append(evaluate(data, calibration=True).metrics["temperature_gain"].stderr)
    spread = np.std(gains, ddof=1)
    assert 0.6 * spread < np.mean(clustered) < 1.5 * spread
    assert np.mean(plain) < 0.6 * spread
