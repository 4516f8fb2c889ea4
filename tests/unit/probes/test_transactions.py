"""The workload txn: what transactions are drawn, and what a probe may ask for."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from caplab_probes.engines import factory_for
from caplab_probes.load.transactions import MicroOp
from caplab_probes.load.workloads import Operation, Writer, operation, transaction_of
from caplab_probes.spec import ClientOptions, ProbeSpec

from caplab.contract.objects import Levels, TransactionSettings

SPEC = ProbeSpec(
    run_id="run-1",
    workload="txn",
    rate=20,
    routes=("service", "replica"),
    vantages=("a", "b", "c"),
    seed=3,
    levels=Levels(read="repeatable-read", write="serializable"),
    transactions=TransactionSettings(),
)


def drawn(settings: TransactionSettings, count: int = 2000, vantage: int = 0) -> list[Operation]:
    spec = replace(SPEC, transactions=settings)
    return [operation(Writer(spec, vantage), index) for index in range(count)]


def of_all_vantages(settings: TransactionSettings, count: int = 2000) -> list[Operation]:
    return [op for vantage in range(3) for op in drawn(settings, count, vantage)]


def micro_ops(operations: list[Operation]) -> list[MicroOp]:
    return [micro for op in operations for micro in op.txn]


def test_a_transaction_has_as_many_operations_and_keys_as_are_asked_for_at_most() -> None:
    for operations, keys in ((1, 1), (4, 2), (8, 8)):
        some = drawn(TransactionSettings(operations=operations, keys=keys))
        assert {len(op.txn) for op in some} == set(range(1, operations + 1))
        assert max(len({micro.key for micro in op.txn}) for op in some) == min(keys, 4, operations)


def test_the_same_probe_draws_the_same_transactions_and_another_seed_or_vantage_others() -> None:
    writers = [Writer(SPEC, 0), Writer(SPEC, 0), Writer(replace(SPEC, seed=4), 0), Writer(SPEC, 1), Writer(SPEC, 0, 1)]
    first, same, *others = [[operation(writer, index).txn for index in range(50)] for writer in writers]
    assert first == same
    assert all(first != other for other in others)


@pytest.mark.parametrize("share", [0, 20, 50, 100])
def test_so_many_of_the_micro_operations_are_reads(share: int) -> None:
    reads = [micro.is_read for micro in micro_ops(drawn(TransactionSettings(read_share=share)))]
    assert abs(100 * sum(reads) / len(reads) - share) < 4


@pytest.mark.parametrize(
    ("model", "write", "of_list"), [("list-append", "append", True), ("rw-register", "write", False)]
)
def test_every_value_is_unique_and_tells_its_transaction(model: str, write: str, of_list: bool) -> None:
    some = of_all_vantages(TransactionSettings(model=model))
    writes = [micro for micro in micro_ops(some) if not micro.is_read]
    assert {(micro.op, micro.of_list) for micro in writes} == {(write, of_list)}
    assert len({micro.value for micro in writes}) == len(writes)
    for op in some:
        assert all(transaction_of(micro.written) == op.index for micro in op.txn if not micro.is_read)


def test_all_vantages_meet_at_few_keys_of_a_route_that_change_one_after_the_other() -> None:
    settings = TransactionSettings(active_keys=3, writes_per_key=20)
    writes: Counter[str] = Counter()
    lives: defaultdict[str, list[int]] = defaultdict(list)
    for vantage in range(3):
        for op in drawn(settings, 2000, vantage):
            for micro in op.txn:
                assert f"/{op.route}/" in micro.key
                writes[micro.key] += not micro.is_read
                lives[micro.key].append(op.index)
    of_route = [life for key, life in lives.items() if "/service/" in key]
    assert len(of_route) > 20
    for index in range(100, 1900):
        assert 2 <= sum(min(life) <= index <= max(life) for life in of_route) <= 5
    begun = sorted(min(life) for life in of_route)[3:]
    assert all(second > first for first, second in pairwise(begun))  # one at a time
    full = sorted(writes.values())[6:]
    assert 0.8 * 20 < sum(full) / len(full) < 1.2 * 20


def test_without_writes_the_keys_stay() -> None:
    assert len({micro.key for micro in micro_ops(drawn(TransactionSettings(read_share=100)))}) == 2 * 4


def test_keys_are_written_in_one_order_so_that_transactions_do_not_deadlock() -> None:
    for op in of_all_vantages(TransactionSettings(keys=4, operations=8, writes_per_key=1024), 300):
        written = [int(micro.key.rpartition("/")[2]) % 4 for micro in op.txn if not micro.is_read]
        assert written == sorted(written)


def test_transactions_read_before_they_write_the_same_key() -> None:
    some = drawn(TransactionSettings())
    read_then_written = 0
    for op in some:
        seen = set()
        for micro in op.txn:
            read_then_written += not micro.is_read and micro.key in seen
            seen |= {micro.key} if micro.is_read else set()
    assert read_then_written > len(some) / 5


@pytest.mark.parametrize("operations", [2, 3, 8])
def test_so_many_transactions_read_all_their_keys_and_then_write_one(operations: int) -> None:
    settings = TransactionSettings(keys=3, operations=operations, read_share=0, skew_share=30)
    skewing = [op.txn for op in drawn(settings) if any(micro.is_read for micro in op.txn)]
    assert abs(100 * len(skewing) / len(drawn(settings)) - 30) < 4
    for *reads, write in skewing:
        keys = {micro.key for micro in reads}
        assert len(reads) == len(keys) == min(3, operations - 1)
        assert not write.is_read
        assert write.key in keys


def test_what_only_reads_has_the_level_of_reads() -> None:
    for op in drawn(TransactionSettings()):
        reads = all(micro.is_read for micro in op.txn)
        assert op.only_reads == reads
        assert op.level == ("repeatable-read" if reads else "serializable")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"transactions": TransactionSettings(model="lists")},
            "transactions.model is 'lists'. Hint: one of list-append",
        ),
        (
            {"transactions": TransactionSettings(operations=9)},
            "transactions.operations is 9. Hint: a whole number, 1 to 8",
        ),
        ({"transactions": TransactionSettings(keys=0)}, "transactions.keys is 0"),
        ({"transactions": TransactionSettings(active_keys=1001)}, "transactions.activeKeys is 1001"),
        ({"transactions": TransactionSettings(writes_per_key=0)}, "transactions.writesPerKey is 0"),
        ({"transactions": TransactionSettings(read_share=101)}, "transactions.readShare is 101. Hint: .* 0 to 100"),
        ({"transactions": TransactionSettings(skew_share=-1)}, "transactions.skewShare is -1. Hint: .* 0 to 100"),
        (
            {"transactions": TransactionSettings(skew_share=1, operations=1)},
            "transactions.operations is 1. Hint: 2 or more",
        ),
        ({"workload": "set"}, "transactions is given. Hint: leave it out; it is for the workload txn"),
        ({"client": ClientOptions(read_routing="causal")}, "client.readRouting is 'causal'. Hint: leave it out"),
    ],
)
def test_transactions_that_make_no_sense_are_refused_with_the_hint(changed: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(SPEC, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        (
            Levels(read="repeatable-read", write="wait-1"),
            "levels.write of the workload txn is 'wait-1'. Hint: use one of",
        ),
        (Levels(read="ONE"), "levels.read of the workload txn is 'ONE'. Hint: use one of read-committed"),
        (Levels(read="serializable"), "levels.read is 'serializable'. Hint: use another level on the route replica"),
    ],
)
def test_a_level_that_postgres_or_its_replicas_do_not_have_is_refused_with_the_hint(levels: Levels, says: str) -> None:
    factory = factory_for("PostgresCluster")
    factory.check(SPEC)
    factory.check(replace(SPEC, routes=("service",), levels=Levels(read="serializable")))
    with pytest.raises(ValueError, match=says):
        factory.check(replace(SPEC, levels=levels))
