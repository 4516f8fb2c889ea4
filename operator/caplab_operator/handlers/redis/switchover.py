"""Switchover: another member becomes primary on purpose, without loss of acknowledged writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ...engines.pods import Pod
from ...engines.redis import configuration, manifests, observe
from ...engines.redis.observe import ObservedRedis
from ...engines.redis.primary import primary_of
from ...engines.redis.spec import RedisSpec
from ...engines.redis.users import Command

_CATCH_UP_SECONDS = 1.0  # a linked replica takes milliseconds
_SWITCHOVER_SECONDS = 5.0  # a promotion takes less than one
_LOOK_SECONDS = 0.02
# Until every node's Services lead to the new primary (docs/evidence/redis.md): a client that reconnects sooner
# reaches the old primary, and would stay there, with all its writes refused.
_SERVICES_FOLLOW_SECONDS = 0.5
_SEND_AWAY = ("CLIENT", "KILL", "TYPE", "normal")
# The old primary holds writes back for no longer than this, even if the operator dies meanwhile.
_PAUSE_MILLISECONDS = round((_CATCH_UP_SECONDS + _SWITCHOVER_SECONDS) * 1000)

_log = logging.getLogger(__name__)


def switch_over(
    spec: RedisSpec, observed: ObservedRedis, sentinel: Pod, on_look: Callable[[ObservedRedis], object]
) -> bool:
    """Have a Sentinel make another member primary, and the old one its replica. Returns whether that succeeded.

    on_look gets each observation, so that Services can follow at once. Left to themselves, Sentinels would choose
    while the old primary still takes writes, and let it go on for eight seconds more, all of them lost. So writes
    are paused first, then pending ones reach the replicas, and at the end the old primary's clients are disconnected,
    with the writes that they still had pending.
    """
    old = primary_of(observed)
    former = next(pod for pod in observed.place.members if pod.name == old)
    _send(spec, observed, former, ("CLIENT", "PAUSE", str(_PAUSE_MILLISECONDS), "WRITE"))
    new = None
    if _all_caught_up(observed, former.name) and _begin(spec, observed, sentinel):
        new = _await_another(observed, former.name, on_look)
    if new:
        host = manifests.member_host(spec, new)
        follow = ("REPLICAOF", host, str(manifests.REDIS_PORT))
        _send(spec, observed, former, follow, ("CONFIG", "REWRITE"), _SEND_AWAY)
        time.sleep(_SERVICES_FOLLOW_SECONDS)  # no node reports when its rules are updated
        _send(spec, observed, former, _SEND_AWAY)
    _send(spec, observed, former, ("CLIENT", "UNPAUSE"))
    return new is not None


def _begin(spec: RedisSpec, observed: ObservedRedis, sentinel: Pod) -> bool:
    refused = observe.send_to_sentinel(observed.place, sentinel, [("SENTINEL", "FAILOVER", configuration.MASTER)])
    _log.info("%s/%s hands over; %s: %s", spec.namespace, spec.name, sentinel.name, "; ".join(refused) or "OK")
    return not refused


def _all_caught_up(observed: ObservedRedis, primary: str) -> bool:
    """Wait until every replica that answers has what the primary has."""
    end = time.monotonic() + _CATCH_UP_SECONDS
    while time.monotonic() < end:
        members = observe.look(observed.place).members
        if primary in members and all(member.offset >= members[primary].offset for member in members.values()):
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _await_another(observed: ObservedRedis, old: str, on_look: Callable[[ObservedRedis], object]) -> str | None:
    end = time.monotonic() + _SWITCHOVER_SECONDS
    while time.monotonic() < end:
        now = observe.look(observed.place)
        on_look(now)
        if (new := primary_of(now)) and new != old:
            return new
        time.sleep(_LOOK_SECONDS)
    return None


def _send(spec: RedisSpec, observed: ObservedRedis, pod: Pod, *commands: Command) -> None:
    """Send commands to a member; refusals are only logged, since the next round observes again."""
    if refused := observe.send_to_member(observed.place, pod, commands):
        _log.warning("%s/%s refused in a switchover: %s", spec.namespace, pod.name, "; ".join(refused))
