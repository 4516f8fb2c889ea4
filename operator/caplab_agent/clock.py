"""The node's clocks. Faults are timed by CLOCK_MONOTONIC, as histories are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: nanoseconds of CLOCK_MONOTONIC, and wall time."""

    ns: int
    wall: datetime

    @property
    def stamp(self) -> str:
        """The wall time by RFC 3339, in UTC with milliseconds."""
        return self.wall.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.wall.microsecond // 1000:03d}Z"


class Clock:
    """Reads the clocks; boot_id names the boot that the monotonic ones count from."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._uptime = proc / "uptime"
        self.boot_id = (proc / "sys/kernel/random/boot_id").read_text().strip()

    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(time.clock_gettime_ns(time.CLOCK_MONOTONIC), datetime.now(UTC))

    def uptime_centiseconds(self) -> int:
        """Read /proc/uptime, the only clock that a shell script can read without a program.

        It includes time spent suspended, which CLOCK_MONOTONIC does not: never mix the two.
        """
        seconds, _, fraction = self._uptime.read_text().split()[0].partition(".")
        return int(seconds) * 100 + int(fraction.ljust(2, "0")[:2])
