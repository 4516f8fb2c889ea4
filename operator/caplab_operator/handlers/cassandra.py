"""Handlers of CassandraCluster: it is applied when its spec changes, and observed and corrected in rounds."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from caplab.contract import meta

from ..api import Api, now
from ..engines import objects
from ..engines.cassandra import manifests, observe, rollout, settings_drift, status, steps
from ..engines.cassandra.observe import ObservedCassandra, Place
from ..engines.cassandra.repairs import repair_of
from ..engines.cassandra.ring_state import ring_of
from ..engines.cassandra.spec import CassandraSpec, parse
from ..engines.conditions import Status
from ..engines.pods import Pod
from ..faults.targets import Roles
from ..settings import LAB_NAMESPACE_VARIABLE
from .applied import ApplyCache, apply_all
from .pods import pods_among, pods_of, refresh_files

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass
class ClusterCache:
    """State of a cluster that is kept between two rounds; all of it can be read again."""

    applied: ApplyCache = field(default_factory=ApplyCache)
    password: str = ""  # of the management ports
    zones: Mapping[str, str] = field(default_factory=dict)  # by node


class CassandraClusters:
    """The handlers of CassandraClusters."""

    def __init__(self) -> None:
        self._caches: dict[str, ClusterCache] = {}
        self._sizing = threading.Lock()  # held while deciding on a StatefulSet

    def reconcile(self, api: Api, body: Body) -> None:
        """Apply the cluster's objects as its spec asks for; the number of members can only grow here."""
        spec, cache = parse(body), self._of(body)
        image, lab_namespace = os.environ[spec.ENGINE.image_variable], os.environ[LAB_NAMESPACE_VARIABLE]
        with self._sizing:
            persisted = steps.persisted_for(spec, _deployed(api, spec))
            cache.zones = api.zones()  # the rounds keep what is applied here
            objects_of_it = manifests.build(spec, image, lab_namespace, cache.zones, persisted)
            apply_all(api, spec, partial(manifests.secrets, spec), objects_of_it)

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], Sequence[Body]]) -> Roles:
        """Read which members their peers see up at this moment; none is primary. A silent member is waited for 1 s."""
        passwords = api.secret(namespace, objects.secret_name(cluster))  # while pods are being listed
        pods = pods_among(api, listed(), objects.selector(CassandraSpec.ENGINE.name, cluster))
        ring = ring_of(observe.look(Place(pods, passwords.get("management", ""))), {})
        return Roles(has_primaries=False, up=frozenset(row.name for row in ring.rows if row.is_up))

    def run_round(self, api: Api, body: Body, before: Body, active_faults: Mapping[str, str]) -> Status:
        """Observe a running cluster, take its next step, and return its status.

        active_faults is not used: without a primary there are no failovers to explain.
        """
        spec, cache, at = parse(body), self._of(body), now()
        pods = pods_of(api, spec.namespace, objects.part(spec))
        _refresh(api, spec, cache, pods)
        observed = observe.look(Place(pods, cache.password))
        if observed.refused:
            cache.password = ""  # the next round reads it again
        ring = ring_of(observed, before)
        refusals = _correct_drift(spec, observed)
        _restore(spec, observed)
        deployed = _deployed(api, spec)
        repair = repair_of(spec, ring, before, at)
        step = rollout.next_step(spec, ring, deployed, repair) if deployed else None
        progress = self._take_step(api, spec, observed, step) if step else ""
        outdated = rollout.outdated(ring, deployed) if deployed else ()
        names = tuple(row.name for row in outdated)
        done = status.RoundResult(
            refusals=refusals,
            rollout=progress,
            is_settled=step is None or step.is_maintenance,
            repair=repair,
            outdated=names,
        )
        return status.build(spec, observed, ring, before, at, done)

    async def follow(self, api: Api, body: Body) -> None:
        """Wait until cancelled, then forget the cluster: nothing has to be done between rounds."""
        try:
            await asyncio.Event().wait()
        finally:
            self._caches.pop(meta.uid_of(body), None)

    def _of(self, body: Body) -> ClusterCache:
        return self._caches.setdefault(meta.uid_of(body), ClusterCache())

    def _take_step(self, api: Api, spec: CassandraSpec, observed: ObservedCassandra, step: steps.Step) -> str:
        """Take a step. Returns its progress for the status."""
        if not isinstance(step, steps.Wait) and step.why:
            _log.info("%s/%s: %s", spec.namespace, spec.name, step.why)
        match step:
            case steps.Send(pod=pod, path=path, query=query):
                if refused := observe.send(observed.place, pod, path, query):
                    _log.warning("%s/%s refused %s: %s", spec.namespace, pod.name, path, refused)
                    return f"{step.why}: refused: {refused}"
            case steps.Restart(pod):
                api.delete_pod(spec.namespace, pod.name, pod.uid)
            case steps.Persist(persisted):
                self._keep(api, spec, persisted)
        return step.why

    def _keep(self, api: Api, spec: CassandraSpec, persisted: manifests.PersistedState) -> None:
        """Persist state, unless a newer spec has been applied meanwhile: then the next round decides again."""
        with self._sizing:
            deployed = _deployed(api, spec)
            if deployed and deployed.is_current:
                api.apply(manifests.stateful_set(spec, os.environ[spec.ENGINE.image_variable], persisted))


def _refresh(api: Api, spec: CassandraSpec, cache: ClusterCache, pods: tuple[Pod, ...]) -> None:
    """Read what is not cached yet, and keep the members' files up to date."""
    if not cache.password:
        cache.password = api.secret(spec.namespace, objects.secret_name(spec.name)).get("management", "")
    if not cache.zones or any(pod.node and pod.node not in cache.zones for pod in pods):
        cache.zones = api.zones()
    files = manifests.config_map(spec, cache.zones)
    cache.applied.ensure(api, files)
    refresh_files(api, pods, files)


def _deployed(api: Api, spec: CassandraSpec) -> steps.Deployed | None:
    stateful_set = api.get("apps/v1", "StatefulSet", spec.namespace, spec.name)
    return steps.deployed_from(spec, stateful_set) if stateful_set else None


def _correct_drift(spec: CassandraSpec, observed: ObservedCassandra) -> dict[str, str]:
    """Correct settings that differ from the spec and can change while Cassandra runs. Returns refusals by member."""
    changes, refusals = settings_drift.live_changes(spec, observed), {}
    for pod in observed.place.pods:
        if pod.name in changes:
            refused = observe.send(observed.place, pod, "/settings", changes[pod.name])
            ending = f", and refused: {refused}" if refused else ""
            _log.info("%s/%s was sent: %s%s", spec.namespace, pod.name, changes[pod.name], ending)
            if refused:
                refusals[pod.name] = refused
    return refusals


def _restore(spec: CassandraSpec, observed: ObservedCassandra) -> None:
    """Restore what clients lack to log in and find their keyspace."""
    if not (pod := settings_drift.member_to_restore(observed)):
        return
    _log.info("%s/%s restores what clients lack: %s", spec.namespace, pod.name, observed.members[pod.name].application)
    if refused := observe.send(observed.place, pod, "/application", {}):
        _log.warning("%s/%s could not restore it: %s", spec.namespace, pod.name, refused)
