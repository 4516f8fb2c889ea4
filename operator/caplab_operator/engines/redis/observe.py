"""What members and Sentinels say of themselves and of each other: asked by address, never read from labels."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..pods import Pod
from .configuration import MASTER
from .manifests import REDIS_PORT, SENTINEL_PORT

TIMEOUT_SECONDS = 1.0
USER = "operator"  # images/redis
_MASTER_QUESTIONS = (("SENTINEL", "MASTER", MASTER), ("SENTINEL", "REPLICAS", MASTER), ("SENTINEL", "DEBUG"))

Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster is, and how to be let in."""

    members: tuple[Pod, ...]
    sentinels: tuple[Pod, ...]
    password: str


@dataclass(frozen=True, slots=True)
class Member:
    """What a member says of itself."""

    is_master: bool
    replication_id: str
    offset: int  # of the replication stream, in bytes
    follows: str  # the host of its master; '' for a master
    link_up: bool
    loading: bool
    settings: Mapping[str, str]  # of the directives that were asked for


@dataclass(frozen=True, slots=True)
class KnownReplica:
    """A replica as a Sentinel knows it."""

    host: str
    flags: frozenset[str]
    priority: int


@dataclass(frozen=True, slots=True)
class Sentinel:
    """What a Sentinel says of the cluster."""

    names: str  # the host of whom it takes for primary
    flags: frozenset[str]
    replicas: tuple[KnownReplica, ...]
    others: int  # Sentinels beside itself
    settings: Mapping[str, str]
    periods: Mapping[str, str]  # of SENTINEL DEBUG, in milliseconds


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a cluster; who was silent is missing in said and told."""

    place: Place
    began: float  # monotonic seconds
    said: Mapping[str, Member]
    told: Mapping[str, Sentinel]


def look(place: Place, directives: Sequence[str] = (), seconds: float = TIMEOUT_SECONDS) -> Seen:
    """Ask everybody at once; silence is an answer too. seconds bounds each wait for one of them."""
    began = time.monotonic()
    with ThreadPoolExecutor(max(1, len(place.members) + len(place.sentinels))) as pool:
        members = {pod.name: pool.submit(_member, place, pod, directives, seconds) for pod in place.members}
        sentinels = {pod.name: pool.submit(_sentinel, place, pod, seconds) for pod in place.sentinels}
        said = {name: member for name, answer in members.items() if (member := answer.result())}
        told = {name: sentinel for name, answer in sentinels.items() if (sentinel := answer.result())}
    return Seen(place, began, said, told)


def tell_member(place: Place, pod: Pod, commands: Sequence[Command]) -> list[str]:
    """Have a member do something; what it or the way to it refused."""
    return _tell(place, pod, REDIS_PORT, commands)


def tell_sentinel(place: Place, pod: Pod, commands: Sequence[Command]) -> list[str]:
    """Have a Sentinel do something; what it or the way to it refused."""
    return _tell(place, pod, SENTINEL_PORT, commands)


def _tell(place: Place, pod: Pod, port: int, commands: Sequence[Command]) -> list[str]:
    try:
        answers = _ask(pod, port, place.password, commands, TIMEOUT_SECONDS)
    except redis.RedisError as error:
        return [str(error)]
    return [str(answer) for answer in answers if isinstance(answer, Exception)]


def _member(place: Place, pod: Pod, directives: Sequence[str], seconds: float) -> Member | None:
    commands: list[Command] = [("INFO", "server", "replication", "persistence")]
    if directives:
        commands.append(("CONFIG", "GET", *directives))
    try:
        answers = _ask(pod, REDIS_PORT, place.password, commands, seconds)
        return member_from(answers[0], answers[1] if directives else ())
    except (redis.RedisError, KeyError, TypeError, ValueError):
        return None


def _sentinel(place: Place, pod: Pod, seconds: float) -> Sentinel | None:
    try:
        return sentinel_from(*_ask(pod, SENTINEL_PORT, place.password, _MASTER_QUESTIONS, seconds))
    except (redis.RedisError, KeyError, TypeError, ValueError):
        return None


def member_from(info: Mapping[str, Any], config: Sequence[str]) -> Member:
    """A member from its answers to INFO and CONFIG GET. Raises KeyError, TypeError, ValueError where they are none."""
    is_master = info["role"] == "master"
    return Member(
        is_master=is_master,
        replication_id=str(info["master_replid"]),
        offset=int(info["master_repl_offset"] if is_master else info["slave_repl_offset"]),
        follows="" if is_master else str(info["master_host"]),
        link_up=not is_master and info["master_link_status"] == "up",
        loading=bool(info["loading"]),
        settings=_pairs(config),
    )


def sentinel_from(master: Sequence[str], replicas: Sequence[Sequence[str]], debug: Sequence[str]) -> Sentinel:
    """A Sentinel from its answers to _MASTER_QUESTIONS. Raises KeyError, TypeError, ValueError where they are none."""
    told = _pairs(master)
    known = [_pairs(replica) for replica in replicas]
    return Sentinel(
        names=told["ip"],
        flags=frozenset(told["flags"].split(",")),
        replicas=tuple(
            KnownReplica(one["ip"], frozenset(one["flags"].split(",")), int(one["slave-priority"])) for one in known
        ),
        others=int(told["num-other-sentinels"]),
        settings=told,
        periods={name.lower(): value for name, value in _pairs(debug).items()},
    )


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    """Names and values by turns. Raises TypeError for a refusal, which is no list."""
    return {str(name): str(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _ask(pod: Pod, port: int, password: str, commands: Sequence[Command], seconds: float) -> list[Any]:
    """The answers, a refusal among them as the error it is. Raises RedisError where nobody answers."""
    if pod.address is None:
        raise redis.ConnectionError(f"{pod.name} has no address")
    # No retries of the client's own: what is silent now is looked at again by the next round.
    with (
        redis.Redis(
            host=pod.address, port=port, username=USER, password=password, protocol=2, decode_responses=True,
            socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0), driver_info=None,
        ) as connection,
        connection.pipeline(transaction=False) as pipeline,
    ):  # fmt: skip
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute(raise_on_error=False))
