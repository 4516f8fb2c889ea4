"""One HTTP request to a member: no proxy of the environment, and no redirection to where the member would have it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

from .bounded import MOST_BYTES, connect


def request(
    host: str,
    port: int,
    method: str,
    path: str,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    """Status and body of the answer; seconds bounds each wait.

    Raises OSError where nobody answers in time, too much, or not as HTTP has it; TimeoutError is among them.
    """
    connection = HTTPConnection(host, port)
    try:
        connection.sock = connect(host, port, seconds)
        connection.request(method, path, body, {"Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    except (HTTPException, ValueError) as error:
        raise ConnectionError(f"{host}:{port} does not answer as HTTP has it: {error!r}") from error
    finally:
        connection.close()


def login(user: str, password: str) -> dict[str, str]:
    """The header of who logs in."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}
