"""Work shared out to forked processes: whoever is free takes the next item; results come back pickled, through pipes."""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import select
import signal
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")

_NUMBER_BYTES = 4
_MOST_ITEMS = 1 << 14  # their numbers fit into a pipe
_PIPE_BYTES = 1 << 20
_WATCH_SECONDS = 0.1


class Share(Generic[T]):
    """The items that one process takes, one after another, from those that are left."""

    def __init__(self, items: Sequence[T], queue: int, done: Any, process: int, watch: Callable[[int], None]) -> None:
        self._items, self._queue = items, queue
        self._done, self._process = done, process
        self._watch = watch
        self.current = -1

    def __iter__(self) -> Iterator[T]:
        while number := os.read(self._queue, _NUMBER_BYTES):  # a read of a pipe is not divided
            self.current = int.from_bytes(number, "little")
            yield self._items[self.current]

    def note(self, done: int) -> None:
        """Note that so much more is done."""
        self._done[self._process] += done
        self._watch(int(self._done.sum()))

    def give_up(self) -> None:
        """Leave nothing to take for anyone; what others have taken they finish."""
        while os.read(self._queue, _PIPE_BYTES):
            pass


def spread(
    function: Callable[[Share[T]], R], items: Sequence[T], processes: int, watch: Callable[[int], None]
) -> list[R]:
    """Return what `function` makes of each process's share of the items; the last process is this one.

    Only for a process without other threads. An exception in one process ends all of them and is raised here: of several,
    that of the first item.
    """
    if len(items) > _MOST_ITEMS:
        raise ValueError(f"at most {_MOST_ITEMS} items can be spread, but got {len(items)}")
    queue, end = os.pipe()
    os.write(end, b"".join(number.to_bytes(_NUMBER_BYTES, "little") for number in range(len(items))))
    os.close(end)
    done = np.frombuffer(mmap.mmap(-1, 8 * processes), dtype=np.int64)
    children: dict[int, int] = {}  # the pipe of each process
    _lighten()
    try:
        for process in range(processes - 1):
            pipe, pid = _fork(function, Share(items, queue, done, process, lambda _: None))
            children[pid] = pipe
        share = Share(items, queue, done, processes - 1, watch)
        outcomes = [_outcome(function, share)]
        outcomes += [_received(pid, pipe, lambda: share.note(0)) for pid, pipe in children.items()]
        share.note(0)
    finally:
        os.close(queue)
        for pid, pipe in children.items():
            os.close(pipe)
            _end(pid)
    failed = [(item, error) for item, error, _ in outcomes if error is not None]
    if failed:
        raise min(failed, key=lambda failure: failure[0])[1]
    return [result for _, _, result in outcomes]


def _lighten() -> None:
    """Leave little that the processes share and then have to copy as soon as one of them writes to it."""
    gc.freeze()  # the collector writes to whatever it looks at
    pa.default_memory_pool().release_unused()


def _outcome(function: Callable[[Share[T]], R], share: Share[T]) -> tuple[int, Exception | None, Any]:
    """Return the item that the process had last, what went wrong with it, and what came of all of them."""
    try:
        result = function(share)
    except Exception as error:
        share.give_up()
        return share.current, error, None
    return share.current, None, result


def _fork(function: Callable[[Share[T]], R], share: Share[T]) -> tuple[int, int]:
    pipe, back = os.pipe()
    pid = os.fork()
    if pid == 0:
        _work(function, share, back)
    os.close(back)
    return pipe, pid


def _work(function: Callable[[Share[T]], R], share: Share[T], back: int) -> NoReturn:
    """Do a share and end without cleaning up what belongs to the process that was forked."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        with os.fdopen(back, "wb") as file:
            pickle.dump(_outcome(function, share), file, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        os._exit(code)


def _received(pid: int, pipe: int, waited: Callable[[], None]) -> tuple[int, Exception | None, Any]:
    pieces: list[bytes] = []
    while True:
        if not select.select([pipe], [], [], _WATCH_SECONDS)[0]:
            waited()
            continue
        piece = os.read(pipe, _PIPE_BYTES)
        if not piece:
            break
        pieces.append(piece)
    data = b"".join(pieces)
    if not data:
        return (
            0,
            ChildProcessError(f"the worker process {pid} was killed; with less memory needed at once: --jobs 1"),
            None,
        )
    outcome: tuple[int, Exception | None, Any] = pickle.loads(data)
    return outcome


def _end(pid: int) -> None:
    """End a process that may have ended already."""
    os.kill(pid, signal.SIGKILL)  # it is not waited for yet, so the number is still its own
    os.waitpid(pid, 0)
