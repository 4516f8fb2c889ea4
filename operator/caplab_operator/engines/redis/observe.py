"""Observation of a cluster: what members and Sentinels report, asked at their addresses, never from labels."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from caplab_wire.resp import Answer, Refusal, exchange, information

from ..objects import APPLICATION
from ..pods import Pod
from .configuration import MASTER
from .manifests import REDIS_PORT, SENTINEL_PORT
from .users import OPERATOR, Command

TIMEOUT_SECONDS = 1.0
_MASTER_QUESTIONS = (("SENTINEL", "MASTER", MASTER), ("SENTINEL", "REPLICAS", MASTER), ("SENTINEL", "DEBUG"))

_NO_ANSWER = (OSError, Refusal, KeyError, TypeError, ValueError)
_HOST_CHARACTERS, _MAX_OFFSET = 253, 2**62
_WRONG_LOGIN = "WRONGPASS"


class Silence(Enum):
    """Why a member or a Sentinel reports nothing to the operator."""

    SILENT = "it does not answer"
    SHUT_OUT = "it refuses the operator's login"


SILENT: Final = Silence.SILENT
SHUT_OUT: Final = Silence.SHUT_OUT


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster's pods, and the operator's password; login is the clients' password, '' if it is not known."""

    members: tuple[Pod, ...]
    sentinels: tuple[Pod, ...]
    password: str
    login: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """The users that a member or a Sentinel lets in."""

    run_id: str = ""  # of the process, which starts with the users of its own file
    users: tuple[str, ...] = ()  # as ACL LIST lists them; () if it was not asked
    refusal: str = ""  # of the clients' login, in its own words; '' if it works or was not tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member's own report."""

    is_master: bool
    replication_id: str
    offset: int  # of the replication stream, in bytes
    follows: str  # the host of its master; '' for a master
    link_up: bool
    loading: bool
    settings: Mapping[str, str]  # of the requested directives
    append_only_trouble: str = ""  # why the append-only file would not restore all data; '' if it would
    access: Access = Access()


@dataclass(frozen=True, slots=True)
class KnownReplica:
    """A replica as a Sentinel knows it."""

    host: str
    flags: frozenset[str]
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinel:
    """A Sentinel's report of the cluster."""

    names: str  # the host that it names as primary
    flags: frozenset[str]
    replicas: tuple[KnownReplica, ...]
    others: int  # Sentinels beside itself
    settings: Mapping[str, str]
    periods: Mapping[str, str]  # of SENTINEL DEBUG, in milliseconds
    access: Access = Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRedis:
    """One observation of a cluster; members and sentinels lack the silent ones."""

    place: Place
    began: float  # monotonic seconds
    members: Mapping[str, Member]
    sentinels: Mapping[str, Sentinel]
    shut_out: frozenset[str] = frozenset()  # silent, because they refuse the operator's own login

    @property
    def access(self) -> dict[str, Access]:
        """The access of every member and Sentinel that answers."""
        of_members = {name: member.access for name, member in self.members.items()}
        return of_members | {name: sentinel.access for name, sentinel in self.sentinels.items()}


def look(place: Place, directives: Sequence[str] = (), seconds: float = TIMEOUT_SECONDS) -> ObservedRedis:
    """Ask all members and Sentinels at once; silent ones are left out. seconds bounds each wait for one of them.

    With directives it also reads settings and users, and tries the clients' login.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(max(1, len(place.members) + len(place.sentinels))) as pool:
        members = {pod.name: pool.submit(_member, place, pod, directives, seconds) for pod in place.members}
        sentinels = {pod.name: pool.submit(_sentinel, place, pod, bool(directives), seconds) for pod in place.sentinels}
        of_members = {name: answer.result() for name, answer in members.items()}
        of_sentinels = {name: answer.result() for name, answer in sentinels.items()}
    return ObservedRedis(
        place=place,
        began=began,
        members={name: answer for name, answer in of_members.items() if isinstance(answer, Member)},
        sentinels={name: answer for name, answer in of_sentinels.items() if isinstance(answer, Sentinel)},
        shut_out=frozenset(name for name, answer in {**of_members, **of_sentinels}.items() if answer is SHUT_OUT),
    )


def send_to_member(place: Place, pod: Pod, commands: Sequence[Command]) -> list[str]:
    """Have a member do something. Returns refusals, or the connection's error."""
    return _send(place, pod, REDIS_PORT, commands)


def send_to_sentinel(place: Place, pod: Pod, commands: Sequence[Command]) -> list[str]:
    """Have a Sentinel do something. Returns refusals, or the connection's error."""
    return _send(place, pod, SENTINEL_PORT, commands)


def users_of(place: Place, pod: Pod) -> tuple[str, ...]:
    """List the users of a member or a Sentinel; () if it does not answer."""
    port = REDIS_PORT if pod in place.members else SENTINEL_PORT
    try:
        listed = _ask(pod, port, place.password, [("ACL", "LIST")], TIMEOUT_SECONDS)[0]
    except (OSError, Refusal):
        return ()
    return _sorted(listed) if isinstance(listed, list) else ()


def _sorted(users: Answer) -> tuple[str, ...]:
    """Sort the lines of ACL LIST. Raises TypeError for a refusal, and ValueError for a line that names no user."""
    lines = sorted(str(user) for user in _list(users))
    if odd := [line for line in lines if line.split()[:1] != ["user"] or len(line.split()) < 3]:
        raise ValueError(f"{odd[0][:80]!r} is not a line of ACL LIST")
    return tuple(lines)


def _send(place: Place, pod: Pod, port: int, commands: Sequence[Command]) -> list[str]:
    try:
        answers = _ask(pod, port, place.password, commands, TIMEOUT_SECONDS)
    except (OSError, Refusal) as error:
        return [str(error)]
    return [str(answer).removeprefix("ERR ") for answer in answers if isinstance(answer, Refusal)]


