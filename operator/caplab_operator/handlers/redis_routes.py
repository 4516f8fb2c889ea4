"""Whom the Services of a RedisCluster lead to: kept right by the rounds, and between them by the fast watch."""

from __future__ import annotations

import math
import threading

from ..api import Api
from ..engines.redis import slices
from ..engines.redis.health import replicas_of
from ..engines.redis.observe import ObservedRedis
from ..engines.redis.primary import primary_of
from ..engines.redis.spec import RedisSpec
from .applied import ApplyCache


class Routes:
    """One cluster's. Without a primary both Services lead where they led: there is nobody better."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied = ApplyCache()
        self._primary: str | None = None
        self._looked = -math.inf

    def lead_to_primary(self, api: Api, spec: RedisSpec, observed: ObservedRedis) -> bool:
        """Have NAME-primary lead to the primary; whether that is another than before.

        Of two looks the one that began later counts, whichever is done first: a round that waits for silent
        members must not undo what the fast watch found meanwhile.
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
        """Have both Services lead where they should."""
        self.lead_to_primary(api, spec, observed)
        primary = primary_of(observed)
        if primary is not None and observed.began >= self._looked:
            self._applied.ensure(api, slices.replicas_slice(spec, replicas_of(observed, primary)))
