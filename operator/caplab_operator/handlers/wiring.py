"""What kopf calls. No finalizers: no timers, no daemons, no delete handlers on clusters."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import kopf

from ..api import Api
from ..settings import GROUP, VERSION, configure
from . import postgres

_ROUND_SECONDS = 1.0  # between two looks at a cluster
_RETRY_SECONDS = 2.0  # kopf's own default would be a minute

_log = logging.getLogger(__name__)
Key = tuple[str, str]


@dataclass
class Watched:
    """The clusters there are, as last heard of, and the status last written for each."""

    bodies: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    written: dict[Key, Mapping[str, Any]] = field(default_factory=dict)

    def hear(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """Take in what a watch says of one cluster."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if event_type == "DELETED":
            self.bodies.pop(key, None)
            self.written.pop(key, None)
            return
        if not self.same(key, body):
            self.written[key] = dict(body.get("status") or {})
        self.bodies[key] = body

    def same(self, key: Key, body: Mapping[str, Any]) -> bool:
        """Whether the cluster of that name is still the one the body tells of."""
        known = self.bodies.get(key)
        return known is not None and bool(known["metadata"]["uid"] == body["metadata"]["uid"])


def register(registry: kopf.OperatorRegistry) -> None:
    """Register every handler."""
    api, watched = Api(), Watched()
    tasks: list[asyncio.Task[None]] = []

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        tasks.append(asyncio.create_task(_watch_over_all(api, watched)))

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @kopf.on.event(GROUP, VERSION, "postgresclusters", registry=registry)
    async def heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        watched.hear(event["type"], dict(body))

    @kopf.on.resume(GROUP, VERSION, "postgresclusters", registry=registry)
    @kopf.on.create(GROUP, VERSION, "postgresclusters", registry=registry)
    @kopf.on.update(GROUP, VERSION, "postgresclusters", field="spec", registry=registry)
    def reconcile(body: kopf.Body, **_: Any) -> None:
        try:
            postgres.reconcile(api, dict(body))
        except Exception as error:
            raise kopf.TemporaryError(f"not applied yet: {error}", delay=_RETRY_SECONDS) from error


async def _watch_over_all(api: Api, watched: Watched) -> None:
    """Look at every cluster once a round, each in a thread of its own."""
    while True:
        started = time.monotonic()
        await asyncio.gather(*(_watch_over_one(api, watched, key) for key in list(watched.bodies)))
        await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - started)))


async def _watch_over_one(api: Api, watched: Watched, key: Key) -> None:
    body, before = watched.bodies.get(key), watched.written.get(key, {})
    if body is None or body["metadata"].get("deletionTimestamp"):
        return
    try:
        found = await asyncio.to_thread(postgres.watch_over, api, body, before)
    except Exception as error:  # one cluster's trouble must not blind the others
        _log.warning("%s/%s could not be looked at: %s", *key, error)
        return
    if watched.same(key, body):
        watched.written[key] = found
