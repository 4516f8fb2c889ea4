"""Connections to each member's own Postgres, kept from round to round: a new one costs both sides milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..pods import Pod
from .durability import NAMES, OF_A_SESSION
from .readings import QUESTION, Reading, parse
from .sql import Session, SqlError

_SUPERUSER = "postgres"  # Postgres reserves connections for it when clients have all others
_DATABASE = "postgres"
_LOOK_SECONDS = 2.0
_CHANGE_SECONDS = 2.0


class Sessions:
    """The operator's connections to one cluster's members."""

    def __init__(self) -> None:
        self._kept: dict[str, Session] = {}  # by the pod's uid
        self._locks: dict[str, threading.Lock] = {}

    def look(self, pods: Sequence[Pod], password: str, names: Sequence[str]) -> dict[str, Reading | str]:
        """Read these settings of each member, or why they can't be read; no member is waited for longer than 2 s."""
        self.keep_only({pod.uid for pod in pods})
        question = ",".join(sorted({*names, *NAMES}))
        with ThreadPoolExecutor(max(1, len(pods))) as pool:
            readings = pool.map(lambda pod: self._read(pod, password, question), pods)
        return {pod.name: reading for pod, reading in zip(pods, readings, strict=True)}

    def change(self, pod: Pod, password: str, statements: Sequence[str]) -> list[str]:
        """Run statements, each a transaction of its own. Returns the refusals."""
        refused = []
        for statement in statements:
            try:
                self._ask(pod, password, statement, seconds=_CHANGE_SECONDS)
            except SqlError as error:
                refused.append(str(error))
        return refused

    def ask(self, pod: Pod, password: str, statement: str) -> str:
        """Return the one field of a statement's one row; '' if there is no row, or no answer."""
        try:
            rows = self._ask(pod, password, statement, seconds=_LOOK_SECONDS)
        except SqlError:
            return ""
        return (rows[0][0] or "") if rows else ""

    def encrypted(self, pod: Pod, password: str, role: str, secret: str) -> str:
        """Return a password in the server's stored form. Raises SqlError if there is no connection."""
        with self._lock(pod):
            return self._session(pod, password).encrypted(role, secret)

    def keep_only(self, uids: set[str]) -> None:
        """Close the connections to all other pods."""
        for uid in self._kept.keys() - uids:
            self._kept.pop(uid).close()
            self._locks.pop(uid, None)

    def _read(self, pod: Pod, password: str, question: str) -> Reading | str:
        try:
            rows = self._ask(pod, password, QUESTION, question, seconds=_LOOK_SECONDS)
            reading = parse(rows[0][0] or "")
        except SqlError as error:
            return str(error)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return "its answer can't be read"
        if any(setting.source in OF_A_SESSION for setting in reading.settings.values()):
            self._drop(pod)  # the connection's own values hide those of others
        return reading

    def _ask(self, pod: Pod, password: str, statement: str, *values: str, seconds: float) -> list[list[str | None]]:
        with self._lock(pod):
            session = self._session(pod, password)
            try:
                return session.ask(statement, *values, seconds=seconds)
            finally:
                if not session.is_open:
                    self._kept.pop(pod.uid, None)

    def _session(self, pod: Pod, password: str) -> Session:
        if pod.uid not in self._kept:
            if pod.address is None:
                raise SqlError("it has no address yet")
            self._kept[pod.uid] = Session(pod.address, _SUPERUSER, password, _DATABASE, _LOOK_SECONDS)
        return self._kept[pod.uid]

    def _drop(self, pod: Pod) -> None:
        if session := self._kept.pop(pod.uid, None):
            session.close()

    def _lock(self, pod: Pod) -> threading.Lock:
        return self._locks.setdefault(pod.uid, threading.Lock())


def log_in(pod: Pod, user: str, password: str, database: str) -> SqlError | None:
    """Log in as a client does, and disconnect. Returns the error, None if there was none."""
    if pod.address is None:
        return SqlError("it has no address yet")
    try:
        session = Session(pod.address, user, password, database, _LOOK_SECONDS)
    except SqlError as error:
        return error
    try:
        session.ask("select 1", seconds=_LOOK_SECONDS)
    except SqlError as error:
        return error
    finally:
        session.close()
    return None
