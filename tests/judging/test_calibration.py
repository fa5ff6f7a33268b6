"""What --calibration finds: against scikit-learn and planted faults, and the same however the work is cut."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import t as student
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from ce_cli import evaluate
from ce_cli.judging import calibration_sample
from ce_cli.kernels.hashing import mixed
from tests.cli.command import ROOT, ce, validator
from tests.test_engine import generator_case, write_csv, write_parquet

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "sample_data"
KINDS = (
    "binary",
    "binary soft",
    "binary infinite",
    "binary logit infinite",
    "binary logprob",
    "three",
    "ten logit infinite",
    "binary weighted infinite",
    "three weighted",
)


def judged(columns: dict[str, Any], **options: Any):
    report = evaluate(pa.table(columns), calibration=True, **options)
    validator().validate(json.loads(report.to_json()))
    return report, report.sections["calibration"]


def binary_data(n: int, seed: int, temperature: float = 1.0, shift: float = 0.0):
    """Return outcomes, and log-odds that are to be divided by `temperature`."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(0.5, 2, n)
    outcome = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return outcome, temperature * odds + shift


def fold_of(n: int):
    return mixed(np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)) % np.uint64(5)


def test_bins_and_parts_are_those_of_scikit_learn() -> None:
    outcome, odds = binary_data(1500, 0, 1.4)
    prob = 1 / (1 + np.exp(-odds))
    report, section = judged({"prob": prob, "label": outcome}, ece_bins=10)
    rate, mean = calibration_curve(outcome, prob, n_bins=10)
    assert [one["observed"] for one in section["bins"]] == pytest.approx(rate)
    assert [one["predicted"] for one in section["bins"]] == pytest.approx(mean)
    rate, mean = calibration_curve(outcome, prob, n_bins=10, strategy="quantile")
    assert [one["observed"] for one in section["equal_mass"]["bins"]] == pytest.approx(rate)
    assert [one["predicted"] for one in section["equal_mass"]["bins"]] == pytest.approx(mean)
    assert section["equal_mass"]["ece"] == pytest.approx(np.abs(rate - mean).mean())
    assert report.ece_max.value == pytest.approx(max(abs(b["observed"] - b["predicted"]) for b in section["bins"]))
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(prob, outcome).predict(prob)
    recalibrated = log_loss(outcome, np.clip(fitted, 1e-300, 1))
    parts = section["decomposition"]
    assert parts["mcb"] == report.mcb.value == pytest.approx(report.cross_entropy.value - recalibrated, abs=1e-10)
    assert parts["unc"] == report.unc.value == pytest.approx(report.prior_entropy.value, abs=1e-12)
    assert parts["dsc"] == report.dsc.value == pytest.approx(report.prior_entropy.value - recalibrated, abs=1e-10)
    assert parts["score"] == pytest.approx(report.cross_entropy.value, abs=1e-12)
    assert parts["mcb"] - parts["dsc"] + parts["unc"] == pytest.approx(parts["score"], abs=1e-12)


