"""Event-loop stalls of this prober: what it misses meanwhile is not the database's doing.

Its operations share one event loop. Something may stop that (a machine without processor time to spare, a node that
is paused, a history that is being fetched); operations then time out, or are not sent.
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
    """Report every wake-up that came late by STALL_SECONDS or more, and by how many, while the block runs."""
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
