"""Every checker against a slow version that follows the words of the design, one operation at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.checkers.histories import MS, ORIGIN_NS, Row, at, history, operation, scan, table
from support.effort import cases

from caplab.check import Context, State, availability, check_history, durability, epochs
from caplab.check.availability.outages import WINDOW_NS
from caplab.check.availability.phases import PHASES
from caplab.model.runs import FaultWindow, FinalScan

pytestmark = pytest.mark.property

MANY = settings(max_examples=cases(500))
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "fail", "info"])
SIDES = {"minority": ("b",), "majority": ("a",)}  # of all vantages here
HERE = ("durability", "availability", "epochs", "schedule")  # the others have files of their own


def shown(operations: list[dict[str, Any]]) -> list[Row]:
    """The rows of a witness, as a history of their own."""
    names = ("vantage", "session", "op", "key", "value", "expected", "observed", "route", "epoch", "outcome", "error")
    rows = []
    for row in operations:
        times = [None if row[f"{name}_seconds"] is None else at(0) + round(row[f"{name}_seconds"] * 1e9)
                 for name in ("invoke", "return")]  # fmt: skip
        rows.append(
            {name: row.get(name) for name in names}
            | {"scheduled_ns": times[0], "invoke_ns": times[0], "return_ns": times[1]}
        )
    return rows


# --- durability -------------------------------------------------------------------------------------------


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[Row], list[int]]:
    """Adds of unique values, and what a scan then returned, with anything lost, invented or doubled."""
    values = draw(st.lists(st.integers(0, 40), unique=True, max_size=40))
    rows = [
        operation(draw(st.integers(0, 5000)), draw(OUTCOMES), draw(st.integers(0, 90)), op="add", value=value)
        for value in values
    ]
    for row in rows:
        row["vantage"], row["route"] = draw(st.sampled_from([("b", "direct"), ("a", None), ("a", "direct")]))
        if row["outcome"] == "fail" and draw(st.booleans()):
            row["error"] = "overload"
    return rows, draw(st.lists(st.integers(0, 45), max_size=60))


def slow_durability(rows: list[Row], elements: list[int]) -> dict[str, Any]:
    sent = {row["value"]: row for row in rows if row.get("error") != "overload"}
    acked = [value for value, row in sent.items() if row["outcome"] == "ok"]
    lost = [sent[value] for value in acked if value not in elements]
    allowed = [value for value, row in sent.items() if row["outcome"] != "fail"]
    window_ns = max(row["return_ns"] for row in lost) - min(row["invoke_ns"] for row in lost) if lost else 0
    return {
        "attempted": len(sent),
        "acked": len(acked),
        "survived": len(acked) - len(lost),
        "lost": len(lost),
        "unacked_found": sum(sent[value]["outcome"] == "info" for value in set(elements) & sent.keys()),
        "unexpected": len({element for element in elements if element not in allowed}),
        "duplicated": sum(count > 1 for count in Counter(elements).values()),
        "lost_window_seconds": window_ns / 1e9,
    }


@MANY
@given(sets())
def test_durability_agrees_with_counting_one_by_one(made: tuple[list[Row], list[int]]) -> None:
    rows, elements = made
    finding = durability.check(
        history(rows + scan(elements)), Context(final_scan=FinalScan(converged=True, elements=len(elements)))
    )
    expected = slow_durability(rows, elements)
    assert {name: finding.figures[name] for name in expected} == expected
    wrong = expected["lost"] or expected["unexpected"] or expected["duplicated"]
    assert (finding.state is State.VIOLATED) == bool(wrong)
    assert (finding.state is State.HOLDS) == (not wrong and expected["acked"] >= 20)


@given(sets())
def test_every_witness_of_durability_alone_is_one_anomaly_of_the_kind_it_names(
    made: tuple[list[Row], list[int]],
) -> None:
    rows, elements = made
    finding = durability.check(
        history(rows + scan(elements)), Context(final_scan=FinalScan(converged=True, elements=len(elements)))
    )
    kinds = Counter[str]()
    for witness in as_list(finding.figures.get("witnesses", [])):
        alone = shown(witness["operations"])
        scanned = [row["value"] for row in alone if row["op"] == "scan"]
        figures = slow_durability([row for row in alone if row["op"] == "add"], scanned)
        again = durability.check(history(alone), Context(final_scan=FinalScan(converged=True, elements=len(scanned))))
        assert again.state is State.VIOLATED
        (kind,) = {kind for word, kind in KINDS.items() if word in witness["what"]}
        assert figures[kind] == 1
        kinds[kind] += 1
    anomalies = {kind: finding.figures[kind] for kind in KINDS.values()}
    assert set(kinds) == {kind for kind, count in anomalies.items() if count}
    assert kinds.total() == min(20, sum(count for count in anomalies.values() if isinstance(count, int)))


KINDS = {"does not have it": "lost", "never added": "unexpected", "surely failed": "unexpected", "times": "duplicated"}
COUNTS = ("attempted", "acked", "survived", "lost", "unacked_found")


@given(sets())
def test_the_vantages_and_routes_sum_to_the_totals_and_each_is_what_it_would_be_alone(
    made: tuple[list[Row], list[int]],
) -> None:
    rows, elements = made
    scanned = Context(final_scan=FinalScan(converged=True, elements=len(elements)))
    figures = durability.check(history(rows + scan(elements)), scanned).figures
    by_vantage = as_list(figures["by_vantage"])
    assert {name: sum(part[name] for part in by_vantage) for name in COUNTS} == {name: figures[name] for name in COUNTS}
    parts = series_of(rows)
    assert [(part["vantage"], part["route"]) for part in by_vantage] == sorted(parts)
    for part in by_vantage:
        alone = slow_durability(parts[part["vantage"], part["route"]], elements)
        assert {name: part[name] for name in COUNTS} == {name: alone[name] for name in COUNTS}


@given(sets())
def test_two_sides_that_part_all_vantages_sum_to_the_totals_and_each_is_what_it_would_be_alone(
    made: tuple[list[Row], list[int]],
) -> None:
    rows, elements = made
    context = Context(final_scan=FinalScan(converged=True, elements=len(elements)), sides=SIDES)
    figures: Any = durability.check(history(rows + scan(elements)), context).figures
    whole = [routes["all"] for routes in figures["by_side"].values()]
    assert {name: sum(side[name] for side in whole) for name in COUNTS} == {name: figures[name] for name in COUNTS}
    sent = [row for row in rows if row.get("error") != "overload"]
    assert set(figures["by_side"]) == {side for side in SIDES if parts_of(sent, side)}
    for side, routes in figures["by_side"].items():
        parts = parts_of(sent, side)
        assert routes.keys() == parts.keys()
        for route, part in routes.items():
            alone = slow_durability(parts[route], elements)
            assert part == {name: alone[name] for name in (*COUNTS, "lost_window_seconds")}


def parts_of(rows: list[Row], side: str) -> dict[str, list[Row]]:
    """A side's operations: all, and those of each route."""
    mine = [row for row in rows if row["vantage"] in SIDES[side]]
    parts = {"all": mine} if mine else {}
    for row in mine:
        parts.setdefault(row["route"] or "unnamed", []).append(row)
    return parts


