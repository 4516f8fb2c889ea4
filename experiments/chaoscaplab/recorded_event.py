"""Events of a run: what actions do by other means than a Fault."""

from __future__ import annotations

import time

from caplab.run_context import Event, RunContext


class RecordedEvent:
    """A context that notes an event of the run when it is over: proven if there is evidence of it."""

    def __init__(self, run: RunContext, kind: str, target: str) -> None:
        self._run, self._kind, self._target = run, kind, target
        self._began = 0
        self._evidence: list[str] = []

    def __enter__(self) -> RecordedEvent:
        self._began = time.time_ns()
        return self

    def add_evidence(self, sentence: str) -> None:
        """Add a sentence of evidence that it took place."""
        self._evidence.append(sentence)

    def __exit__(self, *_: object) -> None:
        event = Event(
            kind=self._kind,
            target=self._target,
            began_unix_ns=self._began,
            ended_unix_ns=time.time_ns(),
            evidence=tuple(self._evidence),
            proven=bool(self._evidence),
        )
        self._run.state.note_event(event)
