"""Target sync of live faults, in rounds; while there are none, nothing is done."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from ..faults import target_sync
from ..faults.inventory import Inventory, needs_of
from ..health import Health
from .faults import FaultHandlers
from .watched import Body, WatchedObjects, key_of

_ROUND_SECONDS = 0.25

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass
class LiveFaults:
    """Syncs the targets of live faults."""

    watched: WatchedObjects
    handlers: FaultHandlers
    threads: Executor
    health: Health = field(default_factory=Health)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Check all faults now: one that has changed may be live."""
        self._woken.set()

    async def run(self) -> None:
        """Sync targets until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while live := self._live():
                began = time.monotonic()
                with self.health.working("target sync of live faults"):
                    await asyncio.gather(*(self._sync(namespace, bodies) for namespace, bodies in live.items()))
                await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - began)))

    def _live(self) -> dict[str, list[Body]]:
        """Return the live faults by namespace."""
        now, live = datetime.datetime.now(datetime.UTC), defaultdict(list)
        for body in self.watched.bodies.values():
            if _is_live(body, now):
                live[body["metadata"]["namespace"]].append(body)
        return live

    async def _sync(self, namespace: str, bodies: Sequence[Body]) -> None:
        """Read a namespace's inventory once, and sync each of its faults with it."""
        try:
            needs = needs_of(body["spec"] for body in bodies)
            inventory = await self._in_thread(lambda: self.handlers.reader.begin(namespace, needs).inventory())
        except Exception as error:  # the next round tries again
            _log.warning("the pods of %s could not be read for its live faults: %s", namespace, error)
            return
        await asyncio.gather(*(self._sync_one(body, inventory) for body in bodies))

    async def _sync_one(self, body: Body, inventory: Inventory) -> None:
        key = key_of(body)
        async with self.watched.locks[key]:
            if not self.watched.same(key, body):
                return  # a later fault of its name may need more of the inventory
            try:
                await self._in_thread(lambda: self.handlers.sync_targets(self.watched.bodies[key], inventory))
            except Exception as error:  # the next round tries again
                _log.warning("the targets of %s %s/%s were not synced: %s", *key, error)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, do)


def _is_live(body: Body, now: datetime.datetime) -> bool:
    """Whether a fault is live. False also if that is unclear: one odd object must not stop the sync of all others."""
    try:
        return target_sync.is_live(body, now)
    except Exception as error:
        _log.warning("the targets of %s %s/%s can't be synced: %s", *key_of(body), error)
        return False
