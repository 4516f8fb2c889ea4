"""The prober of a zone: it runs the probes that Probe objects ask for, and reports their status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module

from caplab.contract import meta
from caplab.contract.engines import POSTGRES
from caplab.contract.names import PROBE
from caplab.contract.phases import DONE, FAILED, PENDING
from caplab.kube.client import Client as ApiClient
from caplab.kube.watcher import Watcher

from .cache.spec import CacheSpec
from .cache.values import ClusterAccess, Load
from .engines import factory_for
from .links import Client
from .load.mixing import mix
from .probe import Probe, ProberContext, Status, now
from .routing.targets import LiveTopology, SharedTopologies, read_login
from .spec import Target
from .watch import Body, ProbeActions, WantedProbe, apply_status, decide

_STATUS_SECONDS = 5.0  # how old the count of operations may get
_CHECK_SECONDS = 0.5  # how soon a change of phase is reported
_RETRY_SECONDS = 2.0
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Running:
    """A probe that was started here, from looking for its target until its object is deleted."""

    wanted: WantedProbe
    since: str
    task: asyncio.Task[None] | None = None
    probe: Probe | None = None
    problem: str = ""  # why there is no probe yet
    stopped: bool = False
    reported: Status | None = None
    reported_at: float = 0.0
    reporting: Future[None] | None = None

    def stop(self) -> None:
        """Stop the probe in order: operations under way are waited for."""
        self.stopped = True
        if self.probe:
            self.probe.stop()

    def status(self) -> Status:
        """Return its status; a probe that was stopped before its target was ready is done."""
        if self.probe:
            return self.probe.status
        return Status(DONE if self.stopped else PENDING, 0, self.since, self.problem)

    def is_due(self, status: Status, at: float) -> bool:
        """Return whether a status is to be reported now."""
        if self.reported is None or (self.reported.phase, self.reported.last_error) != (
            status.phase,
            status.last_error,
        ):
            return True
        return status != self.reported and at - self.reported_at >= _STATUS_SECONDS


@dataclass(frozen=True, slots=True)
class _ReachedTarget:
    """A probe's target as it can be reached. targets: whose topologies are open for it, its own first."""

    client: Client
    topology: LiveTopology
    targets: tuple[Target, ...]
    report_loads_to: Callable[[Callable[[Load], None]], None] | None = None


class Controller:
    """Runs a zone's probes in the event loop that calls `run`; only calls of the API server leave that loop."""

    def __init__(self, api: ApiClient, context: ProberContext, namespace: str = "") -> None:
        self._api = api
        self._context = context
        self._topologies = SharedTopologies(api)
        self._running: dict[str, _Running] = {}
        self._loop = asyncio.get_running_loop()
        # The API server may be slow, so its calls have threads of their own, and few of them.
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="api")
        self._watcher = Watcher(client=api, kind=PROBE, namespace=namespace, changed=self._on_objects)

    async def run(self, stopped: asyncio.Event) -> None:
        """Watch and run probes until stopped, then stop them all in order.

        Their end is not reported then: a prober that is replaced leaves its probes to the next, as one that is killed.
        """
        self._watcher.start()
        while not stopped.is_set():
            self._report_all()
            await asyncio.sleep(_CHECK_SECONDS)
        self._watcher.stop()
        for running in self._running.values():
            running.stop()
        tasks = [running.task for running in self._running.values() if running.task]
        if tasks:
            await asyncio.wait(tasks)

    def _on_objects(self, objects: list[Body]) -> None:
        self._loop.call_soon_threadsafe(self._changed, objects)

    def _changed(self, objects: list[Body]) -> None:
        self._carry_out(decide(objects, self._context.vantage, self._running))
        there = {meta.uid_of(body) for body in objects}
        for uid, running in list(self._running.items()):
            if uid not in there and running.task and running.task.done():
                del self._running[uid]

    def _carry_out(self, actions: ProbeActions) -> None:
        for uid in actions.stop:
            self._running[uid].stop()
        for wanted in actions.start:
            running = self._running[wanted.uid] = _Running(wanted=wanted, since=now())
            running.task = asyncio.create_task(self._run_probe(running))
        for refused in actions.refuse:
            status = Status(FAILED, 0, now(), refused.problem)
            self._executor.submit(self._apply, refused.namespace, refused.name, status)

    async def _run_probe(self, running: _Running) -> None:
        wanted = running.wanted
        while not running.stopped:
            try:
                reached = await self._loop.run_in_executor(self._executor, self._reach, wanted)
            except Exception as error:  # the target may not be there yet
                running.problem = f"{wanted.target.kind} {wanted.target.name}: {error}"
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            factory = factory_for(wanted.target.kind)
            running.probe = Probe(
                wanted.spec, self._context, reached.client, reached.topology, factory.engine.has_primary,
                factory.position, reached.report_loads_to, wanted.target,
            )  # fmt: skip
            await running.probe.run()
            for target in reached.targets:
                self._topologies.close(target)
            return

    def _reach(self, wanted: WantedProbe) -> _ReachedTarget:
        return self._reach_cache(wanted, wanted.spec.cache) if wanted.spec.cache else self._reach_cluster(wanted)

    def _reach_cluster(self, wanted: WantedProbe) -> _ReachedTarget:
        login = read_login(self._api, wanted.target)
        topology = self._topologies.open(wanted.target)
        options = wanted.spec.client.at(self._context.vantage)
        factory, limits = factory_for(wanted.target.kind), options.limits(self._context.limits)
        return _ReachedTarget(factory.client(login, limits, topology, options), topology, (wanted.target,))

    def _reach_cache(self, wanted: WantedProbe, cache_spec: CacheSpec) -> _ReachedTarget:
        """Reach the cache, which is the target, and the database behind it, another cluster of its namespace."""
        store = Target(wanted.target.namespace, POSTGRES.kind, cache_spec.store)
        targets = (wanted.target, store)
        logins = [read_login(self._api, target) for target in targets]
        own = self._topologies.open(wanted.target)
        try:
            of_store = self._topologies.open(store)
        except Exception:
            self._topologies.close(wanted.target)
            raise
        cache, behind = (
            ClusterAccess(login, topology) for login, topology in zip(logins, (own, of_store), strict=True)
        )
        seed = mix(wanted.spec.seed, wanted.spec.vantages.index(self._context.vantage))
        # Two drivers, which an idle prober has no use for.
        make = import_module(".cache.client", __package__).CacheClient
        client = make(cache_spec, cache, behind, wanted.spec.limits(self._context.limits), seed)
        return _ReachedTarget(client, own, targets, client.report_loads_to)

    def _report_all(self) -> None:
        at = self._loop.time()
        for running in self._running.values():
            status = running.status()
            if (running.reporting is None or running.reporting.done()) and running.is_due(status, at):
                running.reported, running.reported_at = status, at
                target = running.wanted.target
                running.reporting = self._executor.submit(self._report, running, target.namespace, status)

    def _report(self, running: _Running, namespace: str, status: Status) -> None:
        if not self._apply(namespace, running.wanted.name, status):
            running.reported = None  # it is reported again in the next round

    def _apply(self, namespace: str, name: str, status: Status) -> bool:
        """Apply a status; returns whether the API server took it."""
        try:
            apply_status(self._api, namespace, name, self._context.vantage, status)
        except Exception as error:
            log.warning("status of Probe %s: %s", name, error)
            return False
        return True
