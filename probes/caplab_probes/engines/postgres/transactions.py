"""Transactions on one connection to Postgres: BEGIN, a statement for each micro-operation, COMMIT, each sent by itself.

Nothing has happened before COMMIT is sent: an error, or a lost connection, aborts the transaction. After it the outcome
is that of any statement that commits (outcomes.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from caplab.contract.objects import READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE

from ... import clock
from ...load.transactions import MicroOp
from ...load.workloads import Operation
from ...outcomes import CONFLICT, OK, NoAnswer, Outcome
from .outcomes import ServerError, classify
from .wire import PostgresError, Row, Wire

_LEVELS: Mapping[str, str] = {
    READ_COMMITTED: "READ COMMITTED",
    REPEATABLE_READ: "REPEATABLE READ",
    SERIALIZABLE: "SERIALIZABLE",
}
_APPEND = (
    "INSERT INTO caplab_txn_list AS was VALUES ($1, ARRAY[$2::bigint]) ON CONFLICT (key)"
    " DO UPDATE SET elements = was.elements || excluded.elements"
)
_WRITE = "INSERT INTO caplab_txn_register VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_READ_LIST = "SELECT elements FROM caplab_txn_list WHERE key = $1"
_READ_REGISTER = "SELECT value FROM caplab_txn_register WHERE key = $1"
# SQLSTATEs of a transaction that others were in the way of. 40001, serialization_failure, may come with COMMIT too;
# 40P01: deadlock_detected; 55P03: a lock was waited for as long as lock_timeout allows.
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_NOT_ON_STANDBY = "0A000"  # feature_not_supported: SERIALIZABLE
# The share of an operation's time for which a statement waits for a lock. A server looks for a closed connection only
# when it answers: one that waits on behalf of a client that has gone would hold its locks and its place meanwhile.
_LOCK_SHARE = 0.5


class Transactions:
    """Carries out the transactions of one connection, which does nothing else."""

    def __init__(self, wire: Wire, statement_seconds: float) -> None:
        self._wire = wire
        self._seconds = statement_seconds
        self._prepared = False

    async def carry_out(self, operation: Operation) -> tuple[Outcome, tuple[MicroOp, ...]]:
        """Carry out a transaction. Returns its outcome and, if it committed, what its micro-operations read.

        COMMIT is not sent when the operation's time is over: the connection is closed, which aborts the transaction.
        """
        until_ns = clock.now_ns() + round(1e9 * self._seconds)
        try:
            await self._begin(operation)
            micro_ops = []
            for micro in operation.txn:
                if clock.now_ns() > until_ns:
                    break
                micro_ops.append(await self._step(micro))
        except PostgresError as error:
            await self._roll_back()
            return aborted(error.sent, error.problem), ()
        if clock.now_ns() > until_ns:
            self._wire.close()
            return Outcome("fail", NoAnswer.TIMEOUT.value), ()
        return await self._commit(tuple(micro_ops))

    async def _begin(self, operation: Operation) -> None:
        if not self._prepared:
            await self._wire.ask(f"SET lock_timeout = {max(1, round(1000 * _LOCK_SHARE * self._seconds))}")
            self._prepared = True
        await self._wire.ask(begin_of(operation))

    async def _step(self, micro: MicroOp) -> MicroOp:
        statement, values = statement_of(micro)
        return read_by(micro, (await self._wire.ask(statement, *values)).rows)

    async def _commit(self, micro_ops: tuple[MicroOp, ...]) -> tuple[Outcome, tuple[MicroOp, ...]]:
        try:
            answer = await self._wire.ask("COMMIT")
        except PostgresError as error:
            return ended(error.sent, error.problem, error.warnings), ()
        outcome = classify(True, None, answer.warnings)
        return outcome, micro_ops if outcome == OK else ()

    async def _roll_back(self) -> None:
        """End a transaction that failed, so that the connection can have the next; else close it."""
        if not self._wire.alive:
            return
        try:
            await self._wire.ask("ROLLBACK")
        except PostgresError:
            self._wire.close()


def begin_of(operation: Operation) -> str:
    """Return the statement that begins a transaction; without a level it has the server's default."""
    level = f" ISOLATION LEVEL {_LEVELS[operation.level]}" if operation.level else ""
    return f"BEGIN{level}{' READ ONLY' if operation.only_reads else ''}"


def statement_of(micro: MicroOp) -> tuple[str, tuple[str | int, ...]]:
    """Return a micro-operation's statement and its parameters."""
    if micro.is_read:
        return (_READ_LIST if micro.of_list else _READ_REGISTER), (micro.key,)
    return (_APPEND if micro.of_list else _WRITE), (micro.key, micro.written)


def read_by(micro: MicroOp, rows: Sequence[Row]) -> MicroOp:
    """Return a micro-operation with what its statement returned: a list without a row is empty."""
    if not micro.is_read:
        return micro
    text = rows[0][0] if rows else None
    if micro.of_list:
        elements = (text or "").strip("{}")
        return replace(micro, value=tuple(map(int, elements.split(","))) if elements else ())
    return replace(micro, value=None if text is None else int(text))


def aborted(sent: bool, problem: NoAnswer | ServerError) -> Outcome:
    """Return the outcome of a transaction that failed before COMMIT was sent: surely not committed."""
    if not isinstance(problem, ServerError):
        return Outcome("fail", problem.value)
    if problem.sqlstate in _CONFLICTS:
        return CONFLICT
    if problem.sqlstate == _NOT_ON_STANDBY:
        return Outcome("fail", "readonly")
    return Outcome("fail", classify(sent, problem).error)


def ended(sent: bool, problem: NoAnswer | ServerError, warnings: tuple[str, ...]) -> Outcome:
    """Return the outcome of a transaction whose COMMIT failed."""
    outcome = classify(sent, problem, warnings)
    conflicted = isinstance(problem, ServerError) and problem.sqlstate in _CONFLICTS
    return CONFLICT if conflicted and outcome.outcome == "fail" else outcome
