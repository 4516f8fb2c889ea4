"""Members and Sentinels as a starting or ending member sees them: the answers of each, and the commands it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from caplab_redis_member.config import RECORD_PORT, SENTINEL_PORT, MemberConfig
from caplab_wire.resp import Answer, Refusal

HOSTS = tuple(f"rd-{number}.rd-members.lab.svc.cluster.local" for number in range(3))
SENTINELS = tuple(f"rd-sentinel-{number}.rd-sentinels.lab.svc.cluster.local" for number in range(3))
CONFIG = MemberConfig(
    host=HOSTS[0],
    members=HOSTS,
    sentinels=SENTINELS,
    quorum=2,
    initial_primary=HOSTS[0],
    bootstrap=False,
    come_back=False,
    persistence="everysec",
    password="secret",
)


@dataclass
class Member:
    """A running member; follows is '' for a master."""

    follows: str = ""
    offset: int = 100
    linked: bool = True

    def info(self) -> str:
        if not self.follows:
            return f"role:master\r\nmaster_repl_offset:{self.offset}\r\n"
        status = "up" if self.linked else "down"
        return (
            f"role:slave\r\nmaster_host:{self.follows}\r\nmaster_link_status:{status}\r\n"
            f"slave_repl_offset:{self.offset}\r\n"
        )


@dataclass(kw_only=True)
class FakeCluster:
    """A cluster; missing members do not answer. on_failover: what a Sentinel does when asked for one."""

    members: dict[str, Member]
    names: dict[str, str]  # what each Sentinel names
    on_failover: Callable[[FakeCluster], None] = lambda cluster: None
    each_pause: Callable[[FakeCluster], None] = lambda cluster: None
    config_epoch: int = 0
    flags: str = "master"  # of the primary, as Sentinels have them
    records: dict[str, str] = field(default_factory=dict)  # the waiting members' records
    commands: list[str] = field(default_factory=list)
    deaf_to: tuple[str, ...] = ()  # commands that get no answer, and are not done
    now: float = 0.0

    def ask(
        self, host: str, port: int, _password: str, *commands: tuple[str, ...], seconds: float = 1.0
    ) -> list[Answer]:
        return [self._answer(host, port, " ".join(command)) for command in commands]

    def _answer(self, host: str, port: int, command: str) -> Answer:
        if port == SENTINEL_PORT:
            return self._sentinel(host, command)
        if port == RECORD_PORT:
            return self.records.get(host)
        if host not in self.members:
            raise ConnectionRefusedError
        if command == "INFO replication":
            return self.members[host].info()
        self.commands.append(f"{host.partition('.')[0]} {command}")
        if any(command.startswith(deaf) for deaf in self.deaf_to):
            raise TimeoutError
        if command.startswith("REPLICAOF "):
            self.members[host].follows = command.split()[1]
        return "OK"

    def _sentinel(self, host: str, command: str) -> Answer:
        if host not in self.names:
            raise TimeoutError
        if command == "SENTINEL MASTER caplab":
            return ["ip", self.names[host], "flags", self.flags, "config-epoch", str(self.config_epoch)]
        assert command == "SENTINEL FAILOVER caplab"
        self.commands.append(command)
        self.on_failover(self)
        return "OK"

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.each_pause(self)

    def clock(self) -> float:
        return self.now


def fake_cluster(members: Mapping[str, Member] | None = None, names: str = HOSTS[0], **fields: Any) -> FakeCluster:
    """Make a cluster with rd-0 as primary; the others have its data, and all Sentinels name the same member."""
    usual = {HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(HOSTS[0])}
    every = dict(usual if members is None else members)
    return FakeCluster(members=every, names=dict.fromkeys(SENTINELS, names), **fields)


def promote(host: str) -> Callable[[FakeCluster], None]:
    """Return an on_failover that promotes like a Sentinel: that member is a master, and all Sentinels name it."""

    def do(cluster: FakeCluster) -> None:
        cluster.members[host] = Member(offset=cluster.members[host].offset)
        cluster.names = dict.fromkeys(cluster.names, host)

    return do


def refuse(text: str) -> Callable[[FakeCluster], None]:
    """Return an on_failover with which a Sentinel refuses."""

    def do(_cluster: FakeCluster) -> None:
        raise Refusal(text)

    return do
