"""Switchover: another member becomes primary on purpose, without loss of acknowledged writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from ...engines.pods import Pod
from ...engines.redis import configuration, manifests, observe
from ...engines.redis.observe import ObservedRedis
from ...engines.redis.primary import FAILING_OVER, named_by, primary_of
from ...engines.redis.spec import RedisSpec
from ...engines.redis.users import Command

_CATCH_UP_SECONDS = 1.0  # a linked replica takes milliseconds
_SWITCHOVER_SECONDS = 5.0  # a promotion takes less than one
_FOLLOW_SECONDS = 3.0
_LOOK_SECONDS = 0.02
# Until every node's Services lead to the new primary (docs/evidence/redis.md): a client that reconnects sooner
# reaches the old primary, and would stay there, with all its writes refused.
_SERVICES_FOLLOW_SECONDS = 0.5
_SEND_AWAY = ("CLIENT", "KILL", "TYPE", "normal")
_UNPAUSE = ("CLIENT", "UNPAUSE")
_NOT_BEGUN = ("NOGOODSLAVE", "[Errno 111]")  # the Sentinel has no replica to choose, or was not reached
# Longer than all that is waited for. The old primary holds writes back for no longer, even if the operator dies.
_PAUSE_MILLISECONDS = 30_000

_log = logging.getLogger(__name__)


def switch_over(
    spec: RedisSpec, observed: ObservedRedis, sentinel: Pod, on_look: Callable[[ObservedRedis], object]
) -> bool:
    """Have a Sentinel make another member primary, and the old one its replica. Returns whether that succeeded.

    on_look gets each observation, so that Services can follow at once. Left to themselves, Sentinels would choose
    while the old primary still takes writes, and let it go on for eight seconds more, all of them lost. So writes
    are paused first, then pending ones reach the replicas, and at the end the old primary's clients are disconnected,
    with the writes that they still had pending. The pause is ended only when the old primary follows the new one, or
    when no failover can be under way: else it would take writes that are lost.
    """
    former = next(pod for pod in observed.place.members if pod.name == primary_of(observed))
    if not _command(spec, observed, former, ("CLIENT", "PAUSE", str(_PAUSE_MILLISECONDS), "WRITE")):
        return False
    complete = _all_caught_up(observed, former.name)
    begun = bool(complete) and _begin(spec, observed, sentinel)
    new = _await_another(observed, complete, on_look) if begun else None
    if new and _follow(spec, observed, former, new):
        time.sleep(_SERVICES_FOLLOW_SECONDS)  # no node reports when its rules are updated
        _command(spec, observed, former, _SEND_AWAY, _UNPAUSE)
        return True
    if new or not _is_over(observe.look(observed.place), former.name):
        seconds = _PAUSE_MILLISECONDS // 1000
        _log.warning("%s/%s: writes are held back for up to %d s more", spec.namespace, former.name, seconds)
    else:
        _command(spec, observed, former, _UNPAUSE)
    return False


def _begin(spec: RedisSpec, observed: ObservedRedis, sentinel: Pod) -> bool:
    """Tell a Sentinel to fail over, and return whether it may do so: no answer does not mean that it does not."""
    refused = observe.send_to_sentinel(observed.place, sentinel, [("SENTINEL", "FAILOVER", configuration.MASTER)])
    _log.info("%s/%s hands over; %s: %s", spec.namespace, spec.name, sentinel.name, "; ".join(refused) or "OK")
    return not any(refusal.lstrip("-").startswith(_NOT_BEGUN) for refusal in refused)


def _is_over(observed: ObservedRedis, primary: str) -> bool:
    """Check whether every Sentinel names this primary, and none makes another one."""
    sentinels = observed.sentinels.values()
    return len(sentinels) == len(observed.place.sentinels) and all(
        named_by(observed, sentinel) == primary and FAILING_OVER not in sentinel.flags for sentinel in sentinels
    )


def _all_caught_up(observed: ObservedRedis, primary: str) -> Collection[str]:
    """Wait until every replica that answers has what the primary has. Returns them; none if they have not in time."""
    end = time.monotonic() + _CATCH_UP_SECONDS
    while time.monotonic() < end:
        members = observe.look(observed.place).members
        others = {name: member for name, member in members.items() if name != primary}
        if primary in members and all(
            not member.is_master and member.offset >= members[primary].offset for member in others.values()
        ):
            return others.keys()
        time.sleep(_LOOK_SECONDS)
    return ()


def _await_another(
    observed: ObservedRedis, complete: Collection[str], on_look: Callable[[ObservedRedis], object]
) -> str | None:
    """Wait until a member that had everything is the primary."""
    end = time.monotonic() + _SWITCHOVER_SECONDS
    while time.monotonic() < end:
        now = observe.look(observed.place)
        on_look(now)
        if (new := primary_of(now)) in complete:
            return new
        time.sleep(_LOOK_SECONDS)
    return None


def _follow(spec: RedisSpec, observed: ObservedRedis, former: Pod, new: str) -> bool:
    """Have the old primary follow the new one, and return whether it does."""
    follow = ("REPLICAOF", manifests.member_host(spec, new), str(manifests.REDIS_PORT))
    end = time.monotonic() + _FOLLOW_SECONDS
    while time.monotonic() < end:
        if _command(spec, observed, former, follow):
            _command(spec, observed, former, ("CONFIG", "REWRITE"), _SEND_AWAY)
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _command(spec: RedisSpec, observed: ObservedRedis, pod: Pod, *commands: Command) -> bool:
    """Have a member do something, and return whether it said that it did."""
    if refused := observe.send_to_member(observed.place, pod, commands):
        _log.warning("%s/%s refused in a switchover: %s", spec.namespace, pod.name, "; ".join(refused))
    return not refused
