"""Big histories of queues, and of one set that is scanned again and again while it grows; made at once with numpy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from numpy.typing import NDArray

from caplab.model.history import VALIDATED, Table

Integers = NDArray[np.int64]

QUEUES, CLIENTS, SCANS = 8, 64, 100
ORIGIN_NS, EVERY_NS, LATENCY_NS, STAY_NS = 7_000_000_000_000, 100_000, 2_000_000, 50_000_000
_RARE = 1e-5  # of the elements: lost, delivered twice


def queues(operations: int, seed: int = 1) -> Table:
    """Make half as many enqueues and dequeues each; few elements are lost, a few delivered twice; all are drained."""
    random = np.random.default_rng(seed)
    count = operations // 2
    number = np.arange(count, dtype=np.int64)
    at = ORIGIN_NS + number * EVERY_NS
    kept = random.random(count) >= _RARE
    taken = np.concatenate((number[kept], number[random.random(count) < _RARE]))
    leave = at[taken] + STAY_NS + LATENCY_NS
    leave[kept.sum() :] += STAY_NS  # delivered again
    end = np.full(QUEUES, int(leave.max()) + 2 * LATENCY_NS)
    return _table(
        op=np.concatenate((np.zeros(count, dtype=np.int64), np.ones(len(taken) + QUEUES, dtype=np.int64))),
        words=("enqueue", "dequeue"),
        key=np.concatenate((number % QUEUES, taken % QUEUES, np.arange(QUEUES))),
        value=np.concatenate((number, taken, np.full(QUEUES, -1))),
        session=np.concatenate((number % CLIENTS, CLIENTS + taken % CLIENTS, 2 * CLIENTS + np.arange(QUEUES))),
        invoke_ns=np.concatenate((at, leave, end)),
    )


def scanned_set(operations: int, seed: int = 1) -> Table:
    """Make a set that grows between SCANS whole scans, each of what was acked by then; some elements come late."""
    random = np.random.default_rng(seed)
    count = 2 * operations // (SCANS + 2)
    number = np.arange(count, dtype=np.int64)
    at = ORIGIN_NS + number * EVERY_NS
    visible = at + LATENCY_NS + np.where(random.random(count) < 1e-3, 20 * LATENCY_NS, 0)
    visible[random.random(count) < _RARE] = np.iinfo(np.int64).max  # never
    begin = ORIGIN_NS + (np.arange(SCANS) + 1) * (count * EVERY_NS // SCANS)
    shown = [np.flatnonzero(visible <= moment) for moment in begin.tolist()]
    value = np.concatenate((number, *shown))
    scan = np.repeat(np.arange(SCANS), [len(elements) for elements in shown])
    return _table(
        op=np.concatenate((np.zeros(count, dtype=np.int64), np.ones(len(scan), dtype=np.int64))),
        words=("add", "scan"),
        key=np.zeros(len(value), dtype=np.int64),
        value=value,
        session=np.concatenate((number % CLIENTS, CLIENTS + scan % CLIENTS)),
        invoke_ns=np.concatenate((at, begin[scan])),
    )


def _table(
    *, op: Integers, words: tuple[str, str], key: Integers, value: Integers, session: Integers, invoke_ns: Integers
) -> Table:
    """Make a history as validate returns it, of operations that were all acked; value -1: none."""
    order = np.argsort(invoke_ns, kind="stable")
    rows = len(order)
    names = tuple(f"q{number}" for number in range(QUEUES))
    columns = {
        "vantage": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["a"])),
        "session": pa.array(session[order].astype(np.int32)),
        "op": pa.DictionaryArray.from_arrays(pa.array(op[order].astype(np.int32)), pa.array(words)),
        "key": pa.DictionaryArray.from_arrays(pa.array(key[order].astype(np.int32)), pa.array(names)),
        "value": pa.array(value[order], mask=value[order] < 0),
        "scheduled_ns": pa.array(invoke_ns[order]),
        "invoke_ns": pa.array(invoke_ns[order]),
        "return_ns": pa.array(invoke_ns[order] + LATENCY_NS),
        "outcome": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["ok"])),
    }
    filled = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in VALIDATED]
    return pa.Table.from_arrays(filled, schema=VALIDATED)
