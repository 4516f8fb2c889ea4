"""The Cassandra client, with a ring in memory in the driver's place."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from caplab_probes.engines.cassandra.connection import DriverConnection
from caplab_probes.engines.cassandra.driver import DIRECT_PROFILE, SERVICE_PROFILE
from caplab_probes.engines.cassandra.statements import READ_LEVELS, TABLES, WRITE_LEVELS, bucket_of
from caplab_probes.links import Endpoint, NotDone, NotOpened, Result, Topology
from caplab_probes.load.sessions import Attempt, Sessions, session_numbers
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import Outcome
from caplab_probes.routing.endpoints import Router
from caplab_probes.spec import ClientOptions
from cassandra import ConsistencyLevel, OperationTimedOut, Unavailable, WriteTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.protocol import OverloadedErrorMessage
from support.databases.fake_cassandra import (
    ADD,
    ADDRESSES,
    CAS,
    COUNT,
    ID,
    INCR,
    LIMITS,
    MEMBERS,
    READ,
    REGISTER,
    RUN,
    SERVICE,
    WRITE,
    FakeRing,
    Host,
    Planted,
    client_of,
    perform,
)
from support.databases.loopback import wait_until

OK = Outcome("ok")
REFUSED = Outcome("fail", "refused")
NEWER = replace(WRITE, value=(WRITE.value or 0) + 1)


def at(operation: Operation, level: str) -> Operation:
    return replace(operation, level=level)


def test_operations_are_carried_out_by_the_coordinator_that_answers() -> None:
    ring = FakeRing()
    results = asyncio.run(perform(ring, ADD, WRITE, READ))
    assert results == [
        Result(outcome=OK, value=None, server="cs-0"),
        Result(outcome=OK, value=None, server="cs-0"),
        Result(outcome=OK, value=WRITE.value, server="cs-0"),
    ]
    assert ring.added["10.0.0.3"] == {(RUN, bucket_of(ADD.value or 0), ADD.value)}
    assert [request.host for request in ring.sent] == [None] * 3
    assert {request.profile for request in ring.sent} == {SERVICE_PROFILE}


def test_a_member_coordinates_what_goes_to_it() -> None:
    ring = FakeRing()
    (result,) = asyncio.run(perform(ring, ADD, endpoint=MEMBERS[2]))
    assert result == Result(outcome=OK, value=None, server="cs-2")
    assert ring.sent[0].host == Host("10.0.0.3")
    assert ring.sent[0].profile == DIRECT_PROFILE  # else the driver would ask the same host twice


@pytest.mark.parametrize("level", [*WRITE_LEVELS, None])
def test_a_level_goes_with_each_write_and_a_serial_one_is_a_transaction(level: str | None) -> None:
    ring = FakeRing()
    asyncio.run(perform(ring, replace(ADD, level=level), replace(WRITE, level=level)))
    commit = {"SERIAL": "QUORUM", "LOCAL_SERIAL": "LOCAL_QUORUM"}
    for request in ring.sent:
        name = ConsistencyLevel.value_to_name[request.bound.consistency_level]
        assert name == commit.get(level or "", level or "QUORUM")
        assert (" IF " in request.bound.text) == (level in commit)
        serial = request.bound.serial_consistency_level
        assert (serial and ConsistencyLevel.value_to_name[serial]) == (level if level in commit else None)
        # A transaction that is sent twice might not find what its first half did.
        assert request.idempotent == (level not in commit)


@pytest.mark.parametrize("level", [*READ_LEVELS, None])
def test_a_level_goes_with_each_read(level: str | None) -> None:
    ring = FakeRing()
    asyncio.run(perform(ring, replace(READ, level=level)))
    assert ConsistencyLevel.value_to_name[ring.sent[0].bound.consistency_level] == (level or "QUORUM")
    assert ring.sent[0].idempotent


def test_a_write_that_its_coordinator_stamps_is_not_sent_to_another_one() -> None:
    """The second one's stamp would be newer than that of a write in between."""
    ring = FakeRing(client_timestamps=False)
    asyncio.run(perform(ring, WRITE, READ))
    assert [request.idempotent for request in ring.sent] == [False, True]


def test_what_is_answered_is_not_sent_again_when_its_connection_breaks() -> None:
    """The driver would ask another member then, although the operation is over."""
    ring = FakeRing()
    asyncio.run(perform(ring, WRITE))
    assert ring.sent[0].idempotent
    assert not ring.sent[0].bound.is_idempotent


