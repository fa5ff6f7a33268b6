"""The one place that knows which aspects there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.columns import Kind, Role, unknown_column
from ce_cli.judging.base import Asked
from ce_cli.slicing import advice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ce_cli.columns import TableInfo
    from ce_cli.judging.base import Aspect
    from ce_cli.plan import Options


def _concentration() -> Aspect:
    from ce_cli.judging.concentration import ASPECT

    return ASPECT


def _clusters() -> Aspect:
    from ce_cli.judging.clusters import ASPECT

    return ASPECT


def _diagnosis() -> Aspect:
    from ce_cli.judging.diagnosis import ASPECT

    return ASPECT


def _slices() -> Aspect:
    from ce_cli.judging.slices import ASPECT

    return ASPECT


def _calibration() -> Aspect:
    from ce_cli.judging.calibration import CALIBRATION

    return CALIBRATION


def _bootstrap() -> Aspect:
    from ce_cli.judging.bootstrap import ASPECT

    return ASPECT


ASPECTS: dict[str, Asked] = {
    "concentration": Asked(lambda _: True, _concentration),
    "clusters": Asked(lambda options: options.cluster is not None, _clusters),
    "slices": Asked(lambda options: bool(options.by), _slices),
    "bootstrap": Asked(lambda options: options.bootstrap is not None, _bootstrap),
    "calibration": Asked(lambda options: options.calibration, _calibration),
    "diagnosis": Asked(lambda _: True, _diagnosis),
}


def wanted(options: Options) -> dict[str, Aspect]:
    """Return the aspects that the options ask for, in the order of the report."""
    return {name: asked.load() for name, asked in ASPECTS.items() if asked.wanted(options)}


def further_roles(predictions: TableInfo, labels: TableInfo | None, options: Options) -> Iterator[tuple[str, Role]]:
    """Yield the columns that aspects read beside those of the task, by role: `cluster`, `by:NAME`, `show:NAME`.

    A column is looked for in the predictions first. Raises unknown_column.
    """
    for role, (name, option, kind) in options.further_columns().items():
        found = predictions.find(name)
        if found is not None:
            yield role, Role(found, "predictions", Kind(kind))
            continue
        other = None if labels is None else labels.find(name)
        if other is None:
            there = [*predictions.columns, *(() if labels is None else labels.columns)]
            raise unknown_column(
                predictions, name, option, labels, hint=advice(name, there) if option == "--by" else None
            )
        yield role, Role(other, "labels", Kind(kind))
