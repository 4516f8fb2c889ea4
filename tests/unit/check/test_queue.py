"""The queue checker: what is lost, delivered again, never enqueued, and out of order, and what may be so soundly."""

from __future__ import annotations

from typing import Any

import pytest
from support.checkers.histories import adds, history, operation, scan
from support.checkers.written_histories import line_of, written

from caplab.check import Context, Finding, State, check_history, durability, queue, standalone

CONTEXT = Context(enough=1)
GOOD = """
    p1 enqueue q 1 0-1
    p1 enqueue q 2 2-3
    c1 dequeue q 1 4-5
    c1 dequeue q 2 6-7
"""


def found(text: str) -> Finding:
    return queue.check(history(written(text)), CONTEXT)


def figures(text: str) -> dict[str, Any]:
    return dict(found(text).figures)


def proof(text: str) -> tuple[str, list[str]]:
    shown: Any = found(text).figures["witnesses"]
    return shown[0]["what"], [line_of(row) for row in shown[0]["operations"]]


def test_what_was_delivered_once_and_in_order_holds() -> None:
    finding = found(GOOD)
    assert finding.state is State.HOLDS
    assert finding.reason == "All 2 acked elements were delivered once and in order, and nothing else."


PLANTED = {
    "lost": (
        "lost", "p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n c1 dequeue q 2 4-5\n c1 dequeue q - 6-7",
        "1 of queue 'q' was enqueued and not dequeued, and the queue was found empty later.",
        ["p1 enqueue q 1", "c1 dequeue q -"],
    ),
    "lost, by a scan": (
        "lost", "p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n c1 scan q 2 4-5",
        "1 of queue 'q' was enqueued and not dequeued, and a scan begun later does not show it.",
        ["p1 enqueue q 1", "c1 scan q 2"],
    ),
    "lost, one more than takers": (
        "lost", "p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n c2 dequeue q - 4-? info\n c1 dequeue q - 6-7",
        "2 elements of queue 'q' were enqueued, and are gone;"
        " only 1 dequeue of unknown outcome may have taken one each.",
        ["p1 enqueue q 1", "p1 enqueue q 2", "c2 dequeue q - info", "c1 dequeue q -"],
    ),
    "lost, before anything could take it": (
        "lost", "p1 enqueue q 1 0-1\n c1 dequeue q - 2-3\n c2 dequeue q - 4-? info",
        "1 of queue 'q' was enqueued and not dequeued, and the queue was found empty later.",
        ["p1 enqueue q 1", "c1 dequeue q -"],
    ),
    "lost, of equal ones": (
        "lost", "p1 enqueue q 1 0-1\n p2 enqueue q 1 0-1\n c1 dequeue q 1 4-5\n c1 dequeue q - 6-7",
        "1 of queue 'q' was enqueued 2 times and delivered 1 time, and the queue was found empty later.",
        ["p1 enqueue q 1", "p2 enqueue q 1", "c1 dequeue q 1", "c1 dequeue q -"],
    ),
    "dequeued again": (
        "duplicated", GOOD + "c2 dequeue q 1 8-9",
        "1 of queue 'q' was dequeued 2 times, and enqueued once.",
        ["p1 enqueue q 1", "c1 dequeue q 1", "c2 dequeue q 1"],
    ),
    "drained again": (
        "duplicated", GOOD + "c2 scan q 1 8-9",
        "1 of queue 'q' had been dequeued when a scan began that shows it.",
        ["p1 enqueue q 1", "c1 dequeue q 1", "c2 scan q 1"],
    ),
    "twice in a scan": (
        "duplicated", "p1 enqueue q 1 0-1\n c2 scan q 1 8-9\n c2 scan q 1 8-9",
        "1 of queue 'q' is more often in one scan than it was enqueued and not dequeued.",
        ["p1 enqueue q 1", "c2 scan q 1", "c2 scan q 1"],
    ),
    "never enqueued": (
        "unexpected", GOOD + "c2 dequeue q 7 8-9", "7 of queue 'q' was dequeued, though it was never enqueued.",
        ["c2 dequeue q 7"],
    ),
    "of another queue": (
        "unexpected", GOOD + "c2 dequeue r 1 8-9", "1 of queue 'r' was dequeued, though it was never enqueued.",
        ["c2 dequeue r 1"],
    ),
    "its enqueue failed": (
        "unexpected", GOOD + "p2 enqueue q 7 0-1 fail\n c2 dequeue q 7 8-9",
        "7 of queue 'q' was dequeued, though its enqueue surely failed.",
        ["p2 enqueue q 7 fail", "c2 dequeue q 7"],
    ),
    "dequeued before": (
        "unexpected", "c1 dequeue q 1 0-1\n p1 enqueue q 1 2-3",
        "1 of queue 'q' was dequeued, before it was enqueued.", ["c1 dequeue q 1", "p1 enqueue q 1"],
    ),
    "scanned, never enqueued": (
        "unexpected", GOOD + "c2 scan q 7 8-9", "7 of queue 'q' was in a scan, though it was never enqueued.",
        ["c2 scan q 7"],
    ),
    "overtaken": (
        "out_of_order", "p1 enqueue q 1 0-1\n p2 enqueue q 2 2-3\n c1 dequeue q 2 4-5\n c1 dequeue q 1 6-7",
        "1 of queue 'q' left it after 2, which was enqueued later, had been dequeued.",
        ["p1 enqueue q 1", "p2 enqueue q 2", "c1 dequeue q 2", "c1 dequeue q 1"],
    ),
    "overtaken, and still there": (
        "out_of_order", "p1 enqueue q 1 0-1\n p2 enqueue q 2 2-3\n c1 dequeue q 2 4-5\n c1 scan q 1 6-7",
        "1 of queue 'q' is still there after 2, which was enqueued later, had been dequeued.",
        ["p1 enqueue q 1", "p2 enqueue q 2", "c1 dequeue q 2", "c1 scan q 1"],
    ),
    "overtaken, and never dequeued": (
        "out_of_order", "p1 enqueue q 1 0-1\n p2 enqueue q 2 2-3\n c1 dequeue q 2 4-5",
        "1 of queue 'q' was not dequeued even after 2, which was enqueued later, had been dequeued.",
        ["p1 enqueue q 1", "p2 enqueue q 2", "c1 dequeue q 2"],
    ),
    "overtaken by one of unknown outcome": (
        "out_of_order", "p1 enqueue q 1 0-1\n p2 enqueue q 2 2-? info\n c1 dequeue q 2 4-5\n c1 dequeue q 1 6-7",
        "1 of queue 'q' left it after 2, which was enqueued later, had been dequeued.",
        ["p1 enqueue q 1", "p2 enqueue q 2 info", "c1 dequeue q 2", "c1 dequeue q 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_found_named_and_proved(planted: tuple[str, str, str, list[str]]) -> None:
    kind, text, what, rows = planted
    finding = found(text)
    assert finding.state is State.VIOLATED
    wrong = {name: finding.figures[name] for name in ("lost", "duplicated", "unexpected", "out_of_order")}
    assert wrong == {**dict.fromkeys(wrong, 0), kind: 1}
    assert proof(text) == (what, rows)


@pytest.mark.parametrize(
    "text",
    [
        # A dequeue of unknown outcome may have taken an element, at any time after it was invoked.
        "p1 enqueue q 1 0-1\n c2 dequeue q - 2-? info\n c1 dequeue q - 4-5\n p1 enqueue q 2 6-7\n c1 dequeue q 2 8-9",
        "c2 dequeue q - 0-? info\n p1 enqueue q 1 2-3\n c1 dequeue q - 4-5\n p1 enqueue q 2 6-7\n c1 dequeue q 2 8-9",
        # A scan of unknown outcome may have drained the queue.
        GOOD + "p1 enqueue q 3 8-9\n p1 enqueue q 4 10-11\n c2 scan q - 12-? info\n c1 dequeue q - 14-15",
        # An enqueue of unknown outcome may have taken effect, late or never.
        GOOD + "p2 enqueue q 3 0-? info\n c1 dequeue q - 8-9",
        "p2 enqueue q 3 0-? info\n" + GOOD + "c1 dequeue q 3 8-9\n c1 dequeue q - 10-11",
        # Equal elements: each enqueue explains a delivery, and their order is not known.
        "p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n p1 enqueue q 1 4-5\n"
        "c1 dequeue q 1 6-7\n c1 dequeue q 1 8-9\n c1 dequeue q 2 10-11\n c1 dequeue q - 12-13",
        "p1 enqueue q 1 0-? info\n p2 enqueue q 1 0-1\n c1 dequeue q 1 6-7\n c2 dequeue q 1 8-9",
        # What overlaps may be in any order.
        "p1 enqueue q 1 0-3\n p2 enqueue q 2 2-4\n c1 dequeue q 2 5-6\n c1 dequeue q 1 7-8",
        "p1 enqueue q 1 0-1\n p2 enqueue q 2 2-3\n c1 dequeue q 2 5-8\n c2 dequeue q 1 6-9",
        "p1 enqueue q 1 0-1\n p2 enqueue q 2 2-3\n c1 dequeue q - 1-? info\n c1 dequeue q 2 6-7\n c1 dequeue q - 8-9",
        # A dequeue that overlaps the enqueue, and one that found nothing while it was under way.
        "p1 enqueue q 1 0-5\n c1 dequeue q - 1-6\n c2 dequeue q 1 2-3",
        # What a scan drains is delivered by it.
        "p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n c1 scan q 1 4-5\n c1 scan q 2 4-5\n c1 dequeue q - 6-7",
        # Several clients drain together.
        "p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n c1 scan q 1 4-5\n c2 scan q 2 4-5",
        # A look at the queue, and what it shows is dequeued later.
        "p1 enqueue q 1 0-1\n c2 scan q 1 2-3\n c1 dequeue q 1 4-5",
    ],
)
def test_what_a_queue_may_do_holds(text: str) -> None:
    finding = found(text)
    assert (finding.state, {name: finding.figures[name] for name in ("lost", "duplicated", "unexpected")}) == (
        State.HOLDS,
        {"lost": 0, "duplicated": 0, "unexpected": 0},
    )


def test_what_is_neither_dequeued_nor_shown_to_be_gone_is_unknown() -> None:
    finding = found("p1 enqueue q 1 0-1\n p1 enqueue q 2 2-3\n c1 dequeue q 1 4-5")
    assert finding.state is State.UNKNOWN
    assert finding.reason.startswith("1 acked element was not dequeued, and nothing shows what became of it. Hint:")


def test_a_queue_that_was_empty_by_mistake_is_not_believed_to_be_empty() -> None:
    finding = found("p1 enqueue q 1 0-1\n c1 dequeue q - 2-3\n c1 dequeue q 1 4-5\n"
                    "p1 enqueue q 2 6-7\n c1 dequeue q - 8-9")  # fmt: skip
    assert (finding.figures["falsely_empty"], finding.figures["lost"], finding.figures["undrained"]) == (1, 0, 1)
    assert finding.state is State.UNKNOWN


def test_a_replicas_scan_proves_no_loss_where_all_members_were_scanned_together() -> None:
    rows = [operation(0, op="enqueue", key="q", value=1)]
    rows += scan([None], 50, key="q", server="pg-1")
    rows += scan([1], 100, key="q", server="all")
    assert queue.check(history(rows), CONTEXT).state is State.HOLDS


def test_an_order_of_one_producer_is_counted_apart() -> None:
    text = "p1 enqueue q 1 0-1\n {} enqueue q 2 2-3\n c1 dequeue q 2 4-5\n c1 dequeue q 1 6-7"
    assert figures(text.format("p1"))["out_of_order_of_producer"] == 1
    assert figures(text.format("p2"))["out_of_order_of_producer"] == 0


def test_an_enqueue_that_does_not_say_what_is_unknown() -> None:
    assert found(GOOD + "p2 enqueue q - 0-1\n c1 dequeue q 9 8-9").state is State.UNKNOWN
    assert found(GOOD + "p2 enqueue q - 0-1 fail").state is State.HOLDS


def test_so_many_elements_as_asked_for_say_that_it_holds() -> None:
    rows = history(written(GOOD))
    assert queue.check(rows, Context(enough=2)).state is State.HOLDS
    assert queue.check(rows, Context(enough=3)).reason == (
        "Only 2 elements were delivered; 3 are needed to say that none is lost."
    )


def test_queues_are_nobody_elses_business() -> None:
    text = GOOD + "c1 dequeue q - 8-9\n c1 scan q - 10-11"
    rows = history(written(text))
    assert queue.applies(rows) == ""
    for finding in check_history(rows, standalone.context_of(rows), ("staleness", "registers", "counters", "sessions")):
        assert finding.state is State.UNKNOWN
    mixed = history([*adds([7, 8]), *scan([7, 8]), *written(text), *scan([], key="q")])
    finding = durability.check(mixed, standalone.context_of(mixed))
    assert (finding.state, finding.figures["survived"]) == (State.HOLDS, 2)
    assert queue.check(mixed, CONTEXT).state is State.HOLDS
    assert queue.applies(history(adds([1]))) == "no operation is an enqueue or a dequeue"


@pytest.mark.parametrize("key", [None, "q"])
def test_scans_of_a_queue_are_no_elements_of_a_set(key: str | None) -> None:
    rows = adds([7, 8], key="s") + scan([7, 8], 500, key="s")
    rows += [operation(0, op="enqueue", key=key, value=1), *scan([1], 900, key=key)]
    both = history(rows)
    assert durability.check(both, standalone.context_of(both)).state is State.HOLDS
    assert queue.check(both, CONTEXT).state is State.HOLDS
