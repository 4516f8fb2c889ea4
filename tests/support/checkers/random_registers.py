"""Small random histories of registers, many in one table: each has a vantage and keys of its own."""

from __future__ import annotations

import random

from support.checkers.histories import Row, operation

SCAN_MS = 24


def random_rows(name: str, rng: random.Random) -> list[Row]:
    """Generate sessions that write and read a few keys at whole milliseconds, so that many times are equal."""
    keys = [f"{name}{number}" for number in range(rng.choice([1, 1, 2, 3]))]
    sessions = rng.choice([1, 2, 2, 3])
    rows = [row for number in range(sessions) for row in _session(name, number, keys, sessions, rng)]
    rng.shuffle(rows)  # rows of one moment come in any order
    rows.sort(key=lambda row: row["invoke_ns"])
    for key in keys:
        _fill(key, [row for row in rows if row["key"] == key], rng)
    return rows


def final_scan(rows: list[Row], rng: random.Random) -> list[Row]:
    """Generate a scan of one history at SCAN_MS that shows any value for each key, or none."""
    written: dict[str, list[int]] = {row["key"]: [] for row in rows}
    for row in rows:
        if row["op"] == "write" and row["value"] is not None:
            written[row["key"]].append(row["value"])
    return [
        operation(
            SCAN_MS, op="scan", key=key, value=rng.choice([*values[-3:], *values[-1:], 99]), vantage=rows[0]["vantage"]
        )
        for key, values in written.items()
        if values and rng.random() < 0.8
    ]


def _session(vantage: str, number: int, keys: list[str], sessions: int, rng: random.Random) -> list[Row]:
    rows, now, disorderly = [], rng.choice([0, 0, 3]), rng.random() < 0.1
    for _ in range(rng.choice([1, 3, 5, 8])):
        now += rng.choice([0, 0, 0, 1, 2])
        latency = rng.choice([0, 1, 1, 2, 4])
        outcome = rng.choice(["ok"] * 8 + ["info", "info", "fail"])
        key = rng.choice(keys)
        mine = keys.index(key) % sessions == number or disorderly
        op = "write" if mine and rng.random() < 0.6 else "read"
        never = outcome == "info" and rng.random() < 0.5
        row = operation(now, outcome, None if never else latency, vantage=vantage, session=number, op=op, key=key)
        rows.append(row)
        now += rng.choice([0, latency]) if never else latency
    return rows


def _fill(key: str, rows: list[Row], rng: random.Random) -> None:
    """Fill in values: those of writes mostly grow; reads return one near those written by then."""
    written: list[int | None] = [None]
    for row in rows:
        if row["op"] == "write":
            last = max((value for value in written if value is not None), default=0)
            row["value"] = last if last and rng.random() < 0.01 else last + rng.choice([1, 1, 2])
            written.append(row["value"])
    for row in rows:
        if row["op"] == "read" and row["outcome"] == "ok":
            before = sum(other["op"] == "write" and other["invoke_ns"] <= row["return_ns"] for other in rows)
            near = written[max(0, before - 3) : before + 1] + written[before : before + 1] * 3
            row["value"] = rng.choice(near if rng.random() < 0.97 else [*written, 98])
