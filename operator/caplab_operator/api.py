"""The API server as the operator uses it: read, and server-side apply."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes import dynamic
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

from caplab import kube

_MANAGER = "caplab-operator"
_APPLY = "application/apply-patch+yaml"
_ZONE_LABEL = "topology.kubernetes.io/zone"


def stamp(at: datetime.datetime) -> str:
    """A time as the API server's objects carry it: RFC 3339 in milliseconds."""
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The time it is, as stamp has it."""
    return stamp(datetime.datetime.now(datetime.UTC))


class Api:
    """Calls block: they are made from worker threads, never from kopf's event loop."""

    def __init__(self) -> None:
        self._client = dynamic.DynamicClient(kube.connect())  # type: ignore[no-untyped-call]
        self._zones: dict[str, str] = {}

    def apply(self, manifest: Mapping[str, Any]) -> str:
        """Make an object what the manifest says; whoever else owns a field of it loses it. The object's uid."""
        metadata = manifest["metadata"]
        applied = self._resource(manifest["apiVersion"], manifest["kind"]).server_side_apply(
            body=dict(manifest),
            name=metadata["name"],
            namespace=metadata["namespace"],
            field_manager=_MANAGER,
            force_conflicts=True,
        )
        return str(applied.metadata.uid)

    def create_if_absent(self, manifest: Mapping[str, Any]) -> None:
        """Create an object that is made once and then left alone."""
        metadata = manifest["metadata"]
        if self.get(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]) is None:
            resource = self._resource(manifest["apiVersion"], manifest["kind"])
            resource.create(body=dict(manifest), namespace=metadata["namespace"])

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
        self._resource(body["apiVersion"], body["kind"]).status.patch(
            body=manifest,
            name=metadata["name"],
            namespace=metadata["namespace"],
            content_type=_APPLY,
            field_manager=_MANAGER,
            force_conflicts=True,
        )

    def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """End just this pod, and no later one of its name; one that is gone already is no error."""
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with contextlib.suppress(NotFoundError, ConflictError):
            self._resource("v1", "Pod").delete(name=name, namespace=namespace, body=only)

    def annotate_pod(self, namespace: str, name: str, uid: str, annotations: Mapping[str, str]) -> None:
        """Annotate just this pod, and no later one of its name; one that is gone already is no error."""
        body = {"metadata": {"uid": uid, "annotations": dict(annotations)}}
        with contextlib.suppress(NotFoundError, ConflictError):
            self._resource("v1", "Pod").patch(
                body=body, name=name, namespace=namespace, content_type="application/merge-patch+json"
            )

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None where there is none."""
        try:
            return self._read(api_version, kind, name=name, namespace=namespace or None)
        except NotFoundError:
            return None

    def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[dict[str, Any]]:
        """The pods that all labels select."""
        return self.pods_where(namespace, ",".join(f"{name}={value}" for name, value in labels.items()))

    def pods_where(self, namespace: str, selector: str) -> Sequence[dict[str, Any]]:
        """The pods that a label selector selects; '' selects all of the namespace."""
        items: list[dict[str, Any]] = self._read("v1", "Pod", namespace=namespace, label_selector=selector)["items"]
        return items

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """A secret's values as text; {} where there is none."""
        found = self.get("v1", "Secret", namespace, name)
        data = (found or {}).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def zone_of(self, node: str) -> str:
        """A node's zone: asked once, since a node does not move."""
        if node not in self._zones:
            self._zones[node] = _zone_of(self._resource("v1", "Node").get(name=node).to_dict())
        return self._zones[node]

    def zones(self) -> dict[str, str]:
        """The zone of every node there is, '' where it has none."""
        listed = self._resource("v1", "Node").get().to_dict()["items"]
        return {node["metadata"]["name"]: _zone_of(node) for node in listed}

    def node_exists(self, node: str) -> bool:
        """Whether the cluster knows a node of that name."""
        return self.get("v1", "Node", "", node) is not None

    def _read(self, api_version: str, kind: str, **what: str | None) -> dict[str, Any]:
        """As it comes: the client's own objects take five times as long, and a fault waits for this."""
        answer = self._resource(api_version, kind).get(serialize=False, **what)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    def _resource(self, api_version: str, kind: str) -> Any:
        return self._client.resources.get(api_version=api_version, kind=kind)


def _zone_of(node: Mapping[str, Any]) -> str:
    labels = node["metadata"].get("labels") or {}
    return str(labels.get(_ZONE_LABEL, ""))
