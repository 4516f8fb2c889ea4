"""Histories of transactions by simulated databases: valid ones of any size, small random ones, and adya's form of them.

A simulated database runs transactions of list appends and reads (or registers) from several sessions at once, at one
level: strict (strict two-phase locks), serializable (the same, but a transaction that only reads may see a state of the
past), snapshot (first committer wins), committed (reads the latest committed state, each micro-operation by itself, and
locks what it writes) or dirty (reads what is not committed yet, and aborts).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.check.columns import NEVER
from caplab.model.history import Table, validate
from caplab.model.transactions import MICRO_OPS, VALIDATED_TRANSACTIONS

STRICT, SERIALIZABLE, SNAPSHOT, COMMITTED, DIRTY = LEVELS = (
    "strict",
    "serializable",
    "snapshot",
    "committed",
    "dirty",
)
_LOCKING = (STRICT, SERIALIZABLE)
_GIVES_UP = 0.3  # of those that wait for a lock, at each turn


def big(transactions: int, seed: int = 0, sessions: int = 10, per_key: int = 32, hot: int = 8) -> Table:
    """Return a strict serializable history of list appends: two micro-operations a transaction, as adya's own runs."""
    rng = np.random.default_rng(seed)
    count = 2 * transactions
    append = rng.random(count) < 0.5
    # Each of the hot keys gives way to a fresh one after per_key appends.
    slot = rng.integers(0, hot, count)
    key, value, length = (np.zeros(count, dtype=np.int64) for _ in range(3))
    for each in range(hot):
        at = np.flatnonzero(slot == each)
        appended = np.cumsum(append[at])
        generation = np.where(append[at], appended - 1, appended) // per_key
        key[at] = generation * hot + each
        value[at] = appended - generation * per_key
        length[at] = appended - generation * per_key
    lengths = np.where(append, 0, length)
    ends = np.cumsum(lengths)
    elements = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths) + 1
    offsets = pa.array(np.concatenate(([0], ends)).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(elements), mask=pa.array(append))
    names, codes = np.unique(key, return_inverse=True)
    structs = pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(pa.array(np.where(append, 0, 2).astype(np.int32)), pa.array(MICRO_OPS)),
            pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names.astype(str))),
            pa.array(value, mask=~append),
            lists.cast(pa.list_(pa.int64())),
        ],
        fields=list(VALIDATED_TRANSACTIONS.value_type),
    )
    micro = pa.ListArray.from_arrays(
        pa.array(np.arange(0, count + 1, 2, dtype=np.int32)), structs, type=VALIDATED_TRANSACTIONS
    )
    # Each takes effect at ten times its number, and runs from some time before to some time after.
    effect = np.arange(transactions) * 10 + 1000
    return validate(
        pa.table(
            {
                "session": pa.array((np.arange(transactions) % sessions).astype(np.int32)),
                "op": pa.array(["txn"] * transactions).dictionary_encode(),
                "invoke_ns": pa.array(effect - rng.integers(1, 10 * sessions // 2, transactions)),
                "return_ns": pa.array(effect + rng.integers(1, 10 * sessions // 2, transactions)),
                "outcome": pa.array(["ok"] * transactions).dictionary_encode(),
                "txn": micro,
            }
        )
    )


@dataclass(slots=True, kw_only=True)
class _Running:
    """A transaction that runs: its session, when it began, its plan, what it did, and what it saw when it began."""

    session: int
    begin: int
    plan: list[tuple[str, str, int | None]]
    done: list[list[object]]
    snapshot: dict[str, object]
    version: int
    own: dict[str, object]

    def next_step(self) -> tuple[str, str, int | None] | None:
        return self.plan[len(self.done)] if len(self.done) < len(self.plan) else None


def simulated(
    level: str, seed: int, transactions: int = 12, sessions: int = 4, registers: bool = False
) -> list[dict[str, object]]:
    """Return the transactions that a database of this level ran: micro, begin, end, session, outcome."""
    rng = random.Random(seed)
    database = _Database(level, rng, registers)
    return database.run(transactions, sessions)


class _Database:
    def __init__(self, level: str, rng: random.Random, registers: bool) -> None:
        self._level, self._rng, self._registers = level, rng, registers
        self._state: dict[str, object] = {}
        self._past: list[dict[str, object]] = [{}]
        self._changed: dict[str, int] = {}
        self._clock = self._value = 0

    def run(self, transactions: int, sessions: int) -> list[dict[str, object]]:
        running: dict[int, _Running] = {}
        finished: list[dict[str, object]] = []
        begun = 0
        while begun < transactions or running:
            self._clock += 1
            session = self._rng.randrange(sessions) if begun < transactions else self._rng.choice(list(running))
            if session not in running:
                running[session] = self._begin(session)
                begun += 1
                continue
            one = running[session]
            if one.next_step() is None:
                finished.append(self._end(running.pop(session)))
            elif not self._is_locked(one, running.values()):
                self._step(one)
            elif self._rng.random() < _GIVES_UP:
                finished.append(self._end(running.pop(session), aborts=True))
        return sorted(finished, key=lambda each: each["begin"])  # type: ignore[arg-type,return-value]

    def _is_locked(self, one: _Running, running: Iterable[_Running]) -> bool:
        """Return whether its next step must wait for another one that runs."""
        step = one.next_step()
        if step is None or self._level not in (COMMITTED, *_LOCKING) or self._looks_back(one):
            return False
        op, key, _ = step
        if op == "r":
            return self._level in _LOCKING and any(key in other.own for other in running if other is not one)
        return any(key in self._locked_by(other) for other in running if other is not one)

    def _locked_by(self, one: _Running) -> set[str]:
        """Return the keys that nobody else may write."""
        if self._level == COMMITTED or self._looks_back(one):
            return set(one.own)
        return {str(key) for _, key, _ in one.done}

    def _looks_back(self, one: _Running) -> bool:
        return self._level == SERIALIZABLE and all(op == "r" for op, _, _ in one.plan)

    def _begin(self, session: int) -> _Running:
        plan: list[tuple[str, str, int | None]] = []
        for _ in range(self._rng.randint(1, 4)):
            key = self._rng.choice("xyz")
            if self._rng.random() < 0.5:
                plan.append(("r", key, None))
            else:
                self._value += 1
                plan.append(("w" if self._registers else "append", key, self._value))
        begun = _Running(
            session=session,
            begin=self._clock,
            plan=plan,
            done=[],
            snapshot=dict(self._state),
            version=len(self._past),
            own={},
        )
        if self._looks_back(begun):
            begun.snapshot = self._rng.choice(self._past[-4:])
        return begun

    def _step(self, one: _Running) -> None:
        op, key, value = one.plan[len(one.done)]
        base = one.snapshot if self._level == SNAPSHOT or self._looks_back(one) else self._state
        nothing = None if self._registers else ()
        if self._registers and key in one.own:
            now: object = one.own[key]
        else:
            now = base.get(key, nothing) if self._registers else (*base.get(key, ()), *one.own.get(key, ()))  # type: ignore[misc]
        if op == "r":
            one.done.append(["r", key, now if self._registers else list(now)])  # type: ignore[call-overload]
            return
        one.done.append([op, key, value])
        one.own[key] = value if self._registers else (*one.own.get(key, ()), value)  # type: ignore[misc]
        if self._level == DIRTY:
            self._put(key, one.own.pop(key))

    def _put(self, key: str, value: object) -> None:
        self._state[key] = value if self._registers else (*self._state.get(key, ()), *value)  # type: ignore[misc]

    def _end(self, one: _Running, aborts: bool = False) -> dict[str, object]:
        self._clock += 1
        clash = self._level == SNAPSHOT and any(self._changed.get(key, 0) >= one.version for key in one.own)
        fails = aborts or clash or self._rng.random() < 0.05
        if not fails:
            for key, value in one.own.items():
                self._put(key, value)
                self._changed[key] = len(self._past)
            self._past.append(dict(self._state))
        outcome = "fail" if fails else "info" if self._rng.random() < 0.05 else "ok"
        micro = (
            one.done if outcome == "ok" else [[op, key, None if op == "r" else value] for op, key, value in one.plan]
        )
        return {
            "micro": json.dumps(micro),
            "begin": one.begin,
            "end": self._clock,
            "session": one.session,
            "outcome": outcome,
        }


def random_small(seed: int, registers: bool = False) -> list[dict[str, object]]:
    """Return a few transactions with reads of anything that could have been there, mostly not what was."""
    rng = random.Random(seed)
    keys, count = "xy"[: rng.randint(1, 2)], rng.randint(2, 6)
    orders: dict[str, list[int]] = {key: [] for key in keys}
    plans: list[list[list[object]]] = []
    value = 0
    for _ in range(count):
        plan: list[list[object]] = []
        for _ in range(rng.randint(1, 3)):
            key = rng.choice(keys)
            if rng.random() < 0.5:
                plan.append(["r", key, None])
            else:
                value += 1
                orders[key].append(value)
                plan.append(["w" if registers else "append", key, value])
        plans.append(plan)
    for order in orders.values():
        rng.shuffle(order)
    finished: list[dict[str, object]] = []
    weights = rng.choice(((12, 1, 1), (6, 1, 2)))
    free = [0] * rng.randint(1, count)  # when the last transaction of each session ended
    for number, plan in enumerate(plans):
        outcome = rng.choices(("ok", "fail", "info"), weights)[0]
        session = rng.randrange(len(free))
        # Begins at even times and ends at odd ones: none of one begins when another ends.
        begin = free[session] + 2 * rng.randint(1, 15)
        end = begin + 2 * rng.randint(0, 10) + 1
        free[session] = end + 1
        for micro in plan:
            if micro[0] == "r" and outcome == "ok":
                order = orders[str(micro[1])]
                cut = rng.randint(0, len(order))
                micro[2] = (order[cut - 1] if cut else None) if registers else order[:cut]
        session = session if outcome == "ok" else 100 + number
        finished.append({"micro": json.dumps(plan), "begin": begin, "end": end, "session": session, "outcome": outcome})
    return sorted(finished, key=lambda each: each["begin"])  # type: ignore[arg-type,return-value]


def write_adya(history: Table, path: Path) -> None:
    """Write a history as adya reads it: an event for each begin and end, in order of time.

    At one time begins are first, as these are concurrent, but for the next one of a session. What never returned ends
    after all others.
    """
    rows = history.select(["session", "invoke_ns", "return_ns", "outcome", "txn"]).to_pylist()
    ends = {(row["session"], row["return_ns"]) for row in rows}
    events = []
    for number, row in enumerate(rows):
        follows = (row["session"], row["invoke_ns"]) in ends
        events.append((row["invoke_ns"], 2 if follows else 0, number))
        events.append((NEVER if row["return_ns"] is None else row["return_ns"], 1, number))
    events.sort(key=lambda each: (each[0], each[1]))
    with path.open("w", encoding="utf-8") as out:
        for index, (at, kind, number) in enumerate(events):
            row = rows[number]
            known = kind == 1 and row["outcome"] == "ok"
            event = {
                "index": index,
                "type": row["outcome"] if kind == 1 else "invoke",
                "process": row["session"],
                "time": at,
                "value": list(_micro(row["txn"], known)),
            }
            out.write(json.dumps(event, separators=(",", ":")) + "\n")


def _micro(micro: list[dict[str, object]], known: bool) -> Iterator[list[object]]:
    for each in micro:
        if each["op"] == "read":
            found = each["value"] if each["elements"] is None else each["elements"]
            yield ["r", each["key"], found if known else None]
        else:
            yield ["append" if each["op"] == "append" else "w", each["key"], each["value"]]
