"""Options from files and from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import ce, write

if TYPE_CHECKING:
    from pathlib import Path

P, L = "id,prob\n1,0.9\n2,0.2\n3,0.6\n", "id,label\n1,1\n2,0\n3,1\n"
NATS, BITS, BANS = 0.2797765635793423, 0.4036322608328729, 0.12150541772836264


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, p=P, l=L)
    return tmp_path


def number(text: str) -> float:
    return float(text)


def test_own_file(folder: Path) -> None:
    (folder / "ce-eval.toml").write_text(
        'labels = "l.csv"\nquiet = true\nbase = "2"\npred-cols = ["prob"]\nid-col = ["id"]\ntop = 3\n'
    )
    assert number(ce("p.csv", cwd=folder, expect=0).out) == pytest.approx(BITS, rel=1e-15)


def test_project_file(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.ce-eval]\nlabels = "l.csv"\nquiet = true\n')
    assert number(ce("p.csv", cwd=folder, expect=0).out) == pytest.approx(NATS, rel=1e-15)


def test_own_file_before_project_file(folder: Path) -> None:
    (folder / "ce-eval.toml").write_text('labels = "l.csv"\nquiet = true\n')
    (folder / "pyproject.toml").write_text('[tool.ce-eval]\nbase = "2"\n')
    assert number(ce("p.csv", cwd=folder, expect=0).out) == pytest.approx(NATS, rel=1e-15)


def test_named_file_replaces_the_others(folder: Path) -> None:
    (folder / "ce-eval.toml").write_text("bogus = 1\n")
    (folder / "mine.toml").write_text('labels = "l.csv"\nquiet = true\nbase = "10"\n')
    assert number(ce("p.csv", "--config", "mine.toml", cwd=folder, expect=0).out) == pytest.approx(BANS, rel=1e-15)


def test_command_line_over_environment_over_file(folder: Path) -> None:
    (folder / "ce-eval.toml").write_text('labels = "absent.csv"\nquiet = true\nbase = "10"\n')
    env = {"CE_EVAL_LABELS": "l.csv"}
    assert number(ce("p.csv", cwd=folder, env=env, expect=0).out) == pytest.approx(BANS, rel=1e-15)
    env["CE_EVAL_BASE"] = "2"
    assert number(ce("p.csv", cwd=folder, env=env, expect=0).out) == pytest.approx(BITS, rel=1e-15)
    assert number(ce("p.csv", "--base", "e", cwd=folder, env=env, expect=0).out) == pytest.approx(NATS, rel=1e-15)


def test_several_gates_from_the_environment_and_a_file(folder: Path) -> None:
    gates = ["cross_entropy < 1", "class[1].cross_entropy < 2", "counts.infinite == 0"]
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=folder, env={"CE_EVAL_GATE": "\n".join(gates)}, expect=0)
    assert [gate["expression"] for gate in done.json["gates"]] == gates
    (folder / "ce-eval.toml").write_text('gate = ["cross_entropy < 0.1", "cross_entropy < 1"]\n')
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=folder, expect=1)
    assert [gate["passed"] for gate in done.json["gates"]] == [False, True]


def test_one_gate_and_one_id_column_need_no_list(folder: Path) -> None:
    (folder / "ce-eval.toml").write_text('gate = "cross_entropy < 0.1"\nid-col = "id"\n')
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=folder, expect=1)
    assert [gate["passed"] for gate in done.json["gates"]] == [False]


@pytest.mark.parametrize("how", ["file", "environment"])
def test_files_without_header(how: str, tmp_path: Path) -> None:
    write(tmp_path, p="0.9\n0.2\n0.6\n", l="1\n0\n1\n")
    env = {}
    if how == "environment":
        env["CE_EVAL_NO_HEADER"] = "1"
    else:
        (tmp_path / "ce-eval.toml").write_text("no-header = true\n")
    done = ce("p.csv", "-l", "l.csv", "-q", cwd=tmp_path, env=env, expect=0)
    assert number(done.out) == pytest.approx(NATS, rel=1e-15)


BROKEN = {
    "unknown key": ("labels = 'l.csv'\nlabel-columns = 'x'\n", "bad_option", "label-columns"),
    "no such key as header": ("header = false\n", "bad_option", "header"),
    "not TOML": ("labels =\n", "unreadable_file", "TOML"),
    "not a number": ("confidence = 'high'\n", "bad_option", "high"),
    "a table for a number": ("top = { a = 1 }\n", "bad_option", "top"),
    "a list for a file": ("labels = ['l.csv']\n", "bad_option", "labels"),
    "not UTF-8": (b"labels = '\xff'\n", "unreadable_file", "TOML"),
    "no such choice": ("row-sum = 'lenient'\n", "bad_option", "lenient"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str, folder: Path) -> None:
    text, code, says = BROKEN[name]
    (folder / "ce-eval.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    done = ce("p.csv", "-l", "l.csv", "-q", cwd=folder, expect=2)
    assert done.codes == [code]
    assert says in done.err


def test_foreign_project_files_do_no_harm(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool\nbroken")
    ce("p.csv", "-l", "l.csv", "-q", cwd=folder, expect=0)
    (folder / "pyproject.toml").write_text("tool = 3 # not tool.ce-eval\n")
    done = ce("p.csv", "-l", "l.csv", "-q", cwd=folder)
    assert done.code in (0, 2)


def test_absent_named_file(folder: Path) -> None:
    assert ce("p.csv", "--config", "absent.toml", cwd=folder, expect=2).codes == ["no_such_file"]


@pytest.mark.parametrize(("text", "replicates"), [("true", 1000), ("false", None), ("200", 200)])
def test_the_usual_number_of_replicates(text: str, replicates: int | None, folder: Path) -> None:
    (folder / "ce-eval.toml").write_text(f'labels = "l.csv"\nbootstrap = {text}\n')
    found = ce("p.csv", "--json", cwd=folder, expect=0).json.get("bootstrap")
    assert (found and found["replicates"]) == replicates


@pytest.mark.parametrize("name", ["confidence", "labels", "top", "pred-cols"])
def test_an_option_that_takes_a_value_is_not_just_true(name: str, folder: Path) -> None:
    (folder / "ce-eval.toml").write_text(f"{name} = true\n")
    done = ce("p.csv", cwd=folder, expect=2)
    assert done.codes == ["bad_option"]
    assert f"'{name}' takes a value, but got true" in done.err
