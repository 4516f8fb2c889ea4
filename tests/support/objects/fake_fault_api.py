"""An API server for the operator's tests: one Fault and the pods of a namespace; it keeps what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from caplab_operator.faults.inventory import Pod
from caplab_operator.faults.targets import Roles
from caplab_operator.handlers.faults.handlers import FaultHandlers
from caplab_operator.handlers.faults.reading import Reader

from caplab.contract.names import FINALIZER
from support.operator.fault_bodies import resolve
from support.operator.fault_inventory import INVENTORY, ZONES, body, listed, of, spec, status_of

PRIMARY = of("pg", role="primary")
KILL, PEERS = spec(PRIMARY), spec(PRIMARY, partition={"from": "peers"})
LED = Roles(primary="pg-1")


class FakeFaultApi:
    """One Fault and the pods of a namespace, with all writes in order."""

    def __init__(self, fault: dict[str, Any] | None, pods: Sequence[Pod] = INVENTORY.pods) -> None:
        self.fault = fault
        self.pods = list(pods)
        self.written: list[str] = []
        self.lists = 0
        self.nodes = set(ZONES)
        self.fails = False

    def get(self, _version: str, kind: str, _namespace: str, _name: str) -> dict[str, Any] | None:
        return deepcopy(self.fault) if kind == "Fault" else None

    def pods_where(self, _namespace: str, _selector: str) -> list[dict[str, Any]]:
        self.lists += 1
        if self.fails:
            raise OSError("no API server")
        return [listed(pod) for pod in self.pods]

    def zone_of(self, node: str) -> str:
        return ZONES[node]

    def node_exists(self, node: str) -> bool:
        return node in self.nodes

    def apply(self, manifest: Mapping[str, Any]) -> None:
        assert self.fault
        self.fault["metadata"]["finalizers"] = finalizers = manifest["metadata"].get("finalizers", [])
        self.written.append("hold" if finalizers else "release")

    def apply_status(self, _body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Merge a status as the API server does: what agents wrote stays."""
        assert self.fault
        agents = {entry["uid"]: entry for entry in self.fault["status"].get("targets") or ()}
        merged = [agents.get(entry["uid"], {}) | entry for entry in status.get("targets", ())]
        self.fault["status"] = {**status, "targets": merged}
        self.written.append(f"status {status['phase']}")

    @property
    def entries(self) -> list[dict[str, Any]]:
        assert self.fault
        entries: list[dict[str, Any]] = self.fault["status"]["targets"]
        return entries

    def say(self, state: str) -> None:
        """Write the fields of all entries, as the agents would."""
        for entry in self.entries:
            entry["state"] = state


def _led(_api: object, _namespace: str, _name: str, pods: Callable[[], Sequence[object]]) -> Roles:
    assert len(pods()) == len(INVENTORY.pods)
    return LED


def handlers_of(api: Any, roles: Callable[..., Roles] = _led) -> FaultHandlers:
    """Return handlers for Postgres alone; pg-1 is primary unless something else is given."""
    return FaultHandlers(api, {"PostgresCluster": roles}.__getitem__, Reader(api))


def live(fault_spec: dict[str, Any], phase: str = "Active", **metadata: Any) -> dict[str, Any]:
    """Make a fault that was resolved just now."""
    status = status_of(resolve(fault_spec, INVENTORY, LED), phase)
    status["until"] = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    return body(fault_spec, status, finalizers=[FINALIZER], **metadata)
