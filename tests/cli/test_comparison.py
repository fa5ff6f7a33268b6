"""Several models through the real command."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import ROOT, SHARED, ce, lines, value, write

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "sample_data"
CANCER = SAMPLES / "breast_cancer"
TWO = (f"lr={CANCER / 'predictions.csv'}", f"gb={CANCER / 'gradient_boosting.csv'}", "-l", CANCER / "labels.csv")
FLARES = SHARED / "data" / "flares" / "C1_flares.csv"
PUBLISHED = {
    "NOAA": 0.4493945325746015,
    "DAFFS": 0.5094512341591894,
    "SIDC": 0.5152746888287397,
    "DAFFS-G": 0.5651941020262086,
    "MCSTAT": 0.5865364984031891,
    "CLIM120": 0.6102645531389179,
}


def test_two_files(tmp_path: Path) -> None:
    done = ce(*TWO, cwd=tmp_path, expect=0)
    assert done.err == ""
    for text in ("ranking", "differences from lr", "where they come from", "569 common to all models, paired by id"):
        assert text in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    document = ce(*TWO, "--json", cwd=tmp_path, expect=0).json
    assert [(model["name"], model["reference"]) for model in document["models"]] == [("lr", True), ("gb", False)]
    (row,) = document["comparison"]
    assert row["detected"] is True
    assert row["difference"] == document["models"][1]["deltas"]["cross_entropy"]
    assert [rank["model"] for rank in document["ranking"]] == ["lr", "gb"]
    quiet = ce(*TWO, "--quiet", cwd=tmp_path, expect=0).out.splitlines()
    assert quiet == [f"{model['name']}\t{value(model)!r}" for model in document["models"]]


def test_tokens_are_compared_by_sequences(tmp_path: Path) -> None:
    write(
        tmp_path,
        words="seq_id,logprob,bytes\na,-1,3\na,-2,5\nb,-1,4\nc,-3,2\n",
        letters="seq_id,logprobs,bytes\nc,-1,2\nb,-0.25 -0.5,4\na,-1 -0.5 -0.5,8\n",
    )
    names = ("words.csv", "letters.csv", "--bytes-col", "bytes")
    done = ce(*names, "--gate", "delta.bits_per_byte < 0", cwd=tmp_path, expect=0)
    for text in ("compared by byte", "3 common to all models, paired by id", "in nats per byte", "into other tokens"):
        assert text in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    document = ce(*names, "--base", "2", "--json", cwd=tmp_path, expect=0).json
    (row,) = document["comparison"]
    assert (row["per"], row["rows"], row["wins"]) == ("byte", 3, 3)
    assert row["difference"]["value"] == pytest.approx(-3.25 / 14 / math.log(2), rel=1e-15)
    assert row["difference"] == pytest.approx(document["models"][1]["deltas"]["bits_per_byte"], rel=1e-14)
    done = ce(*names, "--gate", "delta.cross_entropy < 9", cwd=tmp_path, expect=1)
    assert "cut the text into other tokens" in done.out
    assert ce(*names, "-q", cwd=tmp_path, expect=0).out == f"words\t{7 / 14!r}\nletters\t{3.75 / 14!r}\n"
    write(tmp_path, less="seq_id,logprob,bytes\na,-1,8\nb,-1,4\n")
    done = ce("words.csv", "less.csv", cwd=tmp_path, expect=2)
    assert "error[missing_id]: words.csv, row 4: 1 sequence of words.csv is not in less.csv" in done.err
    document = ce("words.csv", "less.csv", "--missing", "drop", "--json", cwd=tmp_path, expect=0).json
    assert (document["comparison"][0]["per"], document["comparison"][0]["only_reference"]) == ("sequence", 1)


def test_quiet_prints_the_losses_of_the_common_rows(tmp_path: Path) -> None:
    write(tmp_path, one="id,prob,label\n1,0.5,1\n2,0.25,1\n", two="id,prob,label\n1,0.5,1\n")
    done = ce("one.csv", "two.csv", "--missing", "drop", "--base", "2", "-q", cwd=tmp_path, expect=0)
    assert done.out.splitlines() == ["one\t1.0", "two\t1.0"]


@pytest.mark.parametrize("options", [(), ("--jobs", "1"), ("--chunk-rows", "7", "--jobs", "3")])
def test_work_is_divided_without_changing_a_number(options: tuple[str, ...], tmp_path: Path) -> None:
    assert ce(*TWO, *options, "--json", cwd=tmp_path).out == ce(*TWO, "--json", cwd=tmp_path).out


def test_gates_decide_on_the_exit_code(tmp_path: Path) -> None:
    passing = ("--gate", "delta.cross_entropy < 0.06", "--gate", "model[lr].skill > 80%", "--gate", "delta.brier > 0")
    done = ce(*TWO, *passing, cwd=tmp_path, expect=0)
    assert done.out.count("PASS") == 4
    assert "gb: delta.cross_entropy < 0.06" in done.out
    done = ce(*TWO, *passing, "--gate", "delta.cross_entropy.upper < 0.06", "--quiet", cwd=tmp_path, expect=1)
    assert done.err.startswith("ce-eval: gate failed: gb: delta.cross_entropy.upper < 0.06: observed 0.09")
    done = ce(*TWO, "--gate", "delta.cross_entrop < 1", cwd=tmp_path, expect=2)
    assert "did you mean delta.cross_entropy or" in done.err
    one = (CANCER / "predictions.csv", "-l", CANCER / "labels.csv")
    done = ce(*one, "--gate", "delta.cross_entropy < 1", cwd=tmp_path, expect=1)
    assert "there is nothing to compare with" in done.out
    assert ce(*one, "--gate", "model[a].skill > 0", cwd=tmp_path, expect=1).out.count("FAIL") == 2


def test_where_no_difference_is_detected(tmp_path: Path) -> None:
    done = ce(SAMPLES / "wine" / "logistic.csv", SAMPLES / "wine" / "naive_bayes.csv", cwd=tmp_path, expect=0)
    assert "\n  ~  naive_bayes" in done.out
    assert "no difference from logistic is detected; 178 rows would show one of 0.116" in " ".join(done.out.split())


def test_a_baseline_of_predictions_or_of_figures(tmp_path: Path) -> None:
    new = (CANCER / "gradient_boosting.csv", "-l", CANCER / "labels.csv")
    gates = ("--gate", "delta.cross_entropy < 0.06")
    done = ce(*new, "--baseline", CANCER / "predictions.csv", *gates, "--json", cwd=tmp_path, expect=0)
    assert done.json["models"][0]["name"] == "predictions"
    paired = done.json["gates"][0]["observed"]
    old = ce(CANCER / "predictions.csv", "-l", CANCER / "labels.csv", "--json", cwd=tmp_path, expect=0).out
    (tmp_path / "old.json").write_text(old)
    done = ce(*new, "--baseline", "old.json", *gates, "--json", cwd=tmp_path, expect=0)
    assert done.json["gates"][0]["observed"] == pytest.approx(paired, rel=1e-12)
    assert done.json["deltas"]["cross_entropy"].keys() == {"value"}
    text = ce(*new, "--baseline", "old.json", "--gate", "delta.cross_entropy.upper < 1", cwd=tmp_path, expect=1).out
    assert "the differences from old.json are of values alone" in " ".join(text.split())
    printed = text.partition("differences from the baseline")[2].splitlines()
    rows = {words[0]: words[1:] for words in map(str.split, printed) if words}
    before = json.loads(old)
    for name in ("cross_entropy", "accuracy", "skill"):
        here, difference = map(float, rows[name])
        assert difference == pytest.approx(here - value(before, name), abs=2e-5)
    assert ce(*TWO, "--baseline", "old.json", cwd=tmp_path, expect=2).codes == ["bad_option"]
    assert ce(*new, "--baseline", "none.json", cwd=tmp_path, expect=2).codes == ["no_such_file"]


def test_columns_and_rows_of_one_file(tmp_path: Path) -> None:
    wide = lines("id,y,a,b", (1, 1, 0.9, 0.5), (2, 0, 0.2, 0.5), (3, 1, 0.7, 0.5))
    long = lines("id,y,model,prob", *[(i, y, m, p) for m in "ab" for i, y, p in ROWS[m]])
    write(tmp_path, wide=wide, long=long)
    one = ce("wide.csv", "--models", "a,b", "--json", cwd=tmp_path, expect=0).json
    two = ce("long.csv", "--model-col", "model", "--json", cwd=tmp_path, expect=0).json
    assert one["ranking"] == two["ranking"]
    for row in [row for done in (one, two) for row in done["comparison"][0]["worse_rows"]]:
        row.pop("id", None)  # the rows of one file are not paired, and so have none
    assert one["comparison"] == two["comparison"]
    assert ce("wide.csv", "--models", "a,c", cwd=tmp_path, expect=2).codes == ["unknown_column"]
    assert ce("long.csv", "--model-col", "models", cwd=tmp_path, expect=2).codes == ["unknown_column"]
    assert ce("wide.csv", "wide.csv", "--models", "a,b", cwd=tmp_path, expect=2).codes == ["bad_option"]


ROWS = {"a": [(1, 1, 0.9), (2, 0, 0.2), (3, 1, 0.7)], "b": [(1, 1, 0.5), (2, 0, 0.5), (3, 1, 0.5)]}


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_faults_of_all_files_are_told_together(order: slice, tmp_path: Path) -> None:
    write(
        tmp_path,
        y=lines("id,label", (1, 1), (2, 0)),
        a=lines("id,prob", *[(1, 1.5), (2, 0.5)]),
        b=lines("id,prob", *[(1, 0.5), (2, "x")][order]),
    )
    done = ce("a.csv", "b.csv", "-l", "y.csv", "--json", cwd=tmp_path, expect=2)
    assert done.codes == ["not_a_number", "probability_out_of_range"]
    assert [error["file"] for error in done.json["errors"]] == ["b.csv", "a.csv"]


def test_what_is_for_one_model_is_refused(tmp_path: Path) -> None:
    for options in (("--per-sample", "x.csv"), ("--gradients", "x.csv"), ("--errors", "x.csv"), ("--per-sample", "-")):
        done = ce(*TWO, *options, cwd=tmp_path, expect=2)
        assert done.codes == ["bad_option"]
        assert f"{options[0]} is for one model" in done.err
    assert not (tmp_path / "x.csv").exists()
    one = (CANCER / "predictions.csv", "-l", CANCER / "labels.csv")
    assert ce(*one, "--reference", "lr", cwd=tmp_path, expect=2).codes == ["bad_option"]
    assert ce("-", "-", "-l", CANCER / "labels.csv", cwd=tmp_path, expect=2).codes == ["bad_option"]


def test_parts_that_were_meant_to_be_one_data_set_are_noticed(tmp_path: Path) -> None:
    write(
        tmp_path,
        y=lines("id,label", (1, 1), (2, 0)),
        a=lines("id,prob", (1, 0.5)),
        b=lines("id,prob", (2, 0.5)),
    )
    done = ce("a.csv", "b.csv", "-l", "y.csv", cwd=tmp_path, expect=2)
    assert set(done.codes) == {"missing_id"}
    assert "quote the pattern" in done.err


def test_a_name_for_a_single_file(tmp_path: Path) -> None:
    alone = ce(f"a={CANCER / 'predictions.csv'}", "-l", CANCER / "labels.csv", "-q", cwd=tmp_path, expect=0).out
    assert float(alone) == pytest.approx(0.07773426, abs=1e-7)


def test_standard_input_can_be_one_of_them(tmp_path: Path) -> None:
    raw = (CANCER / "gradient_boosting.csv").read_bytes()
    options = ("-l", CANCER / "labels.csv", "--json")
    piped = ce(f"lr={CANCER / 'predictions.csv'}", "gb=-", *options, cwd=tmp_path, stdin=raw, expect=0).json
    assert piped["comparison"] == ce(*TWO, "--json", cwd=tmp_path).json["comparison"]


def test_names_that_would_harm_a_terminal_are_shown_safely(tmp_path: Path) -> None:
    done = ce(f"\x1b[31mevil={CANCER / 'predictions.csv'}", *TWO[1:], cwd=tmp_path, expect=0)
    assert "\x1b" not in done.out
    assert "\\x1b[31mevil" in done.out


@pytest.mark.skipif(not FLARES.is_file(), reason="the shared data are not beside this tree")
def test_the_published_ranking_of_forecasters(tmp_path: Path) -> None:
    document = ce(FLARES, "--models", "[A-Z]*", "--reference", "CLIM120", "--json", cwd=tmp_path, expect=0).json
    assert len(document["models"]) == 9
    ranking = document["ranking"]
    assert [rank["model"] for rank in ranking] == [*PUBLISHED, "MCEVOL", "ASSA", "NICT"]
    found = {rank["model"]: rank["cross_entropy"]["value"] for rank in ranking[:6]}
    assert found == {name: pytest.approx(loss, rel=1e-13) for name, loss in PUBLISHED.items()}
    assert [rank["infinite"] for rank in ranking[6:]] == [3, 7, 108]
    tested = [row["model"] for row in document["comparison"] if "p" in row]
    assert set(tested) == {*PUBLISHED} - {"CLIM120"}
