"""Handlers of RedisCluster: it is applied when its spec changes, observed in rounds, and followed between them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from caplab.contract import meta
from caplab.contract.engines import REDIS
from caplab.contract.names import MEMBER, SENTINEL

from ...api import Api, now
from ...engines import objects
from ...engines.conditions import Status, never_ready
from ...engines.pods import Pod
from ...engines.redis import configuration, manifests, observe, rollout, settings_drift, slices, status
from ...engines.redis.observe import ObservedRedis, Place
from ...engines.redis.primary import primary_of
from ...engines.redis.spec import RedisSpec, parse
from ...engines.redis.users import MONITOR, OPERATOR
from ...faults.targets import Roles
from ...settings import LAB_NAMESPACE_VARIABLE
from .. import exporters
from ..applied import ApplyCache, apply_all
from ..pods import pods_among, pods_of, refresh_files
from .routes import Routes
from .switchover import switch_over
from .users import Users, send_commands
from .watch import PromotionWatch

_QUICK_SECONDS = 0.1  # how long the promotion watch waits for a silent member

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass(kw_only=True)
class ClusterCache:
    """State of a cluster that is kept between two rounds."""

    routes: Routes = field(default_factory=Routes)
    applied: ApplyCache = field(default_factory=ApplyCache)
    sizing: threading.Lock = field(default_factory=threading.Lock)  # held while deciding on the number of members
    place: Place | None = None  # as last observed
    was_ready: bool = False  # since the operator started
    handed_over: str | None = None  # the member that the operator had hand over, until the new primary is seen
    users: Users = field(default_factory=Users)
    exporters_password: str = ""  # '' if there is no exporter, or the password is not known yet


class RedisClusters:
    """The handlers of RedisClusters."""

    def __init__(self) -> None:
        self._caches: dict[str, ClusterCache] = {}

    def reconcile(self, api: Api, body: Body) -> None:
        """Apply the cluster's objects as its spec asks for; the number of members can only grow here."""
        spec, cache = parse(body), self._of(body)
        cache.exporters_password = exporters.password(api, spec)
        with cache.sizing:
            deployed = _deployed(api, spec)
            persisted = _persisted_state(spec, cache, deployed, None, body.get("status") or {})
            image, lab_namespace = os.environ[spec.ENGINE.image_variable], os.environ[LAB_NAMESPACE_VARIABLE]
            objects_of_it = manifests.build(spec, image, lab_namespace, persisted)
            slices_of_it = [slices.primary_slice(spec), slices.replicas_slice(spec, ())]
            apply_all(api, spec, partial(manifests.secrets, spec), objects_of_it, slices_of_it)

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], Sequence[Body]]) -> Roles:
        """Read the primary that the Sentinels have chosen at this moment."""
        passwords = api.secret(namespace, objects.secret_name(cluster))  # while pods are being listed
        members, sentinels = (
            pods_among(api, listed(), objects.selector(REDIS.name, cluster, part)) for part in (MEMBER, SENTINEL)
        )
        return Roles(primary=primary_of(observe.look(Place(members, sentinels, passwords.get("operator", "")))))

    def run_round(self, api: Api, body: Body, before: Body, active_faults: Mapping[str, str]) -> Status:
        """Observe a running cluster, take its next step, and return its status.

        active_faults names the fault of each member that is under one.
        """
        spec, cache = parse(body), self._of(body)
        passwords = {**_passwords(api, spec), MONITOR: cache.exporters_password}
        cache.place = _place(api, spec, passwords)
        observed = observe.look(cache.place, tuple(configuration.directives(spec)))
        primary = primary_of(observed)
        cache.routes.lead_to_all(api, spec, observed)
        changed_users = cache.users.changed(observed)
        refusals = _correct_drift(spec, observed, primary) | cache.users.correct(spec, observed, passwords)
        deployed = _deployed(api, spec)
        _keep_files(api, spec, cache, deployed, primary, before)
        step = rollout.next_step(spec, observed, primary, deployed) if deployed else None
        if step:
            _take(api, spec, cache, observed, step)
        outdated = [pod.name for pod in rollout.outdated(observed, deployed)] if deployed else []
        done = status.RoundResult(
            refusals=refusals,
            rollout=step.why if step else "",
            handed_over=cache.handed_over,
            users=changed_users,
            outdated=outdated,
        )
        new_status = status.build(spec, observed, primary, before, now(), active_faults, done)
        if not never_ready(new_status) and not cache.was_ready:
            cache.was_ready = True  # before the status says so: no event follows that would wake an apply
            _keep_files(api, spec, cache, deployed, primary, new_status)
        if primary not in (None, cache.handed_over, before.get("primary")):
            cache.handed_over = None  # the new primary has been seen
        return new_status

    async def follow(self, api: Api, body: Body) -> None:
        """Have the primary's Service follow promotions at once, until cancelled."""
        spec, cache = parse(body), self._of(body)
        try:
            await PromotionWatch(lambda: cache.place, lambda: _look_quickly(api, spec, cache)).run()
        finally:
            self._caches.pop(spec.uid, None)

    def _of(self, body: Body) -> ClusterCache:
        return self._caches.setdefault(meta.uid_of(body), ClusterCache())


