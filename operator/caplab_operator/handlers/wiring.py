"""Registration of kopf's handlers. There are no timers, daemons or delete handlers: kopf would add finalizers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import kopf

from caplab.contract import meta
from caplab.contract.names import FAST_PATH_LABEL, FAULT, GROUP, PLURALS, RUN, VERSION
from caplab.contract.objects import Fault
from caplab.contract.runs import Run

from .. import exporter, scrape_targets
from ..api import Api
from ..health import Health
from ..settings import LAB_NAMESPACE_VARIABLE, configure
from .deaths import Deaths
from .engines import DECIDERS, ClusterController, controllers
from .faults.handlers import FaultHandlers
from .faults.live import LiveFaults
from .faults.reading import Reader
from .owned_watch import OwnedWatch
from .rounds import Rounds
from .watched import Key, WatchedClusters, WatchedRecords, active_faults, key_of

_ROUND_SECONDS = 1.0
_KINDS_SECONDS = 60.0  # for which the operator waits for its kinds, before it exits and is restarted

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Lab:
    """State that all handlers share: the API server's client, and the objects as last seen."""

    api: Api = field(default_factory=Api)
    controllers: Mapping[str, ClusterController] = field(default_factory=controllers)  # by kind
    clusters: WatchedClusters = field(default_factory=WatchedClusters)
    faults: WatchedRecords[Fault] = field(default_factory=lambda: WatchedRecords(record=Fault))
    runs: WatchedRecords[Run] = field(default_factory=lambda: WatchedRecords(record=Run))
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    followers: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by the uid of the cluster
    # For faults alone: observing clusters may wait for silent members for seconds, and a fault must not wait for that.
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="fault"))
    fault_handlers: FaultHandlers = field(init=False)
    live_faults: LiveFaults = field(init=False)
    health: Health = field(default_factory=Health)
    rounds: Rounds = field(init=False)
    owned: OwnedWatch = field(init=False)
    deaths: Deaths = field(init=False)

    def __post_init__(self) -> None:
        self.fault_handlers = FaultHandlers(
            self.api, lambda kind: self.controllers[kind].handlers.roles, Reader(self.api)
        )
        self.live_faults = LiveFaults(
            watched=self.faults, handlers=self.fault_handlers, threads=self.threads, health=self.health
        )
        self.rounds = Rounds(
            api=self.api,
            controllers=self.controllers,
            watched=self.clusters,
            active_faults=self._active_faults,
            health=self.health,
        )
        self.owned = OwnedWatch(api=self.api, clusters_in=self.rounds.clusters_in)
        self.deaths = Deaths(api=self.api, deciders=DECIDERS)

    def snapshot(self) -> exporter.Snapshot:
        """Take the objects as last seen; safe to call from any thread."""
        clusters = [
            {**body, "status": self.clusters.written.get(key_of(body), body.get("status"))}
            for body in list(self.clusters.bodies.values())
        ]
        return exporter.Snapshot(clusters, list(self.faults.readable.values()), list(self.runs.readable.values()))

    def _active_faults(self, namespace: str) -> Mapping[str, str]:
        return active_faults(self.faults.readable.values(), namespace)


def register(registry: kopf.OperatorRegistry) -> None:
    """Register every handler."""
    lab = Lab()
    _register_life(registry, lab)
    for kind in lab.controllers:
        _register_clusters(registry, lab, PLURALS[kind])
    _register_events(registry, lab)


