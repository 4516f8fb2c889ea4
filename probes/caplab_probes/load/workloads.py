"""Workloads: operation i of a probe is a pure function of the run, the vantage, the seed and i.

A value identifies its writer: run, vantage, incarnation (one for each probe that a prober starts in a
run, and again after its death), and the operation's index, from the high bits down. So values are
unique across runs, grow for every writer, and leave no doubt about what a killed prober may have
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from caplab.contract.objects import REPLICA
from caplab.model.keys import RUN_BITS, key_prefix, run_number

from ..cache.popularity import rank_of
from ..spec import DEFAULT_TRANSACTIONS, ProbeSpec
from .mixing import mix
from .transactions import TXN, VALUES_EACH, MicroOp, transaction

VANTAGE_BITS, INCARNATION_BITS, INDEX_BITS = 5, 6, 26
assert RUN_BITS + VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS == 63  # a signed bigint
INCARNATIONS = 1 << INCARNATION_BITS
REGISTERS = 16  # keys of one writer; where all write all keys, keys of a route
COUNTERS = 4  # keys of a route
CAS_REGISTERS = 4  # the same: few, so that vantages meet
CLOCK_KEY = "clock"  # key of beats; a register's key has slashes
_READ_SHARE = 50  # per cent of reads in a workload that reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation before it is sent. op and route are words of the history, level is one of the engine's.

    value: what it writes, or adds to a counter. expected: the value that a cas expects, which its session fills in.
    txn: the micro-operations of a transaction.
    """

    index: int
    op: str
    route: str
    key: str | None = None
    value: int | None = None
    level: str | None = None
    workload: str = "register"
    expected: int | None = None
    txn: tuple[MicroOp, ...] = ()

    @property
    def only_reads(self) -> bool:
        """Whether it leaves everything as it is: a read, or a transaction of reads."""
        return self.op == "read" or (self.op == TXN and all(micro.is_read for micro in self.txn))


@dataclass(frozen=True, slots=True)
class Writer:
    """A writer: a vantage by its place in the list, in one incarnation. Raises ValueError when they are used up."""

    spec: ProbeSpec
    vantage: int
    incarnation: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.incarnation < INCARNATIONS:
            raise ValueError(f"The prober started {self.incarnation} probes in this run. Hint: begin a new run.")


def run_of(value: int) -> int:
    """Return the number of the run that a value belongs to."""
    return value >> (VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS)


def is_beat(operation: Operation) -> bool:
    """Return whether an operation is a beat of the workload clock."""
    return operation.key == CLOCK_KEY


def run_values(run_id: str) -> tuple[int, int]:
    """Return the first value that a run can have, and the first beyond its values."""
    low = run_number(run_id) << (VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS)
    return low, low + (1 << (VANTAGE_BITS + INCARNATION_BITS + INDEX_BITS))


def value_of(writer: Writer, index: int) -> int:
    """Return what operation index writes. Raises ValueError after 2^26 operations (93 hours at 200 a second)."""
    if not 0 <= index < 1 << INDEX_BITS:
        raise ValueError(f"Operation {index} has no value of its own left. Hint: begin a new run.")
    first = run_values(writer.spec.run_id)[0]
    who = writer.vantage << INCARNATION_BITS | writer.incarnation
    return first | who << INDEX_BITS | index


def index_of(value: int) -> int:
    """Return the index of the operation that wrote a value; of a transaction's values see transaction_of."""
    return value & ((1 << INDEX_BITS) - 1)


def transaction_of(value: int) -> int:
    """Return the index of the transaction that wrote a value: each has several values of its own."""
    return index_of(value) // VALUES_EACH


def writer_of(value: int) -> int:
    """Return the number, within its run, of a value's writer: its vantage, and its incarnations one after the other."""
    who = value >> INDEX_BITS
    vantage, incarnation = who >> INCARNATION_BITS & (1 << VANTAGE_BITS) - 1, who & INCARNATIONS - 1
    return incarnation << VANTAGE_BITS | vantage


def key_of(spec: ProbeSpec, vantage: int, route: str, number: int) -> str:
    """Return the key of a register with one writer: a probe's vantage on one route."""
    return f"{key_prefix(spec.run_id)}{spec.name}/{spec.vantages[vantage]}/{route}/{number}"


def shared_key_of(spec: ProbeSpec, route: str, number: int) -> str:
    """Return a key that all of a probe's vantages share, on one route."""
    return f"{key_prefix(spec.run_id)}{spec.name}/{route}/{number}"


def cached_key_of(spec: ProbeSpec, number: int) -> str:
    """Return a key of the workload cache, on all routes."""
    return f"{key_prefix(spec.run_id)}{spec.name}/{number}"


def ids_key_of(spec: ProbeSpec) -> str:
    """Return the key that a probe's ids are handed out by, on all routes: they have one order."""
    return f"{key_prefix(spec.run_id)}{spec.name}"


