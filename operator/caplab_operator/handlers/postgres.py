"""PostgresCluster: applied when its spec changes, observed, held to it, and taken on step by step all the time."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..api import Api, now
from ..engines import objects
from ..engines.conditions import Status
from ..engines.postgres import health, manifests, observe, rollout, settings, status
from ..engines.postgres.observe import ObservedPostgres
from ..engines.postgres.readings import Reading
from ..engines.postgres.sessions import Sessions
from ..engines.postgres.spec import PostgresSpec, parse
from ..engines.rolling import Deployed, Resize, Restart, deployed_from, wanted_replicas
from ..faults.targets import Roles
from ..settings import LAB_NAMESPACE_VARIABLE
from . import exporters
from .applied import apply_all
from .pods import pods_of
from .postgres_drift import DriftCorrection
from .postgres_logins import Logins
from .postgres_monitor import Monitor
from .postgres_steps import Steps

IMAGE_VARIABLE = "CAPLAB_IMAGE_POSTGRES"
_LEADER_ANNOTATION = "leader"  # Patroni's, on the Endpoints that carry the lock

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass
class ClusterCache:
    """What is kept of a cluster between two rounds; all of it can be found again."""

    sessions: Sessions = field(default_factory=Sessions)
    logins: Logins = field(default_factory=Logins)
    drift_correction: DriftCorrection = field(default_factory=DriftCorrection)
    monitor: Monitor = field(default_factory=Monitor)
    steps: Steps = field(default_factory=Steps)
    sizing: threading.Lock = field(default_factory=threading.Lock)  # held by who decides on the members' number
    causes: dict[str, str] = field(default_factory=dict)  # why a member may have ceased to be primary


class PostgresClusters:
    """The handlers of the kind."""

    def __init__(self) -> None:
        self._caches: dict[str, ClusterCache] = {}

    def reconcile(self, api: Api, body: Body) -> None:
        """Make the cluster's objects what its spec asks for; the number of members only ever grows here."""
        spec, cache = parse(body), self._of(body)
        image, lab_namespace = os.environ[IMAGE_VARIABLE], os.environ[LAB_NAMESPACE_VARIABLE]
        cache.monitor.password = exporters.password(api, spec)
        with cache.sizing:
            deployed = _deployed(api, spec)
            replicas = wanted_replicas(spec, None, deployed.replicas if deployed else None)
            objects_of_it = manifests.build(spec, image, lab_namespace, replicas)
            apply_all(api, spec, partial(manifests.secrets, spec), objects_of_it, manifests.state(spec))

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], object]) -> Roles:
        """The primary is who holds the leader object; nobody has to be asked for that."""
        return Roles(primary=_holder(_lock(api, namespace, cluster)))

    def run_round(self, api: Api, body: Body, before: Body, active_faults: Mapping[str, str]) -> Status:
        """Look at a running cluster, do what it needs next, and return its status.

        active_faults names the fault that each member under one is under.
        """
        spec, cache = parse(body), self._of(body)
        passwords = api.secret(spec.namespace, objects.secret_name(spec.name))
        login = api.secret(spec.namespace, objects.login_name(spec.name))
        observed = _look(api, spec, cache, passwords)
        primary = health.primary_of(observed)
        cache.drift_correction.correct(spec, observed, cache.sessions, passwords)
        logins = cache.logins.check(spec, observed, cache.sessions, passwords, login)
        cache.monitor.keep(spec, observed, cache.sessions, passwords.get("superuser", ""))
        gaps, deployed = settings.gaps(spec, observed), _deployed(api, spec)
        step = rollout.next_step(spec, observed, deployed, gaps) if deployed else None
        progress = self._take(api, spec, cache, observed, passwords, step) if step else ""
        _note_causes(cache, observed, primary)
        done = status.RoundResult(gaps, logins, progress, cache.causes)
        return status.build(spec, observed, before, now(), active_faults, done)

    async def follow(self, api: Api, body: Body) -> None:
        """Nothing changes between rounds: only forget the cluster when it goes. Until cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            if cache := self._caches.pop(body["metadata"]["uid"], None):
                cache.sessions.keep_only(set())

    def _of(self, body: Body) -> ClusterCache:
        return self._caches.setdefault(body["metadata"]["uid"], ClusterCache())

    def _take(
        self,
        api: Api,
        spec: PostgresSpec,
        cache: ClusterCache,
        observed: ObservedPostgres,
        passwords: Mapping[str, str],
        step: rollout.Step,
    ) -> str:
        """Take a step; what the status says of it."""
        match step:
            case Restart(pod):
                _log.info("%s/%s is restarted: %s", spec.namespace, pod.name, step.why)
                api.delete_pod(spec.namespace, pod.name, pod.uid)
            case Resize(replicas):
                _log.info("%s/%s: %s", spec.namespace, spec.name, step.why)
                _resize(api, spec, cache, replicas)
            case rollout.RestartPostgres() | rollout.Switchover():
                return cache.steps.take(spec, observed, step, passwords.get("patroni", ""), cache.causes)
        return step.why


def _look(api: Api, spec: PostgresSpec, cache: ClusterCache, passwords: Mapping[str, str]) -> ObservedPostgres:
    """What Patroni says and what each member's own Postgres does, asked at the same time."""
    pods = pods_of(api, spec.namespace, objects.part(spec))
    lock = _lock(api, spec.namespace, spec.name)
    _keep_labelled(api, spec, lock)
    answers: dict[str, Reading | str] = {}

    def read() -> None:
        answers.update(cache.sessions.look(pods, passwords.get("superuser", ""), settings.names(spec)))

    reader = threading.Thread(target=read, name="postgres-settings")
    reader.start()
    try:
        observed = observe.look(pods, _holder(lock))
    finally:
        reader.join()
    readings = {name: answer for name, answer in answers.items() if isinstance(answer, Reading)}
    return replace(
        observed,
        readings=readings,
        silences={name: answer for name, answer in answers.items() if isinstance(answer, str)},
    )


