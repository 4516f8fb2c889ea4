"""What kopf calls. No finalizers by kopf: no timers, no daemons, no delete handlers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import kopf

from .. import exporter
from ..api import Api
from ..settings import GROUP, VERSION, configure
from . import faults, postgres
from .watched import Heard, Key, Watched, members_hit

_ROUND_SECONDS = 1.0  # between two looks at a cluster
_RETRY_SECONDS = 2.0  # kopf's own default would be a minute

_log = logging.getLogger(__name__)


@dataclass
class Lab:
    """What the handlers share: the API server, and the objects as last heard of."""

    api: Api = field(default_factory=Api)
    clusters: Watched = field(default_factory=Watched)
    faults: Heard = field(default_factory=Heard)
    runs: Heard = field(default_factory=Heard)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


def register(registry: kopf.OperatorRegistry) -> None:
    """Register every handler."""
    lab = Lab()
    _register_life(registry, lab)
    _register_clusters(registry, lab)
    _register_events(registry, lab)


def _register_life(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        exporter.serve(lambda: list(lab.runs.bodies.values()))
        for one_round in (_look_at_clusters, _look_at_faults):
            lab.tasks.append(asyncio.create_task(_in_rounds(one_round, lab)))

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        for task in lab.tasks:
            task.cancel()
        await asyncio.gather(*lab.tasks, return_exceptions=True)


def _register_clusters(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.resume(GROUP, VERSION, "postgresclusters", registry=registry)
    @kopf.on.create(GROUP, VERSION, "postgresclusters", registry=registry)
    @kopf.on.update(GROUP, VERSION, "postgresclusters", field="spec", registry=registry)
    def reconcile(body: kopf.Body, **_: Any) -> None:
        try:
            postgres.reconcile(lab.api, dict(body))
        except Exception as error:
            raise kopf.TemporaryError(f"not applied yet: {error}", delay=_RETRY_SECONDS) from error


def _register_events(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.event(GROUP, VERSION, "postgresclusters", registry=registry)
    async def cluster_heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        lab.clusters.hear(event["type"], dict(body))

    @kopf.on.event(GROUP, VERSION, "runs", registry=registry)
    async def run_heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        lab.runs.hear(event["type"], dict(body))

    @kopf.on.event(GROUP, VERSION, "faults", registry=registry)
    async def fault_heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        await _follow_fault(lab, lab.faults.hear(event["type"], dict(body)))


async def _in_rounds(one_round: Callable[[Lab], Awaitable[None]], lab: Lab) -> None:
    while True:
        started = time.monotonic()
        await one_round(lab)
        await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - started)))


async def _look_at_clusters(lab: Lab) -> None:
    """Look at every cluster, each in a thread of its own."""
    await asyncio.gather(*(_look_at_cluster(lab, key) for key in list(lab.clusters.bodies)))


async def _look_at_cluster(lab: Lab, key: Key) -> None:
    body, before = lab.clusters.bodies.get(key), lab.clusters.written.get(key, {})
    if body is None or body["metadata"].get("deletionTimestamp"):
        return
    hit = members_hit(lab.faults.bodies.values(), key[0])
    try:
        found = await asyncio.to_thread(postgres.watch_over, lab.api, body, before, hit)
    except Exception as error:  # one cluster's trouble must not blind the others
        _log.warning("%s/%s could not be looked at: %s", *key, error)
        return
    lab.clusters.note_written(key, body, found)


async def _look_at_faults(lab: Lab) -> None:
    """Again for whatever an event's handler could not do; where all is done, nothing happens."""
    await asyncio.gather(*(_follow_fault(lab, key) for key in list(lab.faults.bodies)))


async def _follow_fault(lab: Lab, key: Key) -> None:
    """One move at a time for a fault, each from the object as it was last heard of."""
    async with lab.faults.locks[key]:
        body = lab.faults.bodies.get(key)
        if body is None:
            return
        try:
            await asyncio.to_thread(faults.follow, lab.api, body)
        except Exception as error:  # the next round tries again
            _log.warning("fault %s/%s: %s", *key, error)
