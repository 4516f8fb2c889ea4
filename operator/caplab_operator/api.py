"""The API server as the operator uses it: reads, and server-side apply of objects that a cluster owns."""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from caplab.contract import meta
from caplab.contract.names import ZONE_LABEL
from caplab.contract.objects import Metadata
from caplab.kube.client import METADATA, METADATA_LIST, Client
from caplab.kube.context import connect
from caplab.kube.errors import ApiError, Conflict, NotFound
from caplab.kube.paths import path_of
from caplab.kube.watcher import Watcher

from .engines.foreign_fields import additions, removal
from .engines.ownership import ForeignObject, controller, foreign, is_own
from .ledger import Ledger
from .root_key import RootKey

_MANAGER = "caplab-operator"
_LOG_SECONDS = {"connect_seconds": 1.0, "read_seconds": 2.0}


def stamp(at: datetime.datetime) -> str:
    """Format a time as the API server's objects carry it: RFC 3339 in milliseconds."""
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """Return the current time, in the format of stamp."""
    return stamp(datetime.datetime.now(datetime.UTC))


class Api:
    """Blocking client of the API server, for worker threads only, never for kopf's event loop.

    Each call takes a bounded time, and raises ApiError.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client or connect()
        self._zones: dict[str, str] = {}
        self.ledger = Ledger()
        self.root_key = RootKey(self)

    def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Apply a manifest by force, taking over fields of other owners. Returns the object's metadata.

        An object of a cluster must not exist yet, or be the cluster's own: otherwise raises ForeignObject, and changes
        nothing. The uid that the ownership was checked for goes along, so a later object of that name is refused.
        """
        if not controller(manifest["metadata"]):
            return self._apply(manifest, None)
        try:
            applied = self._apply(manifest, self.ledger.uid(manifest) or self._uid(manifest))
        except ApiError as error:
            self.ledger.invalidate(controller(manifest["metadata"])["uid"], _name_of(manifest))
            if not isinstance(error, Conflict):
                raise
            applied = self._apply(manifest, self._uid(manifest))  # it was removed or replaced since the lookup
        if added := additions(applied, _MANAGER):
            applied = self._take_out(manifest, added) or applied
        self.ledger.note(manifest, applied)
        return applied

    def look(self, manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the metadata of the object that has the manifest's name, None if there is none.

        Raises ForeignObject if it is not the cluster's own.
        """
        existing = self.metadata(manifest)
        if existing is not None and not is_own(manifest, existing):
            raise ForeignObject([foreign(manifest["kind"], existing)])
        return existing

    def is_current(self, manifest: Mapping[str, Any]) -> bool:
        """Whether this manifest was the last one applied, and its object is not known to have changed since."""
        return self.ledger.is_current(manifest)

    def metadata(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return only the metadata of the object that has the manifest's name; None if there is none."""
        there = self._client.get(*_identity(manifest), accept=METADATA)
        return dict(there["metadata"]) if there else None

    def metadata_of_all(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the metadata of all objects of a kind that a label selector selects."""
        listed = self._client.list_all(api_version, kind, namespace, selector, accept=METADATA_LIST)
        return [item["metadata"] for item in listed]

    def delete(self, manifest: Mapping[str, Any]) -> bool:
        """Delete a cluster's own object, and return whether there was one. A foreign object of that name stays."""
        existing = self.metadata(manifest)
        if existing is None or not is_own(manifest, existing):
            return False
        if Metadata.from_body(existing, "metadata").is_being_deleted:
            return False
        self.ledger.invalidate(controller(manifest["metadata"])["uid"], _name_of(manifest))
        self._client.delete(*_identity(manifest), uid=existing["uid"])
        return True

    def create(self, manifest: Mapping[str, Any]) -> bool:
        """Create an object. Returns False if it exists already."""
        try:
            self._client.create(manifest, _MANAGER)
        except Conflict:
            return False
        return True

    def apply_status(self, body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write an object's status; fields that it no longer names are removed."""
        identity = {"name": meta.name_of(body), "namespace": meta.namespace_of(body), "uid": meta.uid_of(body)}
        manifest = {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "metadata": identity,
            "status": dict(status),
        }
        self._client.apply_status(manifest, _MANAGER)

    def patch(
        self, api_version: str, kind: str, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> None:
        """Apply a JSON patch to an object, whole or not at all. Raises Refused if one of its tests fails."""
        self._client.patch(api_version, kind, namespace, name, operations)

    def watch_pods(self, selector: str, changed: Callable[[list[Mapping[str, Any]]], None]) -> None:
        """Call changed with all pods that a label selector selects, after every change, in a thread of its own."""
        selectors = {"labelSelector": selector}
        Watcher(
            client=self._client, api_version="v1", kind="Pod", namespace="", selectors=selectors, changed=changed
        ).start()

    def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Delete this pod, but no later one of its name; one that is gone already is no error."""
        self._client.delete("v1", "Pod", namespace, name, uid=uid)

    def annotate_pod(self, namespace: str, name: str, uid: str, annotations: Mapping[str, str]) -> None:
        """Annotate this pod, but no later one of its name; one that is gone already is no error."""
        self.patch_metadata("Pod", namespace, name, {"uid": uid, "annotations": dict(annotations)})

    def patch_metadata(self, kind: str, namespace: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Change the metadata of the object whose uid it carries; one that is gone already is no error."""
        with suppress(NotFound, Conflict):
            self._client.merge("v1", kind, namespace, name, {"metadata": dict(metadata)})

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Read an object; None if there is none."""
        return self._client.get(api_version, kind, namespace, name)

    def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[dict[str, Any]]:
        """List the pods that have all these labels."""
        return self.pods_where(namespace, ",".join(f"{name}={value}" for name, value in labels.items()))

    def pods_where(self, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """List the pods that a label selector selects; '' selects all pods of the namespace."""
        return self.all_of("v1", "Pod", namespace, selector)

    def all_of(self, api_version: str, kind: str, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """List the objects of a kind that a label selector selects; '' selects all of the namespace."""
        return self._client.list_all(api_version, kind, namespace, selector)

    def warnings(self, namespace: str, kind: str, name: str) -> Sequence[dict[str, Any]]:
        """List the warning events about an object."""
        chosen = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        return self._client.list_all("v1", "Event", namespace, fieldSelector=chosen, limit="100")

    def log_end(self, namespace: str, pod: str, container: str, previous: bool) -> bytes:
        """Read a container's last log lines, at most 8 KiB; with previous, those of its previous instance."""
        query = {"container": container, "tailLines": "20", "limitBytes": "8192", "previous": str(previous).lower()}
        path = f"{path_of('v1', 'Pod', namespace, pod)}/log"
        return self._client.limited(**_LOG_SECONDS).answer("GET", path, query)[:8192]

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """Read a Secret's values as text; {} if there is none."""
        secret = self.get("v1", "Secret", namespace, name)
        data = (secret or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def zone_of(self, node: str) -> str:
        """Return a node's zone. It is read once, since a node does not move."""
        if node not in self._zones:
            self._zones[node] = _zone_of(self._client.call("GET", path_of("v1", "Node", name=node)))
        return self._zones[node]

    def zones(self) -> dict[str, str]:
        """Return the zone of every node by the node's name, '' if it has none."""
        return {meta.name_of(node): _zone_of(node) for node in self._client.list_all("v1", "Node")}

    def node_exists(self, node: str) -> bool:
        """Whether the Kubernetes cluster has a node of that name."""
        return self.get("v1", "Node", "", node) is not None

    def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the API server allows the operator this verb on this resource."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = path_of(kind["apiVersion"], kind["kind"])
        answer = self._client.call("POST", path, body={**kind, "spec": {"resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])

    def serves(self, group: str, version: str) -> set[str]:
        """Return the plural names of the kinds that the API server serves in a group; none if it has no such group."""
        try:
            return {kind["name"] for kind in self._client.call("GET", f"/apis/{group}/{version}")["resources"]}
        except NotFound:
            return set()

    def _take_out(self, manifest: Mapping[str, Any], added: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Remove from a cluster's own object what others added. Returns its new metadata, None if unchanged."""
        body = self.get(*_identity(manifest))
        patch = removal(body, added) if body and is_own(manifest, body["metadata"]) else {}
        if not body or not patch:
            return None
        patch["metadata"] = {"uid": meta.uid_of(body), "resourceVersion": body["metadata"]["resourceVersion"]}
        return dict(self._client.merge(*_identity(manifest), patch, _MANAGER)["metadata"])

    def request(self, path: str, query: Mapping[str, str], accept: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers of a read, for other HTTP clients. An expired token is read again."""
        return self._client.request(path, query, accept)

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context for connections to the API server; None if they are not encrypted."""
        return self._client.tls()

    def _uid(self, manifest: Mapping[str, Any]) -> str | None:
        existing = self.look(manifest)
        return str(existing["uid"]) if existing else None

    def _apply(self, manifest: Mapping[str, Any], uid: str | None) -> Mapping[str, Any]:
        metadata = dict(manifest["metadata"])
        if uid is not None:
            metadata["uid"] = uid
        applied = self._client.apply({**manifest, "metadata": metadata}, _MANAGER, METADATA)
        return dict(applied["metadata"])


def _identity(manifest: Mapping[str, Any]) -> tuple[str, str, str, str]:
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]


def _name_of(manifest: Mapping[str, Any]) -> tuple[str, str]:
    return manifest["kind"], meta.name_of(manifest)


def _zone_of(node: Mapping[str, Any]) -> str:
    labels = meta.labels_of(node)
    return str(labels.get(ZONE_LABEL, ""))
