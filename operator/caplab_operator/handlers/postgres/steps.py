"""The steps of a rollout that Patroni takes: each is started once, and then given time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from ...engines.postgres import observe
from ...engines.postgres.observe import ObservedPostgres
from ...engines.postgres.rollout import RestartPostgres, Switchover
from ...engines.postgres.spec import PostgresSpec

_STEP_SECONDS = 15.0  # until a step without effect is tried again
# For this long a restarted primary keeps its lock: after it another member takes over.
_START_SECONDS = 30
# If a setting still waits after this many restarts, a further one does not help.
_MAX_RESTARTS, _WITHIN_SECONDS = 3, 300.0

_log = logging.getLogger(__name__)


@dataclass
class Steps:
    """The steps of one cluster, with the one that was started last."""

    _about: tuple[str, str] | None = None  # the member, and when its Postgres had started by then
    _until: float = 0.0
    _hands_over: bool = False
    _restarts: dict[str, list[float]] = field(default_factory=dict)  # when, by member

    def take(
        self,
        spec: PostgresSpec,
        observed: ObservedPostgres,
        step: RestartPostgres | Switchover,
        password: str,
        causes: dict[str, str],
    ) -> str:
        """Start a step, if it is not under way. Returns its progress for the status."""
        pod = step.pod if isinstance(step, RestartPostgres) else step.primary
        about = (pod.name, str((observed.answers.get(pod.name) or {}).get("postmaster_start_time")))
        if (about == self._about and time.monotonic() < self._until) or not pod.address:
            return step.why
        if isinstance(step, RestartPostgres) and self._has_restarted_too_often(pod.name):
            return f"{step.why}: {pod.name} still waits after {_MAX_RESTARTS} restarts"
        self._about, self._until = about, time.monotonic() + _STEP_SECONDS
        self._hands_over = isinstance(step, Switchover)
        if isinstance(step, Switchover):
            causes[pod.name] = "handed over by the operator"
            path, what = "/switchover", {"leader": pod.name, "candidate": step.candidate}
        else:
            path, what = "/restart", {"timeout": str(_START_SECONDS)}
        _log.info("%s/%s: %s: %s %s", spec.namespace, pod.name, step.why, path, what)
        if refused := observe.send(pod.address, password, path, what):
            _log.warning("%s/%s refused %s: %s", spec.namespace, pod.name, path, refused)
            return f"{step.why}: refused: {refused}"
        return step.why

    def _has_restarted_too_often(self, member: str) -> bool:
        """Whether another restart of a member would not help, after so many recent ones; else one is counted."""
        now = time.monotonic()
        lately = [at for at in self._restarts.get(member, []) if now - at < _WITHIN_SECONDS]
        in_vain = len(lately) >= _MAX_RESTARTS
        self._restarts[member] = lately if in_vain else [*lately, now]
        return in_vain

    def hands_over(self, member: str) -> bool:
        """Whether the operator recently had a member hand over."""
        return (
            self._hands_over and self._about is not None and self._about[0] == member and time.monotonic() < self._until
        )
