"""One run at a time in a namespace: two would mistake each other's loads and faults for a dead run's leftovers.

A Lease names the run that has the namespace. Its holder renews it for as long as it runs; a killed one leaves a lease
that is not renewed, and is free once that has been observed for long enough. (Clocks are not compared: each observer
measures.)
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from .command_error import CommandError
from .kube.client import Client
from .kube.errors import Conflict
from .ownership import MANAGER

NAME = "caplab-run"
_RENEW_SECONDS, DEAD_SECONDS = 5.0, 20.0
_ACQUIRE_SECONDS = 30.0
_LOOK_SECONDS = 0.2
# Short enough to retry a renewal before DEAD_SECONDS.
_LIMITS = {"connect_seconds": 2.0, "read_seconds": 5.0}
_LEASE = ("coordination.k8s.io/v1", "Lease")
_log = logging.getLogger("caplab.run")


class LeaseNotHeld(CommandError):
    """Another run has the namespace; the message names it, and the hint."""


class LeaseApi(Protocol):
    """The API server's calls; see Leases."""

    def lease(self, namespace: str, name: str) -> tuple[str, str, str]:
        """Return a lease's holder, the time of its last renewal, and its version."""

    def write_lease(self, namespace: str, name: str, holder: str, version: str) -> None:
        """Take or renew a lease of this version."""

    def delete_lease(self, namespace: str, name: str, version: str) -> None:
        """Delete a lease of this version."""


class Leases:
    """Leases through the API server. Calls block, with time-outs, and raise ApiError."""

    def __init__(self, client: Client) -> None:
        self._leases = client.limited(**_LIMITS)

    def lease(self, namespace: str, name: str) -> tuple[str, str, str]:
        """Return a lease's holder, the time of its last renewal, and its version; all '' if there is no lease."""
        lease = self._leases.get(*_LEASE, namespace, name)
        if lease is None:
            return "", "", ""
        spec = lease.get("spec") or {}
        return str(spec.get("holderIdentity")), str(spec.get("renewTime")), str(lease["metadata"]["resourceVersion"])

    def write_lease(self, namespace: str, name: str, holder: str, version: str) -> None:
        """Take or renew a lease that has this version ('': no lease); Conflict if it has another by now."""
        spec = {"holderIdentity": holder, "renewTime": datetime.now(UTC).isoformat(timespec="microseconds")}
        metadata = {"name": name, "namespace": namespace, **({"resourceVersion": version} if version else {})}
        body = {"apiVersion": _LEASE[0], "kind": _LEASE[1], "metadata": metadata, "spec": spec}
        write = self._leases.replace if version else self._leases.create
        write(body, MANAGER)

    def delete_lease(self, namespace: str, name: str, version: str) -> None:
        """Delete a lease that has this version; another version belongs to another run, and is no error."""
        self._leases.delete(*_LEASE, namespace, name, version=version)


class RunLease:
    """The lease of a namespace; holder is the id of a run, or of a suite session that cleans up."""

    def __init__(
        self, leases: LeaseApi, namespace: str, holder: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases, self._namespace, self._holder = leases, namespace, holder
        self._monotonic = monotonic
        self._last_renewal: tuple[str, float] = ("", 0.0)  # a renewal, and when it was first looked at
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = ""  # the run that took it from this one; it stays lost

    def acquire(self, timeout_seconds: float | None = None) -> None:
        """Take the namespace, and keep it until `release`; LeaseNotHeld names the run that has it."""
        timeout = _ACQUIRE_SECONDS if timeout_seconds is None else timeout_seconds
        started = self._monotonic()
        while self._not_taken():
            if self._monotonic() - started > timeout:
                raise LeaseNotHeld(
                    f"The run {self._leases.lease(self._namespace, NAME)[0]} is under way in {self._namespace}."
                    " Hint: wait until it has ended, or give this one a namespace of its own: --set namespace=NAME."
                )
            time.sleep(_LOOK_SECONDS)
        self._thread = threading.Thread(target=self._renew, name="run-lease", daemon=True)
        self._thread.start()

    def problem(self) -> str:
        """Return why the namespace is not this holder's now; '' if it is. Asks the API server."""
        if self._thread is None:
            return f"it does not hold the namespace {self._namespace}"
        if not self._lost:
            holder = self._leases.lease(self._namespace, NAME)[0]
            self._lost = "" if holder == self._holder else holder or "nobody"
        return f"the namespace {self._namespace} is now held by {self._lost}" if self._lost else ""

    def release(self) -> None:
        """Release the lease if it is still this holder's; nothing is raised: a lease ends by itself."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        try:
            holder, _, version = self._leases.lease(self._namespace, NAME)
            if holder == self._holder:
                self._leases.delete_lease(self._namespace, NAME, version)
        except Exception as error:
            _log.warning("the namespace %s is free in %g s: %s", self._namespace, DEAD_SECONDS, error)

    def _not_taken(self) -> str:
        """Return why the namespace is not this holder's yet; '' if it is."""
        holder, renewed, version = self._leases.lease(self._namespace, NAME)
        if holder and holder != self._holder and not self._is_dead(renewed):
            return f"the run {holder} is under way"
        try:
            self._leases.write_lease(self._namespace, NAME, self._holder, version)
        except Conflict:
            return "another run has just taken it"
        return ""

    def _is_dead(self, renewed: str) -> bool:
        if self._last_renewal[0] != renewed:
            self._last_renewal = renewed, self._monotonic()
        return self._monotonic() - self._last_renewal[1] >= DEAD_SECONDS

    def _renew(self) -> None:
        """Renew until the end, or until another run that assumed this one dead has the lease."""
        while not self._lost and not self._over.wait(_RENEW_SECONDS):
            try:
                self._renew_once()
            except Exception as error:  # the API server may be slow: there are more tries before the lease expires
                _log.warning("the lease of %s was not renewed: %s", self._namespace, error)

    def _renew_once(self) -> None:
        holder, _, version = self._leases.lease(self._namespace, NAME)
        if holder not in ("", self._holder):
            self._lost = holder
            _log.warning("the namespace %s was taken by %s", self._namespace, holder)
            return
        self._leases.write_lease(self._namespace, NAME, self._holder, version)
