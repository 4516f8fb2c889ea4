"""Faults that are live are followed round by round; while there are none nothing is done at all."""

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

from ..faults import following
from ..faults.world import World, needs_of
from ..health import Health
from .faults import FaultHandlers
from .watched import Body, Heard, key_of

_ROUND_SECONDS = 0.25

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass
class LiveFaults:
    """Follows those of the faults heard of that are live."""

    heard: Heard
    handlers: FaultHandlers
    threads: Executor
    health: Health = field(default_factory=Health)
    _stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def stir(self) -> None:
        """A fault was heard of: it may be live."""
        self._stirred.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while live := self._live():
                began = time.monotonic()
                with self.health.working("following live faults"):
                    await asyncio.gather(*(self._catch_up(namespace, bodies) for namespace, bodies in live.items()))
                await asyncio.sleep(max(0.0, _ROUND_SECONDS - (time.monotonic() - began)))

    def _live(self) -> dict[str, list[Body]]:
        """By namespace, the faults that are live."""
        now, live = datetime.datetime.now(datetime.UTC), defaultdict(list)
        for body in self.heard.bodies.values():
            if _is_live(body, now):
                live[body["metadata"]["namespace"]].append(body)
        return live

    async def _catch_up(self, namespace: str, bodies: Sequence[Body]) -> None:
        """Read a namespace's world once, and go by it for each of its faults."""
        try:
            needs = needs_of(body["spec"] for body in bodies)
            world = await self._in_thread(lambda: self.handlers.reader.begin(namespace, needs).world())
        except Exception as error:  # the next round tries again
            _log.warning("the pods of %s could not be read for its live faults: %s", namespace, error)
            return
        await asyncio.gather(*(self._catch_up_one(body, world) for body in bodies))

    async def _catch_up_one(self, body: Body, world: World) -> None:
        key = key_of(body)
        async with self.heard.locks[key]:
            if not self.heard.same(key, body):
                return  # another one of its name may need to know more of the world
            try:
                await self._in_thread(lambda: self.handlers.catch_up(self.heard.bodies[key], world))
            except Exception as error:  # the next round tries again
                _log.warning("%s %s/%s could not be followed: %s", *key, error)

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, do)


def _is_live(body: Body, now: datetime.datetime) -> bool:
    """False also where that can't be told: one odd object must not end the following of all others."""
    try:
        return following.is_live(body, now)
    except Exception as error:
        _log.warning("%s %s/%s can't be followed: %s", *key_of(body), error)
        return False
