"""Set reads: what scans of a set lacked although it was known, and what they need not show."""

from __future__ import annotations

from typing import Any

import pytest
from support.checkers.histories import MS, Row, adds, history, operation, scan
from support.checkers.written_histories import line_of, written

from caplab.check import Context, Finding, State, durability, set_reads, standalone

CONTEXT = Context(enough=1)
KINDS = ("stable", "lost", "vanished", "unsettled", "never_read", "stale")
LATE = "\n z9 add z 99 90-91"  # so that the scans before it are during the run


def found(text: str) -> Finding:
    return set_reads.check(history(written(text)), CONTEXT)


def counts(finding: Finding) -> dict[str, Any]:
    return {kind: finding.figures[kind] for kind in KINDS if finding.figures[kind]}


def test_elements_that_stay_visible_hold() -> None:
    finding = found("a1 add s 1 0-1\n b1 scan s 1 2-3\n a1 add s 2 4-5\n b1 scan s 1 6-7\n b1 scan s 2 6-7")
    assert (finding.state, counts(finding)) == (State.HOLDS, {"stable": 2})
    assert finding.reason == "2 elements stayed visible once known, in 2 scans."


PLANTED = {
    "lost": (
        "a1 add s 1 0-1\n b1 scan s 1 2-3\n a1 add s 2 4-5\n b1 scan s 2 6-7",
        {"stable": 1, "lost": 1},
        "The value 1 was acked before a scan began that does not show it, and no scan after it either.",
        ["a1 add s 1", "b1 scan s 1", "b1 scan s 2"],
    ),
    "lost before it was ever seen": (
        "a1 add s 1 0-1\n a1 add s 2 2-3\n b1 scan s 2 4-5\n a1 add s 3 6-7\n b1 scan s 2 8-9\n b1 scan s 3 8-9",
        {"stable": 2, "lost": 1},
        "The value 1 was acked before a scan began that does not show it, and no scan after it either.",
        ["a1 add s 1", "b1 scan s 2"],
    ),
    "lost, by an empty scan": (
        "a1 add s 1 0-1\n b1 scan s 1 2-3\n b1 scan s - 4-5\n a1 add s 2 6-7",
        {"lost": 1, "never_read": 1},
        "The value 1 was acked before a scan began that does not show it, and no scan after it either.",
        ["a1 add s 1", "b1 scan s 1", "b1 scan s -"],
    ),
    "seen, never acked, and gone": (
        "a1 add s 1 0-? info\n b1 scan s 1 2-3\n a2 add s 2 4-5\n b1 scan s 2 6-7",
        {"stable": 1, "vanished": 1},
        "The value 1 was seen before a scan began that does not show it, and no scan after it either.",
        ["a1 add s 1 info", "b1 scan s 1", "b1 scan s 2"],
    ),
    "stale": (
        "a1 add s 1 0-1\n a1 add s 2 2-3\n b1 scan s 2 4-5\n a1 add s 3 6-7\n"
        " b1 scan s 1 8-9\n b1 scan s 2 8-9\n b1 scan s 3 8-9",
        {"stable": 3, "stale": 1},
        "The value 1 was acked before a scan began that does not show it.",
        ["a1 add s 1", "b1 scan s 2", "b1 scan s 1"],
    ),
    "seen, and stale before the ack": (
        "a1 add s 1 0-30\n b1 scan s 1 2-3\n a2 add s 2 4-5\n b1 scan s 2 6-7\n b1 scan s 1 8-9\n b1 scan s 2 8-9",
        {"stable": 2, "stale": 1},
        "The value 1 was seen before a scan began that does not show it.",
        ["a1 add s 1", "b1 scan s 1", "b1 scan s 2", "b1 scan s 1"],
    ),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_found_named_and_proved(planted: tuple[str, dict[str, int], str, list[str]]) -> None:
    text, kinds, what, rows = planted
    finding = found(text)
    assert (finding.state, counts(finding)) == (State.VIOLATED, kinds)
    shown: Any = finding.figures["witnesses"]
    assert len(shown) == 1
    assert (shown[0]["what"], [line_of(row) for row in shown[0]["operations"]]) == (what, rows)


@pytest.mark.parametrize(
    "text",
    [
        # A scan that began before the ack, and one that began at that moment.
        "a1 add s 1 0-5\n b1 scan s - 4-9\n b2 scan s - 5-9\n b1 scan s 1 10-11",
        # An add of unknown outcome takes effect late, or never.
        "a1 add s 1 0-? info\n b1 scan s - 4-5\n b1 scan s 1 10-11\n a2 add s 2 0-? info",
        # Scans that overlap may differ in any order of theirs.
        "a1 add s 1 0-30\n b1 scan s 1 4-9\n b2 scan s - 5-8\n b1 scan s 1 10-11",
        # A scan that failed, or of which nothing is known, shows nothing.
        "a1 add s 1 0-1\n b1 scan s - 4-5 fail\n b1 scan s - 6-? info\n b1 scan s 1 10-11",
        # An element that was added again is there as before.
        "a1 add s 1 0-1\n a1 add s 1 2-3\n b1 scan s 1 4-5",
        "a1 add s 1 0-1 fail\n b1 scan s - 2-3\n a1 add s 1 4-5\n b1 scan s 1 6-7",
        # Each set has its own scans, and two clients that scan in one instant have one each.
        "a1 add r 1 0-1\n b1 scan r 1 2-3\n a2 add s 2 0-1\n b2 scan s 2 2-3",
        "a1 add s 1 0-3\n b1 scan s - 2-6\n b2 scan s 1 2-6",
        # What was never added is durability's business.
        "a1 add s 1 0-1\n b1 scan s 7 2-3\n b1 scan s 1 2-3\n b1 scan s 1 4-5",
    ],
)
def test_what_scans_need_not_show(text: str) -> None:
    finding = found(text + LATE)
    assert not {"lost", "vanished", "stale"} & counts(finding).keys(), finding
    assert finding.state is State.HOLDS


def test_the_quantiles_tell_how_long_elements_were_missing_and_how_long_lost_ones_were_there() -> None:
    rows: list[Row] = []
    for number in range(100):  # the element number is first shown by the scan number ms after its ack
        rows.append(operation(1000 * number, latency_ms=1, op="add", key=f"k{number}", value=number))
        missing = [1000 * number + 1 + after for after in range(1, number + 1)]
        rows += [row for ms in missing for row in scan([None], ms, key=f"k{number}", latency_ms=0)]
        rows += scan([number], 1000 * number + 900, key=f"k{number}")
    rows.append(operation(200_000, op="add", key="k0", value=1000))
    finding = set_reads.check(history(rows), CONTEXT)
    stable: Any = finding.figures["stable_seconds"]
    assert counts(finding) == {"stable": 100, "stale": 99, "never_read": 1}
    assert stable == {"min": 0, "p50": 0.049, "p95": 0.094, "p99": 0.098, "max": 0.099}
    assert finding.figures["stale_max_seconds"] == 0.099
    assert finding.reason == "Of 101 elements in 5,050 scans: 99 stale for up to 0.099 s."
    lost = found("a1 add s 1 0-1\n b1 scan s 1 40-41\n a1 add s 2 50-51\n b1 scan s 2 60-61")
    assert lost.figures["lost_seconds"] == dict.fromkeys(stable, 39 * MS / 1e9)


def test_without_a_clock_there_are_no_seconds() -> None:
    rows = written("a1 add s 1 0-1\n a1 add s 2 2-3\n b1 scan s 2 4-5\n a1 add s 3 6-7\n b1 scan s 1 8-9")
    for row in rows:
        row |= {name: (row[name] - 7_000_000_000_000) // MS for name in ("scheduled_ns", "invoke_ns", "return_ns")}
    finding = set_reads.check(history(rows), CONTEXT)
    assert finding.reason == "Of 3 elements in 2 scans: 2 lost, 1 stale."
    assert [finding.figures[name] for name in ("stale_max_seconds", "stable_seconds", "lost_seconds")] == [None] * 3


def replicas(last: list[Row]) -> list[Row]:
    """An element that the primary shows, and scans after that."""
    rows = [operation(0, op="add", value=1), *scan([1], 50, server="pg-0", route="service", session=2)]
    return [*rows, operation(60, op="add", value=2), *last]


def test_a_replica_proves_no_loss_but_what_it_shows_is_stale() -> None:
    late = scan([2], 100, server="pg-1", route="direct", session=3)
    finding = set_reads.check(history(replicas([*late, *scan([1, 2], 110, route="service", session=2)])), CONTEXT)
    assert counts(finding) == {"stable": 2, "stale": 1}
    finding = set_reads.check(history(replicas(late)), CONTEXT)
    assert counts(finding) == {"stable": 1, "stale": 1, "unsettled": 1}
    served_by_another = scan([2], 100, server="pg-1", route="service", session=2)
    assert counts(set_reads.check(history(replicas(served_by_another)), CONTEXT)) == {"stable": 1, "lost": 1}


def test_of_members_that_were_scanned_each_for_itself_none_proves_a_loss_alone() -> None:
    rows = [operation(0, op="add", value=1), *scan([1], 50, server="pg-0"), operation(60, op="add", value=2)]
    rows += scan([2], 100, server="pg-1", session=2)
    assert "lost" not in counts(set_reads.check(history(rows), CONTEXT))
    rows += scan([2], 120, server="pg-0", session=2)
    assert counts(set_reads.check(history(rows), CONTEXT))["lost"] == 1


@pytest.mark.parametrize("lost", [[], [3]])
def test_durability_and_set_reads_agree_on_what_was_lost(lost: list[int]) -> None:
    kept = [value for value in range(10) if value not in lost]
    rows = adds(range(9)) + scan([3], 50, session=8) + adds([9], first_ms=100) + scan(kept, 200, session=9)
    table = history(rows)
    context = standalone.context_of(table)
    of_set, of_reads = (checker.check(table, context).figures["lost"] for checker in (durability, set_reads))
    assert of_set == of_reads == len(lost)


def test_scans_at_the_end_alone_are_durabilitys_business() -> None:
    rows = history(adds([1, 2, 3]) + scan([1, 2]))
    finding = set_reads.check(rows, CONTEXT)
    assert (finding.state, finding.reason) == (
        State.UNKNOWN,
        "No scan of a set began before the last add, and none was repeated.",
    )
    assert set_reads.applies(rows) == "no scan of a set began before the last add, and none was repeated"
    assert set_reads.applies(history(scan([1]))) == "no operation is an add"


REPEATED = "a1 add s 1 0-1\n a2 add s 2 2-? info\n b1 scan s 1 4-5\n b1 scan s 2 4-5\n"


def test_scans_that_are_repeated_at_the_end_agree() -> None:
    finding = found(f"{REPEATED} b2 scan s 1 6-7")
    assert (finding.state, counts(finding)) == (State.VIOLATED, {"stable": 1, "vanished": 1})
    assert counts(found(f"{REPEATED} b2 scan s 2 6-7\n b2 scan s 2 8-9\n b2 scan s 1 8-9")) == {"stable": 2, "stale": 1}


@pytest.mark.parametrize("other", ["b2 scan t 9 6-7", "b2 scan s 1 4-5"], ids=["of another set", "at one moment"])
def test_scans_of_two_sets_or_of_one_moment_repeat_nothing(other: str) -> None:
    rows = history(written(f"a1 add t 9 0-0\n {REPEATED} {other}"))
    assert set_reads.applies(rows) == "no scan of a set began before the last add, and none was repeated"
