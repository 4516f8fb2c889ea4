"""Whether this prober itself goes on: what it does not see while it stands still is no database's doing.

Its operations share one event loop. What keeps that from going on (a machine without processor time to spare, a node
that is paused, a history that is being fetched) ends them by their time-outs, or before they are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

PERIOD_SECONDS = 0.1
STANDSTILL_SECONDS = 0.5  # half of what an operation has by default


@asynccontextmanager
async def pulse(stood_still: Callable[[float], None]) -> AsyncIterator[None]:
    """While the block runs, tell of every beat that came late by STANDSTILL_SECONDS or more, and by how many it was."""
    beating = asyncio.create_task(_beat(stood_still), name="pulse")
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def _beat(stood_still: Callable[[float], None]) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        if (late := now() - due) >= STANDSTILL_SECONDS:
            stood_still(late)
