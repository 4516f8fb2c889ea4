"""Transactions on Redis: what is watched and sent, and what each answer means, against a tiny server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import hiredis
import pytest
from caplab_probes.engines import factory_for
from caplab_probes.engines.redis.client import client
from caplab_probes.links import Endpoint, Result, Topology
from caplab_probes.load.transactions import MicroOp
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import CONFLICT, OK, Outcome
from caplab_probes.spec import ProbeSpec
from support.databases.fake_redis import LIMITS, REPLID, error, reply_of
from support.databases.loopback import listening

from caplab.contract.objects import Levels

READ_X, READ_Y = MicroOp("read", "x", True), MicroOp("read", "y", True)
TXN = Operation(
    index=0,
    op="txn",
    route="service",
    workload="txn",
    level="watch",
    txn=(READ_X, MicroOp("append", "x", True, 7), READ_X, READ_Y),
)
QUEUED = b"+QUEUED\r\n"
DONE = [b"+OK\r\n", QUEUED, QUEUED]
NIL = b"*-1\r\n"


@dataclass
class ScriptedRedis:
    """Answers what is no question about itself with the replies set on it; closes instead at an empty one."""

    replies: list[bytes]
    replid: str | None = REPLID
    commands: list[list[bytes]] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                answer = self._answer(command)
                if not answer:
                    writer.close()
                    return
                writer.write(answer)
        writer.close()

    def _answer(self, command: list[bytes]) -> bytes:
        if command[0] == b"CLIENT":
            return reply_of(b"laddr=127.0.0.1:%d\n" % self.port)
        if command[0] == b"INFO":
            role = b"master\r\nmaster_replid:%s" % self.replid.encode() if self.replid else b"slave"
            return reply_of(b"# Replication\r\nrole:%s\r\n" % role)
        self.commands.append(command)
        return self.replies.pop(0)


def carried_out(operation: Operation, *replies: bytes, replid: str | None = REPLID) -> tuple[Result, ScriptedRedis]:
    async def scenario() -> tuple[Result, ScriptedRedis]:
        async with listening(ScriptedRedis([*replies], replid)) as fake:
            login = {"username": "default", "password": ""}
            made = client(login, LIMITS, lambda: Topology(None, ()))
            link = await made.open(Endpoint("service", "localhost", fake.port))
            result = await link.perform(operation)
            link.close()
            return result, fake

    return asyncio.run(scenario())


READ_FIRST = [b"+OK\r\n", reply_of([b"1", b"2"]), reply_of([])]
EXECUTED = [b"+OK\r\n", QUEUED, QUEUED, reply_of([3, [b"1", b"2", b"7"]])]


def test_what_is_not_the_transactions_own_is_watched_and_read_before_it() -> None:
    result, fake = carried_out(TXN, *READ_FIRST, *EXECUTED)
    assert result.outcome == OK
    assert [micro.value for micro in result.txn] == [(1, 2), 7, (1, 2, 7), ()]
    assert result.epoch == REPLID
    assert fake.commands == [
        [b"WATCH", b"txn-list/x", b"txn-list/y"],
        [b"LRANGE", b"txn-list/x", b"0", b"-1"],
        [b"LRANGE", b"txn-list/y", b"0", b"-1"],
        [b"MULTI"],
        [b"RPUSH", b"txn-list/x", b"7"],
        [b"LRANGE", b"txn-list/x", b"0", b"-1"],
        [b"EXEC"],
    ]


def test_at_level_multi_all_of_it_is_between_multi_and_exec() -> None:
    replies = [b"+OK\r\n", *[QUEUED] * 4, reply_of([[b"1"], 2, [b"1", b"7"], []])]
    result, fake = carried_out(replace(TXN, level="multi"), *replies)
    assert [micro.value for micro in result.txn] == [(1,), 7, (1, 7), ()]
    assert [command[0] for command in fake.commands] == [b"MULTI", b"LRANGE", b"RPUSH", b"LRANGE", b"LRANGE", b"EXEC"]


def test_registers_are_set_and_got() -> None:
    registers = (MicroOp("read", "x", False), MicroOp("write", "x", False, 7), MicroOp("read", "y", False))
    replies = [b"+OK\r\n", reply_of(b"5"), reply_of(None), b"+OK\r\n", QUEUED, b"*1\r\n+OK\r\n"]
    result, fake = carried_out(replace(TXN, txn=registers), *replies)
    assert [micro.value for micro in result.txn] == [5, 7, None]
    assert [b"SET", b"txn-register/x", b"7"] in fake.commands


def test_what_only_reads_is_checked_by_an_empty_exec() -> None:
    replies = [b"+OK\r\n", reply_of([b"1"]), b"+OK\r\n", b"*0\r\n"]
    result, fake = carried_out(replace(TXN, route="replica", txn=(READ_X,)), *replies, replid=None)
    assert (result.outcome, result.txn[0].value, result.epoch) == (OK, (1,), None)
    assert [command[0] for command in fake.commands] == [b"WATCH", b"LRANGE", b"MULTI", b"EXEC"]


@pytest.mark.parametrize(
    ("exec_", "outcome"),
    [
        ([*DONE, NIL], CONFLICT),
        ([b"+OK\r\n", error("READONLY a replica"), QUEUED, error("EXECABORT")], Outcome("fail", "readonly")),
        ([b"+OK\r\n", error("OOM"), QUEUED, error("EXECABORT")], Outcome("fail", "refused")),
        ([error("LOADING")], Outcome("fail", "refused")),
        ([*DONE, error("NOREPLICAS")], Outcome("fail", "no-quorum")),
        # Redis carries out the others all the same.
        ([*DONE, b"*2\r\n-WRONGTYPE\r\n*0\r\n"], Outcome("info", "refused")),
        ([*DONE, b""], Outcome("info", "closed")),
        ([b""], Outcome("info", "closed")),
    ],
)
def test_what_comes_instead_of_success_has_its_outcome_and_shows_no_reads(exec_: list[bytes], outcome: Outcome) -> None:
    result, _ = carried_out(TXN, *READ_FIRST, *exec_)
    assert (result.outcome, result.txn) == (outcome, ())


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([b""], Outcome("fail", "closed")),
        ([b"+OK\r\n", b""], Outcome("fail", "closed")),
        ([b"+OK\r\n", error("MASTERDOWN"), reply_of([])], Outcome("fail", "refused")),
    ],
)
def test_a_transaction_that_fails_before_exec_is_sent_surely_did_not_happen(
    replies: list[bytes], outcome: Outcome
) -> None:
    result, fake = carried_out(TXN, *replies)
    assert result.outcome == outcome
    assert [b"EXEC"] not in fake.commands


def test_a_replica_is_not_taken_for_the_primary() -> None:
    result, fake = carried_out(TXN, replid=None)
    assert (result.outcome, fake.commands) == (Outcome("fail", "readonly"), [])


def test_redis_has_its_own_levels_of_transactions() -> None:
    spec = ProbeSpec(run_id="r", workload="txn", rate=1, routes=("service",), vantages=("a",), seed=0)
    factory = factory_for("RedisCluster")
    factory.check(replace(spec, levels=Levels(read="multi", write="watch")))
    with pytest.raises(
        ValueError, match=r"levels.write of the workload txn is 'wait-1'. Hint: use one of watch, multi"
    ):
        factory.check(replace(spec, levels=Levels(write="wait-1")))
