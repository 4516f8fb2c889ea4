"""Single HTTP requests to members, which use no proxy from the environment and follow no redirect."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

from .bounded import MAX_BYTES, connect


def request(
    host: str,
    port: int,
    method: str,
    path: str,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    """Send a request, and return the answer's status and body, of at most MAX_BYTES. seconds bounds each wait.

    Raises OSError, TimeoutError among them, if the answer does not come in time, is too long, or is not HTTP.
    """
    connection = HTTPConnection(host, port)
    try:
        connection.sock = connect(host, port, seconds)
        connection.request(method, path, body, {"Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_BYTES)
    except (HTTPException, ValueError) as error:
        raise ConnectionError(f"{host}:{port} does not speak HTTP: {error!r}") from error
    finally:
        connection.close()


def login(user: str, password: str) -> dict[str, str]:
    """Make the headers of a basic login."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}
