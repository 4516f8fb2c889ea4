"""The prober of a zone: runs the probes that Probe objects ask for, and says how they stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module

from kubernetes import client

from caplab.watching import Watcher

from .cache.asked import CacheSpec
from .cache.loads import Load
from .cache.reached import Reached
from .engines import engine_of
from .links import Client
from .mixing import mix
from .probe import Probe, Status, Surroundings, now
from .spec import Target
from .targets import LiveTopology, read_login
from .watch import PLURAL, Body, Moves, Wanted, apply_status, decide

_STATUS_SECONDS = 5.0  # how old the count of operations may get
_CHECK_SECONDS = 0.5  # how soon a change of phase is told
_AGAIN_SECONDS = 2.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    """A probe that was started here: from looking for its target until its object is gone."""

    wanted: Wanted
    since: str
    task: asyncio.Task[None] | None = None
    probe: Probe | None = None
    problem: str = ""  # why there is no probe yet
    stopped: bool = False
    told: Status | None = None
    told_at: float = 0.0
    telling: Future[None] | None = None

    def stop(self) -> None:
        """End in order."""
        self.stopped = True
        if self.probe:
            self.probe.stop()

    def status(self) -> Status:
        """How it stands; one that was stopped before its target was found is done."""
        if self.probe:
            return self.probe.status
        return Status("Done" if self.stopped else "Pending", 0, self.since, self.problem)

    def is_news(self, status: Status, at: float) -> bool:
        """Whether a status is to be told now."""
        if self.told is None or (self.told.phase, self.told.last_error) != (status.phase, status.last_error):
            return True
        return status != self.told and at - self.told_at >= _STATUS_SECONDS


@dataclass(frozen=True, slots=True)
class _Reached:
    """What a probe is aimed at, as it can be reached; the first topology is the target's."""

    client: Client
    topologies: tuple[LiveTopology, ...]
    tell_loads: Callable[[Callable[[Load], None]], None] | None = None


class Control:
    """Everything but calls of the API server happens in the event loop that makes this and runs `run`."""

    def __init__(self, api: client.ApiClient, around: Surroundings, namespace: str = "") -> None:
        self._api = api
        self._around = around
        self._running: dict[str, _Running] = {}
        self._loop = asyncio.get_running_loop()
        # The API server may be slow: it has threads of its own, and they are few.
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="api")
        self._watcher = Watcher(api, PLURAL, namespace, self._from_thread)

    async def run(self, stopped: asyncio.Event) -> None:
        """Watch and run probes until stopped, then end them all in order.

        That they ended is then not told: a prober that is replaced leaves its probes to the next, as one that dies.
        """
        self._watcher.start()
        while not stopped.is_set():
            self._tell_all()
            await asyncio.sleep(_CHECK_SECONDS)
        self._watcher.stop()
        for running in self._running.values():
            running.stop()
        tasks = [running.task for running in self._running.values() if running.task]
        if tasks:
            await asyncio.wait(tasks)

    def _from_thread(self, objects: list[Body]) -> None:
        self._loop.call_soon_threadsafe(self._changed, objects)

    def _changed(self, objects: list[Body]) -> None:
        self._carry_out(decide(objects, self._around.vantage, self._running))
        there = {body["metadata"]["uid"] for body in objects}
        for uid, running in list(self._running.items()):
            if uid not in there and running.task and running.task.done():
                del self._running[uid]

    def _carry_out(self, moves: Moves) -> None:
        for uid in moves.stop:
            self._running[uid].stop()
        for wanted in moves.start:
            running = self._running[wanted.uid] = _Running(wanted, now())
            running.task = asyncio.create_task(self._run_probe(running))
        for refused in moves.refuse:
            status = Status("Failed", 0, now(), refused.problem)
            self._executor.submit(self._apply, refused.namespace, refused.name, status)

    async def _run_probe(self, running: _Running) -> None:
        wanted = running.wanted
        while not running.stopped:
            try:
                reached = await self._loop.run_in_executor(self._executor, self._reach, wanted)
            except Exception as error:  # the target may not be there yet
                running.problem = f"{wanted.target.kind} {wanted.target.name}: {error}"
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            engine, topology = engine_of(wanted.target.kind), reached.topologies[0]
            running.probe = Probe(
                wanted.spec, self._around, reached.client, topology, engine.has_primary, engine.position,
                reached.tell_loads, wanted.target,
            )  # fmt: skip
            await running.probe.run()
            for one in reached.topologies:
                one.close()
            return

    def _reach(self, wanted: Wanted) -> _Reached:
        reached = self._reach_cache(wanted, wanted.spec.cache) if wanted.spec.cache else self._reach_cluster(wanted)
        for topology in reached.topologies:
            topology.start()
        return reached

    def _reach_cluster(self, wanted: Wanted) -> _Reached:
        topology = LiveTopology(self._api, wanted.target)
        login = read_login(self._api, wanted.target)
        options = wanted.spec.client.at(self._around.vantage)
        engine, limits = engine_of(wanted.target.kind), options.limits(self._around.limits)
        return _Reached(engine.client(login, limits, topology, options), (topology,))

    def _reach_cache(self, wanted: Wanted, asked: CacheSpec) -> _Reached:
        """The target is the cache; the database behind it is another cluster of its namespace."""
        store = Target(wanted.target.namespace, "PostgresCluster", asked.store)
        topologies = tuple(LiveTopology(self._api, target) for target in (wanted.target, store))
        cache, behind = (
            Reached(read_login(self._api, target), topology)
            for target, topology in zip((wanted.target, store), topologies, strict=True)
        )
        seed = mix(wanted.spec.seed, wanted.spec.vantages.index(self._around.vantage))
        # Two drivers, which an idle prober has no use for.
        make = import_module(".cache.client", __package__).CacheClient
        client = make(asked, cache, behind, wanted.spec.limits(self._around.limits), seed)
        return _Reached(client, topologies, client.tell_loads)

    def _tell_all(self) -> None:
        at = self._loop.time()
        for running in self._running.values():
            status = running.status()
            if (running.telling is None or running.telling.done()) and running.is_news(status, at):
                running.told, running.told_at = status, at
                target = running.wanted.target
                running.telling = self._executor.submit(self._tell, running, target.namespace, status)

    def _tell(self, running: _Running, namespace: str, status: Status) -> None:
        if not self._apply(namespace, running.wanted.name, status):
            running.told = None  # again with the next round

    def _apply(self, namespace: str, name: str, status: Status) -> bool:
        """Whether the API server took it."""
        try:
            apply_status(self._api, namespace, name, self._around.vantage, status)
        except Exception as error:
            log.warning("status of Probe %s: %s", name, error)
            return False
        return True
