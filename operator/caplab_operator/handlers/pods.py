"""Pods as the API server lists them, for the engines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..api import Api
from ..engines.objects import stateful_set_of
from ..engines.ownership import made_by
from ..engines.pods import Pod

_REVISION_LABEL = "controller-revision-hash"
_FILES_ANNOTATION = "caplab.dev/files"


def pods_of(api: Api, namespace: str, labels: Mapping[str, str]) -> tuple[Pod, ...]:
    """The pods of a cluster's part, which its labels select and its StatefulSet made: anybody may set labels."""
    return pods_among(api, api.pods(namespace, labels), labels)


def pods_among(api: Api, bodies: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> tuple[Pod, ...]:
    """Those of listed pods that are of a cluster's part."""
    made_by_it = partial(made_by, stateful_set_of(labels))
    return tuple(
        _pod(api, body)
        for body in bodies
        if labels.items() <= (body["metadata"].get("labels") or {}).items() and made_by_it(body["metadata"])
    )


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
        ready=any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in status.get("conditions") or ()
        ),
        terminating="deletionTimestamp" in metadata,
    )


def refresh_files(api: Api, pods: Sequence[Pod], config_map: Mapping[str, Any]) -> None:
    """Have the pods' nodes bring them a ConfigMap's files now, and not when a minute is over.

    A node looks at a pod's files again whenever anything of the pod changes, and so when it is told of them here.
    """
    text = json.dumps(config_map["data"], sort_keys=True)
    files = hashlib.sha256(text.encode()).hexdigest()[:16]
    for pod in pods:
        if pod.files != files and not pod.terminating:
            api.annotate_pod(pod.namespace, pod.name, pod.uid, {_FILES_ANNOTATION: files})
