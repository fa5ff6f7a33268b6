"""Forked processes: one that does something beside this one, and work shared out to several; results come back pickled.

Only for the main thread of a process without other threads.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import select
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

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


class Child(Generic[R]):
    """A forked process that does one thing; what comes of it, a result or an exception, is received through a pipe.

    note: told of it as soon as it is there, so that it can be ended whatever comes next; no signal comes before that. unused:
    descriptors that the process would inherit and is to close. Raises OSError where there can be no more processes.
    """

    def __init__(self, work: Callable[[], R], note: Callable[[Child[R]], object], unused: Collection[int] = ()) -> None:
        self.pipe, back = os.pipe()
        _lighten()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            self._pid = os.fork()
            if self._pid == 0:
                # Were one of its ends still open there, a pipe whose reader is gone would never break.
                _work(work, back, mask, (self.pipe, *unused))
            note(self)
        except OSError:
            os.close(self.pipe)
            gc.unfreeze()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(back)

    def result(self, waited: Callable[[], object] = lambda: None) -> R:
        """Wait for what comes of it, calling `waited` from time to time.

        Raises the exception that the process ended with, and WorkerKilledError where it was killed.
        """
        poll = select.poll()
        poll.register(self.pipe)
        pieces: list[bytes] = []
        while True:
            if not poll.poll(_WATCH_MILLISECONDS):
                waited()
                continue
            piece = os.read(self.pipe, _PIPE_BYTES)
            if not piece:
                break
            pieces.append(piece)
        data = b"".join(pieces)
        size = int.from_bytes(data[:_SIZE_BYTES], "little")
        if len(data) < _SIZE_BYTES or len(data) - _SIZE_BYTES < size:
            raise WorkerKilledError(f"the worker process {self._pid} was killed")
        result, error = pickle.loads(memoryview(data)[_SIZE_BYTES:])
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the process, which may have ended already; it is not waited for yet, so the number is still its own."""
        os.close(self.pipe)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        gc.unfreeze()


@contextlib.contextmanager
def awaited_children() -> Iterator[None]:
    """Let processes be waited for; where their end is ignored, as under some supervisors, nobody could."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


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

    Where the system has no room for as many processes, there are fewer.

    After an exception in one process the others take no further items, and it is raised here: of several, that of the first
    item. Raises WorkerKilledError for a process that was killed.
    """
    if len(items) > MOST_ITEMS:
        raise ValueError(f"at most {MOST_ITEMS} items can be spread, but got {len(items)}")
    queue, end = os.pipe()
    os.write(end, b"".join(number.to_bytes(_NUMBER_BYTES, "little") for number in range(len(items))))
    os.close(end)
    done = np.frombuffer(mmap.mmap(-1, 8 * processes), dtype=np.int64)
    children: list[Child[_Outcome[R]]] = []
    with awaited_children():
        try:
            with contextlib.suppress(OSError):
                for process in range(processes - 1):
                    share = Share(items, queue, done, process, lambda _: None, os.getpid())
                    Child(partial(_outcome, function, share), children.append, [child.pipe for child in children])
            share = Share(items, queue, done, processes - 1, watch)
            outcomes = [_outcome(function, share)]
            outcomes += [_received(child, share) for child in children]
            share.note(0)
        finally:
            os.close(queue)
            for child in children:
                child.end()
    failed = [(outcome.item, outcome.error) for outcome in outcomes if outcome.error is not None]
    if failed:
        raise min(failed, key=lambda failure: failure[0])[1]
    return [outcome.result for outcome in outcomes]  # type: ignore[misc]


class _Outcome(NamedTuple, Generic[R]):
    """The item that a process had last, what went wrong with it, and what came of all of them."""

    item: int
    error: Exception | None
    result: R | None


def _outcome(function: Callable[[Share[T]], R], share: Share[T]) -> _Outcome[R]:
    try:
        return _Outcome(0, None, function(share))
    except Exception as error:
        share.give_up()
        return _Outcome(share.current, error, None)


def _received(child: Child[_Outcome[R]], share: Share[Any]) -> _Outcome[R]:
    try:
        return child.result(lambda: share.note(0))
    except WorkerKilledError as error:
        return _Outcome(0, error, None)


def _lighten() -> None:
    """Leave little that the processes share and then have to copy as soon as one of them writes to it."""
    gc.freeze()  # the collector writes to whatever it looks at
    pa.default_memory_pool().release_unused()


def _work(work: Callable[[], object], back: int, mask: Iterable[int], unused: Iterable[int]) -> NoReturn:
    """Do it, tell what came of it, and end without cleaning up what belongs to the process that was forked."""
    code = 1
    try:
        for descriptor in unused:
            os.close(descriptor)
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            told = pickle.dumps((work(), None), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            told = pickle.dumps((None, error), pickle.HIGHEST_PROTOCOL)
        with os.fdopen(back, "wb") as file:
            file.write(len(told).to_bytes(_SIZE_BYTES, "little"))
            file.write(told)
        code = 0
    finally:
        os._exit(code)
