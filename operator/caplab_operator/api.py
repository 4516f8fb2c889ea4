"""The API server as the operator uses it: read, and server-side apply of what is the cluster's own."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.client import ApiClient, ApiException

from caplab import kube

from .engines.foreign_fields import additions, removal
from .engines.ownership import ForeignObject, controller, foreign, is_own
from .ledger import Ledger
from .root_key import RootKey

_MANAGER = "caplab-operator"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_ZONE_LABEL = "topology.kubernetes.io/zone"
_NOT_FOUND, _CONFLICT = 404, 409
_LOG_SECONDS = (1, 2)

Body = dict[str, Any]


def stamp(at: datetime.datetime) -> str:
    """A time as the API server's objects carry it: RFC 3339 in milliseconds."""
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The time it is, as stamp has it."""
    return stamp(datetime.datetime.now(datetime.UTC))


def path_of(api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Where the API server has an object, or all of its kind; nothing has to be discovered for that."""
    plural = kind.lower()
    if plural.endswith("y"):
        plural = f"{plural[:-1]}ies"
    elif not plural.endswith("s"):
        plural = f"{plural}s"
    group = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{within}/{plural}" + (f"/{name}" if name else "")


def sentence(error: Exception) -> str:
    """What went wrong, in the API server's own words where it was that which refused."""
    if isinstance(error, ApiException) and error.body:
        with contextlib.suppress(ValueError):
            status = json.loads(error.body)
            if isinstance(status, dict) and status.get("message"):
                return str(status["message"])
    return str(error) or type(error).__name__


