from __future__ import annotations

from typing import Any

import pytest
from support.checkers.histories import NEW_ID, OLD_ID, history, kill, operation

from caplab.check import Context, State, run_checker
from caplab.check.epochs import CHECKER, check


def writes(epoch: str | None, first_ms: float, count: int = 20, **columns: Any) -> list[dict[str, Any]]:
    return [operation(first_ms + 10 * number, epoch=epoch, **columns) for number in range(count)]


def figures_of(rows: list[dict[str, Any]]) -> tuple[State, dict[str, Any]]:
    finding = check(history(rows), Context())
    return finding.state, dict(finding.figures)


def test_epochs_that_follow_each_other_hold() -> None:
    state, figures = figures_of(writes("1", 0) + writes("2", 5000))
    assert state is State.HOLDS
    assert (figures["epochs"], figures["changes"], figures["overlaps"]) == ([1, 2], 1, 0)


def test_epochs_that_begin_after_the_injection_are_counted_apart() -> None:
    """A failover before the fault is none of it."""
    rows = history(writes("1", 0) + writes("2", 5000) + writes("3", 10_000))
    windows = ((kill(7_000, 9_000),), 1), ((kill(2_000, 9_000),), 2), ((), None)
    for fault_windows, begun in windows:
        finding = check(rows, Context(fault_windows=fault_windows))
        assert (finding.figures["changes"], finding.figures["begun_after_injection"]) == (2, begun)


def test_an_epoch_that_only_failed_writes_show_has_not_begun() -> None:
    rows = history(writes("1", 0) + writes("2", 5000) + [operation(6000, "fail", epoch="3", error="refused")])
    figures = check(rows, Context(fault_windows=(kill(2_000, 9_000),))).figures
    assert (figures["epochs"], figures["begun_after_injection"]) == ([1, 2], 1)


def test_a_write_invoked_and_acked_in_an_epoch_that_was_over_shows_two_primaries() -> None:
    rows = [*writes("1", 0), *writes("2", 5000), operation(5003, latency_ms=4, epoch="1")]
    state, figures = figures_of(rows)
    assert state is State.VIOLATED
    assert figures["overlaps"] == 1
    assert figures["overlap_seconds"] == 0.005  # first ack of epoch 2 at 5002 ms, this ack at 5007 ms


def test_a_write_in_flight_when_the_later_epoch_began_to_ack_is_no_overlap() -> None:
    assert figures_of([*writes("1", 0), *writes("2", 5000), operation(5002, latency_ms=900, epoch="1")])[0] is (
        State.HOLDS
    )


def test_timelines_are_compared_as_numbers() -> None:
    state, figures = figures_of(writes("9", 0) + writes("10", 5000))
    assert state is State.HOLDS
    assert figures["epochs"] == [9, 10]


def test_an_epoch_that_was_skipped_still_ends_those_before_it() -> None:
    rows = [*writes("1", 0), *writes("3", 5000), operation(6000, epoch="2")]
    assert figures_of(rows)[1]["overlaps"] == 1


def test_reads_and_writes_that_were_not_acked_say_nothing() -> None:
    stray = [operation(9000, "fail", epoch="1"), operation(9000, "info", None, epoch="1")]
    rows = [*writes("1", 0), *writes("2", 5000), *stray, operation(9000, op="read", epoch="1")]
    assert figures_of(rows)[0] is State.HOLDS


def test_acked_writes_without_an_epoch_are_left_out_and_counted() -> None:
    state, figures = figures_of(writes("1", 0) + writes(None, 5000, 3))
    assert state is State.HOLDS
    assert (figures["acked"], figures["without_epoch"]) == (20, 3)


def test_too_few_writes_with_an_epoch_are_unknown_unless_they_overlap() -> None:
    assert figures_of(writes("1", 0, 19))[0] is State.UNKNOWN
    assert figures_of(writes(None, 0, 100))[0] is State.UNKNOWN
    assert figures_of([])[0] is State.UNKNOWN
    assert figures_of([operation(0, epoch="2"), operation(10, epoch="1")])[0] is State.VIOLATED


