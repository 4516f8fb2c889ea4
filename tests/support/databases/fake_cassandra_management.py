"""The management port of a Cassandra member: answers as a test sets it, and keeps the requests."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 409: "Conflict", 500: "Error"}


@dataclass(kw_only=True)
class FakeManagement:
    """A management port: GET /state answers state, a POST answers refusal or nothing; raw replaces any answer."""

    state: Any = field(default_factory=lambda: {"stage": "waiting", "fresh": True})
    password: str = "pw"
    refusal: tuple[int, str] | None = None
    raw: bytes | None = None
    hang: bool = False
    requests: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        self.requests.append(f"{method} {target}")
        if self.hang:
            await reader.read()  # until the client closes the connection
        elif self.raw is not None:
            writer.write(self.raw)
        else:
            token = base64.b64encode(f"operator:{self.password}".encode()).decode()
            status, body = self._answer(method) if f"Basic {token}" in head else (401, "")
            text = json.dumps(body).encode() if body != "" else b""
            line = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Length: {len(text)}\r\n\r\n"
            writer.write(line.encode() + text)
        writer.close()

    def _answer(self, method: str) -> tuple[int, Any]:
        if method == "GET":
            return 200, self.state
        if self.refusal:
            status, why = self.refusal
            return status, {"error": why}
        return 202, {}
