"""Check of the clients' login at every member, which is restored if somebody has changed it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ...engines.pods import Pod
from ...engines.postgres import health, settings_drift
from ...engines.postgres.observe import ObservedPostgres
from ...engines.postgres.sessions import Sessions, log_in
from ...engines.postgres.spec import PostgresSpec
from ...engines.postgres.sql import SqlError

_RECHECK_SECONDS = 5.0  # a login costs both sides some milliseconds of CPU time
_REFUSED_LOGIN = ("28P01", "28000")  # a wrong password, or a role that may not log in

_log = logging.getLogger(__name__)


@dataclass
class Logins:
    """Logins of one cluster: the result of the last attempt at each member."""

    _tried: dict[str, tuple[str, float, str]] = field(default_factory=dict)  # by member: pod's uid, time, refusal

    def check(
        self,
        spec: PostgresSpec,
        observed: ObservedPostgres,
        sessions: Sessions,
        passwords: Mapping[str, str],
        login: Mapping[str, str],
    ) -> dict[str, str]:
        """Return by member why a client can't log in, '' if it can. Ready members are tried when they are due."""
        ready = {member["name"] for member in health.members(observed) if member["ready"]}
        due = [pod for pod in observed.pods if pod.name in ready and self._is_due(pod)]
        with ThreadPoolExecutor(max(1, len(due))) as pool:
            errors = list(pool.map(lambda pod: _try(pod, login), due))
        for pod, error in zip(due, errors, strict=True):
            self._tried[pod.name] = (pod.uid, time.monotonic(), str(error) if error else "")
        if any(error is not None and error.sqlstate in _REFUSED_LOGIN for error in errors):
            _restore_password(spec, observed, sessions, passwords.get("superuser", ""), login)
        uids = {pod.name: pod.uid for pod in observed.pods}
        self._tried = {name: last for name, last in self._tried.items() if uids.get(name) == last[0]}
        return {name: refusal for name, (_, _, refusal) in self._tried.items()}

    def _is_due(self, pod: Pod) -> bool:
        uid, at, refusal = self._tried.get(pod.name, ("", 0.0, ""))
        return uid != pod.uid or bool(refusal) or time.monotonic() - at >= _RECHECK_SECONDS


def _try(pod: Pod, login: Mapping[str, str]) -> SqlError | None:
    if not login:
        return SqlError("there is no Secret with the clients' login")
    return log_in(pod, login.get("username", ""), login.get("password", ""), login.get("database", ""))


def _restore_password(
    spec: PostgresSpec, observed: ObservedPostgres, sessions: Sessions, superuser: str, login: Mapping[str, str]
) -> None:
    """Set the clients' password to the one in their Secret."""
    primary = next((pod for pod in observed.pods if pod.name == health.primary_of(observed)), None)
    if primary is None or not login.get("password"):
        return
    role = login.get("username", "")
    try:
        encrypted = sessions.encrypted(primary, superuser, role, login["password"])
    except SqlError:
        return
    refused = sessions.change(primary, superuser, [settings_drift.new_password(role, encrypted)])
    _log.warning(
        "%s/%s: clients could not log in: the password of role %s is set to its Secret's%s",
        spec.namespace, spec.name, role, f", refused: {'; '.join(refused)}" if refused else "",
    )  # fmt: skip
