"""Transactions in one partition: reads in one statement, then all writes in one batch (pure).

A batch in one partition is applied as a whole: each replica has all of it or nothing. At a serial level it is a
lightweight transaction: the partition's version is read first, and the batch goes through if it is still the same. So
nothing that was read has changed. At other levels nothing is compared: what was read may have changed. Appends are then
ordered by the clocks of the coordinators, and at a serial level by Paxos' ballots.

What a transaction reads of its own is put together here: Cassandra shows it to nobody before the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from caplab.contract.bounds import TXN_KEYS

from ...load.transactions import MicroOp
from ...load.workloads import Operation
from ...outcomes import CONFLICT, OK, Outcome
from .outcomes import Answer, applied, classify
from .statements import COMMIT_LEVELS, DEFAULT_LEVEL, KEYSPACE, Kind, Statement, level_number, run_in

_TABLES: Mapping[bool, tuple[str, str]] = {True: ("txn_list", "elements"), False: ("txn_register", "value")}


def _texts(of_list: bool) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Return what reads a partition's version, what reads keys, and batches of so many keys: plain and conditional."""
    table, column = _TABLES[of_list]
    where, change = "WHERE run = ? AND part = ?", f"{column} = {'elements + ?' if of_list else '?'}"
    version = f"SELECT DISTINCT run, part, version FROM {KEYSPACE}.{table} {where}"
    keys = f"SELECT key, {column} FROM {KEYSPACE}.{table} {where} AND key IN ?"
    compare = f"UPDATE {KEYSPACE}.{table} SET version = ? {where} IF version = ?; "
    update = f"UPDATE {KEYSPACE}.{table} SET {change} {where} AND key = ?; "
    counts = range(1, TXN_KEYS + 1)
    plain = tuple(f"BEGIN BATCH {update * count}APPLY BATCH" for count in counts)
    conditional = tuple(f"BEGIN BATCH {compare}{update * count}APPLY BATCH" for count in counts)
    return version, keys, plain, conditional


_BY_MODEL = {of_list: _texts(of_list) for of_list in _TABLES}


def texts_of(operation: Operation) -> tuple[str, ...]:
    """Return the texts that transactions of an operation's model need."""
    version, keys, plain, conditional = _BY_MODEL[operation.txn[0].of_list]
    return (version, keys, *(conditional if is_conditional(operation) else plain))


def is_conditional(operation: Operation) -> bool:
    """Return whether a transaction writes if what it has read is still the same."""
    return not operation.only_reads and operation.level in COMMIT_LEVELS


def version_read(operation: Operation) -> Statement:
    """Return what reads the version of a transaction's partition."""
    version, *_ = _BY_MODEL[operation.txn[0].of_list]
    return Statement(text=version, values=_partition(operation), kind=Kind.READ, level=_level(operation))


def keys_read(operation: Operation) -> Statement | None:
    """Return what reads all keys that a transaction reads; None if it reads none."""
    keys = tuple(dict.fromkeys(_key(micro) for micro in operation.txn if micro.is_read))
    if not keys:
        return None
    _, text, *_ = _BY_MODEL[operation.txn[0].of_list]
    return Statement(text=text, values=(*_partition(operation), keys), kind=Kind.READ, level=_level(operation))


def batch_of(operation: Operation, version: int | None) -> Statement:
    """Return the batch of a transaction that writes; version: of its partition, None for none yet."""
    of_list = operation.txn[0].of_list
    _, _, plain, conditional = _BY_MODEL[of_list]
    written: dict[str, tuple[int, ...]] = {}
    for micro in operation.txn:
        if not micro.is_read:
            written[_key(micro)] = (*written.get(_key(micro), ()), micro.written)
    values: list[Any] = []
    for key, of_key in written.items():
        values += [of_key if of_list else of_key[-1], *_partition(operation), key]
    if not is_conditional(operation):
        return Statement(text=plain[len(written) - 1], values=tuple(values), kind=Kind.BATCH, level=_level(operation))
    level = operation.level or DEFAULT_LEVEL
    new_version = next(micro.written for micro in operation.txn if not micro.is_read)  # unique, as every value is
    return Statement(
        text=conditional[len(written) - 1],
        values=(new_version, *_partition(operation), version, *values),
        kind=Kind.CONDITIONAL,
        level=level_number(COMMIT_LEVELS[level]),
        serial=level_number(level),
    )


def version_in(answer: Answer) -> int | None:
    """Return the version of a partition in the answer to `version_read`; None if it has none yet."""
    return answer.rows[0][-1] if answer.rows else None


def aborted(answer: Answer) -> Outcome:
    """Return the outcome of a transaction whose reads failed: its batch was not sent."""
    return Outcome("fail", classify(Kind.READ, answer).error)


def ended(statement: Statement, answer: Answer) -> Outcome:
    """Return the outcome of a transaction by the answer to its batch."""
    outcome = classify(statement.kind, answer)
    return CONFLICT if outcome == OK and statement.kind is Kind.CONDITIONAL and not applied(answer) else outcome


def read_by(micro_ops: Sequence[MicroOp], rows: Iterable[Sequence[Any]]) -> tuple[MicroOp, ...]:
    """Return micro-operations with what they read: the rows of `keys_read`, and what they themselves wrote before."""
    found: dict[str, Any] = {str(key): value for key, value in rows}
    done = []
    for micro in micro_ops:
        key = _key(micro)
        if micro.is_read:
            value = found.get(key)
            done.append(replace(micro, value=tuple(value or ()) if micro.of_list else value))
            continue
        found[key] = (*(found.get(key) or ()), micro.written) if micro.of_list else micro.written
        done.append(micro)
    return tuple(done)


def _partition(operation: Operation) -> tuple[int, str]:
    """Return a transaction's partition: all keys of a load on one route are in one."""
    part = operation.txn[0].key.rpartition("/")[0]
    return run_in(part), part


def _key(micro: MicroOp) -> str:
    return micro.key.rpartition("/")[2]


def _level(operation: Operation) -> int:
    return level_number(operation.level or DEFAULT_LEVEL)
