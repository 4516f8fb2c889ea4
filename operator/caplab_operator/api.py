"""The API server as the operator uses it: reads, and server-side apply of objects that a cluster owns."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient, ApiException

from caplab.contract.names import ZONE_LABEL
from caplab.kube import context

from .engines.foreign_fields import additions, removal
from .engines.ownership import ForeignObject, controller, foreign, is_own
from .ledger import Ledger
from .root_key import RootKey

_MANAGER = "caplab-operator"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NOT_FOUND, _CONFLICT = 404, 409
_LOG_SECONDS = (1, 2)

Body = dict[str, Any]


def stamp(at: datetime.datetime) -> str:
    """Format a time as the API server's objects carry it: RFC 3339 in milliseconds."""
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """Return the current time, in the format of stamp."""
    return stamp(datetime.datetime.now(datetime.UTC))


def path_of(api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the API server's path of an object, or of all objects of a kind, without discovery."""
    plural = kind.lower()
    if plural.endswith("y"):
        plural = f"{plural[:-1]}ies"
    elif not plural.endswith("s"):
        plural = f"{plural}s"
    group = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{within}/{plural}" + (f"/{name}" if name else "")


def sentence(error: Exception) -> str:
    """Describe an error, in the API server's own words if the API server refused the request."""
    if isinstance(error, ApiException) and error.body:
        with contextlib.suppress(ValueError):
            status = json.loads(error.body)
            if isinstance(status, dict) and status.get("message"):
                return str(status["message"])
    return str(error) or type(error).__name__


class Api:
    """Blocking client of the API server, for worker threads only, never for kopf's event loop.

    Each call takes a bounded time. Calls raise ApiException if the API server refuses, and urllib3's errors if it
    does not answer.
    """

    def __init__(self, client: ApiClient | None = None) -> None:
        self._client: ApiClient = client or context.connect()
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
        except ApiException as error:
            self.ledger.invalidate(controller(manifest["metadata"])["uid"], _name_of(manifest))
            if error.status != _CONFLICT:
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

    def stands(self, manifest: Mapping[str, Any]) -> bool:
        """Whether the manifest's object is not known to have been changed or removed since it was applied."""
        return self.ledger.uid(manifest) is not None

    def metadata(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return only the metadata of the object that has the manifest's name; None if there is none."""
        with _absence_is_none():
            metadata = manifest["metadata"]
            path = path_of(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
            return dict(self._call("GET", path, accept=METADATA)["metadata"])
        return None

    def metadata_of_all(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the metadata of all objects of a kind that a label selector selects."""
        query = {"labelSelector": selector} if selector else {}
        listed = self._call("GET", path_of(api_version, kind, namespace), query, accept=METADATA_LIST)
        return [item["metadata"] for item in listed["items"] or ()]  # null if there is none

    def delete(self, manifest: Mapping[str, Any]) -> bool:
        """Delete a cluster's own object, and return whether there was one. A foreign object of that name stays."""
        existing = self.metadata(manifest)
        if existing is None or "deletionTimestamp" in existing or not is_own(manifest, existing):
            return False
        metadata = manifest["metadata"]
        self.ledger.invalidate(controller(metadata)["uid"], _name_of(manifest))
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": existing["uid"]}}
        with _gone_is_no_error():
            path = path_of(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
            self._call("DELETE", path, body=only)
        return True

    def create(self, manifest: Mapping[str, Any]) -> bool:
        """Create an object. Returns False if it exists already."""
        path = path_of(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["namespace"])
        try:
            self._call("POST", path, {"fieldManager": _MANAGER}, dict(manifest))
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            return False
        return True

    def apply_status(self, body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write an object's status; fields that it no longer names are removed."""
        metadata = body["metadata"]
        identity = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
        manifest = {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "metadata": identity,
            "status": dict(status),
        }
        path = path_of(body["apiVersion"], body["kind"], metadata["namespace"], metadata["name"])
        query = {"fieldManager": _MANAGER, "force": "true"}
        self._call("PATCH", f"{path}/status", query, manifest, _APPLY, accept=METADATA)

    def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Delete this pod, but no later one of its name; one that is gone already is no error."""
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with _gone_is_no_error():
            self._call("DELETE", path_of("v1", "Pod", namespace, name), body=only)

    def annotate_pod(self, namespace: str, name: str, uid: str, annotations: Mapping[str, str]) -> None:
        """Annotate this pod, but no later one of its name; one that is gone already is no error."""
        self.patch_metadata("Pod", namespace, name, {"uid": uid, "annotations": dict(annotations)})

    def patch_metadata(self, kind: str, namespace: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Change the metadata of the object whose uid it carries; one that is gone already is no error."""
        with _gone_is_no_error():
            path = path_of("v1", kind, namespace, name)
            self._call("PATCH", path, body={"metadata": dict(metadata)}, content=_MERGE, accept=METADATA)

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Read an object; None if there is none."""
        with _absence_is_none():
            return self._call("GET", path_of(api_version, kind, namespace, name))
        return None

    def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[dict[str, Any]]:
        """List the pods that have all these labels."""
        return self.pods_where(namespace, ",".join(f"{name}={value}" for name, value in labels.items()))

    def pods_where(self, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """List the pods that a label selector selects; '' selects all pods of the namespace."""
        return self.all_of("v1", "Pod", namespace, selector)

    def all_of(self, api_version: str, kind: str, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """List the objects of a kind that a label selector selects; '' selects all of the namespace."""
        query = {"labelSelector": selector} if selector else {}
        items: list[dict[str, Any]] = self._call("GET", path_of(api_version, kind, namespace), query)["items"]
        return items

    def warnings(self, namespace: str, kind: str, name: str) -> Sequence[dict[str, Any]]:
        """List the warning events about an object."""
        chosen = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        items: list[dict[str, Any]] = self._call(
            "GET", path_of("v1", "Event", namespace), {"fieldSelector": chosen, "limit": "100"}
        )["items"]
        return items

    def log_end(self, namespace: str, pod: str, container: str, previous: bool) -> bytes:
        """Read a container's last log lines, at most 8 KiB; with previous, those of its previous instance."""
        query = {"container": container, "tailLines": "20", "limitBytes": "8192", "previous": str(previous).lower()}
        path = f"{path_of('v1', 'Pod', namespace, pod)}/log"
        return self._answer("GET", path, query, timeout=_LOG_SECONDS)[:8192]

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """Read a Secret's values as text; {} if there is none."""
        secret = self.get("v1", "Secret", namespace, name)
        data = (secret or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def zone_of(self, node: str) -> str:
        """Return a node's zone. It is read once, since a node does not move."""
        if node not in self._zones:
            self._zones[node] = _zone_of(self._call("GET", path_of("v1", "Node", name=node)))
        return self._zones[node]

    def zones(self) -> dict[str, str]:
        """Return the zone of every node by the node's name, '' if it has none."""
        listed = self._call("GET", path_of("v1", "Node"))["items"]
        return {node["metadata"]["name"]: _zone_of(node) for node in listed}

    def node_exists(self, node: str) -> bool:
        """Whether the Kubernetes cluster has a node of that name."""
        return self.get("v1", "Node", "", node) is not None

    def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the API server allows the operator this verb on this resource."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = path_of(kind["apiVersion"], kind["kind"])
        answer = self._call("POST", path, body={**kind, "spec": {"resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])

    def serves(self, group: str, version: str) -> set[str]:
        """Return the plural names of the kinds that the API server serves in a group; none if it has no such group."""
        with _absence_is_none():
            return {kind["name"] for kind in self._call("GET", f"/apis/{group}/{version}")["resources"]}
        return set()

    def _take_out(self, manifest: Mapping[str, Any], added: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Remove from a cluster's own object what others added. Returns its new metadata, None if unchanged."""
        metadata = manifest["metadata"]
        body = self.get(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
        patch = removal(body, added) if body and is_own(manifest, body["metadata"]) else {}
        if not body or not patch:
            return None
        patch["metadata"] = {"uid": body["metadata"]["uid"], "resourceVersion": body["metadata"]["resourceVersion"]}
        path = path_of(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
        query = {"fieldManager": _MANAGER}
        changed: Mapping[str, Any] = self._call("PATCH", path, query, patch, _MERGE, accept=METADATA)["metadata"]
        return changed

    def request(self, path: str, query: Mapping[str, str], accept: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers of a read, for other HTTP clients. An expired token is read again."""
        _, url, headers, *_ = self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        return url, headers

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context for connections to the API server; None if they are not encrypted."""
        settings = self._client.configuration
        if not settings.host.startswith("https"):
            return None
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        if not settings.verify_ssl:  # as a kubeconfig may ask for
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        return context

    def _uid(self, manifest: Mapping[str, Any]) -> str | None:
        existing = self.look(manifest)
        return str(existing["uid"]) if existing else None

    def _apply(self, manifest: Mapping[str, Any], uid: str | None) -> Mapping[str, Any]:
        metadata = dict(manifest["metadata"])
        if uid is not None:
            metadata["uid"] = uid
        path = path_of(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
        query = {"fieldManager": _MANAGER, "force": "true"}
        body = {**manifest, "metadata": metadata}
        applied: Mapping[str, Any] = self._call("PATCH", path, query, body, _APPLY, accept=METADATA)["metadata"]
        return applied

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> Body:
        """Return the parsed answer. The client's own model objects would take five times as long, and faults wait."""
        answer: Body = json.loads(self._answer(method, path, query, body, content, accept))
        return answer

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        accept: str = "*/*",
        timeout: tuple[float, float] | None = None,
    ) -> bytes:
        request = self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*request, _request_timeout=timeout)
        data: bytes = answer.read()  # type: ignore[no-untyped-call]
        if not 200 <= answer.status < 300:
            raise ApiException(status=answer.status, reason=answer.reason, body=data.decode(errors="replace"))
        return data


@contextlib.contextmanager
def _absence_is_none() -> Any:
    try:
        yield
    except ApiException as error:
        if error.status != _NOT_FOUND:
            raise


@contextlib.contextmanager
def _gone_is_no_error() -> Any:
    try:
        yield
    except ApiException as error:
        if error.status not in (_NOT_FOUND, _CONFLICT):
            raise


def _name_of(manifest: Mapping[str, Any]) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _zone_of(node: Mapping[str, Any]) -> str:
    labels = node["metadata"].get("labels") or {}
    return str(labels.get(ZONE_LABEL, ""))
