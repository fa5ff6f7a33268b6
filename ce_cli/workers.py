"""The one scheduler: tasks on a pool of threads, their results in order, never more than a few in flight.

What can be cut into shares that need nothing of each other runs in forked processes where that is safe: threads of NumPy
wait for the interpreter's lock between any two calls.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from ce_cli.errors import CeError
    from ce_cli.forks import Share, WorkerKilledError

# The one that pyarrow's allocator starts; it takes care of itself in a fork.
_KNOWS_FORKS = "jemalloc_bg_thd"

T = TypeVar("T")
R = TypeVar("R")

_LOOKS = 20
_WAITING = 4  # items that a slow consumer may lag behind


def killed(error: WorkerKilledError) -> CeError:
    """Return what a user is told of a process that ended without a result."""
    return fail("bad_option", f"{error}, most likely for want of memory", hint="pass --jobs 1")


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A pool of `jobs` threads; with one job, tasks run where they are submitted, one after another.

    forks: whether the process is ours to fork.
    """

    def __init__(self, jobs: int, *, forks: bool = False) -> None:
        self.jobs = jobs
        self.forks = forks
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_threads()

    def can_fork(self) -> bool:
        """Tell whether work can be spread over processes: on Linux, and while there is no thread but idle ones of ours."""
        if not (self.forks and self.jobs > 1 and sys.platform == "linux"):
            return False
        self._end_threads()
        for _ in range(_LOOKS):
            if _count_threads() == 1:
                return True
            time.sleep(0.001)  # a thread that was joined is there a little longer
        return False

    def spread(self, function: Callable[[Share[T]], R], items: Sequence[T], watch: Callable[[int], None]) -> list[R]:
        """Return what `function` makes of its share of the items in each of `jobs` processes, this one included.

        Only where `can_fork`. watch: told the sum of what all shares have noted as done, from time to time.
        """
        from ce_cli.forks import spread

        return spread(function, items, self.jobs, watch)

    def ordered(self, function: Callable[..., T], items: Iterable[Any]) -> Iterator[T]:
        """Yield function(item) for each item, in order, with a few more of them under way."""
        if self.jobs <= 1:
            yield from map(function, items)
            return
        if self._pool is None:
            self._pool = _threads(self.jobs, "ce-eval")
        pending: deque[Future[T]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(function, item))
                if len(pending) > self.jobs:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def ahead(self, items: Iterator[T]) -> Iterator[T]:
        """Yield the items of an iterator, fetching the next one on a thread meanwhile."""
        if self.jobs <= 1:
            yield from items
            return
        end = object()
        with _threads(1, "ce-eval-read") as reader:
            coming = reader.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = reader.submit(next, items, end)
                yield item  # type: ignore[misc]

    def _end_threads(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    @contextlib.contextmanager
    def behind(self, function: Callable[[T], object]) -> Iterator[Callable[[T], object]]:
        """Give what passes items to a function, one after another on a thread of its own, with a few of them waiting.

        At the end every item has been passed on. An exception of the function comes with one of the items that follow, or
        at the end; where there is another one, the items that still wait are dropped.
        """
        if self.jobs <= 1:
            yield function
            return
        pending: deque[Future[object]] = deque()

        def put(item: T) -> None:
            pending.append(thread.submit(function, item))
            while len(pending) > _WAITING:
                pending.popleft().result()

        with _threads(1, "ce-eval-write") as thread:
            try:
                yield put
                while pending:
                    pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def _count_threads() -> int:
    """Return how many threads this process has that a fork would leave behind."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has just ended
            names.append(task.joinpath("comm").read_text(encoding="utf-8").strip())
    return len([name for name in names if name != _KNOWS_FORKS])


def _threads(count: int, name: str) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix=name)