def _lock(api: Api, namespace: str, cluster: str) -> Mapping[str, Any]:
    """The metadata of the Endpoints that carry the leader lock; {} where there are none."""
    endpoints = api.get("v1", "Endpoints", namespace, manifests.scope(cluster)) or {}
    return endpoints.get("metadata") or {}


def _holder(lock: Mapping[str, Any]) -> str | None:
    return (lock.get("annotations") or {}).get(_LEADER_ANNOTATION)


def _keep_labelled(api: Api, spec: PostgresSpec, lock: Mapping[str, Any]) -> None:
    """Patroni finds the lock by its labels, and without them waits for ever for one that it cannot make.

    Kubernetes takes them from the lock when somebody gives the primary's Service a selector. Raises ForeignObject where
    that Service is not the cluster's own.
    """
    change = manifests.relabelled(spec, lock) if lock else None
    if change and api.look(manifests.services(spec)[0]):
        _log.warning("%s/%s: the leader lock gets its labels again", spec.namespace, spec.name)
        api.patch_metadata("Endpoints", spec.namespace, lock["name"], change)


def _deployed(api: Api, spec: PostgresSpec) -> Deployed | None:
    stateful_set = api.get("apps/v1", "StatefulSet", spec.namespace, spec.name)
    return deployed_from(spec, stateful_set) if stateful_set else None


def _resize(api: Api, spec: PostgresSpec, cache: ClusterCache, replicas: int) -> None:
    """Unless a newer spec has been applied meanwhile: then the next round decides anew."""
    with cache.sizing:
        deployed = _deployed(api, spec)
        if deployed and deployed.is_current:
            api.apply(manifests.stateful_set(spec, os.environ[IMAGE_VARIABLE], replicas))


def _note_causes(cache: ClusterCache, observed: ObservedPostgres, primary: str | None) -> None:
    """One whose pod is told to end hands over by itself, maybe between two rounds; who is primary has no cause."""
    for pod in observed.pods:
        if pod.terminating:
            cache.causes.setdefault(pod.name, "its pod was told to end")
        elif pod.name == primary and not cache.steps.hands_over(pod.name):
            cache.causes.pop(pod.name, None)