def test_without_a_primary_there_are_no_epochs() -> None:
    finding = check(history(writes(None, 0)), Context(has_primary=False))
    assert (finding.state, finding.reason) == (State.UNKNOWN, "There is no primary here, and so there are no epochs.")


def test_replication_ids_are_in_the_order_of_their_first_acks() -> None:
    for first, then in ((OLD_ID, NEW_ID), (NEW_ID, OLD_ID)):
        state, figures = figures_of(writes(then, 5000) + writes(first, 0))
        assert state is State.HOLDS
        assert (figures["epochs"], figures["changes"]) == ([first, then], 1)


def test_a_write_acked_under_a_replication_id_that_was_over_shows_two_primaries() -> None:
    rows = [*writes(OLD_ID, 0), *writes(NEW_ID, 5000), operation(5003, latency_ms=4, epoch=OLD_ID)]
    state, figures = figures_of(rows)
    assert state is State.VIOLATED
    assert (figures["epochs"], figures["overlaps"]) == ([OLD_ID, NEW_ID], 1)
    assert figures["overlap_seconds"] == 0.005


def test_a_replication_id_begins_with_its_first_ack_and_not_with_what_was_refused_or_read() -> None:
    stray = [operation(0, "fail", epoch=NEW_ID), operation(0, op="read", epoch=NEW_ID)]
    state, figures = figures_of([*stray, *writes(OLD_ID, 1000), *writes(NEW_ID, 5000)])
    assert (state, figures["epochs"]) == (State.HOLDS, [OLD_ID, NEW_ID])


def test_a_replication_id_without_a_letter_is_no_number() -> None:
    digits = "9" * 40
    state, figures = figures_of(writes(digits, 0) + writes("a" + "0" * 39, 5000))
    assert (state, figures["epochs"]) == (State.HOLDS, [digits, "a" + "0" * 39])
    assert figures_of(writes(digits, 0))[1]["epochs"] == [digits]


def test_replication_ids_that_first_ack_at_one_moment_are_in_one_order_whatever_that_of_the_rows() -> None:
    rows = writes(OLD_ID, 0) + writes(NEW_ID, 0)
    first, other = figures_of(rows), figures_of(rows[::-1])
    for _, figures in (first, other):
        del figures["witnesses"]  # of one moment the first row is shown
    assert first == other
    assert figures_of(rows)[1]["epochs"] == sorted((OLD_ID, NEW_ID))


@pytest.mark.parametrize("name", [OLD_ID, "abc", "007", "-1", "1.5"])
def test_numbers_and_names_at_once_are_unknown_with_the_error_and_the_hint(name: str) -> None:
    finding = run_checker(CHECKER, history(writes("3", 0) + writes(name, 5000)), Context())
    assert finding.state is State.UNKNOWN
    assert f"('3', '{name}'). Hint: record those of one cluster" in finding.reason
    assert "ValueError" in finding.error


def acked(epoch: str, invoked_ms: int, acked_ms: int, **columns: Any) -> dict[str, Any]:
    return operation(invoked_ms, latency_ms=acked_ms - invoked_ms, epoch=epoch, **columns)


