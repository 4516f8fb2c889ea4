"""The steps of a rollout that Patroni takes: each is begun once, and then given time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from ..engines.postgres import observe
from ..engines.postgres.observe import Seen
from ..engines.postgres.rollout import HandOver, RestartPostgres
from ..engines.postgres.spec import PostgresSpec

_PATIENCE_SECONDS = 15.0  # until a step that seems to have come to nothing is tried again
# For this long a primary that is restarted in its place keeps its lock: beyond it another takes over.
_START_SECONDS = 30

_log = logging.getLogger(__name__)


@dataclass
class Steps:
    """Of one cluster: the step that was begun last."""

    _about: tuple[str, str] | None = None  # the member, and when its Postgres had started by then
    _until: float = 0.0
    _hands_over: bool = False

    def take(
        self, spec: PostgresSpec, seen: Seen, step: RestartPostgres | HandOver, password: str, causes: dict[str, str]
    ) -> str:
        """Begin a step, if it is not begun yet; what the status says of it."""
        pod = step.pod if isinstance(step, RestartPostgres) else step.primary
        about = (pod.name, str((seen.answers.get(pod.name) or {}).get("postmaster_start_time")))
        if (about == self._about and time.monotonic() < self._until) or not pod.address:
            return step.why
        self._about, self._until = about, time.monotonic() + _PATIENCE_SECONDS
        self._hands_over = isinstance(step, HandOver)
        if isinstance(step, HandOver):
            causes[pod.name] = "handed over by the operator"
            path, what = "/switchover", {"leader": pod.name, "candidate": step.candidate}
        else:
            path, what = "/restart", {"timeout": str(_START_SECONDS)}
        _log.info("%s/%s: %s: %s %s", spec.namespace, pod.name, step.why, path, what)
        if refused := observe.tell(pod.address, password, path, what):
            _log.warning("%s/%s refused %s: %s", spec.namespace, pod.name, path, refused)
            return f"{step.why}: refused: {refused}"
        return step.why

    def hands_over(self, member: str) -> bool:
        """Whether a member was told lately to hand over."""
        return (
            self._hands_over and self._about is not None and self._about[0] == member and time.monotonic() < self._until
        )
