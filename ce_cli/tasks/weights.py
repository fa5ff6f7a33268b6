"""What the classes weigh: as the user names it, as a file has it, or so that all of them count the same."""

from __future__ import annotations

import csv
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_cli.columns import listed
from ce_cli.errors import fail
from ce_cli.plan import BALANCED
from ce_cli.readers.arrays import numbers
from ce_cli.state.exact import ExactSums
from ce_cli.state.fractions import to_float
from ce_cli.tasks.first_pass import over_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from ce_cli.arrays import Floats
    from ce_cli.block import Pair
    from ce_cli.columns import Layout
    from ce_cli.labels import LabelCodec
    from ce_cli.tasks.planning import Request


def class_weights(
    request: Request, names: tuple[str, ...], counted: Callable[[], Sequence[float]] | None = None
) -> tuple[float, ...] | None:
    """Return the weights of the classes in their order, None for 1 each; a class that is not named weighs 1.

    counted: returns how many rows have each class, None where classes cannot be balanced. Raises CeError bad_option for what
    names no class or is no weight.
    """
    given = request.options.class_weights
    if given is None:
        return None
    if given == BALANCED:
        if counted is None:
            raise fail("bad_option", "--class-weights balanced is for tasks in which each row has one class")
        return _balanced(counted())
    if isinstance(given, str):
        weights = _from_file(Path(given)) if Path(given).is_file() else _from_text(given)
    else:
        weights = {str(name): float(weight) for name, weight in given.items()}
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise fail(
            "bad_option", f"--class-weights names {unknown[0]!r}, which is not one of the classes {listed(names)}"
        )
    chosen = tuple(weights.get(name, 1.0) for name in names)
    if not all(math.isfinite(weight) and weight >= 0 for weight in chosen) or not any(chosen):
        raise fail("bad_option", f"--class-weights takes finite numbers from 0 on, not all 0, but got {given!r}")
    return chosen


def _from_text(text: str) -> dict[str, float]:
    weights = {}
    for part in next(csv.reader([text]), []):
        name, equals, number = part.rpartition("=")
        weight = _number(number)
        if not equals or weight is None:
            raise fail(
                "bad_option",
                f"--class-weights takes NAME=WEIGHT,…, a file or {BALANCED}, but got {part!r}",
                hint="each class with its weight, such as cat=2,dog=0.5" if equals else f"there is no file {part!r}",
            )
        weights[name] = weight
    return weights


def _from_file(path: Path) -> dict[str, float]:
    """Read lines of a class and its weight, separated by a comma or a tab; the first line may be a header."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise fail("unreadable_file", f"cannot be read as class weights: {error}", file=str(path)) from error
    delimiter = "\t" if any("\t" in line for line in lines[:1]) else ","
    weights: dict[str, float] = {}
    for at, cells in enumerate(csv.reader(lines, delimiter=delimiter)):
        if not cells or (at == 0 and _is_heading(cells)):
            continue
        weight = _number(cells[1]) if len(cells) == 2 else None
        if weight is None or cells[0] in weights:
            again = "names a class again" if weight is not None else "holds no class and its weight"
            raise fail(
                "bad_option",
                f"--class-weights: line {at + 1} {again}: {delimiter.join(cells)!r}",
                file=str(path),
                hint="each line is a class name and a number, separated by a comma or a tab; the first may be a heading",
            )
        weights[cells[0]] = weight
    if not weights:
        raise fail("bad_option", "--class-weights: the file holds no weights", file=str(path))
    return weights


def _is_heading(cells: list[str]) -> bool:
    """Tell whether a first line is words, such as class and weight: what has a digit in its second cell is no heading."""
    return len(cells) == 2 and all(cell.replace("_", "").replace(" ", "").isalpha() for cell in cells)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _balanced(counts: Sequence[float]) -> tuple[float, ...]:
    """Return n / (K n_c) for every class, with n_c the rows that have it, or the sum of their shares.

    Source: King & Zeng, "Logistic regression in rare events data" (2001); scikit-learn's `class_weight="balanced"`.
    """
    total = math.fsum(counts)
    return tuple(total / (len(counts) * count) if count else 1.0 for count in counts)


def count_classes(request: Request, layout: Layout, codec: LabelCodec, k: int) -> list[float]:
    """Read all rows once and return how many have each class, or the sums of their shares."""

    def counted(pair: Pair) -> list[Fraction]:
        sums = ExactSums(k)
        for cell, shares in enumerate(_shares(pair.labels, layout, codec, k)):
            sums.add(shares, np.full(len(shares), cell))
        return sums.totals()

    return [to_float(sum(counts, Fraction(0))) for counts in zip(*over_pairs(request, layout, counted), strict=True)]


def _shares(batch: pa.RecordBatch, layout: Layout, codec: LabelCodec, k: int) -> Iterator[Floats]:
    """Yield the shares of every class in turn; cells that are at fault hold nothing, the checks will tell them."""
    if len(layout.labels) > 1:
        for name in layout.labels:
            values = numbers(batch.column(name)).values
            yield values[(values > 0) & (values <= 1)]
        return
    encoded = codec.encode(batch.column(layout.label))
    left_out = [flags for flags in (encoded.missing, encoded.unknown, encoded.ignored) if flags is not None]
    values = encoded.values[~np.logical_or.reduce(left_out)] if left_out else encoded.values
    if k == 2:
        yield 1.0 - values
        yield values
        return
    for count in np.bincount(values.astype(np.int64), minlength=k).tolist():
        yield np.array([float(count)])
