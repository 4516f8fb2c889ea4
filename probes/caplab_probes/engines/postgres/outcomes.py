"""Classification of Postgres' answers, and of missing ones (pure).

Every operation is one statement in autocommit, so to send it is to send COMMIT. SQLSTATEs are
those of the Postgres manual, appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...outcomes import OK, NoAnswer, Outcome, unanswered


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that the server sent; fatal: it ended the connection too (FATAL or PANIC)."""

    sqlstate: str
    fatal: bool


# By SQLSTATE, then by its class; any other refusal of a server is 'refused'.
_ERRORS = {
    "25006": "readonly",  # read_only_sql_transaction: a standby
    "57014": "timeout",  # query_canceled: the server's statement_timeout
    "55P03": "timeout",  # lock_not_available: its lock_timeout
}
_ERROR_CLASSES = {
    "08": "closed",
    "57": "closed",  # operator intervention: shut down, crashed, promoted away
}
_UNRESOLVED = frozenset({"40003", "08007"})  # the server itself does not know


def classify(sent: bool, problem: NoAnswer | ServerError | None, warnings: tuple[str, ...] = ()) -> Outcome:
    """Return the outcome of one statement.

    sent: whether any byte of it may have left. problem: what came instead of success. warnings: the SQLSTATEs of
    messages of severity WARNING that came with the answer. The server translates their texts, and their states are too
    general to tell them apart, so any warning makes a success info: a commit warns when its wait for a standby was
    cancelled (01000) or its backend was told to die meanwhile (57P01). It has then happened here and perhaps nowhere
    else.
    """
    if problem is None:
        return Outcome("info", "no-quorum") if warnings else OK
    if isinstance(problem, ServerError):
        return _of_error(sent, problem, warnings)
    return unanswered(sent, problem)


def classify_beat(sent: bool, problem: NoAnswer | ServerError | None, warnings: tuple[str, ...] = ()) -> Outcome:
    """Return the outcome of a beat, which commits twice: an error may be the second transaction's, with its row there.

    Only an error before the first insert is a fail: the server is read-only, or has no such procedure or table
    (class 42).
    """
    outcome = classify(sent, problem, warnings)
    first = isinstance(problem, ServerError) and (problem.sqlstate == "25006" or problem.sqlstate.startswith("42"))
    return outcome if outcome.outcome != "fail" or not sent or first else Outcome("info", outcome.error)


def _of_error(sent: bool, error: ServerError, warnings: tuple[str, ...]) -> Outcome:
    word = _ERRORS.get(error.sqlstate) or _ERROR_CLASSES.get(error.sqlstate[:2], "refused")
    # A FATAL may come after the commit and before its answer: the connection was lost.
    unknown = error.fatal or error.sqlstate in _UNRESOLVED or bool(warnings)
    if not sent:
        return Outcome("fail", "refused" if error.fatal else word)
    return Outcome("info" if unknown else "fail", word)
