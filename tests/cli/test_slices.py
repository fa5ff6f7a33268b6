"""Slices and clusters through the command: the table, the JSON, the gates, and any way of doing the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import ROOT, ce, write

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = ("sample_data/topics/logistic.csv", "-l", "sample_data/topics/labels.csv")
P = "id,prob,country\n1,.9,DE\n2,.2,FR\n3,.7,DE\n4,.4,\n5,.5,FR\n6,.1,FR\n"
L = "id,label,age\n6,0,30\n5,1,20\n4,0,20\n3,1,40\n2,0,30\n1,1,20\n"


def test_the_table_of_slices_fits_eighty_columns() -> None:
    out = ce(
        *TOPICS, "--by", "module", "--by", "module*label", "--cluster", "module", "--min-slice", "20", cwd=ROOT
    ).out
    assert "slices by module" in out
    assert "slices by module * label" in out
    assert "too small to be judged" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("options", [("--jobs", "1"), ("--jobs", "3", "--chunk-rows", "7"), ("--chunk-rows", "1000")])
def test_no_way_of_working_changes_the_report(options: tuple[str, ...]) -> None:
    asked = (*TOPICS, "--by", "module", "--by", "label", "--cluster", "module", "--json")
    assert ce(*asked, *options, cwd=ROOT).json == ce(*asked, cwd=ROOT).json


GATES = {
    "slice[country=DE].cross_entropy < 0.3": (True, None),
    "slice[country=(empty)].n == 1": (True, None),
    "slice[age=[30,35),country=FR].cross_entropy < 1": (True, None),
    "slice[country=FR].difference.p < 1": (True, None),
    "slice[country=DE].share_of_loss > 50%": (False, None),
    "slice[country=XX].cross_entropy < 9": (False, "there is no slice"),
    "slice[country=DE].perplexity < 9": (False, "has no perplexity; it has cross_entropy, accuracy"),
    "worst_slice.cross_entropy < 0.3": (False, None),
    "worst_slice.accuracy >= 0": (True, None),
    "worst_slice.cross_entropy.upper < inf": (False, "has no cross_entropy.upper"),
    "worst_slice.perplexity < 9": (False, "no slice has perplexity in this report; it has cross_entropy, "),
    "worst_slice.skill > -99": (False, "has no skill"),  # DE has label 1 only
}


def test_gates_on_slices(tmp_path: Path) -> None:
    write(tmp_path, p=P, l=L)
    by = ("--by", "country", "--by", "country*age:edges=30,35", "--min-slice", "1")
    gates = [part for gate in GATES for part in ("--gate", gate)]
    report = ce("p.csv", "-l", "l.csv", *by, *gates, "--json", cwd=tmp_path, expect=1).json
    for gate, (passed, reason) in zip(report["gates"], GATES.values(), strict=True):
        assert gate["passed"] is passed, gate
        assert (gate["reason"] is None) is (reason is None), gate
        assert reason is None or reason in gate["reason"], gate


def test_gates_on_slices_that_nobody_asked_for(tmp_path: Path) -> None:
    write(tmp_path, p=P, l=L)
    for gate in ("slice[country=DE].cross_entropy < 9", "worst_slice.cross_entropy < 9"):
        report = ce("p.csv", "-l", "l.csv", "--gate", gate, "--json", cwd=tmp_path, expect=1).json
        assert "--by" in report["gates"][0]["reason"]
    report = ce(
        "p.csv", "-l", "l.csv", "--by", "country", "--gate", "worst_slice.skill > -9", "--json", cwd=tmp_path, expect=1
    ).json
    assert "--min-slice" in report["gates"][0]["reason"]


@pytest.mark.parametrize(
    "gate",
    ["slice[country=DE] < 1", "slice[country=DE].nothing < 1", "worst_slice.n.upper < 1", "worst_slice.x < 1"]
    + [f"worst_slice.{name} > 0" for name in ("n", "weight", "difference.p", "difference.p_holm", "difference.df")],
)
def test_gates_on_slices_that_cannot_be_read(tmp_path: Path, gate: str) -> None:
    write(tmp_path, p=P, l=L)
    assert ce("p.csv", "-l", "l.csv", "--gate", gate, cwd=tmp_path, expect=2).codes == ["bad_gate"]


@pytest.mark.parametrize("gate", ["slice[a=b].brier < 1", "worst_slice.ece < 1", "slice[a=b].accuracy.lower > 0"])
def test_figures_that_no_slice_ever_has_are_refused_before_anything_is_read(tmp_path: Path, gate: str) -> None:
    done = ce("none.csv", "--gate", gate, cwd=tmp_path, expect=2)
    assert done.codes == ["bad_gate"]
    assert ("there are value, for" if "accuracy" in gate else "there are cross_entropy, ") in done.err


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, p=P, l=L)
    for option in ("--by", "--cluster"):
        assert ce("p.csv", "-l", "l.csv", option, "land", cwd=tmp_path, expect=2).codes == ["unknown_column"]


def test_an_empty_cluster_is_told_with_its_row(tmp_path: Path) -> None:
    write(tmp_path, p=P, l=L)
    (error,) = ce("p.csv", "-l", "l.csv", "--cluster", "country", "--json", cwd=tmp_path, expect=2).json["errors"]
    assert (error["code"], error["column"], error["rows"]) == ("missing_id", "country", [4])


def test_quantiles_of_a_pipe(tmp_path: Path) -> None:
    write(tmp_path, p="prob,label,age\n.9,1,3\n.2,0,1\n.6,1,2\n.3,0,4\n")
    piped = ce("-", "--by", "age:quantiles=2", "--json", cwd=tmp_path, stdin=(tmp_path / "p.csv").read_bytes()).json
    assert [one["n"] for one in piped["slices"]] == [2, 2]


SCORES = {
    "prob_cat": ("prob_cat,prob_dog,label\n.9,.1,cat\n.7,.3,dog\n.6,.4,cat\n.2,.8,dog\n", ["prob_cat", "prob_dog"]),
    "cat": ("cat,dog,label\n.9,.1,cat\n.7,.3,dog\n.6,.4,cat\n.2,.8,dog\n", ["cat", "dog"]),
    "score": ("score,label\n.9,1\n.7,0\n.6,1\n.2,0\n", ["score"]),
    "risk": ("risk,label\n.9,1\n.7,0\n.6,1\n.2,0\n", ["risk"]),
}


@pytest.mark.parametrize("column", SCORES)
def test_scores_can_cut_and_stay_scores(tmp_path: Path, column: str) -> None:
    rows, scores = SCORES[column]
    write(tmp_path, p=rows)
    report = ce("p.csv", "--by", f"{column}:edges=.65", "--json", cwd=tmp_path).json
    assert report["columns"]["scores"] == scores
    assert [one["n"] for one in report["slices"]] == [2, 2]
    plain = ce("p.csv", "--json", cwd=tmp_path).json["metrics"]["cross_entropy"]["value"]
    assert ce("p.csv", "--cluster", column, "--json", cwd=tmp_path).json["metrics"]["cross_entropy"]["value"] == plain


def test_what_cuts_and_has_not_the_name_of_a_score_is_none(tmp_path: Path) -> None:
    write(tmp_path, p="cat,dog,p_group,pred,label\n.9,.1,1,0,cat\n.7,.3,2,0,dog\n.6,.4,1,0,cat\n.2,.8,2,1,dog\n")
    report = ce("p.csv", "--by", "p_group", "--by", "pred", "--json", cwd=tmp_path).json
    assert report["columns"]["scores"] == ["cat", "dog"]


def test_hints(tmp_path: Path) -> None:
    write(tmp_path, p="id,prob,device\n1,.9,a\n2,.3,b\n", l="id,label,age\n1,1,20\n2,0,30\n")
    for name, hint in (("devise", "did you mean device?"), ("qqq", "prob, device, label, age")):
        for option in ("--by", "--show"):
            assert hint in ce("p.csv", "-l", "l.csv", option, name, cwd=tmp_path, expect=2).err
    assert "age:quantiles=4" in ce("p.csv", "-l", "l.csv", "--by", "age", cwd=tmp_path).out
    gated = ce("p.csv", "-l", "l.csv", "--gate", "temperature < 1", cwd=tmp_path, expect=1)
    assert "pass --calibration" in gated.err + gated.out


@pytest.mark.parametrize(
    ("base", "rows"), [("2", "-1,-1,b\n-2,-.4150374992788438,a\n"), ("10", "-1,-.045757490560675115,b\n")]
)
def test_log_probabilities_to_another_base_are_told(tmp_path: Path, base: str, rows: str) -> None:
    write(tmp_path, p="logprob_a,logprob_b,label\n" + rows)
    assert f"--input-base {base}" in ce("p.csv", cwd=tmp_path, expect=2).err
    ce("p.csv", "--input-base", base, cwd=tmp_path)
    write(tmp_path, p="logprob_a,logprob_b,label\n-1,-3,a\n")
    assert "--input logits" in ce("p.csv", cwd=tmp_path, expect=2).err


def test_infinite_losses_of_slices_leave_the_loss_of_the_others() -> None:
    files = ("digits/neighbours.csv", "--labels", "digits/labels.parquet", "--by", "id:quantiles=2")
    page = ce(*files, cwd=ROOT / "sample_data", env={"COLUMNS": "100"}, expect=0).out
    heading, *rows = page.partition("\nslices by id")[2].splitlines()[1:4]
    assert heading.split() == ["slice", "rows", "loss", "infinite", "finite", "loss", "skill", "accuracy"]
    assert [row.split()[2:4] + row.split()[5:6] for row in rows] == [["inf", "2", "-inf"]] * 2