A, B, C = ("a" * 40, "b" * 40, "c" * 40)
# What was written under which epoch, and when; for each overlapping write its place, and that of the ack it came after.
PLANTED: list[tuple[list[dict[str, Any]], dict[int, int]]] = [
    ([acked("2", 0, 1), acked("1", 2, 3)], {1: 0}),
    ([acked("2", 0, 1), acked("1", 2, 900)], {1: 0}),
    ([acked("1", 0, 1), acked("2", 2, 3), acked("1", 4, 5)], {2: 1}),
    ([acked("1", 0, 1), acked("2", 2, 3), acked("2", 4, 5), acked("1", 6, 7)], {3: 1}),
    (
        [acked("1", 0, 1), acked("2", 2, 9), acked("2", 3, 4), acked("1", 5, 6)],
        {3: 2},
    ),  # first acked, not first invoked
    ([acked("1", 0, 1), acked("3", 2, 3), acked("2", 4, 5)], {2: 1}),
    ([acked("9", 0, 1), acked("10", 2, 3), acked("9", 4, 5)], {2: 1}),
    ([acked("0", 0, 1), acked("1", 2, 3), acked("0", 4, 5)], {2: 1}),
    ([acked("1", 0, 1), acked("2", 2, 3), acked("3", 4, 5), acked("1", 6, 7), acked("2", 8, 9)], {3: 1, 4: 2}),
    ([acked("1", 0, 1), acked("3", 2, 3), acked("2", 4, 5), acked("1", 6, 7)], {2: 1, 3: 1}),
    ([acked("2", 0, 1, op="add"), acked("1", 2, 3, op="incr")], {1: 0}),
    ([acked("2", 0, 1, vantage="a", key="x"), acked("1", 2, 3, vantage="b", key="y")], {1: 0}),
    ([acked("2", 0, 1, op="cas", expected=4, observed=4), acked("1", 2, 3)], {1: 0}),
    ([acked("2", 0, 1), acked("1", 2, 3, op="cas")], {1: 0}),  # the key was absent, as it expected
    ([acked(A, 0, 1), acked(B, 2, 3), acked(A, 4, 5)], {2: 1}),
    ([acked(B, 0, 1), acked(A, 2, 3), acked(B, 4, 5)], {2: 1}),
    ([acked(C, 0, 1), acked(A, 2, 3), acked(B, 4, 5), acked(C, 6, 7), acked(A, 8, 9)], {3: 1, 4: 2}),
    ([acked("1", 0, 1), *(acked("2", 2 + n, 40) for n in range(9)), acked("2", 11, 12), acked("1", 13, 14)], {11: 10}),
]


@pytest.mark.parametrize(("rows", "overlaps"), PLANTED)
def test_what_was_planted_is_found_counted_and_shown_with_the_ack_that_it_came_after(
    rows: list[dict[str, Any]], overlaps: dict[int, int]
) -> None:
    state, figures = figures_of(rows)
    assert (state, figures["overlaps"]) == (State.VIOLATED, len(overlaps))
    shown = []
    for witness in figures["witnesses"]:
        places = [operation["row"] for operation in witness["operations"]]
        own = rows[places[-1]]["epoch"]
        assert f"in epoch {own}, " in witness["what"]
        # Names have no order but that of their first acks, so that of its own epoch is shown too.
        assert len(places) == (2 if len(own) < 40 else 3)
        shown.append((places[-1], places[-2]))
    assert shown == list(overlaps.items())


@pytest.mark.parametrize(
    "rows",
    [
        [acked("1", 0, 5), acked("2", 1, 4)],  # in flight over the change
        [acked("1", 3, 5), acked("2", 1, 3)],  # invoked in the moment of the ack
        [acked("2", 0, 1), operation(2, "fail", epoch="1"), operation(2, "info", None, epoch="1")],
        [acked("2", 0, 1), acked("1", 2, 3, op="read")],
        [acked("2", 0, 1), acked("1", 2, 3, op="cas", expected=1, observed=2)],  # it did not take effect
        [acked("2", 0, 1), acked("1", 2, 3, op="cas", expected=1)],  # nor this one: it found nothing
        [acked("2", 0, 1, op="cas", expected=1, observed=2), acked("1", 2, 3)],
        [acked(B, 0, 1), acked(A, 2, 3)],
    ],
)
def test_what_looks_wrong_but_is_allowed_passes(rows: list[dict[str, Any]]) -> None:
    finding = check(history(rows), Context(enough=1))
    assert (finding.state, finding.figures["overlaps"]) == (State.HOLDS, 0)
    assert "witnesses" not in finding.figures


def test_of_many_overlaps_twenty_are_shown_and_all_are_counted() -> None:
    _, figures = figures_of(writes("2", 0) + writes("1", 5000, 50))
    assert (figures["overlaps"], len(figures["witnesses"])) == (50, 20)
