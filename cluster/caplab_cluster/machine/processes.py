"""Processes of this host, each named so that no later one has its name: the id, and when it started."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_STATE, _START = 0, 19  # index among the fields after the command's name in /proc/PID/stat (proc(5))
_DEAD = frozenset("ZX")


def this_process() -> str:
    """Return the name of the calling process."""
    return name_of(os.getpid())


def name_of(id_: int) -> str:
    """Return the name of the process that has an id now."""
    return f"{id_}-{_start_of(id_)}"


def is_running(name: str) -> bool:
    """Return whether a process still runs; without /proc, whether one with its id does."""
    id_, _, start = name.partition("-")
    if not id_.isdecimal():
        return False
    if not start:
        return _is_there(int(id_))
    return _start_of(int(id_)) == start


def _start_of(id_: int) -> str:
    """Return a process' start in ticks since the boot; '' if there is none, or it is dead already."""
    try:
        stat = (_PROC / str(id_) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if stat[_STATE] in _DEAD else stat[_START]


def _is_there(id_: int) -> bool:
    try:
        os.kill(id_, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
