"""Deadlines of whole answers: a time-out of urllib3 bounds one read, and a server may send a byte for each.

They hold for every byte that is read of a connection: status, headers, sizes of chunks, bodies, trailers, and what a
proxy answers. What is sent, and a TLS handshake, have a deadline by themselves.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any, cast

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager
from urllib3.connection import HTTPConnection


class _Reader(io.RawIOBase):
    """What a socket receives, until a deadline; seconds bounds each wait."""

    def __init__(self, connection: socket.socket, received: io.RawIOBase, seconds: float) -> None:
        self._connection, self._received = connection, received
        self.wait_seconds, self.end = seconds, time.monotonic() + seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, or wait for it. Raises TimeoutError if the time is over."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(min(left, self.wait_seconds))
        return cast("int | None", self._received.readinto(buffer))

    def close(self) -> None:
        """Close this side of the connection."""
        try:
            super().close()
        finally:
            self._received.close()


class _Bounded(HTTPConnection):
    """A connection whose time-out bounds all that is received before the body of an answer."""

    reader: _Reader | None = None  # of the newest answer

    def response_class(self, connection: socket.socket, *arguments: Any, **named: Any) -> http.client.HTTPResponse:  # type: ignore[override]
        """Make the answer that is read of the connection from now on."""
        if self.timeout is None:
            raise ValueError("a request has no time-out")
        response = http.client.HTTPResponse(connection, *arguments, **named)
        self.reader = _Reader(connection, response.fp.detach(), self.timeout)
        response.fp = io.BufferedReader(self.reader)
        return response


def bound(manager: PoolManager) -> PoolManager:
    """Give all new connections of a pool manager deadlines, and return it."""
    classes = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded(pool) for scheme, pool in classes.items()}
    return manager


def read_until(response: BaseHTTPResponse, end: float, wait_seconds: float) -> None:
    """Set the deadline of the rest of an answer, in monotonic seconds, and the bound of each wait."""
    connection = response.connection  # None: all of it has been read
    if isinstance(connection, _Bounded) and connection.reader:
        connection.reader.end, connection.reader.wait_seconds = end, wait_seconds


def _bounded(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Derive from a kind of pool, such as that of a proxy, one whose connections have deadlines."""
    connection = type(f"Bounded{pool.ConnectionCls.__name__}", (_Bounded, pool.ConnectionCls), {})
    return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": connection})
