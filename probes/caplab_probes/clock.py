"""The prober's clock: CLOCK_MONOTONIC nanoseconds, which all containers of one machine share until it boots."""

from __future__ import annotations

import time
from pathlib import Path

from caplab.model.runs import WallAnchor

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_ns() -> int:
    """Now, in monotonic nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def boot_id() -> str:
    """Which boot the clock counts from."""
    return _BOOT_ID.read_text().strip()


def wall_anchor() -> WallAnchor:
    """The present moment on both clocks, to within the microsecond that reading them takes."""
    return WallAnchor(now_ns(), time.time_ns())
