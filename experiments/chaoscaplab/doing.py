"""What an action does by other means than a Fault, kept as an event of the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .current import Event, seen


class Doing:
    """Notes an event of the run when it is over: proven where something was seen of it."""

    def __init__(self, kind: str, target: str, clock: Callable[[], int] = time.time_ns) -> None:
        self._kind, self._target, self._clock = kind, target, clock
        self._began = 0
        self._evidence: Sequence[str] = ()

    def __enter__(self) -> Doing:
        self._began = self._clock()
        return self

    def saw(self, sentence: str) -> None:
        """Evidence that it took place."""
        self._evidence = (*self._evidence, sentence)

    def __exit__(self, *_: object) -> None:
        evidence = tuple(self._evidence)
        seen().note_event(Event(self._kind, self._target, self._began, self._clock(), evidence, bool(evidence)))