@given(st.integers(20, 200), st.data())
def test_one_planted_loss_is_always_found(count: int, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, count - 1))
    rows = [operation(value, op="add", value=value) for value in range(count)]
    left = [value for value in range(count) if value != gone]
    finding = durability.check(
        history(rows + scan(left)), Context(final_scan=FinalScan(converged=True, elements=len(left)))
    )
    assert (finding.state, finding.figures["lost_values"]) == (State.VIOLATED, [gone])


# --- epochs -----------------------------------------------------------------------------------------------

EPOCHS = ("1", "2", "3", "10")
WRITES = st.builds(
    lambda ms, latency, outcome, op, epoch, pair: operation(
        ms, outcome, latency, op=op, epoch=epoch, expected=pair[0], observed=pair[1]
    ),
    st.integers(0, 300),
    st.integers(0, 60),
    OUTCOMES,
    st.sampled_from(["write", "add", "incr", "read", "cas"]),
    st.sampled_from([None, *EPOCHS]),
    st.sampled_from([(None, None), (1, 1), (1, 2), (0, None), (None, 0)]),
)


def wrote(row: Row) -> bool:
    """Whether an operation surely wrote something, in an epoch that is known; a cas that found what it expected did."""
    if row["outcome"] != "ok" or row["epoch"] is None:
        return False
    return row["op"] in ("write", "add", "incr") or (row["op"] == "cas" and row["expected"] == row["observed"])


