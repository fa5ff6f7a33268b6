"""The bootstrap through the command: one number whatever the machine does, its cost told before, gates on its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.command import ROOT, ce

if TYPE_CHECKING:
    from pathlib import Path

WINE = ROOT / "sample_data" / "wine" / "naive_bayes.csv"
LANGUAGE = ROOT / "sample_data" / "language" / "trigram.csv"


def section(*arguments: object, cwd: Path, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = ce(*arguments, "--json", cwd=cwd, expect=0, **options).json["bootstrap"]
    return found


def test_files_jobs_and_chunks_give_the_same_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    prob = rng.uniform(0.01, 0.99, 5000).round(4)
    table = pa.table({"id": np.arange(5000), "prob": prob, "label": (rng.uniform(size=5000) < prob).astype(int)})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=700)
    pa.csv.write_csv(table, tmp_path / "p.csv")
    options = ("--bootstrap", 300, "--seed", 7)
    whole = section("p.csv", *options, "-j", 1, cwd=tmp_path)
    assert (whole["replicates"], whole["seed"]) == (300, 7)
    assert section("p.csv", *options, "-j", 3, "--chunk-rows", 77, cwd=tmp_path) == whole
    assert section("p.parquet", *options, cwd=tmp_path) == whole
    assert section("p.parquet", "--bootstrap", 300, cwd=tmp_path) != whole


def test_a_number_may_be_left_out(tmp_path: Path) -> None:
    assert section(WINE, "--bootstrap", cwd=tmp_path)["replicates"] == 1000
    assert section(WINE, cwd=tmp_path, env={"CE_EVAL_BOOTSTRAP": "150"})["replicates"] == 150
    (tmp_path / "ce-eval.toml").write_text("bootstrap = 120\nseed = 3\n")
    assert section(WINE, cwd=tmp_path)["replicates"] == 120
    assert section(WINE, cwd=tmp_path)["seed"] == 3


def test_a_path_in_place_of_the_number_is_told(tmp_path: Path) -> None:
    done = ce("--bootstrap", WINE, cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]
    assert "--bootstrap=N" in done.err


@pytest.mark.parametrize("options", [("--bootstrap", "7"), ("--bootstrap", "many"), ("--bootstrap", "--seed", "-1")])
def test_what_cannot_be_is_told(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert ce(WINE, *options, cwd=tmp_path, expect=2).codes == ["bad_option"]


def test_the_cost_is_told_before_it_starts(tmp_path: Path) -> None:
    done = ce(WINE, "--bootstrap", "--progress", cwd=tmp_path, expect=0)
    assert "bootstrap of 1,000 replicates: about" in done.err
    assert "bootstrap" not in ce(WINE, "--bootstrap", cwd=tmp_path, expect=0).err  # where nobody looks


def test_the_page_says_what_was_resampled(tmp_path: Path) -> None:
    out = ce(WINE, "--bootstrap", cwd=tmp_path, expect=0).out
    assert "bootstrap  1,000 resamples of the rows, seed 0" in out
    out = ce(LANGUAGE, "--bootstrap", "500", cwd=tmp_path, expect=0).out
    assert "bootstrap  500 resamples of whole sequences, seed 0" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_gates_on_its_bounds(tmp_path: Path) -> None:
    found = section(WINE, "--bootstrap", "200", cwd=tmp_path)["metrics"]["cross_entropy"]
    gate = f"bootstrap.cross_entropy.upper <= {found['upper']!r}"
    report = ce(WINE, "--bootstrap", 200, "--json", "--gate", gate, cwd=tmp_path, expect=0).json
    assert report["gates"][0]["observed"] == found["upper"]
    assert report["metrics"]["cross_entropy"]["upper"] != found["upper"]  # that of t, as ever
    without = ce(WINE, "--json", "--gate", gate, cwd=tmp_path, expect=1).json
    assert "--bootstrap" in without["gates"][0]["reason"]
    perplexity = "bootstrap.perplexity.upper < 5"
    other = ce(WINE, "--bootstrap", "--json", "--gate", perplexity, cwd=tmp_path, expect=1).json
    assert "no bootstrap of perplexity" in other["gates"][0]["reason"]


@pytest.mark.parametrize(
    "gate", ["bootstrap < 1", "bootstrap.cross_entropy < 1", "bootstrap.skill.lower > 0", "bootstrap.brier.uper < 1"]
)
def test_gates_that_cannot_be(tmp_path: Path, gate: str) -> None:
    assert ce(WINE, "--bootstrap", "--gate", gate, cwd=tmp_path, expect=2).codes == ["bad_gate"]


def test_an_infinite_loss_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prob,label\n0,1\n0.5,1\n0.25,0\n")
    report = ce("p.csv", "--bootstrap", "--json", cwd=tmp_path, expect=0).json
    assert list(report["bootstrap"]["metrics"]) == ["accuracy", "brier"]
    assert "no_bootstrap" in [issue["code"] for issue in report["issues"]]
    assert "the mean loss has no bootstrap interval" in ce("p.csv", "--bootstrap", cwd=tmp_path, expect=0).out
