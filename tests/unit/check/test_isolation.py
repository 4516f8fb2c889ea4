"""Isolation: each planted anomaly is found, named and proven, and what only looks wrong is not."""

from __future__ import annotations

from typing import Any

import pytest
from support.checkers.planted_isolation import PLANTED
from support.checkers.transactions import Transaction, concurrent, in_turn, table_of

from caplab.check import CHECKERS, Context, Finding, State
from caplab.model.history import Table

ENOUGH = Context(enough=1)


def check(history: Table, context: Context = ENOUGH) -> Finding:
    return CHECKERS["isolation"].check(history, context)


def rows_of(witness: Any) -> tuple[int, ...]:
    return tuple(operation["row"] for operation in witness["operations"])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_anomaly_is_found_named_and_proven(name: str) -> None:
    planted = PLANTED[name]
    finding = check(planted.history())
    assert finding.state is State.VIOLATED
    assert int(str(finding.figures[planted.figure])) >= 1
    assert finding.figures["model"] == planted.model, finding.reason
    assert planted.rows in [rows_of(each) for each in finding.figures["witnesses"]]  # type: ignore[union-attr]


VALID = {
    "reads of every state": (
        '[["r","x",[]],["append","x",1]]',
        '[["r","x",[1]],["append","x",2]]',
        '[["r","x",[1,2]]]',
    ),
    "registers overwritten in turn": ('[["r","x",null],["w","x",1]]', '[["r","x",1],["w","x",2]]', '[["r","x",2]]'),
    "its own appends": ('[["append","x",1],["r","x",[1]],["append","x",2],["r","x",[1,2]]]', '[["r","x",[1,2]]]'),
    "its own writes": ('[["w","x",1],["r","x",1],["w","x",2],["r","x",2]]', '[["r","x",2]]'),
    "a list read as null": ('[["r","x",null]]', '[["append","x",1]]', '[["r","x",[1]]]'),
}


@pytest.mark.parametrize("name", VALID)
def test_what_ran_in_turn_is_strict_serializable(name: str) -> None:
    finding = check(in_turn(*VALID[name]))
    assert (finding.state, finding.figures["model"]) == (State.HOLDS, "strict serializable"), finding.reason


def test_what_overlapped_may_take_effect_in_either_order() -> None:
    finding = check(concurrent('[["append","x",2]]', '[["append","x",1]]', '[["r","x",[1,2]]]', '[["r","x",[1]]]'))
    assert finding.state is State.HOLDS


def test_at_one_moment_is_no_order_of_time() -> None:
    first = Transaction(micro='[["append","x",1]]', begin=0, end=5)
    stale = Transaction(micro='[["r","x",[]]]', begin=5, end=9)
    late = Transaction(micro='[["r","x",[1]]]', begin=20, end=29)
    assert check(table_of([first, stale, late])).state is State.HOLDS


def test_what_never_returned_may_take_effect_much_later_or_never() -> None:
    unknown = Transaction(micro='[["append","x",1],["r","y",null]]', begin=0, end=None, outcome="info")
    before = Transaction(micro='[["r","x",[]]]', begin=100, end=110)
    after = Transaction(micro='[["r","x",[1]]]', begin=200, end=210)
    assert check(table_of([unknown, before])).figures["model"] == "strict serializable"
    assert check(table_of([unknown, before, after])).state is State.HOLDS


def test_a_level_that_was_asked_for_decides_what_is_a_violation() -> None:
    skew = ('[["r","x",[]],["append","y",1]]', '[["r","y",[]],["append","x",1]]')
    assert check(concurrent(*skew, level="repeatable-read")).state is State.HOLDS
    assert check(concurrent(*skew, level="READ COMMITTED")).state is State.HOLDS
    serializable = check(concurrent(*skew, level="serializable"))
    assert serializable.state is State.VIOLATED
    assert serializable.reason.startswith(
        "Not serializable. The strongest model that the history allows is strong snapshot isolation."
        " Write skew (G2-item): row 1"
    )


def test_a_level_of_the_command_is_that_of_transactions_without_one() -> None:
    skew = ('[["r","x",[]],["append","y",1]]', '[["r","y",[]],["append","x",1]]')
    weak, strict = Context(enough=1, level="snapshot-isolation"), Context(enough=1, level="serializable")
    assert check(concurrent(*skew), weak).state is State.HOLDS
    assert check(concurrent(*skew), strict).state is State.VIOLATED
    assert check(concurrent(*skew, level="read committed"), strict).state is State.HOLDS
    assert check(concurrent(*skew), weak).figures["asked"] == "snapshot-isolation"


def test_a_stale_read_is_allowed_where_serializable_was_asked_for() -> None:
    stale = ('[["append","x",1]]', '[["r","x",[]]]', '[["r","x",[1]]]')
    rows = [Transaction(micro=each, begin=10 * n, end=10 * n + 5, level="serializable") for n, each in enumerate(stale)]
    assert check(table_of(rows)).state is State.HOLDS


def test_a_level_of_another_name_is_unknown() -> None:
    finding = check(concurrent('[["append","x",1]]', '[["r","x",[1]]]', level="MOSTLY"))
    assert finding.state is State.UNKNOWN
    assert "The level 'MOSTLY' is not known here" in finding.reason


