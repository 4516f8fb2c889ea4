"""A connection that ends: whoever is asked may answer anything, for ever, a byte at a time."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

MOST_BYTES = 1 << 20  # of all that a member says on one connection: nobody who is asked has more to say
_RECEIVED_AT = 128  # tcp_info.tcpi_bytes_received of linux/tcp.h
_WAITS = 3  # for so many waits all of it may last, since one on a busy machine is long


class BoundedSocket(socket.socket):
    """Reads no more bytes and no longer than it may, in all; only recv_into, which is all that makefile uses."""

    _end = float("inf")
    _wait_seconds = 0.0
    _most_bytes = _left_bytes = 0

    def bound(self, seconds: float, most_bytes: int) -> None:
        """From now on."""
        self._end = time.monotonic() + _WAITS * seconds
        self._wait_seconds = seconds
        self._most_bytes = self._left_bytes = most_bytes

    def recv_into(self, *arguments: Any) -> int:
        """As socket's. Raises TimeoutError and ConnectionError where a bound is reached."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(min(left, self._wait_seconds))
        count = super().recv_into(*arguments)
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise ConnectionError(f"the answer is over {self._most_bytes:,} bytes")
        return count


def connect(host: str, port: int, seconds: float, most_bytes: int = MOST_BYTES) -> BoundedSocket:
    """Connect to a host; seconds bounds each wait, and three times as many all of them. Raises OSError."""
    problem: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = BoundedSocket(family, kind, protocol)
        connection.bound(seconds, most_bytes)
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
    """How many bytes have come on a connection that a library reads, with those that nobody has read yet.

    The kernel's own count. Linux only, and TCP: 0 elsewhere.
    """
    connection = socket.socket(fileno=descriptor)
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
        return int(struct.unpack_from("Q", info, _RECEIVED_AT)[0])
    except (OSError, AttributeError, struct.error):
        return 0
    finally:
        connection.detach()  # it stays the library's
