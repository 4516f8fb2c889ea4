"""The operator's pure choices about faults, for tests that have objects as the API server has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from caplab_operator.faults import lifecycle, resolving, target_sync
from caplab_operator.faults.inventory import Inventory, Pod
from caplab_operator.faults.targets import Roles
from caplab_operator.handlers import watched
from caplab_operator.handlers.faults.handlers import FaultHandlers

from caplab.contract.objects import Fault, FaultSpec, TargetStatus

Body = Mapping[str, Any]


def resolve(spec: Body, inventory: Inventory, roles: Roles | None = None) -> list[dict[str, Any]]:
    return [entry.to_body() for entry in resolving.resolve(FaultSpec.from_body(spec), inventory, roles)]


def entry_of(pod: Pod) -> dict[str, Any]:
    return resolving.entry_of(pod).to_body()


def synced(fault: Body, inventory: Inventory, now: datetime) -> dict[str, Any] | None:
    status = target_sync.synced(Fault.from_body(fault), inventory, now)
    return status.to_body() if status else None


def is_live(fault: Body, now: datetime) -> bool:
    return target_sync.is_live(Fault.from_body(fault), now)


def decide(fault: Body, now: datetime, lost_nodes: Collection[str] = ()) -> lifecycle.Action:
    return lifecycle.decide(Fault.from_body(fault), now, lost_nodes)


def unhealed_nodes(fault: Body) -> list[str]:
    return lifecycle.unhealed_nodes(Fault.from_body(fault))


def phase_of(entries: Iterable[Body], over: bool, going: bool, lost_nodes: Collection[str], before: str) -> str:
    return lifecycle.phase_of(list(map(TargetStatus.from_body, entries)), over, going, lost_nodes, before)


def operator_part(entry: Body) -> dict[str, Any]:
    return TargetStatus.from_body(entry).operator_part().to_body()


def active_faults(faults: Iterable[Body], namespace: str) -> dict[str, str]:
    return watched.active_faults(map(Fault.from_body, faults), namespace)


def advance(handlers: FaultHandlers, fault: Body) -> None:
    handlers.advance(Fault.from_body(fault))


def sync_targets(handlers: FaultHandlers, fault: Body, inventory: Inventory) -> None:
    handlers.sync_targets(Fault.from_body(fault), inventory)
