"""Observation of a cluster: what members report of themselves and of each other at their management ports."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from caplab_wire.rest import login, request

from ..answers import flag, text
from ..pods import Pod
from .configuration import Setting
from .manifests import MANAGEMENT_PORT

TIMEOUT_SECONDS = 1.0
USER = "operator"  # images/cassandra
RUNNING, WAITING, STARTING, FAILED = "running", "waiting", "starting", "failed"  # stages
_UNAUTHORIZED = 401
_ID_CHARACTERS = 45  # an IPv6 address at its longest; a host id has 36


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster's pods, and the password of their management ports."""

    pods: tuple[Pod, ...]
    password: str


@dataclass(frozen=True, slots=True)
class Work:
    """The last long-running task of a member's process; all '' before the first."""

    kind: str = ""  # decommission, repair, cleanup
    id: str = ""
    state: str = ""  # running, done, failed
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member's report of itself and, while it runs, of the ring.

    Addresses are text. owns: the share of the keys that each member has a copy of, 0 to 1.
    """

    stage: str
    problem: str = ""
    fresh: bool = False  # its volume has no data of a member
    work: Work = Work()
    mode: str = ""  # in Cassandra's own term
    host_id: str = ""
    native: bool = False  # it serves clients
    live: frozenset[str] = frozenset()
    joining: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    host_ids: Mapping[str, str] = field(default_factory=dict)  # by address, also of those that are down
    owns: Mapping[str, float] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)  # by address
    settings: Mapping[str, Setting] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)  # those of its file, as in force
    application: str | None = None  # what clients lack to log in and find their keyspace; None: not yet known


@dataclass(frozen=True, slots=True)
class ObservedCassandra:
    """One observation of a cluster. members lacks the silent ones; refused are those that refuse the password."""

    place: Place
    members: Mapping[str, Member]
    refused: frozenset[str] = frozenset()


def look(place: Place) -> ObservedCassandra:
    """Ask all members at once; those that do not answer are left out."""
    with ThreadPoolExecutor(max(1, len(place.pods))) as pool:
        futures = {pod.name: pool.submit(_state, place, pod) for pod in place.pods}
        answers = {name: answer.result() for name, answer in futures.items()}
    members = {name: answer for name, answer in answers.items() if isinstance(answer, Member)}
    return ObservedCassandra(
        place, members, frozenset(name for name, answer in answers.items() if answer == _UNAUTHORIZED)
    )


def send(place: Place, pod: Pod, path: str, query: Mapping[str, str]) -> str:
    """Have a member do something. Returns the refusal, or the connection's error; '' on success."""
    try:
        status, body = _ask(place, pod, "POST", f"{path}?{urlencode(query)}")
    except OSError as error:
        return str(error) or type(error).__name__
    return "" if status < 300 else f"{status} {_refusal(body)}"


def _refusal(body: bytes) -> str:
    """Return the message of an answer that reports no success."""
    try:
        return str(json.loads(body)["error"])
    except (KeyError, TypeError, ValueError):
        return body.decode(errors="replace")[:200]


def _state(place: Place, pod: Pod) -> Member | int | None:
    """Read a member's state; else the answer's HTTP status, or None if there was no answer that can be read."""
    try:
        status, body = _ask(place, pod, "GET", "/state")
        return member_from(json.loads(body)) if status == 200 else status
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _ask(place: Place, pod: Pod, method: str, path: str) -> tuple[int, bytes]:
    """Return status and body of an answer. Raises OSError if there is none."""
    if pod.address is None:
        raise ConnectionError(f"{pod.name} has no address")
    return request(pod.address, MANAGEMENT_PORT, method, path, TIMEOUT_SECONDS, login(USER, place.password))


def member_from(answer: Mapping[str, Any]) -> Member:
    """Parse a member's answer to /state.

    Raises AttributeError, KeyError, TypeError or ValueError if it can't be parsed.
    """
    work = answer.get("work") or {}
    return Member(
        stage=text(answer["stage"]),
        problem=text(answer.get("problem", "")),
        fresh=flag(answer.get("fresh", False)),
        work=Work(**{name: text(work.get(name, "")) for name in ("kind", "id", "state", "problem")}),
        mode=text(answer.get("mode", "")),
        host_id=_id(answer.get("hostId", "")),
        native=flag(answer.get("native", False)),
        live=_texts(answer.get("live", [])),
        joining=_texts(answer.get("joining", [])),
        leaving=_texts(answer.get("leaving", [])),
        host_ids={_id(address): _id(host) for address, host in answer.get("hostIds", {}).items()},
        owns={text(address): _share(share) for address, share in answer.get("owns", {}).items()},
        schemas={text(address): text(version) for address, version in answer.get("schemas", {}).items()},
        settings={text(name): _setting(value) for name, value in answer.get("settings", {}).items()},
        options={text(name): text(value) for name, value in answer.get("options", {}).items()},
        application=None if answer.get("application") is None else text(answer["application"]),
    )


def _id(value: object) -> str:
    """Parse a host id or an address. Raises TypeError if it is too long for either."""
    if len(an_id := text(value)) > _ID_CHARACTERS:
        raise TypeError(f"{an_id[:_ID_CHARACTERS]}... is neither a host id nor an address")
    return an_id


def _texts(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return frozenset(map(text, value))


def _share(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not a share")
    return float(value)


def _setting(value: object) -> Setting:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is not a setting")
    return value
