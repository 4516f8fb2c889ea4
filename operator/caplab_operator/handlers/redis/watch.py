"""Watch for promotions as they happen, so that clients of NAME-primary need not wait for the next round."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from ...engines.redis.manifests import REDIS_PORT, SENTINEL_PORT
from ...engines.redis.observe import Place
from ...engines.redis.users import OPERATOR

# After this event a replica may become primary at any moment.
_PROMOTING = "+failover-state-wait-promotion"
_CHANNELS = (_PROMOTING, "+promoted-slave", "+switch-master", "-failover-abort-slave-timeout")
_POLL_SECONDS = 1.0  # for how long the promoted member is looked for
_PAUSE_SECONDS = 0.02  # between two polls for it
_RETRY_SECONDS = 0.5  # between two attempts to connect, and between two checks of the pods' addresses
_CONNECT_SECONDS = 1.0
_MAX_BYTES = 1 << 20  # that are read of a connection before it is replaced: a failover has some hundred
# A peer that was cut off silently is noticed within 4 s.
_KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class PromotionWatch:
    """Watches one cluster while run() runs.

    place returns the cluster's last known place. look, which blocks, observes the cluster with short time-outs, has the
    Service lead to the primary, and returns whether the primary has changed.
    """

    def __init__(self, place: Callable[[], Place | None], look: Callable[[], bool]) -> None:
        self._place = place
        self._look = look
        self._woken = asyncio.Event()
        self._poll_until = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        connections: dict[tuple[str, int], asyncio.Task[None]] = {}
        pool = ThreadPoolExecutor(1, "promotion-watch")  # its own: other threads may be waiting for silent members
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._follow_pods(group, connections)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), _RETRY_SECONDS)
                    if self._woken.is_set():
                        await self._poll(pool)
        finally:
            pool.shutdown(wait=False)

    def _follow_pods(self, group: asyncio.TaskGroup, connections: dict[tuple[str, int], asyncio.Task[None]]) -> None:
        """Keep a connection to every existing pod, and to no other."""
        place = self._place() or Place((), (), "")
        wanted = {(pod.address, REDIS_PORT) for pod in place.members if pod.address}
        wanted |= {(pod.address, SENTINEL_PORT) for pod in place.sentinels if pod.address}
        for gone in connections.keys() - wanted:
            connections.pop(gone).cancel()
        for address, port in wanted - connections.keys():
            listen = self._until_closed if port == REDIS_PORT else self._to_events
            connections[address, port] = group.create_task(self._stay_connected(address, port, place.password, listen))

    async def _poll(self, pool: ThreadPoolExecutor) -> None:
        """Observe once, or while a promotion is due, until it is found."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            is_new = await loop.run_in_executor(pool, self._look)
            if is_new:
                self._poll_until = 0.0
            if not self._woken.is_set() and time.monotonic() >= self._poll_until:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stay_connected(
        self, address: str, port: int, password: str, listen: Callable[[Streams, str], Awaitable[None]]
    ) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):  # ValueError: a line without an end
                async with asyncio.timeout(_CONNECT_SECONDS):
                    streams = await asyncio.open_connection(address, port)
                try:
                    _notice_loss(streams[1])
                    await listen(streams, password)
                finally:
                    streams[1].close()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _until_closed(self, streams: Streams, _password: str) -> None:
        """Wait until a member closes the connection: Sentinel closes all its clients when it promotes it."""
        left = _MAX_BYTES
        with contextlib.suppress(OSError):
            while left > 0 and (data := await streams[0].read(1024)):
                left -= len(data)
        self._woken.set()

    async def _to_events(self, streams: Streams, password: str) -> None:
        """Subscribe to a Sentinel's events."""
        reader, writer = streams
        writer.write(f"AUTH {OPERATOR} {password}\r\nSUBSCRIBE {' '.join(_CHANNELS)}\r\n".encode())
        before: deque[bytes] = deque(maxlen=2)  # lines; in a message: "message", a length, then its channel
        left = _MAX_BYTES
        while left > 0 and (line := await reader.readline()):
            left -= len(line)
            word = line.rstrip(b"\r\n")
            if len(before) == 2 and before[0] == b"message":
                self._on_event(word.decode(errors="replace"))
            before.append(word)

    def _on_event(self, channel: str) -> None:
        if channel == _PROMOTING:
            self._poll_until = time.monotonic() + _POLL_SECONDS
        self._woken.set()


def _notice_loss(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
