"""Transactions on Postgres: what is sent, and what each answer means, against a tiny server."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from caplab_probes.links import Endpoint, Result
from caplab_probes.load.transactions import MicroOp
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import CONFLICT, OK, Outcome
from support.databases.fake_postgres import DONE, LIMITS, FakeServer, client_of, fake_server, message, response, rows

LISTS = (MicroOp("read", "x", True), MicroOp("append", "x", True, 7), MicroOp("read", "y", True))
REGISTERS = (MicroOp("read", "x", False), MicroOp("write", "x", False, 7), MicroOp("read", "y", False))
TXN = Operation(index=0, op="txn", route="service", workload="txn", level="repeatable-read", txn=LISTS)
READS = replace(TXN, txn=(LISTS[0],), level="serializable")
COMMITTED, BEGUN = message(b"C", b"COMMIT\0"), message(b"C", b"BEGIN\0")
SET = message(b"C", b"SET\0")
WARNED = response(b"N", b"WARNING", b"01000")
CLOSED = b""  # the server ends the connection instead


def error(sqlstate: str, severity: str = "ERROR") -> bytes:
    return response(b"E", severity.encode(), sqlstate.encode())


def carried_out(operation: Operation, *replies: bytes, **settings: object) -> tuple[Result, FakeServer, bool]:
    async def scenario() -> tuple[Result, FakeServer, bool]:
        async with fake_server(replies=[SET, BEGUN, *replies], **settings) as fake:
            link = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
            result = await link.perform(operation)
            alive = link.alive
            link.close()
            return result, fake, alive

    return asyncio.run(scenario())


def test_a_transaction_is_begun_carried_out_and_committed_statement_by_statement() -> None:
    result, fake, _ = carried_out(TXN, rows(b"{1,2}"), DONE, rows(), COMMITTED)
    assert result.outcome == OK
    assert result.txn == (
        MicroOp("read", "x", True, (1, 2)),
        MicroOp("append", "x", True, 7),
        MicroOp("read", "y", True, ()),
    )
    assert fake.statements[:2] == ["SET lock_timeout = 100", "BEGIN ISOLATION LEVEL REPEATABLE READ"]
    assert fake.bound[2:] == [[b"x"], [b"x", b"7"], [b"y"], []]
    assert fake.statements[-1] == "COMMIT"


def test_registers_are_read_as_values() -> None:
    result, _, _ = carried_out(replace(TXN, txn=REGISTERS), rows(b"5"), DONE, rows(), COMMITTED)
    assert [micro.value for micro in result.txn] == [5, 7, None]


def test_what_only_reads_says_so_and_a_level_that_is_not_asked_for_is_the_servers() -> None:
    _, fake, _ = carried_out(READS, rows(), COMMITTED)
    assert fake.statements[1] == "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"
    _, fake, _ = carried_out(replace(TXN, level=None), rows(), DONE, rows(), COMMITTED)
    assert fake.statements[1] == "BEGIN"


@pytest.mark.parametrize(
    ("sqlstate", "outcome"),
    [
        ("40001", CONFLICT),
        ("40P01", CONFLICT),
        ("55P03", CONFLICT),
        ("25006", Outcome("fail", "readonly")),
        ("0A000", Outcome("fail", "readonly")),
        ("53100", Outcome("fail", "refused")),
    ],
)
def test_an_error_before_commit_aborts_the_transaction_and_the_connection_goes_on(
    sqlstate: str, outcome: Outcome
) -> None:
    result, fake, alive = carried_out(TXN, rows(), error(sqlstate), message(b"C", b"ROLLBACK\0"))
    assert (result.outcome, result.txn, alive) == (outcome, (), True)
    assert fake.statements[-1] == "ROLLBACK"


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_a_server_that_ends_before_commit_surely_has_not_committed(severity: str) -> None:
    result, fake, _ = carried_out(TXN, rows(), error("57P01", severity), error("57P01", severity))
    assert result.outcome == Outcome("fail", "closed")
    assert "COMMIT" not in fake.statements


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error("40001"), CONFLICT),
        (error("53100"), Outcome("fail", "refused")),
        (error("57P01", "FATAL"), Outcome("info", "closed")),
        (error("40001", "FATAL"), Outcome("info", "refused")),
        (error("40003"), Outcome("info", "refused")),
        (WARNED + COMMITTED, Outcome("info", "no-quorum")),
    ],
)
def test_what_comes_instead_of_a_commit_has_its_outcome_and_shows_no_reads(answer: bytes, outcome: Outcome) -> None:
    result, fake, _ = carried_out(TXN, rows(b"{1}"), DONE, rows(), answer)
    assert (result.outcome, result.txn) == (outcome, ())
    assert fake.statements[-1] == "COMMIT"


def test_a_connection_that_is_lost_in_commit_leaves_it_unknown() -> None:
    async def scenario(hanging: str) -> Outcome:
        async with fake_server(hang=asyncio.Event(), hanging=hanging, reply=rows()) as fake:
            link = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
            task = asyncio.create_task(link.perform(TXN))
            while not fake.statements or hanging not in fake.statements[-1]:
                await asyncio.sleep(0.001)
            fake.close_instead = True
            assert fake.hang
            fake.hang.set()
            return (await task).outcome

    assert asyncio.run(scenario("COMMIT")) == Outcome("info", "closed")
    assert asyncio.run(scenario("INSERT")) == Outcome("fail", "closed")
    assert asyncio.run(scenario("BEGIN")) == Outcome("fail", "closed")


def test_a_transaction_whose_time_is_over_is_not_committed() -> None:
    async def scenario() -> None:
        async with fake_server(hang=asyncio.Event(), hanging="INSERT", reply=rows()) as fake:
            link = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
            task = asyncio.create_task(link.perform(TXN))
            await asyncio.sleep(1.5 * LIMITS.statement_seconds)
            assert fake.hang
            fake.hang.set()
            assert (await task).outcome == Outcome("fail", "timeout")
            assert not link.alive
            assert "COMMIT" not in fake.statements

    asyncio.run(scenario())


def test_a_standby_is_not_taken_for_the_primary_but_serves_the_route_replica() -> None:
    result, fake, alive = carried_out(READS, timeline=None)
    assert (result.outcome, alive, fake.statements) == (Outcome("fail", "readonly"), False, [])
    on_replica = replace(READS, route="replica", level="repeatable-read")
    result, _, _ = carried_out(on_replica, rows(b"{3}"), COMMITTED, timeline=None)
    assert (result.outcome, result.epoch, result.txn[0].value) == (OK, None, (3,))


def test_the_lock_time_out_is_set_once_a_connection() -> None:
    async def scenario() -> None:
        async with fake_server(reply=rows()) as fake:
            link = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
            for _ in range(3):
                await link.perform(TXN)
            assert sum("lock_timeout" in statement for statement in fake.statements) == 1

    asyncio.run(scenario())
