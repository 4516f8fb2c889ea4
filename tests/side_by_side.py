"""Print how many of the tests on kind may run side by side: 2, or 1 on a slow machine.

On processors of half the usual speed, two clusters that start at once leave Patroni and Cassandra without the time that
they need to keep their own promises, and that is all that those tests would then measure.
"""

from __future__ import annotations

import time

ADDITIONS = 1_000_000
SLOW_SECONDS = 0.05  # for so many; they took 0.057 to 0.08 where such tests failed side by side, and passed one by one


def seconds() -> float:
    """Return the processor time of the additions, at its best of five: what else runs does not count."""
    taken = []
    for _ in range(5):
        began, total = time.process_time(), 0
        for number in range(ADDITIONS):
            total += number
        taken.append(time.process_time() - began)
    return min(taken)


def side_by_side(taken: float) -> int:
    """Return how many tests may run at once, by the time that the additions took in seconds."""
    return 1 if taken > SLOW_SECONDS else 2


if __name__ == "__main__":
    print(side_by_side(seconds()))
