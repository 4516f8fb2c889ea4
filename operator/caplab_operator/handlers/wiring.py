"""What kopf calls. No finalizers by kopf: no timers, no daemons, no delete handlers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import kopf

from .. import exporter
from ..api import Api
from ..settings import GROUP, VERSION, configure
from . import clusters
from .engines import Engine, engines
from .fault_reading import Reader
from .faults import FaultHandlers
from .live_faults import LiveFaults
from .watched import Heard, Key, Watched, is_going, members_hit

_ROUND_SECONDS = 1.0  # between two looks at a cluster
_RETRY_SECONDS = 2.0  # kopf's own default would be a minute

_log = logging.getLogger(__name__)


@dataclass
class Lab:
    """What the handlers share: the API server, and the objects as last heard of."""

    api: Api = field(default_factory=Api)
    engines: Mapping[str, Engine] = field(default_factory=lambda: {engine.kind: engine for engine in engines()})
    clusters: Watched = field(default_factory=Watched)
    faults: Heard = field(default_factory=Heard)
    runs: Heard = field(default_factory=Heard)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    followers: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by the uid of the cluster
    # Of faults alone: a look at clusters may wait for silent members for seconds, and a fault must not wait for that.
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="fault"))
    fault_handlers: FaultHandlers = field(init=False)
    live_faults: LiveFaults = field(init=False)

    def __post_init__(self) -> None:
        self.fault_handlers = FaultHandlers(self.api, lambda kind: self.engines[kind].handlers.roles, Reader(self.api))
        self.live_faults = LiveFaults(self.faults, self.fault_handlers, self.threads)


def register(registry: kopf.OperatorRegistry) -> None:
    """Register every handler."""
    lab = Lab()
    _register_life(registry, lab)
    for engine in lab.engines.values():
        _register_clusters(registry, lab, engine)
    _register_events(registry, lab)


def _register_life(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        exporter.serve(lambda: list(lab.runs.bodies.values()))
        for one_round in (_look_at_clusters, _look_at_faults, _keep_following):
            lab.tasks.append(asyncio.create_task(_in_rounds(one_round, lab)))
        lab.tasks.append(asyncio.create_task(lab.live_faults.run()))

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        tasks = [*lab.tasks, *lab.followers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _register_clusters(registry: kopf.OperatorRegistry, lab: Lab, engine: Engine) -> None:
    # Named, since kopf keeps its progress in annotations, and an inner function's own name can't be one's.
    @kopf.on.resume(GROUP, VERSION, engine.plural, registry=registry, id="reconcile")
    @kopf.on.create(GROUP, VERSION, engine.plural, registry=registry, id="reconcile")
    @kopf.on.update(GROUP, VERSION, engine.plural, field="spec", registry=registry, id="reconcile")
    def reconcile(body: kopf.Body, **_: Any) -> None:
        try:
            engine.handlers.reconcile(lab.api, dict(body))
        except Exception as error:
            raise kopf.TemporaryError(f"not applied yet: {error}", delay=_RETRY_SECONDS) from error

    @kopf.on.event(GROUP, VERSION, engine.plural, registry=registry)
    async def cluster_heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        lab.clusters.hear(event["type"], dict(body))


def _register_events(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.event(GROUP, VERSION, "runs", registry=registry)
    async def run_heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        lab.runs.hear(event["type"], dict(body))

    @kopf.on.event(GROUP, VERSION, "faults", registry=registry)
    async def fault_heard(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        key = lab.faults.hear(event["type"], dict(body))
        lab.live_faults.stir()
        await _follow_fault(lab, key)


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
    if body is None or is_going(body):
        return
    kind, namespace, _ = key
    hit = members_hit(lab.faults.bodies.values(), namespace)
    try:
        found = await asyncio.to_thread(clusters.look, lab.api, lab.engines[kind].handlers, body, before, hit)
    except Exception as error:  # one cluster's trouble must not blind the others
        _log.warning("%s %s/%s could not be looked at: %s", *key, error)
        return
    lab.clusters.note_written(key, body, found)


async def _keep_following(lab: Lab) -> None:
    """Each cluster that is there is followed, where its engine does that, and no other."""
    there = {body["metadata"]["uid"]: body for body in lab.clusters.bodies.values() if not is_going(body)}
    for uid in [uid for uid, task in lab.followers.items() if uid not in there or task.done()]:
        _end(lab.followers.pop(uid))
    for uid, body in there.items():
        follow = lab.engines[body["kind"]].follow
        if follow and uid not in lab.followers:
            lab.followers[uid] = asyncio.create_task(follow(lab.api, body))


def _end(follower: asyncio.Task[None]) -> None:
    if follower.done() and not follower.cancelled() and (error := follower.exception()):
        _log.warning("a cluster is followed anew: %s", error)
    follower.cancel()


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
            await asyncio.get_running_loop().run_in_executor(lab.threads, lab.fault_handlers.follow, body)
        except Exception as error:  # the next round tries again
            _log.warning("%s %s/%s: %s", *key, error)
