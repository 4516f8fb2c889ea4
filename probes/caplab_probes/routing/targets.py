"""Endpoints of a target: read from the API server at the start, and again while the probe runs.

The names are the operator's, the same for every engine (operator/caplab_operator/engines). Addresses are
resolved ahead and the last known ones stay when the API server does not answer, so that neither a cut
control plane nor a cut DNS stands between a prober and a member.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.names import CLUSTER_LABEL, MEMBER, PART_LABEL
from caplab.kube.client import Client
from caplab.kube.paths import path_of

from ..engines import factory_for
from ..links import Endpoint, Topology
from ..spec import Target

REFRESH_SECONDS = 2.0  # a replaced pod has another address
_LIMITS = {"connect_seconds": 2.0, "read_seconds": 5.0}
log = logging.getLogger(__name__)


def topology_of(target: Target, pods: Sequence[Mapping[str, Any]]) -> Topology:
    """Return a cluster's endpoints from its members' pods, as the API server lists them; members by name."""
    factory = factory_for(target.kind)
    port = factory.engine.port
    # With its final dot the name is looked up once, not once a search domain.
    service = Endpoint("service", f"{target.name}-{factory.service}.{target.namespace}.svc.cluster.local.", port)
    addresses = {meta.name_of(pod): pod.get("status", {}).get("podIP") for pod in pods}
    members = (Endpoint(name, address, port) for name, address in sorted(addresses.items()) if address)
    return Topology(service, tuple(members))


def read_login(client: Client, target: Target) -> dict[str, str]:
    """Read the clients' login, from the secret that the operator makes for them. Raises ApiError."""
    path = path_of("v1", "Secret", target.namespace, f"{target.name}-application")
    secret = client.limited(**_LIMITS).call("GET", path)
    return {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}


class LiveTopology:
    """A target's topology, which a daemon thread keeps up to date until closed."""

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client.limited(**_LIMITS)
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
        # The API server's cache will do.
        pods = self._client.list_all("v1", "Pod", self._target.namespace, self._selector, resourceVersion="0")
        return topology_of(self._target, pods)


class SharedTopologies:
    """Each target's topology once, however many probes have it: to list pods costs the API server more than most.

    From several threads at once.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._users: Counter[Target] = Counter()
        self._topologies: dict[Target, LiveTopology] = {}

    def open(self, target: Target) -> LiveTopology:
        """Return a target's topology, which is kept up to date until each that opened it has closed it.

        Raises ApiError.
        """
        with self._lock:
            if topology := self._topologies.get(target):
                self._users[target] += 1
                return topology
        fresh = LiveTopology(self._client, target)  # without the lock: the API server may be slow
        with self._lock:
            self._users[target] += 1
            if target not in self._topologies:
                self._topologies[target] = fresh
                fresh.start()
            return self._topologies[target]

    def close(self, target: Target) -> None:
        """Close it for one of those that opened it."""
        with self._lock:
            self._users[target] -= 1
            if not self._users[target]:
                del self._users[target]
                self._topologies.pop(target).close()