def slow_overlaps(rows: list[Row]) -> list[Row]:
    acked = [row for row in rows if wrote(row)]
    return [
        row
        for row in acked
        if any(int(other["epoch"]) > int(row["epoch"]) and other["return_ns"] < row["invoke_ns"] for other in acked)
    ]


@MANY
@given(st.lists(WRITES, max_size=60))
def test_epochs_agree_with_comparing_every_pair(rows: list[Row]) -> None:
    finding = epochs.check(history(rows), Context())
    overlaps = slow_overlaps(rows)
    assert finding.figures["overlaps"] == len(overlaps)
    witnesses = as_list(finding.figures.get("witnesses", []))
    assert len(witnesses) == min(20, len(overlaps))
    for witness in witnesses:
        alone = shown(witness["operations"])
        assert len(alone) == 2
        assert epochs.check(history(alone), Context()).state is State.VIOLATED
        assert slow_overlaps(alone)
    assert (finding.state is State.VIOLATED) == bool(overlaps)


REPLICATION_IDS = st.lists(st.integers(0, 16**40 - 1).map("{:040x}".format), min_size=4, max_size=4, unique=True)


@given(st.lists(WRITES, max_size=60), REPLICATION_IDS)
def test_random_replication_ids_give_what_timelines_do_that_first_ack_in_their_order(
    rows: list[Row], replication_ids: list[str]
) -> None:
    first_acks: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row["return_ns"]):
        if wrote(row):
            first_acks.setdefault(row["epoch"], row["return_ns"])
    assume(len(set(first_acks.values())) == len(first_acks))  # else their order is nobody's to say
    order = [*first_acks, *(epoch for epoch in EPOCHS if epoch not in first_acks)]
    ids = dict(zip(order, replication_ids, strict=True))
    timelines = {epoch: str(number) for number, epoch in enumerate(order, 8)}  # 8, 9, 10: as numbers, not as texts

    def json_of(names: dict[str, str]) -> dict[str, Any]:
        relabelled = [{**row, "epoch": names.get(row["epoch"] or "")} for row in rows]
        fields: dict[str, Any] = dict(epochs.check(history(relabelled), Context()).to_json())
        fields["figures"].pop("witnesses", None)  # these take one operation more
        return fields

    relabelled = [{**row, "epoch": ids.get(row["epoch"] or "")} for row in rows]
    for witness in as_list(epochs.check(history(relabelled), Context()).figures.get("witnesses", [])):
        assert epochs.check(history(shown(witness["operations"])), Context()).state is State.VIOLATED
    by_id, by_timeline = json_of(ids), json_of(timelines)
    assert by_id["figures"].pop("epochs") == [ids[epoch] for epoch in first_acks]
    assert by_timeline["figures"].pop("epochs") == [int(timelines[epoch]) for epoch in first_acks]
    assert by_id == by_timeline


# --- availability -----------------------------------------------------------------------------------------


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[Row], Context]:
    """Some 2 s of operations at uneven times, up and down by turns, on two vantages and routes; maybe a fault.

    Between two turns the clients may be away for some seconds.
    """
    every_ms = draw(st.sampled_from([5, 7, 20, 130]))
    turns = draw(st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["ok", "ok", "fail", "info"])), min_size=1))
    rows, number = [], 0
    for length, outcome in turns[:12]:
        number += draw(st.sampled_from([0, 0, 0, 3000])) // every_ms
        for _ in range(length):
            lone = draw(st.integers(0, 15)) == 0
            ended = draw(OUTCOMES) if lone else outcome
            latency = None if ended == "info" else draw(st.sampled_from([1, 2, 40, 250]))
            label = draw(st.sampled_from([("a", "direct"), ("a", "direct"), ("b", None)]))
            rows.append(operation(number * every_ms, ended, latency, vantage=label[0], route=label[1]))
            number += 1
    last = number * every_ms
    if not draw(st.booleans()):
        return rows, Context()
    injected = draw(st.integers(0, last))
    healed = draw(st.one_of(st.none(), st.integers(injected, last + 100)))
    window = FaultWindow(
        kind="kill",
        target="pg-0",
        injected_ns=at(injected),
        healed_ns=None if healed is None else at(healed),
        evidence=(),
        proven=True,
    )
    settled = draw(st.one_of(st.none(), st.integers(injected, last)))
    return rows, Context(fault_windows=(window,), settled_ns=None if settled is None else at(settled))


