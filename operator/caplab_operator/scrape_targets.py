"""Scrape targets for Prometheus over HTTP (http_sd): the ports of the lab's own pods, and of its clusters' pods.

Debian's Prometheus has no kubernetes_sd, and this way it needs no rights in the API server. Labels are named as
kubernetes_sd names them, so that the same relabelling serves both.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from caplab import metrics_port
from caplab.contract import meta, ports
from caplab.contract.names import AGENT, APP_LABEL, CLUSTER_LABEL, OPERATOR, PART_LABEL, PREFIX, PROBER

from .engines.objects import stateful_set_of
from .engines.ownership import made_by

PORT = ports.SCRAPE_TARGETS
PATH = "/targets"
OF_THE_LAB = f"{APP_LABEL} in ({OPERATOR},{AGENT},{PROBER})"  # selects, in its own namespace
OF_CLUSTERS = f"{CLUSTER_LABEL},{PART_LABEL}"  # selects, in all namespaces
_FRESH_SECONDS = 2.0  # each of Prometheus' jobs asks every 5 s; the API server is asked at most this often
_META = "__meta_kubernetes_"
# Prometheus recognizes the lab's own pods by app.kubernetes.io/name, and sends probers their token. A cluster's pods
# are in users' namespaces, and users may set their labels: so that label of theirs is not passed on.
_LABELS_OF_CLUSTERS = (PREFIX,)
_LABELS_OF_THE_LAB = ("app.kubernetes.io/", *_LABELS_OF_CLUSTERS)

Body = Mapping[str, Any]
Group = dict[str, Any]


def groups(lab: Iterable[Body], clusters: Iterable[Body]) -> list[Group]:
    """Return http_sd's target groups, one a port: of the lab's pods, and of those that clusters' StatefulSets made."""
    of_clusters = (pod for pod in clusters if _is_of_cluster(pod["metadata"]))
    pods_and_labels = ((lab, _LABELS_OF_THE_LAB), (of_clusters, _LABELS_OF_CLUSTERS))
    return [
        group for pods, labels in pods_and_labels for pod in pods if _is_there(pod) for group in _groups_of(pod, labels)
    ]


def _is_there(pod: Body) -> bool:
    """Whether a pod has its own address: that of a finished pod may be in use by another."""
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in ("Succeeded", "Failed")


def _is_of_cluster(metadata: Body) -> bool:
    """Whether the StatefulSet of the cluster that a pod's labels name made it: anybody may set labels."""
    labels = metadata.get("labels") or {}
    named = {CLUSTER_LABEL, PART_LABEL} <= labels.keys()
    return named and made_by(stateful_set_of(labels), metadata)


def _groups_of(pod: Body, label_prefixes: tuple[str, ...]) -> Iterator[Group]:
    address = pod["status"]["podIP"]
    labels_of_pod = {
        f"{_META}namespace": meta.namespace_of(pod),
        f"{_META}pod_name": meta.name_of(pod),
        f"{_META}pod_ip": address,
        f"{_META}pod_node_name": pod["spec"].get("nodeName") or "",
    }
    for name, value in meta.labels_of(pod).items():
        if name.startswith(label_prefixes):
            labels_of_pod[f"{_META}pod_label_{re.sub('[^a-zA-Z0-9_]', '_', name)}"] = value
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            labels = {**labels_of_pod, f"{_META}pod_container_port_name": port.get("name", "")}
            yield {"targets": [f"{address}:{port['containerPort']}"], "labels": labels}


class Listing:
    """The groups as JSON, listed again if they are older than some seconds. Safe between threads."""

    def __init__(self, listed: Callable[[], list[Group]], clock: Callable[[], float] = time.monotonic) -> None:
        self._listed, self._clock = listed, clock
        self._lock = threading.Lock()
        self._text, self._at = b"", -_FRESH_SECONDS

    def text(self) -> bytes:
        """Return the page's text. Raises what listing raises."""
        with self._lock:
            if self._clock() - self._at >= _FRESH_SECONDS:
                self._text = json.dumps(self._listed()).encode()
                self._at = self._clock()
            return self._text


def serve(listed: Callable[[], list[Group]], port: int = PORT) -> Any:
    """Serve the groups on a port. If listing them fails, Prometheus gets a 500 and keeps the targets it has."""
    return metrics_port.serve_page(metrics_port.Page(PATH, "application/json", Listing(listed).text), port)
