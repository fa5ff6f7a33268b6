"""The diagnosis as the command shows it, and that what it advises gives what it promises."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from scipy.special import softmax

from tests.cli.command import ROOT, ce, value

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "sample_data"
CANCER = (SAMPLE / "breast_cancer/predictions.csv", "--labels", SAMPLE / "breast_cancer/labels.csv")
SCHEMA = json.loads((files("ce_cli") / "report.schema.json").read_text(encoding="utf-8"))


def classes(folder: Path, rows: int = 1500) -> None:
    """Write the probabilities of twelve classes as a list, in the order of text."""
    generator = np.random.default_rng(0)
    probs = softmax(generator.normal(0, 2.5, (rows, 12)), axis=1)
    label = (probs.cumsum(axis=1) > generator.random((rows, 1))).argmax(axis=1)
    order = sorted(range(12), key=str)
    pd.DataFrame({"prob": probs[:, order].tolist(), "label": label}).to_parquet(folder / "p.parquet")


@pytest.mark.parametrize("kind", ["complement", "probs", "class_order", "percent"])
def test_the_advice_gives_what_it_promises(kind: str, tmp_path: Path) -> None:
    classes(tmp_path)
    pd.DataFrame({"prob": np.repeat([0.2, 0.9], 500), "label": np.repeat([0, 1, 0, 1], [400, 100, 50, 450])}).to_csv(
        tmp_path / "q.csv", index=False
    )
    arguments: dict[str, tuple[object, ...]] = {
        "complement": (*CANCER, "--positive", "benign"),
        "probs": (SAMPLE / "wine/logistic.csv", "--input", "logits"),
        "class_order": ("p.parquet",),
        "percent": ("q.csv", "--input", "percent"),
    }
    report = ce(*arguments[kind], "--json", cwd=tmp_path, expect=0).json
    Draft202012Validator(SCHEMA).validate(report)
    best = report["diagnosis"][0]
    assert best["explanation"] == ("probs" if kind == "percent" else kind)
    assert best["fix"].startswith("pass --")
    advice = shlex.split(best["fix"])[1:]
    plain = arguments[kind][:1] if kind in ("probs", "percent") else arguments[kind]
    mended = ce(*plain, *advice, "--json", cwd=tmp_path, expect=0).json
    assert value(mended) == pytest.approx(best["cross_entropy"], rel=1e-12)
    assert value(mended, "skill") == pytest.approx(best["skill"], rel=1e-9)
    assert "diagnosis" not in mended


@pytest.mark.parametrize("options", [("--jobs", "3", "--chunk-rows", "7"), ("--chunk-rows", "1"), ("--jobs", "1")])
def test_the_same_for_any_work(options: tuple[str, ...], tmp_path: Path) -> None:
    plain = ce(*CANCER, "--positive", "benign", "--json", cwd=tmp_path, expect=0)
    assert ce(*CANCER, "--positive", "benign", *options, "--json", cwd=tmp_path, expect=0).out == plain.out


def test_rows_that_a_join_puts_in_order(tmp_path: Path) -> None:
    classes(tmp_path)
    rows = pd.read_parquet(tmp_path / "p.parquet").assign(id=lambda frame: frame.index)
    rows[["id", "prob"]].to_parquet(tmp_path / "joined.parquet")
    rows[["id", "label"]].sample(frac=1, random_state=0).to_csv(tmp_path / "y.csv", index=False)
    whole = ce("p.parquet", "--json", cwd=tmp_path, expect=0).json
    joined = ce("joined.parquet", "-l", "y.csv", "--json", cwd=tmp_path, expect=0).json
    assert joined["diagnosis"] == whole["diagnosis"]


def test_in_the_table(tmp_path: Path) -> None:
    page = ce(*CANCER, "--positive", "benign", cwd=tmp_path, expect=0).out
    assert "\ndiagnosis  a mistake that explains the loss, tried on the first 569 rows\n" in page
    assert "\n  the score is of the class malignant, not of benign\n" in page
    assert "\n    to do: pass --positive malignant\n" in page
    assert "diagnosis" not in ce(*CANCER, cwd=tmp_path, expect=0).out


def test_names_of_classes_are_quoted_and_escaped(tmp_path: Path) -> None:
    frame = pd.read_csv(CANCER[0]).merge(pd.read_csv(CANCER[2]), on="id")
    frame["label"] = frame["label"].map({"malignant": "it's\x1b[31m bad", "benign": "fine"})
    frame[["id", "prob_malignant", "label"]].rename(columns={"prob_malignant": "prob"}).to_csv(
        tmp_path / "p.csv", index=False
    )
    options = ("p.csv", "--positive", "fine")
    best = ce(*options, "--json", cwd=tmp_path, expect=0).json["diagnosis"][0]
    assert shlex.split(best["fix"])[-1] == "it's\x1b[31m bad"
    assert "\x1b" not in ce(*options, cwd=tmp_path, expect=0).out


def test_invalid_and_ignored_rows_are_no_rows_to_look_at(tmp_path: Path) -> None:
    frame = pd.read_csv(CANCER[0]).merge(pd.read_csv(CANCER[2]), on="id").drop(columns=["id", "weight"])
    frame["prob_malignant"] = (1 - frame["prob_malignant"]).round(12).astype(object)
    frame.loc[::7, "prob_malignant"] = "2"
    frame.to_csv(tmp_path / "p.csv", index=False)
    report = ce("p.csv", "--on-invalid", "drop", "--json", cwd=tmp_path, expect=0).json
    assert report["diagnosis"][0]["n"] == report["counts"]["scored"] < len(frame)
