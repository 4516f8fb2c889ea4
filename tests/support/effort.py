"""How often a test tries: its random cases, and what a busy machine may have held up."""

from __future__ import annotations

import os
from collections.abc import Callable

THOROUGH = "CAPLAB_THOROUGH"  # in the environment: 1 for all


def cases(thorough: int) -> int:
    """Return how many cases to try where so many are thorough."""
    return thorough if os.environ.get(THOROUGH) == "1" else -(-thorough // 4)


def quickest(seconds_of: Callable[[int], float], bound: float, tries: int = 5) -> float:
    """Return the first time below the bound, in seconds, or the least of all tries.

    A program that is slow is slow each time; a machine that is busy with other tests is so for a while. `seconds_of`
    does the thing once, and is given the number of the try.
    """
    taken: list[float] = []
    while len(taken) < tries and (not taken or min(taken) >= bound):
        taken.append(seconds_of(len(taken)))
    print("took " + ", ".join(f"{each * 1000:.1f} ms" for each in taken))
    return min(taken)
