"""Make histories of registers for the benchmarks of their checker, fast and the same for the same seed.

Each operation has a point inside its interval at which it takes effect, so a history is linearizable except for reads
that are made stale: these return the value before the current one, which is wrong only if no write of the newer one
overlaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.check.columns import Integers, Mask
from caplab.model.history import Table, validate

_ABSENT = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a history must contain; stale is the share of reads, info that of writes."""

    name: str
    operations: int
    keys: int = 50
    sessions: int = 30
    stale: float = 0.0
    info: float = 0.0
    seed: int = 1


def made(plan: Plan) -> Table:
    """Make a validated history. Three of ten operations are writes; values are unique."""
    rng = np.random.default_rng(plan.seed)
    count = plan.operations
    session, invoke_ns, return_ns = _intervals(rng, count, plan.sessions)
    at_ns = invoke_ns + (rng.random(count) * (return_ns - invoke_ns)).astype(np.int64)
    key, is_write = rng.integers(0, plan.keys, count), rng.random(count) < 0.3
    value = _values(key, at_ns, is_write, rng.random(count) < plan.stale)
    lost = is_write & (rng.random(count) < plan.info)
    order = np.argsort(invoke_ns, kind="stable")
    text = {
        "vantage": _words(np.zeros(count, dtype=np.int64), ["a"]),
        "op": _words(is_write[order].astype(np.int64), ["read", "write"]),
        "key": _words(key[order], [str(number) for number in range(plan.keys)]),
        "outcome": _words(lost[order].astype(np.int64), ["ok", "info"]),
    }
    numbers = {
        "session": pa.array(session[order].astype(np.int32)),
        "value": pa.array(value[order], mask=value[order] == _ABSENT),
        "scheduled_ns": pa.array(invoke_ns[order]),
        "invoke_ns": pa.array(invoke_ns[order]),
        "return_ns": pa.array(return_ns[order], mask=lost[order]),
    }
    return validate(pa.table(text | numbers))


def _words(places: Integers, words: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(words))


def _intervals(rng: np.random.Generator, count: int, sessions: int) -> tuple[Integers, Integers, Integers]:
    """Return each session's operations one after the other: a pause of up to 0.2 ms, then 0.2 to 2 ms."""
    session = np.arange(count) % sessions
    pause, took = rng.integers(1_000, 200_000, count), rng.integers(200_000, 2_000_000, count)
    return_ns = np.empty(count, dtype=np.int64)
    for first in range(sessions):
        return_ns[first::sessions] = np.cumsum((pause + took)[first::sessions])
    return session, return_ns - took, return_ns


def _values(key: Integers, at_ns: Integers, is_write: Mask, stale: Mask) -> Integers:
    """Return what each wrote (its own number) or read (that of its key's last write; if stale, of the one before)."""
    order = np.lexsort((at_ns, key))
    key, wrote = key[order], is_write[order]
    writes = np.flatnonzero(wrote)
    nth = (
        np.cumsum(wrote) - 1 - (stale[order] & ~wrote)
    )  # which of all writes is seen; those of a key follow each other
    returned = writes[np.maximum(nth, 0)]
    absent = (nth < 0) | (key[returned] != key)
    value = np.empty(len(key), dtype=np.int64)
    value[order] = np.where(absent, _ABSENT, order[returned])
    return value
