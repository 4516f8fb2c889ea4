"""How long operations are waited for: each from when it is sent, and less at the end of a load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class OperationDeadline:
    """A timer an operation; seconds: for how long one is waited for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    def begin(self, give_up: Callable[[], None]) -> None:
        """Call give_up, which tells this wait from all others, once the time is over."""
        # A timer and not a task beside the operation's: 1,000 operations a second are felt.
        self._timers[give_up] = self._loop.call_later(self._seconds, give_up)

    def end(self, give_up: Callable[[], None]) -> None:
        """The wait is over; nothing if it was given up."""
        self._timers.pop(give_up).cancel()

    def shorten(self, seconds: float) -> None:
        """From now on wait no longer than that, for what is under way too; never longer than before."""
        self._seconds = min(self._seconds, seconds)
        latest = self._loop.time() + self._seconds
        for give_up, timer in self._timers.items():
            if timer.when() > latest:
                timer.cancel()
                self._timers[give_up] = self._loop.call_at(latest, give_up)
