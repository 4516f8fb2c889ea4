"""A stand-in for cassandra-driver's Cluster and Session: a ring in memory that answers from a thread, as they do.

It recognizes the client's statements by their texts. A write goes to every host that is up; a read returns one host's
copy, at level ALL the merged copies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from caplab_probes.engines.cassandra.client import CassandraClient
from caplab_probes.engines.cassandra.connection import SharedDriver
from caplab_probes.engines.cassandra.statements import KEYSPACE, TABLES, TEXTS
from caplab_probes.links import Endpoint, Result, Topology
from caplab_probes.load.workloads import Operation
from caplab_probes.spec import PLAIN_CLIENT, ClientOptions, Limits
from cassandra import ConsistencyLevel, DriverException, InvalidRequest
from cassandra.cluster import NoHostAvailable

LIMITS = Limits(connect_seconds=3.0, statement_seconds=0.2, start_seconds=0.1, scan_seconds=15.0, in_flight=4)
PORT = 9042
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
MEMBERS = tuple(Endpoint(f"cs-{number}", address, PORT) for number, address in enumerate(ADDRESSES))
SERVICE = Endpoint("service", "localhost", PORT)  # a name that resolves everywhere
RUN = 9
ADD = Operation(index=0, op="add", route="service", value=(RUN << 37) + 5)
REGISTER = f"{RUN:07x}/probe/a/service/1"
WRITE = Operation(index=0, op="write", route="service", key=REGISTER, value=(RUN << 37) + 5)
READ = Operation(index=0, op="read", route="service", key=REGISTER)
CAS = Operation(index=0, op="cas", route="service", key=REGISTER, value=(RUN << 37) + 6, workload="cas")
INCR = Operation(index=0, op="incr", route="service", key=REGISTER, value=1, workload="counter")
COUNT = Operation(index=0, op="read", route="service", key=REGISTER, workload="counter")
ID = Operation(index=0, op="id", route="service", key=f"{RUN:07x}/probe", workload="ids")
_ADD, _ADD_SERIAL, _WRITE, _WRITE_FIRST, _WRITE_SERIAL, _READ, _SCAN_SET, _SCAN_REGISTERS = TEXTS[:8]
_CAS, _WRITE_ANY_SERIAL, _INCR, _NEXT_ID, _READ_COUNTER, _SCAN_COUNTERS = TEXTS[8:]
Registers = dict[str, dict[tuple[int, str], int]]


@dataclass(frozen=True)
class Host:
    """The driver's Host, of which only the address is used."""

    address: str


@dataclass(kw_only=True)
class Bound:
    """A statement with its values, like the driver's."""

    text: str
    values: tuple[Any, ...]
    consistency_level: int | None = None
    serial_consistency_level: int | None = None
    is_idempotent: bool = False
    fetch_size: int = 5000


