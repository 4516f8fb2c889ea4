"""Each cluster's loops: one keeps its objects applied, one observes it. No cluster waits for another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from caplab.contract import meta

from ..api import Api
from ..engines.common import CommonConditions
from ..health import Health
from . import clusters, exporters
from .engines import ClusterController
from .starting import Starting
from .watched import Key, WatchedClusters, key_of

_ROUND_SECONDS = 1.0  # between two observations of a cluster, and at least between two applies
_RETRY_SECONDS = 2.0  # until a failed apply is tried again
_EXPORTER_SECONDS = 30.0  # the same, if only the exporter's failed
_RESYNC_SECONDS = 300.0  # until everything is applied again without a known change; else only what has changed is
_UNOBSERVED_ROUNDS = 3  # consecutive failed rounds until the status says so
_MAX_THREADS = 128  # made as needed: two a cluster

T = TypeVar("T")
Body = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Rounds:
    """The rounds of all clusters; active_faults names the fault of each member of a namespace that is under one."""

    api: Api
    controllers: Mapping[str, ClusterController]
    watched: WatchedClusters
    active_faults: Callable[[str], Mapping[str, str]]
    health: Health
    running: dict[str, ClusterRounds] = field(default_factory=dict)  # by the uid of the cluster
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="cluster")
    )

    def keep(self) -> None:
        """Start the loops of each existing cluster, and end those of all others."""
        there = {meta.uid_of(body): body for body in self.watched.bodies.values() if not meta.is_being_deleted(body)}
        for uid in [uid for uid, cluster in self.running.items() if uid not in there or cluster.task.done()]:
            self.running.pop(uid).end()
            if uid not in there:
                self.api.ledger.forget(uid)
        for uid, body in there.items():
            if uid not in self.running:
                self.running[uid] = ClusterRounds(self, key_of(body), uid)

    def on_event(self, body: Body, generation: int | None) -> None:
        """Take in an event of a cluster, with its last known generation: a new spec is applied at once."""
        self.keep()
        if generation != meta.generation_of(body) and (cluster := self.running.get(meta.uid_of(body))):
            cluster.wake()

    def clusters_in(self, namespace: str) -> list[ClusterRounds]:
        """Return the clusters of a namespace."""
        return [cluster for cluster in self.running.values() if cluster.key[1] == namespace]

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks of all clusters."""
        return [cluster.task for cluster in self.running.values()]


class ClusterRounds:
    """The rounds of one cluster, which start at once."""

    def __init__(self, rounds: Rounds, key: Key, uid: str) -> None:
        self.key, self.uid = key, uid
        self._rounds = rounds
        self._controller = rounds.controllers[key[0]]
        self._woken = asyncio.Event()
        self._applied = CommonConditions()  # what kept it from being applied the last time
        self._exporter_problem = ""  # what was wrong with its exporter the last time
        self._tried = asyncio.Event()  # set after the first attempt to apply it
        self._starting = Starting(rounds.api, key)
        self._failures = 0
        self.task = asyncio.create_task(self._run())

    @property
    def was_tried(self) -> bool:
        """Whether an apply was attempted: before that the operator has no rights to watch its objects."""
        return self._tried.is_set()

    def wake(self) -> None:
        """Apply the cluster now: its spec, or one of its objects, has changed."""
        self._woken.set()

    def end(self) -> None:
        """End its loops: its cluster is gone, or the loops have failed."""
        if self.task.done() and not self.task.cancelled() and (error := self.task.exception()):
            _log.warning("%s %s/%s: its loops start again: %s", *self.key, error)
        self.task.cancel()
        self._rounds.health.forget(self._name)

    @property
    def _name(self) -> str:
        return "{} {}/{}".format(*self.key)

    async def _run(self) -> None:
        self._rounds.health.note(self._name)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_applied())
            group.create_task(self._keep_looking())

    async def _keep_applied(self) -> None:
        while True:
            began = time.monotonic()
            self._woken.clear()
            if body := self._body():
                apply = partial(clusters.apply, self._rounds.api, self._controller.handlers, body)
                with self._rounds.health.working(f"applying {self._name}"):
                    self._note(await self._in_thread(apply))
                    self._tried.set()
                    await self._keep_exporter(body)
            self._tried.set()
            if self._rounds.api.ledger.take_outdated(self.uid):
                self.wake()
            try:
                await asyncio.wait_for(self._woken.wait(), self._seconds_to_resync())
            except TimeoutError:  # nothing is known to have changed: each object is looked at and applied again
                self._rounds.api.ledger.invalidate_all(self.uid)
            await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - began)))

    async def _keep_exporter(self, body: Body) -> None:
        """Keep the cluster's exporter, if all else of it is applied; log once what prevents that."""
        exporting = self._controller.exporting
        if exporting is None or self._applied != CommonConditions():
            return
        problem = await self._in_thread(partial(exporters.keep, self._rounds.api, exporting, body))
        if problem and problem != self._exporter_problem:
            _log.warning("%s: %s", self._name, problem)
        self._exporter_problem = problem

    def _seconds_to_resync(self) -> float:
        """Return how many seconds to wait before the next apply if no event comes."""
        if self._applied != CommonConditions():
            return _RETRY_SECONDS
        return _EXPORTER_SECONDS if self._exporter_problem else _RESYNC_SECONDS

    def _note(self, applied: CommonConditions) -> None:
        """Keep the result of an apply, and log it once."""
        if applied != self._applied:
            obstacles = "; ".join(applied.obstacles)
            _log.warning("%s %s", self._name, f"is not applied: {obstacles}" if obstacles else "is applied again")
        self._applied = applied

    async def _keep_looking(self) -> None:
        await self._tried.wait()
        while True:
            began = time.monotonic()
            if body := self._body():
                await self._look(body)
            self._rounds.health.note(self._name)
            await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - began)))

    async def _look(self, body: Body) -> None:
        rounds, before = self._rounds, self._rounds.watched.written.get(self.key, {})
        active_faults = rounds.active_faults(self.key[1])

        def look() -> Body:
            return clusters.look(
                rounds.api, self._controller.handlers, body, before, active_faults, self._applied, self._starting.why
            )

        try:
            status = await self._in_thread(look)
            self._failures = 0
        except Exception as error:  # a failed round must not end the loop
            _log.warning("%s could not be observed: %s", self._name, error)
            self._failures += 1
            if self._failures < _UNOBSERVED_ROUNDS:
                return
            with contextlib.suppress(Exception):  # if this can't be written either, the next round tries again
                reason = error
                status = await self._in_thread(lambda: clusters.report_unobserved(rounds.api, body, before, reason))
                rounds.watched.note_written(self.key, body, status)
            return
        rounds.watched.note_written(self.key, body, status)

    def _body(self) -> Body | None:
        """Return the cluster as last seen."""
        body = self._rounds.watched.bodies.get(self.key)
        return body if body and meta.uid_of(body) == self.uid and not meta.is_being_deleted(body) else None

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._rounds.threads, do)
