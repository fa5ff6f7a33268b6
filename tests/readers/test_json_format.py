from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ce_cli.columns import Kind
from ce_cli.errors import CeError
from ce_cli.readers import json_format, lines
from ce_cli.readers.base import MALFORMED
from ce_cli.readers.json_format import JsonData
from ce_cli.readers.streams import FileSource
from ce_cli.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

fixture_per_test = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def data_of(path: Path, *rows: Any, text: str = "") -> JsonData:
    path.write_text(text or "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return JsonData(str(path), FileSource(path))


def cells_of(data: JsonData, kinds: dict[str, Kind], jobs: int = 1) -> dict[str, list[Any]]:
    with Workers(jobs) as workers:
        batches = list(data.batches(kinds, workers))
    names = [*kinds, MALFORMED] if any(MALFORMED in batch.schema.names for batch in batches) else list(kinds)
    return {
        name: [
            cell
            for batch in batches
            for cell in (batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows)
        ]
        for name in names
    }


def read(path: Path, *rows: Any, text: str = "", **kinds: Kind) -> dict[str, list[Any]]:
    return cells_of(data_of(path, *rows, text=text), kinds)


def test_columns_are_the_keys_in_their_order_and_a_missing_one_is_empty(path: Path) -> None:
    data = data_of(path, {"b": 1}, {"a": "x", "b": 2}, {"c": None})
    assert data.names == ("b", "a", "c")
    found = cells_of(data, {"a": Kind.TEXT, "b": Kind.NUMBER})
    assert found == {"a": [None, "x", None], "b": [1.0, 2.0, None]}


def test_the_sample_is_text_and_lists(path: Path) -> None:
    table = data_of(path, {"id": 1, "p": 0.25, "l": [1, None], "b": True}, {"id": "x"}).sample()
    assert table.to_pylist() == [
        {"id": "1", "p": "0.25", "l": [1.0, None], "b": "true"},
        {"id": "x", "p": None, "l": None, "b": None},
    ]
    assert table.schema.field("l").type == pa.list_(pa.float64())


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("01", "01"),
        (1, "1"),
        (2**70, str(2**70)),
        (1.0, "1"),
        (0.1, "0.1"),
        (True, "true"),
        ("", ""),
        ("null", "null"),
        (None, None),
        ({"a": [1]}, '{"a": [1]}'),
    ],
)
def test_text(cell: Any, text: str | None, path: Path) -> None:
    assert read(path, {"x": cell, "y": 1}, x=Kind.TEXT) == {"x": [text]}


@pytest.mark.parametrize(
    ("cell", "number"), [(1, 1.0), ("0.25", 0.25), (True, 1.0), (None, None), (10**400, math.inf), (math.inf, math.inf)]
)
def test_number(cell: Any, number: float | None, path: Path) -> None:
    assert read(path, {"x": cell, "y": 1}, x=Kind.NUMBER) == {"x": [number]}


@fixture_per_test
@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_numbers_keep_every_bit(values: list[float], path: Path) -> None:
    (found,) = read(path, *({"x": value} for value in values), x=Kind.NUMBER).values()
    assert [struct.pack("d", value) for value in found] == [struct.pack("d", value) for value in values]


def test_a_text_that_is_no_number_makes_its_column_text(path: Path) -> None:
    assert read(path, {"x": 0.5}, {"x": "n/a"}, {"x": [1]}, x=Kind.NUMBER) == {"x": ["0.5", "n/a", "[1]"]}


def test_lists_are_lists_of_numbers(path: Path) -> None:
    found = read(path, {"p": [1, 2]}, {"p": None}, {"p": [0.5, None]}, p=Kind.NUMBER)
    assert found == {"p": [[1.0, 2.0], None, [0.5, None]]}


@pytest.mark.parametrize("odd", [0.5, "x", [0.5, "x"], [0.5, ""], [True], [[1]], {}])
def test_what_is_no_list_of_numbers_is_a_malformed_row(odd: Any, path: Path) -> None:
    found = read(path, {"p": [1, 2]}, {"p": odd}, p=Kind.NUMBER)
    assert found["p"] == [[1.0, 2.0], None]
    assert "'p'" in found[MALFORMED][1]
    assert found[MALFORMED][0] is None


