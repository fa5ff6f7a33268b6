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
    assert "PASS  gb     delta.cross_entropy < 0.06" in done.out
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


def six(folder: Path) -> tuple[str, ...]:
    """Write six models, of which the last is the best and the first the worst, and return how they are named."""
    labels = [(i, i % 2, "xyz"[i % 3], i // 2) for i in range(60)]
    scores = {m: [(i, round((0.55 + 0.06 * m + 0.02 * (i % 5)), 4)) for i in range(60)] for m in range(6)}
    write(
        folder,
        y=lines("id,label,site,patient", *labels),
        **{f"m{m}": lines("id,prob", *[(i, p if i % 2 else round(1 - p, 4)) for i, p in scores[m]]) for m in scores},
    )
    return *(f"m{m}.csv" for m in range(6)), "-l", "y.csv"


def part(page: str, title: str) -> list[str]:
    """Return the lines of a section of a page."""
    return next(one for one in page.split("\n\n") if one.startswith(title)).splitlines()


def test_the_best_candidates_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    page = ce(*six(tmp_path), "--by", "site", "--min-slice", "1", "--calibration", cwd=tmp_path, expect=0).out
    classes = " ".join(part(page, "where they come from"))
    assert "m5" in classes
    assert "m1" not in classes
    slices = part(page, "by slice")
    assert [line.split()[0] for line in slices[2:-1]] == ["m5"] * 3 + ["m4"] * 3 + ["m3"] * 3 + ["m2"] * 3
    assert [line[:10] for line in page.splitlines() if line.startswith("rows of")] == [
        f"rows of m{m}" for m in (5, 4, 3, 2)
    ]
    assert page.count("… and 1 more (--json has all)") == 3


def test_long_names_of_models_stay_whole_beside_gates(tmp_path: Path) -> None:
    files = six(tmp_path)
    names = [f"a_rather_long_name_of_model_{m}_that_ends_like_all_the_others" for m in range(3)]
    given = [f"{name}={file}" for name, file in zip(names, files, strict=False)]
    page = ce(*given, *files[-2:], "--gate", "cross_entropy.upper < 1", cwd=tmp_path, expect=0).out
    gates = page.partition("gates\n")[2]
    assert [name in gates for name in names] == [False, True, True]  # the reference has no gate
    narrow = ce(*given, *files[-2:], cwd=tmp_path, env={"COLUMNS": "40"}, expect=0).out
    assert part(narrow, "other differences")[-3].split() == ["model", "accuracy", "brier"]
    assert max(map(len, page.splitlines())) <= 80
    page = ce("m0.csv", "m1.csv", *files[-2:], "--gate", "cross_entropy.upper < 1", cwd=tmp_path, expect=0).out
    assert "PASS  m1     cross_entropy.upper < 1" in page


def test_gates_on_the_difference_of_a_slice(tmp_path: Path) -> None:
    cut = (*six(tmp_path)[:2], "-l", "y.csv", "--by", "site", "--min-slice", "1")
    gates = {
        "delta.slice[site=x].cross_entropy < 0": None,
        "delta.slice[site=x].cross_entropy.upper < 0": None,
        "delta.slice[site=q].cross_entropy < 0": "there is no slice 'site=q'; the slices are",
        "delta.slice[site=x].bits_per_byte < 0": "slices are compared by cross_entropy",
        "model[m0].delta.slice[site=x].cross_entropy < 0": "m0 is the reference",
    }
    options = [word for gate in gates for word in ("--gate", gate)]
    document = ce(*cut, *options, "--json", cwd=tmp_path, expect=1).json
    (row,) = document["comparison"]
    (own,) = [one["difference"] for one in row["by_slice"] if one["by"] == {"site": "x"}]
    assert [gate["observed"] for gate in document["gates"]] == [own["value"], own["upper"], None, None, None]
    for gate, reason in zip(document["gates"], gates.values(), strict=True):
        assert gate["passed"] is (reason is None)
        assert reason is None or reason in gate["reason"]
    done = ce("m0.csv", "-l", "y.csv", "--gate", "delta.slice[site=x].cross_entropy < 0", cwd=tmp_path, expect=1)
    assert "name two PREDICTIONS" in " ".join(done.out.split())
    for gate in ("delta.slice[a=b].brier < 0", "delta.slice[a=b] < 0", "delta.class[a=b].n < 0", "slices[a=b].n < 0"):
        done = ce("none.csv", "--gate", gate, cwd=tmp_path, expect=2)
        assert done.codes == ["bad_gate"]
        assert "one comparison" not in done.err


def test_clusters_are_told_and_slices_have_their_intervals(tmp_path: Path) -> None:
    files = six(tmp_path)
    page = ce(*files[:2], "-l", "y.csv", "--by", "site", "--cluster", "patient", "--min-slice", "1", cwd=tmp_path).out
    assert "clusters  30 by column patient: each is one observation" in page
    assert all(line.split()[4] == "to" for line in part(page, "by slice")[2:])


def test_calibration_says_of_which_rows_it_is_and_what_has_no_room(tmp_path: Path) -> None:
    files = (*six(tmp_path)[:2], "-l", "y.csv", "--calibration")
    assert "own rows" not in ce(*files, cwd=tmp_path, expect=0).out
    wide = part(ce(*files, cwd=tmp_path, env={"COLUMNS": "160"}).out, "calibration")
    assert "95 % interval" in wide[1]
    less = (tmp_path / "m1.csv").read_text().splitlines()[:-3]
    write(tmp_path, m1="\n".join(less) + "\n")
    narrow = part(ce(*files, "--missing", "drop", cwd=tmp_path, env={"COLUMNS": "60"}).out, "calibration")
    assert "of each model's own rows, not of the common ones" in " ".join(" ".join(narrow).split())
    text = "\n".join(narrow)
    assert "temperature" in text.partition("  model")[2]
    assert " gain" in text
    assert "no room for: 95 % interval" in text


def test_mistakes_of_single_models_are_told(tmp_path: Path) -> None:
    page = ce(*TWO[:2], *TWO[2:], "--positive", "benign", cwd=tmp_path, expect=0).out
    found = " ".join(" ".join(part(page, "diagnosis")).split())
    for name in ("lr", "gb"):
        assert f"{name}: the score is of the class malignant, not of benign: pass --positive malignant (skill " in found


def test_other_differences_stand_beside_that_of_the_loss(tmp_path: Path) -> None:
    deltas = ce(*TWO, "--json", cwd=tmp_path).json["models"][1]["deltas"]
    heading, row = part(ce(*TWO, cwd=tmp_path).out, "other differences")[1:]
    assert heading.split() == ["model", "accuracy", "brier"]
    shown = [float(cell) for cell in row.split()[1:]]
    assert shown == pytest.approx([deltas["accuracy"]["value"], deltas["brier"]["value"]], abs=1e-5)


def test_pages_of_tokens_and_of_several_labels(tmp_path: Path) -> None:
    write(
        tmp_path,
        one="seq_id,logprob,bytes\na,-1,3\na,-2,5\nb,-1,4\nc,-3,2\n",
        two="seq_id,logprob,bytes\na,-1,3\na,-1,5\nb,-1,4\nc,-2,2\n",
        cut="seq_id,logprob,bytes\na,-2,8\nb,-1,4\nc,-2,2\n",
        p="id,prob_x,prob_y\n1,0.5,0.2\n2,0.3,0.9\n",
        q="id,prob_x,prob_y\n1,0.6,0.3\n2,0.2,0.8\n",
        y="id,label_x,label_y\n1,1,0\n2,1,1\n",
    )
    page = ce("one.csv", "two.csv", cwd=tmp_path, expect=0).out
    assert float(part(page, "ranking")[2].split()[-1]) == pytest.approx(math.exp(5 / 4), abs=1e-5)
    by_byte = ("one.csv", "cut.csv", "--bytes-col", "bytes")
    assert "gates have this in bits: delta.bits_per_byte, 1.4427 times" in ce(*by_byte, cwd=tmp_path).out
    assert "gates have this in bits" not in ce(*by_byte, "--base", "2", cwd=tmp_path).out
    done = ce(*by_byte, "--gate", "delta.sequence_sum_mean.upper < 9", cwd=tmp_path, expect=1)
    assert "only delta.bits_per_byte has one" in " ".join(done.out.split())
    gate = "delta.slice[seq_id=a].bits_per_byte < 0"
    done = ce(*by_byte, "--by", "seq_id", "--gate", gate, "--json", cwd=tmp_path, expect=0)
    assert done.json["gates"][0]["observed"] == pytest.approx(-1 / 8 / math.log(2), rel=1e-12)
    assert "cut the rows with --by" in " ".join(ce(*by_byte, "--gate", gate, cwd=tmp_path, expect=1).out.split())
    done = ce("one.csv", "two.csv", "--show", "bytes", cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]
    page = ce("p.csv", "q.csv", "-l", "y.csv", "--task", "multilabel", cwd=tmp_path, expect=0).out
    assert "multilabel, 2 labels: x, y" in page
