"""The Redis client: an operation is one command, or one script, sent once, with its WAIT in the same packet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from caplab.contract.engines import REDIS
from caplab.contract.objects import ANY, CACHE, REDIS_TRANSACTIONS, REPLICA
from caplab.model.keys import key_prefix
from caplab.model.transactions import TXN

from ... import clock
from ...links import Client, ClientFactory, Endpoint, NotDone, NotOpened, Result, Scan, Topology, result_of
from ...load.workloads import Operation
from ...outcomes import OK, Outcome
from ...spec import PLAIN_CLIENT, WORKLOADS, ClientOptions, Limits
from ..opening import ANSWER_BYTES, SCAN_BYTES, Opener, check_scan_size, leads_to_replica
from ..resolver import Resolver
from .outcomes import ErrorReply, classify
from .statements import (
    COUNTERS,
    IDENTITY,
    REPLICATION,
    WRITE_LEVELS,
    Command,
    address_in,
    command_of,
    epoch_in,
    replicas_of,
    set_page,
    wait_for,
)
from .transactions import carry_out
from .wire import RedisError, Wire, pack

_PAGE = 10_000  # elements of a set in one reply
_STEP = 1000  # keys that a server examines for one reply
_WAIT_SHARE = 0.9  # share of the statement's time: WAIT answers before the operation times out
_REPLICATION = pack(REPLICATION)


class RedisLink:
    """One connection.

    server is asked for once: by the address that the server itself has on the connection. epoch is the replication id
    while the role is master, None on a replica. It comes with every operation, in the same packet right after its
    command, with no other client's command in between. A connection does not outlive a role (Sentinel promotes and
    demotes in one transaction with CLIENT KILL TYPE normal), but it outlives a replication id: a primary that has no
    backlog, since it restarted or was alone for an hour, takes a new one when its next replica comes.
    """

    def __init__(self, wire: Wire, endpoint: Endpoint, wait_ms: int) -> None:
        self._wire = wire
        self._endpoint = endpoint
        self._opened_ns = clock.now_ns()
        self._wait_ms = wait_ms
        self.server = endpoint.name
        self.epoch: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the connection is still open, as far as is known."""
        return self._wire.alive

    def close(self) -> None:
        """Close at once; an operation under way ends as closed."""
        self._wire.close()

    async def identify(self, login: Mapping[str, str], member_at: Callable[[str], str]) -> None:
        """Log in, and learn server and epoch. Raises RedisError."""
        hello: list[Command] = [("AUTH", login["username"], login["password"])] if login["password"] else []
        *_, who, replication = await self.ask_all(*hello, IDENTITY, REPLICATION)
        if self.server == "service":
            self.server = member_at(address_in(who) or "")
        self.epoch = epoch_in(replication)

    async def perform(self, operation: Operation) -> Result:
        """Carry out one operation."""
        if operation.op == TXN:
            return await self._transact(operation)
        wanted = replicas_of(operation.level)
        packet = pack(command_of(operation)) + _REPLICATION
        if wanted:
            packet += pack(wait_for(wanted, self._wait_ms))
        try:
            replies = await self._wire.ask(packet, 3 if wanted else 2)
        except RedisError as error:
            return Result(outcome=classify(error.sent, error.problem), server=self.server, epoch=self.epoch)
        self.epoch = epoch_in(replies[1]) if len(replies) > 1 else None
        acked = replies[2] if len(replies) > 2 else None
        outcome, value = _reading(operation, replies[0], wanted, acked)
        if leads_to_replica(self._endpoint, self._opened_ns, outcome):
            self.close()
        return result_of(operation, outcome, value, self.server, self.epoch)

    async def _transact(self, operation: Operation) -> Result:
        if self.epoch is None and operation.route not in (REPLICA, ANY):
            self.close()  # as a write, a transaction goes to a primary; by now this may be one
            return Result(outcome=Outcome("fail", "readonly"), server=self.server)
        outcome, micro_ops, replication = await carry_out(self._wire, operation)
        if replication is not None:
            self.epoch = epoch_in(replication)
        if leads_to_replica(self._endpoint, self._opened_ns, outcome):
            self.close()
        return Result(outcome=outcome, server=self.server, epoch=self.epoch, txn=micro_ops)

    async def scan(self, workload: str, run_id: str) -> Scan:
        """Read everything this member holds of a run. Raises RedisError."""
        before = COUNTERS if workload == "counter-scan" else ""
        elements = await (self._set(run_id) if workload == "set-scan" else self._keyed(before, run_id))
        return Scan(self.server, self.epoch, self.epoch is not None, elements)

    async def prepare(self) -> None:
        """Make nothing, since Redis needs nothing. Raises NotDone unless the member is a primary."""
        if self.epoch is None:
            raise NotDone("the member is not a primary")

    async def _set(self, run_id: str) -> tuple[tuple[None, int], ...]:
        elements: list[bytes] = []
        while True:
            page = await self._ask(set_page(run_id, len(elements), _PAGE))
            elements += page
            check_scan_size(len(elements))
            if len(page) < _PAGE:
                return tuple((None, int(value)) for value in elements)

    async def _keyed(self, before: str, run_id: str) -> tuple[tuple[str, int], ...]:
        """Return the whole numbers in all keys of a run with a prefix."""
        keys: set[bytes] = set()  # SCAN may return a key twice
        cursor = b"0"
        while True:
            cursor, some = await self._ask(("SCAN", cursor, "MATCH", f"{before}{key_prefix(run_id)}*", "COUNT", _STEP))
            keys.update(some)
            check_scan_size(len(keys))
            if cursor == b"0":
                break
        names = sorted(keys)
        values: list[bytes | None] = []
        for first in range(0, len(names), _PAGE):
            values += await self._ask(("MGET", *names[first : first + _PAGE]))
        pairs = zip(names, values, strict=True)
        return tuple((name.decode().removeprefix(before), int(value)) for name, value in pairs if value)

    async def _ask(self, command: Command) -> Any:
        """Return the reply to a command of a scan."""
        return (await self.ask_all(command, max_bytes=SCAN_BYTES))[0]

    async def ask_all(self, *commands: Command, max_bytes: int = ANSWER_BYTES) -> list[Any]:
        """Send commands in one packet, and return their replies. Raises RedisError if one is refused."""
        replies = await self._wire.ask(b"".join(map(pack, commands)), len(commands), max_bytes)
        for reply in replies:
            if isinstance(reply, ErrorReply):
                raise RedisError(reply, True, reply.text)
        return replies