@pytest.mark.parametrize("level", ["watch", "multi", "SERIAL", "LOCAL_SERIAL"])
def test_transactions_of_redis_and_lightweight_ones_of_cassandra_are_strict_serializable(level: str) -> None:
    stale = ('[["append","x",1]]', '[["r","x",[]]]', '[["r","x",[1]]]')
    rows = [Transaction(micro=each, begin=10 * n, end=10 * n + 5, level=level) for n, each in enumerate(stale)]
    assert check(table_of(rows)).state is State.VIOLATED


@pytest.mark.parametrize("level", ["ONE", "LOCAL_QUORUM", "QUORUM", "ALL"])
def test_a_plain_batch_promises_no_isolation(level: str) -> None:
    skew = ('[["r","x",[]],["append","y",1]]', '[["r","y",[]],["append","x",1]]')
    lost = ('[["r","z",[]],["append","z",3]]', '[["r","z",[]],["append","z",4]]', '[["r","z",[3,4]]]')
    finding = check(concurrent(*skew, *lost, level=level))
    assert finding.state is State.HOLDS
    assert finding.figures["lost_updates"] == 1


def test_blind_writes_of_a_register_leave_it_unknown() -> None:
    finding = check(in_turn('[["w","x",1]]', '[["w","x",2]]', '[["r","x",2]]'))
    assert finding.state is State.UNKNOWN
    assert finding.figures["unplaced"] == 2


def test_a_blind_write_that_never_returned_and_was_read_leaves_it_unknown() -> None:
    blind = Transaction(micro='[["w","x",2]]', begin=0, end=None, outcome="info")
    others = ('[["r","x",null],["w","x",1]]', '[["r","x",2]]', '[["r","x",1]]', '[["r","x",2]]')
    told = [Transaction(micro=each, begin=10 * at, end=10 * at + 5) for at, each in enumerate(others)]
    assert check(table_of([blind, *told])).figures["unplaced"] == 1
    assert check(table_of([blind, *told])).state is State.UNKNOWN
    assert check(table_of([blind, told[0], told[2]])).state is State.HOLDS  # it need not have happened


def test_what_never_returned_and_was_not_read_need_not_have_happened() -> None:
    unknown = Transaction(micro='[["append","x",1],["append","y",1]]', begin=0, end=None, outcome="info")
    reader = Transaction(micro='[["r","x",[]],["r","y",[]]]', begin=100, end=110)
    later = Transaction(micro='[["append","y",2]]', begin=200, end=210)
    last = Transaction(micro='[["r","y",[2]]]', begin=300, end=310)
    assert check(table_of([unknown, reader, later, last])).figures["model"] == "strict serializable"


def test_a_skew_of_two_writers_whose_order_is_not_known_leaves_snapshot_isolation_unknown() -> None:
    skew = ('[["r","x",[]],["append","y",1],["append","z",1]]', '[["r","y",[]],["append","x",1],["append","z",2]]')
    finding = check(concurrent(*skew, level="snapshot isolation"))
    assert (finding.state, finding.figures["undecided"]) == (State.UNKNOWN, 1)
    assert check(concurrent(*skew, level="read committed")).state is State.HOLDS
    assert check(concurrent(*skew, '[["r","z",[1]]]', level="snapshot isolation")).state is State.VIOLATED


def test_values_that_repeat_leave_it_unknown_and_prove_nothing() -> None:
    finding = check(in_turn('[["append","x",1]]', '[["append","x",1]]', '[["r","x",[1,1]]]', '[["r","x",[1]]]'))
    assert finding.state is State.UNKNOWN
    assert finding.figures["repeated"] == 1


def test_few_transactions_are_not_enough() -> None:
    finding = check(in_turn('[["append","x",1]]', '[["r","x",[1]]]'), Context())
    assert finding.state is State.UNKNOWN
    assert finding.reason == "Only 2 committed transactions; 20 are needed."


def test_transactions_that_share_nothing_prove_nothing() -> None:
    assert check(in_turn('[["append","x",1]]', '[["append","y",1]]')).state is State.UNKNOWN


def test_a_cycle_is_told_transaction_by_transaction() -> None:
    finding = check(concurrent('[["append","x",1],["append","y",2]]', '[["r","x",[1]],["r","y",[]]]'))
    assert finding.figures["witnesses"][0]["what"] == (  # type: ignore[index,call-overload]
        "Read skew (G-single): row 2 read 'y' as [], without 2, which row 1 appended; row 2 read 'x' as [1], where"
        " row 1 appended 1. So row 2 comes before row 1, and row 1 before row 2: a cycle."
    )
    assert finding.figures["witnesses"][0]["operations"][0]["txn"] == [  # type: ignore[index,call-overload]
        ["append", "x", 1], ["append", "y", 2],
    ]  # fmt: skip


def test_many_readers_before_many_unread_appends_take_few_edges() -> None:
    """Every reader of nothing comes before every append: their pairs are not edges of their own."""
    readers = [Transaction(micro=f'[["r","x",[]],["append","x",{n}]]') for n in range(60)]
    finding = check(table_of(readers))
    assert finding.figures["lost_updates"] == 59
    assert finding.figures["g2_item"] == 1
    assert int(str(finding.figures["dependencies"])) < 60 * 59
    apart = [Transaction(micro='[["r","x",[]]]') for _ in range(60)]
    appends = [Transaction(micro=f'[["append","x",{n}]]') for n in range(60)]
    assert check(table_of(apart + appends)).figures["model"] == "strict serializable"
