"""What the agent says of its records: the body it applies (pure), and the thread that brings it to the API server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from caplab.watching import GROUP, VERSION

from .faults import BEGUN, Body, FaultRecord

Send: TypeAlias = Callable[[Body], None]

_log = logging.getLogger(__name__)


def report_body(records: Iterable[FaultRecord]) -> dict[str, Any] | None:
    """What to apply for one Fault: every record of this node that has a state; None if none has.

    All of them together: server-side apply takes away what its manager no longer names.
    """
    reported = [record for record in records if record.state != BEGUN]
    if not reported:
        return None
    assignment = reported[0].assignment
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Fault",
        # With the uid, a newer Fault of the same name refuses it.
        "metadata": {"namespace": assignment.namespace, "name": assignment.name, "uid": assignment.fault_uid},
        "status": {"targets": [_target(record) for record in reported]},
    }


def _target(record: FaultRecord) -> dict[str, Any]:
    fields = {
        "uid": record.assignment.pod_uid,
        "state": record.state,
        "injectedAt": record.injected_at or None,
        "injectedNs": record.injected_ns,
        "effectiveNs": record.effective_ns,
        "healedAt": record.healed_at or None,
        "healedNs": record.healed_ns,
        "bootId": record.boot_id,
        "proven": record.proven,
        "evidence": [line[:300] for line in record.evidence[:20]],
        "problem": record.problem[:1000] or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


class Reporter:
    """Sends the newest report of each Fault, again every again_seconds until send returns; never blocks its caller."""

    def __init__(self, send: Send, again_seconds: float = 1.0) -> None:
        self._send = send
        self._again = again_seconds
        self._changed = threading.Condition()
        self._pending: dict[str, tuple[Body, float]] = {}  # by the Fault's uid: body, monotonic seconds when due
        self._stopped = False

    def start(self) -> None:
        """Begin, in a daemon thread."""
        threading.Thread(target=self._run, name="report", daemon=True).start()

    def stop(self) -> None:
        """Send no more; what was not taken is reported by the next agent, from the journal."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def report(self, fault_uid: str, body: Body) -> None:
        """Report this in place of what was to be reported of the Fault before."""
        with self._changed:
            self._pending[fault_uid] = body, 0.0
            self._changed.notify()

    def drop(self, fault_uid: str) -> None:
        """Nothing is to be said of a Fault any more."""
        with self._changed:
            self._pending.pop(fault_uid, None)

    def _run(self) -> None:
        while not self._stopped:
            for uid, body in self._due():
                taken = self._sent(body)
                with self._changed:
                    if self._pending.get(uid, (None, 0.0))[0] is body:
                        del self._pending[uid]
                        if not taken:
                            self._pending[uid] = body, time.monotonic() + self._again

    def _due(self) -> list[tuple[str, Body]]:
        with self._changed:
            now = time.monotonic()
            next_due = min((due for _, due in self._pending.values()), default=None)
            if not self._stopped and (next_due is None or next_due > now):
                self._changed.wait(None if next_due is None else next_due - now)
            now = time.monotonic()
            return [] if self._stopped else [(uid, body) for uid, (body, due) in self._pending.items() if due <= now]

    def _sent(self, body: Body) -> bool:
        try:
            self._send(body)
        except Exception as error:  # whatever it is: the fault goes on and heals, and this is tried again
            reason = " ".join(str(error).split())[:300]
            _log.warning("report of Fault %s/%s: %s", body["metadata"]["namespace"], body["metadata"]["name"], reason)
            return False
        return True
