"""The Postgres client against a tiny server that speaks just enough of the protocol."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from caplab_probes.engines.postgres.client import position
from caplab_probes.links import Endpoint, NotDone, NotOpened, Result
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import Outcome
from caplab_probes.spec import ClientOptions, Limits
from support.databases import loopback
from support.databases.fake_postgres import (
    ADD,
    BEAT,
    CALLED,
    CAS,
    CAS_FIRST,
    COUNT,
    DONE,
    ID,
    INCR,
    MULTI,
    NOTHING_DONE,
    READ,
    WRITE,
    FakeServer,
    client_of,
    fake_server,
    parameter,
    perform,
    response,
    rows,
)


@pytest.mark.parametrize(
    ("reply", "operation", "outcome", "value"),
    [
        (DONE, ADD, Outcome("ok"), None),
        (DONE, WRITE, Outcome("ok"), None),
        (rows(b"42"), READ, Outcome("ok"), 42),
        (rows(), READ, Outcome("ok"), None),
        (NOTHING_DONE, WRITE, Outcome("fail", "refused"), None),
        (response(b"E", b"ERROR", b"25006"), ADD, Outcome("fail", "readonly"), None),
        (response(b"E", b"ERROR", b"53100"), ADD, Outcome("fail", "refused"), None),
        # In the extended protocol the statement completes before its commit, and the commit may still speak.
        (DONE + response(b"N", b"WARNING", b"01000"), ADD, Outcome("info", "no-quorum"), None),
        (DONE + response(b"E", b"ERROR", b"40001"), ADD, Outcome("fail", "refused"), None),
        (DONE + response(b"E", b"FATAL", b"57P01"), ADD, Outcome("info", "closed"), None),
        (response(b"N", b"NOTICE", b"00000") + DONE, ADD, Outcome("ok"), None),
        (response(b"N", b"WARNING", b"01000") + rows(b"42"), READ, Outcome("ok"), 42),
        # A CALL says nothing of rows, and its first commit may warn.
        (CALLED, BEAT, Outcome("ok"), None),
        (response(b"N", b"WARNING", b"01000") + CALLED, BEAT, Outcome("info", "no-quorum"), None),
        # An error of its second transaction does not undo the first.
        (response(b"E", b"ERROR", b"53100"), BEAT, Outcome("info", "refused"), None),
        (response(b"E", b"ERROR", b"57014"), BEAT, Outcome("info", "timeout"), None),
        (response(b"E", b"ERROR", b"25006"), BEAT, Outcome("fail", "readonly"), None),
        (response(b"E", b"ERROR", b"42883"), BEAT, Outcome("fail", "refused"), None),
    ],
)
def test_an_answer_has_its_outcome(reply: bytes, operation: Operation, outcome: Outcome, value: int | None) -> None:
    async def scenario() -> None:
        async with fake_server(reply=reply) as fake:
            (result,) = await perform(fake, operation)
            assert (result.outcome, result.value) == (outcome, value)
            assert (result.server, result.epoch) == ("pg-1", "3")

    asyncio.run(scenario())


UNKNOWN = Outcome("info", "no-quorum")
WARNED = response(b"N", b"WARNING", b"01000")
READONLY = response(b"E", b"ERROR", b"25006")


@pytest.mark.parametrize(
    ("reply", "operation", "expected"),
    [
        # What comes back of a cas is the row as it is now: its own value, or what was there and stays.
        (rows(b"6"), CAS, Result(outcome=Outcome("ok"), observed=5)),
        (rows(b"7"), CAS, Result(outcome=Outcome("ok"), observed=7)),
        (rows(), CAS, Result(outcome=Outcome("ok"), observed=None)),
        (rows(b"6"), CAS_FIRST, Result(outcome=Outcome("ok"), observed=None)),
        (rows(b"7"), CAS_FIRST, Result(outcome=Outcome("ok"), observed=7)),
        (WARNED + rows(b"6"), CAS, Result(outcome=UNKNOWN)),
        (WARNED + rows(b"7"), CAS, Result(outcome=UNKNOWN)),
        (READONLY, CAS, Result(outcome=Outcome("fail", "readonly"))),
        (rows(b"33"), ID, Result(outcome=Outcome("ok"), value=33)),
        (WARNED + rows(b"33"), ID, Result(outcome=UNKNOWN)),
        (READONLY, ID, Result(outcome=Outcome("fail", "readonly"))),
        (DONE, INCR, Result(outcome=Outcome("ok"))),
        (WARNED + DONE, INCR, Result(outcome=UNKNOWN)),
        (rows(b"12"), COUNT, Result(outcome=Outcome("ok"), value=12)),
        (DONE, MULTI, Result(outcome=Outcome("ok"))),
    ],
)
def test_what_several_vantages_change_has_its_outcome_and_what_it_found(
    reply: bytes, operation: Operation, expected: Result
) -> None:
    async def scenario() -> None:
        async with fake_server(reply=reply) as fake:
            (result,) = await perform(fake, operation)
            assert result == replace(expected, server="pg-1", epoch="3")
            assert len(fake.statements) == 1

    asyncio.run(scenario())


def test_each_operation_is_one_statement_with_its_values() -> None:
    async def scenario() -> None:
        async with fake_server(reply=rows(b"1")) as fake:
            await perform(fake, MULTI, WRITE, CAS, CAS_FIRST, INCR, ID)
            multi, write, cas, first, incr, given = fake.statements
            assert "WHERE" in write  # not an older value
            assert "WHERE" not in multi
            assert cas.startswith("UPDATE caplab_register")
            assert first.startswith("INSERT INTO caplab_register")
            assert "was.n + excluded.n" in incr
            assert given == "SELECT nextval('caplab_id')"
            assert fake.bound == [[b"k", b"5"], [b"k", b"5"], [b"k", b"6", b"5"], [b"k", b"6"], [b"k", b"1"], []]

    asyncio.run(scenario())


def routed(operation: Operation) -> Operation:
    return replace(operation, route="replica")


def test_on_the_route_replica_operations_come_back_with_positions_where_a_routing_needs_them() -> None:
    async def scenario(routing: str) -> list[int | None]:
        async with fake_server(reply=rows(b"42|900")) as fake:
            options = ClientOptions(read_routing=routing)
            link = await client_of(fake, options=options).open(Endpoint("pg-1", "127.0.0.1", fake.port))
            read, elsewhere = await link.perform(routed(READ)), await link.perform(READ)
            assert (read.value, elsewhere.value) == (42, 42)
            fake.replies = [DONE, rows(b"1000|t")]
            write = await link.perform(routed(WRITE))
            assert write.outcome == Outcome("ok")
            link.close()
            return [read.lsn, elsewhere.lsn, write.lsn]

    for routing in ("read-your-writes", "monotonic", "causal"):
        assert asyncio.run(scenario(routing)) == [900, None, 1000]
    for routing in ("plain", "lag-aware"):
        assert asyncio.run(scenario(routing)) == [None, None, None]


def test_a_write_whose_position_cannot_be_had_is_acknowledged_all_the_same() -> None:
    async def scenario() -> None:
        async with fake_server(replies=[DONE, response(b"E", b"FATAL", b"57P01")]) as fake:
            options = ClientOptions(read_routing="causal")
            link = await client_of(fake, options=options).open(Endpoint("pg-1", "127.0.0.1", fake.port))
            assert await link.perform(routed(WRITE)) == Result(
                outcome=Outcome("ok"), value=None, server="pg-1", epoch="3"
            )

    asyncio.run(scenario())


def test_a_member_says_where_it_is() -> None:
    async def scenario() -> None:
        async with fake_server(replies=[rows(b"900|f"), rows(b"901|t"), rows(b"|f")]) as fake:
            link = await client_of(fake).open(Endpoint("pg-1", "127.0.0.1", fake.port))
            replica, primary = await position(link), await position(link)
            assert [(position.lsn, position.primary) for position in (replica, primary)] == [(900, False), (901, True)]
            assert 0 < replica.asked_ns < primary.asked_ns
            with pytest.raises(NotDone, match="replayed nothing"):
                await position(link)
            link.close()
            with pytest.raises(NotDone, match="closed"):
                await position(link)

    asyncio.run(scenario())


def test_counters_are_scanned_from_their_own_table() -> None:
    async def scenario() -> None:
        async with fake_server(reply=rows(b"k|7")) as fake:
            scan = await client_of(fake).scan(Endpoint("pg-1", "127.0.0.1", fake.port), "counter-scan", "run-1")
            assert scan.elements == (("k", 7),)
            assert "FROM caplab_counter" in fake.statements[-1]

    asyncio.run(scenario())


def test_a_connection_that_closes_before_the_answer_is_info_and_is_known_to_be_dead() -> None:
    async def scenario() -> None:
        async with fake_server(close_instead=True) as fake:
            link = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
            assert link.alive
            assert (await link.perform(ADD)).outcome == Outcome("info", "closed")
            assert not link.alive
            # The next one is never sent.
            assert (await link.perform(ADD)).outcome == Outcome("fail", "closed")
            assert len(fake.statements) == 1

    asyncio.run(scenario())


def test_an_idle_connection_that_the_server_ends_is_noticed_before_it_is_used() -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            wire = await client_of(fake).open(Endpoint("service", "localhost", fake.port))
            fake.close_instead = True
            await wire.perform(ADD)
            await asyncio.sleep(0.05)
            assert not wire.alive

    asyncio.run(scenario())


def test_server_and_epoch_are_asked_for_once_a_connection() -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            results = await perform(fake, ADD, ADD, ADD)
            assert {result.epoch for result in results} == {"3"}
            assert fake.connections == 1
            assert len(fake.statements) == 3

    asyncio.run(scenario())


def test_a_promotion_on_an_open_connection_is_learned_with_the_first_write_that_it_takes() -> None:
    async def scenario() -> None:
        async with fake_server(timeline=None) as fake:
            link = await client_of(fake).open(Endpoint("pg-1", "127.0.0.1", fake.port))
            fake.reply = response(b"E", b"ERROR", b"25006")
            assert (await link.perform(ADD)).epoch is None
            fake.timeline = b"00000010"
            fake.reply = DONE + parameter(b"in_hot_standby", b"off")
            assert await link.perform(ADD) == Result(outcome=Outcome("ok"), value=None, server="pg-1", epoch="16")
            link.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("endpoint", "stays"), [("service", False), ("pg-1", True)])
def test_a_connection_through_the_service_is_given_up_where_it_leads_to_who_is_no_primary_any_more(
    endpoint: str, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            link = await client_of(fake).open(Endpoint(endpoint, "127.0.0.1", fake.port))
            fake.reply = READONLY
            assert (await link.perform(ADD)).outcome == Outcome("fail", "readonly")
            assert link.alive  # not at once: clients would do nothing but connect
            monkeypatch.setattr("caplab_probes.engines.opening._RETRY_NS", 0)
            assert (await link.perform(ADD)).outcome == Outcome("fail", "readonly")
            assert link.alive == stays
            link.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("close", [True, False])
def test_a_server_that_is_starting_or_gone_refuses_before_anything_is_sent(close: bool) -> None:
    async def scenario() -> None:
        async with fake_server(accept=False) as fake:
            port = 1 if close else fake.port
            with pytest.raises(NotOpened) as refused:
                await client_of(fake).open(Endpoint("service", "127.0.0.1", port))
            assert refused.value.outcome == Outcome("fail", "refused")

    asyncio.run(scenario())


def test_a_name_that_does_not_resolve_is_refused() -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            with pytest.raises(NotOpened) as refused:
                await client_of(fake, Limits()).open(Endpoint("service", "no-such-host.invalid", fake.port))
            assert refused.value.outcome.outcome == "fail"

    asyncio.run(scenario())


def test_a_connection_that_is_not_made_in_time_is_given_up_in_time() -> None:
    async def scenario() -> None:
        async with loopback.silent() as port:
            began = time.monotonic()
            with pytest.raises(NotOpened) as refused:
                await client_of(FakeServer(port=port)).open(Endpoint("service", "127.0.0.1", port))
            assert refused.value.outcome == Outcome("fail", "timeout")
            assert 0.9 < time.monotonic() - began < 2.5

    asyncio.run(scenario())


def test_tables_are_made_and_a_scan_reads_a_members_elements() -> None:
    async def scenario() -> None:
        async with fake_server() as fake:
            endpoint = Endpoint("pg-1", "127.0.0.1", fake.port)
            await client_of(fake).prepare(endpoint)
            assert sum(statement.startswith("CREATE") for statement in fake.statements) == 11
            fake.reply = rows(b"|7", b"|9")
            scan = await client_of(fake).scan(endpoint, "set-scan", "run-1")
            assert (scan.server, scan.primary, scan.elements) == ("pg-1", True, ((None, 7), (None, 9)))
            fake.timeline, fake.reply = None, rows(b"k|7")
            scan = await client_of(fake).scan(endpoint, "register-scan", "run-1")
            assert (scan.primary, scan.elements) == (False, (("k", 7),))

    asyncio.run(scenario())


def test_where_everything_is_there_nothing_is_made() -> None:
    async def scenario() -> None:
        async with fake_server(reply=rows(b"t")) as fake:
            await client_of(fake).prepare(Endpoint("pg-1", "127.0.0.1", fake.port))
            assert not [statement for statement in fake.statements if statement.startswith("CREATE")]

    asyncio.run(scenario())


def test_a_vantage_that_loses_the_race_to_make_the_procedure_is_not_done_and_may_try_again() -> None:
    async def scenario() -> None:
        async with fake_server(reply=response(b"E", b"ERROR", b"XX000")) as fake:
            with pytest.raises(NotDone, match="pg-1: "):
                await client_of(fake).prepare(Endpoint("pg-1", "127.0.0.1", fake.port))
            fake.reply = DONE
            await client_of(fake).prepare(Endpoint("pg-1", "127.0.0.1", fake.port))

    asyncio.run(scenario())


def test_a_beat_is_one_call_with_its_run_and_its_value() -> None:
    async def scenario() -> None:
        async with fake_server(reply=CALLED) as fake:
            await perform(fake, BEAT)
            assert fake.statements == ["CALL caplab_beat($1, $2)"]
            assert fake.bound == [[b"9", str(BEAT.value).encode()]]

    asyncio.run(scenario())


def test_a_scan_that_hangs_or_fails_is_not_done() -> None:
    async def scenario() -> None:
        async with fake_server(hang=asyncio.Event()) as fake:
            endpoint = Endpoint("pg-1", "127.0.0.1", fake.port)
            with pytest.raises(NotDone, match=r"pg-1: not done within 0.5 s"):
                await client_of(fake).scan(endpoint, "set-scan", "run-1")
            fake.hang, fake.reply = None, response(b"E", b"ERROR", b"42P01")
            with pytest.raises(NotDone, match="pg-1: "):
                await client_of(fake).scan(endpoint, "set-scan", "run-1")

    asyncio.run(scenario())
