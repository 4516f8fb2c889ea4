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
STALL_SECONDS = 0.5  # half of what an operation has by default


@asynccontextmanager
async def watch_stalls(on_stall: Callable[[float], None]) -> AsyncIterator[None]:
    """While the block runs, report every wake-up that came late by STALL_SECONDS or more, and by how many it was."""
    watching = asyncio.create_task(_watch(on_stall), name="stall-watch")
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _watch(on_stall: Callable[[float], None]) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        if (late := now() - due) >= STALL_SECONDS:
            on_stall(late)
