"""What Cassandra's answers mean, as the driver decodes them from the wire."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from caplab_probes.engines.cassandra.outcomes import Answer, applied, classify, not_sent, reading, row_missing
from caplab_probes.engines.cassandra.statements import Kind
from caplab_probes.outcomes import NoAnswer, Outcome
from cassandra import AlreadyExists, AuthenticationFailed, ConsistencyLevel, DriverException, OperationTimedOut
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException, ConnectionShutdown
from cassandra.protocol import ErrorMessage
from support.databases.fake_cassandra import ADD, READ, WRITE

OK = Outcome("ok")
READING, PLAIN, SERIAL = Kind.READ, Kind.WRITE, Kind.CONDITIONAL


def from_the_wire(code: int, *more: bytes) -> Exception:
    """An error as a server sends it (native protocol, section 8), as the driver raises it."""
    body = struct.pack(">i", code) + _text("something") + b"".join(more)
    raised = ErrorMessage.recv_body(BytesIO(body), 5).to_exception()
    assert isinstance(raised, Exception)
    return raised


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


LEVEL = struct.pack(">H", ConsistencyLevel.QUORUM)
COUNTS = struct.pack(">ii", 1, 2)
UNAVAILABLE = from_the_wire(0x1000, LEVEL, COUNTS)
OVERLOADED, BOOTSTRAPPING = from_the_wire(0x1001), from_the_wire(0x1002)
WRITE_TIMEOUT = from_the_wire(0x1100, LEVEL, COUNTS, _text("SIMPLE"))
CAS_TIMEOUT = from_the_wire(0x1100, LEVEL, COUNTS, _text("CAS"), struct.pack(">H", 3))
READ_TIMEOUT = from_the_wire(0x1200, LEVEL, COUNTS, b"\0")
FAILURES = struct.pack(">i", 0)
READ_FAILURE = from_the_wire(0x1300, LEVEL, COUNTS, FAILURES, b"\0")
WRITE_FAILURE = from_the_wire(0x1500, LEVEL, COUNTS, FAILURES, _text("SIMPLE"))
CAS_UNKNOWN = from_the_wire(0x1700, LEVEL, COUNTS)
SERVER_ERROR, PROTOCOL_ERROR, SYNTAX = from_the_wire(0x0000), from_the_wire(0x000A), from_the_wire(0x2000)
UNAUTHORIZED, INVALID, CONFIGURATION = from_the_wire(0x2100), from_the_wire(0x2200), from_the_wire(0x2300)
EXISTS = from_the_wire(0x2400, _text("caplab"), _text("added"))
NEW = from_the_wire(0x7777)


@pytest.mark.parametrize(
    ("error", "read", "write", "transaction", "word"),
    [
        (UNAVAILABLE, "fail", "fail", "info", "no-quorum"),
        (WRITE_TIMEOUT, "fail", "info", "info", "timeout"),
        (CAS_TIMEOUT, "fail", "info", "info", "timeout"),
        (READ_TIMEOUT, "fail", "info", "info", "timeout"),
        (READ_FAILURE, "fail", "info", "info", "no-quorum"),
        (WRITE_FAILURE, "fail", "info", "info", "no-quorum"),
        (CAS_UNKNOWN, "fail", "info", "info", "no-quorum"),
        (OVERLOADED, "fail", "fail", "info", "refused"),
        (BOOTSTRAPPING, "fail", "fail", "info", "refused"),
        (SERVER_ERROR, "fail", "info", "info", "refused"),
        (NEW, "fail", "info", "info", "refused"),
        (PROTOCOL_ERROR, "fail", "fail", "fail", "refused"),
        (SYNTAX, "fail", "fail", "fail", "refused"),
        (UNAUTHORIZED, "fail", "fail", "fail", "refused"),
        (INVALID, "fail", "fail", "fail", "refused"),
        (CONFIGURATION, "fail", "fail", "fail", "refused"),
        (EXISTS, "fail", "fail", "fail", "refused"),
        (AlreadyExists("caplab", "added"), "fail", "fail", "fail", "refused"),
        (DriverException("ID mismatch while trying to reprepare"), "fail", "info", "info", "refused"),
        # The client's own: what it does not know of an operation it does not know of a read either.
        (OperationTimedOut(), "info", "info", "info", "timeout"),
        (ConnectionShutdown("closed"), "info", "info", "info", "closed"),
        (ConnectionException("reset"), "info", "info", "info", "closed"),
    ],
)
def test_an_error_is_a_fail_only_where_nothing_was_begun(
    error: Exception, read: str, write: str, transaction: str, word: str
) -> None:
    for kind, outcome in ((READING, read), (PLAIN, write), (SERIAL, transaction)):
        assert classify(kind, Answer(error=error)) == Outcome(outcome, word)


@pytest.mark.parametrize("error", [UNAVAILABLE, OVERLOADED, INVALID])
def test_a_write_that_another_coordinator_has_too_is_unknown_whatever_one_of_them_says(error: Exception) -> None:
    assert classify(PLAIN, Answer(error=error, asked=2)).outcome == "info"
    assert classify(READING, Answer(error=error, asked=2)).outcome == "fail"


@pytest.mark.parametrize("kind", Kind)
def test_where_no_host_was_asked_nothing_was_sent(kind: Kind) -> None:
    nobody = NoHostAvailable("Unable to complete the operation against any hosts", {})
    assert classify(kind, Answer(error=nobody, asked=0)) == Outcome("fail", "refused")
    assert classify(kind, Answer(error=nobody, asked=1)) == Outcome("info", "closed")
    for trouble in NoAnswer:
        assert classify(kind, not_sent(trouble)) == Outcome("fail", trouble.value)


def test_a_password_that_is_refused_in_connecting_sends_nothing() -> None:
    nobody = NoHostAvailable("Unable to connect to any servers", {"10.0.0.1": AuthenticationFailed("no")})
    assert classify(PLAIN, Answer(error=nobody, asked=0)) == Outcome("fail", "refused")


def test_a_condition_that_did_not_hold_is_a_fail_and_shows_what_was_there() -> None:
    assert reading(ADD, SERIAL, Answer(rows=((True,),))) == (OK, None)
    assert reading(ADD, SERIAL, Answer(rows=((False, 9, 5, 7),))) == (Outcome("fail", "refused"), None)
    assert reading(WRITE, SERIAL, Answer(rows=((False, 7),))) == (Outcome("fail", "refused"), None)
    assert reading(WRITE, PLAIN, Answer()) == (OK, None)
    assert not applied(Answer())
    assert row_missing(Answer(rows=((False,),)))
    assert row_missing(Answer(rows=((False, None),)))
    assert not row_missing(Answer(rows=((False, 7),)))
    assert not row_missing(Answer(rows=((True,),)))
    assert not row_missing(Answer(error=CAS_TIMEOUT))
    assert not row_missing(Answer())


def test_a_read_shows_the_value_or_that_there_is_none() -> None:
    assert reading(READ, READING, Answer(rows=((42,),))) == (OK, 42)
    assert reading(READ, READING, Answer(rows=())) == (OK, None)
    assert reading(READ, READING, Answer(rows=((None,),))) == (OK, None)
    assert reading(READ, READING, Answer(rows=((42,),), error=UNAVAILABLE)) == (Outcome("fail", "no-quorum"), None)
