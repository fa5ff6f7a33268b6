from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ce_cli.errors import CeError
from ce_cli.readers import lines as module
from ce_cli.readers.lines import lines
from ce_cli.readers.streams import FileSource

if TYPE_CHECKING:
    from pathlib import Path

fixture_per_test = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Python's own splitlines would cut at some of these.
characters = st.text(st.sampled_from("aé😀\n\r\x0b\x85\u2028 "), max_size=30)


def read(path: Path, data: bytes, size: int = 7) -> list[tuple[int, str, bool]]:
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "READ_BYTES", size)
        stream = FileSource(path).open()
        try:
            return [tuple(line) for line in lines(stream, "x")]
        finally:
            stream.close()


@fixture_per_test
@given(text=characters, size=st.integers(1, 12))
def test_any_block_size_gives_the_same_lines(text: str, size: int, tmp_path: Path) -> None:
    cells = text.split("\n")
    last = cells.pop()
    expected = [(at, cell.removesuffix("\r"), True) for at, cell in enumerate(cells, 1)]
    if last:
        expected.append((len(cells) + 1, last.removesuffix("\r"), False))
    assert read(tmp_path / "x", text.encode(), size) == expected


def test_a_byte_order_mark_is_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "x", b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", 1) == [(1, "a", True), (2, "\ufeffb", True)]


def test_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    with pytest.raises(CeError) as caught:
        read(tmp_path / "x", b"a\ncaf\xe9\n")
    assert caught.value.code == "unreadable_file"


def test_a_line_without_an_end_is_not_held_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 20)
    assert len(read(tmp_path / "x", b"a" * 20)) == 1
    with pytest.raises(CeError) as caught:
        read(tmp_path / "x", b"a\n" + b"b" * 30)
    assert caught.value.code == "unreadable_file"
