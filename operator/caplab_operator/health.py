"""Whether the operator's rounds go on: asked by its liveness probe, and exported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# A round's calls are bounded each by seconds: one that takes this long is stuck, and a restart begins it anew.
BOUND_SECONDS = 120.0


@dataclass
class Health:
    """When each of the operator's loops last ended a round; clock tells monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    _ended: dict[str, float] = field(default_factory=dict)

    def note(self, loop: str) -> None:
        """A loop began, or a round of it ended, well or not."""
        self._ended[loop] = self.clock()

    def forget(self, loop: str) -> None:
        """A loop is over."""
        self._ended.pop(loop, None)

    @contextmanager
    def working(self, loop: str) -> Iterator[None]:
        """Note a loop only while it works: it may rest for as long as it likes."""
        self.note(loop)
        try:
            yield
        finally:
            self.forget(loop)

    def oldest(self) -> tuple[str, float]:
        """The loop whose last round ended the longest ago, and how many seconds ago."""
        now = self.clock()
        loop = min(self._ended, key=self._ended.__getitem__, default="")
        return loop, now - self._ended.get(loop, now)

    def trouble(self) -> str:
        """What is wrong, as a sentence; '' where all rounds go on."""
        loop, seconds = self.oldest()
        return f"{loop}: no round has ended for {seconds:.0f} s" if seconds > BOUND_SECONDS else ""
