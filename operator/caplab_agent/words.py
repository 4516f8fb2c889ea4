"""Numbers formatted for people: pure functions."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """Format a number with its noun, such as "1 process" or "2 processes"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def milliseconds(begin_ns: int, end_ns: int) -> int:
    """Return the milliseconds between two moments, at least 1: nothing takes no time."""
    return max(1, round((end_ns - begin_ns) / 1e6))
