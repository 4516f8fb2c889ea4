"""The table 'Outcomes an engine' of the design, row by row: Redis."""

from __future__ import annotations

import pytest
from caplab_probes.engines.redis.outcomes import ErrorReply, classify
from caplab_probes.outcomes import NoAnswer, Outcome

UNBLOCKED = ErrorReply("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")


@pytest.mark.parametrize(
    ("sent", "problem", "outcome", "word"),
    [
        (True, None, "ok", None),
        (False, NoAnswer.REFUSED, "fail", "refused"),
        (False, NoAnswer.TIMEOUT, "fail", "timeout"),
        (False, NoAnswer.CLOSED, "fail", "closed"),
        (True, NoAnswer.TIMEOUT, "info", "timeout"),
        (True, NoAnswer.CLOSED, "info", "closed"),
    ],
)
def test_without_a_reply_what_was_sent_is_unknown_and_what_was_not_did_not_happen(
    sent: bool, problem: NoAnswer | None, outcome: str, word: str | None
) -> None:
    assert classify(sent, problem) == Outcome(outcome, word)


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("READONLY You can't write against a read only replica.", "readonly"),
        ("READONLY You can't write against a read only replica. script: 72f3d5, on @user_script:1.", "readonly"),
        ("NOREPLICAS Not enough good replicas to write.", "no-quorum"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "refused"),
        ("LOADING Redis is loading the dataset in memory", "refused"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "refused"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "refused"),
        ("NOAUTH Authentication required.", "refused"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "refused"),
        ("NOPERM this user has no permissions to run the 'eval' command", "refused"),
        ("BUSY Redis is busy running a script.", "refused"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "refused"),
        ("ERR max number of clients reached", "refused"),
        ("NEWCODE of a version to come", "refused"),
        ("", "refused"),
    ],
)
def test_a_command_that_is_answered_with_an_error_did_nothing(sent: bool, text: str, word: str) -> None:
    assert classify(sent, ErrorReply(text)) == Outcome("fail", word)


@pytest.mark.parametrize(
    ("wanted", "acked", "outcome"),
    [
        (0, None, Outcome("ok")),
        (1, 1, Outcome("ok")),
        (1, 2, Outcome("ok")),
        (1, 0, Outcome("info", "no-quorum")),
        (2, 1, Outcome("info", "no-quorum")),
        (1, None, Outcome("info", "no-quorum")),
        (1, UNBLOCKED, Outcome("info", "no-quorum")),
        (1, ErrorReply("ERR WAIT cannot be used with replica instances."), Outcome("info", "no-quorum")),
    ],
)
def test_a_write_that_too_few_replicas_have_is_unknown(
    wanted: int, acked: int | ErrorReply | None, outcome: Outcome
) -> None:
    assert classify(True, None, wanted, acked) == outcome


def test_what_wait_says_does_not_change_what_the_write_was() -> None:
    assert classify(True, ErrorReply("READONLY no"), 1, 1) == Outcome("fail", "readonly")
    assert classify(True, NoAnswer.CLOSED, 1, 1) == Outcome("info", "closed")
