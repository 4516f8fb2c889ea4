"""The API server's objects of the lab's group in memory, under the real `Server`: uids, versions, managers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from chaoscaplab.server import Server
from kubernetes.client import ApiException

from caplab.contract import names
from caplab.contract.names import PLURALS, RUN_LABEL, SESSION_LABEL
from caplab.ownership import MANAGER, labels_of
from caplab.run_context import RunContext

Body = dict[str, Any]
KINDS = {plural: kind for kind, plural in PLURALS.items()}


def of_run(body: Body, run: str = "r-1", session: str = "s-1", manager: str = MANAGER) -> Body:
    """Return the same object as made by a run; by another manager it is a copy of such an object."""
    fields: Body = {f"f:{RUN_LABEL}": {}, f"f:{SESSION_LABEL}": {}}
    entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": fields}}}
    metadata = {**body["metadata"], "labels": labels_of(run, session), "managedFields": [entry]}
    return {**body, "metadata": metadata}


# As little as the API server lets through.
_SPECS: Mapping[str, Mapping[str, Any]] = {
    names.FAULT: {"target": {}},
    names.PROBE: {"target": {"kind": "RedisCluster", "name": "rd"}, "workload": "set", "rate": 1, "vantages": ["a"],
                  "runId": "r-1"},
    names.RUN: {"experiment": "redis/control", "engine": "redis", "mode": "none", "fault": "none"},
}  # fmt: skip


class FakeObjects:
    """A stand-in for kubernetes' CustomObjectsApi."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, str, str], Body] = {}  # by plural, namespace and name
        self.removed: list[str] = []
        self.made = 0
        self.conflicts = 0  # how many changes fail, as if the operator had been faster

    def put(self, kind: str, name: str, spec: Mapping[str, Any] | None = None, namespace: str = "ns") -> Body:
        """Add an object that was made by hand."""
        body = {
            "kind": kind,
            "metadata": {"namespace": namespace, "name": name},
            "spec": dict(_SPECS.get(kind, {}) if spec is None else spec),
        }
        return self._keep(PLURALS[kind], body, "kubectl-create")

    def put_of_run(self, kind: str, name: str, run: str, session: str = "s-0", **fields: Any) -> Body:
        """Add an object that a run made; fields are others than kind, metadata and spec."""
        body = of_run(self.put(kind, name), run, session) | fields
        self.there[PLURALS[kind], "ns", name] = body
        return body

    def names(self, kind: str) -> list[str]:
        return [name for plural, _, name in self.there if plural == PLURALS[kind]]

    def create_namespaced_custom_object(
        self, _group: str, _version: str, namespace: str, plural: str, body: Body, field_manager: str = "", **_: Any
    ) -> Body:
        if (plural, namespace, body["metadata"]["name"]) in self.there:
            raise ApiException(status=409)
        return copy.deepcopy(self._keep(plural, copy.deepcopy(body), field_manager))

    def replace_namespaced_custom_object(
        self, _group: str, _version: str, namespace: str, plural: str, name: str, body: Body, **more: Any
    ) -> Body:
        old = self._get(plural, namespace, name)
        if self.conflicts or old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            self.conflicts = max(0, self.conflicts - 1)
            raise ApiException(status=409)
        return copy.deepcopy(self._keep(plural, copy.deepcopy(body), more["field_manager"]))

    def patch_namespaced_custom_object(
        self, _group: str, _version: str, namespace: str, plural: str, name: str, body: Body, **more: Any
    ) -> Body:
        old = self.there.get((plural, namespace, name))
        identity = {"uid": old["metadata"]["uid"]} if old else {}
        return self._keep(plural, {**body, "metadata": {**body["metadata"], **identity}}, more["field_manager"])

    def patch_namespaced_custom_object_status(
        self, _group: str, _version: str, namespace: str, plural: str, name: str, body: Body, **_: Any
    ) -> None:
        self._get(plural, namespace, name)["status"] = body["status"]

    def get_namespaced_custom_object(
        self, _group: str, _version: str, namespace: str, plural: str, name: str, **_: Any
    ) -> Body:
        return copy.deepcopy(self._get(plural, namespace, name))

    def list_namespaced_custom_object(self, _group: str, _version: str, namespace: str, plural: str, **_: Any) -> Body:
        return {
            "items": [
                copy.deepcopy(body) for (of, ns, _), body in self.there.items() if (of, ns) == (plural, namespace)
            ]
        }

    def delete_namespaced_custom_object(
        self, _group: str, _version: str, namespace: str, plural: str, name: str, body: Body, **_: Any
    ) -> None:
        stored = self._get(plural, namespace, name)
        if body["preconditions"]["uid"] != stored["metadata"]["uid"]:
            raise ApiException(status=409)
        del self.there[plural, namespace, name]
        self.removed.append(name)

    def _get(self, plural: str, namespace: str, name: str) -> Body:
        try:
            return self.there[plural, namespace, name]
        except KeyError:
            raise ApiException(status=404) from None

    def _keep(self, plural: str, body: Body, manager: str) -> Body:
        metadata, self.made = body["metadata"], self.made + 1
        metadata.setdefault("uid", f"uid-{self.made}")
        metadata["resourceVersion"] = str(self.made)
        labels: Body = {f"f:{name}": {} for name in metadata.get("labels") or ()}
        entry = {"manager": manager, "fieldsV1": {"f:metadata": {"f:labels": labels}}}
        others = [entry for entry in metadata.get("managedFields") or () if entry["manager"] != manager]
        metadata["managedFields"] = [*others, entry]
        self.there[plural, metadata["namespace"], metadata["name"]] = body
        return body


def server_of(objects: FakeObjects, run: RunContext) -> Server:
    """Return a run's real Server on these objects, without pods, volumes and nodes."""
    server = Server.__new__(Server)
    server._custom, server.run = objects, run
    for name in ("pods", "volumes"):
        setattr(server, name, lambda *_: [])
    setattr(server, "nodes", list)  # noqa: B010  # mypy knows it as a method
    setattr(server, "open_namespace", lambda *_: None)  # noqa: B010
    return server
