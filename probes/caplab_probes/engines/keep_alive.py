"""How soon a connection is known to be dead, the same for every engine."""

from __future__ import annotations

import socket

# A peer that is cut off is known to be dead after 4 s: level, name and value, as setsockopt takes them. (libpq, which
# opens its own sockets, is told the same by its parameters: postgres/client.py.)
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4000),
)
