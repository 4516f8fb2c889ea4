"""Correction of a Postgres cluster's settings drift, and of replicas that can't rejoin."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...engines.pods import Pod
from ...engines.postgres import health, observe, patroni, rejoin, settings, settings_drift
from ...engines.postgres.observe import ObservedPostgres
from ...engines.postgres.sessions import Sessions
from ...engines.postgres.spec import PostgresSpec

_RELOAD_SECONDS = 5.0  # until a setting that still differs is written again: Patroni itself needs two or three
_COPY_RETRY_SECONDS = 60.0
_RESTART_RETRY_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class DriftCorrection:
    """Drift correction of one cluster, with the times since when members have deviated."""

    _differing: dict[str, float] = field(default_factory=dict)  # since when, by member
    _standing_still: dict[str, float] = field(default_factory=dict)
    _alone: dict[str, float] = field(default_factory=dict)
    _starting: dict[str, float] = field(default_factory=dict)
    _led_by: tuple[str | None, object] = (None, None)  # the primary, and its timeline

    def correct(
        self, spec: PostgresSpec, observed: ObservedPostgres, sessions: Sessions, passwords: Mapping[str, str]
    ) -> None:
        """Change what differs from the spec; a change that a member refuses is tried again in the next round."""
        superuser, patronis = passwords.get("superuser", ""), passwords.get("patroni", "")
        self._reset_on_new_primary(observed)
        _correct_patroni(spec, observed, patronis)
        _correct_postgres(spec, observed, sessions, superuser)
        self._rewrite_settings(spec, observed, patronis)
        self._reinitialize_lagging(spec, observed, sessions, passwords)
        self._reinitialize_stuck(spec, observed, patronis)
        self._restart_without_upstream(spec, observed, patronis)

    def _reset_on_new_primary(self, observed: ObservedPostgres) -> None:
        """Forget what was done about replicas under another primary: a copy of that one helps no longer."""
        primary = health.primary_of(observed)
        led_by = (primary, observed.answers.get(primary, {}).get("timeline")) if primary else self._led_by
        if led_by != self._led_by:
            self._led_by = led_by
            self._standing_still.clear()
            self._alone.clear()
            self._starting.clear()

    def _rewrite_settings(self, spec: PostgresSpec, observed: ObservedPostgres, password: str) -> None:
        """Have Patroni write its file again if a setting differs for long: somebody has edited the file."""
        differing = {name for name, gap in settings.gaps(spec, observed).items() if gap.differs}
        _keep_since(self._differing, differing)
        for pod in observed.pods:
            if pod.address and _is_past(self._differing, pod.name, _RELOAD_SECONDS):
                self._differing[pod.name] = time.monotonic()
                refused = observe.send(pod.address, password, "/reload", {})
                _note(spec, pod, "writes its settings again", refused)

    def _restart_without_upstream(self, spec: PostgresSpec, observed: ObservedPostgres, password: str) -> None:
        """Restart a replica that follows no primary though there is one: then Patroni reads its actual settings."""
        _keep_since(self._alone, set(rejoin.without_upstream(observed)))
        for pod in observed.pods:
            if pod.address and _is_past(self._alone, pod.name, rejoin.SECONDS_BEFORE_A_RESTART):
                self._alone[pod.name] = time.monotonic() + _RESTART_RETRY_SECONDS
                refused = observe.send(pod.address, password, "/restart", {})
                _note(spec, pod, "follows no primary, and is restarted", refused)

    def _reinitialize_lagging(
        self, spec: PostgresSpec, observed: ObservedPostgres, sessions: Sessions, passwords: Mapping[str, str]
    ) -> None:
        lagging = rejoin.lagging(observed)
        _keep_since(self._standing_still, set(lagging))
        late = [name for name in lagging if _is_past(self._standing_still, name, rejoin.SECONDS_BEFORE_A_COPY)]
        primary = next((pod for pod in observed.pods if pod.name == health.primary_of(observed)), None)
        if not late or primary is None:
            return
        oldest = sessions.ask(primary, passwords.get("superuser", ""), rejoin.OLDEST_SEGMENT)
        if not (oldest.isascii() and oldest.isdecimal() and len(oldest) < 20):
            return
        for pod in observed.pods:
            if pod.name in late and (why := rejoin.needs_copy(observed, pod.name, int(oldest))):
                self._standing_still[pod.name] = time.monotonic() + _COPY_RETRY_SECONDS
                _reinitialize(spec, pod, passwords.get("patroni", ""), why)

    def _reinitialize_stuck(self, spec: PostgresSpec, observed: ObservedPostgres, password: str) -> None:
        """Give a replica a new copy that should long have replayed all the log that there can be, and has not."""
        _keep_since(self._starting, set(rejoin.starting(observed)))
        allowed = rejoin.seconds_to_start(spec)
        for pod in observed.pods:
            if _is_past(self._starting, pod.name, allowed):
                self._starting[pod.name] = time.monotonic() + _COPY_RETRY_SECONDS
                _reinitialize(spec, pod, password, f"it has been starting for more than {allowed:.0f} s")


def _reinitialize(spec: PostgresSpec, pod: Pod, password: str, why: str) -> None:
    if pod.address:
        refused = observe.send(pod.address, password, "/reinitialize", {"force": True})
        _note(spec, pod, f"gets a new copy, since {why}", refused)


def _correct_patroni(spec: PostgresSpec, observed: ObservedPostgres, password: str) -> None:
    if observed.config is None:
        return
    patch = patroni.drift(patroni.dynamic_settings(spec), observed.config)
    pod = next((pod for pod in observed.pods if pod.name in observed.answers and pod.address), None)
    if patch and pod and pod.address:
        _note(spec, pod, f"is sent {patch}", observe.send(pod.address, password, "/config", patch, method="PATCH"))


def _correct_postgres(spec: PostgresSpec, observed: ObservedPostgres, sessions: Sessions, password: str) -> None:
    primary = health.primary_of(observed)
    for pod in observed.pods:
        if (reading := observed.readings.get(pod.name)) is None:
            continue
        statements = settings_drift.system_resets(reading)
        statements += [settings_drift.RELOAD] if statements else []
        statements += settings_drift.override_resets(reading) if pod.name == primary else []
        if statements:
            refused = sessions.change(pod, password, statements)
            _note(spec, pod, f"had been changed by hand, and runs: {'; '.join(statements)}", "; ".join(refused))


def _keep_since(since: dict[str, float], names: set[str]) -> None:
    for name in since.keys() - names:
        del since[name]
    for name in names - since.keys():
        since[name] = time.monotonic()


def _is_past(since: Mapping[str, float], name: str, seconds: float) -> bool:
    return name in since and time.monotonic() - since[name] >= seconds


def _note(spec: PostgresSpec, pod: Pod, what: str, refused: str) -> None:
    log = _log.warning if refused else _log.info
    log("%s/%s %s%s", spec.namespace, pod.name, what, f", and refuses: {refused}" if refused else "")
