"""Work shared out to forked processes: whoever is free takes the next item; results come back pickled, through pipes."""

from __future__ import annotations

import contextlib
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")

_NUMBER_BYTES = 4
MOST_ITEMS = 1 << 10  # their numbers fit into the smallest pipe
_SIZE_BYTES = 8
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else ()
_PIPE_BYTES = 1 << 20
_WATCH_MILLISECONDS = 100


class WorkerKilledError(RuntimeError):
    """A process ended without a result: something killed it, most likely for want of memory."""


class Share(Generic[T]):
    """The items that one process takes, one after another, from those that are left.

    parent: the process to which a forked one belongs; 0 for that one itself.
    """

    def __init__(
        self, items: Sequence[T], queue: int, done: Any, process: int, watch: Callable[[int], None], parent: int = 0
    ) -> None:
        self._items, self._queue = items, queue
        self._done, self._process = done, process
        self._watch = watch
        self._parent = parent
        self.current = -1

    def __iter__(self) -> Iterator[T]:
        while number := os.read(self._queue, _NUMBER_BYTES):  # a read of a pipe is not divided
            self.current = int.from_bytes(number, "little")
            yield self._items[self.current]

    def note(self, done: int) -> None:
        """Note that so much more is done; where nobody is left to learn of it, the process ends."""
        if self._parent and os.getppid() != self._parent:
            os._exit(1)
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

    Only for the main thread of a process without other threads. After an exception in one process the others take no further
    items, and it is raised here: of several, that of the first item. Raises WorkerKilledError for a process that was killed.
    """
    if len(items) > MOST_ITEMS:
        raise ValueError(f"at most {MOST_ITEMS} items can be spread, but got {len(items)}")
    queue, end = os.pipe()
    os.write(end, b"".join(number.to_bytes(_NUMBER_BYTES, "little") for number in range(len(items))))
    os.close(end)
    done = np.frombuffer(mmap.mmap(-1, 8 * processes), dtype=np.int64)
    children: dict[int, int] = {}  # the pipe of each process
    # Where it is ignored, as under some supervisors, nobody could wait for a child.
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _lighten()
    try:
        for process in range(processes - 1):
            _fork(function, Share(items, queue, done, process, lambda _: None, os.getpid()), children)
        share = Share(items, queue, done, processes - 1, watch)
        outcomes = [_outcome(function, share)]
        outcomes += [_received(pid, pipe, lambda: share.note(0)) for pid, pipe in children.items()]
        share.note(0)
    finally:
        os.close(queue)
        for pid, pipe in children.items():
            os.close(pipe)
            _end(pid)
        signal.signal(signal.SIGCHLD, before)
        gc.unfreeze()
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


def _fork(function: Callable[[Share[T]], R], share: Share[T], children: dict[int, int]) -> None:
    """Start a process and note it among the children; no signal comes between the two."""
    pipe, back = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    pid = os.fork()
    if pid == 0:
        # Were one of its ends still open here, a pipe whose reader is gone would never break.
        for other in (pipe, *children.values()):
            os.close(other)
        _work(function, share, back, mask)
    children[pid] = pipe
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(back)


def _work(function: Callable[[Share[T]], R], share: Share[T], back: int, mask: Iterable[int]) -> NoReturn:
    """Do a share and end without cleaning up what belongs to the process that was forked."""
    code = 1
    try:
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        result = pickle.dumps(_outcome(function, share), pickle.HIGHEST_PROTOCOL)
        with os.fdopen(back, "wb") as file:
            file.write(len(result).to_bytes(_SIZE_BYTES, "little"))
            file.write(result)
        code = 0
    finally:
        os._exit(code)


def _received(pid: int, pipe: int, waited: Callable[[], None]) -> tuple[int, Exception | None, Any]:
    poll = select.poll()
    poll.register(pipe)
    pieces: list[bytes] = []
    while True:
        if not poll.poll(_WATCH_MILLISECONDS):
            waited()
            continue
        piece = os.read(pipe, _PIPE_BYTES)
        if not piece:
            break
        pieces.append(piece)
    data = b"".join(pieces)
    size = int.from_bytes(data[:_SIZE_BYTES], "little")
    if len(data) < _SIZE_BYTES or len(data) - _SIZE_BYTES < size:
        return 0, WorkerKilledError(f"the worker process {pid} was killed"), None
    outcome: tuple[int, Exception | None, Any] = pickle.loads(memoryview(data)[_SIZE_BYTES:])
    return outcome


def _end(pid: int) -> None:
    """End a process that may have ended already; it is not waited for yet, so the number is still its own."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
