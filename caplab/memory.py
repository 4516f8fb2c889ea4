"""Memory that large arrays give back: kept for the next ones, where the C library can be told to."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER_BYTES = 2**31 - 1


def keep_freed() -> bool:
    """Have this process take large arrays from memory it has already; whether the C library does so.

    glibc maps each array over 32 MiB afresh, and the kernel clears every page of it: a third of the time of checking
    ten million operations. For processes that check one large history and end.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl, macOS
        return False
    return all(mallopt(option, value) == 1 for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER_BYTES)))
