"""What a prober knows of its own acknowledged writes, live, against the checker that judges when a run is over."""

from __future__ import annotations

from typing import Any

import pytest
from caplab_probes.acked import WRITES_PER_KEY, AckedWrites
from caplab_probes.exporter import BUCKETS, Exporter
from caplab_probes.history.writer import Row
from hypothesis import example, given
from hypothesis import strategies as some
from support.checkers.histories import at, history

from caplab.check import Context
from caplab.check.staleness import check


def acked_writes(*writes: tuple[int, int, int]) -> AckedWrites:
    acked = AckedWrites()
    for version, invoke_ns, ack_ns in writes:
        acked.note("k", version, invoke_ns, ack_ns)
    return acked


def test_the_oldest_ack_that_a_read_missed_is_known() -> None:
    acked = acked_writes((3, 8, 10), (4, 20, 30), (5, 32, 40))
    assert acked.missed_since("k", 3, 50) == 30
    assert acked.missed_since("k", 4, 50) == 40
    assert acked.missed_since("k", 5, 50) is None
    assert acked.missed_since("k", 6, 50) is None  # of a write that is still under way
    assert acked.missed_since("k", None, 50) == 10
    assert acked.missed_since("k", 3, 30) is None  # acknowledged as it began: not before
    assert acked.missed_since("other", 1, 50) is None


@pytest.mark.parametrize(
    "writes",
    [
        [(3, 8, 30), (4, 20, 25)],  # slow, and may have taken effect last
        [(4, 20, 25)],  # never acknowledged: it may take effect at any time
        [(2, 1, 2), (4, 20, 25)],
    ],
)
def test_what_may_have_been_written_late_is_not_called_stale(writes: list[tuple[int, int, int]]) -> None:
    assert acked_writes(*writes).missed_since("k", 3, 50) is None


def test_memory_is_bounded_and_the_newest_are_kept() -> None:
    acked = acked_writes(*((version, 2 * version, 2 * version + 1) for version in range(10 * WRITES_PER_KEY)))
    assert len(acked._writes["k"]) == WRITES_PER_KEY
    # The oldest that it missed is forgotten; that it missed some is not.
    assert acked.missed_since("k", 0, 99 * WRITES_PER_KEY) == 2 * 9 * WRITES_PER_KEY + 1


def test_memory_is_bounded_also_where_there_are_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplab_probes.acked.WRITES_IN_ALL", 100)
    acked, keys = AckedWrites(), [f"k{number}" for number in range(60)]
    for version in range(50):
        for key in keys:
            acked.note(key, version, 2 * version, 2 * version + 1)
    assert sum(map(len, acked._writes.values())) <= 100 + len(keys)
    assert all(acked.missed_since(key, 0, 1000) is not None for key in keys)
    assert all(acked.missed_since(key, 49, 1000) is None for key in keys)


OUTCOMES = some.sampled_from(["ok", "ok", "ok", "info", "fail"])
# A write with its outcome, or a read of what was current so many writes ago.
STEPS = some.tuples(some.just("write"), OUTCOMES) | some.tuples(some.just("read"), some.integers(0, 4))


@given(some.lists(some.tuples(some.sampled_from("kl"), STEPS), min_size=1, max_size=30))
@example([("k", ("write", "ok")), ("k", ("write", "ok")), ("k", ("read", 1))])
@example([("k", ("write", "ok")), ("k", ("write", "info")), ("k", ("write", "ok")), ("k", ("read", 1))])
def test_of_one_vantage_it_counts_what_the_checker_counts(steps: list[tuple[str, Any]]) -> None:
    rows: list[dict[str, Any]] = []
    for number, (key, (op, what)) in enumerate(steps):
        there = [
            row["value"] for row in rows if row["key"] == key and row["op"] == "write" and row["outcome"] != "fail"
        ]
        value = number + 1 if op == "write" else next(iter(there[len(there) - 1 - what :]), None)
        outcome = what if op == "write" else "ok"
        begun, ended = at(10 * number), None if outcome == "info" else at(10 * number + 2)
        rows.append(
            {"vantage": "a", "session": number if outcome == "info" else 1, "op": op, "key": key, "value": value,
             "route": "service", "scheduled_ns": begun, "invoke_ns": begun, "return_ns": ended, "outcome": outcome}
        )  # fmt: skip
    figures = check(history(rows), Context()).figures

    with Exporter("a").load("postgres", "demo", "pg", "register") as live:
        for row in rows:
            live.observe(Row._make(row.get(name) for name in Row._fields))
    spread = live.staleness.get("service")
    assert (spread.count if spread else 0) == figures.get("stale", 0)
    if spread and spread.count:
        longest = figures["max_behind_seconds"]
        assert isinstance(longest, float)
        most = max(place for place, count in enumerate(spread.buckets) if count)
        assert (0.0, *BUCKETS)[most] < longest <= (*BUCKETS, float("inf"))[most]
