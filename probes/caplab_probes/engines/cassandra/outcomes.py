"""Classification of Cassandra's answers, and of the errors that the driver raises instead (pure).

The classes are those of cassandra-driver 3.30; the errors' meanings are those of the native protocol, version 5,
section 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cassandra import (
    AlreadyExists,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    ReadFailure,
    ReadTimeout,
    Unauthorized,
    Unavailable,
    WriteFailure,
    WriteTimeout,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import (
    BadCredentials,
    ErrorMessage,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    ProtocolException,
    RequestValidationException,
)

from ...load.workloads import Operation
from ...outcomes import OK, NoAnswer, Outcome, unanswered
from .statements import Kind

# All that the driver raises for what servers and networks do.
ERRORS = (DriverException, NoHostAvailable, ConnectionException, ErrorMessage, OSError)
_CAS_WRITE_UNKNOWN = 0x1700  # the driver has no class for it
_WORDS: Sequence[tuple[type[Exception] | tuple[type[Exception], ...], str]] = (
    ((ReadTimeout, WriteTimeout), "timeout"),
    ((Unavailable, ReadFailure, WriteFailure), "no-quorum"),
)
# Sent before anything is carried out, whatever the statement.
_INVALID = (AlreadyExists, BadCredentials, InvalidRequest, ProtocolException, RequestValidationException, Unauthorized)
# The same for a plain write. A transaction may meet them when it commits, after its Paxos round has decided. A replica
# that leads an increment has applied it to itself before it may see that too many hints wait for the others.
_REFUSED_BEFORE_WRITE = {
    Kind.WRITE: (Unavailable, OverloadedErrorMessage, IsBootstrappingErrorMessage),
    Kind.INCREMENT: (Unavailable, IsBootstrappingErrorMessage),
    Kind.BATCH: (Unavailable, IsBootstrappingErrorMessage),
}


class NotSent(Exception):
    """Why a statement was not given to the driver at all."""

    def __init__(self, no_answer: NoAnswer) -> None:
        super().__init__(no_answer.value)
        self.no_answer = no_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one statement: rows, or an error.

    asked: how many coordinators it was sent to (a speculative request counts). server: the address of the coordinator
    that answered, else of the last that was asked; None if none was. more: where to go on reading; None if that was
    all.
    """

    rows: tuple[Any, ...] = ()
    error: Exception | None = None
    asked: int = 1
    server: str | None = None
    more: bytes | None = None


def not_sent(no_answer: NoAnswer) -> Answer:
    """Return the answer that stands for a statement that was not sent."""
    return Answer(error=NotSent(no_answer), asked=0)


def classify(kind: Kind, answer: Answer) -> Outcome:
    """Return the outcome of one statement.

    A server's error in reading is a fail: a read leaves nothing behind. In writing it is a fail only if it says that
    nothing was begun, and if no other coordinator was sent the same (speculation).
    """
    error = answer.error
    if error is None:
        return OK
    if isinstance(error, NotSent):
        return unanswered(False, error.no_answer)
    if isinstance(error, NoHostAvailable):
        return Outcome("info", "closed") if answer.asked else Outcome("fail", "refused")
    if isinstance(error, OperationTimedOut):
        return unanswered(True, NoAnswer.TIMEOUT)
    if isinstance(error, ConnectionException):
        # The driver reports it for requests under way. Whether they had left the machine is unknown.
        return unanswered(True, NoAnswer.CLOSED)
    sure = kind is Kind.READ or (answer.asked <= 1 and _began_nothing(kind, error))
    return Outcome("fail" if sure else "info", _word(error))


def _began_nothing(kind: Kind, error: Exception) -> bool:
    return isinstance(error, (*_INVALID, *_REFUSED_BEFORE_WRITE.get(kind, ())))


def _word(error: Exception) -> str:
    if isinstance(error, ErrorMessage) and error.code == _CAS_WRITE_UNKNOWN:
        return "no-quorum"
    return next((word for classes, word in _WORDS if isinstance(error, classes)), "refused")


def reading(operation: Operation, kind: Kind, answer: Answer) -> tuple[Outcome, int | None]:
    """Return an operation's outcome and the number that its last statement returned: read, found instead or handed out.

    A condition that did not hold is a fail: the write surely did not happen, since Cassandra reports a transaction that
    it began and cannot finish as unknown. A cas is then ok, and returns the value found instead.
    """
    outcome = classify(kind, answer)
    if outcome != OK:
        return outcome, None
    if operation.op == "read":
        return OK, int(answer.rows[0][0]) if answer.rows and answer.rows[0][0] is not None else None
    if operation.op == "cas":
        return OK, operation.expected if applied(answer) else current_value(answer)
    return (OK if kind is not Kind.CONDITIONAL or applied(answer) else Outcome("fail", "refused")), None


def applied(answer: Answer) -> bool:
    """Return whether the condition of a transaction held: the first column of its only row."""
    return bool(answer.rows) and answer.rows[0][0] is True


def current_value(answer: Answer) -> int | None:
    """Return the value that a condition on it found instead; None if there was none."""
    value = answer.rows[0][-1] if answer.rows and len(answer.rows[0]) > 1 else None
    return None if value is None else int(value)


def row_missing(answer: Answer) -> bool:
    """Return whether a condition failed because there was no such row: the answer then shows no value."""
    if answer.error is not None or not answer.rows or applied(answer):
        return False
    return all(value is None for value in answer.rows[0][1:])
