"""Transactions on one connection to Redis: WATCH and reads, then MULTI, the other commands and EXEC in one packet.

Level watch reads before MULTI what the transaction has not written itself, as an application does that decides by what
it reads: EXEC does nothing if a key that was read has changed (the manual's page of transactions: optimistic locking
with check-and-set). Level multi has everything between MULTI and EXEC, which Redis carries out without another client's
command in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from caplab.contract.objects import MULTI

from ...load.transactions import MicroOp
from ...load.workloads import Operation
from ...outcomes import CONFLICT, OK, Outcome
from .outcomes import ErrorReply, classify
from .statements import REPLICATION, Command
from .wire import RedisError, Wire, pack

_LISTS, _REGISTERS = "txn-list", "txn-register"  # before a key: no scan of registers matches it


class Failed(Exception):
    """A transaction that surely did not happen, and its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


async def carry_out(wire: Wire, operation: Operation) -> tuple[Outcome, tuple[MicroOp, ...], Any]:
    """Carry out a transaction.

    Returns its outcome, if it happened what its micro-operations read, and the reply to INFO replication, if one came.
    """
    first = () if operation.level == MULTI else watched(operation.txn)
    try:
        before = await _read_first(wire, operation.txn, first) if first else {}
    except Failed as failed:
        return failed.outcome, (), None
    queued = [micro for place, micro in enumerate(operation.txn) if place not in first]
    commands: list[Command] = [("MULTI",), *map(command_of, queued), ("EXEC",), REPLICATION]
    try:
        replies = await wire.ask(b"".join(map(pack, commands)), len(commands))
    except RedisError as error:
        return classify(error.sent, error.problem), (), None
    if len(replies) < len(commands):  # the first one was refused: the others were not waited for
        return classify(True, replies[0]), (), None
    outcome, found = executed(replies[:-1])
    if outcome != OK:
        return outcome, (), replies[-1]
    after = iter(found)
    read = (before[place] if place in first else next(after) for place in range(len(operation.txn)))
    try:
        micro_ops = tuple(read_by(micro, reply) for micro, reply in zip(operation.txn, read, strict=True))
    except ValueError:  # another client's key
        return Outcome("info", "refused"), (), replies[-1]
    return OK, micro_ops, replies[-1]


async def _read_first(wire: Wire, micro_ops: Sequence[MicroOp], first: Sequence[int]) -> dict[int, Any]:
    """Watch keys and read them. Returns the replies by the micro-operations' places. Raises Failed."""
    keys = dict.fromkeys(key_of(micro_ops[place]) for place in first)
    commands: list[Command] = [("WATCH", *keys), *(command_of(micro_ops[place]) for place in first)]
    try:
        replies = await wire.ask(b"".join(map(pack, commands)), len(commands))
    except RedisError as error:
        raise Failed(Outcome("fail", classify(error.sent, error.problem).error)) from error
    for reply in replies:
        if isinstance(reply, ErrorReply):
            wire.close()  # it still watches
            raise Failed(classify(True, reply))
    return dict(zip(first, replies[1:], strict=True))


def watched(micro_ops: Sequence[MicroOp]) -> tuple[int, ...]:
    """Return the places of the reads that come before MULTI: of keys that the transaction has not written by then."""
    written: set[str] = set()
    places = []
    for place, micro in enumerate(micro_ops):
        if not micro.is_read:
            written.add(micro.key)
        elif micro.key not in written:
            places.append(place)
    return tuple(places)


def command_of(micro: MicroOp) -> Command:
    """Return a micro-operation's command."""
    key = key_of(micro)
    if micro.is_read:
        return ("LRANGE", key, 0, -1) if micro.of_list else ("GET", key)
    return ("RPUSH" if micro.of_list else "SET", key, micro.written)


def key_of(micro: MicroOp) -> str:
    """Return the key of a micro-operation in Redis."""
    return f"{_LISTS if micro.of_list else _REGISTERS}/{micro.key}"


def executed(replies: Sequence[Any]) -> tuple[Outcome, Sequence[Any]]:
    """Return a transaction's outcome and its commands' replies, from the replies to MULTI, its commands and EXEC.

    EXEC is nil if a watched key has changed, and an error if a command was refused when it was queued: then nothing was
    carried out. An error among its replies is of a command that failed while the others were carried out.
    """
    *queued, result = replies
    if result is None:
        return CONFLICT, ()
    if isinstance(result, ErrorReply):
        refused = next((reply for reply in queued if isinstance(reply, ErrorReply)), result)
        return classify(True, refused), ()
    if any(isinstance(reply, ErrorReply) for reply in result):
        return Outcome("info", "refused"), ()
    return OK, result


def read_by(micro: MicroOp, reply: Any) -> MicroOp:
    """Return a micro-operation with what its command returned. Raises ValueError if that is no number."""
    if not micro.is_read:
        return micro
    if micro.of_list:
        return replace(micro, value=tuple(map(int, reply)))
    return replace(micro, value=None if reply is None else int(reply))
