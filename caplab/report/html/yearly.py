"""Availability as a yearly budget: how many faults like this one fit into it."""

from __future__ import annotations

import math
from dataclasses import dataclass

TARGETS = (0.99, 0.999, 0.9999, 0.99999)
_YEAR_SECONDS = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Budget:
    """The seconds a year that a target leaves, and how many outages of a length fit into them; None: it took none."""

    target: float
    seconds: float
    outages: int | None


def budgets(recovery_seconds: float) -> list[Budget]:
    """Return the budget of each target at a recovery time."""
    every = []
    for target in TARGETS:
        seconds = _YEAR_SECONDS * (1 - target)
        # The tiny addend undoes binary fractions: 1 - 0.999 is a little less than 0.001.
        outages = math.floor(seconds / recovery_seconds + 1e-6) if recovery_seconds else None
        every.append(Budget(target, seconds, outages))
    return every


def percent(target: float) -> str:
    """Format a target: '99.9 %'."""
    return f"{100 * target:.6g} %"


def duration(seconds: float) -> str:
    """Format a budget: '3.7 d', '8.8 h', '53 min', '5.3 min'."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 20 else f"{value:.1f} {unit}"
    return f"{seconds:.0f} s"