def test_a_transaction_writes_a_register_that_is_new_then_a_newer_value_and_never_an_older_one() -> None:
    ring = FakeRing()
    first, newer, older, read = asyncio.run(
        perform(ring, at(WRITE, "SERIAL"), at(NEWER, "SERIAL"), at(WRITE, "SERIAL"), at(READ, "SERIAL"))
    )
    assert [first.outcome, newer.outcome, older.outcome, read.outcome] == [OK, OK, REFUSED, OK]
    assert read.value == NEWER.value
    # Only the first write needs two.
    assert [request.bound.text.split()[0] for request in ring.sent] == [
        "UPDATE",
        "INSERT",
        "UPDATE",
        "UPDATE",
        "SELECT",
    ]


def test_an_element_that_is_there_already_is_not_added_again() -> None:
    added, again = asyncio.run(perform(FakeRing(), at(ADD, "SERIAL"), at(ADD, "SERIAL")))
    assert [added.outcome, again.outcome] == [OK, REFUSED]


def test_a_compare_and_set_shows_what_it_found() -> None:
    ring = FakeRing()
    again = replace(CAS, expected=CAS.value, value=99)
    first, second, third, absent, read = asyncio.run(
        perform(ring, CAS, again, CAS, replace(again, key=f"{RUN:07x}/other"), at(READ, "SERIAL"))
    )
    assert {result.outcome for result in (first, second, third, absent, read)} == {OK}
    assert [result.observed for result in (first, second, third, absent)] == [None, CAS.value, 99, None]
    assert read.value == 99
    assert {request.bound.serial_consistency_level for request in ring.sent[:4]} == {ConsistencyLevel.SERIAL}
    assert not any(request.idempotent for request in ring.sent[:4])


def test_a_register_that_all_write_takes_any_value_whatever_is_there() -> None:
    ring = FakeRing()
    older, serial = replace(WRITE, workload="register-multi"), replace(WRITE, workload="register-multi", level="SERIAL")
    newer = replace(serial, value=NEWER.value)
    results = asyncio.run(perform(ring, newer, older, READ, serial, READ))
    assert [result.outcome for result in results] == [OK] * 5
    assert [results[2].value, results[4].value] == [older.value, serial.value]
    assert [" IF " in request.bound.text for request in ring.sent] == [True, False, False, True, False]


def test_a_counter_counts_at_its_level_and_is_never_sent_twice() -> None:
    ring = FakeRing()
    results = asyncio.run(perform(ring, at(INCR, "TWO"), INCR, at(COUNT, "ONE")))
    assert [result.outcome for result in results] == [OK] * 3
    assert results[2].value == 2
    assert [ConsistencyLevel.value_to_name[request.bound.consistency_level] for request in ring.sent] == [
        "TWO",
        "QUORUM",
        "ONE",
    ]
    assert [request.idempotent for request in ring.sent] == [False, False, True]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Unavailable("not enough"), Outcome("fail", "no-quorum")),
        (WriteTimeout("late", write_type=0), Outcome("info", "timeout")),
        # The replica that leads it may have counted it already.
        (OverloadedErrorMessage(0x1001, "hints", None), Outcome("info", "refused")),
    ],
)
def test_an_increment_that_failed_may_have_counted(error: Exception, outcome: Outcome) -> None:
    (result,) = asyncio.run(perform(FakeRing(planted=[Planted(error)]), INCR))
    assert result.outcome == outcome


def test_ids_go_on_from_the_last_one_whoever_had_it() -> None:
    async def scenario() -> None:
        ring = FakeRing()
        client = client_of(ring)
        first, second = await client.open(SERVICE), await client.open(SERVICE)
        given = [(await link.perform(ID)).value for link in (first, first, second, second, first)]
        assert given == [1, 2, 3, 4, 5]
        # A second statement only where somebody else had an id since.
        assert len(ring.sent) == 5 + 2
        await client.close()

    asyncio.run(scenario())


def test_where_others_are_quicker_twice_no_id_is_handed_out() -> None:
    ring = FakeRing(quicker=2)
    first, second = asyncio.run(perform(ring, ID, ID))
    assert first == Result(outcome=REFUSED, value=None, server="cs-0")
    assert second == Result(outcome=OK, value=3, server="cs-0")


