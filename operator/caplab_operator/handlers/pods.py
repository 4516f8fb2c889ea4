"""Pods as the API server lists them, for the engines and for faults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..api import Api
from ..engines.pods import Pod
from ..faults.targets import Member

_REVISION_LABEL = "controller-revision-hash"
_FILES_ANNOTATION = "caplab.dev/files"


def pods_of(api: Api, namespace: str, labels: Mapping[str, str]) -> tuple[Pod, ...]:
    """The pods that all labels select."""
    return tuple(_pod(api, body) for body in api.pods(namespace, labels))


def _pod(api: Api, body: Mapping[str, Any]) -> Pod:
    metadata, status, node = body["metadata"], body.get("status") or {}, body["spec"].get("nodeName") or ""
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        node=node,
        zone=api.zone_of(node) if node else "",
        address=status.get("podIP"),
        namespace=metadata["namespace"],
        revision=(metadata.get("labels") or {}).get(_REVISION_LABEL, ""),
        files=(metadata.get("annotations") or {}).get(_FILES_ANNOTATION, ""),
        ready=any(said["type"] == "Ready" and said["status"] == "True" for said in status.get("conditions") or ()),
        leaving="deletionTimestamp" in metadata,
    )


def have_seen(api: Api, pods: Sequence[Pod], config_map: Mapping[str, Any]) -> None:
    """Have the pods' nodes bring them a ConfigMap's files now, and not when a minute is over.

    A node looks at a pod's files again whenever anything of the pod changes, and so when it is told of them here.
    """
    text = json.dumps(config_map["data"], sort_keys=True)
    files = hashlib.sha256(text.encode()).hexdigest()[:16]
    for pod in pods:
        if pod.files != files and not pod.leaving:
            api.annotate_pod(pod.namespace, pod.name, pod.uid, {_FILES_ANNOTATION: files})


def as_targets(pods: tuple[Pod, ...], primary: str | None) -> list[Member]:
    """Members as a fault may hit them."""
    return [Member(pod.uid, pod.name, pod.node, pod.zone, primary=pod.name == primary) for pod in pods]


def as_equal_targets(pods: tuple[Pod, ...]) -> list[Member]:
    """As as_targets, of an engine that has no primary."""
    return [Member(pod.uid, pod.name, pod.node, pod.zone, primary=None) for pod in pods]
