"""A big history as a run would leave it: sets and registers from three vantages, an outage, the final scan.

All operations are computed at once with numpy, so that ten million take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from numpy.typing import NDArray

from caplab.check import Context
from caplab.check.columns import NEVER
from caplab.model.history import VALIDATED, Table
from caplab.model.runs import FaultWindow, FinalScan

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

VANTAGES = ("a", "b", "c")
KEYS = 16  # registers of one vantage, which alone writes them
SESSIONS = 64  # of one vantage; each begins an operation every 64 ms
EVERY_NS = 1_000_000  # 1,000 operations a second and vantage
SLOWEST_NS = 50_000_000
ORIGIN_NS = 7_000_000_000_000
OUTAGE_NS = 20_000_000_000
ADD, READ, WRITE, SCAN = range(4)
OPS = ("add", "read", "write", "scan")
OUTCOMES = ("ok", "fail", "info")
_MIX = (ADD, READ, ADD, WRITE, ADD, READ, READ, WRITE)  # over and over
_LOST = 1e-5  # of the acked adds
_STALE = 1e-3  # of the reads


@dataclass(frozen=True, slots=True)
class GeneratedRun:
    """A generated history, as validate returns it, and its context."""

    history: Table
    context: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """Operations by their schedule; return_ns NEVER: no answer."""

    vantage: Integers
    session: Integers
    op: Integers
    key: Integers  # -1: none
    value: Integers
    present: Mask  # whether there is a value
    scheduled_ns: Integers
    invoke_ns: Integers
    return_ns: Integers
    outcome: Integers


def make(operations: int, seed: int = 1) -> GeneratedRun:
    """Make about so many operations, of which the scan's elements are a quarter; the fault is in the middle."""
    random = np.random.default_rng(seed)
    sent = int(operations / (1 + _MIX.count(ADD) / len(_MIX)))
    injected_ns = ORIGIN_NS + sent // len(VANTAGES) // 2 * EVERY_NS
    load = _sent(sent, injected_ns, random)
    kept = _scanned(load, random)
    begun_ns = int(load.invoke_ns[-1]) + 10 * OUTAGE_NS
    window = FaultWindow(
        kind="kill",
        target="pg-0",
        injected_ns=injected_ns,
        healed_ns=injected_ns + 2 * OUTAGE_NS,
        evidence=("cgroup empty",),
        proven=True,
    )
    final = FinalScan(converged=True, elements=len(kept), server="pg-1", invoke_ns=begun_ns)
    return GeneratedRun(_table(load, kept, begun_ns, injected_ns), Context(fault_windows=(window,), final_scan=final))


