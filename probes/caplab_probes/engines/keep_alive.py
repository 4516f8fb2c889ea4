"""TCP keep-alive: how soon a connection is known to be dead, the same for every engine."""

from __future__ import annotations

import socket

_DEAD_AFTER_MS = 4000
_BEYOND_DEADLINE_SECONDS = 3.0


def user_timeout_ms(statement_seconds: float) -> int:
    """Return how long (milliseconds) the peer's kernel may be silent: 4 s, or more if a statement may take longer.

    The kernel acknowledges what is sent to a process that is frozen or busy: only a peer that is cut off, or a machine
    that is gone, is silent. The connection must not end before the operation on it has been given up.
    """
    return max(_DEAD_AFTER_MS, round(1000 * (statement_seconds + _BEYOND_DEADLINE_SECONDS)))


def keep_alive(statement_seconds: float) -> tuple[tuple[int, int, int], ...]:
    """Return level, name and value of each option, as setsockopt takes them.

    libpq opens its own sockets and gets the same by its parameters: postgres/client.py. The user timeout counts in
    place of the number of probes (tcp(7)).
    """
    return (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms(statement_seconds)),
    )
