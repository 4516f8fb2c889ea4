"""Memory of this process: how much more it may use, and how memory of large arrays is reused."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER_BYTES = 2**31 - 1
_MAX_LIMIT = 2**62  # more is not a limit


def keep_freed() -> bool:
    """Reuse freed memory for large arrays; return whether the C library does so.

    glibc maps each array over 32 MiB afresh, and the kernel clears every page of it: a third of the time of checking
    ten million operations. Use it in processes that check one large history and end.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl, macOS
        return False
    return all(mallopt(option, value) == 1 for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER_BYTES)))


@contextmanager
def at_most(more_bytes: int) -> Iterator[None]:
    """Limit this process to so much more memory while the block runs; then allocations fail.

    It is a second limit, in case a file's own sizes are wrong. Without Linux's /proc there is none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    wanted = pages * resource.getpagesize() + more_bytes
    if wanted < _MAX_LIMIT and (soft == resource.RLIM_INFINITY or wanted < soft):
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
