"""The operation deadline: how long an operation is waited for, from when it is sent, and less at the end of a load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class OperationDeadline:
    """A timer for each operation; seconds is how long one is waited for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    def begin(self, give_up: Callable[[], None]) -> None:
        """Call give_up, which identifies this wait, once the time is over."""
        # A timer, not a second task for each operation: 1,000 tasks a second cost noticeable processor time.
        self._timers[give_up] = self._loop.call_later(self._seconds, give_up)

    def end(self, give_up: Callable[[], None]) -> None:
        """End a wait; does nothing if it was given up already."""
        self._timers.pop(give_up).cancel()

    def shorten(self, seconds: float) -> None:
        """Wait no longer than that from now on, also for what is under way; never longer than before."""
        self._seconds = min(self._seconds, seconds)
        latest = self._loop.time() + self._seconds
        for give_up, timer in self._timers.items():
            if timer.when() > latest:
                timer.cancel()
                self._timers[give_up] = self._loop.call_at(latest, give_up)
