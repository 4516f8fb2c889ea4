"""One run at a time in a namespace: two would take each other's loads and faults for what a dead run left there.

A Lease says whose the namespace is. Its holder renews it for as long as it runs; one that was killed leaves a lease
that is not renewed, and is free once that has been seen for so long. (No clocks are compared: whoever looks measures.)
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from kubernetes.client import ApiException

from ..server import Server
from ..waiting import NotInTime, until

_NAME = "caplab-run"
_RENEW_SECONDS, _DEAD_SECONDS = 5.0, 20.0
_PATIENCE_SECONDS = 30.0
_CONFLICT = 409
_log = logging.getLogger("caplab.run")


class Alone:
    """A run's hold on a namespace; holder is the run's id."""

    def __init__(
        self, server: Server, namespace: str, holder: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._server, self._namespace, self._holder = server, namespace, holder
        self._monotonic = monotonic
        self._seen: tuple[str, float] = ("", 0.0)  # a renewal, and when it was first looked at
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Take the namespace, and keep it until `end`; NotInTime names the run that has it."""
        try:
            until("", self._not_taken, _PATIENCE_SECONDS)
        except NotInTime:
            raise NotInTime(
                f"The run {self._server.lease(self._namespace, _NAME)[0]} is under way in {self._namespace}."
                " Mend: wait until it has ended, or give this one a namespace of its own: --set namespace=NAME."
            ) from None
        self._thread = threading.Thread(target=self._renew, name="alone", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let go; nothing is raised: a hold ends by itself."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        try:
            self._server.delete_lease(self._namespace, _NAME)
        except Exception as error:
            _log.warning("the namespace %s is free in %g s: %s", self._namespace, _DEAD_SECONDS, error)

    def _not_taken(self) -> str:
        """Why the namespace is not this run's yet; '': it is."""
        holder, renewed, version = self._server.lease(self._namespace, _NAME)
        if holder and holder != self._holder and not self._is_dead(renewed):
            return f"the run {holder} is under way"
        try:
            self._server.hold_lease(self._namespace, _NAME, self._holder, version)
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            return "another run has just taken it"
        return ""

    def _is_dead(self, renewed: str) -> bool:
        if self._seen[0] != renewed:
            self._seen = renewed, self._monotonic()
        return self._monotonic() - self._seen[1] >= _DEAD_SECONDS

    def _renew(self) -> None:
        while not self._over.wait(_RENEW_SECONDS):
            try:
                if problem := self._not_taken():
                    _log.warning("%s: %s", self._namespace, problem)
            except Exception as error:  # the API server may be slow: there are more renewals before it is too late
                _log.warning("the hold on %s was not renewed: %s", self._namespace, error)
