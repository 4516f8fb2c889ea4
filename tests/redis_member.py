"""Members and Sentinels as a member that starts or ends sees them: what each answers, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from caplab_redis_member.surroundings import RECORD_PORT, SENTINEL_PORT, Surroundings
from caplab_wire.resp import Answer, Refusal

HOSTS = tuple(f"rd-{number}.rd-members.lab.svc.cluster.local" for number in range(3))
SENTINELS = tuple(f"rd-sentinel-{number}.rd-sentinels.lab.svc.cluster.local" for number in range(3))
PLACE = Surroundings(
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
    """A member that runs; follows is '' for a master."""

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


@dataclass
class World:
    """Who is missing does not answer. on_failover is what a Sentinel does when it is asked for one."""

    members: dict[str, Member]
    names: dict[str, str]  # what each Sentinel names
    on_failover: Callable[[World], None] = lambda world: None
    each_pause: Callable[[World], None] = lambda world: None
    config_epoch: int = 0
    flags: str = "master"  # of the primary, as Sentinels have them
    records: dict[str, str] = field(default_factory=dict)  # of members that wait
    told: list[str] = field(default_factory=list)
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
        self.told.append(f"{host.partition('.')[0]} {command}")
        return "OK"

    def _sentinel(self, host: str, command: str) -> Answer:
        if host not in self.names:
            raise TimeoutError
        if command == "SENTINEL MASTER caplab":
            return ["ip", self.names[host], "flags", self.flags, "config-epoch", str(self.config_epoch)]
        assert command == "SENTINEL FAILOVER caplab"
        self.told.append(command)
        self.on_failover(self)
        return "OK"

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.each_pause(self)

    def clock(self) -> float:
        return self.now


def world(members: Mapping[str, Member] | None = None, names: str = HOSTS[0], **fields: object) -> World:
    """rd-0 is primary, the others have what it has; all Sentinels name one."""
    usual = {HOSTS[0]: Member(), HOSTS[1]: Member(HOSTS[0]), HOSTS[2]: Member(HOSTS[0])}
    return World(dict(usual if members is None else members), dict.fromkeys(SENTINELS, names), **fields)  # type: ignore[arg-type]


def promote(host: str) -> Callable[[World], None]:
    """What a Sentinel does: that member is a master, and everybody names it."""

    def do(world: World) -> None:
        world.members[host] = Member(offset=world.members[host].offset)
        world.names = dict.fromkeys(world.names, host)

    return do


def refuse(text: str) -> Callable[[World], None]:
    """A Sentinel that will not."""

    def do(_world: World) -> None:
        raise Refusal(text)

    return do
