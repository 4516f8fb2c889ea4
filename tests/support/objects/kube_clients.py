"""Clients of API servers that tests pose as: at an address, or a function that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kubernetes.client import Configuration

from caplab.kube.client import JSON, Client, Query
from caplab.kube.limits import CallLimits

Answer = Callable[[str, str, Query, Mapping[str, Any], str, str], bytes]


def client_at(port: int, **limits: float) -> Client:
    """Return the client of a server on this machine, which is not asked a second time."""
    return Client(Configuration(host=f"http://127.0.0.1:{port}"), replace(CallLimits(retries=0), **limits))  # type: ignore[arg-type]  # two are whole numbers


class AnsweringClient(Client):
    """A client whose answers are a function's: of method, path, query, body, content type and accepted type."""

    def __init__(self, answering: Answer) -> None:
        super().__init__(Configuration(host="http://127.0.0.1:1"), CallLimits())
        self._answering = answering

    def answer(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = JSON,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        return self._answering(method, path, query or {}, body or {}, content, accept)
