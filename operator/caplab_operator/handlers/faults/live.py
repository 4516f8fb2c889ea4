"""Target sync of live faults, in rounds; while there are none, nothing is done."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from caplab.contract.objects import Fault

from ...faults import target_sync
from ...faults.inventory import Inventory, needs_of
from ...health import Health
from ..watched import Key, WatchedRecords
from .handlers import FaultHandlers

_ROUND_SECONDS = 0.25

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class LiveFaults:
    """Syncs the targets of live faults."""

    watched: WatchedRecords[Fault]
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
                    await asyncio.gather(*(self._sync(namespace, faults) for namespace, faults in live.items()))
                await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - began)))

    def _live(self) -> dict[str, dict[Key, Fault]]:
        """Return the live faults by namespace."""
        now = datetime.datetime.now(datetime.UTC)
        live: dict[str, dict[Key, Fault]] = defaultdict(dict)
        for key, fault in self.watched.readable.items():
            if target_sync.is_live(fault, now):
                live[key[1]][key] = fault
        return live

    async def _sync(self, namespace: str, faults: Mapping[Key, Fault]) -> None:
        """Read a namespace's inventory once, and sync each of its faults with it."""
        try:
            needs = needs_of(fault.spec for fault in faults.values())
            inventory = await self._in_thread(lambda: self.handlers.reader.begin(namespace, needs).inventory())
        except Exception as error:  # the next round tries again
            _log.warning("the pods of %s could not be read for its live faults: %s", namespace, error)
            return
        await asyncio.gather(*(self._sync_one(key, fault, inventory) for key, fault in faults.items()))

    async def _sync_one(self, key: Key, fault: Fault, inventory: Inventory) -> None:
        async with self.watched.locks[key]:
            now = self.watched.readable.get(key)
            if now is None or now.metadata.uid != fault.metadata.uid:
                return  # a later fault of its name may need more of the inventory
            try:
                await self._in_thread(lambda: self.handlers.sync_targets(now, inventory))
            except Exception as error:  # the next round tries again
                _log.warning("the targets of %s %s/%s were not synced: %s", *key, error)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, do)
