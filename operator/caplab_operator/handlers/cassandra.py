"""CassandraCluster: applied when its spec changes, observed, mended and taken on step by step all the time."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..api import Api, now
from ..engines import objects
from ..engines.cassandra import manifests, mending, observe, rollout, status, steps
from ..engines.cassandra.observe import Place, Seen
from ..engines.cassandra.repairs import repair_of
from ..engines.cassandra.roll_call import ring_of
from ..engines.cassandra.spec import CassandraSpec, parse
from ..engines.conditions import Status
from ..engines.pods import Pod
from ..faults.targets import Roles
from ..settings import LAB_NAMESPACE_VARIABLE
from .applied import Applied, apply_all
from .pods import have_seen, pods_among, pods_of

IMAGE_VARIABLE = "CAPLAB_IMAGE_CASSANDRA"

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass
class Known:
    """What is kept of a cluster between two rounds; all of it can be found again."""

    applied: Applied = field(default_factory=Applied)
    password: str = ""  # of the management ports
    zones: Mapping[str, str] = field(default_factory=dict)  # by node


class CassandraClusters:
    """The handlers of the kind."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._sizing = threading.Lock()  # held by who decides on a StatefulSet

    def reconcile(self, api: Api, body: Body) -> None:
        """Make the cluster's objects what its spec asks for; the number of members only ever grows here."""
        spec = parse(body)
        image, lab_namespace = os.environ[IMAGE_VARIABLE], os.environ[LAB_NAMESPACE_VARIABLE]
        with self._sizing:
            standing = steps.standing_for(spec, _deployed(api, spec))
            objects_of_it = manifests.build(spec, image, lab_namespace, api.zones(), standing)
            apply_all(api, spec, partial(manifests.secrets, spec), objects_of_it)

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], Sequence[Body]]) -> Roles:
        """None is primary; who is up is their peers' word at this moment. One that is silent is waited for 1 s."""
        passwords = api.secret(namespace, objects.secret_name(cluster))  # while pods are being listed
        pods = pods_among(api, listed(), objects.selector(CassandraSpec.ENGINE, cluster))
        ring = ring_of(observe.look(Place(pods, passwords.get("management", ""))), {})
        return Roles(has_primaries=False, up=frozenset(row.name for row in ring.rows if row.is_up))

    def watch_over(self, api: Api, body: Body, before: Body, hit: Mapping[str, str]) -> Status:
        """Look at a running cluster, do what it needs next, and return its status.

        hit is of no use here: without a primary there are no failovers to explain.
        """
        spec, known, at = parse(body), self._of(body), now()
        pods = pods_of(api, spec.namespace, objects.part(spec))
        _inform(api, spec, known, pods)
        seen = observe.look(Place(pods, known.password))
        if seen.refused:
            known.password = ""  # the next round reads it again
        ring = ring_of(seen, before)
        refusals = _mend(spec, seen)
        _restore(spec, seen)
        deployed = _deployed(api, spec)
        repair = repair_of(spec, ring, before, at)
        step = rollout.next_step(spec, ring, deployed, repair) if deployed else None
        said = self._take(api, spec, seen, step) if step else ""
        outdated = rollout.outdated(ring, deployed) if deployed else ()
        names = tuple(row.name for row in outdated)
        done = status.Done(refusals, said, step is None or step.upkeep, repair, names)
        return status.build(spec, seen, ring, before, at, done)

    async def follow(self, api: Api, body: Body) -> None:
        """Nothing changes between rounds: only forget the cluster when it goes. Until cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            self._known.pop(body["metadata"]["uid"], None)

    def _of(self, body: Body) -> Known:
        return self._known.setdefault(body["metadata"]["uid"], Known())

    def _take(self, api: Api, spec: CassandraSpec, seen: Seen, step: steps.Step) -> str:
        """Take a step; what the status says of it."""
        if not isinstance(step, steps.Wait) and step.why:
            _log.info("%s/%s: %s", spec.namespace, spec.name, step.why)
        match step:
            case steps.Tell(pod, path, query):
                if refused := observe.tell(seen.place, pod, path, query):
                    _log.warning("%s/%s refused %s: %s", spec.namespace, pod.name, path, refused)
                    return f"{step.why}: refused: {refused}"
            case steps.Restart(pod):
                api.delete_pod(spec.namespace, pod.name, pod.uid)
            case steps.Keep(standing):
                self._keep(api, spec, standing)
        return step.why

    def _keep(self, api: Api, spec: CassandraSpec, standing: manifests.Standing) -> None:
        """Unless a newer spec has been applied meanwhile: then the next round decides anew."""
        with self._sizing:
            deployed = _deployed(api, spec)
            if deployed and deployed.is_current:
                api.apply(manifests.stateful_set(spec, os.environ[IMAGE_VARIABLE], standing))


def _inform(api: Api, spec: CassandraSpec, known: Known, pods: tuple[Pod, ...]) -> None:
    """Learn what is not known yet, and see to it that members find their files as they should be."""
    if not known.password:
        known.password = api.secret(spec.namespace, objects.secret_name(spec.name)).get("management", "")
    if not known.zones or any(pod.node and pod.node not in known.zones for pod in pods):
        known.zones = api.zones()
    files = manifests.config_map(spec, known.zones)
    known.applied.ensure(api, files)
    have_seen(api, pods, files)


def _deployed(api: Api, spec: CassandraSpec) -> steps.Deployed | None:
    found = api.get("apps/v1", "StatefulSet", spec.namespace, spec.name)
    return steps.deployed_from(spec, found) if found else None


def _mend(spec: CassandraSpec, seen: Seen) -> dict[str, str]:
    """Set what differs from the spec and can change while Cassandra runs; what was refused, by member."""
    changes, refusals = mending.to_tell(spec, seen), {}
    for pod in seen.place.pods:
        if pod.name in changes:
            refused = observe.tell(seen.place, pod, "/settings", changes[pod.name])
            ending = f", and refused: {refused}" if refused else ""
            _log.info("%s/%s was told: %s%s", spec.namespace, pod.name, changes[pod.name], ending)
            if refused:
                refusals[pod.name] = refused
    return refusals


def _restore(spec: CassandraSpec, seen: Seen) -> None:
    """Make good what clients lack to log in and find their keyspace."""
    if not (pod := mending.to_restore(seen)):
        return
    _log.info("%s/%s makes good what clients lack: %s", spec.namespace, pod.name, seen.said[pod.name].application)
    if refused := observe.tell(seen.place, pod, "/application", {}):
        _log.warning("%s/%s did not: %s", spec.namespace, pod.name, refused)
