"""Handlers of Fault: it is resolved once, and followed until it has ended."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiException

from caplab.contract.names import FINALIZER

from ..api import Api, stamp
from ..faults import lifecycle, target_sync
from ..faults.inventory import Inventory, needs_of
from ..faults.resolving import resolve
from ..faults.targets import NoTarget, Roles
from .fault_reading import Reader

Body = Mapping[str, Any]
# Reads the roles of a cluster's members, given a function that waits for the list of its pods.
RolesOf = Callable[[Api, str, str, Callable[[], Sequence[Body]]], Roles]

_FORBIDDEN = 403

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaultHandlers:
    """The handlers of Faults, for one thread at a time; roles_of takes the kind of a cluster."""

    api: Api
    roles_of: Callable[[str], RolesOf]
    reader: Reader

    def advance(self, body: Body) -> None:
        """Take the next action, if there is one; its change comes back as an event."""
        lost = [node for node in lifecycle.unhealed_nodes(body) if not self.api.node_exists(node)]
        match lifecycle.decide(body, _now(), lost):
            case lifecycle.ResolveTargets():
                self._resolve_targets(body)
            case lifecycle.UpdateStatus():
                self._update_status(body, lambda now: lifecycle.decide(now, _now(), lost))
            case lifecycle.RemoveFinalizer():
                self.api.apply(_identity(body))

    def sync_targets(self, body: Body, inventory: Inventory) -> None:
        """Update a live fault's targets to the inventory as it is now."""

        def next_status(now: Body) -> lifecycle.Action:
            status = target_sync.synced(now, inventory, _now()) if target_sync.is_live(now, _now()) else None
            return lifecycle.UpdateStatus(status) if status else None

        if next_status(body):
            self._update_status(body, next_status)

    def _update_status(self, body: Body, decide: Callable[[Body], lifecycle.Action]) -> None:
        """Decide again on the current object, and write that.

        The object as last seen may be older than the last write, and would remove entries.
        """
        now = self._read(body)
        action = decide(now) if now else None
        if now and isinstance(action, lifecycle.UpdateStatus):
            self.api.apply_status(now, action.status)
            _log.info("%s: %s", _name(now), _log_line(action.status))

    def _resolve_targets(self, body: Body) -> None:
        if lifecycle.has_finalizer(body) and _is_resolved(self._read(body)):
            return  # the object as last seen is older than the last write
        namespace, spec = body["metadata"]["namespace"], body["spec"]
        reading = self.reader.begin(namespace, needs_of([spec]))
        now = self.reader.submit(self._read, body)
        # First the finalizer, then the assignments: an object without it could vanish with a member under its fault.
        held = self.reader.submit(self.api.apply, _identity(body, finalizers=[FINALIZER]))
        target, roles = spec["target"], None
        if "role" in target:
            roles = self.reader.submit(self._roles, namespace, target, reading.bodies)
        try:
            entries = resolve(spec, reading.inventory(), roles.result() if roles else None)
            status = lifecycle.resolved(entries, _until(spec))
        except NoTarget as refusal:
            status = lifecycle.refused(str(refusal))
        held.result()
        if not _is_resolved(now.result()):
            self.api.apply_status(body, status)
            _log.info("%s: %s", _name(body), _log_line(status))

    def _roles(self, namespace: str, target: Body, listed: Callable[[], Sequence[Body]]) -> Roles:
        """Read the members' roles; no roles if the operator has no rights there, which come with each cluster."""
        try:
            return self.roles_of(target["kind"])(self.api, namespace, target["name"], listed)
        except ApiException as error:
            if error.status != _FORBIDDEN:
                raise
            return Roles()

    def _read(self, body: Body) -> Body | None:
        """Read the object again; None if it is gone, or replaced by another of its name."""
        metadata = body["metadata"]
        now = self.api.get(body["apiVersion"], body["kind"], metadata["namespace"], metadata["name"])
        return now if now and now["metadata"]["uid"] == metadata["uid"] else None


def _is_resolved(now: Body | None) -> bool:
    """Whether nothing is left to resolve."""
    return now is None or bool((now.get("status") or {}).get("phase"))


def _until(spec: Mapping[str, Any]) -> str:
    return stamp(_now() + datetime.timedelta(seconds=spec["durationSeconds"]))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _name(body: Body) -> str:
    return f"fault {body['metadata']['namespace']}/{body['metadata']['name']}"


def _log_line(status: Mapping[str, Any]) -> str:
    """Format a status for the log."""
    pods = [f"{entry['pod']} ({entry['uid']})" for entry in status.get("targets") or () if entry.get("end") != "other"]
    return " ".join(filter(None, [status["phase"], ", ".join(pods), status.get("message", "")]))


def _identity(body: Body, **metadata: Any) -> dict[str, Any]:
    """Build a manifest of this object and no later one of its name: an apply with a uid never creates one."""
    own = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {**own, **metadata}}
