"""Transactions on Cassandra: statements, what answers mean, and what is read (pure)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from caplab_probes.engines.cassandra.outcomes import Answer
from caplab_probes.engines.cassandra.statements import Kind
from caplab_probes.engines.cassandra.transactions import (
    aborted,
    batch_of,
    ended,
    is_conditional,
    keys_read,
    read_by,
    texts_of,
    version_in,
    version_read,
)
from caplab_probes.load.transactions import MicroOp
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import CONFLICT, OK, Outcome
from cassandra import ConsistencyLevel, OperationTimedOut, ReadTimeout, Unavailable, WriteTimeout, WriteType

PART = "0000009/load/service"


def micro(op: str, key: int, value: int | None = None, of_list: bool = True) -> MicroOp:
    return MicroOp(op, f"{PART}/{key}", of_list, value)


TXN = Operation(
    index=0,
    op="txn",
    route="service",
    workload="txn",
    level="SERIAL",
    txn=(micro("read", 1), micro("append", 1, 7), micro("read", 2), micro("append", 1, 8), micro("append", 3, 9)),
)
PLAIN = replace(TXN, level=None)


def test_a_conditional_batch_compares_the_partitions_version_and_writes_each_key_once() -> None:
    batch = batch_of(TXN, 5)
    assert batch.text.count("IF version = ?") == 1
    assert batch.text.count("elements = elements + ?") == 2
    assert batch.values == (7, 9, PART, 5, (7, 8), 9, PART, "1", (9,), 9, PART, "3")
    assert (batch.kind, batch.level, batch.serial) == (
        Kind.CONDITIONAL,
        ConsistencyLevel.QUORUM,
        ConsistencyLevel.SERIAL,
    )
    assert batch_of(TXN, None).values[3] is None
    assert is_conditional(TXN)
    assert version_read(TXN).level == ConsistencyLevel.SERIAL


def test_a_plain_batch_compares_nothing_and_is_not_sent_twice() -> None:
    batch = batch_of(PLAIN, None)
    assert "IF" not in batch.text
    assert (batch.kind, batch.level, batch.serial) == (Kind.BATCH, ConsistencyLevel.QUORUM, None)
    assert batch.values == ((7, 8), 9, PART, "1", (9,), 9, PART, "3")
    assert not is_conditional(PLAIN)


def test_the_last_write_of_a_register_counts() -> None:
    registers = tuple(micro("write", key, value, of_list=False) for key, value in ((1, 5), (2, 6), (1, 7)))
    batch = batch_of(replace(PLAIN, txn=registers), None)
    assert batch.values == (7, 9, PART, "1", 6, 9, PART, "2")
    assert batch.text.count("SET value = ?") == 2


def test_all_keys_are_read_in_one_statement_each_once() -> None:
    reads = keys_read(replace(TXN, txn=(*TXN.txn, micro("read", 1))))
    assert reads
    assert reads.values == (9, PART, ("1", "2"))
    assert (reads.kind, reads.level) == (Kind.READ, ConsistencyLevel.SERIAL)
    assert keys_read(replace(TXN, txn=(micro("append", 1, 7),))) is None


@pytest.mark.parametrize("operation", [TXN, PLAIN, replace(PLAIN, txn=(micro("write", 1, 5, of_list=False),))])
def test_every_statement_is_one_of_the_texts_that_are_prepared(operation: Operation) -> None:
    texts = texts_of(operation)
    used = [batch_of(operation, None), version_read(operation), keys_read(operation)]
    assert {statement.text for statement in used if statement} <= set(texts)
    assert all(text.count("?") == len(statement.values) for statement in used if statement for text in [statement.text])


def test_a_transaction_reads_what_it_has_written_itself() -> None:
    done = read_by((*TXN.txn, micro("read", 1), micro("read", 3)), [("1", [5, 6])])
    assert [each.value for each in done] == [(5, 6), 7, (), 8, 9, (5, 6, 7, 8), (9,)]
    registers = (micro("read", 1, of_list=False), micro("write", 1, 7, of_list=False), micro("read", 1, of_list=False))
    assert [each.value for each in read_by(registers, [("1", 5)])] == [5, 7, 7]
    assert read_by(registers[:1], [])[0].value is None


def test_a_version_that_is_not_there_is_none() -> None:
    assert version_in(Answer()) is None
    assert version_in(Answer(rows=((9, PART, None),))) is None
    assert version_in(Answer(rows=((9, PART, 5),))) == 5


TIMED_OUT = WriteTimeout("x", write_type=WriteType.CAS)


@pytest.mark.parametrize(
    ("answer", "conditional", "plain"),
    [
        (Answer(rows=((True,),)), OK, OK),
        (Answer(rows=((False, 5),)), CONFLICT, OK),
        (Answer(error=TIMED_OUT), Outcome("info", "timeout"), Outcome("info", "timeout")),
        (Answer(error=Unavailable("x")), Outcome("info", "no-quorum"), Outcome("fail", "no-quorum")),
        (Answer(error=OperationTimedOut()), Outcome("info", "timeout"), Outcome("info", "timeout")),
    ],
)
def test_what_answers_a_batch_has_its_outcome(answer: Answer, conditional: Outcome, plain: Outcome) -> None:
    assert ended(batch_of(TXN, 5), answer) == conditional
    assert ended(batch_of(PLAIN, None), answer) == plain


@pytest.mark.parametrize("error", [ReadTimeout("x"), OperationTimedOut()])
def test_a_transaction_whose_reads_failed_surely_wrote_nothing(error: Exception) -> None:
    assert aborted(Answer(error=error)) == Outcome("fail", "timeout")
