"""Endpoints of a target: read from the API server at the start, and again while the probe runs.

The names are the operator's, the same for every engine (operator/caplab_operator/engines). Addresses are
resolved ahead and the last known ones stay when the API server does not answer, so that neither a cut
control plane nor a cut DNS stands between a prober and a member.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

from kubernetes import client

from caplab.contract.names import CLUSTER_LABEL, MEMBER, PART_LABEL

from ..engines import factory_for
from ..links import Endpoint, Topology
from ..spec import Target

REFRESH_SECONDS = 2.0  # a replaced pod has another address
_TIMEOUT = (2, 5)
log = logging.getLogger(__name__)


def topology_of(target: Target, pods: Mapping[str, Any]) -> Topology:
    """Return a cluster's endpoints from its members' pods, as the API server lists them; members by name."""
    factory = factory_for(target.kind)
    port = factory.engine.port
    # With its final dot the name is looked up once, not once a search domain.
    service = Endpoint("service", f"{target.name}-{factory.service}.{target.namespace}.svc.cluster.local.", port)
    addresses = {pod["metadata"]["name"]: pod.get("status", {}).get("podIP") for pod in pods["items"]}
    members = (Endpoint(name, address, port) for name, address in sorted(addresses.items()) if address)
    return Topology(service, tuple(members))


def read_login(api: client.ApiClient, target: Target) -> dict[str, str]:
    """Read the clients' login, from the secret that the operator makes for them. Raises ApiException."""
    secret = client.CoreV1Api(api).read_namespaced_secret(
        f"{target.name}-application", target.namespace, _request_timeout=_TIMEOUT
    )
    return {name: base64.b64decode(value).decode() for name, value in (secret.data or {}).items()}


class LiveTopology:
    """A target's topology, which a daemon thread keeps up to date until closed."""

    def __init__(self, api: client.ApiClient, target: Target) -> None:
        self._core = client.CoreV1Api(api)
        self._target = target
        self._selector = f"{CLUSTER_LABEL}={target.name},{PART_LABEL}={MEMBER}"
        self._closed = threading.Event()
        self._topology = self._read()

    def __call__(self) -> Topology:
        """Return the endpoints as last seen."""
        return self._topology

    def start(self) -> None:
        """Start the thread that keeps it up to date."""
        threading.Thread(target=self._run, name=f"topology-{self._target.name}", daemon=True).start()

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(REFRESH_SECONDS):
            try:
                self._topology = self._read()
            except Exception as error:  # the last known addresses are the best there are
                log.warning("members of %s: %s", self._target.name, error)

    def _read(self) -> Topology:
        # As JSON: to build the client's own objects takes ten times as long, and the thread that keeps the schedule
        # would wait for it.
        answer: Any = self._core.list_namespaced_pod(
            self._target.namespace,
            label_selector=self._selector,
            resource_version="0",  # the API server's cache will do
            _request_timeout=_TIMEOUT,
            _preload_content=False,
        )
        if answer.status != 200:
            raise OSError(f"the API server says {answer.status}")
        return topology_of(self._target, json.loads(answer.data))
