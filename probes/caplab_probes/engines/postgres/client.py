"""The Postgres client: statements in autocommit, so that an operation is one statement, sent once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from caplab.model.keys import key_prefix

from ...links import Client, Endpoint, Engine, NotOpened, Result, Scan, Topology
from ...outcomes import Outcome
from ...spec import PLAIN_CLIENT, ClientOptions, Limits
from ...workloads import Operation, is_beat, run_values
from ..names import Names
from ..opening import Opener
from .outcomes import classify, classify_beat
from .statements import BEAT_BODY, PREPARED, SCAN_REGISTERS, SCAN_SET, TABLES, WHO, statement_of
from .wire import Answer, PostgresError, Wire

_STANDBY = "in_hot_standby"  # reported unasked since Postgres 14 (manual, 55.2.7)
_PARAMETERS: Mapping[str, str | int] = {
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
}


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
        """Learn server and epoch; raises PostgresError."""
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
        except PostgresError as error:
            judge = classify_beat if is_beat(operation) else classify
            outcome = judge(error.sent, error.problem, error.warnings)
            return Result(outcome, server=self.server, epoch=self.epoch)
        if self._wire.parameter(_STANDBY) != self._standby:
            await self._identify_again()
        outcome, observed = _reading(operation, answer)
        return Result(outcome, observed, self.server, self.epoch)

    async def scan(self, workload: str, run_id: str) -> Scan:
        """Everything this member holds of a run; raises PostgresError."""
        if workload == "set-scan":
            low, end = run_values(run_id)
            answer = await self._wire.ask(SCAN_SET, low, end)
        else:
            answer = await self._wire.ask(SCAN_REGISTERS, key_prefix(run_id))
        elements = tuple((key, int(value or 0)) for key, value in answer.rows)
        return Scan(self.server, self.epoch, self.epoch is not None, elements)

    async def prepare(self) -> None:
        """Make tables and procedure where they are not there; raises PostgresError."""
        if (await self._wire.ask(PREPARED, BEAT_BODY)).rows == (("t",),):
            return
        for statement in TABLES:
            await self._wire.ask(statement)

    async def _identify_again(self) -> None:
        try:
            await self.identify()
        except PostgresError:
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


class _Connector:
    """Connects to one cluster: one address, one try."""

    def __init__(self, login: Mapping[str, str], topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._names = Names()
        self._parameters = {**_PARAMETERS, "user": login["username"], "dbname": login["database"]}
        if login["password"]:
            self._parameters["password"] = login["password"]

    async def connect(self, endpoint: Endpoint) -> PostgresLink:
        address = await self._names.address(endpoint.host)
        where: dict[str, str | int] = {"host": endpoint.host, "hostaddr": address, "port": endpoint.port}
        try:
            return await self._identified(await Wire.open({**self._parameters, **where}), endpoint)
        except PostgresError as error:
            raise NotOpened(classify(False, error.problem), str(error)) from error

    async def _identified(self, wire: Wire, endpoint: Endpoint) -> PostgresLink:
        link = PostgresLink(wire, endpoint, self._topology().member_at)
        try:
            await link.identify()
        except BaseException:
            link.close()
            raise
        return link


def client(
    login: Mapping[str, str],
    limits: Limits,
    topology: Callable[[], Topology],
    _: ClientOptions = PLAIN_CLIENT,  # Engine.check lets no others through
) -> Client:
    """A client for one cluster; login has username, password ('': none) and database."""
    return Opener(limits, _Connector(login, topology).connect)


ENGINE = Engine("postgres", "PostgresCluster", port=5432, client=client)
