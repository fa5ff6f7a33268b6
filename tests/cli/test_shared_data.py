"""Real predictions that other people published, where they are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import SHARED, ce, table, value

if TYPE_CHECKING:
    from pathlib import Path

DATA = SHARED / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not beside this tree")

PAIR = ("--pred-cols", "prob1", "--label-col", "prob1_outcome")
FILES = {
    "yardstick": ("yardstick/two_class_example.csv", (), 0.328309649885314),
    "yardstick weighted": ("yardstick/two_class_example.csv", ("--weight-col", "weight"), 0.348618922456708),
    "nfl": ("nfl/nfl_games.csv", PAIR, 0.631970604687477),
    "nhl": ("nhl/nhl_games.csv", PAIR, 0.6547679630659797),
    "icing": ("icing/icing.csv", ("--input", "percent"), 0.49052854168300336),
}
FLARES = {
    "NOAA": 0.4493945325746015,
    "DAFFS": 0.5094512341591894,
    "SIDC": 0.5152746888287397,
    "DAFFS-G": 0.5651941020262086,
    "MCSTAT": 0.5865364984031891,
    "CLIM120": 0.6102645531389179,
}
INFINITE = {"ASSA": 7, "MCEVOL": 3, "NICT": 108}


@pytest.mark.parametrize("name", FILES)
def test_published_value(name: str, tmp_path: Path) -> None:
    file, options, expected = FILES[name]
    report = ce(DATA / file, *options, "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(expected, rel=1e-13)
    assert report["task"] == "binary"


@pytest.mark.parametrize(
    ("file", "task", "expected"),
    [
        ("nfl/nfl_games.csv", "binary", 0.631970604687477),
        ("nhl/nhl_games.csv", "binary", 0.6547679630659797),
        ("worldcup_women/world_cup_matches_women.csv", "multiclass", 0.6783981383804939),
    ],
)
def test_outcome_columns_need_no_option(file: str, task: str, expected: float, tmp_path: Path) -> None:
    report = ce(DATA / file, "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(expected, rel=1e-13)
    assert report["task"] == task


@pytest.mark.parametrize(
    ("name", "loss", "log_score"),
    [("Hist-Avg", 1.8814036584176028, 1.1882564778576574), ("Delphi-Stat", 1.2354078336218794, 0.5422606530619342)],
)
def test_bins_in_headers(name: str, loss: float, log_score: float, tmp_path: Path) -> None:
    report = ce(DATA / "flusight" / f"{name}_1wk.csv", "--json", cwd=tmp_path, expect=0).json
    assert report["task"] == "regression"
    assert (len(report["classes"]), report["classes"][0], report["classes"][-1]) == (27, "[0,0.5)", "[13,100)")
    assert value(report) == pytest.approx(loss, rel=1e-13)
    assert value(report, "log_score") == pytest.approx(log_score, rel=1e-13)


@pytest.mark.parametrize("name", [*FLARES, *INFINITE])
def test_forecaster(name: str, tmp_path: Path) -> None:
    report = ce(DATA / "flares" / "C1_flares.csv", "--pred-cols", name, "--json", cwd=tmp_path, expect=0).json
    assert report["counts"]["infinite"] == INFINITE.get(name, 0)
    assert value(report) == (float("inf") if name in INFINITE else pytest.approx(FLARES[name], rel=1e-13))
    assert value(report, "prior_entropy") == pytest.approx(0.6136286008903156, rel=1e-13)
    assert report["counts"]["scored"] == 577


def test_clipping_and_ties(tmp_path: Path) -> None:
    flares = DATA / "flares" / "C1_flares.csv"
    report = ce(flares, "--pred-cols", "ASSA", "--eps", "1e-15", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(0.9271584302230144, rel=1e-13)
    report = ce(DATA / "nfl" / "nfl_games.csv", *PAIR, "--json", cwd=tmp_path, expect=0).json
    assert any(issue["code"] == "ties" and issue["count"] == 7 for issue in report["issues"])


def test_nine_forecasters_are_not_nine_classes(tmp_path: Path) -> None:
    assert ce(DATA / "flares" / "C1_flares.csv", cwd=tmp_path, expect=2).codes == ["ambiguous_columns"]


ECG = (DATA / "ecg" / "predictions.csv", "--labels", DATA / "ecg" / "labels.csv", "--task", "multilabel")


def test_71_labels_of_electrocardiograms(tmp_path: Path) -> None:
    report = ce(*ECG, "--json", cwd=tmp_path, expect=0).json
    assert (report["counts"]["scored"], report["counts"]["cells"]) == (2203, 2203 * 71)
    assert report["counts"]["infinite"] == 2
    assert value(report) == float("inf")
    assert value(report, "cross_entropy_finite") == pytest.approx(0.06111061054441667, rel=1e-13)
    assert [row["id"] for row in report["worst"][:2]] == ["631", "1665"]
    by_name = {row["class"]: row for row in report["per_class"]}
    assert by_name["SR"]["cross_entropy"] == "inf"
    assert by_name["NORM"]["cross_entropy"] == pytest.approx(0.34924663600852407, rel=1e-13)
    report = ce(*ECG, "--eps", "1e-15", "--json", cwd=tmp_path, expect=0).json
    assert value(report) == pytest.approx(0.06155147499151246, rel=1e-13)


@pytest.mark.parametrize(
    ("name", "tokens", "expected"),
    [
        ("ende_dev", 24853, (0.3321747394680723, 0.33439182231864, 8.2555388, 1.3939964134234717)),
        ("sien_dev", 33600, (0.5336983303571429, 0.5435405028381524, 17.9322639, 1.705227154585323)),
    ],
)
def test_translations(name: str, tokens: int, expected: tuple[float, ...], tmp_path: Path) -> None:
    report = ce(DATA / "mlqe" / f"{name}.logprobs.txt", "--json", cwd=tmp_path, expect=0).json
    assert (report["counts"]["tokens"], report["counts"]["sequences"]) == (tokens, 1000)
    found = [value(report, one) for one in ("cross_entropy", "sequence_mean", "sequence_sum_mean", "perplexity")]
    assert found == [pytest.approx(one, rel=1e-13) for one in expected]


def test_a_language_model_to_base_10(tmp_path: Path) -> None:
    file = DATA / "kenlm" / "token_logprob10.tsv"
    options = ("--input-base", "10", "--sequence-col", "doc")
    ce(file, *options, "--per-sequence", "s.csv", cwd=tmp_path, expect=0)
    found = {row["doc"]: float(row["perplexity"]) for row in table((tmp_path / "s.csv").read_text())}
    assert found == {
        "ex1": pytest.approx(53.07903544873931, rel=1e-13),
        "ex2": pytest.approx(16.954247874238792, rel=1e-13),
    }


@pytest.mark.parametrize("name", [name for name in FILES if "weighted" not in name])
def test_published_forecasts_split_into_the_parts_of_their_loss(name: str, tmp_path: Path) -> None:
    file, options, expected = FILES[name]
    report = ce(DATA / file, *options, "--calibration", "--json", cwd=tmp_path, expect=0).json
    parts = report["calibration"]["decomposition"]
    assert parts["score"] == pytest.approx(expected, rel=1e-12)
    assert parts["mcb"] - parts["dsc"] + parts["unc"] == pytest.approx(expected, abs=1e-12)
    assert parts["unc"] == pytest.approx(value(report, "prior_entropy"), rel=1e-12)
    assert sum(one["n"] for one in report["calibration"]["bins"]) == report["counts"]["scored"]
