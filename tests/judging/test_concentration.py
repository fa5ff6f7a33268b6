"""How much of the loss comes from few rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ce_cli import evaluate
from ce_cli.metrics import CONCENTRATION
from tests.cli.command import ROOT, ce

if TYPE_CHECKING:
    from pathlib import Path

    from ce_cli.report import Report


def section(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = report.sections["concentration"]
    assert set(found) <= set(CONCENTRATION)
    return found


def forecasts(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    prob, label = generator.random(n), generator.integers(0, 2, n)
    return prob, label, -np.log(np.where(label, prob, 1 - prob))


@pytest.mark.parametrize("n", [1, 2, 99, 100, 101, 5000])
def test_the_worst_rows(n: int) -> None:
    prob, label, losses = forecasts(n)
    found = section(evaluate(prob, label))
    ordered = np.sort(losses)[::-1]
    rows = math.ceil(n / 100)
    assert found["top_1pct_rows"] == rows
    assert found["top_1pct_share"] == pytest.approx(ordered[:rows].sum() / ordered.sum(), rel=0.01)
    assert (found["infinite_rows"], found["infinite_share"]) == (0, 0.0)
    if n > rows:
        assert found["cross_entropy_without_top_1pct"] == pytest.approx(ordered[rows:].mean(), rel=0.005)
    else:
        assert "cross_entropy_without_top_1pct" not in found
    assert not any(name.startswith("clipped") for name in found)


def test_infinite_rows() -> None:
    prob, label, losses = forecasts(1000)
    prob[:3], label[:3] = 0.0, 1
    found = section(evaluate(prob, label))
    assert (found["infinite_rows"], found["infinite_share"]) == (3, 1.0)
    assert "top_1pct_share" not in found
    assert found["cross_entropy_without_top_1pct"] == pytest.approx(np.sort(losses[3:])[:990].mean(), rel=0.01)
    prob[:30], label[:30] = 0.0, 1
    assert section(evaluate(prob, label))["cross_entropy_without_top_1pct"] == math.inf


def test_clipped_rows() -> None:
    prob, label, _ = forecasts(1000)
    prob[:20] = 0.0
    losses = -np.log(np.where(label, np.clip(prob, 1e-3, None), np.clip(1 - prob, 1e-3, 1 - 1e-3)))
    clipped = (prob < 1e-3) | (prob > 1 - 1e-3)
    found = section(evaluate(prob, label, eps=1e-3))
    assert found["clipped_rows"] == clipped.sum()
    assert found["clipped_share"] == pytest.approx(losses[clipped].sum() / losses.sum(), rel=0.01)
    assert found["cross_entropy_without_clipped"] == pytest.approx(losses[~clipped].mean(), rel=0.005)
    assert found["infinite_rows"] == 0


def test_rows_count_once_whatever_they_weigh() -> None:
    prob, label, losses = forecasts(1000)
    weight = np.where(np.arange(1000) % 10 == 0, 0.0, losses)  # those of weight 0 are left out
    found = section(evaluate(pd.DataFrame({"prob": prob, "label": label, "w": weight}), weight_col="w"))
    kept = np.sort(losses[weight > 0])[::-1]
    assert found["top_1pct_rows"] == 9
    assert found["top_1pct_share"] == pytest.approx(kept[:9].sum() / kept.sum(), rel=0.01)
    assert "cross_entropy_without_top_1pct" not in found


def test_losses_are_in_the_unit_of_the_report() -> None:
    prob, label, _ = forecasts(300)
    nats, bits = (section(evaluate(prob, label, base=base)) for base in ("e", "2"))
    assert bits["cross_entropy_without_top_1pct"] * math.log(2) == pytest.approx(nats["cross_entropy_without_top_1pct"])
    assert bits["top_1pct_share"] == nats["top_1pct_share"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400), st.sampled_from([1, 3]))
def test_any_chunking_gives_the_same(seed: int, chunk: int, jobs: int) -> None:
    prob, label, _ = forecasts(500, seed)
    prob[:50] = 0.0
    whole = evaluate(prob, label, eps=0.01)
    assert section(evaluate(prob, label, eps=0.01, chunk_rows=chunk, jobs=jobs)) == section(whole)


@pytest.mark.parametrize(
    ("predictions", "labels", "options"),
    [
        ("traits/neighbours.csv", "traits/labels.csv", {"task": "multilabel"}),
        ("diabetes/bins.csv", "diabetes/labels.csv", {}),
        ("language/trigram.csv", None, {}),
        ("translation/model1.csv", None, {}),
        ("wine/logistic.csv", None, {"label_smoothing": 0.1}),
    ],
)
def test_every_task(predictions: str, labels: str | None, options: dict[str, Any]) -> None:
    folder = ROOT / "sample_data"
    report = evaluate(folder / predictions, None if labels is None else folder / labels, **options)
    found = section(report)
    assert found["top_1pct_rows"] == math.ceil(report.counts["scored"] / 100)
    assert ("top_1pct_share" in found) == (found["infinite_rows"] == 0)
    if options.get("task") == "multilabel":
        assert found["infinite_rows"] == 4  # rows, not the 11 cells


def test_the_command_shows_and_gates_it(tmp_path: Path) -> None:
    prob, label, losses = forecasts(1000)
    pd.DataFrame({"prob": prob, "label": label}).to_csv(tmp_path / "p.csv", index=False)
    page = ce("p.csv", cwd=tmp_path, expect=0).out
    assert "concentration  the worst 1 % (10 rows): " in page
    share = np.sort(losses)[::-1][:10].sum() / losses.sum()
    gates = [f"concentration.top_1pct_share < {share * 1.1}", "concentration.infinite_rows == 0"]
    ce("p.csv", "--gate", gates[0], "--gate", gates[1], cwd=tmp_path, expect=0)
    ce("p.csv", "--gate", f"concentration.top_1pct_share < {share * 0.9}", cwd=tmp_path, expect=1)
    failed = ce("p.csv", "--gate", "concentration.clipped_share < 1", cwd=tmp_path, expect=1)
    assert "no concentration clipped_share" in failed.out.replace("\n", " ")
    assert ce("p.csv", "--gate", "concentration.top < 1", cwd=tmp_path, expect=2).codes == ["bad_gate"]
