"""Keeps the role that the exporter logs in as: on the primary, from where the others have it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..engines.exporter import LOGIN
from ..engines.pods import Pod
from ..engines.postgres import health, monitor
from ..engines.postgres.observe import ObservedPostgres
from ..engines.postgres.sessions import Sessions
from ..engines.postgres.spec import PostgresSpec
from ..engines.postgres.sql import SqlError

_AGAIN_SECONDS = 5.0  # as often as clients' logins are tried

_log = logging.getLogger(__name__)


@dataclass
class Monitor:
    """Of one cluster. password: None while it is not known, '' where there is to be no such role."""

    password: str | None = None
    _last_query: tuple[str, float] = ("", 0.0)  # of the primary: its pod's uid, and when
    _is_gone: bool = False  # it was taken away, or never there: nobody but the operator makes it
    _logged: str = ""  # what was logged last; '' where the role is as it should be

    def keep(self, spec: PostgresSpec, observed: ObservedPostgres, sessions: Sessions, superuser: str) -> None:
        """Make the role what it is to be, or take it away; what is refused is tried again next time."""
        primary = next((pod for pod in observed.pods if pod.name == health.primary_of(observed)), None)
        # One that said nothing in this round would only be waited for once more.
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
            self._note(spec, logging.WARNING, f"could not be looked at: {error}")
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
        """Log it, unless it is what was logged last: what is refused is tried again every few seconds."""
        if text != self._logged:
            _log.log(level, "%s/%s: the role %s: %s", spec.namespace, spec.name, LOGIN, text)
        self._logged = text

    def _is_due(self, primary: Pod) -> bool:
        uid, at = self._last_query
        return not self._is_gone and (uid != primary.uid or time.monotonic() - at >= _AGAIN_SECONDS)

    def _statements(self, answer: str, primary: Pod, sessions: Sessions, superuser: str) -> Sequence[str]:
        role, password = monitor.parse(answer), self.password
        if not password:
            return monitor.removal(role)
        return monitor.corrections(role, password, lambda: sessions.encrypted(primary, superuser, LOGIN, password))
