"""The kernel's freezer, of cgroup v1 and v2.

https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html
https://docs.kernel.org/admin-guide/cgroup-v2.html (cgroup.freeze)
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TypeAlias

Write: TypeAlias = Callable[[Path, str], object]

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.0005, 0.01  # between two attempts
_V1, _V2, _EVENTS = "freezer.state", "cgroup.freeze", "cgroup.events"
_GONE = (errno.ENOENT, errno.ENODEV)


class FreezerState(Enum):
    """The freezer state of a cgroup."""

    FROZEN = "frozen"
    THAWED = "thawed"
    CHANGING = "changing"  # told to freeze, but some process has not stopped yet
    GONE = "gone"


class NoFreezer(OSError):
    """A cgroup that cannot be frozen; the message says why, with a hint."""


class Freezer:
    """Freezes cgroups and all below them; a process that is created there later starts frozen.

    bound_seconds: how long all processes of a cgroup may take to stop.
    """

    def __init__(self, write: Write = Path.write_text, bound_seconds: float = 1.0) -> None:
        self._write = write
        self._bound = bound_seconds

    def state(self, folder: Path) -> FreezerState:
        """Read a cgroup's state from the kernel. Raises OSError, NoFreezer among them."""
        try:
            if (folder / _V1).exists():
                return _state((folder / _V1).read_text().strip(), "FROZEN", "THAWED")
            if (folder / _V2).exists():
                if (folder / _V2).read_text().strip() == "0":
                    return FreezerState.THAWED
                return _state((folder / _EVENTS).read_text(), "frozen 1", "")
        except OSError as error:
            if error.errno not in _GONE:
                raise
        if not folder.exists():
            return FreezerState.GONE
        raise NoFreezer(f"{folder} has neither {_V1} nor {_V2}. Hint: mount the node's /sys/fs/cgroup into the agent")

    def freeze(self, folder: Path) -> bool:
        """Freeze a cgroup; whether every process stopped in time. Raises OSError, NoFreezer among them."""
        ends, pause = time.monotonic() + self._bound, _SHORTEST_SECONDS
        state = self.state(folder)
        while state is not FreezerState.GONE:
            # Told again each time: on v1, a process that was created meanwhile can keep it from freezing for good.
            state = self._ask(folder, True)
            if state is FreezerState.FROZEN or time.monotonic() >= ends:
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_SECONDS)
        return state is FreezerState.FROZEN

    def thaw(self, folder: Path) -> None:
        """Thaw a cgroup, unless it is gone. Raises OSError, NoFreezer among them."""
        if self.state(folder) is not FreezerState.GONE:
            self._ask(folder, False)

    def _ask(self, folder: Path, freeze: bool) -> FreezerState:
        try:
            self._write(*(_freezing(folder) if freeze else thawing(folder)))
        except OSError as error:
            if error.errno not in _GONE:
                raise
        return self.state(folder)


def thawing(folder: Path) -> tuple[Path, str]:
    """Return the file that thaws a cgroup, and the text to write into it."""
    return (folder / _V1, "THAWED") if (folder / _V1).exists() else (folder / _V2, "0")


def _freezing(folder: Path) -> tuple[Path, str]:
    return (folder / _V1, "FROZEN") if (folder / _V1).exists() else (folder / _V2, "1")


def _state(text: str, frozen: str, thawed: str) -> FreezerState:
    if frozen in text.splitlines():
        return FreezerState.FROZEN
    return FreezerState.THAWED if text == thawed else FreezerState.CHANGING
