"""Handlers of PostgresCluster: it is applied when its spec changes, and observed and corrected in rounds."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from caplab.contract import meta

from ...api import Api, now
from ...engines import objects
from ...engines.conditions import Status
from ...engines.postgres import health, manifests, observe, rollout, settings, status
from ...engines.postgres.observe import ObservedPostgres
from ...engines.postgres.readings import Reading
from ...engines.postgres.sessions import Sessions
from ...engines.postgres.spec import PostgresSpec, parse
from ...engines.rolling import Deployed, Resize, Restart, deployed_from, wanted_replicas
from ...faults.targets import Roles
from ...settings import LAB_NAMESPACE_VARIABLE
from .. import exporters
from ..applied import apply_all
from ..pods import pods_of
from . import store
from .drift import DriftCorrection
from .fencing import FenceWatch
from .logins import Logins
from .monitor import Monitor
from .steps import Steps

_LEADER_ANNOTATION = "leader"  # Patroni's, on the Endpoints that carry the lock

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass(kw_only=True)
class ClusterCache:
    """State of a cluster that is kept between two rounds; all of it can be read again."""

    sessions: Sessions = field(default_factory=Sessions)
    logins: Logins = field(default_factory=Logins)
    drift_correction: DriftCorrection = field(default_factory=DriftCorrection)
    monitor: Monitor = field(default_factory=Monitor)
    steps: Steps = field(default_factory=Steps)
    sizing: threading.Lock = field(default_factory=threading.Lock)  # held while deciding on the number of members
    causes: dict[str, str] = field(default_factory=dict)  # why a member may have ceased to be primary
    spec: PostgresSpec | None = None  # as last observed


class PostgresClusters:
    """The handlers of PostgresClusters."""

    def __init__(self) -> None:
        self._caches: dict[str, ClusterCache] = {}

    def reconcile(self, api: Api, body: Body) -> None:
        """Apply the cluster's objects as its spec asks for; the number of members can only grow here."""
        spec, cache = parse(body), self._of(body)
        image, lab_namespace = os.environ[spec.ENGINE.image_variable], os.environ[LAB_NAMESPACE_VARIABLE]
        cache.monitor.password = exporters.password(api, spec)
        with cache.sizing:
            deployed = _deployed(api, spec)
            replicas = wanted_replicas(spec, None, deployed.replicas if deployed else None)
            objects_of_it = manifests.build(spec, image, lab_namespace, replicas)
            apply_all(api, spec, partial(manifests.secrets, spec), objects_of_it, manifests.state(spec))

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], object]) -> Roles:
        """Read the primary, which is the holder of the leader object; no member has to be asked."""
        return Roles(primary=_holder(_lock(api, namespace, cluster)))

    def run_round(self, api: Api, body: Body, before: Body, active_faults: Mapping[str, str]) -> Status:
        """Observe a running cluster, take its next step, and return its status.

        active_faults names the fault of each member that is under one.
        """
        spec, cache = parse(body), self._of(body)
        cache.spec = spec
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
        """Watch over the cluster's leader lock until cancelled, then forget the cluster."""
        try:
            cache = self._of(body)
            await FenceWatch(api=api, spec=lambda: cache.spec).run()
        finally:
            if ended := self._caches.pop(meta.uid_of(body), None):
                ended.sessions.keep_only(set())

    def _of(self, body: Body) -> ClusterCache:
        return self._caches.setdefault(meta.uid_of(body), ClusterCache())

    def _take(
        self,
        api: Api,
        spec: PostgresSpec,
        cache: ClusterCache,
        observed: ObservedPostgres,
        passwords: Mapping[str, str],
        step: rollout.Step,
    ) -> str:
        """Take a step. Returns its progress for the status."""
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
    """Observe the cluster: Patroni and each member's own Postgres are asked at the same time."""
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
    """Read the metadata of the Endpoints that carry the leader lock; {} if there are none."""
    return store.read(api, namespace, cluster).get("metadata") or {}


def _holder(lock: Mapping[str, Any]) -> str | None:
    return (lock.get("annotations") or {}).get(_LEADER_ANNOTATION)


def _keep_labelled(api: Api, spec: PostgresSpec, lock: Mapping[str, Any]) -> None:
    """Keep the lock's labels: Patroni finds it by them, and without them waits for ever for one that it cannot make.

    Kubernetes removes them from the lock when somebody gives the primary's Service a selector. Raises ForeignObject if
    that Service is not the cluster's own.
    """
    change = manifests.relabelled(spec, lock) if lock else None
    if change and api.look(manifests.services(spec)[0]):
        _log.warning("%s/%s: the leader lock lacked its labels, and gets them again", spec.namespace, spec.name)
        api.patch_metadata("Endpoints", spec.namespace, lock["name"], change)


def _deployed(api: Api, spec: PostgresSpec) -> Deployed | None:
    stateful_set = api.get("apps/v1", "StatefulSet", spec.namespace, spec.name)
    return deployed_from(spec, stateful_set) if stateful_set else None


def _resize(api: Api, spec: PostgresSpec, cache: ClusterCache, replicas: int) -> None:
    """Resize the StatefulSet, unless a newer spec has been applied meanwhile: then the next round decides again."""
    with cache.sizing:
        deployed = _deployed(api, spec)
        if deployed and deployed.is_current:
            api.apply(manifests.stateful_set(spec, os.environ[spec.ENGINE.image_variable], replicas))


def _note_causes(cache: ClusterCache, observed: ObservedPostgres, primary: str | None) -> None:
    """Record causes of failovers: a member whose pod is deleted hands over by itself. The primary has no cause."""
    for pod in observed.pods:
        if pod.terminating:
            cache.causes.setdefault(pod.name, "its pod was deleted")
        elif pod.name == primary and not cache.steps.hands_over(pod.name):
            cache.causes.pop(pod.name, None)
