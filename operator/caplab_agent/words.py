"""Durations for the sentences of evidence: pure."""

from __future__ import annotations


def milliseconds(begin_ns: int, end_ns: int) -> int:
    """Return the milliseconds between two moments, at least 1: nothing takes no time."""
    return max(1, round((end_ns - begin_ns) / 1e6))
