"""CQL of the Cassandra client: its tables, its levels, and the statements of each operation (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cassandra import ConsistencyLevel

from caplab.model.keys import run_number
from caplab.model.transactions import TXN

from ...load.workloads import Operation, index_of, run_of, writer_of

KEYSPACE = "caplab"  # the members make it, with the cluster's replication factor
DEFAULT_LEVEL = "QUORUM"
# A write at one of these is a lightweight transaction. Its decision is then written at a level like any write.
COMMIT_LEVELS: Mapping[str, str] = {"SERIAL": "QUORUM", "LOCAL_SERIAL": "LOCAL_QUORUM"}
_BOTH = ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM")
READ_LEVELS = (*_BOTH, *COMMIT_LEVELS)
WRITE_LEVELS = ("ANY", *_BOTH, "EACH_QUORUM", *COMMIT_LEVELS)
# Counters know no transactions, and accept no write that only a hint has (the servers refuse both); compare-and-set is
# always a transaction.
LEVELS_OF: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "counter": (_BOTH, (*_BOTH, "EACH_QUORUM")),
    "cas": (READ_LEVELS, tuple(COMMIT_LEVELS)),
    "ids": (READ_LEVELS, tuple(COMMIT_LEVELS)),
    TXN: (READ_LEVELS, READ_LEVELS),
}
BUCKETS = 256  # partitions of a run's set: they spread over the ring
# Distance between the buckets of two vantages: the golden section of all, so that few or many of them keep apart.
_STRIDE = 158

# The ids are given: probers that make a table at one moment through different members make the same one, where
# Cassandra would otherwise have two under one name (its own tables, which every member makes, have fixed ids too).
# added: reads do not repair it, and the coordinator never asks a second replica for a slow answer, so that what a
# member holds is read from that member alone. The others have the defaults: reads at several replicas repair.
TABLES: Mapping[str, str] = {
    "added": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.added
        (run int, bucket int, value bigint, PRIMARY KEY ((run, bucket), value))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000ad AND read_repair = 'NONE' AND speculative_retry = 'NEVER'""",
    "register": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.register
        (run int, key text, value bigint, PRIMARY KEY ((run, key)))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000e9 AND read_repair = 'BLOCKING'""",
    "counter": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.counter
        (run int, key text, value counter, PRIMARY KEY ((run, key)))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000c0 AND read_repair = 'BLOCKING'""",
    "given": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.given
        (run int, key text, value bigint, PRIMARY KEY ((run, key)))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000d1 AND read_repair = 'BLOCKING'""",
    "txn_list": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.txn_list
        (run int, part text, key text, version bigint STATIC, elements list<bigint>, PRIMARY KEY ((run, part), key))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000f1 AND read_repair = 'BLOCKING'""",
    "txn_register": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.txn_register
        (run int, part text, key text, version bigint STATIC, value bigint, PRIMARY KEY ((run, part), key))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000f2 AND read_repair = 'BLOCKING'""",
}
RETRIED = ("register", "counter")  # the tables whose reads may ask a second replica
_ADD = f"INSERT INTO {KEYSPACE}.added (run, bucket, value) VALUES (?, ?, ?)"
_ADD_SERIAL = f"{_ADD} IF NOT EXISTS"
_WRITE = f"INSERT INTO {KEYSPACE}.register (run, key, value) VALUES (?, ?, ?)"
_WRITE_FIRST = f"{_WRITE} IF NOT EXISTS"
# An older write that a time-out left behind must not undo a newer one of the same writer. (Plain writes are ordered by
# their timestamps.)
_WRITE_SERIAL = f"UPDATE {KEYSPACE}.register SET value = ? WHERE run = ? AND key = ? IF value < ?"
# A column of a row that does not exist is null, too: one statement compares and sets.
_CAS = f"UPDATE {KEYSPACE}.register SET value = ? WHERE run = ? AND key = ? IF value = ?"
# Always true, since no two values are the same: plain and conditional writes do not order each other.
_WRITE_ANY_SERIAL = f"UPDATE {KEYSPACE}.register SET value = ? WHERE run = ? AND key = ? IF value != ?"
_INCR = f"UPDATE {KEYSPACE}.counter SET value = value + ? WHERE run = ? AND key = ?"
_NEXT_ID = f"UPDATE {KEYSPACE}.given SET value = ? WHERE run = ? AND key = ? IF value = ?"
_READ = f"SELECT value FROM {KEYSPACE}.register WHERE run = ? AND key = ?"
_READ_COUNTER = f"SELECT value FROM {KEYSPACE}.counter WHERE run = ? AND key = ?"
_SCAN_SET = f"SELECT value FROM {KEYSPACE}.added WHERE run = ? AND bucket = ?"
# A read of a range: its coordinator, too, asks no more replicas than the level needs, itself first.
_SCAN_REGISTERS = f"SELECT key, value FROM {KEYSPACE}.register WHERE run = ? ALLOW FILTERING"
_SCAN_COUNTERS = f"SELECT key, value FROM {KEYSPACE}.counter WHERE run = ? ALLOW FILTERING"
TEXTS = (
    *(_ADD, _ADD_SERIAL, _WRITE, _WRITE_FIRST, _WRITE_SERIAL, _READ, _SCAN_SET, _SCAN_REGISTERS),
    *(_CAS, _WRITE_ANY_SERIAL, _INCR, _NEXT_ID, _READ_COUNTER, _SCAN_COUNTERS),
)


def speculative_retry(milliseconds: int | None) -> str:
    """Return when a coordinator reads from another replica too, as Cassandra prints it; None: as by default."""
    return "99p" if milliseconds is None else f"{milliseconds:.2f}ms"


def retry_after(table: str, when: str) -> str:
    """Return the statement that changes when coordinators read a table from another replica too."""
    return f"ALTER TABLE {KEYSPACE}.{table} WITH speculative_retry = '{when}'"


class Kind(Enum):
    """What a failed statement may leave behind: nothing, a write, what counts or appends, or a begun round of Paxos."""

    READ = "read"
    WRITE = "write"
    INCREMENT = "increment"
    BATCH = "batch"
    CONDITIONAL = "conditional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A text of TEXTS, or of a transaction, with its values.

    level and serial are the driver's numbers, serial only of a condition.
    """

    text: str
    values: tuple[Any, ...]
    kind: Kind
    level: int
    serial: int | None = None