def operation(writer: Writer, index: int) -> Operation:
    """Return operation index of a workload that is no scan; routes take turns."""
    route = writer.spec.routes[index % len(writer.spec.routes)]
    return _MAKERS[writer.spec.workload](writer, index, route)


def _add(writer: Writer, index: int, route: str) -> Operation:
    return _change(writer, index, route, "add", None, value_of(writer, index))


def _beat(writer: Writer, index: int, route: str) -> Operation:
    return _change(writer, index, route, "write", CLOCK_KEY, value_of(writer, index))


def _id(writer: Writer, index: int, route: str) -> Operation:
    return _change(writer, index, route, "id", ids_key_of(writer.spec), None)


def _register(writer: Writer, index: int, route: str) -> Operation:
    """Return a write of one of the vantage's own keys, or a read of anybody's."""
    spec, draw = writer.spec, _draw(writer, index)
    if draw % 100 < _READ_SHARE:
        vantage, number = draw // 100 % len(spec.vantages), draw // 100 // len(spec.vantages) % REGISTERS
        return _read(writer, index, route, key_of(spec, vantage, route, number))
    # In turn, so that writes of one key are as far apart as can be.
    number = (index // len(spec.routes)) % REGISTERS
    key = key_of(spec, writer.vantage, route, number)
    return _change(writer, index, route, "write", key, value_of(writer, index))


def _multi(writer: Writer, index: int, route: str) -> Operation:
    """Return a write or a read of any key: every vantage writes all."""
    return _shared(writer, index, route, REGISTERS, "write", value_of(writer, index))


def _counter(writer: Writer, index: int, route: str) -> Operation:
    return _shared(writer, index, route, COUNTERS, "incr", 1)


def _cas(writer: Writer, index: int, route: str) -> Operation:
    return _shared(writer, index, route, CAS_REGISTERS, "cas", value_of(writer, index))


def _transaction(writer: Writer, index: int, route: str) -> Operation:
    """Return a transaction on keys that all vantages share; one that only reads has the level of reads."""
    spec = writer.spec
    micro_ops = transaction(
        spec.transactions or DEFAULT_TRANSACTIONS,
        seed=_draw(writer, index),
        turn=index // len(spec.routes),
        vantages=len(spec.vantages),
        key=lambda number: shared_key_of(spec, route, number),
        value=lambda place: value_of(writer, index * VALUES_EACH + place),
    )
    op = Operation(index=index, op=TXN, route=route, workload=spec.workload, txn=micro_ops)
    return replace(op, level=spec.levels.read if op.only_reads else spec.levels.write)


def _cached(writer: Writer, index: int, route: str) -> Operation:
    """Return the first write of one of the vantage's own keys, later a read of anybody's, now and then a write.

    Which key is read or written is drawn by popularity. Key n belongs to the vantage at place n modulo their number.
    """
    spec, cache = writer.spec, writer.spec.cache
    assert cache is not None
    own = range(writer.vantage, cache.keys, len(spec.vantages))
    first = index < len(own)
    drawn = rank_of(_draw(writer, index), cache.keys, cache.exponent)
    if own and (first or index % cache.write_every == 0):
        number = own[index] if first else own[drawn * len(own) // cache.keys]
        return _change(writer, index, route, "write", cached_key_of(spec, number), value_of(writer, index))
    read = _read(writer, index, route, cached_key_of(spec, drawn))
    return replace(read, level=cache.protection)


_MAKERS: Mapping[str, Callable[[Writer, int, str], Operation]] = {
    "set": _add,
    "clock": _beat,
    "ids": _id,
    "register": _register,
    "register-multi": _multi,
    "counter": _counter,
    "cas": _cas,
    "cache": _cached,
    TXN: _transaction,
}


def _shared(writer: Writer, index: int, route: str, keys: int, op: str, value: int) -> Operation:
    """Return a read, or another operation, of one of so many keys that all vantages share."""
    draw = _draw(writer, index)
    key = shared_key_of(writer.spec, route, draw // 100 % keys)
    if draw % 100 < _READ_SHARE:
        return _read(writer, index, route, key)
    return _change(writer, index, route, op, key, value)


def _draw(writer: Writer, index: int) -> int:
    return mix(writer.spec.seed, writer.vantage, writer.incarnation, index)


def _read(writer: Writer, index: int, route: str, key: str) -> Operation:
    spec = writer.spec
    # A read that is routed has the routing's name as its level: figures by level are then by routing.
    level = spec.client.read_routing if route == REPLICA and spec.client.read_routing else spec.levels.read
    return Operation(index=index, op="read", route=route, key=key, level=level, workload=spec.workload)


def _change(writer: Writer, index: int, route: str, op: str, key: str | None, value: int | None) -> Operation:
    return Operation(
        index=index,
        op=op,
        route=route,
        key=key,
        value=value,
        level=writer.spec.levels.write,
        workload=writer.spec.workload,
    )
