"""Endpoints of a RedisCluster's Services, updated by the rounds, and between them by the promotion watch."""

from __future__ import annotations

import math
import threading

from ...api import Api
from ...engines.redis import slices
from ...engines.redis.health import replicas_of
from ...engines.redis.observe import ObservedRedis
from ...engines.redis.primary import primary_of
from ...engines.redis.spec import RedisSpec
from ..applied import ApplyCache


class Routes:
    """The endpoints of one cluster's Services, which stay as they are while there is no primary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied = ApplyCache()
        self._primary: str | None = None
        self._looked = -math.inf

    def lead_to_primary(self, api: Api, spec: RedisSpec, observed: ObservedRedis) -> bool:
        """Have NAME-primary lead to the primary. Returns whether the primary has changed.

        Of two observations the one that began later counts, whichever ends first: a round that waits for silent
        members must not undo what the promotion watch found meanwhile.
        """
        primary = primary_of(observed)
        with self._lock:
            if primary is None or observed.began < self._looked:
                return False
            pod = next(pod for pod in observed.place.members if pod.name == primary)
            self._applied.ensure(api, slices.primary_slice(spec, pod))
            self._looked, before, self._primary = observed.began, self._primary, primary
            return primary != before

    def lead_to_all(self, api: Api, spec: RedisSpec, observed: ObservedRedis) -> None:
        """Update the endpoints of both Services."""
        self.lead_to_primary(api, spec, observed)
        primary = primary_of(observed)
        if primary is not None and observed.began >= self._looked:
            self._applied.ensure(api, slices.replicas_slice(spec, replicas_of(observed, primary)))
