"""The Postgres client: statements in autocommit, so that an operation is one statement, sent once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from caplab.contract.engines import POSTGRES
from caplab.contract.objects import ANY, ISOLATION_LEVELS, REPLICA, SERIALIZABLE
from caplab.model.keys import key_prefix
from caplab.model.transactions import TXN

from ... import clock
from ...links import (
    Client,
    ClientFactory,
    Endpoint,
    Link,
    NotDone,
    NotOpened,
    Position,
    Result,
    Scan,
    Topology,
    result_of,
)
from ...load.workloads import Operation, is_beat, run_values
from ...outcomes import OK, Outcome
from ...routing.reads import needs_lsn
from ...spec import PLAIN_CLIENT, ClientOptions, Limits
from ..keep_alive import user_timeout_ms
from ..opening import SCAN_BYTES, Opener, check_scan_size, leads_to_replica
from ..resolver import Resolver
from .outcomes import classify, classify_beat
from .statements import (
    BEAT_BODY,
    IDENTITY,
    LOAD,
    LOAD_BODY,
    POSITION,
    PREPARED,
    SCAN_COUNTERS,
    SCAN_REGISTERS,
    SCAN_SET,
    TABLES,
    statement_of,
)
from .transactions import Transactions
from .wire import Answer, PostgresError, Wire

_SERVICE = "service"
_STANDBY = "in_hot_standby"  # reported unasked since Postgres 14 (manual, 55.2.7)
_PARAMETERS: Mapping[str, str | int] = {
    "application_name": "caplab-prober",
    # Each of these would be a second attempt that nobody sees.
    "sslmode": "disable",
    "gssencmode": "disable",
    # Use neither the environment's nor a file's settings.
    "passfile": "/nonexistent",
    # As in keep_alive.py, except tcp_user_timeout: that depends on how long a statement may take.
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}


class PostgresLink:
    """One connection.

    server and epoch (the timeline, a whole number; None on a standby) are asked for once, and again when the server
    reports that it stopped or began to be a standby: a promotion keeps connections open. with_lsn: reads and writes on
    the route replica return the server's position in the write-ahead log.
    """

    def __init__(
        self,
        wire: Wire,
        endpoint: Endpoint,
        member_at: Callable[[str], str],
        statement_seconds: float,
        with_lsn: bool = False,
    ) -> None:
        self._transactions = Transactions(wire, statement_seconds)
        self._with_lsn = with_lsn
        self._wire = wire
        self._endpoint = endpoint
        self._member_at = member_at
        self._standby = ""
        self._opened_ns = clock.now_ns()
        self.server = endpoint.name
        self.epoch: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the connection is still open, as far as is known."""
        return self._wire.alive

    def close(self) -> None:
        """Close at once; an operation under way ends as closed."""
        self._wire.close()

    async def identify(self) -> None:
        """Learn server and epoch. Raises PostgresError."""
        (address, timeline) = (await self._wire.ask(IDENTITY)).rows[0]
        self._standby = self._wire.parameter(_STANDBY)
        if self._endpoint.name == _SERVICE:
            self.server = self._member_at(address or self._endpoint.host)
        self.epoch = None if timeline is None else str(int(timeline, 16))

    async def perform(self, operation: Operation) -> Result:
        """Carry out one operation."""
        if operation.op == TXN:
            return await self._transact(operation)
        try:
            with_lsn = self._with_lsn and operation.route == REPLICA
            statement, values = statement_of(operation, with_lsn)
            answer = await self._wire.ask(statement, *values)
        except PostgresError as error:
            judge = classify_beat if is_beat(operation) else classify
            outcome = judge(error.sent, error.problem, error.warnings)
            if leads_to_replica(self._endpoint, self._opened_ns, outcome):
                self.close()
            return Result(outcome=outcome, server=self.server, epoch=self.epoch)
        if self._wire.parameter(_STANDBY) != self._standby:
            await self._identify_again()
        outcome, value = _reading(operation, answer)
        result = result_of(operation, outcome, value, self.server, self.epoch)
        return replace(result, lsn=await self._lsn(operation, answer)) if with_lsn else result

    async def _transact(self, operation: Operation) -> Result:
        if self._standby == "on" and operation.route not in (REPLICA, ANY):
            # It may be a primary by now, but says so with an answer only.
            self.close()
            return Result(outcome=Outcome("fail", "readonly"), server=self.server, epoch=self.epoch)
        outcome, micro_ops = await self._transactions.carry_out(operation)
        if leads_to_replica(self._endpoint, self._opened_ns, outcome):
            self.close()
        elif self.alive and self._wire.parameter(_STANDBY) != self._standby:
            await self._identify_again()
        return Result(outcome=outcome, server=self.server, epoch=self.epoch, txn=micro_ops)

    async def load(self, key: str, milliseconds: int, places: int) -> Result:
        """Read a register at a cost: so long at one of so many places. As a read, a fail has changed nothing."""
        try:
            answer = await self._wire.ask(LOAD, key, milliseconds, places)
        except PostgresError as error:
            outcome = classify(error.sent, error.problem, error.warnings)
            return Result(outcome=Outcome("fail", outcome.error), server=self.server, epoch=self.epoch)
        outcome, value = _value_in(answer)
        return Result(outcome=outcome, value=value, server=self.server, epoch=self.epoch)

    async def position(self) -> Position:
        """Return the server's position. Raises NotDone."""
        asked_ns = clock.now_ns()
        try:
            (lsn, primary) = (await self._wire.ask(POSITION)).rows[0]
        except PostgresError as error:
            raise NotDone(str(error)) from error
        if lsn is None:
            raise NotDone("the member has replayed nothing yet")
        return Position(int(lsn), primary == "t", asked_ns)

    async def _lsn(self, operation: Operation, answer: Answer) -> int | None:
        """Return a position of the log that includes all that the operation read or wrote; None if unknown.

        The answer to a commit does not say where it ended. Asked for after it, the log is there or a little further.
        """
        if operation.op == "read":
            lsn = answer.rows[0][1] if answer.rows else None
            return None if lsn is None else int(lsn)
        try:
            return (await self.position()).lsn
        except NotDone:
            return None

    async def scan(self, workload: str, run_id: str) -> Scan:
        """Read everything this member holds of a run. Raises PostgresError."""
        if workload == "set-scan":
            low, end = run_values(run_id)
            answer = await self._wire.ask(SCAN_SET, low, end, max_bytes=SCAN_BYTES)
        else:
            scan = SCAN_COUNTERS if workload == "counter-scan" else SCAN_REGISTERS
            answer = await self._wire.ask(scan, key_prefix(run_id), max_bytes=SCAN_BYTES)
        check_scan_size(len(answer.rows))
        elements = tuple((key, int(value or 0)) for key, value in answer.rows)
        return Scan(self.server, self.epoch, self.epoch is not None, elements)

    async def prepare(self) -> None:
        """Make the tables and the procedure where they are missing. Raises PostgresError."""
        if (await self._wire.ask(PREPARED, BEAT_BODY, LOAD_BODY)).rows == (("t",),):
            return
        for statement in TABLES:
            await self._wire.ask(statement)

    async def _identify_again(self) -> None:
        try:
            await self.identify()
        except PostgresError:
            self.epoch = None  # unknown is better than a position that is out of date
            self.close()


