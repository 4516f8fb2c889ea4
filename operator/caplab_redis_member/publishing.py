"""The record of a waiting member's disk, published on a port of its own to clients that know the password."""

from __future__ import annotations

import hmac
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase

from .config import RECORD_PORT

RECORD = "RECORD"  # the only command besides AUTH
_SECONDS = 2.0  # for each read from a client
_WHOLE_SECONDS = 10.0  # for all of a connection: a client may send a byte at a time
_WORDS, _BYTES = 4, 1000  # the longest command


@contextmanager
def published(text: str, password: str, port: int = RECORD_PORT, host: str = "") -> Iterator[int]:
    """Serve text by Redis' protocol inside the block; yields the port."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = _SECONDS

        def setup(self) -> None:
            super().setup()
            self._timer = threading.Timer(_WHOLE_SECONDS, _cut, [self.connection])
            self._timer.daemon = True
            self._timer.start()

        def finish(self) -> None:
            self._timer.cancel()
            with suppress(OSError):  # it was cut, and the rest of an answer cannot be sent
                super().finish()

        def handle(self) -> None:
            with suppress(OSError, ValueError):  # a client that does not speak the protocol gets no answer
                _converse(self.rfile, self.wfile, text, password)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((host, port), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        connection.shutdown(socket.SHUT_RDWR)


def _converse(requests: BufferedIOBase, answers: BufferedIOBase, text: str, password: str) -> None:
    let_in = False
    while command := _command(requests):
        if command[0] == "AUTH":
            let_in = hmac.compare_digest(command[-1].encode(), password.encode())
            answers.write(b"+OK\r\n" if let_in else b"-WRONGPASS\r\n")
        elif command == [RECORD] and let_in:
            data = text.encode()
            answers.write(b"$%d\r\n%s\r\n" % (len(data), data))
        else:
            answers.write(b"-NOPERM\r\n")


def _command(requests: BufferedIOBase) -> list[str]:
    """Read the words of the next command; [] at the end. Raises ValueError if it is not a command."""
    line = requests.readline(_BYTES)
    if not line:
        return []
    count = _length(line, b"*", _WORDS)
    words = []
    for _ in range(count):
        length = _length(requests.readline(_BYTES), b"$", _BYTES)
        words.append(requests.read(length + 2)[:-2].decode())
    return words


def _length(line: bytes, kind: bytes, most: int) -> int:
    length = int(line[1:]) if line[:1] == kind else 0
    if not 0 < length <= most:
        raise ValueError("not a command")
    return length
