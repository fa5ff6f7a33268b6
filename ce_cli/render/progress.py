"""A progress bar for standard error: one line that is redrawn in place and leaves nothing behind."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

REDRAW_SECONDS = 0.1
MIN_BAR, MAX_BAR = 8, 30
_FALLBACK_WIDTH = 80


class Progress:
    """Show how far the work has come, from `delay` seconds after the creation on, at most ten times per second.

    The share that is done is that of `total_bytes`, else of `total_rows`, else unknown: then there is no bar. `width`
    returns the columns of the terminal and is asked at every drawing, as windows change their size. `task` says what takes
    longer than reading, and stands in place of the bytes read. Only ASCII is written. For one thread; also a context manager,
    which closes.
    """

    def __init__(
        self,
        *,
        total_bytes: int | None,
        total_rows: int | None,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        delay: float = 1.0,
        width: Callable[[], int] | None = None,
        task: str = "",
    ) -> None:
        self._total_bytes = total_bytes
        self._total_rows = total_rows
        self._stream = stream
        self._task = task
        self._clock = clock
        self._width = width or (lambda: terminal_width(stream))
        self._start = clock()
        self._next_drawing = self._start + delay
        self._drawn = 0  # columns taken by the line that is on the screen
        self._closed = False

    def update(self, rows: int, bytes_done: int) -> None:
        """Tell how many rows and bytes are done by now, counted from the beginning."""
        now = self._clock()
        if self._closed or now < self._next_drawing:
            return
        self._next_drawing = now + REDRAW_SECONDS
        # The last column stays free: many terminals break the line as soon as it is filled.
        columns = max(self._width() - 1, 0)
        self._draw(self._line(rows, bytes_done, now - self._start, columns), columns)

    def close(self) -> None:
        """Erase the line; what is updated later is not shown."""
        if not self._closed and self._drawn:
            self._write("\r" + " " * min(self._drawn, max(self._width() - 1, 0)) + "\r")
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, line: str, columns: int) -> None:
        self._write("\r" + line.ljust(min(self._drawn, columns)))
        self._drawn = len(line)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # whoever closed standard error does not want to see progress, but still wants the result
            self._closed = True

    def _line(self, rows: int, bytes_done: int, elapsed: float, columns: int) -> str:
        done = self._share_done(rows, bytes_done)
        line = ""
        for part in self._parts(rows, bytes_done, elapsed, done):
            longer = f"{line}  {part}" if line else part
            if len(longer) > columns:
                break
            line = longer
        room = columns - len(line) - len("[]  ")
        if done is None or room < MIN_BAR:
            return line
        return f"{_bar(done, min(room, MAX_BAR))}  {line}"

    def _share_done(self, rows: int, bytes_done: int) -> float | None:
        for part, total in ((bytes_done, self._total_bytes), (rows, self._total_rows)):
            if total:
                return min(max(part / total, 0.0), 1.0)
        return None

    def _parts(self, rows: int, bytes_done: int, elapsed: float, done: float | None) -> list[str]:
        """Return the parts of the line; where they do not all fit, the last ones are left out."""
        rate = rows / elapsed if elapsed > 0 else 0.0
        parts = [] if done is None else [f"{int(100 * done):3d} %"]
        parts.append(f"{rows:,} rows")
        if self._task:
            parts.append(self._task)
        elif bytes_done:
            parts.append(_size(bytes_done))
        parts.append(f"{rate:,.0f} rows/s")
        if done:
            parts.append(f"{_duration(elapsed * (1 - done) / done)} left")
        return parts


class NoProgress(Progress):
    """The same interface, and nothing is ever shown."""

    def __init__(self) -> None:
        pass

    def update(self, rows: int, bytes_done: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def terminal_width(stream: TextIO) -> int:
    """Return the columns of the terminal behind the stream, or 80 where there is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _FALLBACK_WIDTH
    except (OSError, ValueError, AttributeError):
        return _FALLBACK_WIDTH


def _bar(done: float, cells: int) -> str:
    return "[" + ("#" * int(done * cells)).ljust(cells, "-") + "]"


def _size(count: int) -> str:
    """Return a number of bytes with three digits or so, in powers of 1000 as disks are sold."""
    if count < 1000:
        return f"{count} B"
    units = ("kB", "MB", "GB", "TB", "PB")
    power = 0
    size = count / 1000
    while size >= 999.5 and power < len(units) - 1:  # 999.5 would be rounded to 1000
        size /= 1000
        power += 1
    return f"{size:.{1 if size < 99.95 else 0}f} {units[power]}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
