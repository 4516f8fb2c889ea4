"""What an action does by other means than a Fault, kept as an event of the run."""

from __future__ import annotations

import time

from .current import Event, seen


class Doing:
    """Notes an event of the run when it is over: proven where something was seen of it."""

    def __init__(self, kind: str, target: str) -> None:
        self._kind, self._target = kind, target
        self._began = 0
        self._evidence: list[str] = []

    def __enter__(self) -> Doing:
        self._began = time.time_ns()
        return self

    def saw(self, sentence: str) -> None:
        """Evidence that it took place."""
        self._evidence.append(sentence)

    def __exit__(self, *_: object) -> None:
        evidence = tuple(self._evidence)
        seen().note_event(Event(self._kind, self._target, self._began, time.time_ns(), evidence, bool(evidence)))
