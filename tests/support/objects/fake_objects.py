"""The API server's objects of the lab's group in memory, under the real `Server`: uids, versions, managers."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from chaoscaplab.server import Server

from caplab.contract import names
from caplab.contract.names import API_VERSION, PLURALS, RUN_LABEL, SESSION_LABEL
from caplab.kube.client import Query
from caplab.kube.errors import Conflict, NotFound
from caplab.ownership import MANAGER, labels_of
from caplab.run_context import RunContext
from support.objects.kube_clients import AnsweringClient

Body = dict[str, Any]
_PATH = re.compile(
    rf"/apis/{API_VERSION}/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)(/(?P<name>[^/]+)(?P<status>/status)?)?$"
)
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


class FakeObjects(AnsweringClient):
    """The client of an API server that has only these objects."""

    def __init__(self) -> None:
        super().__init__(self._answer)
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

    def _answer(
        self, method: str, path: str, query: Query, body: Mapping[str, Any], content: str, accept: str
    ) -> bytes:
        match = _PATH.match(path)
        if not match:
            raise NotFound(call=f"{method} {path}")
        namespace, plural, name = match["namespace"], match["plural"], match["name"] or ""
        manager = str(query.get("fieldManager", ""))
        act = {"GET": self._read, "POST": self._create, "PUT": self._replace, "PATCH": self._patch}
        if method == "DELETE":
            self._delete(plural, namespace, name, body)
            return b"{}"
        if method == "PATCH" and match["status"]:
            self._get(plural, namespace, name)["status"] = body["status"]
            return b"{}"
        return json.dumps(act[method](plural, namespace, name, copy.deepcopy(dict(body)), manager)).encode()

    def _read(self, plural: str, namespace: str, name: str, _body: Body, _manager: str) -> Body:
        if name:
            return self._get(plural, namespace, name)
        return {"items": [body for (of, ns, _), body in self.there.items() if (of, ns) == (plural, namespace)]}

    def _create(self, plural: str, namespace: str, _name: str, body: Body, manager: str) -> Body:
        if (plural, namespace, body["metadata"]["name"]) in self.there:
            raise Conflict
        return self._keep(plural, body, manager)

    def _replace(self, plural: str, namespace: str, name: str, body: Body, manager: str) -> Body:
        old = self._get(plural, namespace, name)
        if self.conflicts or old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            self.conflicts = max(0, self.conflicts - 1)
            raise Conflict
        return self._keep(plural, body, manager)

    def _patch(self, plural: str, namespace: str, name: str, body: Body, manager: str) -> Body:
        old = self.there.get((plural, namespace, name))
        identity = {"uid": old["metadata"]["uid"]} if old else {}
        return self._keep(plural, {**body, "metadata": {**body["metadata"], **identity}}, manager)

    def _delete(self, plural: str, namespace: str, name: str, options: Mapping[str, Any]) -> None:
        if options["preconditions"]["uid"] != self._get(plural, namespace, name)["metadata"]["uid"]:
            raise Conflict
        del self.there[plural, namespace, name]
        self.removed.append(name)

    def _get(self, plural: str, namespace: str, name: str) -> Body:
        try:
            return self.there[plural, namespace, name]
        except KeyError:
            raise NotFound from None

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
    server = Server(run, objects)
    for name in ("pods", "volumes"):
        setattr(server, name, lambda *_: [])
    setattr(server, "nodes", list)  # noqa: B010  # mypy knows it as a method
    setattr(server, "open_namespace", lambda *_: None)  # noqa: B010
    return server