def test_platt_scaling_is_logistic_regression_without_the_fold() -> None:
    outcome, odds = binary_data(800, 1, 1.8, 0.6)
    _, section = judged({"logit": odds, "label": outcome})
    folds, after = fold_of(800), np.zeros(800)

    def fit(rows):
        return LogisticRegression(C=math.inf, tol=1e-12, max_iter=1000).fit(odds[rows, None], outcome[rows])

    for fold in range(5):
        held = folds == fold
        after[held] = fit(~held).predict_proba(odds[held, None])[np.arange(held.sum()), outcome[held]]
    before = np.logaddexp(0, np.where(outcome, -1, 1) * odds)
    gains = before + np.log(after)
    found = section["platt"]
    whole = fit(np.arange(800))
    assert found["slope"] == pytest.approx(whole.coef_[0, 0], rel=1e-5)
    assert found["intercept"] == pytest.approx(whole.intercept_[0], rel=1e-5)
    assert found["before"] == pytest.approx(before.mean())
    assert found["after"] == pytest.approx(-np.log(after).mean(), rel=1e-6)
    error = gains.std(ddof=1) / math.sqrt(800)
    margin = student.ppf(0.975, 799) * error
    expected = {"value": gains.mean(), "stderr": error}
    expected |= {"lower": expected["value"] - margin, "upper": expected["value"] + margin}
    assert found["gain"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("base", ["e", "2"])
def test_the_gain_of_a_temperature_is_weighted(base: str) -> None:
    outcome, odds = binary_data(400, 2, 2.0)
    weight = np.random.default_rng(3).integers(0, 4, 400)
    report, section = judged({"logit": odds, "label": outcome, "weight": weight}, weight_col="weight", base=base)
    found, unit = section["temperature"], 1.0 if base == "e" else math.log(2)
    loss = lambda beta: np.logaddexp(0, np.where(outcome, -1, 1) * beta * odds)  # noqa: E731
    folds, gains = fold_of(400), np.zeros(400)
    there = [fold for fold in range(5) if ((folds == fold) & (weight > 0)).any()]
    for fold, temperature in zip(there, found["folds"], strict=True):
        rows = folds != fold
        at = [
            np.average(loss(b)[rows], weights=weight[rows])
            for b in (1 / temperature, 1.01 / temperature, 0.99 / temperature)
        ]
        assert at[0] < min(at[1:])
        gains[~rows] = (loss(1) - loss(1 / temperature))[~rows]
    mean, n = np.average(gains, weights=weight), np.count_nonzero(weight)
    error = math.sqrt(n / (n - 1) * (weight**2 * (gains - mean) ** 2).sum()) / weight.sum()
    assert found["gain"]["value"] == pytest.approx(mean / unit, rel=1e-9)
    assert found["gain"]["stderr"] == pytest.approx(error / unit, rel=1e-9)
    assert report.temperature_gain.value == found["gain"]["value"] == pytest.approx(found["before"] - found["after"])
    assert found["n_used"] == section["n"] == n
    assert sum(one["n"] for one in section["bins"]) == n
    assert math.fsum(one["weight"] for one in section["equal_mass"]["bins"]) == pytest.approx(weight.sum())


@pytest.mark.parametrize(("planted", "verdict"), [(2.0, "over-confident"), (0.5, "under-confident"), (1.0, None)])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_planted_temperature_is_found(task: str, planted: float, verdict: str | None) -> None:
    generator = np.random.default_rng(4)
    n, k = 2000, 4
    if task == "multiclass":
        logits = generator.normal(0, 1.5, (n, k))
        label: Any = {"label": [generator.choice(k, p=p) for p in softmax(logits, axis=1)]}
        columns = {f"logit_{c}": planted * logits[:, c] for c in range(k)} | label
        report, section = judged(columns)
    elif task == "multilabel":
        logits = generator.normal(0, 1.5, (n, k))
        there = (generator.random((n, k)) < 1 / (1 + np.exp(-logits))).astype(int)
        columns = {f"logit_{c}": planted * logits[:, c] for c in range(k)}
        labels = pa.table({f"label_{c}": there[:, c] for c in range(k)})
        report = evaluate(pa.table(columns), labels, task="multilabel", calibration=True)
        section = report.sections["calibration"]
        assert "platt" not in section
    else:
        outcome, odds = binary_data(n, 5, planted)
        report, section = judged({"logit": odds, "label": outcome})
    found = section["temperature"]
    assert found["value"] == report.temperature.value == pytest.approx(planted, rel=0.12)
    assert found["verdict"] == verdict
    assert found["before"] == pytest.approx(report.cross_entropy.value, rel=1e-12)
    assert len(found["folds"]) == 5
    assert found["folds"] == pytest.approx([planted] * 5, rel=0.15)


def test_sound_predictions_are_seldom_called_anything_else() -> None:
    wrong = 0
    for seed in range(60):
        outcome, odds = binary_data(200, 1000 + seed)
        _, section = judged({"logit": odds, "label": outcome})
        wrong += section["temperature"]["verdict"] is not None
    assert wrong <= 5


def test_the_top_class_is_judged_by_being_right() -> None:
    report, section = judged(
        {"prob_a": [0.7, 0.6, 0.2], "prob_b": [0.2, 0.3, 0.3], "prob_c": [0.1, 0.1, 0.5], "label": list("aac")}
    )
    assert section["of"] == "the probability of the predicted class, against being right"
    assert section["decomposition"]["unc"] == 0
    assert section["decomposition"]["score"] == pytest.approx(-(np.log([0.7, 0.6, 0.5])).mean())
    assert report.temperature.value if "temperature" in report else True
    assert section["temperature"]["value"] is None
    assert "every row is right" in section["temperature"]["reason"]


def test_a_sure_row_that_is_wrong_keeps_its_finite_loss() -> None:
    columns = {
        "logit_a": [50.0, 0.0, 1.0],
        "logit_b": [0.0, 45.0, 0.5],
        "logit_c": [0.0, 0.0, 0.0],
        "label": list("bba"),
    }
    _, section = judged(columns)
    q = 2 * math.exp(-50)
    expected = [-math.log(q / (1 + q)), math.log1p(2 * math.exp(-45)), math.log(1 + math.exp(-0.5) + math.exp(-1.0))]
    assert section["decomposition"]["score"] == pytest.approx(np.mean(expected), rel=1e-12)


def test_infinite_losses_are_left_out_of_the_fit_and_counted() -> None:
    outcome, odds = binary_data(300, 6, 2.0)
    prob = 1 / (1 + np.exp(-odds))
    prob[:4], outcome[:4] = [0.0, 1.0, 0.0, 1.0], [1, 0, 0, 1]
    report, section = judged({"prob": prob, "label": outcome})
    assert section["decomposition"]["score"] == section["decomposition"]["mcb"] == math.inf
    assert 0 < section["decomposition"]["dsc"] < section["decomposition"]["unc"]
    found = section["temperature"]
    assert found["infinite"] == report.counts["infinite"] == 2
    assert found["before"] == pytest.approx(report.cross_entropy_finite.value)
    rest, _ = judged({"prob": prob[4:], "label": outcome[4:]})
    assert found["value"] == pytest.approx(rest.temperature.value)
    assert section["losses"][-1] == {"from": math.inf, "to": math.inf, "n": 2}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prob": [0.9, 0.2], "label": [1, 0]}, "every row is right"),
        ({"prob": [0.1, 0.8], "label": [1, 0]}, "point the wrong way"),
        ({"prob": [0.5, 0.5], "label": [1, 0]}, "every probability is the same"),
        ({"prob": [0.9], "label": [1]}, "every row is right"),
        ({"prob": [0.0], "label": [1]}, "too few rows"),
        ({"prob": [1.0, 0.0], "label": [1, 0]}, "exactly 0 or 1"),
        ({"prob": [0.9, 0.8, 0.4, 0.9, 0.9, 0.9, 0.9], "label": [1] * 7}, "without the rows of one of the folds"),
    ],
)
def test_what_cannot_be_fitted_is_said(columns: dict[str, list[Any]], words: str) -> None:
    report, section = judged(columns)
    assert words in section["temperature"]["reason"]
    assert "verdict" not in section["temperature"]
    assert "gain" not in section["platt"]
    assert "reason" in section["platt"]
    assert "temperature_gain" not in report


