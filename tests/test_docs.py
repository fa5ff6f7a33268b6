"""The documentation against the code: what it shows is what the command prints, and nothing is left out."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from ce_cli.cli.command import command
from ce_cli.errors import CODES
from ce_cli.gates.grammar import CLASS_FIELDS
from ce_cli.gates.verdict import OPERATORS
from ce_cli.kernels.divergence import Divergence
from ce_cli.metrics import METRICS, QUANTILES
from ce_cli.plan import BASES, ROW_SUMS
from ce_cli.report import COUNTS, TASK_COUNTS
from ce_cli.summary import _ROW_ISSUES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ce_cli"
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
LINKING = (*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "sample_data" / "README.md")

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"\s# exit (?P<code>\d+)$")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    language: str
    argument: str
    text: str


@dataclass(frozen=True)
class Example:
    """A command line as a page shows it; `output` is None where the page shows none."""

    line: str
    code: int
    output: str | None


def fences(page: Path) -> list[Fence]:
    found = []
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        language, _, argument = match["info"].partition(" ")
        found.append(Fence(language, argument, match["text"]))
    return found


def examples(page: Path) -> list[Example]:
    found: list[Example] = []
    for fence in fences(page):
        if fence.language == "bash":
            found += [_example(line, None) for line in fence.text.replace("\\\n", " ").splitlines() if line.strip()]
        elif fence.language == "console":
            for part in re.split(r"^\$ ", fence.text, flags=re.MULTILINE)[1:]:
                line, _, output = part.replace("\\\n", " ", part.count("\\\n")).partition("\n")
                found.append(_example(line, output))
    return found


def _example(line: str, output: str | None) -> Example:
    claimed = _EXIT.search(line)
    return Example(_EXIT.sub("", line), int(claimed["code"]) if claimed else 0, output)


def is_runnable(example: Example, files: set[str]) -> bool:
    """Tell whether a line calls the command on files that are here: the sample data, or what the page itself shows."""
    words = example.line.split()
    if words[0] != "ce-eval":
        return False
    inputs = [words[1], *(after for option, after in pairwise(words) if option in ("-l", "--labels"))]
    return all(name.startswith("sample_data/") or name in files for name in inputs)


def written_files(page: Path) -> dict[str, str]:
    return {fence.argument: fence.text for fence in fences(page) if fence.language == "csv" and fence.argument}


def run_line(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in a folder where the sample data are; output and errors come as a terminal shows them."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("CE_EVAL", "COLUMNS"))}
    settings["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), settings.get("PATH", "")))
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    return tmp_path


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


def table_names(text: str) -> set[str]:
    """Return what the first cells of the tables of a text hold between backquotes."""
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def section(text: str, title: str) -> str:
    """Return a section of a page, without the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert match is not None, f"there is no section {title!r}"
    following = re.search(rf"^#{{1,{len(match[1])}}} ", text[match.end() :], re.MULTILINE)
    return text[match.end() :][: following.start() if following else None]