def test_an_id_whose_transaction_has_no_end_is_unknown() -> None:
    ring = FakeRing(given={(RUN, ID.key or ""): 7}, planted=[None, Planted(WriteTimeout("late", write_type=0))])
    (result,) = asyncio.run(perform(ring, ID))
    assert (result.outcome, result.value) == (Outcome("info", "timeout"), None)


def test_an_error_in_the_second_step_of_a_transaction_is_unknown() -> None:
    ring = FakeRing(planted=[None, Planted(Unavailable("not enough"))])
    (result,) = asyncio.run(perform(ring, at(WRITE, "SERIAL")))
    assert result.outcome == Outcome("info", "no-quorum")


def test_no_second_step_is_sent_when_the_first_was_not_answered() -> None:
    ring = FakeRing(planted=[Planted(OperationTimedOut())])
    (result,) = asyncio.run(perform(ring, at(WRITE, "SERIAL")))
    assert result.outcome == Outcome("info", "timeout")
    assert len(ring.sent) == 1


@pytest.mark.parametrize(
    ("planted", "outcome", "server"),
    [
        (Planted(Unavailable("not enough")), Outcome("fail", "no-quorum"), "cs-0"),
        (Planted(Unavailable("not enough"), asked=2), Outcome("info", "no-quorum"), "cs-1"),
        (Planted(Unavailable("not enough"), retries=1), Outcome("info", "no-quorum"), "cs-0"),  # of the retry
        (Planted(ConnectionShutdown("closed")), Outcome("info", "closed"), "cs-0"),
        (Planted(NoHostAvailable("nobody", {}), asked=0), REFUSED, None),
    ],
)
def test_the_outcome_counts_how_many_coordinators_were_asked(
    planted: Planted, outcome: Outcome, server: str | None
) -> None:
    (result,) = asyncio.run(perform(FakeRing(planted=[planted]), ADD))
    assert result == Result(outcome=outcome, value=None, server=server)


def test_the_driver_gives_up_after_the_session_has() -> None:
    ring = FakeRing()
    asyncio.run(perform(ring, ADD))
    assert LIMITS.statement_seconds < ring.sent[0].seconds < LIMITS.statement_seconds + 0.5


def test_to_close_a_link_ends_its_operation_and_no_others_and_a_late_answer_is_dropped() -> None:
    async def scenario() -> None:
        ring = FakeRing(planted=[Planted(hang=True)])
        client = client_of(ring)
        hanging, other = await client.open(SERVICE), await client.open(SERVICE)
        performing = asyncio.create_task(hanging.perform(ADD))
        await wait_until(lambda: bool(ring.hanging))
        hanging.close()
        assert (await performing).outcome == Outcome("info", "closed")
        assert not hanging.alive
        assert (await hanging.perform(ADD)).outcome == Outcome("fail", "closed")
        ring.hanging[0].settle(None, None)
        assert (await other.perform(ADD)).outcome == OK
        assert other.alive
        assert ring.ended == 0
        await client.close()
        assert ring.ended == 1

    asyncio.run(scenario())


def test_an_operation_that_times_out_is_recorded_then_and_its_link_abandoned_until_the_driver_answers() -> None:
    async def scenario() -> None:
        ring = FakeRing(planted=[Planted(hang=True)])
        client, attempts = client_of(ring), list[Attempt]()
        router = Router(lambda: Topology(SERVICE, MEMBERS), has_primary=False)
        sessions = Sessions(client, router, LIMITS, session_numbers(), attempts.append)
        hanging = asyncio.create_task(sessions.carry_out(ADD, time.monotonic_ns()))
        await wait_until(lambda: bool(attempts))
        assert attempts[0].result == Result(outcome=Outcome("info", "timeout"))  # nobody knows which member had it
        assert not hanging.done()
        await sessions.carry_out(ADD, time.monotonic_ns())
        assert attempts[1].result.outcome == OK
        assert attempts[1].session != attempts[0].session
        ring.hanging[0].settle(None, None)
        await hanging
        assert len(attempts) == 2
        await client.close()

    asyncio.run(scenario())


