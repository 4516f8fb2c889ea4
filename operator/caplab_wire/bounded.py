"""Bounded connections: a member may answer anything, without end, or a byte at a time."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

MAX_BYTES = 1 << 20  # read from one connection in all: no answer is that long
_RECEIVED_AT = 128  # tcp_info.tcpi_bytes_received of linux/tcp.h
_WAITS = 3  # a connection may last for so many waits in all, since a busy machine may take one wait for a step


class BoundedSocket(socket.socket):
    """A socket with bounds on the total bytes and time of its reads.

    They hold only for recv_into, the one method that makefile uses.
    """

    _end = float("inf")
    _wait_seconds = 0.0
    _max_bytes = _left_bytes = 0

    def bound(self, seconds: float, max_bytes: int) -> None:
        """Set the bounds, from now on: max_bytes in all, seconds for each wait, and three times as many in all."""
        self._end = time.monotonic() + _WAITS * seconds
        self._wait_seconds = seconds
        self._max_bytes = self._left_bytes = max_bytes

    def recv_into(self, *arguments: Any) -> int:
        """Read as socket.recv_into does. Raises TimeoutError and ConnectionError if a bound is reached."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(min(left, self._wait_seconds))
        count = super().recv_into(*arguments)
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise ConnectionError(f"the answer is over {self._max_bytes:,} bytes")
        return count


def connect(host: str, port: int, seconds: float, max_bytes: int = MAX_BYTES) -> BoundedSocket:
    """Connect to a host; seconds bounds each wait, and three times as many bound all of them. Raises OSError."""
    problem: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = BoundedSocket(family, kind, protocol)
        connection.bound(seconds, max_bytes)
        connection.settimeout(seconds)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem or ConnectionError(f"{host} has no address")


def received_bytes(descriptor: int) -> int:
    """Count the bytes received on a TCP connection that a library reads, including those not read yet.

    The count is the kernel's, on Linux only; 0: there is none.
    """
    connection = socket.socket(fileno=descriptor)
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
        return int(struct.unpack_from("Q", info, _RECEIVED_AT)[0])
    except (OSError, AttributeError, struct.error):
        return 0
    finally:
        connection.detach()  # the descriptor stays open for the library