class Api:
    """Calls block, each for a bounded time: they are made from worker threads, never from kopf's event loop.

    Raises ApiException where the API server refuses, and urllib3's errors where it does not answer.
    """

    def __init__(self, client: ApiClient | None = None) -> None:
        self._client: ApiClient = client or kube.connect()
        self._zones: dict[str, str] = {}
        self.ledger = Ledger()
        self.root_key = RootKey(self)

    def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make an object what the manifest says; whoever else owns a field of it loses it. The object's metadata.

        One of a cluster's must not be there yet or be the cluster's own: raises ForeignObject, and touches nothing.
        Whose it is was looked up, so the object's uid goes along: another one that has its name by now is refused.
        """
        if not controller(manifest["metadata"]):
            return self._apply(manifest, None)
        try:
            applied = self._apply(manifest, self.ledger.uid(manifest) or self._uid(manifest))
        except ApiException as error:
            self.ledger.invalidate(controller(manifest["metadata"])["uid"], _name_of(manifest))
            if error.status != _CONFLICT:
                raise
            applied = self._apply(manifest, self._uid(manifest))  # it is gone, or another, since it was looked up
        if added := additions(applied, _MANAGER):
            applied = self._take_out(manifest, added) or applied
        self.ledger.note(manifest, applied)
        return applied

    def look(self, manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The metadata of the object that has the manifest's name; None: there is none. Raises ForeignObject."""
        existing = self.metadata(manifest)
        if existing is not None and not is_own(manifest, existing):
            raise ForeignObject([foreign(manifest["kind"], existing)])
        return existing

    def stands(self, manifest: Mapping[str, Any]) -> bool:
        """Whether nobody is known to have changed or removed the manifest's object since it was applied."""
        return self.ledger.uid(manifest) is not None

    def metadata(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """The metadata, and nothing else, of the object that has the manifest's name; None where there is none."""
        with _absence_is_none():
            metadata = manifest["metadata"]
            path = path_of(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])
            return dict(self._call("GET", path, accept=METADATA)["metadata"])
        return None

    def metadata_of_all(self, api_version: str, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """The metadata of all objects of a kind that a label selector selects."""
        query = {"labelSelector": selector} if selector else {}
        listed = self._call("GET", path_of(api_version, kind, namespace), query, accept=METADATA_LIST)
        return [item["metadata"] for item in listed["items"] or ()]  # null where there is none

    def delete(self, manifest: Mapping[str, Any]) -> bool:
        """Delete a cluster's own object; whether there was one. One of that name that is somebody else's stays."""
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
        """Create an object; whether it was not there yet."""
        path = path_of(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["namespace"])
        try:
            self._call("POST", path, {"fieldManager": _MANAGER}, dict(manifest))
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            return False
        return True

    def apply_status(self, body: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write an object's status: fields that are no longer named go."""
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
        """End just this pod, and no later one of its name; one that is gone already is no error."""
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with _gone_is_no_error():
            self._call("DELETE", path_of("v1", "Pod", namespace, name), body=only)

    def annotate_pod(self, namespace: str, name: str, uid: str, annotations: Mapping[str, str]) -> None:
        """Annotate just this pod, and no later one of its name; one that is gone already is no error."""
        self.patch_metadata("Pod", namespace, name, {"uid": uid, "annotations": dict(annotations)})

    def patch_metadata(self, kind: str, namespace: str, name: str, metadata: Mapping[str, Any]) -> None:
        """Change the metadata of just the object whose uid it carries; one that is gone already is no error."""
        with _gone_is_no_error():
            path = path_of("v1", kind, namespace, name)
            self._call("PATCH", path, body={"metadata": dict(metadata)}, content=_MERGE, accept=METADATA)

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None where there is none."""
        with _absence_is_none():
            return self._call("GET", path_of(api_version, kind, namespace, name))
        return None

    def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[dict[str, Any]]:
        """The pods that all labels select."""
        return self.pods_where(namespace, ",".join(f"{name}={value}" for name, value in labels.items()))

    def pods_where(self, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """The pods that a label selector selects; '' selects all of the namespace."""
        return self.all_of("v1", "Pod", namespace, selector)

    def all_of(self, api_version: str, kind: str, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """The objects of a kind that a label selector selects; '' selects all of the namespace."""
        query = {"labelSelector": selector} if selector else {}
        items: list[dict[str, Any]] = self._call("GET", path_of(api_version, kind, namespace), query)["items"]
        return items

    def warnings(self, namespace: str, kind: str, name: str) -> Sequence[dict[str, Any]]:
        """The events that warn of an object."""
        chosen = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        items: list[dict[str, Any]] = self._call(
            "GET", path_of("v1", "Event", namespace), {"fieldSelector": chosen, "limit": "100"}
        )["items"]
        return items

    def log_end(self, namespace: str, pod: str, container: str, previous: bool) -> bytes:
        """The last lines that a container logged, at most 8 KiB; of the one before the running one, if asked."""
        query = {"container": container, "tailLines": "20", "limitBytes": "8192", "previous": str(previous).lower()}
        path = f"{path_of('v1', 'Pod', namespace, pod)}/log"
        return self._answer("GET", path, query, timeout=_LOG_SECONDS)[:8192]

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """A secret's values as text; {} where there is none."""
        secret = self.get("v1", "Secret", namespace, name)
        data = (secret or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def zone_of(self, node: str) -> str:
        """A node's zone: asked once, since a node does not move."""
        if node not in self._zones:
            self._zones[node] = _zone_of(self._call("GET", path_of("v1", "Node", name=node)))
        return self._zones[node]

    def zones(self) -> dict[str, str]:
        """The zone of every node there is, '' where it has none."""
        listed = self._call("GET", path_of("v1", "Node"))["items"]
        return {node["metadata"]["name"]: _zone_of(node) for node in listed}

    def node_exists(self, node: str) -> bool:
        """Whether the cluster knows a node of that name."""
        return self.get("v1", "Node", "", node) is not None

    def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the API server lets the operator do that."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        path = path_of(kind["apiVersion"], kind["kind"])
        answer = self._call("POST", path, body={**kind, "spec": {"resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])

    def serves(self, group: str, version: str) -> set[str]:
        """The plural names of the kinds that the API server has of a group; none where it knows no such group."""
        with _absence_is_none():
            return {kind["name"] for kind in self._call("GET", f"/apis/{group}/{version}")["resources"]}
        return set()

    def _take_out(self, manifest: Mapping[str, Any], added: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Take out of an object of the cluster's own what others added; its metadata since then, None if unchanged."""
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
        """URL and headers of a read, for who makes it otherwise: the token is read anew where it has expired."""
        _, url, headers, *_ = self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": accept},
            auth_settings=["BearerToken"],
        )
        return url, headers

    def tls(self) -> ssl.SSLContext | None:
        """What a connection to the API server is checked against; None where it is not encrypted."""
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
        """As it comes: the client's own objects take five times as long, and a fault waits for this."""
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
    return str(labels.get(_ZONE_LABEL, ""))
