"""A web server that no client can block, neither its work nor its answers to others.

The number of connections is bounded, and so is the time of each; one connection too many closes the oldest.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

AT_ONCE = 8  # connections: one more closes the oldest
_MAKING_ROOM_SECONDS = 1.0  # until the thread of a closed one has ended


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


class BoundedServer(ThreadingHTTPServer):
    """A server with a daemon thread for each connection."""

    daemon_threads = True
    request_queue_size = 64  # the kernel drops connections over it, and a client retries only after a second

    request_seconds: float = 30  # for the request and its answer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._open: dict[Any, threading.Timer] = {}  # the oldest first
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind, without looking up the host's own name: a cut DNS would delay the start."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; if all places are taken, close the oldest connection first."""
        if not self._places.acquire(blocking=False):
            self._let_oldest_go()
            if not self._places.acquire(timeout=_MAKING_ROOM_SECONDS):
                self.shutdown_request(request)
                return
        timer = threading.Timer(self.request_seconds, _cut, [request])
        timer.daemon = True
        with self._lock:
            self._open[request] = timer
        try:
            timer.start()
            super().process_request(request, client_address)
        except BaseException:  # the system has no thread left: free the place
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for the next connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def _leave(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request).cancel()
        self._places.release()

    def _let_oldest_go(self) -> None:
        with self._lock:
            oldest = next(iter(self._open), None)
        if oldest is not None:
            _cut(oldest)
