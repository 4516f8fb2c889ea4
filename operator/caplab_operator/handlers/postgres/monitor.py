"""Correction of the exporter's role, on the primary, from which it is replicated."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...engines.exporter import LOGIN
from ...engines.pods import Pod
from ...engines.postgres import health, monitor
from ...engines.postgres.observe import ObservedPostgres
from ...engines.postgres.sessions import Sessions
from ...engines.postgres.spec import PostgresSpec
from ...engines.postgres.sql import SqlError

_RECHECK_SECONDS = 5.0  # the same as for clients' logins

_log = logging.getLogger(__name__)


@dataclass
class Monitor:
    """The exporter's role in one cluster. password: None while it is not known, '' if there must be no such role."""

    password: str | None = None
    _last_query: tuple[str, float] = ("", 0.0)  # of the primary: its pod's uid, and the time
    _is_gone: bool = False  # it was removed, or never existed: only the operator makes it
    _logged: str = ""  # the last logged text; '' if the role is as it should be

    def keep(self, spec: PostgresSpec, observed: ObservedPostgres, sessions: Sessions, superuser: str) -> None:
        """Correct the role, or remove it; a refused change is tried again in a later round."""
        primary = next((pod for pod in observed.pods if pod.name == health.primary_of(observed)), None)
        # A primary that was silent in this round would only be waited for once more.
        if (
            primary is None
            or primary.name not in observed.readings
            or self.password is None
            or not self._is_due(primary)
        ):
            return
        self._last_query = primary.uid, time.monotonic()
        answer = sessions.ask(primary, superuser, monitor.QUESTION)
        if not answer:
            return
        try:
            statements = self._statements(answer, primary, sessions, superuser)
        except monitor.ForeignRole as foreign:
            self._note(spec, logging.WARNING, str(foreign))
            return
        except (SqlError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self._note(spec, logging.WARNING, f"could not be read: {error}")
            return
        self._is_gone = not self.password and not statements
        if not statements:
            self._logged = ""
            return
        refused = sessions.change(primary, superuser, [monitor.at_once(statements)])
        done = f"refused: {'; '.join(refused)}" if refused else "done"
        what = "; ".join(monitor.printable(statement) for statement in statements)
        self._note(spec, logging.INFO, f"{what}: {done}")

    def _note(self, spec: PostgresSpec, level: int, text: str) -> None:
        """Log a text once, if it is repeated: a refused change is tried again every few seconds."""
        if text != self._logged:
            _log.log(level, "%s/%s: the role %s: %s", spec.namespace, spec.name, LOGIN, text)
        self._logged = text

    def _is_due(self, primary: Pod) -> bool:
        uid, at = self._last_query
        return not self._is_gone and (uid != primary.uid or time.monotonic() - at >= _RECHECK_SECONDS)

    def _statements(self, answer: str, primary: Pod, sessions: Sessions, superuser: str) -> Sequence[str]:
        role, password = monitor.parse(answer), self.password
        if not password:
            return monitor.removal(role)
        return monitor.corrections(role, password, lambda: sessions.encrypted(primary, superuser, LOGIN, password))
