"""The table 'Outcomes an engine' of the design, row by row: Postgres."""

from __future__ import annotations

import pytest
from caplab_probes.engines.postgres.outcomes import ServerError, classify
from caplab_probes.outcomes import NoAnswer, Outcome

CANCELLED_WAIT = "01000"  # WARNING: canceling wait for synchronous replication due to user request
DYING_WAIT = "57P01"  # WARNING: canceling the wait for synchronous replication and terminating connection


def error(sqlstate: str, fatal: bool = False) -> ServerError:
    return ServerError(sqlstate, fatal)


@pytest.mark.parametrize(
    ("sent", "problem", "warnings", "outcome", "word"),
    [
        # ok: command complete, no warning
        (True, None, (), "ok", None),
        # fail: refused before it was sent
        (False, NoAnswer.REFUSED, (), "fail", "refused"),
        (False, NoAnswer.TIMEOUT, (), "fail", "timeout"),
        (False, NoAnswer.CLOSED, (), "fail", "closed"),
        (False, error("57P03", fatal=True), (), "fail", "refused"),  # the database system is starting up
        (False, error("53300", fatal=True), (), "fail", "refused"),  # too many clients already
        (False, error("28P01", fatal=True), (), "fail", "refused"),  # password authentication failed
        # fail: read-only transaction
        (True, error("25006"), (), "fail", "readonly"),
        # fail: any error before COMMIT was sent; the server says that it aborted
        (True, error("23505"), (), "fail", "refused"),
        (True, error("53100"), (), "fail", "refused"),  # disk full
        (True, error("42P01"), (), "fail", "refused"),
        (True, error("40001"), (), "fail", "refused"),
        (True, error("57014"), (), "fail", "timeout"),
        (True, error("55P03"), (), "fail", "timeout"),
        # info: the connection was lost or timed out after COMMIT was sent
        (True, NoAnswer.TIMEOUT, (), "info", "timeout"),
        (True, NoAnswer.CLOSED, (), "info", "closed"),
        (True, error("57P01", fatal=True), (), "info", "closed"),  # administrator command
        (True, error("57P02", fatal=True), (), "info", "closed"),  # crash of another server process
        (True, error("XX000", fatal=True), (), "info", "refused"),
        (True, error("40003"), (), "info", "refused"),  # statement_completion_unknown
        (True, error("08007"), (), "info", "closed"),  # transaction_resolution_unknown
        # info: success with the warning that the synchronous wait was cancelled
        (True, None, (CANCELLED_WAIT,), "info", "no-quorum"),
        (True, None, (DYING_WAIT,), "info", "no-quorum"),
        (True, NoAnswer.CLOSED, (DYING_WAIT,), "info", "closed"),
        (True, error("57P01"), (DYING_WAIT,), "info", "closed"),
    ],
)
def test_what_a_client_saw_has_one_outcome(
    sent: bool, problem: NoAnswer | ServerError | None, warnings: tuple[str, ...], outcome: str, word: str | None
) -> None:
    assert classify(sent, problem, warnings) == Outcome(outcome, word)
