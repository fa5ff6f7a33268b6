"""The shared conformance cases of what is implemented, through the command."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import COMMAND, ROOT, SHARED, ce, environment

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = SHARED / "conformance"
PREFIXES = ("bin_", "mc_", "cal_", "stat_", "reg_", "lm_", "mt_", "ml_", "grad_", "ent_")

pytestmark = pytest.mark.skipif(not (FOLDER / "run.py").is_file(), reason="the shared cases are not beside this tree")


def cases() -> list[dict[str, Any]]:
    path = FOLDER / "cases.json"
    if not path.is_file():
        return []
    return [case for case in json.loads(path.read_text()) if case["name"].startswith(PREFIXES)]


@cache
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance_run", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def known_options() -> frozenset[str]:
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ce("--help", cwd=ROOT, expect=0).out))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in environment().items():
        monkeypatch.setenv(name, setting)


def needed(case: dict[str, Any]) -> set[str]:
    options = {argument.partition("=")[0] for argument in case["args"] if argument.startswith("--")}
    return options | ({"--gradients"} if "gradients" in case else set())


def implemented(case: dict[str, Any]) -> bool:
    several = {name for name in (case["labels"] or {}) if name.startswith(("label_", "target_"))}
    return needed(case) <= known_options() and not several


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    if not implemented(case):
        pytest.skip("needs what is not implemented yet")
    assert runner().run(case, list(COMMAND), with_variants=case["name"] in WITH_VARIANTS) is None


# Each variant costs a run; these cover both tasks, weights and logits.
WITH_VARIANTS = {"bin_weighted", "mc_noninteger_mid"}
