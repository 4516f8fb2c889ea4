"""RedisCluster: applied when its spec changes, observed and mended all the time, followed between the rounds."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..api import Api, now
from ..engines import objects
from ..engines.conditions import Status, never_ready
from ..engines.pods import Pod
from ..engines.redis import configuration, manifests, mending, observe, rollout, slices, status
from ..engines.redis.observe import Place, Seen
from ..engines.redis.primary import primary_of
from ..engines.redis.spec import RedisSpec, parse
from ..engines.redis.users import MONITOR, OPERATOR
from ..faults.targets import Roles
from ..settings import LAB_NAMESPACE_VARIABLE
from . import exporters
from .applied import Applied, apply_all
from .pods import have_seen, pods_among, pods_of
from .redis_hand_over import hand_over
from .redis_routes import Routes
from .redis_users import Users, tell
from .redis_watch import PromotionWatch

IMAGE_VARIABLE = "CAPLAB_IMAGE_REDIS"
_QUICK_SECONDS = 0.1  # how long the fast watch waits for one who is silent

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]


@dataclass
class Known:
    """What is kept of a cluster between two rounds."""

    routes: Routes = field(default_factory=Routes)
    applied: Applied = field(default_factory=Applied)
    sizing: threading.Lock = field(default_factory=threading.Lock)  # held by who decides on the members' number
    place: Place | None = None  # as last seen
    handed_over: str | None = None  # whom the operator had hand over, until that has shown
    users: Users = field(default_factory=Users)
    exporters_password: str = ""  # '' where there is to be no exporter, or it is not known yet


class RedisClusters:
    """The handlers of the kind."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def reconcile(self, api: Api, body: Body) -> None:
        """Make the cluster's objects what its spec asks for; the number of members only ever grows here."""
        spec, known = parse(body), self._of(body)
        known.exporters_password = exporters.password(api, spec)
        with known.sizing:
            deployed = _deployed(api, spec)
            standing = _standing(spec, deployed, None, body.get("status") or {})
            image, lab_namespace = os.environ[IMAGE_VARIABLE], os.environ[LAB_NAMESPACE_VARIABLE]
            objects_of_it = manifests.build(spec, image, lab_namespace, standing)
            slices_of_it = [slices.primary_slice(spec), slices.replicas_slice(spec, ())]
            apply_all(api, spec, partial(manifests.secrets, spec), objects_of_it, slices_of_it)

    def roles(self, api: Api, namespace: str, cluster: str, listed: Callable[[], Sequence[Body]]) -> Roles:
        """The primary is who the Sentinels want at this moment."""
        passwords = api.secret(namespace, objects.secret_name(cluster))  # while pods are being listed
        members, sentinels = (
            pods_among(api, listed(), objects.selector(RedisSpec.ENGINE, cluster, part))
            for part in (manifests.MEMBER, manifests.SENTINEL)
        )
        return Roles(primary=primary_of(observe.look(Place(members, sentinels, passwords.get("operator", "")))))

    def watch_over(self, api: Api, body: Body, before: Body, hit: Mapping[str, str]) -> Status:
        """Look at a running cluster, do what it needs next, and return its status.

        hit names the fault that each member under one is under.
        """
        spec, known = parse(body), self._of(body)
        passwords = {**_passwords(api, spec), MONITOR: known.exporters_password}
        known.place = _place(api, spec, passwords)
        seen = observe.look(known.place, tuple(configuration.directives(spec)))
        primary = primary_of(seen)
        known.routes.lead_to_all(api, spec, seen)
        changed_users = known.users.changed(seen)
        refusals = _mend(spec, seen, primary) | known.users.mend(spec, seen, passwords)
        deployed = _deployed(api, spec)
        with known.sizing:
            files = manifests.config_map(spec, _standing(spec, deployed, primary, before))
            known.applied.ensure(api, files)
        have_seen(api, known.place.members + known.place.sentinels, files)
        step = rollout.next_step(spec, seen, primary, deployed) if deployed else None
        if step:
            _take(api, spec, known, seen, step)
        outdated = [pod.name for pod in rollout.outdated(seen, deployed)] if deployed else []
        done = status.Done(refusals, step.why if step else "", known.handed_over, changed_users, outdated)
        found = status.build(spec, seen, primary, before, now(), hit, done)
        if primary not in (None, known.handed_over, before.get("primary")):
            known.handed_over = None  # it has shown
        return found

    async def follow(self, api: Api, body: Body) -> None:
        """Have the primary's Service follow a promotion at once; until cancelled."""
        spec, known = parse(body), self._of(body)
        try:
            await PromotionWatch(lambda: known.place, lambda: _look_quickly(api, spec, known)).run()
        finally:
            self._known.pop(spec.uid, None)

    def _of(self, body: Body) -> Known:
        return self._known.setdefault(body["metadata"]["uid"], Known())


