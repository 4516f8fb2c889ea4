"""Anomalies in words, transaction by transaction; rows count from 1, as in a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caplab.check.columns import Integers

from .cycles import Cycle, Step
from .edges import RW, SESSION, WR, WW
from .transactions import READS, Transactions

_SHOWN = 4  # last elements of a list
_MIN_SECONDS = 1e-6  # less is an order, no time
TITLES = {
    "g0": "Write cycle (G0)",
    "g1a": "Aborted read (G1a)",
    "g1b": "Intermediate read (G1b)",
    "g1c": "Circular information flow (G1c)",
    "unwritten": "Read of what nobody wrote",
    "doubled": "An element twice",
    "incompatible_orders": "Incompatible orders",
    "dirty_updates": "Dirty update",
    "lost_updates": "Lost update",
    "internal": "Internal inconsistency",
    "g_single": "Read skew (G-single)",
    "g_nonadjacent": "Cycle of nonadjacent anti-dependencies (G-nonadjacent)",
    "long_fork": "Long fork (G-nonadjacent)",
    "g2_item": "Write skew (G2-item)",
}
_ORDERS = {"": "", "session": " with the order of a session", "realtime": " with real time"}


def of_cycle(t: Transactions, cycle: Cycle) -> str:
    """Return the cycle as a sentence: why each of its transactions comes before the next."""
    steps = "; ".join(_step(t, step) for step in cycle.steps)
    return f"{TITLES[cycle.name]}{_ORDERS[cycle.order]}: {steps}. So {_around(t, cycle)}: a cycle."


def of_read(t: Transactions, name: str, read: int, writer: int | None) -> str:
    """Return a sentence on a read that proves an anomaly by itself, and on the transaction that it read from."""
    found = f"{_name(t, int(t.of[read]))} {_found(t, read)}"
    whose = "" if writer is None else _name(t, writer)
    ends = {
        "g1a": f", of which {whose} wrote a part and failed"
        if t.is_list[t.key[read]]
        else f", which {whose} wrote and failed",
        "g1b": f", which {whose} wrote and then changed in the same transaction",
        "unwritten": ", which nobody wrote" if not t.is_list[t.key[read]] else ", with an element that nobody appended",
        "doubled": ", with an element twice that was appended once",
        "internal": ", which contradicts what it had read or written there itself",
    }
    return f"{TITLES[name]}: {found}{ends[name]}."


def of_orders(t: Transactions, first: int, second: int) -> str:
    """Return a sentence on two reads of a list of which neither is the beginning of the other."""
    one, other = (f"{_name(t, int(t.of[read]))} {_found(t, read)}" for read in (first, second))
    return f"{TITLES['incompatible_orders']}: {one}; {other}. Neither is the beginning of the other."


def of_future(t: Transactions, read: int) -> str:
    """Return a sentence on a read of what its own transaction wrote only afterwards."""
    is_list = bool(t.is_list[t.key[read]])
    found = _values(t, read)
    micro = _micro_of(t, int(t.of[read]), int(t.key[read]))
    later = [int(t.value[each]) for each in micro if each > read and t.op[each] != READS and t.value[each] in found]
    verb = "appended" if is_list else "wrote"
    return f"{TITLES['g1c']}: {_name(t, int(t.of[read]))} {_found(t, read)}, and {verb} {later[0]} only afterwards."


def of_own_order(t: Transactions, read: int, later: int, earlier: int) -> str:
    """Return a sentence on a read with an append, without one before it that its transaction had made earlier."""
    reader, writer = (_name(t, int(t.of[micro])) for micro in (read, later))
    return (
        f"{TITLES['incompatible_orders']}: {writer} appended {t.value[earlier]} to {_key(t, later)} before"
        f" {t.value[later]}; {reader} {_found(t, read)}, without {t.value[earlier]} before {t.value[later]}."
    )


def of_dirty(t: Transactions, below: int, above: int) -> str:
    """Return a sentence on a committed append that came on top of one that failed."""
    failed, done = (f"{_name(t, int(t.of[micro]))}" for micro in (below, above))
    return (
        f"{TITLES['dirty_updates']}: {failed} appended {t.value[below]} to {_key(t, below)} and failed;"
        f" {done} appended {t.value[above]} after it."
    )


def of_lost(t: Transactions, reads: Sequence[int]) -> str:
    """Return a sentence on transactions that read one version of a key and then all wrote it."""
    names = ", ".join(_name(t, int(t.of[read])) for read in reads[:5])
    more = f" and {len(reads) - 5:,} more" if len(reads) > 5 else ""
    return (
        f"{TITLES['lost_updates']}: {names}{more} each {_found(t, reads[0])}, and wrote it afterwards:"
        " all but one of these did not see what the others wrote."
    )


def _step(t: Transactions, step: Step) -> str:
    first, second = _name(t, step.source), _name(t, step.target)
    if step.kind == SESSION:
        return f"{first} came before {second} in its session"
    if step.kind not in (WW, WR, RW):
        seconds = (t.invoke_ns[step.target] - t.return_ns[step.source]) / 1e9
        how_long = f"{seconds:.6g} s " if seconds >= _MIN_SECONDS else ""
        return f"{first} had returned {how_long}before {second} began"
    is_list = bool(t.is_list[step.key])
    key = f"'{t.keys[step.key]}'"
    wrote, verb = _written(t, step.source, step.key), "appended" if is_list else "wrote"
    if step.kind == WR:
        return f"{second} {_read(t, step.target, step.key, step.source)}, where {first} {verb} {wrote}"
    after = _written(t, step.target, step.key)
    if step.kind == WW:
        return f"{second} {verb} {after} to {key} after {first} {verb} {wrote}"
    return f"{first} {_read(t, step.source, step.key)}, without {after}, which {second} {verb}"


def _around(t: Transactions, cycle: Cycle) -> str:
    """Return that each of its transactions comes before the next, and the last before the first."""
    names = [_name(t, step.source) for step in cycle.steps]
    first, *others = [f"{name} before {after}" for name, after in zip(names, [*names[1:], names[0]], strict=True)]
    first = first.replace(" before ", " comes before ", 1)
    return f"{', '.join([first, *others[:-1]])}, and {others[-1]}" if others else first


def _name(t: Transactions, transaction: int) -> str:
    return f"row {t.row[transaction] + 1}"


def _key(t: Transactions, micro: int) -> str:
    return f"'{t.keys[t.key[micro]]}'"


def _micro_of(t: Transactions, transaction: int, key: int) -> range:
    begin, end = np.searchsorted(t.of, [transaction, transaction + 1])
    return range(int(begin), int(end)) if key >= 0 else range(0)


def _written(t: Transactions, transaction: int, key: int) -> str:
    micro = [each for each in _micro_of(t, transaction, key) if t.key[each] == key and t.op[each] != READS]
    return " and ".join(str(t.value[each]) for each in micro) or "nothing"


def _read(t: Transactions, transaction: int, key: int, writer: int | None = None) -> str:
    """Return what it read of a key; with a writer the reads that found something of this one, if any."""
    micro = [each for each in _micro_of(t, transaction, key) if t.key[each] == key and t.op[each] == READS]
    if writer is not None:
        wrote = [int(t.value[each]) for each in _micro_of(t, writer, key) if t.op[each] != READS and t.key[each] == key]
        micro = [each for each in micro if np.isin(wrote, _values(t, each)).any()] or micro
    return ", then ".join(_found(t, each) for each in micro[:2])


def _values(t: Transactions, read: int) -> Integers:
    """Return the values that it found."""
    is_list = bool(t.is_list[t.key[read]])
    return t.elements[t.begin[read] : t.end[read]] if is_list else t.value[read : read + int(t.has_value[read])]


def _found(t: Transactions, read: int) -> str:
    if not t.is_list[t.key[read]]:
        return f"read {_key(t, read)} as {t.value[read] if t.has_value[read] else 'absent'}"
    elements = t.elements[t.begin[read] : t.end[read]]
    last = ", ".join(map(str, elements[-_SHOWN:]))
    return f"read {_key(t, read)} as [{'..., ' if len(elements) > _SHOWN else ''}{last}]"
