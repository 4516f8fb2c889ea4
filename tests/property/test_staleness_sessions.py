"""Staleness and sessions against slow versions that follow their words, one pair of operations at a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.checkers.histories import Row, at, history, kill
from support.checkers.random_registers import SCAN_MS, final_scan, random_rows
from support.checkers.written_histories import alone
from support.effort import cases

from caplab.check import Context, Finding, sessions, staleness
from caplab.check.sessions.search import GUARANTEES

pytestmark = pytest.mark.property

HISTORIES = 40  # in one history
MANY = settings(max_examples=cases(100))


def in_order(rows: list[Row]) -> bool:
    """Whether one key's values are ordered."""
    writes = sorted((row for row in rows if row["op"] == "write" and row["outcome"] != "fail"), key=_by_invocation)
    values = [row["value"] for row in writes]
    acked = [row for row in writes if row["outcome"] == "ok"]
    return values == sorted(set(values)) and not any(
        earlier["return_ns"] > other["invoke_ns"]
        or (earlier["return_ns"] == other["invoke_ns"] and earlier["session"] != other["session"])
        for number, earlier in enumerate(acked)
        for other in acked[number + 1 :]
    )


def _by_invocation(row: Row) -> tuple[int, int]:
    return row["invoke_ns"], row["value"]


class Slow:
    """One history: what is ordered, what each read returned, and which version is surely older than which."""

    def __init__(self, rows: list[Row]) -> None:
        by_key = {key: [row for row in rows if row["key"] == key] for key in {row["key"] for row in rows}}
        written = {key for key, of in by_key.items() if any(row["op"] == "write" for row in of)}
        effective = {
            key for key in written if any(row["op"] == "write" and row["outcome"] != "fail" for row in by_key[key])
        }
        ordered = {key for key, of in by_key.items() if in_order(of)}
        self.keys, self.skipped = len(written & ordered), len(effective - ordered)
        self.writes = {
            (row["key"], row["value"]): row
            for row in rows
            if row["op"] == "write" and row["outcome"] != "fail" and row["key"] in ordered
        }
        every = [row for row in rows if row["op"] == "read" and row["outcome"] == "ok" and row["key"] in ordered]
        self.reads = [row for row in every if self.expected(row)]
        self.unexpected = len(every) - len(self.reads)
        self.ordered = ordered

    def expected(self, read: Row) -> bool:
        write = self.writes.get((read["key"], read["value"]))
        return read["value"] is None or (write is not None and write["invoke_ns"] <= read["return_ns"])

    def older(self, key: str, value: int | None, other: int | None) -> bool:
        """Whether one of two values of a key is surely older than the other."""
        if value is None or other is None:
            return value is None and other is not None
        first, second = self.writes[key, value], self.writes[key, other]
        if first["outcome"] == "info" or value == other:
            return False
        return value < other if second["outcome"] == "ok" else bool(first["return_ns"] < second["invoke_ns"])

    def missed(self, read: Row) -> list[Row]:
        return [
            write
            for (key, value), write in self.writes.items()
            if key == read["key"] and write["outcome"] == "ok" and write["return_ns"] < read["invoke_ns"]
            if self.older(key, read["value"], value)
        ]

    def undecided(self, read: Row) -> bool:
        write = self.writes.get((read["key"], read["value"]))
        return (
            write is not None
            and write["outcome"] == "info"
            and any(
                key == read["key"] and value > read["value"] and other["outcome"] == "ok"
                for (key, value), other in self.writes.items()
                if other["outcome"] == "ok" and other["return_ns"] < read["invoke_ns"]
            )
        )


