"""What the command arranges in its own process; the library leaves its host alone."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import NoReturn

_MODEST_MEMORY = 8 << 30  # where nothing tells how much there is
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers for mallopt
_ROOM, _LARGE_PAGE = 31 << 20, 2 << 20
_IN_LARGE_PAGES = 14  # Linux's number for madvise


def leave_on_terminate() -> None:
    """Unwind when the process is to end, so that no partial file and no other process is left."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, leave)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next block, and have large pages for the first ones.

    By default glibc returns blocks as large as ours to the kernel and gets them back page by page: on ten million rows that
    took from a tenth to a third of the time. Elsewhere than on glibc this does nothing.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_TRIM_THRESHOLD, 256 << 20)
        libc.malloc.restype = ctypes.c_void_p
        room = libc.malloc(ctypes.c_size_t(_ROOM))
        if room:  # freed at once, it is where the next blocks come from; without such pages the kernel refuses
            first, end = -(-room // _LARGE_PAGE) * _LARGE_PAGE, (room + _ROOM) // _LARGE_PAGE * _LARGE_PAGE
            libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _IN_LARGE_PAGES)
            libc.free(ctypes.c_void_p(room))


def machine_memory() -> int:
    """Return how many bytes of memory this process may use: those of the machine, or fewer that a container allows."""
    from pathlib import Path

    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        memory = _MODEST_MEMORY
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of control groups, the second and the first version
        with contextlib.suppress(OSError, ValueError):
            memory = min(memory, int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
    return memory


def leave(code: int) -> NoReturn:
    """End the process with an exit code, without taking the interpreter apart first: that took 30 ms.

    What was registered to run at the end runs, and what was printed is flushed.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public way to run them before os._exit
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
