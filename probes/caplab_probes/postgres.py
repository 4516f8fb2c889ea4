"""The Postgres client: statements in autocommit, so that an operation is one statement, sent once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from .links import Endpoint, NotDone, NotOpened, Result, Scan, Topology
from .outcomes import Outcome, classify, classify_beat
from .spec import Limits
from .sql import BEAT_BODY, PREPARED, SCAN_REGISTERS, SCAN_SET, TABLES, WHO, statement_of
from .wire import Answer, Wire, WireError
from .workloads import Operation, is_beat, key_prefix, run_values

_T = TypeVar("_T")

_STANDBY = "in_hot_standby"  # reported unasked since Postgres 14 (manual, 55.2.7)


@dataclass(frozen=True, slots=True)
class Login:
    """Who connects and to which database; extra are more of libpq's parameters."""

    user: str
    database: str
    password: str = field(default="", repr=False)
    extra: tuple[tuple[str, str], ...] = ()


class PostgresLink:
    """One connection.

    server and epoch (the timeline, a whole number; None on a standby) are asked for once, and again when the
    server says that it stopped or began to be a standby: a promotion keeps connections open.
    """

    def __init__(self, wire: Wire, endpoint: Endpoint, member_at: Callable[[str], str]) -> None:
        self._wire = wire
        self._endpoint = endpoint
        self._member_at = member_at
        self._standby = ""
        self.server = endpoint.name
        self.epoch: str | None = None

    @property
    def alive(self) -> bool:
        """Whether nobody has closed the connection, as far as is known."""
        return self._wire.alive

    def close(self) -> None:
        """Let go at once; an operation under way ends as closed."""
        self._wire.close()

    async def identify(self) -> None:
        """Learn server and epoch; raises WireError."""
        (address, timeline) = (await self._wire.ask(WHO)).rows[0]
        self._standby = self._wire.parameter(_STANDBY)
        if self._endpoint.name == "service":
            self.server = self._member_at(address or self._endpoint.host)
        self.epoch = None if timeline is None else str(int(timeline, 16))

    async def perform(self, operation: Operation) -> Result:
        """Carry out one operation."""
        try:
            statement, values = statement_of(operation)
            answer = await self._wire.ask(statement, *values)
        except WireError as error:
            judge = classify_beat if is_beat(operation) else classify
            outcome = judge(error.sent, error.problem, error.warnings)
            return Result(outcome, server=self.server, epoch=self.epoch)
        if self._wire.parameter(_STANDBY) != self._standby:
            await self._identify_again()
        outcome, observed = _reading(operation, answer)
        return Result(outcome, observed, self.server, self.epoch)

    async def scan(self, workload: str, run_id: str) -> Scan:
        """Everything this member holds of a run; raises WireError."""
        if workload == "set-scan":
            low, end = run_values(run_id)
            answer = await self._wire.ask(SCAN_SET, low, end)
        else:
            answer = await self._wire.ask(SCAN_REGISTERS, key_prefix(run_id))
        elements = tuple((key, int(value or 0)) for key, value in answer.rows)
        return Scan(self.server, self.epoch, self.epoch is not None, elements)

    async def create_tables(self) -> None:
        """Make tables and procedure where they are not there; raises WireError."""
        if (await self._wire.ask(PREPARED, BEAT_BODY)).rows == (("t",),):
            return
        for statement in TABLES:
            await self._wire.ask(statement)

    async def _identify_again(self) -> None:
        try:
            await self.identify()
        except WireError:
            self.epoch = None  # unknown is better than one that has passed
            self.close()


def _reading(operation: Operation, answer: Answer) -> tuple[Outcome, int | None]:
    if operation.op == "read":
        # A read commits nothing, so a warning takes nothing from it.
        value = answer.rows[0][0] if answer.rows else None
        return classify(True, None), None if value is None else int(value)
    if not answer.changed and not is_beat(operation):  # a CALL does not say how many rows it changed
        return Outcome("fail", "refused"), None  # a newer write of the same writer was there already
    return classify(True, None, answer.warnings), None


class PostgresClient:
    """Opens links: one address, one try, within Limits.connect_seconds."""

    def __init__(self, login: Login, limits: Limits, topology: Callable[[], Topology]) -> None:
        self._limits = limits
        self._topology = topology
        self._names = Names()
        self._parameters: dict[str, str | int] = {
            "user": login.user,
            "dbname": login.database,
            "application_name": "caplab-prober",
            # Each of these would be a second try that nobody sees.
            "sslmode": "disable",
            "gssencmode": "disable",
            # Neither the environment's nor a file's settings.
            "passfile": "/nonexistent",
            # A peer that is cut off is known to be dead after 4 s.
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": 4000,
            **({"password": login.password} if login.password else {}),
            **dict(login.extra),
        }

    async def open(self, endpoint: Endpoint) -> PostgresLink:
        """Connect and identify; raises NotOpened."""
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await self._open(endpoint)
        except TimeoutError:
            raise NotOpened(Outcome("fail", "timeout"), f"{endpoint.host}: no connection in time") from None
        except WireError as error:
            raise NotOpened(classify(False, error.problem), str(error)) from error
        except OSError as error:
            raise NotOpened(Outcome("fail", "refused"), f"{endpoint.host}: {error}") from error

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make tables and procedure where they are missing; raises NotDone."""
        await self._beside(endpoint, lambda link: link.create_tables())

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Read all that a member holds of a run; raises NotDone."""
        return await self._beside(endpoint, lambda link: link.scan(workload, run_id))

    async def _beside(self, endpoint: Endpoint, work: Callable[[PostgresLink], Awaitable[_T]]) -> _T:
        """Work that is no operation, on a link of its own and with more time."""
        try:
            link = await self.open(endpoint)
        except NotOpened as error:
            raise NotDone(f"{endpoint.name}: {error}") from error
        try:
            async with asyncio.timeout(self._limits.scan_seconds):
                return await work(link)
        except TimeoutError:
            raise NotDone(f"{endpoint.name}: not done in {self._limits.scan_seconds:g} s") from None
        except WireError as error:
            raise NotDone(f"{endpoint.name}: {error}") from error
        finally:
            link.close()

    async def _open(self, endpoint: Endpoint) -> PostgresLink:
        address = await self._names.address(endpoint.host)
        where: dict[str, str | int] = {"host": endpoint.host, "hostaddr": address, "port": endpoint.port}
        link = PostgresLink(await Wire.open({**self._parameters, **where}), endpoint, self._topology().member_at)
        try:
            await link.identify()
        except BaseException:
            link.close()
            raise
        return link


class Names:
    """Resolves host names as they are asked for; all who ask at one time share one look-up.

    A look-up without an answer blocks a thread until the resolver gives up: there must not be many.
    """

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Task[str]] = {}

    async def address(self, host: str) -> str:
        """An address of the host; raises OSError."""
        task = self._asked.get(host)
        if task is None:
            task = asyncio.create_task(_look_up(host))
            self._asked[host] = task
            task.add_done_callback(lambda done: self._forget(host, done))
        return await asyncio.shield(task)

    def _forget(self, host: str, task: asyncio.Task[str]) -> None:
        del self._asked[host]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have


async def _look_up(host: str) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
