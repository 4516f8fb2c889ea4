"""Observation of a cluster through its members' Patroni, never from labels."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from caplab_wire.rest import login, request

from ..pods import Pod
from .answers import Answer, answer_from, config_from, history_from, topology_from
from .manifests import PATRONI_PORT, POSTGRES_PORT
from .readings import Reading

_TIMEOUT_SECONDS = 2.0
# SSLRequest, and yes or no; https://www.postgresql.org/docs/17/protocol-message-formats.html
_TLS_QUESTION, _TLS_ANSWERS = struct.pack("!II", 8, 80877103), (b"S", b"N")
_REFUSAL_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPostgres:
    """One observation of a cluster.

    answers holds each answering member's own /patroni. topology, config and history are
    what one of them (the leader, if it answers) reports of the whole. readings are what each
    member's own Postgres reports.
    """

    pods: tuple[Pod, ...]
    leader: str | None  # the leader object's holder
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    topology: Mapping[str, Any] | None = None
    config: Mapping[str, Any] | None = None
    history: Sequence[Sequence[Any]] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    silences: Mapping[str, str] = field(default_factory=dict)  # why a member's Postgres does not report its settings


def reports(pods: Sequence[Pod]) -> dict[str, Answer]:
    """Ask all members at once for their own reports; those that do not answer have no entry."""
    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        bodies = dict(zip([pod.name for pod in pods], pool.map(lambda pod: _get(pod, "/patroni"), pods), strict=True))
    return {name: answer for name, body in bodies.items() if (answer := answer_from(body)) is not None}


def look(pods: Sequence[Pod], leader: str | None) -> ObservedPostgres:
    """Ask all members at once, and the best of those that answer for what it knows of the whole."""
    answers = reports(pods)
    # The leader knows best; without it, any member repeats what the store holds.
    askable = sorted((pod for pod in pods if pod.name in answers), key=lambda pod: pod.name != leader)
    if not askable:
        return ObservedPostgres(pods=tuple(pods), leader=leader, answers=answers)
    topology, config, history = (_get(askable[0], path) for path in ("/cluster", "/config", "/history"))
    return ObservedPostgres(
        pods=tuple(pods),
        leader=leader,
        answers=answers,
        topology=topology_from(topology),
        config=config_from(config),
        history=history_from(history),
    )


def listening(pods: Sequence[Pod], seconds: float) -> list[str]:
    """Return the members whose Postgres answers before any login: it lives, whatever it is busy with.

    That a connection opens is not enough. The kernel opens it for a Postgres that is frozen too, and some networks have
    a proxy that opens one to any address, also to that of a pod which is gone.
    """
    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        answers = pool.map(lambda pod: _listens(pod, seconds), pods)
        return [pod.name for pod, listens in zip(pods, answers, strict=True) if listens]


def _listens(pod: Pod, seconds: float) -> bool:
    if pod.address is None:
        return False
    try:
        with socket.create_connection((pod.address, POSTGRES_PORT), seconds) as line:
            line.sendall(_TLS_QUESTION)
            return line.recv(1) in _TLS_ANSWERS
    except OSError:
        return False


def send(address: str, password: str, path: str, what: Mapping[str, Any], method: str = "POST") -> str:
    """Have a member's Patroni do something. Returns its refusal in its own words, '' if there is none.

    No answer in time is no refusal: the task may take longer than the time-out.
    """
    headers = {"Content-Type": "application/json", **login("patroni", password)}
    try:
        status, body = request(
            address, PATRONI_PORT, method, path, _TIMEOUT_SECONDS, headers, json.dumps(what).encode()
        )
    except TimeoutError:
        return ""
    except OSError as error:
        return str(error)
    text = body.decode(errors="replace").strip()[:_REFUSAL_CHARACTERS]
    return "" if 200 <= status < 300 else f"{status} {text}"


def _get(pod: Pod, path: str) -> object:
    """Return the answer whatever its status: /patroni answers 503 with its state while Postgres is down."""
    if pod.address is None:
        return None
    try:
        return json.loads(request(pod.address, PATRONI_PORT, "GET", path, _TIMEOUT_SECONDS)[1])
    except (OSError, ValueError, RecursionError):
        return None