def bucket_of(value: int) -> int:
    """Return a value's partition: each writer goes through all of them in turn, at a distance from the others.

    If two lightweight transactions meet in one partition, Cassandra may leave one without an answer until it times out,
    and this workload is not about that (cas and ids are). Vantages count alike: by the number itself all would meet.
    """
    return (writer_of(value) * _STRIDE + index_of(value)) % BUCKETS


def statement_of(operation: Operation) -> Statement:
    """Return an operation's statement; a conditional write of a register may need `first_write_of` after it."""
    key, value = operation.key or "", operation.value or 0
    conditional = operation.level in COMMIT_LEVELS
    if operation.op == "read":
        text = _READ_COUNTER if operation.workload == "counter" else _READ
        return Statement(
            text=text, values=(run_in(key), key), kind=Kind.READ, level=level_number(operation.level or DEFAULT_LEVEL)
        )
    if operation.op == "incr":
        return Statement(
            text=_INCR,
            values=(value, run_in(key), key),
            kind=Kind.INCREMENT,
            level=level_number(operation.level or DEFAULT_LEVEL),
        )
    if operation.op == "cas":
        return _transaction(operation, _CAS, (value, run_in(key), key, operation.expected))
    if operation.op == "add":
        return _write(operation, _ADD_SERIAL if conditional else _ADD, (run_of(value), bucket_of(value), value))
    if conditional:
        text = _WRITE_ANY_SERIAL if operation.workload == "register-multi" else _WRITE_SERIAL
        return _write(operation, text, (value, run_of(value), key, value))
    return _write(operation, _WRITE, (run_of(value), key, value))


def first_write_of(operation: Operation) -> Statement:
    """Return the conditional write of a register that has no value yet."""
    key, value = operation.key or "", operation.value or 0
    return _write(operation, _WRITE_FIRST, (run_of(value), key, value))


def next_id_of(operation: Operation, last: int | None) -> Statement:
    """Return the statement that hands out the id after last, if it is still the last; None if there was none yet."""
    key = operation.key or ""
    return _transaction(operation, _NEXT_ID, ((last or 0) + 1, run_in(key), key, last))


def scans_of(workload: str, run_id: str, level: str) -> Iterator[Statement]:
    """Return the statements that together read all of a run."""
    run = run_number(run_id)
    if workload != "set-scan":
        text = _SCAN_COUNTERS if workload == "counter-scan" else _SCAN_REGISTERS
        yield Statement(text=text, values=(run,), kind=Kind.READ, level=level_number(level))
        return
    for bucket in range(BUCKETS):
        yield Statement(text=_SCAN_SET, values=(run, bucket), kind=Kind.READ, level=level_number(level))


def element_of(row: tuple[int | str, ...]) -> tuple[str | None, int]:
    """Return the key (None in a set) and the value in a row of a scan."""
    *key, value = row
    return (str(key[0]) if key else None), int(value)


def _write(operation: Operation, text: str, values: tuple[int | str, ...]) -> Statement:
    if operation.level in COMMIT_LEVELS:
        return _transaction(operation, text, values)
    return Statement(text=text, values=values, kind=Kind.WRITE, level=level_number(operation.level or DEFAULT_LEVEL))


def _transaction(operation: Operation, text: str, values: tuple[int | str | None, ...]) -> Statement:
    level = operation.level or "SERIAL"
    return Statement(
        text=text,
        values=values,
        kind=Kind.CONDITIONAL,
        level=level_number(COMMIT_LEVELS[level]),
        serial=level_number(level),
    )


def run_in(key: str) -> int:
    """Return the number of the run that a register's key belongs to."""
    return int(key.partition("/")[0], 16)


def level_number(level: str) -> int:
    """Return the driver's number of a level."""
    return int(ConsistencyLevel.name_to_value[level])