def _member(place: Place, pod: Pod, directives: Sequence[str], seconds: float) -> Member | Silence:
    commands: list[Command] = [("INFO", "server", "replication", "persistence")]
    if directives:
        commands += [("CONFIG", "GET", *directives), ("ACL", "LIST")]
    try:
        info, *more = _ask(pod, REDIS_PORT, place.password, commands, seconds)
        member = member_from(information(info), more[0] if directives else [])
        if not directives:
            return member
        refusal = login_refusal(place, pod, REDIS_PORT, seconds)
        return replace(member, access=access_from(information(info), more[1], refusal))
    except _NO_ANSWER as error:
        return _silence(error)


def _silence(error: Exception) -> Silence:
    return SHUT_OUT if str(error).startswith(_WRONG_LOGIN) else SILENT


def _sentinel(place: Place, pod: Pod, thorough: bool, seconds: float) -> Sentinel | Silence:
    access: list[Command] = [("INFO", "server"), ("ACL", "LIST")] if thorough else []
    try:
        master, replicas, debug, *more = _ask(
            pod, SENTINEL_PORT, place.password, [*_MASTER_QUESTIONS, *access], seconds
        )
        sentinel = sentinel_from(master, replicas, debug)
        if not thorough:
            return sentinel
        refusal = login_refusal(place, pod, SENTINEL_PORT, seconds)
        return replace(sentinel, access=access_from(information(more[0]), more[1], refusal))
    except _NO_ANSWER as error:
        return _silence(error)


def login_refusal(place: Place, pod: Pod, port: int, seconds: float) -> str:
    """Log in as clients do, on a separate connection. Returns the refusal, '' if there is none or it can't be tried."""
    if not place.login:
        return ""
    try:
        (answer,) = _ask(pod, port, place.login, [("PING",)], seconds, APPLICATION)
    except Refusal as error:
        if not str(error).startswith(_WRONG_LOGIN):
            raise
        return str(error)
    return str(answer) if isinstance(answer, Refusal) else ""


def access_from(info: Mapping[str, str], users: Answer, refusal: str = "") -> Access:
    """Parse the answers to INFO and ACL LIST. Raises KeyError, TypeError or ValueError if it can't."""
    return Access(str(info["run_id"]), _sorted(users), refusal)


def member_from(info: Mapping[str, Any], config: Answer) -> Member:
    """Parse a member's answers to INFO and CONFIG GET. Raises KeyError, TypeError or ValueError if it can't."""
    is_master = info["role"] == "master"
    return Member(
        is_master=is_master,
        replication_id=_at_most(64, info["master_replid"]),
        offset=_offset(info["master_repl_offset"] if is_master else info["slave_repl_offset"]),
        follows="" if is_master else _at_most(_HOST_CHARACTERS, info["master_host"]),
        link_up=not is_master and info["master_link_status"] == "up",
        loading=bool(int(info["loading"])),
        settings=_pairs(config),
        append_only_trouble=_append_only_trouble(info),
    )


def _at_most(characters: int, text: object) -> str:
    """Check that a text is no longer than Redis' own. Raises ValueError."""
    if len(value := str(text)) > characters:
        raise ValueError(f"{characters + 1} characters or more")
    return value


def _offset(text: object) -> int:
    if not 0 <= (offset := int(str(text))) < _MAX_OFFSET:
        raise ValueError(f"{offset} is not an offset in a stream")
    return offset


def _append_only_trouble(info: Mapping[str, Any]) -> str:
    """Say what is wrong with the append-only file, from INFO persistence; '' if nothing is.

    A file that was just switched on, or that follows a full sync, is complete after its first rewrite. Redis does not
    say which rewrite is a first one, so the file counts as incomplete during each.
    """
    if not int(info["aof_enabled"]):
        return "it is off"
    for field in ("aof_last_write_status", "aof_last_bgrewrite_status"):
        if info[field] != "ok":
            return f"{field} is {info[field]}"
    if int(info["aof_rewrite_in_progress"]) or int(info["aof_rewrite_scheduled"]):
        return "it is being rewritten"
    return ""


def sentinel_from(master: Answer, replicas: Answer, debug: Answer) -> Sentinel:
    """Parse a Sentinel's answers to _MASTER_QUESTIONS. Raises KeyError, TypeError or ValueError if it can't."""
    fields = _pairs(master)
    replica_fields = [_pairs(replica) for replica in _list(replicas)]
    return Sentinel(
        names=fields["ip"],
        flags=frozenset(fields["flags"].split(",")),
        replicas=tuple(
            KnownReplica(replica["ip"], frozenset(replica["flags"].split(",")), int(replica["slave-priority"]))
            for replica in replica_fields
        ),
        others=int(fields["num-other-sentinels"]),
        settings=fields,
        periods={name.lower(): value for name, value in _pairs(debug).items()},
    )


def _pairs(flat: Answer) -> dict[str, str]:
    """Parse a list of alternating names and values. Raises TypeError for a refusal, ValueError for an odd length."""
    words = _list(flat)
    return {str(name): str(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def _list(answer: Answer) -> list[Answer]:
    if not isinstance(answer, list):
        raise TypeError(f"{answer!r} is not a list")
    return answer


def _ask(
    pod: Pod, port: int, password: str, commands: Sequence[Command], seconds: float, user: str = OPERATOR
) -> list[Answer]:
    """Return the answers, refusals among them. Raises OSError if there are none, and Refusal if the login is refused.

    Nothing is retried: the next round asks again.
    """
    if pod.address is None:
        raise ConnectionError(f"{pod.name} has no address")
    return list(exchange(pod.address, port, (user, password), commands, seconds))
