"""Watches of all objects that clusters own, metadata only, so that no Secret's content is sent."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from caplab.contract.names import CLUSTER_LABEL
from caplab.kube.client import METADATA, METADATA_LIST
from caplab.kube.errors import ApiError
from caplab.kube.paths import path_of

from ..api import Api
from ..ledger import Ledger, Name, revision_of
from .rounds import ClusterRounds

CLAIM = "PersistentVolumeClaim"
KINDS = (
    ("v1", "ConfigMap"),
    ("v1", CLAIM),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "StatefulSet"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
)
# A watch ends by itself and is followed by a list, which shows what the watch missed.
_WATCH_SECONDS = 60
_WHOLE_WATCH_SECONDS = _WATCH_SECONDS + 10.0  # also of one that drips
_CONNECT_SECONDS, _LIST_SECONDS = 3.0, 10.0
_RETRY_SECONDS = 1.0
_LINE_BYTES = 2**20

Metadata = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class OwnedWatch:
    """Watches the namespaces that have clusters; clusters_in returns a namespace's."""

    api: Api
    clusters_in: Callable[[str], Sequence[ClusterRounds]]
    _watches: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by namespace
    _claims: dict[str, dict[str, str]] = field(default_factory=dict)  # version by uid of claim, by uid of the cluster
    _session: aiohttp.ClientSession | None = None

    def keep(self, namespaces: Iterable[str]) -> None:
        """Watch these namespaces, and no others."""
        wanted = set(namespaces)
        for namespace in [name for name, task in self._watches.items() if name not in wanted or task.done()]:
            self._watches.pop(namespace).cancel()
        there = {cluster.uid for namespace in wanted for cluster in self.clusters_in(namespace)}
        self._claims = {uid: versions for uid, versions in self._claims.items() if uid in there}
        for namespace in wanted - self._watches.keys():
            self._watches[namespace] = asyncio.create_task(self._watch(namespace))

    async def stop(self) -> None:
        """End all watches."""
        tasks = list(self._watches.values())
        self.keep(())
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    def on_event(self, namespace: str, kind: str, event: str, metadata: Metadata) -> None:
        """Take in one event: a cluster is applied again if others changed one of its objects."""
        name = kind, str(metadata["name"])
        for cluster in self.clusters_in(namespace):
            if kind == CLAIM:
                if event != "DELETED":
                    self._look_at_claims(cluster, [metadata])
            elif self._ledger.on_event(cluster.uid, name, metadata, gone=event == "DELETED"):
                self._apply_again(cluster, name)

    def on_list(self, namespace: str, kind: str, there: Sequence[Metadata], revision: int) -> None:
        """Take in the list of all objects of a kind, as of a revision."""
        for cluster in self.clusters_in(namespace):
            if kind == CLAIM:
                self._look_at_claims(cluster, there)
                continue
            for name in self._ledger.on_list(cluster.uid, kind, there, revision):
                self._apply_again(cluster, name)

    def _look_at_claims(self, cluster: ClusterRounds, claims: Sequence[Metadata]) -> None:
        """Wake a cluster to adopt its volumes (engines/volumes.py) if one of them is new or has changed.

        StatefulSets make them, so the ledger does not have them. They may exist before they are watched.
        """
        own = {claim["uid"]: claim["resourceVersion"] for claim in claims if _cluster_of(claim) == cluster.key[2]}
        versions = self._claims.setdefault(cluster.uid, {})
        if own.items() - versions.items():
            versions |= own
            cluster.wake()

    @property
    def _ledger(self) -> Ledger:
        return self.api.ledger

    def _apply_again(self, cluster: ClusterRounds, name: Name) -> None:
        _log.info("%s %s of %s %s/%s has changed: applied again", *name, *cluster.key)
        cluster.wake()

    async def _watch(self, namespace: str) -> None:
        async with asyncio.TaskGroup() as group:
            for api_version, kind in KINDS:
                group.create_task(self._watch_kind(namespace, api_version, kind))

    async def _watch_kind(self, namespace: str, api_version: str, kind: str) -> None:
        path, logged = path_of(api_version, kind, namespace), ""
        while True:
            try:
                listed = await self._list(path)
                logged = ""
                there = [item["metadata"] for item in listed["items"] or ()]
                self.on_list(namespace, kind, there, revision_of(listed["metadata"]))
                async for event in self._events(path, listed["metadata"]["resourceVersion"]):
                    self.on_event(namespace, kind, event["type"], event["object"]["metadata"])
            except (aiohttp.ClientError, ApiError, TimeoutError, ValueError, KeyError) as error:
                # Logged once: while a cluster can't be applied, the operator has no rights to watch its namespace.
                if (text := str(error) or type(error).__name__) != logged:
                    _log.warning("the watch of %s in %s starts again: %s", kind, namespace, text)
                logged = text
                await asyncio.sleep(_RETRY_SECONDS)

    async def _list(self, path: str) -> Any:
        url, headers = self.api.request(path, {"labelSelector": CLUSTER_LABEL}, METADATA_LIST)
        limits = aiohttp.ClientTimeout(total=_LIST_SECONDS, sock_connect=_CONNECT_SECONDS)
        async with self._connection().get(url, headers=headers, timeout=limits, raise_for_status=True) as answer:
            return await answer.json(content_type=None)

    async def _events(self, path: str, version: str) -> AsyncIterator[Any]:
        query = {
            "labelSelector": CLUSTER_LABEL, "watch": "true", "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }  # fmt: skip
        url, headers = self.api.request(path, query, METADATA)
        limits = aiohttp.ClientTimeout(total=_WHOLE_WATCH_SECONDS, sock_connect=_CONNECT_SECONDS)
        async with self._connection().get(url, headers=headers, timeout=limits, raise_for_status=True) as answer:
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":  # the version is too old: the next list starts over
                    return
                yield event

    def _connection(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self.api.tls() or True)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_LINE_BYTES, trust_env=False)
        return self._session


def _cluster_of(metadata: Metadata) -> str:
    """Return the name of the cluster in an object's label."""
    return str((metadata.get("labels") or {}).get(CLUSTER_LABEL, ""))
