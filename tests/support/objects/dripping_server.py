"""A server that answers a byte at a time, without end: no time-out of one read ever strikes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
# What the server sends at once, and what it then sends a byte at a time, again and again.
DRIPS = {
    "status line": (b"", b"H"),
    "header": (OK + b"X-Much: ", b"x"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "size of a chunk": (OK + CHUNKED, b"0"),
    "extension of a chunk": (OK + CHUNKED + b"5;", b"x"),
    "chunk": (OK + CHUNKED + b"ffff\r\n", b" "),
    "trailer": (OK + CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "body": (OK + b"Content-Length: 99999\r\n\r\n", b" "),
    "body without a length": (OK + b"\r\n", b" "),
    "body of a refusal": (b"HTTP/1.1 403 Forbidden\r\n" + CHUNKED, b"0"),
    "body of what is asked again": (b"HTTP/1.1 503 Not Now\r\nRetry-After: 0\r\n" + CHUNKED, b"0"),
}


@contextmanager
def dripping(
    head: bytes,
    drip: bytes,
    *,
    every_seconds: float = 0.02,
    asked_first: bool = True,
    tls: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """Provide the port of a server that sends head at once, and then drip, a byte at a time and without end.

    asked_first: whether it waits for a request.
    """
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            encrypted = tls.wrap_socket(connection, server_side=True) if tls else connection
            with encrypted:
                if asked_first:
                    encrypted.recv(1 << 16)
                encrypted.sendall(head)
                for byte in cycle(drip):
                    if over.wait(every_seconds):
                        return
                    encrypted.sendall(bytes([byte]))

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        over.set()
        server.shutdown(socket.SHUT_RDWR)
