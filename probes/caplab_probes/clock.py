"""The prober's clock: CLOCK_MONOTONIC in nanoseconds, which all containers of one machine share until it reboots."""

from __future__ import annotations

import time
from pathlib import Path

from caplab.model.runs import WallAnchor

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_ns() -> int:
    """Return the present moment in monotonic nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def boot_id() -> str:
    """Return the id of the boot that the clock counts from."""
    return _BOOT_ID.read_text().strip()


def wall_anchor() -> WallAnchor:
    """Read both clocks at one moment, to within the microsecond that reading them takes."""
    return WallAnchor(now_ns(), time.time_ns())
