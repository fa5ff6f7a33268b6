"""Imports point downwards only: a module may import what is below its layer, and its own package."""

from __future__ import annotations

import ast
import sys
from enum import Enum
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent / "ce_cli"

# From the bottom up. An entry is a module or a package of `ce_cli`; each stands in one layer.
LAYERS: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "names, codes, types and plain data, processes and signals, which import nothing of ours",
        frozenset({"_version", "arrays", "errors", "forks", "metrics", "process", "report"}),
    ),
    ("what slices are asked for, which is a language of its own", frozenset({"slicing"})),
    (
        "what was asked for and decided, what columns are, and who does the work",
        frozenset({"plan", "columns", "workers"}),
    ),
    ("what flows between the layers", frozenset({"block"})),
    (
        "decisions on names and on reports; files without their contents",
        frozenset({"baseline", "comparison", "edges", "gates", "config", "outputs", "deciding", "keywords"}),
    ),
    ("formulas, which know arrays only", frozenset({"kernels"})),
    ("statistics, which use the error-free sums and products of the kernels", frozenset({"state"})),
    ("faults of rows, which are counted with states", frozenset({"checks"})),
    ("formats and alignment, which count rows without a partner with states", frozenset({"readers"})),
    ("labels to class numbers, from the columns that readers give", frozenset({"labels"})),
    ("tasks, which check what readers give and call kernels", frozenset({"tasks"})),
    ("what is asked of the scored rows beside the figures of the task", frozenset({"judging"})),
    ("the plan, which names the tasks and looks at the first rows", frozenset({"setup"})),
    ("what is done with a few rows", frozenset({"folding"})),
    ("the pass over the data", frozenset({"engine"})),
    ("states to a report, and what shows reports and scored rows", frozenset({"summary", "render"})),
    ("several models, each of which is a plan, a pass and a report", frozenset({"comparing"})),
    ("the library, which also writes the files of single rows", frozenset({"api"})),
    ("the command", frozenset({"cli"})),
    ("the faces of the package", frozenset({"__init__", "__main__"})),
)
RANK = {name: rank for rank, (_, names) in enumerate(LAYERS) for name in names}

HEAVY = {"numpy", "pandas", "pyarrow", "rich"}


class When(Enum):
    LOADING = "when the module is loaded"
    CALLED = "inside a function"
    TYPING = "for type checkers only"


class Import(NamedTuple):
    module: str  # the importer, dotted, without the package's name
    target: str  # the same for one of ours, else the top-level name
    ours: bool
    when: When
    line: int


def names_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {names_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def top(module: str) -> str:
    return module.split(".")[0]


class Collector(ast.NodeVisitor):
    def __init__(self, module: str) -> None:
        self.module = module
        self.when = When.LOADING
        self.found: list[Import] = []

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self._within(When.TYPING, node.body)
            self._within(self.when, node.orelse)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(When.CALLED if self.when is When.LOADING else self.when, node.body)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, f"{self.module}:{node.lineno}: relative imports hide their layer"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            self._add(inner if inner.removeprefix("ce_cli.") in MODULES else str(node.module), node.lineno)

    def _within(self, when: When, body: list[ast.stmt]) -> None:
        before, self.when = self.when, when
        for statement in body:
            self.visit(statement)
        self.when = before

    def _add(self, name: str, line: int) -> None:
        ours = top(name) == "ce_cli"
        target = (name.removeprefix("ce_cli").lstrip(".") or "__init__") if ours else top(name)
        self.found.append(Import(self.module, target, ours, self.when, line))


def collect() -> list[Import]:
    found: list[Import] = []
    for module, path in MODULES.items():
        collector = Collector(module)
        collector.visit(ast.parse(path.read_text(encoding="utf-8")))
        found += collector.found
    return found


IMPORTS = collect()


def told(imports: list[Import]) -> list[str]:
    return [f"{one.module}:{one.line} imports {one.target} ({one.when.value})" for one in imports]


def upwards(when: set[When]) -> list[str]:
    return told(
        [
            one
            for one in IMPORTS
            if one.ours
            and one.when in when
            and top(one.module) != top(one.target)
            and RANK[top(one.module)] <= RANK[top(one.target)]
        ]
    )


def third_party(module: str, when: set[When]) -> set[str]:
    return {one.target for one in IMPORTS if one.module == module and not one.ours and one.when in when}


def loaded_with(module: str) -> set[str]:
    """Return every module of ours that importing one loads, itself included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += [
                one.target for one in IMPORTS if one.module == current and one.ours and one.when is When.LOADING
            ]
    return seen


def heavy_with(module: str) -> set[str]:
    return {name for one in loaded_with(module) for name in third_party(one, {When.LOADING}) if name in HEAVY}


def test_every_module_has_a_layer() -> None:
    assert {top(module) for module in MODULES} == set(RANK)
    assert sum(len(names) for _, names in LAYERS) == len(RANK)


def test_imports_are_found_at_all() -> None:
    assert len(IMPORTS) > 100
    assert {one.when for one in IMPORTS} == set(When)
    assert any(one.target == "kernels.binary" for one in IMPORTS)
    assert loaded_with("tasks.binary") >= {"tasks.base", "kernels.double", "errors"}


def test_imports_at_run_time_point_downwards() -> None:
    assert upwards({When.LOADING, When.CALLED}) == []


def test_imports_for_types_point_downwards_too() -> None:
    assert upwards({When.TYPING}) == []


def test_no_module_is_part_of_a_cycle_at_run_time() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for one in IMPORTS:
        if one.ours and one.when is not When.TYPING and one.target != one.module:
            graph[one.module].add(one.target)
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("package", ["kernels", "state"])
def test_formulas_and_statistics_know_arrays_only(package: str) -> None:
    allowed = {"numpy", "ce_cli", *sys.stdlib_module_names}
    late = {("scipy", When.CALLED)}  # special functions, for what cannot do without them
    odd = [one for one in IMPORTS if top(one.module) == package and not one.ours and one.target not in allowed]
    odd = [one for one in odd if (one.target, one.when) not in late]
    assert told(odd) == []


def test_the_command_line_library_is_imported_in_one_place() -> None:
    assert {top(one.module) for one in IMPORTS if one.target == "click"} == {"cli"}


def test_the_terminal_library_is_imported_in_one_place() -> None:
    found = {one.module for one in IMPORTS if one.target == "rich" and one.when is not When.TYPING}
    assert found == {"render.page"}


def test_pandas_is_imported_only_where_it_is_used() -> None:
    assert told([one for one in IMPORTS if one.target == "pandas" and one.when is When.LOADING]) == []


@pytest.mark.parametrize(
    "module",
    ["errors", "report", "gates.grammar", "metrics", "plan", "columns", "deciding.layout", "config", "render.errors"],
)
def test_what_is_known_before_any_data_needs_no_numeric_library(module: str) -> None:
    assert heavy_with(module) == set()


@pytest.mark.parametrize("module", ["__init__", "__main__", "cli.main"])
def test_help_and_version_load_nothing_heavy(module: str) -> None:
    assert heavy_with(module) == set()
