from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.render.progress import NoProgress, Progress, terminal_width


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """One line of a terminal, and everything that was written to it."""

    def shown(self) -> str:
        line: list[str] = []
        for stroke in self.getvalue().split("\r"):
            line[: len(stroke)] = stroke
        return "".join(line).rstrip()

    @property
    def drawings(self) -> int:
        return self.getvalue().count("\r")


def make(**changes: Any) -> tuple[Progress, Clock, Screen]:
    clock, screen = Clock(), Screen()
    options: dict[str, Any] = {"total_bytes": 256_000_000, "total_rows": None, "width": lambda: 100, **changes}
    return Progress(stream=screen, clock=clock, **options), clock, screen


def test_nothing_is_shown_before_the_delay() -> None:
    progress, clock, screen = make(delay=1.0)
    clock.now += 0.999
    progress.update(1000, 10_000)
    progress.close()
    assert screen.getvalue() == ""


def test_a_line() -> None:
    progress, clock, screen = make()
    clock.now += 10
    progress.update(4_120_000, 105_000_000)
    assert screen.getvalue() == (
        "\r[############------------------]   41 %  4,120,000 rows  105 MB  412,000 rows/s  0:14 left"
    )


def test_a_task_stands_in_place_of_the_bytes() -> None:
    progress, clock, screen = make(task="bootstrap 1,000", width=lambda: 80)
    clock.now += 10
    progress.update(4_120_000, 105_000_000)
    assert screen.shown() == "[####------]   41 %  4,120,000 rows  bootstrap 1,000  412,000 rows/s  0:14 left"


def test_rows_are_measured_where_bytes_are_unknown() -> None:
    progress, clock, screen = make(total_bytes=None, total_rows=200)
    clock.now += 3600
    progress.update(50, 0)
    assert screen.shown() == "[#######-----------------------]   25 %  50 rows  0 rows/s  3:00:00 left"


@pytest.mark.parametrize("total", [None, 0])
def test_no_bar_without_a_total(total: int | None) -> None:
    progress, clock, screen = make(total_bytes=total, total_rows=total)
    clock.now += 2
    progress.update(1234, 999)
    assert screen.shown() == "1,234 rows  999 B  617 rows/s"


def test_more_than_everything_is_everything() -> None:
    progress, clock, screen = make(total_bytes=10)
    clock.now += 2
    progress.update(5, 20)
    assert " 100 %" in screen.shown()
    assert screen.shown().endswith("0:00 left")


def test_at_most_ten_times_per_second() -> None:
    progress, clock, screen = make()
    for _ in range(3000):
        clock.now += 0.001
        progress.update(1, 1)
    assert 15 <= screen.drawings <= 21


def test_a_shorter_line_leaves_nothing_of_the_longer() -> None:
    progress, clock, screen = make(total_bytes=None)
    clock.now += 2
    progress.update(1_000_000, 5_000_000)
    clock.now += 1
    progress.update(7, 5)
    assert screen.shown() == "7 rows  5 B  2 rows/s"


def test_close_erases_and_ends() -> None:
    progress, clock, screen = make()
    clock.now += 2
    progress.update(10, 10)
    assert screen.shown()
    progress.close()
    written = screen.getvalue()
    assert screen.shown() == ""
    assert written.endswith("\r")
    clock.now += 2
    progress.update(20, 20)
    progress.close()
    assert screen.getvalue() == written


def test_the_context_closes_also_on_an_error() -> None:
    progress, clock, screen = make()

    def work() -> None:
        with progress:
            clock.now += 2
            progress.update(10, 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert screen.drawings == 3
    assert screen.shown() == ""


@given(
    st.integers(0, 200),
    st.integers(0, 10**15),
    st.integers(0, 10**18),
    st.none() | st.integers(1, 10**18),
    st.floats(1, 1e9),
)
def test_never_wider_than_the_terminal(width: int, rows: int, done: int, total: int | None, seconds: float) -> None:
    progress, clock, screen = make(width=lambda: width, total_bytes=total)
    clock.now += seconds
    progress.update(rows, done)
    progress.close()
    text = screen.getvalue()
    assert all(len(stroke) < max(width, 1) for stroke in text.split("\r"))
    assert re.fullmatch(r"[\r -~]*", text)


def test_a_shrunken_window_is_not_overwritten() -> None:
    widths = [100, 30, 20]
    progress, clock, screen = make(width=lambda: widths.pop(0))
    for _ in range(2):
        clock.now += 2
        progress.update(123_456_789, 99_000_000)
    progress.close()
    _, first, second, blank, _ = screen.getvalue().split("\r")
    assert len(first) > 30 > len(second)
    assert blank == " " * len(blank)
    assert len(blank) < 20


class Closed(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_broken_stream_does_not_end_the_work() -> None:
    clock = Clock()
    progress = Progress(total_bytes=1, total_rows=None, stream=Closed(), clock=clock, delay=0)
    progress.update(1, 1)
    progress.update(1, 1)
    progress.close()


def test_no_progress() -> None:
    with NoProgress() as progress:
        progress.update(1, 1)
    assert isinstance(progress, Progress)


def test_the_width_of_what_is_no_terminal() -> None:
    assert terminal_width(io.StringIO()) == 80