def test_a_member_without_a_connection_is_refused_and_nothing_is_sent() -> None:
    async def scenario() -> None:
        ring = FakeRing(down={"10.0.0.2"})
        client = client_of(ring)
        for endpoint in (MEMBERS[1], Endpoint("cs-9", "10.0.0.9", 9042)):
            with pytest.raises(NotOpened, match=f"{endpoint.host}: the driver has no connection") as refused:
                await client.open(endpoint)
            assert refused.value.outcome == REFUSED
        assert not ring.sent
        link = await client.open(MEMBERS[0])
        ring.down.add("10.0.0.1")
        assert await link.perform(ADD) == Result(outcome=REFUSED)
        # It is back: the same link goes on.
        ring.down.clear()
        assert (await link.perform(ADD)).outcome == OK
        await client.close()

    asyncio.run(scenario())


def test_a_host_that_has_left_the_ring_is_not_replaced_by_another() -> None:
    async def scenario() -> None:
        ring = FakeRing()
        client = client_of(ring)
        link = await client.open(MEMBERS[2])
        ring.addresses = ADDRESSES[:2]
        assert await link.perform(ADD) == Result(outcome=REFUSED)
        assert not ring.sent
        await client.close()

    asyncio.run(scenario())


def test_one_connection_serves_all_links() -> None:
    async def scenario() -> None:
        ring = FakeRing()
        client = client_of(ring)
        await asyncio.gather(*(client.open(endpoint) for endpoint in (SERVICE, *MEMBERS, SERVICE)))
        await client.close()
        assert (len(ring.contacts), ring.ended) == (1, 1)
        with pytest.raises(NotOpened, match="closed"):
            await client.open(SERVICE)

    asyncio.run(scenario())


def test_a_name_that_is_not_resolved_leaves_the_members_addresses() -> None:
    async def scenario() -> None:
        ring = FakeRing()
        for service in (SERVICE, Endpoint("service", "no-such-host.invalid", 9042), None):
            client = client_of(ring, topology=Topology(service, MEMBERS))
            await client.open(MEMBERS[0])
            await client.close()
        assert "127.0.0.1" in ring.contacts[0]
        assert ring.contacts[1:] == [ADDRESSES, ADDRESSES]
        with pytest.raises(NotOpened, match="no endpoint"):
            await client_of(ring, topology=Topology(None, ())).open(SERVICE)

    asyncio.run(scenario())


def test_opening_takes_its_time_while_operations_are_refused_in_theirs() -> None:
    async def scenario() -> None:
        ring = FakeRing(connecting=threading.Event())
        client = client_of(ring, replace(LIMITS, connect_seconds=1.0))
        for _ in range(2):
            with pytest.raises(NotOpened) as refused:
                await client.open(SERVICE)
            assert refused.value.outcome == Outcome("fail", "timeout")
        assert ring.connecting is not None
        ring.connecting.set()
        assert (await (await client.open(SERVICE)).perform(ADD)).outcome == OK
        assert len(ring.contacts) == 1
        await client.close()

    asyncio.run(scenario())


def test_a_client_that_is_closed_while_it_opens_leaves_nothing_open() -> None:
    async def scenario() -> None:
        ring = FakeRing(connecting=threading.Event())
        client = client_of(ring, replace(LIMITS, connect_seconds=1.0))
        with pytest.raises(NotOpened):
            await client.open(SERVICE)
        closing = asyncio.create_task(client.close())
        assert ring.connecting is not None
        ring.connecting.set()
        await closing
        assert ring.ended == 1

    asyncio.run(scenario())


def test_after_a_failure_it_connects_again_and_not_at_every_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        ring = FakeRing(refused=[NoHostAvailable("Unable to connect to any servers", {})])
        client = client_of(ring)
        for _ in range(3):
            with pytest.raises(NotOpened, match="Unable to connect") as refused:
                await client.open(SERVICE)
            assert refused.value.outcome == REFUSED
        assert len(ring.contacts) == 1
        monkeypatch.setattr("caplab_probes.engines.cassandra.connection.RETRY_SECONDS", 0.0)
        await client.open(SERVICE)
        assert len(ring.contacts) == 2
        await client.close()
        assert ring.ended == 1

    asyncio.run(scenario())


def test_members_that_all_came_back_at_other_addresses_are_found_again() -> None:
    async def scenario() -> None:
        ring = FakeRing()
        moved = tuple(replace(member, host=f"10.0.1.{number}") for number, member in enumerate(MEMBERS))
        client = client_of(ring, topology=Topology(SERVICE, moved))
        link = await client.open(SERVICE)
        ring.planted = [Planted(NoHostAvailable("nobody", {}), asked=0)]
        assert (await link.perform(ADD)).outcome == REFUSED
        assert not link.alive
        ring.addresses = tuple(member.host for member in moved)
        ring.__post_init__()
        assert (await (await client.open(SERVICE)).perform(ADD)).server == "cs-0"
        await client.close()
        assert (len(ring.contacts), ring.ended) == (2, 2)

    asyncio.run(scenario())


