"""Faults as listed objects, and a lab of them whose agents and operator do their part."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from caplab_cluster.kind_cluster import WORKERS

from caplab.contract.names import FINALIZER
from caplab.contract.objects import Fault
from caplab.contract.phases import TARGET_ENDED
from caplab.faults.rows import UNREADABLE, read_fault, unanswered
from caplab.kube.errors import refusal

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
UNTIL = "2026-11-21T12:00:10.000Z"

# What a Fault that no reader of this version understands has in place of its own.
UNREADABLE_PARTS: list[dict[str, Any]] = [
    {"spec": {"kill": {}}},
    {"spec": {"target": {"members": "pg-0"}}},
    {"status": {"targets": [{"pod": "pg-0"}]}},
    {"status": {"targets": 1}},
]


def entry(pod: str = "pg-0", node: str = WORKERS[0], **fields: Any) -> dict[str, Any]:
    at = "2026-11-21T11:59:50.250Z"
    return {"uid": f"uid of {pod}", "pod": pod, "node": node, "state": "Active", "injectedAt": at, **fields}


def fault(
    *entries: dict[str, Any], name: str = "f", what: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    metadata = {
        "namespace": "lab", "name": name, "uid": f"uid of {name}", "resourceVersion": "1",
        "creationTimestamp": "2026-11-21T11:59:50Z", "finalizers": [FINALIZER],
    }  # fmt: skip
    target = {"kind": "PostgresCluster", "name": "pg", "role": "primary"}
    full = {"phase": "Active", "until": UNTIL, "targets": list(entries), **status}
    return {"metadata": metadata, "spec": {"target": target, **(what or {"kill": {}})}, "status": full}


def listed(*entries: dict[str, Any], **fields: Any) -> Fault:
    return read_fault(fault(*entries, **fields))


class FakeLab:
    """Faults, with agents and an operator that do their part between two reads."""

    def __init__(self, *faults: dict[str, Any], silent: Sequence[str] = (), operator: bool = True) -> None:
        self.faults = [copy.deepcopy(fault) for fault in faults]
        self.silent, self.operator = silent, operator
        self.seconds = 0.0
        self.released: list[str] = []
        self.forbidden: tuple[str, ...] = ()

    def all(self) -> list[Fault]:
        faults = [read_fault(body) for body in self.faults]
        self._go_on()
        return faults

    def delete(self, fault: Fault) -> None:
        self._may("delete")
        mine = self._own(fault)
        mine["metadata"]["deletionTimestamp"] = "now"
        self._sweep()

    def release(self, fault: Fault) -> None:
        self._may("patch")
        mine = self._own(fault)
        assert not unanswered(read_fault(mine)), "a finalizer was taken away from a fault that may be live"
        self.released.append(mine["metadata"]["name"])
        mine["metadata"]["finalizers"].remove(FINALIZER)
        self._sweep()

    def _own(self, fault: Fault) -> dict[str, Any]:
        (mine,) = [candidate for candidate in self.faults if candidate["metadata"]["uid"] == fault.metadata.uid]
        return mine

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def _go_on(self) -> None:
        for fault in self.faults:
            if "deletionTimestamp" not in fault["metadata"] or read_fault(fault).status_or_empty.phase == UNREADABLE:
                continue
            targets = fault["status"].get("targets") or []
            for target in targets:
                if target["node"] not in self.silent and target.get("state") not in TARGET_ENDED:
                    target["state"] = "Healed"
            as_read = read_fault(fault)
            if self.operator and not unanswered(as_read) and as_read.has_finalizer:
                fault["metadata"]["finalizers"].remove(FINALIZER)
        self._sweep()

    def _may(self, verb: str) -> None:
        if verb in self.forbidden:
            raise refusal(403, "Forbidden", json.dumps({"message": f"you may not {verb} faults"}))

    def _sweep(self) -> None:
        self.faults = [
            fault
            for fault in self.faults
            if "deletionTimestamp" not in fault["metadata"] or fault["metadata"].get("finalizers")
        ]