def _register_life(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await _kinds_are_served(lab)
        exporter.serve(lab.snapshot, lambda: lab.health.oldest()[1])
        scrape_targets.serve(lambda: _scrape_targets(lab.api))
        for name, one_round in (("faults", _look_at_faults), ("keeping up with clusters", _keep_clusters)):
            lab.tasks.append(asyncio.create_task(_in_rounds(name, one_round, lab)))
        lab.tasks.append(asyncio.create_task(lab.live_faults.run()))
        lab.api.watch_pods(FAST_PATH_LABEL, lab.deaths.on_pods)

    @kopf.on.probe(registry=registry, id="rounds")
    async def rounds_go_on(**_: Any) -> str:
        if trouble := lab.health.trouble():
            _log.error("unhealthy: %s", trouble)
            raise kopf.PermanentError(trouble)
        return "all rounds make progress"

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        tasks = [*lab.tasks, *lab.followers.values(), *lab.rounds.tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await lab.owned.stop()


def _register_clusters(registry: kopf.OperatorRegistry, lab: Lab, plural: str) -> None:
    # The event is only recorded: the cluster's rounds do the work, from the current state, whatever happened.
    @kopf.on.event(GROUP, VERSION, plural, registry=registry)
    async def on_cluster_event(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        previous = lab.clusters.bodies.get(key_of(body))
        lab.clusters.on_event(event["type"], dict(body))
        lab.rounds.on_event(dict(body), meta.generation_of(previous) if previous else None)


def _register_events(registry: kopf.OperatorRegistry, lab: Lab) -> None:
    @kopf.on.event(GROUP, VERSION, PLURALS[RUN], registry=registry)
    async def on_run_event(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        lab.runs.on_event(event["type"], dict(body))

    @kopf.on.event(GROUP, VERSION, PLURALS[FAULT], registry=registry)
    async def on_fault_event(event: kopf.RawEvent, body: kopf.Body, **_: Any) -> None:
        key = lab.faults.on_event(event["type"], dict(body))
        lab.live_faults.wake()
        await _follow_fault(lab, key)


def _scrape_targets(api: Api) -> list[scrape_targets.Group]:
    """List Prometheus' scrape targets from the current pods."""
    of_lab = api.pods_where(os.environ[LAB_NAMESPACE_VARIABLE], scrape_targets.OF_THE_LAB)
    return scrape_targets.groups(of_lab, api.pods_where("", scrape_targets.OF_CLUSTERS))


async def _kinds_are_served(lab: Lab) -> None:
    """Wait until the API server serves the lab's kinds: kopf does not watch kinds that are missing at its start."""
    wanted = {PLURALS[kind] for kind in (FAULT, RUN, *lab.controllers)}
    end = time.monotonic() + _KINDS_SECONDS
    while missing := wanted - await asyncio.to_thread(lab.api.serves, GROUP, VERSION):
        if time.monotonic() > end:
            raise kopf.PermanentError(f"the API server has no kinds {', '.join(sorted(missing))}. Hint: make up.")
        await asyncio.sleep(_ROUND_SECONDS)


async def _in_rounds(name: str, one_round: Callable[[Lab], Awaitable[None]], lab: Lab) -> None:
    lab.health.note(name)
    while True:
        started = time.monotonic()
        try:
            await one_round(lab)
        except Exception as error:  # the next round tries again
            _log.warning("%s: %s", name, error)
        lab.health.note(name)
        await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - started)))


async def _keep_clusters(lab: Lab) -> None:
    """Keep each existing cluster's loops, its namespace's watches, and its engine's follower."""
    lab.rounds.keep()
    lab.owned.keep({cluster.key[1] for cluster in lab.rounds.running.values() if cluster.was_tried})
    await _keep_following(lab)


async def _keep_following(lab: Lab) -> None:
    """Start a follower for each existing cluster whose engine has one, and end all others."""
    there = {meta.uid_of(body): body for body in lab.clusters.bodies.values() if not meta.is_being_deleted(body)}
    for uid in [uid for uid, task in lab.followers.items() if uid not in there or task.done()]:
        _end(lab.followers.pop(uid))
    for uid, body in there.items():
        follow = lab.controllers[body["kind"]].follow
        if follow and uid not in lab.followers:
            lab.followers[uid] = asyncio.create_task(follow(lab.api, body))


def _end(follower: asyncio.Task[None]) -> None:
    if follower.done() and not follower.cancelled() and (error := follower.exception()):
        _log.warning("a cluster's follower starts again: %s", error)
    follower.cancel()


async def _look_at_faults(lab: Lab) -> None:
    """Retry what an event's handler could not do; if nothing is left to do, nothing happens."""
    await asyncio.gather(*(_follow_fault(lab, key) for key in list(lab.faults.bodies)))


async def _follow_fault(lab: Lab, key: Key) -> None:
    """Take a fault's next action, one at a time, from the object as last seen."""
    async with lab.faults.locks[key]:
        fault = lab.faults.readable.get(key)
        if fault is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(lab.threads, lab.fault_handlers.advance, fault)
        except Exception as error:  # the next round tries again
            _log.warning("%s %s/%s: %s", *key, error)