def _sent(count: int, injected_ns: int, random: np.random.Generator) -> _Load:
    number = np.arange(count, dtype=np.int64)
    vantage, index = number % len(VANTAGES), number // len(VANTAGES)
    op = np.array(_MIX, dtype=np.int64)[index % len(_MIX)]
    scheduled = ORIGIN_NS + index * EVERY_NS + vantage * (EVERY_NS // len(VANTAGES))
    invoke = scheduled + random.integers(10_000, 300_000, count)  # less than between two vantages: sorted
    took = np.minimum(random.lognormal(14.4, 0.5, count), SLOWEST_NS).astype(np.int64)  # 1.8 ms, p99 6 ms
    down = (invoke >= injected_ns) & (invoke < injected_ns + OUTAGE_NS)
    draw = random.random(count)
    outcome = np.where(down, np.where(draw < 0.9, 1, 2), np.where(draw < 1e-4, 2, 0))
    returned = np.where(outcome == 2, NEVER, invoke + took)
    mine = np.flatnonzero(op == WRITE)
    key = np.full(count, -1, dtype=np.int64)
    key[mine] = vantage[mine] * KEYS + index[mine] // 4 % KEYS  # in turn: no two writes of a key at a time
    read = np.flatnonzero(op == READ)
    key[read] = random.integers(0, len(VANTAGES) * KEYS, len(read))
    value = (vantage + 1) << 52 | index + 1
    load = _Load(
        vantage=vantage,
        session=index % SESSIONS,
        op=op,
        key=key,
        value=value,
        present=op != READ,
        scheduled_ns=scheduled,
        invoke_ns=invoke,
        return_ns=returned,
        outcome=outcome.astype(np.int64),
    )
    return _read(load, random)


def _read(load: _Load, random: np.random.Generator) -> _Load:
    """Let reads return the newest write that was acked before them, and a few an older one."""
    wrote = np.flatnonzero((load.op == WRITE) & (load.outcome == 0))
    wrote = wrote[np.lexsort((load.return_ns[wrote], load.key[wrote]))]
    read = np.flatnonzero((load.op == READ) & (load.outcome == 0))
    # Both in one order of key and time: the write that a read sees stands before it.
    place = _positions(load, wrote, read) - 1 - np.where(random.random(len(read)) < _STALE, 3, 0)
    is_written = (place >= 0) & (load.key[wrote[np.maximum(place, 0)]] == load.key[read])
    load.value[load.op == READ] = 0
    load.value[read[is_written]] = load.value[wrote[place[is_written]]]
    load.present[read[is_written]] = True
    return load


def _positions(load: _Load, wrote: Integers, read: Integers) -> Integers:
    span = int(load.invoke_ns[-1]) + 10 * SLOWEST_NS - ORIGIN_NS
    at = load.key[wrote] * span + load.return_ns[wrote] - ORIGIN_NS
    return np.searchsorted(at, load.key[read] * span + load.invoke_ns[read] - ORIGIN_NS).astype(np.int64)


def _scanned(load: _Load, random: np.random.Generator) -> Integers:
    """Return what the set holds in the end: nearly all acked elements, and some of those with outcome info."""
    chance = np.where(load.outcome == 0, 1 - _LOST, np.where(load.outcome == 2, 0.5, 0.0))
    there = np.flatnonzero((load.op == ADD) & (random.random(len(chance)) < chance))
    return np.asarray(load.value[there], dtype=np.int64)


def _table(load: _Load, kept: Integers, begun_ns: int, injected_ns: int) -> Table:
    scans, sent = len(kept), len(load.op)
    zero = np.zeros(scans, dtype=np.int64)

    def both(column: Integers, of_scan: int) -> Integers:
        return np.concatenate((column, zero + of_scan))

    keys = tuple(f"r/{vantage}/{number}" for vantage in VANTAGES for number in range(KEYS))
    route = np.arange(sent, dtype=np.int64) // len(_MIX) % 2
    promoted = (load.invoke_ns >= injected_ns).astype(np.int64)
    served = np.where(load.outcome == 0, promoted, -1)
    value = np.concatenate((load.value, kept))
    there = np.concatenate((load.present, zero == 0))
    return_ns = both(load.return_ns, begun_ns + 1)
    columns = {
        "vantage": _words(both(load.vantage, 0), VANTAGES),
        "session": pa.array(both(load.session, 0).astype(np.int32)),
        "op": _words(both(load.op, SCAN), OPS),
        "key": _words(both(load.key, -1), keys),
        "value": pa.array(value, mask=~there),
        "level": _words(both(np.zeros(sent, dtype=np.int64), -1), ("quorum",)),
        "route": _words(both(route, 0), ("direct", "service")),
        "server": _words(both(served, 1), ("pg-0", "pg-1")),
        "epoch": _words(both(np.where(load.op == READ, -1, served), 1), ("1", "2")),
        "scheduled_ns": pa.array(both(load.scheduled_ns, begun_ns)),
        "invoke_ns": pa.array(both(load.invoke_ns, begun_ns)),
        "return_ns": pa.array(return_ns, mask=return_ns == NEVER),
        "outcome": _words(both(load.outcome, 0), OUTCOMES),
        "error": _words(both(np.where(load.outcome == 0, -1, load.outcome - 1), -1), ("refused", "timeout")),
    }
    arrays = [
        columns[field.name] if field.name in columns else pa.nulls(sent + scans, field.type) for field in VALIDATED
    ]
    return pa.Table.from_arrays(arrays, schema=VALIDATED)


def _words(codes: Integers, words: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(words))
