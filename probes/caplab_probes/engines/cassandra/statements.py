"""What the Cassandra client says to a server: its tables, its levels, and the statements of each operation (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from cassandra import ConsistencyLevel

from caplab.model.keys import run_number

from ...mixing import mix
from ...workloads import Operation, run_of

KEYSPACE = "caplab"  # the members make it, with the cluster's replication factor
DEFAULT_LEVEL = "QUORUM"
# A write at one of these is a lightweight transaction. What it decided is then written at a level like any write.
COMMIT_LEVELS: Mapping[str, str] = {"SERIAL": "QUORUM", "LOCAL_SERIAL": "LOCAL_QUORUM"}
_BOTH = ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM")
READ_LEVELS = (*_BOTH, *COMMIT_LEVELS)
WRITE_LEVELS = ("ANY", *_BOTH, "EACH_QUORUM", *COMMIT_LEVELS)
BUCKETS = 256  # partitions of a run's set: they spread over the ring, and lightweight transactions seldom meet in one

# The ids are given: probers that make a table at one moment by different members make the same one, where Cassandra
# would else end up with two under one name (as for its own tables, which every member makes).
# added: nobody repairs it by reading, and the coordinator never asks a second replica for a slow answer: what a member
# holds is read from that member alone. register: as it is by default, reads at more than one replica repair.
TABLES: Mapping[str, str] = {
    "added": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.added
        (run int, bucket int, value bigint, PRIMARY KEY ((run, bucket), value))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000ad AND read_repair = 'NONE' AND speculative_retry = 'NEVER'""",
    "register": f"""CREATE TABLE IF NOT EXISTS {KEYSPACE}.register
        (run int, key text, value bigint, PRIMARY KEY ((run, key)))
        WITH ID = 5a1ab001-0000-4000-8000-0000000000e9 AND read_repair = 'BLOCKING'""",
}
_ADD = f"INSERT INTO {KEYSPACE}.added (run, bucket, value) VALUES (?, ?, ?)"
_ADD_SERIAL = f"{_ADD} IF NOT EXISTS"
_WRITE = f"INSERT INTO {KEYSPACE}.register (run, key, value) VALUES (?, ?, ?)"
_WRITE_FIRST = f"{_WRITE} IF NOT EXISTS"
# An older write that was left behind by a time-out must not undo a newer one of the same writer. (Plain writes are
# ordered by their timestamps.)
_WRITE_SERIAL = f"UPDATE {KEYSPACE}.register SET value = ? WHERE run = ? AND key = ? IF value < ?"
_READ = f"SELECT value FROM {KEYSPACE}.register WHERE run = ? AND key = ?"
_SCAN_SET = f"SELECT value FROM {KEYSPACE}.added WHERE run = ? AND bucket = ?"
# A read of a range: its coordinator, too, asks no more replicas than the level needs, itself first.
_SCAN_REGISTERS = f"SELECT key, value FROM {KEYSPACE}.register WHERE run = ? ALLOW FILTERING"
TEXTS = (_ADD, _ADD_SERIAL, _WRITE, _WRITE_FIRST, _WRITE_SERIAL, _READ, _SCAN_SET, _SCAN_REGISTERS)


class Kind(Enum):
    """What a statement may leave behind where it fails: nothing, a write, or what a round of Paxos began."""

    READ = "read"
    WRITE = "write"
    CONDITIONAL = "conditional"


@dataclass(frozen=True, slots=True)
class Statement:
    """A text of TEXTS with its values; level and serial are the driver's numbers, serial only of a condition."""

    text: str
    values: tuple[int | str, ...]
    kind: Kind
    level: int
    serial: int | None = None


def bucket_of(value: int) -> int:
    """A value's partition; mixed, since vantages count alike, and by the number itself all would meet in one."""
    return mix(value) % BUCKETS


def statement_of(operation: Operation) -> Statement:
    """An operation's statement; a conditional write of a register may need `first_write_of` after it."""
    key, value = operation.key or "", operation.value or 0
    conditional = operation.level in COMMIT_LEVELS
    if operation.op == "read":
        return Statement(_READ, (_run_in(key), key), Kind.READ, _number(operation.level or DEFAULT_LEVEL))
    if operation.op == "add":
        return _write(operation, _ADD_SERIAL if conditional else _ADD, (run_of(value), bucket_of(value), value))
    if conditional:
        return _write(operation, _WRITE_SERIAL, (value, run_of(value), key, value))
    return _write(operation, _WRITE, (run_of(value), key, value))


def first_write_of(operation: Operation) -> Statement:
    """The conditional write of a register that nobody has written yet."""
    key, value = operation.key or "", operation.value or 0
    return _write(operation, _WRITE_FIRST, (run_of(value), key, value))


def scans_of(workload: str, run_id: str, level: str) -> Iterator[Statement]:
    """The statements that together read all of a run."""
    run = run_number(run_id)
    if workload == "register-scan":
        yield Statement(_SCAN_REGISTERS, (run,), Kind.READ, _number(level))
        return
    for bucket in range(BUCKETS):
        yield Statement(_SCAN_SET, (run, bucket), Kind.READ, _number(level))


def element_of(row: tuple[int | str, ...]) -> tuple[str | None, int]:
    """Key (None in a set) and value in a row of a scan."""
    *key, value = row
    return (str(key[0]) if key else None), int(value)


def _write(operation: Operation, text: str, values: tuple[int | str, ...]) -> Statement:
    level = operation.level or DEFAULT_LEVEL
    if level in COMMIT_LEVELS:
        return Statement(text, values, Kind.CONDITIONAL, _number(COMMIT_LEVELS[level]), _number(level))
    return Statement(text, values, Kind.WRITE, _number(level))


def _run_in(key: str) -> int:
    """The number of the run that a register's key is of."""
    return int(key.partition("/")[0], 16)


def _number(level: str) -> int:
    return int(ConsistencyLevel.name_to_value[level])
