"""The agent's reports: the body that it applies to a Fault's status, and the thread that sends it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from caplab.contract import bounds, meta
from caplab.contract.names import API_VERSION, FAULT
from caplab.contract.objects import TargetStatus

from .faults import BEGUN, Body, FaultRecord

Send: TypeAlias = Callable[[Body], None]

_log = logging.getLogger(__name__)


def report_body(records: Iterable[FaultRecord]) -> dict[str, Any] | None:
    """Build the body to apply for one Fault from its records with a state; None: no record has one.

    It names all of them, since server-side apply removes what its manager no longer names. Pure.
    """
    reported = [record for record in records if record.state != BEGUN]
    if not reported:
        return None
    assignment = reported[0].assignment
    return {
        "apiVersion": API_VERSION,
        "kind": FAULT,
        # With the uid, the API server refuses it for a newer Fault of the same name.
        "metadata": {"namespace": assignment.namespace, "name": assignment.name, "uid": assignment.fault_uid},
        "status": {"targets": [_target(record) for record in reported]},
    }


def _target(record: FaultRecord) -> dict[str, Any]:
    return TargetStatus(
        uid=record.assignment.pod_uid,
        state=record.state,
        injected_at=record.injected_at or None,
        injected_ns=record.injected_ns,
        effective_ns=record.effective_ns,
        healed_at=record.healed_at or None,
        healed_ns=record.healed_ns,
        boot_id=record.boot_id,
        proven=record.proven,
        evidence=tuple(line[: bounds.EVIDENCE_CHARACTERS] for line in record.evidence[: bounds.EVIDENCE_LINES]),
        problem=record.problem[: bounds.MESSAGE_CHARACTERS] or None,
    ).to_body()


class Reporter:
    """Sends the newest report of each Fault, and again every again_seconds until send succeeds.

    It never blocks its caller.
    """

    def __init__(self, send: Send, again_seconds: float = 1.0) -> None:
        self._send = send
        self._again = again_seconds
        self._changed = threading.Condition()
        self._pending: dict[str, tuple[Body, float]] = {}  # by the Fault's uid: body, monotonic seconds when due
        self._stopped = False

    def start(self) -> None:
        """Start a daemon thread that sends reports."""
        threading.Thread(target=self._run, name="report", daemon=True).start()

    def stop(self) -> None:
        """Send no more; the next agent reports from the journal what was not sent."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def report(self, fault_uid: str, body: Body) -> None:
        """Queue a report, in place of an earlier one of this Fault that was not sent yet."""
        with self._changed:
            self._pending[fault_uid] = body, 0.0
            self._changed.notify()

    def drop(self, fault_uid: str) -> None:
        """Report nothing more about a Fault."""
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
        except Exception as error:  # of any kind: the fault goes on and heals, and the report is sent again
            reason = " ".join(str(error).split())[:300]
            names = meta.namespace_of(body), meta.name_of(body)
            _log.warning("Report of Fault %s/%s was not sent: %s", *names, reason)
            return False
        return True