def strings_in(*paths: Path) -> set[str]:
    return {
        node.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


# --- examples


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_does_what_its_page_says(page: Path, folder: Path) -> None:
    files = written_files(page)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    shown = [one for one in examples(page) if is_runnable(one, set(files)) or one.line.startswith("cat ")]
    for example in shown:
        if "jq" in shlex.split(example.line) and shutil.which("jq") is None:
            continue
        done = run_line(example.line, folder)
        assert (done.returncode, example.line) == (example.code, example.line), done.stdout
        if example.output is not None:
            assert done.stdout.rstrip("\n") == example.output.rstrip("\n"), example.line


def test_pages_have_the_examples_that_they_should() -> None:
    counted = {page.name: sum(is_runnable(one, set(written_files(page))) for one in examples(page)) for page in PAGES}
    assert counted["README.md"] >= 7
    assert counted["files.md"] >= 8
    assert counted["definitions.md"] >= 1
    assert counted["cli.md"] >= 3


def test_every_example_on_sample_data_is_run() -> None:
    for page in PAGES:
        lines = [one.line for one in examples(page) if one.line.startswith("ce-eval ") and "sample_data" in one.line]
        ours = [one.line for one in examples(page) if is_runnable(one, set())]
        assert set(lines) <= set(ours), page.name


def test_the_readme_opens_with_the_whole_table_in_eighty_columns() -> None:
    first = next(one for one in examples(README) if one.output)
    assert "sample_data/breast_cancer/predictions.csv" in first.line
    assert first.output is not None
    assert "cross_entropy" in first.output
    assert max(map(len, first.output.splitlines())) <= 80


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    commands = [one.line for one in examples(README) if "venv" in one.line or "pip" in one.line]
    start, data = "python -m venv .venv && .venv/bin/pip install ", "sample_data/breast_cancer/"
    assert commands == [
        f"{start}. && .venv/bin/ce-eval {data}predictions.csv --labels {data}labels.csv",
        f"{start}-e '.[test]' && .venv/bin/python -m pytest",
    ]


def python_blocks() -> list[str]:
    return [fence.text for fence in fences(README) if fence.language == "python"]


def test_the_python_recipe_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    recipe, in_memory, mistaken = [text for text in python_blocks() if "evaluate(" in text]
    names: dict[str, object] = {}
    exec(recipe, names)
    assert "True" in capsys.readouterr().out
    assert names["report"].task == "multiclass"  # type: ignore[attr-defined]
    exec(in_memory, names)
    loss = str(-np.log([0.7, 0.8, 0.6]).mean())[:14]
    assert [line[:14] for line in capsys.readouterr().out.splitlines()] == [loss, loss, "id"]
    exec(mistaken, {})
    assert capsys.readouterr().out == "probability_out_of_range prob (3,)\n"


class _Model:
    classes_ = np.array(["cat", "dog", "fox"])

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        return np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])[: len(features)]


def test_the_notebook_recipe_writes_files_that_pair_by_id(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (recipe,) = [text for text in python_blocks() if "predict_proba" in text]
    features = pd.DataFrame({"x": [1, 2, 3]}, index=[7, 5, 9])
    exec(recipe, {"model": _Model(), "X_test": features, "y_test": pd.Series(["cat", "dog", "fox"], index=[7, 5, 9])})
    (line,) = [one.line for one in examples(README) if one.line == "ce-eval predictions.csv --labels labels.csv"]
    done = run_line(line, folder)
    assert done.returncode == 0, done.stdout
    assert "alignment    by id: id\n" in done.stdout
    assert f"{-np.log([0.7, 0.8, 0.6]).mean():.4f}" in done.stdout


def test_configuration_examples_are_understood(folder: Path) -> None:
    blocks = [fence.text for page in PAGES for fence in fences(page) if fence.language == "toml"]
    assert blocks
    for text in blocks:
        labels = re.sub(r'labels = ".*"', 'labels = "sample_data/breast_cancer/labels.csv"', text)
        (folder / "ce-eval.toml").write_text(labels, encoding="utf-8")
        done = run_line("ce-eval sample_data/breast_cancer/predictions.csv", folder)
        assert done.returncode == 0, done.stdout
        assert done.stdout.count("PASS") > text.count("<")


# --- completeness


def test_the_reference_of_the_command_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/make_cli.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_reference_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "cli.md").open("a", encoding="utf-8") as page:
        page.write("stale\n")
    check = [sys.executable, "docs/make_cli.py"]
    assert subprocess.run([*check, "--check"], cwd=tmp_path, capture_output=True, timeout=60).returncode == 1
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, timeout=60).returncode == 0
    assert subprocess.run([*check, "--check"], cwd=tmp_path, capture_output=True, timeout=60).returncode == 0


def test_every_option_is_in_the_reference() -> None:
    page = text_of("docs/cli.md")
    for param in command.get_params(click.Context(command)):
        for name in (*param.opts, *param.secondary_opts):
            assert name in page or isinstance(param, click.Argument), name


