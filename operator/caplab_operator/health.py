"""Health of the operator's rounds, for its liveness probe and its metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# Each call of a round is bounded by seconds, so a round that takes this long is stuck. A restart helps.
BOUND_SECONDS = 120.0


@dataclass
class Health:
    """Times at which the operator's loops last finished a round; clock returns monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    _ended: dict[str, float] = field(default_factory=dict)

    def note(self, loop: str) -> None:
        """Record that a loop began, or finished a round, with or without success."""
        self._ended[loop] = self.clock()

    def forget(self, loop: str) -> None:
        """Forget a loop that has ended."""
        self._ended.pop(loop, None)

    @contextmanager
    def working(self, loop: str) -> Iterator[None]:
        """Record a loop only while it works: it may pause for any time."""
        self.note(loop)
        try:
            yield
        finally:
            self.forget(loop)

    def oldest(self) -> tuple[str, float]:
        """Return the loop whose last round finished the longest ago, and how many seconds ago."""
        now = self.clock()
        loop = min(self._ended, key=self._ended.__getitem__, default="")
        return loop, now - self._ended.get(loop, now)

    def trouble(self) -> str:
        """Describe what is wrong; '' if all loops make progress."""
        loop, seconds = self.oldest()
        return f"{loop}: no round has ended for {seconds:.0f} s" if seconds > BOUND_SECONDS else ""