SlowOutage = tuple[int, float, float]  # its start, its end, and until when it was seen to last


def slow_outages(rows: list[Row], origin: int, injected: int | None) -> list[SlowOutage]:
    windows: dict[int, list[Row]] = {}
    for row in rows:
        windows.setdefault((row["scheduled_ns"] - origin) // WINDOW_NS, []).append(row)
    runs: list[list[Row]] = []
    in_outage = False
    for number in sorted(windows):
        acked = sum(row["outcome"] == "ok" for row in windows[number])
        bad = acked / len(windows[number]) < 0.95
        if bad and in_outage:
            runs[-1] += windows[number]
        elif bad:
            runs.append(list(windows[number]))
        in_outage = bad
    outages: list[SlowOutage] = []
    for run in runs:
        failed = [row["scheduled_ns"] for row in run if row["outcome"] != "ok"]
        acks = [row["return_ns"] for row in rows if row["scheduled_ns"] > failed[-1] and ends_outages(row, injected)]
        end = min(acks, default=float("inf"))
        outages.append((failed[0], end, end))
    return [(start, end, slow_seen(rows, start, end)) for start, end, _ in slow_joined(outages)]


def slow_seen(rows: list[Row], start: float, end: float) -> float:
    """Return until when the rows of a vantage show that an outage lasted."""
    seen = min(end, last_of(rows))
    for gone, back in slow_absences(rows):
        if start <= gone and back <= end < back + 2_000_000_000:
            seen = max(row["scheduled_ns"] for row in rows if row["outcome"] != "ok" and row["scheduled_ns"] <= gone)
    return seen


def last_of(rows: list[Row]) -> float:
    return float(max(max(row["scheduled_ns"], row["return_ns"] or 0) for row in rows))


def slow_absences(rows: list[Row]) -> list[tuple[int, int]]:
    times = sorted(row["scheduled_ns"] for row in rows)
    pauses = [other - one for one, other in pairwise(times)]
    found: list[tuple[int, int]] = []
    for time in times[1:]:
        earlier = [row for row in rows if row["scheduled_ns"] < time]
        there = max(max(row["scheduled_ns"], row["return_ns"] or 0) for row in earlier)
        if time - there > max(1_000_000_000, 10 * int(median(pauses))):
            found.append((there, time))
    return found


def ends_outages(row: Row, injected: int | None) -> bool:
    if row["outcome"] != "ok":
        return False
    return injected is None or not row["invoke_ns"] < injected <= row["return_ns"]


def slow_joined(outages: list[SlowOutage]) -> list[SlowOutage]:
    for first, other in pairwise(outages):
        if other[0] <= first[1]:
            rest = [outage for outage in outages if outage not in (first, other)]
            longer = other if other[1] >= first[1] else first
            return slow_joined(sorted([*rest, (first[0], *longer[1:])]))
    return outages


def slow_failover(outages: list[SlowOutage], context: Context, which: int = 1) -> float:
    """From the injection to the end of the last outage of the fault; which 2: for as long as it was seen."""
    if context.injected_ns is None:
        return 0
    heal = float("inf") if context.healed_ns is None else context.healed_ns
    ended = [outage for outage in outages if outage[0] < heal and outage[1] > context.injected_ns]
    return max(0, max(ended)[which] - context.injected_ns) if ended else 0


def slow_phase(row: Row, outages: list[SlowOutage], context: Context) -> str:
    if context.injected_ns is None or row["scheduled_ns"] < context.injected_ns:
        return "before"
    heal = float("inf") if context.healed_ns is None else context.healed_ns
    later = [end for start, end, _ in outages if start >= heal and end > context.injected_ns]
    when = row["scheduled_ns"]
    if when < context.injected_ns + slow_failover(outages, context):
        return "outage"
    if when < heal:
        return "degraded"
    return "healing" if when < max([context.settled_ns or 0, *later]) else "after"


def slow_first_ack(rows: list[Row], outages: list[SlowOutage], context: Context) -> float | None:
    injected = context.injected_ns
    heal = float("inf") if context.healed_ns is None else context.healed_ns
    reaching = [outage for outage in outages if injected is not None and outage[0] < heal and outage[1] > injected]
    if injected is None or not reaching:
        return None
    begun, over = max(injected, reaching[0][0]), reaching[-1][1]
    unacked = [row["invoke_ns"] for row in rows if row["outcome"] != "ok" and begun <= row["scheduled_ns"] <= over]
    acks = [row["return_ns"] for row in rows if row["outcome"] == "ok" and unacked and row["invoke_ns"] > unacked[0]]
    return (min(acks) - injected) / 1e9 if acks else None


def series_of(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        parts.setdefault((row["vantage"], row["route"] or "unnamed"), []).append(row)
    return parts


@settings(max_examples=cases(300))
@given(loads())
def test_availability_agrees_with_walking_through_the_operations(made: tuple[list[Row], Context]) -> None:
    rows, context = made
    finding = availability.check(history(rows), context)
    if len(rows) < 20:
        assert finding.state is State.UNKNOWN
        return
    injected = context.injected_ns
    origin = ORIGIN_NS if injected is None else injected
    series: Any = {(row["vantage"], row["route"]): row for row in as_list(finding.figures["series"])}
    phases: Counter[tuple[str, str, str]] = Counter()
    assert series.keys() == series_of(rows).keys()
    for label, part in series_of(rows).items():
        outages = slow_outages(part, origin, injected)
        assert [(outage["start_ns"], outage["end_ns"] or float("inf")) for outage in series[label]["outages"]] == [
            outage[:2] for outage in outages
        ]
        seen = slow_failover(outages, context, 2)
        assert series[label]["failover_seconds"] == seen / 1e9
        is_known = seen == slow_failover(outages, context)
        assert series[label]["lower_bounds"] == ([] if is_known else ["failover_seconds"])
        assert series[label]["first_ack_seconds"] == slow_first_ack(part, outages, context)
        phases.update((*label, slow_phase(row, outages, context)) for row in part)
    compare_phases(finding.figures, phases)


@settings(max_examples=cases(300))
@given(loads())
def test_the_figures_of_the_fault_agree_with_walking_through_each_side_and_route(
    made: tuple[list[Row], Context],
) -> None:
    rows, context = made
    assume(len(rows) >= 20)
    figures: Any = availability.check(history(rows), replace(context, sides=SIDES)).figures
    assert {name: figures[name] for name in slow_in_fault(rows, context)} == slow_in_fault(rows, context)
    assert set(figures["by_side"]) == {side for side in SIDES if parts_of(rows, side)}
    for side, routes in figures["by_side"].items():
        parts = parts_of(rows, side)
        assert routes.keys() == parts.keys()
        for route, part in routes.items():
            expected = slow_in_fault(parts[route], context)
            assert {name: part[name] for name in expected} == expected
    for name in ("operations", "acked", "outages", "later_outages"):
        assert sum(routes["all"][name] for routes in figures["by_side"].values()) == figures[name]
    whole = [routes["all"]["failover_seconds"] for routes in figures["by_side"].values()]
    assert max(whole) == figures["failover_seconds"]


def slow_in_fault(rows: list[Row], context: Context) -> dict[str, Any]:
    """Of writes, which all of them are."""
    injected = context.injected_ns
    if injected is None:
        return dict.fromkeys(
            ("writes_served_seconds", "reads_served_seconds", "unacked_share", "writes_acked_in_fault")
        )
    heal = float("inf") if context.healed_ns is None else context.healed_ns
    acked = [row for row in rows if row["outcome"] == "ok" and injected <= row["invoke_ns"] and row["return_ns"] < heal]
    outcomes = [row["outcome"] for row in rows if injected <= row["scheduled_ns"] < heal]
    return {
        "writes_served_seconds": (max(row["return_ns"] for row in acked) - injected) / 1e9 if acked else 0,
        "reads_served_seconds": None,
        "unacked_share": sum(outcome != "ok" for outcome in outcomes) / len(outcomes) if outcomes else None,
        "writes_acked_in_fault": len(acked),
    }


def compare_phases(figures: Any, phases: Counter[tuple[str, str, str]]) -> None:
    rows = as_list(figures["phases"])
    assert {(row["vantage"], row["route"], row["phase"]): row["operations"] for row in rows} == dict(phases)
    assert {row["phase"] for row in rows} <= set(PHASES)
    over_vantages: Counter[tuple[str, str]] = Counter()
    for (_, route, phase), count in phases.items():
        over_vantages[route, phase] += count
    assert {
        (route, row["phase"]): row["operations"] for route, of in figures["by_route"].items() for row in of["phases"]
    } == dict(over_vantages)
    assert sum(row["acked"] for row in as_list(figures["series"])) == sum(row["acked"] for row in rows)


def as_list(value: Any) -> list[Any]:
    assert isinstance(value, list)
    return value


@given(st.integers(100, 300), st.integers(1, 200))
def test_a_planted_outage_is_found_to_the_operation(first: int, length: int) -> None:
    """An operation every 10 ms, acked in 1 ms; `length` of them fail."""
    rows = [operation(10 * n, "fail" if first <= n < first + length else "ok", 1) for n in range(first + length + 20)]
    context = Context(
        fault_windows=(
            FaultWindow(
                kind="kill", target="pg-0", injected_ns=at(10 * first), healed_ns=None, evidence=(), proven=True
            ),
        )
    )
    finding = availability.check(history(rows), context)
    assert finding.figures["failover_seconds"] == (10 * length + 1) * MS / 1e9


# --- all of them ------------------------------------------------------------------------------------------


@given(st.lists(WRITES, max_size=40), st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    in_order, other = (sayings(some) for some in (rows, shuffled))
    for findings in (in_order, other):
        findings["epochs"]["figures"].pop("witnesses", None)  # of operations at one moment the first row is shown
    assert in_order == other


def sayings(rows: list[Row]) -> dict[str, Any]:
    findings = check_history(table(rows), Context(final_scan=FinalScan(converged=True, elements=0)), HERE)
    return {finding.property: finding.to_json() for finding in findings}


@given(st.lists(WRITES, max_size=40))
def test_every_state_can_be_said_and_no_checker_fails(rows: list[Row]) -> None:
    for finding in check_history(table(rows), Context(final_scan=FinalScan(converged=True, elements=0)), HERE):
        assert not finding.error
        assert finding.reason


# --- checkers among each other ----------------------------------------------------------------------------


@st.composite
def registers_of_versions(draw: st.DrawFn) -> list[Row]:
    """Sessions that write growing values to one or two keys, and read; no two moments are the same."""
    rows: list[Row] = []
    for session in range(draw(st.integers(1, 4))):
        ms = 10 * draw(st.integers(0, 6))
        for _ in range(draw(st.integers(1, 5))):
            took = 10 * draw(st.integers(1, 4)) - 5
            op, key = draw(st.sampled_from(["read", "read", "write"])), draw(st.sampled_from(["x", "y"]))
            outcome = draw(OUTCOMES)
            rows.append(operation(ms, outcome, took, session=session, op=op, key=key, value=None))
            ms += took + 5 + 10 * draw(st.integers(0, 2))
    rows.sort(key=lambda row: int(row["invoke_ns"]))
    for number, row in enumerate(rows):
        writes = [before for before in rows[:number] if (before["op"], before["key"]) == ("write", row["key"])]
        earlier = [write["value"] for write in writes]
        if row["op"] == "write":
            row["value"] = number
        elif row["outcome"] == "ok" and earlier:
            row["value"] = draw(st.sampled_from([*earlier, earlier[-1], earlier[-1], None]))
    return rows


@MANY
@given(registers_of_versions())
def test_what_is_linearizable_is_not_stale_and_keeps_every_promise_to_sessions(rows: list[Row]) -> None:
    """Linearizability of every key is the strongest of the three, so that the other two cannot be violated alone."""
    findings = check_history(history(rows), Context(enough=1), ("registers", "staleness", "sessions"))
    assert not any(finding.error for finding in findings)
    if findings[0].state is State.HOLDS:
        assert State.VIOLATED not in {finding.state for finding in findings}