def _reading(operation: Operation, reply: Any, wanted: int, acked: Any) -> tuple[Outcome, int | None]:
    if isinstance(reply, ErrorReply):
        return classify(True, reply), None
    if operation.op == "read":
        return _number(reply)
    outcome = classify(True, None, wanted, acked)
    if operation.op == "cas":
        return _compared(operation, reply, outcome)
    if operation.op == "id" and outcome == OK:
        return _number(reply)
    if operation.op == "write" and reply == 0:
        return Outcome("fail", "refused"), None  # a newer write of the same writer was there already
    return outcome, None


def _compared(operation: Operation, reply: Any, done: Outcome) -> tuple[Outcome, int | None]:
    """Return a cas' outcome: if it found another value it changed nothing that replicas could lack, as a read."""
    read, was = _number(None if reply == b"" else reply)
    if read != OK or was != operation.expected:
        return read, was
    return done, was if done == OK else None


def _number(reply: Any) -> tuple[Outcome, int | None]:
    """Return the outcome and the value of a key: a whole number, or nothing."""
    if reply is None:
        return OK, None
    try:
        return OK, int(reply)
    except (TypeError, ValueError):
        return Outcome("fail", "refused"), None  # another client's key


class _Connector:
    """Connects to one cluster: one address, one attempt."""

    def __init__(self, login: Mapping[str, str], limits: Limits, topology: Callable[[], Topology]) -> None:
        self._login = {name: login[name] for name in ("username", "password")}
        self._statement_seconds = limits.statement_seconds
        self._wait_ms = round(1000 * _WAIT_SHARE * limits.statement_seconds)
        self._topology = topology
        self._resolver = Resolver()

    async def connect(self, endpoint: Endpoint) -> RedisLink:
        address = await self._resolver.address(endpoint.host)
        wire = await Wire.open(address, endpoint.port, self._statement_seconds)
        link = RedisLink(wire, endpoint, self._wait_ms)
        try:
            await link.identify(self._login, self._topology().member_at)
        except RedisError as error:
            link.close()
            raise NotOpened(classify(False, error.problem), f"{endpoint.host}: {error}") from error
        except BaseException:
            link.close()
            raise
        return link


def client(
    login: Mapping[str, str],
    limits: Limits,
    topology: Callable[[], Topology],
    _: ClientOptions = PLAIN_CLIENT,  # timeout_ms, the only one that ClientFactory.check allows, is in the limits
) -> Client:
    """Make a client for one cluster; login has username and password ('' if none is needed)."""
    return Opener(limits, _Connector(login, limits, topology).connect)


FACTORY = ClientFactory(
    engine=REDIS,
    client=client,
    write_levels=WRITE_LEVELS,
    client_options=("timeout_ms",),
    workloads=(*WORKLOADS, CACHE),
    levels_of={TXN: (REDIS_TRANSACTIONS, REDIS_TRANSACTIONS)},
)
