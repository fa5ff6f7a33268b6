"""The one scheduler: tasks on a pool of threads, their results in order, never more than a few in flight."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

_WAITING = 4  # items that a slow consumer may lag behind


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A pool of `jobs` threads; with one job, tasks run where they are submitted, one after another."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool = _threads(jobs, "ce-eval") if jobs > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def ordered(self, function: Callable[..., T], items: Iterable[Any]) -> Iterator[T]:
        """Yield function(item) for each item, in order, with a few more of them under way."""
        if self._pool is None:
            yield from map(function, items)
            return
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
        if self._pool is None:
            yield from items
            return
        end = object()
        with _threads(1, "ce-eval-read") as reader:
            coming = reader.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = reader.submit(next, items, end)
                yield item  # type: ignore[misc]

    @contextlib.contextmanager
    def behind(self, function: Callable[[T], object]) -> Iterator[Callable[[T], object]]:
        """Give what passes items to a function, one after another on a thread of its own, with a few of them waiting.

        At the end every item has been passed on. An exception of the function comes with one of the items that follow, or
        at the end; where there is another one, the items that still wait are dropped.
        """
        if self._pool is None:
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


def _threads(count: int, name: str) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix=name)