def test_a_ring_of_which_all_are_down_is_not_given_up() -> None:
    async def scenario() -> None:
        ring = FakeRing(planted=[Planted(NoHostAvailable("nobody", {}), asked=0)])
        client = client_of(ring)
        link = await client.open(SERVICE)
        assert (await link.perform(ADD)).outcome == REFUSED
        assert link.alive
        await client.close()

    asyncio.run(scenario())


def test_to_prepare_makes_what_is_missing_and_nothing_else() -> None:
    async def scenario() -> None:
        for there in (set[str](), {"added"}, set(TABLES)):
            ring = FakeRing(tables=set(there))
            client = client_of(ring)
            await client.prepare(SERVICE)
            await client.prepare(MEMBERS[1])
            assert ring.made == [text for name, text in TABLES.items() if name not in there]
            assert (await (await client.open(SERVICE)).perform(ADD)).outcome == OK
            await client.close()

    asyncio.run(scenario())


def test_when_a_coordinator_reads_another_copy_is_changed_only_where_it_differs() -> None:
    async def scenario() -> None:
        ring = FakeRing(tables=set())
        made, last = len(TABLES), ["99p", "99p"]
        for asked, there in ((None, "99p"), (20, "20.00ms"), (20, "20.00ms"), (7, "7.00ms"), (None, "99p")):
            client = client_of(ring, options=ClientOptions(speculative_retry_ms=asked))
            await client.prepare(SERVICE)
            await client.close()
            ring.__post_init__()
            now = [ring.retries.get(name, "99p") for name in ("register", "counter")]
            made += 0 if now == last else 2
            assert (now, len(ring.made)) == ([there, there], made)
            last = now
        assert set(ring.retries) == {"register", "counter"}  # a member's own copy of the set is read from it alone

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("ring", "problem"),
    [
        (FakeRing(keyspace=False), "service: there is no keyspace caplab yet"),
        (FakeRing(agreed=False), "service: the members do not agree on the schema yet"),
        (FakeRing(refused=[NoHostAvailable("Unable to connect to any servers", {})]), "service: .*Unable to connect"),
    ],
)
def test_what_cannot_be_prepared_says_why(ring: FakeRing, problem: str) -> None:
    async def scenario() -> None:
        client = client_of(ring)
        with pytest.raises(NotDone, match=problem):
            await client.prepare(SERVICE)
        await client.close()

    asyncio.run(scenario())


def test_statements_that_could_not_be_prepared_in_opening_are_prepared_when_they_are_needed() -> None:
    async def scenario() -> None:
        ring = FakeRing(tables=set())
        client = client_of(ring)
        link = await client.open(SERVICE)
        assert await link.perform(ADD) == Result(outcome=REFUSED)
        ring.tables = set(TABLES)
        assert (await link.perform(ADD)).outcome == OK
        await client.close()

    asyncio.run(scenario())


def test_a_statement_that_is_wanted_while_others_are_prepared_is_prepared_too() -> None:
    """The first transactions of a model come while those of another link are prepared."""
    reached, go_on = threading.Event(), threading.Event()

    class SlowSession:
        def prepare(self, text: str) -> str:
            reached.set()
            assert go_on.wait(10)
            return text

    async def scenario() -> None:
        connection = DriverConnection(None, SlowSession(), 9042)
        first = asyncio.create_task(connection.prepared())
        await asyncio.to_thread(reached.wait, 10)
        connection.want(["SELECT later"])
        second = asyncio.create_task(connection.prepared())
        await asyncio.sleep(0)  # it has joined the first attempt
        go_on.set()
        await asyncio.gather(first, second)
        assert "SELECT later" in connection._prepared

    asyncio.run(scenario())


def test_probers_that_make_a_table_at_one_moment_make_the_same_one() -> None:
    for text in TABLES.values():
        assert "IF NOT EXISTS" in text
        assert " ID = " in text
    assert "read_repair = 'NONE' AND speculative_retry = 'NEVER'" in TABLES["added"]
    assert "read_repair = 'BLOCKING'" in TABLES["register"]
    assert REGISTER.startswith(f"{RUN:07x}/")