def test_the_metrics_that_a_report_can_hold_are_defined_and_no_others() -> None:
    computed = set(METRICS) & strings_in(
        *(PACKAGE / "tasks").glob("*.py"), *(PACKAGE / "judging").glob("*.py"), PACKAGE / "kernels" / "divergence.py"
    )
    computed |= set(METRICS) & set(Divergence._fields)
    assert "cross_entropy" in computed
    metrics = section(text_of("docs/definitions.md"), "Metrics")
    assert table_names(metrics) & set(METRICS) == computed


def test_every_count_is_defined() -> None:
    assert table_names(section(text_of("docs/definitions.md"), "Counts")) == {*COUNTS, *TASK_COUNTS}


def test_every_column_of_a_class_is_defined() -> None:
    assert table_names(section(text_of("docs/definitions.md"), "Per class")) == set(CLASS_FIELDS)


def test_every_row_sum_and_base_is_defined() -> None:
    page = text_of("docs/definitions.md")
    assert set(ROW_SUMS) <= table_names(section(page, "Tolerances"))
    assert set(BASES) <= table_names(section(page, "Units"))


def test_every_error_that_can_occur_is_described_in_order() -> None:
    sources = [path for path in PACKAGE.rglob("*.py") if path.name != "errors.py" or path.parent != PACKAGE]
    strings = strings_in(*sources)
    raised = [code for code in CODES if code in strings]
    text = section(text_of("docs/cli.md"), "Errors")
    described = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert described == raised


def test_every_field_of_the_report_is_described() -> None:
    from ce_cli import evaluate

    asked = {"by": "label", "cluster": "id", "bootstrap": 100, "calibration": True}
    report = evaluate(ROOT / "sample_data" / "wine" / "logistic.csv", gates=["skill > 0"], **asked).to_dict()
    text = section(text_of("docs/cli.md"), "JSON report")
    fields = text.split("| issue |")[0]
    assert table_names(fields) == {*report, "diagnosis"}
    for name in ("inputs", "columns", "quantiles"):
        assert [key for key in report[name] if key not in fields] == [], name
    for name in ("per_class", "worst", "slices", "gates"):
        assert [key for key in report[name][0] if f"`{key}`" not in fields] == [], name


def test_every_issue_is_described() -> None:
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in (PACKAGE / "summary.py", *PACKAGE.glob("tasks/*.py"), *PACKAGE.glob("judging/*.py"))
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    first = [call.args[0] for call in calls if call.func.id == "Issue" and call.args]  # type: ignore[attr-defined]
    codes = {node.value for node in first if isinstance(node, ast.Constant)} | set(_ROW_ISSUES)
    assert {"infinite", "few_rows"} <= codes
    text = section(text_of("docs/cli.md"), "JSON report")
    assert table_names("\n".join(text.split("| issue |")[1:])) == codes


def test_the_grammar_of_gates_names_every_operator_and_quantile() -> None:
    text = section(text_of("docs/cli.md"), "Gates")
    for name in (*OPERATORS, *QUANTILES, *CLASS_FIELDS):
        assert f"`{name}`" in text, name


# --- links and prose


def anchors(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = [re.sub(r"[^\w\s-]", "", match["text"].lower()) for match in _HEADING.finditer(text)]
    found = [title.strip().replace(" ", "-") for title in plain]
    return {name for name in found if found.count(name) == 1}  # of two alike the second is called otherwise


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        target = match["target"]
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        path = page if not name else page.parent / name
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def test_files_that_contributors_are_told_of_exist() -> None:
    text = text_of("CONTRIBUTING.md")
    text = re.sub(r"`[\w/]*NAME[\w.]*`", "", text)
    for name in re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|md\.in|md))`", text):
        assert any((folder / name).exists() for folder in (ROOT, PACKAGE)), name


def test_the_licence_is_the_one_that_the_project_names() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
