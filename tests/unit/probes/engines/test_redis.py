"""The Redis client against a tiny server that speaks just enough of the protocol."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest
from caplab_probes.engines.redis.statements import BEAT, WRITE, WRITE_LEVELS, replicas_of
from caplab_probes.links import Endpoint, NotDone, NotOpened, Result
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import Outcome
from caplab_probes.spec import Limits
from support.databases import loopback
from support.databases.fake_redis import (
    ADD,
    BEAT_ONCE,
    CAS_ONCE,
    COUNT,
    ID,
    INCR,
    LIMITS,
    MULTI,
    READ,
    REGISTER,
    REPLID,
    RUN,
    WRITE_ONCE,
    FakeRedis,
    client_of,
    error,
    fake_redis,
    member_of,
    perform,
    reply_of,
    service_of,
)

from caplab.model.keys import run_number

READONLY = error("READONLY You can't write against a read only replica.")
NOREPLICAS = error("NOREPLICAS Not enough good replicas to write.")
UNBLOCKED = error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
SURE = replace(ADD, level="wait-1")


@pytest.mark.parametrize(
    ("reply", "operation", "outcome", "value"),
    [
        (reply_of(3), ADD, Outcome("ok"), None),
        (reply_of(1), WRITE_ONCE, Outcome("ok"), None),
        (reply_of(3), BEAT_ONCE, Outcome("ok"), None),
        (reply_of(b"42"), READ, Outcome("ok"), 42),
        (reply_of(None), READ, Outcome("ok"), None),
        (reply_of(b"x"), READ, Outcome("fail", "refused"), None),
        (reply_of([]), READ, Outcome("fail", "refused"), None),
        (reply_of(0), WRITE_ONCE, Outcome("fail", "refused"), None),
        (READONLY, ADD, Outcome("fail", "readonly"), None),
        (READONLY, SURE, Outcome("fail", "readonly"), None),
        (READONLY, BEAT_ONCE, Outcome("fail", "readonly"), None),
        (NOREPLICAS, ADD, Outcome("fail", "no-quorum"), None),
        (error("MISCONF Errors writing to the AOF file"), WRITE_ONCE, Outcome("fail", "refused"), None),
        (error("LOADING Redis is loading the dataset in memory"), READ, Outcome("fail", "refused"), None),
        (error("NOPERM this user has no permissions"), ADD, Outcome("fail", "refused"), None),
        (error("NEWCODE"), ADD, Outcome("fail", "refused"), None),
        (b"?no protocol\r\n", ADD, Outcome("info", "closed"), None),
    ],
)
def test_a_reply_has_its_outcome(reply: bytes, operation: Operation, outcome: Outcome, value: int | None) -> None:
    async def scenario() -> None:
        async with fake_redis(reply=reply) as fake:
            (result,) = await perform(fake, operation)
            assert result == Result(outcome=outcome, value=value, server="rd-1", epoch=REPLID)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("level", "acked", "outcome"),
    [
        ("wait-1", reply_of(1), Outcome("ok")),
        ("wait-1", reply_of(2), Outcome("ok")),
        ("wait-1", reply_of(0), Outcome("info", "no-quorum")),
        ("wait-2", reply_of(1), Outcome("info", "no-quorum")),
        ("wait-1", UNBLOCKED, Outcome("info", "no-quorum")),
    ],
)
@pytest.mark.parametrize("operation", [ADD, WRITE_ONCE, BEAT_ONCE])
def test_a_write_with_a_level_counts_when_so_many_replicas_have_it(
    operation: Operation, level: str, acked: bytes, outcome: Outcome
) -> None:
    async def scenario() -> None:
        async with fake_redis(acked=acked) as fake:
            (result,) = await perform(fake, replace(operation, level=level))
            assert result.outcome == outcome
            # It was carried out, whatever WAIT said; and WAIT ends before the operation times out.
            assert fake.lists or fake.registers
            assert fake.commands[-1] == [b"WAIT", level.removeprefix("wait-").encode(), b"180"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reply", "operation", "outcome", "value"),
    [
        # A cas answers what was there, which is what was expected where it took effect.
        (reply_of(b""), CAS_ONCE, Outcome("ok"), None),
        (reply_of(b"7"), CAS_ONCE, Outcome("ok"), 7),
        (reply_of(b"5"), replace(CAS_ONCE, expected=5), Outcome("ok"), 5),
        (reply_of(b""), replace(CAS_ONCE, expected=5), Outcome("ok"), None),
        (reply_of(b"x"), CAS_ONCE, Outcome("fail", "refused"), None),
        (READONLY, CAS_ONCE, Outcome("fail", "readonly"), None),
        (reply_of(33), ID, Outcome("ok"), 33),
        (READONLY, ID, Outcome("fail", "readonly"), None),
        (error("WRONGTYPE Operation against a key"), ID, Outcome("fail", "refused"), None),
        (reply_of(0), INCR, Outcome("ok"), None),
        (READONLY, INCR, Outcome("fail", "readonly"), None),
        (reply_of(b"12"), COUNT, Outcome("ok"), 12),
        (b"+OK\r\n", MULTI, Outcome("ok"), None),
    ],
)
def test_what_several_vantages_change_has_its_outcome_and_what_it_found(
    reply: bytes, operation: Operation, outcome: Outcome, value: int | None
) -> None:
    async def scenario() -> None:
        async with fake_redis(reply=reply) as fake:
            (result,) = await perform(fake, operation)
            cas = operation.op == "cas"
            assert result == Result(
                outcome=outcome,
                value=None if cas else value,
                server="rd-1",
                epoch=REPLID,
                observed=value if cas else None,
            )

    asyncio.run(scenario())


def test_a_cas_that_found_something_else_lacks_no_replica_and_one_that_took_effect_may() -> None:
    async def scenario() -> None:
        async with fake_redis(acked=reply_of(0)) as fake:
            first, second = await perform(
                fake, replace(CAS_ONCE, level="wait-1"), replace(CAS_ONCE, value=9, level="wait-1")
            )
            assert first == Result(outcome=Outcome("info", "no-quorum"), value=None, server="rd-1", epoch=REPLID)
            assert second == Result(
                outcome=Outcome("ok"), value=None, server="rd-1", epoch=REPLID, observed=CAS_ONCE.value
            )
            (given,) = await perform(fake, replace(ID, level="wait-1"))
            assert given == Result(outcome=Outcome("info", "no-quorum"), value=None, server="rd-1", epoch=REPLID)

    asyncio.run(scenario())


def test_a_compare_and_set_a_counter_and_ids_do_what_they_say_and_are_found_apart() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            again = replace(CAS_ONCE, expected=CAS_ONCE.value, value=99)
            results = await perform(fake, CAS_ONCE, again, CAS_ONCE, READ, INCR, INCR, COUNT, ID, ID, MULTI, READ)
            assert [result.observed for result in results[:3]] == [None, CAS_ONCE.value, 99]
            assert [result.value for result in results[3:]] == [99, None, None, 2, 1, 2, None, MULTI.value]
            prefix = f"{RUN:07x}/".encode()
            assert set(fake.registers) == {
                REGISTER.encode(),
                b"counter/" + REGISTER.encode(),
                b"id/" + prefix + b"probe",
            }

    asyncio.run(scenario())


def test_a_scan_of_counters_reads_them_and_nothing_else() -> None:
    async def scenario() -> None:
        prefix = f"{run_number('run-1'):07x}/"
        async with fake_redis() as fake:
            counters = {f"counter/{prefix}{number}".encode(): b"%d" % number for number in range(1, 6)}
            fake.registers = {**counters, f"{prefix}1".encode(): b"7", f"id/{prefix}1".encode(): b"8"}
            scan = await client_of(fake).scan(member_of(fake), "counter-scan", "run-1")
            assert scan.elements == tuple((f"{prefix}{number}", number) for number in range(1, 6))
            scan = await client_of(fake).scan(member_of(fake), "register-scan", "run-1")
            assert scan.elements == ((f"{prefix}1", 7),)

    asyncio.run(scenario())


def test_a_write_its_question_for_the_epoch_and_its_wait_are_one_packet() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            await perform(fake, SURE)
            assert [command[0] for command in fake.commands[-3:]] == [b"RPUSH", b"INFO", b"WAIT"]
            assert len(fake.packets) == 2  # the first one logs in
            assert fake.packets[1].count(b"WAIT") == 1

    asyncio.run(scenario())


def test_a_write_that_fails_does_not_wait_for_replicas_nor_for_its_connection() -> None:
    async def scenario() -> None:
        async with fake_redis(acked=None, reply=NOREPLICAS) as fake:
            link = await client_of(fake).open(service_of(fake))
            async with asyncio.timeout(0.1):
                assert (await link.perform(SURE)).outcome == Outcome("fail", "no-quorum")
            assert not link.alive  # its WAIT may still be answered, and must not be taken for another's reply

    asyncio.run(scenario())


def test_a_connection_that_closes_before_the_reply_is_info_and_is_known_to_be_dead() -> None:
    async def scenario() -> None:
        async with fake_redis(close_instead=True) as fake:
            link = await client_of(fake).open(service_of(fake))
            assert link.alive
            assert (await link.perform(ADD)).outcome == Outcome("info", "closed")
            assert not link.alive
            # The next one is never sent, and no connection is made in secret.
            assert (await link.perform(ADD)).outcome == Outcome("fail", "closed")
            assert (len(fake.operations), fake.connections) == (1, 1)

    asyncio.run(scenario())


def test_a_connection_that_closes_between_a_write_and_what_wait_says_is_info() -> None:
    async def scenario() -> None:
        async with fake_redis(acked=None) as fake:
            link = await client_of(fake).open(service_of(fake))
            performing = asyncio.create_task(link.perform(SURE))
            await asyncio.sleep(0.05)
            assert not performing.done()
            link.close()
            assert (await performing).outcome == Outcome("info", "closed")
            assert fake.lists

    asyncio.run(scenario())


def test_an_idle_connection_that_the_server_ends_is_noticed_before_it_is_used() -> None:
    async def scenario() -> None:
        server = await asyncio.start_server(_greet_and_go, "127.0.0.1", 0)
        fake = FakeRedis(port=server.sockets[0].getsockname()[1])
        link = await client_of(fake).open(service_of(fake))
        await asyncio.sleep(0.1)
        assert not link.alive
        assert (await link.perform(ADD)).outcome == Outcome("fail", "closed")
        server.close()

    async def _greet_and_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"+OK\r\n" + reply_of(b"laddr=127.0.0.1:1 ") + reply_of(b"role:slave"))
        await asyncio.sleep(0.05)
        writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("endpoint", "stays"), [("service", False), ("rd-1", True)])
def test_a_connection_through_the_service_is_given_up_where_it_leads_to_a_replica(
    endpoint: str, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with fake_redis(reply=error("READONLY You can't write against a read only replica.")) as fake:
            link = await client_of(fake).open(Endpoint(endpoint, "127.0.0.1", fake.port))
            assert (await link.perform(ADD)).outcome == Outcome("fail", "readonly")
            assert link.alive  # not at once: clients would do nothing but connect
            monkeypatch.setattr("caplab_probes.engines.opening._RETRY_NS", 0)
            assert (await link.perform(ADD)).outcome == Outcome("fail", "readonly")
            assert link.alive == stays
            link.close()

    asyncio.run(scenario())


def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    async def scenario() -> None:
        async with fake_redis(reply=reply_of(1) + reply_of(b"42")) as fake:
            link = await client_of(fake).open(service_of(fake))
            await link.perform(ADD)
            assert not link.alive

    asyncio.run(scenario())


def test_the_server_is_asked_for_once_a_connection_by_its_own_address() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            results = await perform(fake, ADD, WRITE_ONCE, READ)
            assert {result.server for result in results} == {"rd-1"}
            assert fake.connections == 1
            assert fake.commands[:3] == [
                [b"AUTH", b"caplab", b"secret"],
                [b"CLIENT", b"INFO"],
                [b"INFO", b"replication"],
            ]
            link = await client_of(fake).open(Endpoint("rd-7", "127.0.0.1", fake.port))
            assert link.server == "rd-7"  # a member is who the API server says it is
            link.close()

    asyncio.run(scenario())


def test_an_operation_has_the_replication_id_under_which_it_was_carried_out_and_none_on_a_replica() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            link = await client_of(fake).open(service_of(fake))
            assert (await link.perform(ADD)).epoch == REPLID
            fake.replid = "f" * 40  # as a primary's is when its first replica comes
            assert (await link.perform(ADD)).epoch == "f" * 40
            fake.replid = None
            assert await link.perform(ADD) == Result(
                outcome=Outcome("fail", "readonly"), value=None, server="rd-1", epoch=None
            )
            assert (await link.perform(READ)).epoch is None
            link.close()

    asyncio.run(scenario())


def test_a_wrong_password_refuses_before_anything_is_sent() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            with pytest.raises(NotOpened, match="WRONGPASS") as refused:
                await client_of(fake, password="guess").open(service_of(fake))
            assert refused.value.outcome == Outcome("fail", "refused")
            await asyncio.sleep(0.05)
            assert fake.open == 0

    asyncio.run(scenario())


def test_without_a_password_nobody_logs_in() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            (await client_of(fake, password="").open(service_of(fake))).close()
            assert [command[0] for command in fake.commands] == [b"CLIENT", b"INFO"]

    asyncio.run(scenario())


def test_where_nobody_listens_and_where_a_name_does_not_resolve_it_is_refused() -> None:
    async def scenario() -> None:
        with socket.socket() as taken:  # bound, and not listening
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            for host in ("127.0.0.1", "no-such-host.invalid"):
                with pytest.raises(NotOpened) as refused:
                    await client_of(FakeRedis(), Limits()).open(Endpoint("service", host, port))
                assert refused.value.outcome.outcome == "fail"

    asyncio.run(scenario())


def test_a_server_that_closes_instead_of_a_greeting_is_a_fail() -> None:
    async def scenario() -> None:
        async def go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(go, "127.0.0.1", 0)
        fake = FakeRedis(port=server.sockets[0].getsockname()[1])
        with pytest.raises(NotOpened) as refused:
            await client_of(fake).open(service_of(fake))
        assert refused.value.outcome == Outcome("fail", "closed")
        server.close()

    asyncio.run(scenario())


def test_a_connection_that_is_not_made_in_time_is_given_up_in_time() -> None:
    async def scenario() -> None:
        async with loopback.silent() as port:
            fake = FakeRedis(port=port)
            began = time.monotonic()
            with pytest.raises(NotOpened) as refused:
                await client_of(fake).open(service_of(fake))
            assert refused.value.outcome == Outcome("fail", "timeout")
            assert 0.9 < time.monotonic() - began < 2.5

    asyncio.run(scenario())


def test_only_a_primary_is_prepared() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            await client_of(fake).prepare(member_of(fake))
            assert not fake.operations
            fake.replid = None
            with pytest.raises(NotDone, match="rd-1: the member is not a primary"):
                await client_of(fake).prepare(member_of(fake))

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [0, 7, 10_000, 20_003])
def test_a_scan_of_a_set_reads_it_all_in_pages_and_shows_what_is_there_twice(count: int) -> None:
    async def scenario() -> None:
        key = f"caplab/{run_number('run-1'):07x}/set".encode()
        async with fake_redis() as fake:
            fake.lists[key] = [b"%d" % (value // 2) for value in range(count)]
            limits = replace(LIMITS, scan_seconds=10)
            scan = await client_of(fake, limits).scan(member_of(fake), "set-scan", "run-1")
            assert (scan.server, scan.primary, scan.epoch) == ("rd-1", True, REPLID)
            assert scan.elements == tuple((None, value // 2) for value in range(count))
            assert len(fake.operations) == 1 + count // 10_000

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_scan_of_registers_reads_each_of_the_run_once(count: int) -> None:
    async def scenario() -> None:
        prefix = f"{run_number('run-1'):07x}/"
        async with fake_redis(replid=None) as fake:
            fake.registers = {f"{prefix}{number}".encode(): b"%d" % number for number in range(count)}
            fake.registers |= {b"0000000/1": b"5", f"caplab/{prefix}x".encode(): b"6"}
            scan = await client_of(fake).scan(member_of(fake), "register-scan", "run-1")
            assert (scan.primary, scan.epoch) == (False, None)
            assert scan.elements == tuple((f"{prefix}{number}", number) for number in range(count))

    asyncio.run(scenario())


def test_a_scan_that_hangs_or_fails_is_not_done() -> None:
    async def scenario() -> None:
        async with fake_redis(hang=asyncio.Event()) as fake:
            with pytest.raises(NotDone, match=r"rd-1: not done within 0.5 s"):
                await client_of(fake).scan(member_of(fake), "set-scan", "run-1")
            fake.hang, fake.reply = None, error("LOADING Redis is loading the dataset in memory")
            for workload in ("set-scan", "register-scan"):
                with pytest.raises(NotDone, match="rd-1: LOADING"):
                    await client_of(fake).scan(member_of(fake), workload, "run-1")

    asyncio.run(scenario())


def test_each_operation_is_one_command_with_the_keys_of_its_run() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            await perform(fake, ADD, BEAT_ONCE, WRITE_ONCE, READ)
            value, register = str(ADD.value).encode(), REGISTER.encode()
            assert fake.operations == [
                [b"RPUSH", b"caplab/0000009/set", value],
                [b"EVAL", BEAT.encode(), b"1", b"caplab/0000009/clock", value],
                [b"EVAL", WRITE.encode(), b"1", register, value],
                [b"GET", register],
            ]

    asyncio.run(scenario())


def test_an_older_write_does_not_undo_a_newer_one() -> None:
    async def scenario() -> None:
        async with fake_redis() as fake:
            newer, older = WRITE_ONCE, replace(WRITE_ONCE, value=(WRITE_ONCE.value or 0) - 1)
            results = await perform(fake, newer, older, READ)
            assert [result.outcome.outcome for result in results] == ["ok", "fail", "ok"]
            assert results[-1].value == newer.value

    asyncio.run(scenario())


def test_levels_say_how_many_replicas() -> None:
    assert [replicas_of(level) for level in (None, *WRITE_LEVELS)] == list(range(9))
