"""Numbers for people. Pure."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """1 process, 2 processes."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def milliseconds(begin_ns: int, end_ns: int) -> int:
    """Between two moments, at least 1: nothing takes no time."""
    return max(1, round((end_ns - begin_ns) / 1e6))