def slow_staleness(rows: list[Row], scan: list[Row] | None) -> Counter[str]:
    """The counts of one history; with a final scan at SCAN_MS or without."""
    slow = Slow(rows)
    counts = Counter(keys=slow.keys, keys_skipped=slow.skipped, reads=len(slow.reads), unexpected=slow.unexpected)
    shown: dict[str, Any] = {row["key"]: row for row in scan or []}
    unexpected = {key for key, row in shown.items() if key in slow.ordered and not slow.expected(row)}
    counts["unexpected_at_the_end"] = len(unexpected)
    counts["reads"] += slow.unexpected

    def gone(key: str, value: int | None) -> bool:
        """Whether the scan shows that a value that was there no longer exists, and was not overwritten."""
        return (
            scan is not None
            and key not in unexpected
            and slow.older(key, shown.get(key, {"value": None})["value"], value)
        )

    def lost(write: Row) -> bool:
        in_time = write["outcome"] == "ok" and write["return_ns"] < at(SCAN_MS)
        return in_time and gone(write["key"], write["value"])

    counts["lost"] = sum(lost(write) for write in slow.writes.values())
    for read in slow.reads:
        missed = slow.missed(read)
        counts["missing_lost"] += bool(missed) and all(lost(write) for write in missed)
        counts["stale"] += bool(missed) and not all(lost(write) for write in missed)
        counts["undecided"] += slow.undecided(read)
        counts["dirty"] += read["return_ns"] < at(SCAN_MS) and gone(read["key"], read["value"])
    return counts


def slow_behind(rows: list[Row]) -> list[tuple[int, int]]:
    """Of each stale read: nanoseconds since the earliest ack that it missed, and how many it missed."""
    slow = Slow(rows)
    every = [(read, slow.missed(read)) for read in slow.reads]
    return [
        (read["invoke_ns"] - min(write["return_ns"] for write in missed), len(missed))
        for read, missed in every
        if missed
    ]


def before(first: Row, other: Row) -> bool:
    """Whether one operation came before another of its session."""
    same = (first["vantage"], first["session"]) == (other["vantage"], other["session"])
    if not same or first["return_ns"] is None or first["return_ns"] > other["invoke_ns"]:
        return False
    spans = [
        (row["invoke_ns"], float("-inf") if row["return_ns"] is None else row["return_ns"]) for row in (first, other)
    ]
    return spans[0] < spans[1]


def slow_sessions(rows: list[Row]) -> Counter[str]:
    slow = Slow(rows)
    acked = [write for write in slow.writes.values() if write["outcome"] == "ok"]

    def newer(source: Row, read: Row) -> bool:
        return source["key"] == read["key"] and slow.older(read["key"], read["value"], source["value"])

    def knew(source: list[Row], read: Row) -> bool:
        return any(before(event, read) and newer(event, read) for event in source)

    def heard(source: list[Row], read: Row) -> bool:
        observed = [earlier for earlier in slow.reads if earlier["value"] is not None and before(earlier, read)]
        writes = [slow.writes[earlier["key"], earlier["value"]] for earlier in observed]
        return any(newer(event, read) and before(event, write) for write in writes for event in source)

    counts: Counter[str] = Counter(keys=slow.keys, keys_skipped=slow.skipped, reads=len(slow.reads))
    for read in slow.reads:
        broken = (knew(acked, read), knew(slow.reads, read), heard(acked, read), heard(slow.reads, read))
        counts.update(dict(zip(GUARANTEES, broken, strict=True)))
    return counts


def random_histories(seed: int) -> dict[str, list[Row]]:
    """HISTORIES of them; in some the numbers of sessions and the values are as far apart as can be."""
    rng = random.Random(seed)
    made = {f"w{number}": random_rows(f"w{number}", rng) for number in range(HISTORIES)}
    step, bases = rng.choice([(1, [0]), (700_000_001, [0, -(2**63), 2**63 - 100])])
    for rows in made.values():
        base = rng.choice(bases)
        for row in rows:
            row["session"] *= step
            if row.get("value") is not None:
                row["value"] += base
    return made