def _look_quickly(api: Api, spec: RedisSpec, known: Known) -> bool:
    """Whether the primary is another than before."""
    if known.place is None:
        return False
    try:
        return known.routes.lead_to_primary(api, spec, observe.look(known.place, seconds=_QUICK_SECONDS))
    except Exception as error:  # the API server's; the round will do it
        _log.warning("the primary of %s/%s could not be followed: %s", spec.namespace, spec.name, error)
        return False


def _passwords(api: Api, spec: RedisSpec) -> dict[str, str]:
    """Every user's, by its name."""
    own = api.secret(spec.namespace, objects.secret_name(spec.name))
    login = api.secret(spec.namespace, objects.login_name(spec.name))
    return {**own, objects.APPLICATION: login.get("password", "")}


def _place(api: Api, spec: RedisSpec, passwords: Mapping[str, str]) -> Place:
    def pods(part: str) -> tuple[Pod, ...]:
        return pods_of(api, spec.namespace, objects.selector(RedisSpec.ENGINE, spec.name, part))

    login = passwords[objects.APPLICATION]
    return Place(pods(manifests.MEMBER), pods(manifests.SENTINEL), passwords.get(OPERATOR, ""), login)


def _deployed(api: Api, spec: RedisSpec) -> rollout.Deployed | None:
    found = api.get("apps/v1", "StatefulSet", spec.namespace, spec.name)
    return rollout.deployed_from(spec, found) if found else None


def _standing(
    spec: RedisSpec, deployed: rollout.Deployed | None, primary: str | None, before: Body
) -> manifests.Standing:
    """What start scripts have to know; before is the status so far."""
    last = primary or before.get("primary") or (before.get("primaryGap") or {}).get("member")
    replicas = rollout.wanted_replicas(spec, primary, deployed.replicas if deployed else None)
    return manifests.Standing(replicas, last, never_ready(before))


def _mend(spec: RedisSpec, seen: Seen, primary: str | None) -> dict[str, str]:
    """Set what differs from the spec, and have a Sentinel forget who is gone; what was refused, by pod."""
    place = seen.place
    members, sentinels = mending.members_drift(spec, seen), mending.sentinels_drift(spec, seen)
    told = {
        pod.name: tell(spec, pod, observe.tell_member, place, mending.member_commands(members[pod.name]))
        for pod in place.members
        if pod.name in members
    } | {
        pod.name: tell(spec, pod, observe.tell_sentinel, place, mending.sentinel_commands(sentinels[pod.name]))
        for pod in place.sentinels
        if pod.name in sentinels
    }
    if forgetful := mending.to_reset(spec, seen, primary):
        tell(spec, forgetful, observe.tell_sentinel, place, [("SENTINEL", "RESET", configuration.MASTER)])
    return {name: refused for name, refused in told.items() if refused}


def _take(api: Api, spec: RedisSpec, known: Known, seen: Seen, step: rollout.Step) -> None:
    """Take the next step of a rolling restart or of a change of size."""
    match step:
        case rollout.Restart(pod):
            _log.info("%s/%s is restarted: %s", spec.namespace, pod.name, step.why)
            api.delete_pod(spec.namespace, pod.name, pod.uid)
        case rollout.HandOver(sentinel):
            if hand_over(spec, seen, sentinel, lambda now: known.routes.lead_to_primary(api, spec, now)):
                known.handed_over = primary_of(seen)
        case rollout.Resize(replicas):
            _resize(api, spec, known, replicas)


def _resize(api: Api, spec: RedisSpec, known: Known, replicas: int) -> None:
    with known.sizing:
        api.apply(manifests.members(spec, os.environ[IMAGE_VARIABLE], replicas))