def _look_quickly(api: Api, spec: RedisSpec, cache: ClusterCache) -> bool:
    """Observe the cluster with short time-outs. Returns whether the primary has changed."""
    if cache.place is None:
        return False
    try:
        return cache.routes.lead_to_primary(api, spec, observe.look(cache.place, seconds=_QUICK_SECONDS))
    except Exception as error:  # the API server's; the next round catches up
        _log.warning("the Service of %s/%s's primary could not be updated: %s", spec.namespace, spec.name, error)
        return False


def _passwords(api: Api, spec: RedisSpec) -> dict[str, str]:
    """Read every user's password, by the user's name."""
    own = api.secret(spec.namespace, objects.secret_name(spec.name))
    login = api.secret(spec.namespace, objects.login_name(spec.name))
    return {**own, objects.APPLICATION: login.get("password", "")}


def _place(api: Api, spec: RedisSpec, passwords: Mapping[str, str]) -> Place:
    def pods(part: str) -> tuple[Pod, ...]:
        return pods_of(api, spec.namespace, objects.selector(RedisSpec.ENGINE.name, spec.name, part))

    login = passwords[objects.APPLICATION]
    return Place(pods(MEMBER), pods(SENTINEL), passwords.get(OPERATOR, ""), login)


def _deployed(api: Api, spec: RedisSpec) -> rollout.Deployed | None:
    stateful_set = api.get("apps/v1", "StatefulSet", spec.namespace, spec.name)
    return rollout.deployed_from(spec, stateful_set) if stateful_set else None


def _persisted_state(
    spec: RedisSpec, cache: ClusterCache, deployed: rollout.Deployed | None, primary: str | None, before: Body
) -> manifests.PersistedState:
    """Return the state that start scripts need; before is the status so far."""
    last = primary or before.get("primary") or (before.get("primaryGap") or {}).get("member")
    replicas = rollout.wanted_replicas(spec, primary, deployed.replicas if deployed else None)
    return manifests.PersistedState(replicas, last, bootstrap=never_ready(before) and not cache.was_ready)


def _keep_files(
    api: Api,
    spec: RedisSpec,
    cache: ClusterCache,
    deployed: rollout.Deployed | None,
    primary: str | None,
    before: Body,
) -> None:
    """Keep the files that members and Sentinels start with up to date; before is the status so far."""
    with cache.sizing:
        files = manifests.config_map(spec, _persisted_state(spec, cache, deployed, primary, before))
        cache.applied.ensure(api, files)
    pods = cache.place.members + cache.place.sentinels if cache.place else ()
    refresh_files(api, pods, files)


def _correct_drift(spec: RedisSpec, observed: ObservedRedis, primary: str | None) -> dict[str, str]:
    """Correct what differs from the spec, and have a Sentinel forget former pods. Returns refusals by pod."""
    place = observed.place
    members, sentinels = settings_drift.members_drift(spec, observed), settings_drift.sentinels_drift(spec, observed)
    refusals = {
        pod.name: send_commands(
            spec, pod, observe.send_to_member, place, settings_drift.member_commands(members[pod.name])
        )
        for pod in place.members
        if pod.name in members
    } | {
        pod.name: send_commands(
            spec, pod, observe.send_to_sentinel, place, settings_drift.sentinel_commands(sentinels[pod.name])
        )
        for pod in place.sentinels
        if pod.name in sentinels
    }
    if forgetful := settings_drift.to_reset(spec, observed, primary):
        send_commands(spec, forgetful, observe.send_to_sentinel, place, [("SENTINEL", "RESET", configuration.MASTER)])
    return {name: refused for name, refused in refusals.items() if refused}


def _take(api: Api, spec: RedisSpec, cache: ClusterCache, observed: ObservedRedis, step: rollout.Step) -> None:
    """Take a step of a rolling restart or of a change of size."""
    match step:
        case rollout.Restart(pod):
            _log.info("%s/%s is restarted: %s", spec.namespace, pod.name, step.why)
            api.delete_pod(spec.namespace, pod.name, pod.uid)
        case rollout.Switchover(sentinel):
            if switch_over(spec, observed, sentinel, lambda now: cache.routes.lead_to_primary(api, spec, now)):
                cache.handed_over = primary_of(observed)
        case rollout.Resize(replicas):
            _resize(api, spec, cache, replicas)


def _resize(api: Api, spec: RedisSpec, cache: ClusterCache, replicas: int) -> None:
    with cache.sizing:
        api.apply(manifests.members(spec, os.environ[spec.ENGINE.image_variable], replicas))
