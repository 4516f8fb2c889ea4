"""Sets in histories that stand alone, against a slow version that follows the words of the documentation."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import Row, history, operation
from support.effort import cases

from caplab.check import Finding, State, durability, standalone

pytestmark = pytest.mark.property

Element: TypeAlias = tuple[str | None, int]  # a set and a value


def random_rows(rng: random.Random) -> list[Row]:
    """Make adds to up to three sets, and scans by two clients of two servers, mostly of what may be there."""
    of_sets: list[list[str | None]] = [[None], ["a"], ["a", "b"], [None, "a", "b"]]
    sets = rng.choice(of_sets)
    rows: list[Row] = []
    added: list[Element] = []
    for number in range(rng.randrange(1, 9)):
        outcome = rng.choice(["ok"] * 5 + ["info", "fail"])
        key, value = rng.choice(sets), number if rng.random() < 0.98 else 0
        rows.append(operation(rng.randrange(12), outcome, rng.choice([0, 1, 3]), op="add", key=key, value=value))
        added.append((key, value))
    for _ in range(rng.choice([0, 1, 1, 2, 3, 4])):
        rows += _scan(rng, added, rng.sample(sets, rng.randint(1, len(sets))))
    return rows


def _scan(rng: random.Random, added: list[Element], sets: list[str | None]) -> list[Row]:
    columns: Row = {
        "op": "scan",
        "session": rng.choice([1, 1, 2]),
        "server": rng.choice([None, None, "m-0", "m-1", "all"]),
        "route": rng.choice([None, None, "service"]),
    }
    ms, outcome = rng.randrange(4, 16), rng.choice(["ok"] * 9 + ["fail"])
    rows = []
    for key in sets:
        found = [value for of, value in added if of == key and rng.random() < 0.9]
        found += [rng.choice([77, *found])] if rng.random() < 0.1 else []
        rows += [operation(ms, key=key, value=value, **columns) for value in found]
        rows += [] if found else [operation(ms, key=key, value=None, **columns)]
    rows[-1]["outcome"] = outcome
    if rng.random() < 0.05:
        rows = [operation(ms, key=None, value=None, **columns)]
    return rows


def slow_finding(rows: list[Row]) -> tuple[State, set[Element], set[Element], set[Element]]:
    """Return the state, and the elements that are lost, unexpected and duplicated."""
    keys = {row["key"] for row in rows if row["op"] == "add"}
    if None not in keys and any(row["key"] is None and row["value"] is not None for row in rows):
        rows = [row | {"key": None} if row["key"] in keys else row for row in rows]  # they may be of any set
    adds: dict[Element, Row] = {}
    for row in rows:
        if row["op"] == "add":
            if (row["key"], row["value"]) in adds:
                return State.UNKNOWN, set(), set(), set()
            adds[row["key"], row["value"]] = row
    scans = scans_of(rows, {key for key, _ in adds})
    shown = [
        (of, [row["value"] for row in scan if row["outcome"] == "ok" and row["value"] is not None])
        for of, every in scans.items()
        for scan in every
    ]
    effective = {element for element, add in adds.items() if add["outcome"] != "fail"}
    unexpected = {(of, value) for of, values in shown for value in values} - effective
    duplicated = {(of, value) for of, values in shown for value in values if values.count(value) > 1}
    lost, unknown = set[Element](), False
    for of in {key for key, _ in adds}:
        acked = {value: add for (key, value), add in adds.items() if key == of and add["outcome"] == "ok"}
        missing, unsure = slow_set(acked, scans.get(of, []))
        lost |= {(of, value) for value in missing}
        unknown |= unsure
    if lost or unexpected or duplicated:
        return State.VIOLATED, lost, unexpected, duplicated
    some = any(add["outcome"] == "ok" for add in adds.values())
    return (State.UNKNOWN if unknown or not some else State.HOLDS), lost, unexpected, duplicated


def scans_of(rows: list[Row], sets: set[str | None]) -> dict[str | None, list[list[Row]]]:
    """Return each set's scans."""
    scans: dict[Any, list[Row]] = {}
    for row in rows:
        if row["op"] == "scan":
            every = sets if row["key"] is None and row["value"] is None and None not in sets else {row["key"]} & sets
            for of in every:
                scans.setdefault((of, row["session"], row["server"], row["invoke_ns"]), []).append(row)
    by_set: dict[str | None, list[list[Row]]] = {}
    for (of, *_), scan in scans.items():
        by_set.setdefault(of, []).append(scan)
    return by_set


def slow_set(acked: dict[int, Row], scans: list[list[Row]]) -> tuple[set[int], bool]:
    """Return which values of a set are lost, and whether something about it is not known."""
    end_ns = max((add["return_ns"] for add in acked.values()), default=-1)
    pool = preferred([scan for scan in scans if scan[0]["invoke_ns"] >= end_ns] or scans)
    if not pool:
        return set(), True
    unknown = any(row["outcome"] != "ok" for scan in last_of(pool) for row in scan)
    if unknown:
        pool = preferred([scan for scan in scans if all(row["outcome"] == "ok" for row in scan)])
        if not pool:
            return set(), True
    chosen = last_of(pool)
    servers = {scan[0]["server"] for scan in chosen}
    for server in {scan[0]["server"] for scan in pool} - servers:
        last = last_of([scan for scan in pool if scan[0]["server"] == server])[-1]
        if all(row["outcome"] == "ok" for row in last):
            chosen.append(last)
    seen = [{row["value"] for row in scan if row["value"] is not None} for scan in chosen]
    unknown |= any(other != seen[0] for other in seen)
    begun_ns = min(scan[0]["invoke_ns"] for scan in chosen)
    missing = set(acked) - set().union(*seen)
    lost = {value for value in missing if acked[value]["return_ns"] < begun_ns}
    return lost, unknown or lost != missing


def preferred(scans: list[list[Row]]) -> list[list[Row]]:
    for name, word in (("server", "all"), ("route", "service")):
        if chosen := [scan for scan in scans if any(row[name] == word for row in scan)]:
            return chosen
    return scans


def last_of(scans: list[list[Row]]) -> list[list[Row]]:
    last_ns = max(scan[0]["invoke_ns"] for scan in scans)
    return [scan for scan in scans if scan[0]["invoke_ns"] == last_ns]


def judged(rows: list[Row]) -> Finding:
    table = history(rows)
    return durability.check(table, standalone.context_of(table))


@settings(max_examples=cases(150))
@given(st.integers(0, 2**32))
def test_sets_are_judged_by_their_own_scans_as_the_words_say(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(10):
        rows = random_rows(rng)
        state, lost, unexpected, duplicated = slow_finding(sorted(rows, key=lambda row: int(row["invoke_ns"])))
        finding = judged(rows)
        assert finding.state is state
        if finding.figures:
            counts = {name: finding.figures[name] for name in ("lost", "unexpected", "duplicated")}
            assert counts == {"lost": len(lost), "unexpected": len(unexpected), "duplicated": len(duplicated)}
            figures: Any = finding.figures
            assert figures["acked"] == figures["survived"] + figures["lost"] + figures["unjudged"]
