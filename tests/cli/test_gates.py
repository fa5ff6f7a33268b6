"""Gates through the command: the verdict is the exit code, and a gate never passes for want of a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import ce, write

if TYPE_CHECKING:
    from pathlib import Path

P = "id,prob_cat,prob_dog,prob_eel\n1,.7,.2,.1\n2,.2,.5,.3\n3,.6,.3,.1\n4,.25,.5,.25\n"
L = "id,label\n1,cat\n2,dog\n3,dog\n4,dog\n"

GATES = {
    # expression: (passed, observed is there, part of the reason)
    "cross_entropy < 0.9": (True, True, None),
    "cross_entropy < 0.1": (False, True, None),
    "cross_entropy.upper < inf": (True, True, None),
    "skill > -500%": (True, True, None),
    "accuracy >= 75%": (True, True, None),
    "counts.infinite == 0": (True, True, None),
    "counts.rows != 4": (False, True, None),
    "class[cat].cross_entropy < 0.5": (True, True, None),
    "class[dog].recall > 90%": (False, True, None),
    "class[eel].n == 0": (False, True, "no rows"),
    "class[eel].cross_entropy < 5": (False, False, "no rows"),
    "class[fox].cross_entropy < 5": (False, False, "fox"),
    "kl_divergence < 1": (False, False, "kl_divergence"),
    "quantiles.0.5 < 5": (True, True, None),
    "max_row_sum_error <= 1e-12": (True, True, None),
}


def test_every_gate_is_judged(tmp_path: Path) -> None:
    write(tmp_path, p=P, l=L)
    options = [part for gate in GATES for part in ("--gate", gate)]
    report = ce("p.csv", "-l", "l.csv", "--json", *options, cwd=tmp_path, expect=1).json
    assert report["passed"] is False
    assert [gate["expression"] for gate in report["gates"]] == list(GATES)
    for gate, (passed, there, reason) in zip(report["gates"], GATES.values(), strict=True):
        assert gate["passed"] is passed, gate
        assert (gate["observed"] is not None) is there, gate
        assert (gate["reason"] is None) is (reason is None), gate
        assert reason is None or reason in gate["reason"]


PASSING, FAILING = "cross_entropy < 0.9", "kl_divergence < 9"


@pytest.mark.parametrize(
    ("gate", "code", "form"),
    [
        (PASSING, 0, ()),
        (FAILING, 1, ()),
        (PASSING, 0, ("--json",)),
        (FAILING, 1, ("-q",)),
        (FAILING, 1, ("--per-sample", "-")),
    ],
)
def test_the_exit_code_is_the_verdict_in_every_form(
    gate: str, code: int, form: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path, p=P, l=L)
    done = ce("p.csv", "-l", "l.csv", *form, "--gate", gate, cwd=tmp_path, expect=code)
    if form == ("--json",):
        assert done.json["passed"] is (code == 0)
    elif not form:
        assert gate in done.out
        assert ("PASS" in done.out, "FAIL" in done.out) == (code == 0, code == 1)
    elif form == ("-q",):
        assert len(done.out.splitlines()) == 1


def test_an_infinite_loss_fails_an_upper_bound(tmp_path: Path) -> None:
    write(tmp_path, p="prob,label\n0,1\n.5,0\n")
    options = (
        "--gate",
        "cross_entropy < 1e300",
        "--gate",
        "cross_entropy.upper < 1e300",
        "--gate",
        "cross_entropy > 1",
    )
    report = ce("p.csv", "--json", *options, cwd=tmp_path, expect=1).json
    assert [gate["passed"] for gate in report["gates"]] == [False, False, True]
    assert report["gates"][0]["observed"] == "inf"
    assert report["gates"][1]["observed"] is None


def test_bad_gates_stop_before_anything_is_read(tmp_path: Path) -> None:
    bad = [
        "",
        "cross_entropy",
        "accuracy <",
        "skill ~ 1",
        "loss < 1",
        "brier < nan",
        "1 < cross_entropy < 2",
        "ece.median < 1",
    ]
    options = [part for gate in ("cross_entropy < 1", *bad) for part in ("--gate", gate)]
    errors = ce("absent.csv", "--json", *options, cwd=tmp_path, expect=2).json["errors"]
    assert [error["code"] for error in errors] == ["bad_gate"] * len(bad)
    assert all(repr(gate) in error["message"] for gate, error in zip(bad, errors, strict=True))


def test_a_gate_for_a_class_of_any_name(tmp_path: Path) -> None:
    write(tmp_path, p='"prob_a]b","prob_x<y",label\n.7,.3,a]b\n.4,.6,x<y\n')
    options = ("--gate", "class[a]b].cross_entropy < 1", "--gate", "class[x<y].n == 1")
    assert ce("p.csv", "--json", *options, cwd=tmp_path, expect=0).json["passed"] is True