def test_lists_of_other_things_are_text(path: Path) -> None:
    assert read(path, {"t": ["a", "b"], "x": 1}, t=Kind.TEXT) == {"t": ['["a", "b"]']}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"x": 1,}', "no JSON"),
        ('{"x": 1', "not complete"),
        ('{"x": "a', "not complete"),
        ("[1]", "expected a JSON object, but got [1]"),
        ("1,2", "expected a JSON object"),
        ("null", "expected a JSON object"),
        ('{"x": 1, "x": 2}', "'x' stands twice"),
        ('{"x": ' + "1" * 5000 + "}", "no JSON"),
        ('{"x": ' + "[" * 100_000 + "}", "nested too deeply"),
    ],
)
def test_malformed_lines_keep_their_rows(line: str, says: str, path: Path) -> None:
    found = read(path, text='{"x": 1}\n' + line + '\n\n{"x": 3}\n', x=Kind.NUMBER)
    assert found["x"] == [1.0, None, 3.0]
    assert says in found[MALFORMED][1]
    assert (found[MALFORMED][0], found[MALFORMED][2]) == (None, None)


def test_a_file_that_is_cut_short(path: Path) -> None:
    found = read(path, text='{"x": 1}\n{"x": 2, "y', x=Kind.NUMBER)
    assert found[MALFORMED] == [None, "the JSON object is not complete at the end of the line and of the file"]


@pytest.mark.parametrize(("text", "code"), [("", "no_samples"), ("\n \n", "no_samples"), ("{\n", "malformed_row")])
def test_files_without_a_row(text: str, code: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(CeError) as caught:
        JsonData(str(path), FileSource(path))
    assert caught.value.code == code


keys = st.sampled_from(["a", "b", "c"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab 1.", max_size=4)


@fixture_per_test
@given(
    rows=st.lists(st.dictionaries(keys, scalars | st.lists(st.floats(0, 1), max_size=2), min_size=1), min_size=1),
    size=st.integers(1, 40),
    jobs=st.sampled_from([1, 2]),
)
def test_blocks_and_batches_change_nothing(rows: list[dict[str, Any]], size: int, jobs: int, path: Path) -> None:
    data = data_of(path, *rows)
    kinds = dict.fromkeys(data.names, Kind.TEXT)
    whole = cells_of(data, kinds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "READ_BYTES", size)
        assert cells_of(JsonData(str(path), FileSource(path)), kinds, jobs) == whole


@fixture_per_test
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"n": st.none() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)},
            optional={
                "i": st.none() | st.integers(-(2**63), 2**63 - 1),
                "t": st.none() | st.text(max_size=4),
                "l": st.none() | st.lists(st.none() | st.integers() | st.floats(0, 1), max_size=3),
                "other": st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
            },
        ),
        min_size=1,
        max_size=20,
    ),
    ascii_only=st.booleans(),
)
def test_what_pyarrow_reads_is_what_python_reads(rows: list[dict[str, Any]], ascii_only: bool, path: Path) -> None:
    data = data_of(path, text="".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows))
    kinds = {"n": Kind.NUMBER, "i": Kind.TEXT, "t": Kind.CATEGORY, "l": Kind.NUMBER}
    kinds = {name: kind for name, kind in kinds.items() if name in data.names}
    fast = cells_of(data, kinds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_format, "fast_batch", lambda *_: None)
        assert repr(cells_of(data, kinds)) == repr(fast)


@pytest.mark.parametrize(
    "text",
    [
        b'{"x": 1}{"x": 2}\n',
        b'{"x":\n1}\n',
        b'{"x": 1}\n\n',
        b'{"x": 1, "x": 2}\n',
        b'{"x": "1"}\n',
        b'{"x": true}\n',
        b'{"x": Inf}\n',
        b'{"x": -Inf}\n',
        b'{"x": nan}\n',
        b'{"x": 1, "y": "\xff"}\n',
        b'{"x": 1\n',
        b'[{"x": 1}]\n',
        b'{"x": 01}\n',
        b'{"x": 1} x\n',
    ],
)
def test_what_pyarrow_does_not_read_as_we_do(text: bytes) -> None:
    assert json_format.fast_batch(text, pa.schema([("x", pa.float64())])) is None


def test_pyarrow_reads_the_common_case() -> None:
    text = b'{"x": 1, "y": {"x": 3}}\r\n{"x": 0.1}\n{"x": -Infinity}'
    found = json_format.fast_batch(text, pa.schema([("x", pa.float64())]))
    assert found is not None
    assert found.to_pydict() == {"x": [1.0, 0.1, -math.inf]}


def test_a_key_twice_matters_where_it_is_read(path: Path) -> None:
    data = data_of(path, text='{"x": 1, "y": 1, "z": {"x": 1, "x": 2}, "y": 2}\n')
    assert cells_of(data, {"x": Kind.NUMBER}) == {"x": [1.0]}
    assert cells_of(data, {"x": Kind.TEXT}) == {"x": ["1"]}
    reason = "the key 'y' stands twice in one object"
    for kind in (Kind.NUMBER, Kind.TEXT):
        assert cells_of(data, {"x": Kind.TEXT, "y": kind}) == {"x": [None], "y": [None], MALFORMED: [reason]}
