"""Watch over one cluster's leader lock: a primary that no longer renews it is fenced by its node's agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from caplab.contract import meta
from caplab.contract.deaths import Fence, container_id_of
from caplab.contract.names import FAST_PATH_LABEL, SUSPECT_ANNOTATION
from caplab.kube.errors import ApiError

from ...api import Api
from ...engines import objects
from ...engines.postgres import observe
from ...engines.postgres.failover import fencing, release
from ...engines.postgres.failover.fencing import LockReading, Step, Suspicion
from ...engines.postgres.spec import PostgresSpec
from ..pods import pods_among
from . import store

Body = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class FenceWatch:
    """Watches one cluster while run() runs. spec returns the cluster's latest; None: it is not known yet."""

    api: Api
    spec: Callable[[], PostgresSpec | None]
    _suspicion: Suspicion | None = None
    _reported: str = ""  # what was logged last
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="fence-watch"))

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = time.monotonic()
                try:
                    if self._fenced():
                        await loop.run_in_executor(self._pool, self.look)
                except ApiError as error:  # a gap: the waiting begins anew
                    _log.debug("a leader lock could not be read: %s", error)
                await asyncio.sleep(max(0.0, fencing.LOOK_SECONDS - (time.monotonic() - began)))
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def look(self) -> None:
        """Read the lock once, and take the next step."""
        spec = self._fenced()
        if spec is None:
            self._suspicion = None
            return
        lock = store.read(self.api, spec.namespace, spec.name)
        self._suspicion = suspicion = fencing.observed(self._suspicion, _lock_reading(lock))
        step = fencing.next_step(spec, suspicion)
        if suspicion is None or step is Step.WAIT:
            return
        bodies = self.api.pods(spec.namespace, objects.part(spec))
        holder = next((body for body in bodies if meta.name_of(body) == suspicion.first.holder), None)
        if holder is None:
            self._report(spec, suspicion, "is not fenced: it has no pod")
        elif step is Step.WRITE:  # that it is served is what counts
            self._annotate(holder, {SUSPECT_ANNOTATION: suspicion.first.renewed})
            self._suspicion = replace(suspicion, written=time.monotonic())
        elif why := self._refusal(spec, lock, bodies, holder):
            self._report(spec, suspicion, f"is not fenced: {why}")
        else:
            self._annotate(holder, Fence(container_id_of(holder, release.CONTAINER), time.time_ns()).to_annotation())
            self._report(spec, suspicion, "no longer renews its lock, and is fenced")
            self._suspicion = None

    def _fenced(self) -> PostgresSpec | None:
        """Return the cluster's spec if that asks for fences. Without it nothing is looked at, and no thread started."""
        spec = self.spec()
        return spec if spec is not None and spec.failover.fences else None

    def _refusal(self, spec: PostgresSpec, lock: Body, bodies: Sequence[Body], holder: Body) -> str:
        if FAST_PATH_LABEL not in meta.labels_of(holder):
            return "its pod is not one whose death is decided at once"
        if meta.is_being_deleted(holder):
            return "its pod is being deleted"
        if not container_id_of(holder, release.CONTAINER):
            return "its container does not run"
        asked = [fence.unix_ns for body in bodies if (fence := Fence.of(body))]
        if why := fencing.fenced_since(spec, asked, time.time_ns()):
            return why
        members = pods_among(self.api, bodies, objects.part(spec))
        answers = observe.reports([member for member in members if member.name != meta.name_of(holder)])
        synchronous = store.read(self.api, spec.namespace, spec.name, store.SYNC)
        return fencing.candidates(spec, lock, synchronous, answers).refusal()

    def _annotate(self, pod: Body, annotations: Mapping[str, str]) -> None:
        self.api.annotate_pod(meta.namespace_of(pod), meta.name_of(pod), meta.uid_of(pod), annotations)

    def _report(self, spec: PostgresSpec, suspicion: Suspicion, outcome: str) -> None:
        """Log what became of it, each time that it is another."""
        reported = f"{spec.namespace}/{suspicion.first.holder} {outcome}"
        if reported != self._reported:
            _log.warning("%s", reported)
        self._reported = reported


def _lock_reading(lock: Body) -> LockReading | None:
    annotations = meta.annotations_of(lock)
    holder, renewed = annotations.get(release.LEADER), annotations.get(release.RENEWED)
    return LockReading(holder=holder, renewed=renewed, at=time.monotonic()) if holder and renewed else None