@dataclass(frozen=True)
class Prepared:
    text: str

    def bind(self, values: tuple[Any, ...]) -> Bound:
        return Bound(text=self.text, values=tuple(values))


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A statement as sent: its levels, its profile, and its host (None: the driver's choice).

    stamp: the client's time in microseconds since 1970; None if the coordinator stamps it. idempotent: what the
    statement was marked as when it was sent.
    """

    bound: Bound
    profile: object
    host: Host | None
    seconds: float
    stamp: int | None = None
    idempotent: bool = False


@dataclass(frozen=True)
class Planted:
    """A planted result instead of an answer: an error, after so many coordinators and retries; or none (hang)."""

    error: Exception | None = None
    asked: int = 1
    retries: int = 0
    hang: bool = False


class Request:
    """A ResponseFuture that a thread settles, which then calls the callbacks."""

    def __init__(self) -> None:
        self.attempted_hosts: list[Host] = []
        self._query_retries = 0
        self.coordinator_host: Host | None = None
        self.has_more_pages = False
        self._paging_state: bytes | None = None
        self._col_names = self._col_types = None
        self._told = threading.Event()
        self._callbacks: list[tuple[Callable[[Any], None], Callable[[Exception], None]]] = []

    def add_callbacks(self, callback: Callable[[Any], None], errback: Callable[[Exception], None]) -> None:
        self._callbacks.append((callback, errback))
        self._told.set()

    def settle(self, rows: Any, error: Exception | None) -> None:
        self._told.wait()
        for callback, errback in self._callbacks:
            errback(error) if error else callback(rows)


@dataclass(kw_only=True)
class FakeRing:
    """The hosts, the data of each, and the requests to the driver."""

    addresses: tuple[str, ...] = ADDRESSES
    copies: int = 3
    tables: set[str] = field(default_factory=lambda: set(TABLES))
    keyspace: bool = True
    agreed: bool = True
    client_timestamps: bool = True
    refused: list[Exception] = field(default_factory=list)  # instead of connections
    connecting: threading.Event | None = None  # connections wait for it
    down: set[str] = field(default_factory=set)
    planted: list[Planted | None] = field(default_factory=list)  # one for each statement; None: its answer
    sent: list[Sent] = field(default_factory=list)
    contacts: list[tuple[str, ...]] = field(default_factory=list)  # one for each attempt to connect
    ended: int = 0
    made: list[str] = field(default_factory=list)
    retries: dict[str, str] = field(default_factory=dict)  # speculative_retry of the tables where it is not the default
    hanging: list[Request] = field(default_factory=list)
    added: dict[str, set[tuple[int, int, int]]] = field(default_factory=dict)
    registers: Registers = field(default_factory=dict)
    counters: Registers = field(default_factory=dict)
    given: dict[tuple[int, str], int] = field(default_factory=dict)
    quicker: int = 0  # how many ids another client takes first

    def __post_init__(self) -> None:
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="fake-driver")
        for address in self.addresses:
            self.added.setdefault(address, set())
            self.registers.setdefault(address, {})
            self.counters.setdefault(address, {})

    def connect(self, contacts: tuple[str, ...], port: int, *_: object) -> tuple[Any, Any]:
        """Connect in place of driver.connect."""
        self.contacts.append(tuple(contacts))
        if self.connecting is not None:
            self.connecting.wait()
        if self.refused:
            raise self.refused.pop(0)
        return Cluster(self), Session(self)

    def answer(self, sent: Sent) -> list[tuple[Any, ...]] | None:
        """Carry a statement out."""
        values = sent.bound.values
        does: Mapping[str, Callable[..., list[tuple[Any, ...]] | None]] = {
            _ADD: self._add,
            _ADD_SERIAL: self._add_first,
            _WRITE: self._write,
            _WRITE_FIRST: self._write_first,
            _WRITE_SERIAL: self._write_serial,
            _CAS: self._compare_and_set,
            _WRITE_ANY_SERIAL: self._write_any,
            _INCR: self._increment,
            _NEXT_ID: self._next_id,
            _READ: lambda *key: [(value,) for value in (self.registers[self._from(sent)].get(key),) if value],
            _READ_COUNTER: lambda *key: [(value,) for value in (self.counters[self._from(sent)].get(key),) if value],
            _SCAN_SET: lambda *bucket: [(row[2],) for row in sorted(self._rows(sent)) if row[:2] == bucket],
            _SCAN_REGISTERS: lambda run: self._of_run(sent, self.registers, run),
            _SCAN_COUNTERS: lambda run: self._of_run(sent, self.counters, run),
        }
        return does[sent.bound.text](*values)

    def _from(self, sent: Sent) -> str:
        return sent.host.address if sent.host else self.addresses[0]

    def _copies(self, sent: Sent) -> tuple[str, ...]:
        every = sent.bound.consistency_level == ConsistencyLevel.ALL
        return self.addresses if every else (self._from(sent),)

    def _rows(self, sent: Sent) -> set[tuple[int, int, int]]:
        return set().union(*(self.added[address] for address in self._copies(sent)))

    def _of_run(self, sent: Sent, rows: Registers, run: int) -> list[tuple[Any, ...]]:
        newest: dict[tuple[int, str], int] = {}
        for address in self._copies(sent):
            for key, value in rows[address].items():
                newest[key] = max(value, newest.get(key, value))
        return [(key, value) for (of, key), value in newest.items() if of == run]

    def _add(self, *row: int) -> None:
        for address in set(self.addresses) - self.down:
            self.added[address].add(row)  # type: ignore[arg-type]  # run, bucket and value

    def _add_first(self, *row: int) -> list[tuple[Any, ...]]:
        if row in self.added[self.addresses[0]]:
            return [(False, *row)]
        self._add(*row)
        return [(True,)]

    def _write(self, run: int, key: str, value: int) -> None:
        for address in set(self.addresses) - self.down:
            self.registers[address][run, key] = value

    def _write_first(self, run: int, key: str, value: int) -> list[tuple[Any, ...]]:
        was = self.registers[self.addresses[0]].get((run, key))
        if was is not None:
            return [(False, run, key, was)]
        self._write(run, key, value)
        return [(True,)]

    def _write_any(self, value: int, run: int, key: str, other: int) -> list[tuple[Any, ...]]:
        assert value == other
        self._write(run, key, value)
        return [(True,)]

    def _compare_and_set(self, value: int, run: int, key: str, expected: int | None) -> list[tuple[Any, ...]]:
        was = self.registers[self.addresses[0]].get((run, key))
        if was != expected:
            return [(False,)] if was is None else [(False, was)]
        self._write(run, key, value)
        return [(True,)]

    def _increment(self, amount: int, run: int, key: str) -> None:
        for address in set(self.addresses) - self.down:
            self.counters[address][run, key] = self.counters[address].get((run, key), 0) + amount

    def _next_id(self, value: int, run: int, key: str, last: int | None) -> list[tuple[Any, ...]]:
        if self.quicker:
            self.quicker -= 1
            self.given[run, key] = self.given.get((run, key), 0) + 1
        was = self.given.get((run, key))
        if was != last:
            return [(False,)] if was is None else [(False, was)]
        self.given[run, key] = value
        return [(True,)]

    def _write_serial(self, value: int, run: int, key: str, below: int) -> list[tuple[Any, ...]]:
        was = self.registers[self.addresses[0]].get((run, key))
        if was is None:
            return [(False,)]
        if was >= below:
            return [(False, was)]
        self._write(run, key, value)
        return [(True,)]


@dataclass
class _Table:
    options: dict[str, str]


@dataclass
class _Keyspace:
    replication_strategy: Any
    tables: dict[str, _Table]


class Cluster:
    """The part of the driver's Cluster that the client uses."""

    def __init__(self, ring: FakeRing) -> None:
        self._ring = ring
        self.metadata = self

    @property
    def keyspaces(self) -> dict[str, _Keyspace]:
        ring = self._ring
        strategy = type("Strategy", (), {"dc_replication_factors": {"dc1": ring.copies}})
        tables = {name: _Table({"speculative_retry": ring.retries.get(name, "99p")}) for name in ring.tables}
        return {KEYSPACE: _Keyspace(strategy, tables)} if ring.keyspace else {}

    def get_host(self, endpoint: Any) -> Host | None:
        is_member = endpoint.address in self._ring.addresses and endpoint.port == PORT
        return Host(endpoint.address) if is_member else None

    def all_hosts(self) -> list[Host]:
        return [Host(address) for address in self._ring.addresses]

    def refresh_schema_metadata(self, seconds: float) -> None:
        if not self._ring.agreed:
            raise DriverException("Schema metadata was not refreshed. See log for details.")

    def shutdown(self) -> None:
        self._ring.ended += 1


class Session:
    """The part of the driver's Session that the client uses; cluster: the driver's own, if its settings count."""

    def __init__(self, ring: FakeRing, cluster: Any = None) -> None:
        self._ring = ring
        self._cluster = cluster
        self.use_client_timestamp = ring.client_timestamps

    def prepare(self, text: str) -> Prepared:
        if not any(f"{KEYSPACE}.{table}" in text for table in self._ring.tables):
            raise InvalidRequest("table does not exist")
        return Prepared(text)

    def execute(self, text: str, timeout: float) -> None:
        self._ring.made.append(text)
        for name, made in TABLES.items():
            if made == text:
                self._ring.tables.add(name)
            if text.startswith(f"ALTER TABLE {KEYSPACE}.{name} WITH speculative_retry = "):
                self._ring.retries[name] = text.split("'")[1]

    def get_pool_state(self) -> dict[Host, dict[str, int]]:
        ring = self._ring
        return {Host(address): {"open_count": 1} for address in ring.addresses if address not in ring.down}

    def execute_async(
        self, bound: Bound, timeout: float, execution_profile: object, host: Host | None, paging_state: bytes | None
    ) -> Request:
        # The driver's own session stamps a request in the same way, for any statement.
        stamp = self._cluster.timestamp_generator() if self.use_client_timestamp and self._cluster else None
        ring, request, sent = (
            self._ring,
            Request(),
            Sent(
                bound=bound,
                profile=execution_profile,
                host=host,
                seconds=timeout,
                stamp=stamp,
                idempotent=bound.is_idempotent,
            ),
        )
        ring.sent.append(sent)
        planted = ring.planted.pop(0) if ring.planted else None
        if planted is None and host is not None and host.address in ring.down:
            planted = Planted(NoHostAvailable("down", {}), 0)
        hosts = [host] if host else [Host(address) for address in ring.addresses if address not in ring.down]
        request.attempted_hosts = [host for host in hosts if host][: planted.asked if planted else 1]
        request._query_retries = planted.retries if planted else 0
        if planted and planted.hang:
            ring.hanging.append(request)
        elif planted:
            ring.threads.submit(request.settle, None, planted.error)
        else:
            request.coordinator_host = request.attempted_hosts[0]
            ring.threads.submit(request.settle, _page(request, ring.answer(sent), bound, paging_state), None)
        return request


def _page(
    request: Request, rows: list[tuple[Any, ...]] | None, bound: Bound, state: bytes | None
) -> list[tuple[Any, ...]] | None:
    if rows is None:
        return None
    first = int(state or b"0")
    after = first + bound.fetch_size
    request.has_more_pages = after < len(rows)
    request._paging_state = b"%d" % after if request.has_more_pages else None
    return rows[first:after]


def client_of(
    ring: FakeRing,
    limits: Limits = LIMITS,
    topology: Topology | None = None,
    options: ClientOptions = PLAIN_CLIENT,
) -> CassandraClient:
    where = topology or Topology(SERVICE, MEMBERS)
    login = {"username": "caplab", "password": "secret"}
    shared = SharedDriver(login, limits, lambda: where, options, ring.connect)
    return CassandraClient(shared, limits, lambda: where, options.speculative_retry_ms)


async def perform(ring: FakeRing, *operations: Operation, endpoint: Endpoint = SERVICE) -> list[Result]:
    client = client_of(ring)
    link = await client.open(endpoint)
    results = [await link.perform(operation) for operation in operations]
    link.close()
    await client.close()
    return results