def _value_in(answer: Answer) -> tuple[Outcome, int | None]:
    """Return a read's outcome and value: it commits nothing, so a warning does not make it info."""
    value = answer.rows[0][0] if answer.rows else None
    return classify(True, None), None if value is None else int(value)


def _reading(operation: Operation, answer: Answer) -> tuple[Outcome, int | None]:
    outcome, value = _value_in(answer)
    if operation.op == "read":
        return outcome, value
    if operation.op in ("id", "cas"):
        outcome = classify(True, None, answer.warnings)
        set_now = operation.op == "cas" and value == operation.value
        return outcome, (operation.expected if set_now else value) if outcome == OK else None
    if not answer.changed and not is_beat(operation):  # a CALL does not say how many rows it changed
        return Outcome("fail", "refused"), None  # a newer write of the same writer was there already
    return classify(True, None, answer.warnings), None


class _Connector:
    """Connects to one cluster: one address, one attempt."""

    def __init__(
        self, login: Mapping[str, str], limits: Limits, topology: Callable[[], Topology], with_lsn: bool
    ) -> None:
        self._topology = topology
        self._with_lsn = with_lsn
        self._statement_seconds = limits.statement_seconds
        self._resolver = Resolver()
        self._parameters = {**_PARAMETERS, "user": login["username"], "dbname": login["database"]}
        self._parameters["tcp_user_timeout"] = user_timeout_ms(limits.statement_seconds)
        if login["password"]:
            self._parameters["password"] = login["password"]

    async def connect(self, endpoint: Endpoint) -> PostgresLink:
        address = await self._resolver.address(endpoint.host)
        where: dict[str, str | int] = {"host": endpoint.host, "hostaddr": address, "port": endpoint.port}
        try:
            return await self._identified(await Wire.open({**self._parameters, **where}), endpoint)
        except PostgresError as error:
            raise NotOpened(classify(False, error.problem), str(error)) from error

    async def _identified(self, wire: Wire, endpoint: Endpoint) -> PostgresLink:
        member_at = self._topology().member_at
        link = PostgresLink(wire, endpoint, member_at, self._statement_seconds, self._with_lsn)
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
    options: ClientOptions = PLAIN_CLIENT,
) -> Client:
    """Make a client for one cluster; login has username, password ('' if none is needed) and database."""
    return Opener(limits, _Connector(login, limits, topology, needs_lsn(options)).connect)


async def position(link: Link) -> Position:
    """Return the position of the member behind a link of `client`. Raises NotDone."""
    assert isinstance(link, PostgresLink)
    return await link.position()


FACTORY = ClientFactory(
    engine=POSTGRES,
    client=client,
    client_options=("read_routing", "max_lag_bytes", "replica_wait_ms", "timeout_ms"),
    position=position,
    levels_of={TXN: (ISOLATION_LEVELS, ISOLATION_LEVELS)},
    not_on_replicas=(SERIALIZABLE,),
)