def summed(made: dict[str, list[Row]], of: Callable[[list[Row]], Counter[str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for rows in made.values():
        total.update(of(rows))
    return dict(total)


@MANY
@given(st.integers(0, 2**32))
@example(385891205)  # no read is stale
def test_staleness_agrees_with_holding_every_read_against_every_write(seed: int) -> None:
    made = random_histories(seed)
    finding = staleness.check(history([row for rows in made.values() for row in rows]), Context())
    expected = summed(made, lambda rows: slow_staleness(rows, None))
    named = ("keys", "keys_skipped", "reads", "stale", "undecided", "unexpected")
    assert {name: finding.figures[name] for name in named} == {name: expected[name] for name in named}
    assert finding.figures["missing_lost"] is finding.figures["dirty"] is finding.figures["lost"] is None
    by_vantage: Any = finding.figures["by_vantage"]
    assert {row["vantage"]: (row["reads"], row["stale"]) for row in by_vantage} == {
        name: (counts["reads"], counts["stale"])
        for name, rows in made.items()
        if (counts := slow_staleness(rows, None))["reads"]
    }
    behind = [delay for rows in made.values() for delay in slow_behind(rows)]
    figures: Any = finding.figures
    if not behind:
        assert figures["behind_ms"]["max"] is figures["behind_versions"]["max"] is None
        return
    assert figures["behind_ms"]["max"] == max(ns for ns, _ in behind) / 1e6
    assert figures["behind_versions"]["max"] == max(versions for _, versions in behind)
    median_ns = sorted(ns for ns, _ in behind)[(len(behind) + 1) // 2 - 1]
    assert figures["behind_ms"]["p50"] == median_ns / 1e6


@MANY
@given(st.integers(0, 2**32))
def test_staleness_with_a_final_scan_agrees_with_holding_every_pair_against_it(seed: int) -> None:
    rng = random.Random(seed)
    made = random_histories(seed)
    scans = {name: final_scan(rows, rng) for name, rows in made.items()}
    rows = [row for name in made for row in made[name] + scans[name]]
    finding = staleness.check(history(rows), Context())
    expected: Counter[str] = Counter()
    for name in made:
        expected.update(slow_staleness(made[name], scans[name]))
    named = ("stale", "missing_lost", "dirty", "lost", "undecided", "unexpected", "unexpected_at_the_end")
    assert {name: finding.figures[name] for name in named} == {name: expected[name] for name in named}


@MANY
@given(st.integers(0, 2**32))
def test_sessions_agree_with_holding_every_read_against_all_that_was_known(seed: int) -> None:
    made = random_histories(seed)
    finding = sessions.check(history([row for rows in made.values() for row in rows]), Context())
    expected = summed(made, slow_sessions)
    named = (*GUARANTEES, "keys", "keys_skipped", "reads")
    assert {name: finding.figures[name] for name in named} == {name: expected[name] for name in named}
    by_vantage: Any = finding.figures["by_vantage"]
    for row in by_vantage:
        counts = slow_sessions(made[row["vantage"]])
        assert {name: row[name] for name in GUARANTEES} == {name: counts[name] for name in GUARANTEES}


@settings(MANY, max_examples=cases(20))
@given(st.integers(0, 2**32))
def test_sides_of_staleness_that_part_all_vantages_sum_to_the_totals_and_each_is_what_it_would_be_alone(
    seed: int,
) -> None:
    rng = random.Random(seed)
    made, sides = random_cut_histories(seed, rng)
    scans = {name: final_scan(rows, rng) for name, rows in made.items()}
    table = history([row for name in made for row in made[name] + scans[name]])
    window = kill(rng.randint(0, 12), rng.choice([15, None]))
    figures: Any = staleness.check(table, Context(fault_windows=(window,), sides=sides)).figures
    during = [row["stale"] for row in figures["by_phase"] if row["phase"] == "during"]
    assert figures["stale_in_fault"] == sum(during)
    compare_sums(figures, sides, ("reads", "stale", "stale_in_fault", "missing_lost", "dirty"))
    for side, vantages in sides.items():
        alone = summed(
            {name: made[name] for name in vantages}, lambda rows: slow_staleness(rows, scans_of(rows, scans))
        )
        names = ("reads", "stale", "missing_lost", "dirty")
        compare_side(figures, side, {name: alone.get(name, 0) for name in names})


@settings(MANY, max_examples=cases(20))
@given(st.integers(0, 2**32))
def test_sides_of_sessions_that_part_all_vantages_sum_to_the_totals_and_each_is_what_it_would_be_alone(
    seed: int,
) -> None:
    made, sides = random_cut_histories(seed, random.Random(seed))
    table = history([row for rows in made.values() for row in rows])
    figures: Any = sessions.check(table, Context(sides=sides)).figures
    names = ("reads", *GUARANTEES)
    compare_sums(figures, sides, names)
    for side, vantages in sides.items():
        alone = summed({name: made[name] for name in vantages}, slow_sessions)
        compare_side(figures, side, {name: alone.get(name, 0) for name in names})


def random_cut_histories(seed: int, rng: random.Random) -> tuple[dict[str, list[Row]], dict[str, tuple[str, ...]]]:
    """Histories with routes, and a cut between them: each is a vantage."""
    made = random_histories(seed)
    for row in (row for rows in made.values() for row in rows):
        row["route"] = rng.choice(["direct", "service", None])
    names, cut = tuple(made), rng.randint(1, HISTORIES - 1)
    return made, {"minority": names[:cut], "majority": names[cut:]}


def scans_of(rows: list[Row], scans: dict[str, list[Row]]) -> list[Row]:
    return scans[rows[0]["vantage"]]


def compare_side(figures: Any, side: str, alone: dict[str, int]) -> None:
    """A side without reads has no entry."""
    parts = figures["by_side"]
    assert (side in parts) == (alone["reads"] > 0)
    if side in parts:
        assert {name: parts[side]["all"][name] for name in alone} == alone


def compare_sums(figures: Any, sides: dict[str, tuple[str, ...]], names: tuple[str, ...]) -> None:
    """Sides to the totals, and routes to their side."""
    parts = figures["by_side"]
    for name in names:
        whole = {side: routes["all"][name] for side, routes in parts.items() if side in sides}
        assert sum(whole.values()) == figures[name]
        by_route = {side: sum(part[name] for part in routes.values()) - whole[side] for side, routes in parts.items()}
        assert by_route == whole


@settings(MANY, max_examples=cases(40))
@given(st.integers(0, 2**32))
def test_the_operations_of_a_witness_prove_it_alone_and_none_of_them_is_too_many(seed: int) -> None:
    rng = random.Random(seed)
    made = random_histories(seed)
    table = history([row for rows in made.values() for row in (*rows, *final_scan(rows, rng))])
    for check, kinds in ((staleness.check, STALENESS), (sessions.check, SESSIONS)):
        figures: Any = check(table, Context()).figures
        assert len(figures["witnesses"]) == min(20, sum(figures[kind] or 0 for kind in kinds.values()))
        for shown in rng.sample(figures["witnesses"], min(3, len(figures["witnesses"]))):
            kind = next(kind for words, kind in kinds.items() if words in shown["what"])
            operations = shown["operations"]
            assert counted(check(alone(table, operations), Context()), kind) == 1
            for place in range(len(operations)):
                if needed(kind, operations, place):
                    assert counted(check(alone(table, operations, place), Context()), kind) == 0


STALENESS = {
    "had been acked": "stale",
    "rolled back": "dirty",
    "The final scan of": "unexpected_at_the_end",
    "A read of": "unexpected",
}
SESSIONS = {name.replace("_", " ").capitalize(): name for name in GUARANTEES}


def counted(finding: Finding, kind: str) -> int:
    count = finding.figures.get(kind)
    return count if isinstance(count, int) else 0


def needed(kind: str, operations: list[Row], place: int) -> bool:
    """Whether it is no proof without this one.

    A failed write is there to explain. A session that reads what it writes at the very moment when the read returns
    has read what its own write follows, which proves the same in fewer operations.
    """
    if kind.startswith("unexpected"):
        return bool(operations[place]["op"] != "write")
    writes = {(row["key"], row["value"]): row["invoke_seconds"] for row in operations if row["op"] == "write"}
    return not any(writes.get((row["key"], row.get("value"))) == row["return_seconds"] for row in operations)