def test_one_class_has_no_line() -> None:
    _, section = judged({"prob": [0.9, 0.8, 0.4, 0.7], "label": [1, 1, 1, 1]})
    assert section["platt"]["slope"] is None
    assert "one class" in section["platt"]["reason"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, suppress_health_check=list(HealthCheck), deadline=None)
@given(rows=st.integers(1, 150), seed=st.integers(0, 2**32 - 1), limit=st.sampled_from([20, 400]))
def test_the_section_does_not_depend_on_jobs_chunks_or_format(
    kind: str, rows: int, seed: int, limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = generator_case(kind, rows, seed)
    folder = tmp_path_factory.mktemp("calibration")
    files = [write_csv(folder / "a.csv", case.columns), write_parquet(folder / "a.parquet", case.columns, 7)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration_sample, "MOST_ROWS", limit)
        patch.setattr(calibration_sample, "MOST_CELLS", 4 * limit)
        reports = [
            evaluate(file, calibration=True, jobs=jobs, chunk_rows=chunk, **case.options)
            for file in files
            for jobs, chunk in ((1, None), (4, 1), (2, 13))
        ]
    assert len({repr((report.sections, report.metrics)) for report in reports}) == 1
    section = reports[0].sections["calibration"]
    assert section["n_used"] == min(reports[0].counts["scored"], limit)
    parts = section["decomposition"]
    assert parts["mcb"] - parts["dsc"] + parts["unc"] == pytest.approx(parts["score"], abs=1e-12)
    validator().validate(json.loads(reports[0].to_json()))


def test_a_sample_of_the_rows_is_near_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, odds = binary_data(20_000, 7, 1.5)
    columns = {"logit": odds, "label": outcome}
    _, whole = judged(columns)
    monkeypatch.setattr(calibration_sample, "MOST_ROWS", 5000)
    _, part = judged(columns)
    assert (part["n"], part["n_used"], part["temperature"]["n_used"]) == (20_000, 5000, 5000)
    assert part["bins"] == whole["bins"]
    assert part["losses"] == whole["losses"]
    assert part["temperature"]["value"] == pytest.approx(whole["temperature"]["value"], rel=0.05)
    assert part["decomposition"]["unc"] == pytest.approx(whole["decomposition"]["unc"], rel=0.02)


def test_weights_of_any_size_give_the_same_up_to_rounding() -> None:
    outcome, odds = binary_data(120, 8, 1.6)
    weight = np.random.default_rng(9).random(120) + 0.5
    found = [
        judged({"logit": odds, "label": outcome, "w": scale * weight}, weight_col="w")[1]
        for scale in (1.0, 2.0**-900, 2.0**900)
    ]
    for other in found[1:]:
        assert other["temperature"] == found[0]["temperature"]
        assert other["decomposition"] == found[0]["decomposition"]


@pytest.mark.parametrize("options", [{"label_smoothing": 0.1}, {"class_weights": {"0": 3.0, "1": 1.0}}])
def test_smoothing_and_class_weights_are_left_out(options: dict[str, Any]) -> None:
    outcome, odds = binary_data(200, 10, 1.6)
    _, plain = judged({"logit": odds, "label": outcome})
    _, other = judged({"logit": odds, "label": outcome}, **options)
    assert other["temperature"] == plain["temperature"]
    assert other["decomposition"] == plain["decomposition"]


def test_cells_that_are_not_known_have_no_part() -> None:
    generator = np.random.default_rng(11)
    logits = generator.normal(0, 2, (300, 3))
    there = (generator.random((300, 3)) < 1 / (1 + np.exp(-0.5 * logits))).astype(float)
    known = generator.random((300, 3)) < 0.8
    scores = pa.table({f"logit_{c}": logits[:, c] for c in range(3)})
    labels = pa.table(
        {
            f"label_{c}": pa.array([y if k else None for y, k in zip(there[:, c], known[:, c], strict=True)])
            for c in range(3)
        }
    )
    report = evaluate(scores, labels, task="multilabel", calibration=True)
    section = report.sections["calibration"]
    assert sum(one["n"] for one in section["bins"]) == report.counts["cells"]
    assert sum(one["n"] for one in section["equal_mass"]["bins"]) == report.counts["cells"]
    _, flat = judged({"logit": logits[known], "label": there[known].astype(int)})
    assert section["decomposition"] == pytest.approx(flat["decomposition"])
    assert section["temperature"]["value"] == pytest.approx(flat["temperature"]["value"])
    # Cells of a row are one observation.
    rows = known.any(axis=1).sum()
    assert section["temperature"]["n_used"] == rows


@pytest.mark.parametrize(
    ("files", "task"),
    [
        (("language/trigram.csv",), "tokens"),
        (
            (
                "diabetes/boosting.parquet",
                "--labels",
                SAMPLE / "diabetes/labels.csv",
                "--sigma",
                "auto",
                "--bins",
                "uniform:8",
            ),
            "regression",
        ),
    ],
)
def test_tasks_that_it_is_not_for_refuse_it(files: tuple[Any, ...], task: str, tmp_path: Path) -> None:
    path, *more = files
    done = ce(SAMPLE / path, *more, "--task", task, "--calibration", "--json", cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]
    assert "--calibration does not apply" in done.json["error"]["message"]


def test_figures_can_be_gated_and_are_absent_without_the_option() -> None:
    data = SAMPLE / "soft_digits"
    gates = ("temperature < 1.2", "mcb < 0.05", "ece_max < 0.2", "temperature_gain.lower <= 0")
    report = evaluate(data / "predictions.csv", data / "labels.csv", calibration=True, gates=gates)
    assert [gate.passed for gate in report.gates] == [False, True, True, False]
    plain = evaluate(data / "predictions.csv", data / "labels.csv", gates=gates)
    assert not any(gate.passed for gate in plain.gates)
    assert "calibration" not in plain.sections
