"""Cross-entropy of predicted probabilities, from files or from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ce_cli._version import __version__

if TYPE_CHECKING:
    from ce_cli.api import compare, evaluate
    from ce_cli.comparison import Comparison
    from ce_cli.errors import CeError, Problem
    from ce_cli.report import Metric, Report

__all__ = ["CeError", "Comparison", "Metric", "Problem", "Report", "__version__", "compare", "evaluate"]

_HOMES = {
    "compare": "ce_cli.api",
    "evaluate": "ce_cli.api",
    "CeError": "ce_cli.errors",
    "Problem": "ce_cli.errors",
    "Comparison": "ce_cli.comparison",
    "Metric": "ce_cli.report",
    "Report": "ce_cli.report",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
