from __future__ import annotations

import math
import subprocess
import sys

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.readers import build


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.none() | strategy, max_size=30)


@given(cells=maybe(st.text(st.characters(codec="utf-8"), max_size=5)))
def test_texts(cells: list[str | None]) -> None:
    found = build.texts(cells)
    found.validate(full=True)
    assert found.equals(pa.array(cells, pa.string()))


@given(cells=maybe(st.floats(allow_nan=False)))
def test_floats(cells: list[float | None]) -> None:
    found = build.floats(cells)
    found.validate(full=True)
    assert found.equals(pa.array(cells, pa.float64()))


@given(cells=maybe(st.integers(-(2**63), 2**63 - 1)))
def test_integers(cells: list[int | None]) -> None:
    found = build.integers(cells)
    found.validate(full=True)
    assert found.equals(pa.array(cells, pa.int64()))


@given(cells=maybe(st.lists(st.none() | st.floats(allow_nan=False), max_size=4)))
def test_float_lists(cells: list[list[float | None] | None]) -> None:
    found = build.float_lists(cells)
    found.validate(full=True)
    assert found.equals(pa.array(cells, pa.list_(pa.float64())))


def test_numbers_that_float64_does_not_hold() -> None:
    assert build.floats([10**400, -(10**400), 2**53 + 1]).to_pylist() == [math.inf, -math.inf, 2.0**53]


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    assert build.texts(["a\ud83d"]).to_pylist() == ["a?"]


def test_pandas_is_not_imported() -> None:
    script = (
        "import sys; from ce_cli.readers import build; build.texts(['a', None]); build.floats([1, None]);"
        "build.integers([1]); build.float_lists([[1.0], None]); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
