"""Handlers of Fault: it is resolved once, and followed until it has ended."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caplab.contract.names import API_VERSION, FAULT, FINALIZER
from caplab.contract.objects import Fault, FaultSpec, FaultStatus, Target
from caplab.kube.errors import Forbidden

from ...api import Api, stamp
from ...faults import lifecycle, target_sync
from ...faults.inventory import Inventory, needs_of
from ...faults.resolving import resolve
from ...faults.targets import NoTarget, Roles
from .reading import Reader

Body = Mapping[str, Any]
# Reads the roles of a cluster's members, given a function that waits for the list of its pods.
RolesOf = Callable[[Api, str, str, Callable[[], Sequence[Body]]], Roles]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaultHandlers:
    """The handlers of Faults, for one thread at a time; roles_of takes the kind of a cluster."""

    api: Api
    roles_of: Callable[[str], RolesOf]
    reader: Reader

    def advance(self, fault: Fault) -> None:
        """Take the next action, if there is one; its change comes back as an event."""
        lost = [node for node in lifecycle.unhealed_nodes(fault) if not self.api.node_exists(node)]
        match lifecycle.decide(fault, _now(), lost):
            case lifecycle.ResolveTargets():
                self._resolve_targets(fault)
            case lifecycle.UpdateStatus():
                self._update_status(fault, lambda now: lifecycle.decide(now, _now(), lost))
            case lifecycle.RemoveFinalizer():
                self.api.apply(_identity(fault))

    def sync_targets(self, fault: Fault, inventory: Inventory) -> None:
        """Update a live fault's targets to the inventory as it is now."""

        def next_status(now: Fault) -> lifecycle.Action:
            status = target_sync.synced(now, inventory, _now()) if target_sync.is_live(now, _now()) else None
            return lifecycle.UpdateStatus(status) if status else None

        if next_status(fault):
            self._update_status(fault, next_status)

    def _update_status(self, fault: Fault, decide: Callable[[Fault], lifecycle.Action]) -> None:
        """Decide again on the current object, and write that.

        The object as last seen may be older than the last write, and would remove entries.
        """
        now = self._read(fault)
        action = decide(now) if now else None
        if now and isinstance(action, lifecycle.UpdateStatus):
            self._write_status(now, action.status)

    def _write_status(self, fault: Fault, status: FaultStatus) -> None:
        self.api.apply_status(_identity(fault), status.to_body())
        _log.info("fault %s/%s: %s", fault.metadata.namespace, fault.metadata.name, _log_line(status))

    def _resolve_targets(self, fault: Fault) -> None:
        if fault.has_finalizer and _is_resolved(self._read(fault)):
            return  # the object as last seen is older than the last write
        namespace, target = str(fault.metadata.namespace), fault.spec.target
        reading = self.reader.begin(namespace, needs_of([fault.spec]))
        now = self.reader.submit(self._read, fault)
        # First the finalizer, then the assignments: an object without it could vanish with a member under its fault.
        held = self.reader.submit(self.api.apply, _identity(fault, finalizers=[FINALIZER]))
        roles = self.reader.submit(self._roles, namespace, target, reading.bodies) if target.role else None
        try:
            entries = resolve(fault.spec, reading.inventory(), roles.result() if roles else None)
            status = lifecycle.resolved(entries, _until(fault.spec))
        except NoTarget as refusal:
            status = lifecycle.refused(str(refusal))
        held.result()
        if not _is_resolved(now.result()):
            self._write_status(fault, status)

    def _roles(self, namespace: str, target: Target, listed: Callable[[], Sequence[Body]]) -> Roles:
        """Read the members' roles; no roles if the operator has no rights there, which come with each cluster."""
        try:
            return self.roles_of(str(target.kind))(self.api, namespace, str(target.name), listed)
        except Forbidden:
            return Roles()

    def _read(self, fault: Fault) -> Fault | None:
        """Read the object again; None if it is gone, or replaced by another of its name."""
        body = self.api.get(API_VERSION, FAULT, str(fault.metadata.namespace), fault.metadata.name)
        now = Fault.from_body(body, FAULT) if body else None
        return now if now and now.metadata.uid == fault.metadata.uid else None


def _is_resolved(now: Fault | None) -> bool:
    """Whether nothing is left to resolve."""
    return now is None or bool(now.status_or_empty.phase)


def _until(spec: FaultSpec) -> str:
    return stamp(_now() + datetime.timedelta(seconds=spec.duration_seconds or 0))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _log_line(status: FaultStatus) -> str:
    """Format a status for the log."""
    pods = [f"{entry.pod} ({entry.uid})" for entry in status.targets or () if entry.is_target]
    return " ".join(filter(None, [status.phase, ", ".join(pods), status.message]))


def _identity(fault: Fault, **metadata: Any) -> dict[str, Any]:
    """Build a manifest of this object and no later one of its name: an apply with a uid never creates one."""
    own = {"name": fault.metadata.name, "namespace": fault.metadata.namespace, "uid": fault.metadata.uid}
    return {"apiVersion": API_VERSION, "kind": FAULT, "metadata": {**own, **metadata}}
