"""Events of a run: what actions do by other means than a Fault."""

from __future__ import annotations

import time

from .run_context import Event, current_run


class RecordedEvent:
    """A context that notes an event of the run when it is over: proven if there is evidence of it."""

    def __init__(self, kind: str, target: str) -> None:
        self._kind, self._target = kind, target
        self._began = 0
        self._evidence: list[str] = []

    def __enter__(self) -> RecordedEvent:
        self._began = time.time_ns()
        return self

    def add_evidence(self, sentence: str) -> None:
        """Add a sentence of evidence that it took place."""
        self._evidence.append(sentence)

    def __exit__(self, *_: object) -> None:
        evidence = tuple(self._evidence)
        current_run().note_event(Event(self._kind, self._target, self._began, time.time_ns(), evidence, bool(evidence)))
