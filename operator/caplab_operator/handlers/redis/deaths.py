"""What a primary's proven death leads to: one Sentinel fails over at once, and another member is promoted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import Death
from caplab.contract.engines import REDIS
from caplab.contract.names import API_VERSION, CLUSTER_LABEL, SENTINEL

from ...api import Api
from ...engines import objects
from ...engines.redis import configuration, forced, observe
from ...engines.redis.observe import Place
from ...engines.redis.primary import primary_of
from ...engines.redis.spec import parse
from ...engines.redis.users import OPERATOR
from ..pods import members_beside, pods_of

_ASK_SECONDS = 0.2  # for a silent member or Sentinel; the others answer within milliseconds
_PROMOTED_SECONDS, _LOOK_SECONDS = 2.0, 0.02

Body = Mapping[str, Any]


def decide(api: Api, pod: Body, death: Death, pods: Sequence[Body]) -> str:
    """Have a Sentinel fail over from a dead primary, and wait for the promotion. Returns what came of it.

    pods: of all clusters' members, as they were listed last.
    """
    namespace, name, dead = meta.namespace_of(pod), meta.labels_of(pod)[CLUSTER_LABEL], meta.name_of(pod)
    body, place = api.get(API_VERSION, REDIS.kind, namespace, name), _place(api, pod, pods)
    if body is None or dead not in {member.name for member in place.members}:
        return "it is no member of a cluster"
    observed = observe.look(place, seconds=_ASK_SECONDS)
    if why := forced.refusal(parse(body), observed, dead, death, time.time_ns()):
        return f"no Sentinel is told to fail over: {why}"
    sentinel = next(each for each in place.sentinels if each.name == forced.leader(observed, dead))
    if refused := observe.send_to_sentinel(place, sentinel, [("SENTINEL", "FAILOVER", configuration.MASTER)]):
        return f"{sentinel.name} does not fail over: {'; '.join(refused)}"
    return f"{sentinel.name} fails over; {_await_primary(place, dead)}"


def _place(api: Api, pod: Body, pods: Sequence[Body]) -> Place:
    namespace, cluster = meta.namespace_of(pod), meta.labels_of(pod)[CLUSTER_LABEL]
    sentinels = pods_of(api, namespace, objects.selector(REDIS.name, cluster, SENTINEL))
    password = api.secret(namespace, objects.secret_name(cluster)).get(OPERATOR, "")
    return Place(members_beside(api, pod, pods), sentinels, password)


def _await_primary(place: Place, dead: str) -> str:
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _PROMOTED_SECONDS:
        if (primary := primary_of(observe.look(place, seconds=_ASK_SECONDS))) and primary != dead:
            return f"{primary} was promoted within {waited:.3f} s"
        time.sleep(_LOOK_SECONDS)
    return f"nobody was promoted for {_PROMOTED_SECONDS:g} s"
