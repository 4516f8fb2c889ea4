"""Pods for the engines, parsed as the API server lists them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from caplab.contract import meta
from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL, FILES_ANNOTATION

from ..api import Api
from ..engines.objects import selector, stateful_set_of
from ..engines.ownership import made_by
from ..engines.pods import Pod

_REVISION_LABEL = "controller-revision-hash"


def pods_of(api: Api, namespace: str, labels: Mapping[str, str]) -> tuple[Pod, ...]:
    """List the pods of a cluster's part: its labels select them, and its StatefulSet made them.

    Labels alone do not count, since anybody may set them.
    """
    return pods_among(api, api.pods(namespace, labels), labels)


def pods_among(api: Api, bodies: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> tuple[Pod, ...]:
    """Select the pods of a cluster's part among listed ones."""
    made_by_it = partial(made_by, stateful_set_of(labels))
    return tuple(
        _pod(api, body)
        for body in bodies
        if labels.items() <= meta.labels_of(body).items() and made_by_it(body["metadata"])
    )


def members_beside(api: Api, pod: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> tuple[Pod, ...]:
    """Select the members of a member's own cluster, itself among them, among the listed pods of all clusters."""
    labels = selector(meta.labels_of(pod)[ENGINE_LABEL], meta.labels_of(pod)[CLUSTER_LABEL])
    return pods_among(api, (each for each in pods if meta.namespace_of(each) == meta.namespace_of(pod)), labels)


def _pod(api: Api, body: Mapping[str, Any]) -> Pod:
    status, node = body.get("status") or {}, body["spec"].get("nodeName") or ""
    return Pod(
        name=meta.name_of(body),
        uid=meta.uid_of(body),
        node=node,
        zone=api.zone_of(node) if node else "",
        address=status.get("podIP"),
        namespace=meta.namespace_of(body),
        revision=meta.labels_of(body).get(_REVISION_LABEL, ""),
        files=meta.annotations_of(body).get(FILES_ANNOTATION, ""),
        ready=meta.conditions_of(status).get("Ready", {}).get("status") == "True",
        terminating=meta.is_being_deleted(body),
    )


def refresh_files(api: Api, pods: Sequence[Pod], config_map: Mapping[str, Any]) -> None:
    """Have the pods' nodes update a ConfigMap's files now, rather than within a minute.

    A node checks a pod's files whenever the pod changes, so also when it is annotated here.
    """
    text = json.dumps(config_map["data"], sort_keys=True)
    files = hashlib.sha256(text.encode()).hexdigest()[:16]
    for pod in pods:
        if pod.files != files and not pod.terminating:
            api.annotate_pod(pod.namespace, pod.name, pod.uid, {FILES_ANNOTATION: files})
