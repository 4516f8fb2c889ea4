"""What runs leave behind and nobody keeps: the clusters under test."""

from __future__ import annotations

import os

from kubernetes import client

from .kube import CONTEXT_VARIABLE, connect
from .watching import GROUP, VERSION

NAMESPACE = "caplab-runs"  # where experiments put their clusters, unless they are told otherwise
CLUSTER_KINDS = ("postgresclusters", "redisclusters", "cassandraclusters")
_TIMEOUT_SECONDS = 10


def remove_clusters(namespace: str) -> None:
    """Delete every cluster of a namespace; what belongs to them goes in the background."""
    custom = client.CustomObjectsApi(connect(os.environ.get(CONTEXT_VARIABLE)))
    for plural in CLUSTER_KINDS:
        custom.delete_collection_namespaced_custom_object(
            GROUP, VERSION, namespace, plural, _request_timeout=_TIMEOUT_SECONDS
        )
