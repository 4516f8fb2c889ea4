"""The adds of a history and the elements of its final scan, which durability compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, among, integers, present
from caplab.check.lines import line_order
from caplab.check.scans import final_scan_rows, of_sets
from caplab.check.series import groups
from caplab.check.versions import key_codes
from caplab.model.history import Table

_OTHERS = ("write", "cas", "incr", "enqueue", "dequeue")  # what is done to registers, counters and queues


@dataclass(frozen=True, slots=True, kw_only=True)
class Adds:
    """The adds that were sent, sorted by set and value."""

    row: Integers  # in the history
    set: Integers  # place in sets
    value: Integers
    invoke_ns: Integers
    return_ns: Integers
    ok: Mask
    failed: Mask
    group: Integers  # each one's place in labels
    labels: tuple[tuple[str, str], ...]  # every (vantage, route) that has adds, sorted
    nameless: int  # adds that were sent without their value
    sets: tuple[str, ...]  # their names
    set_of_key: Integers  # by code of the key; -1: it is no set
    nameless_is_other: bool  # the key without a name is a register, a counter or a queue


def adds_of(history: Table, by_key: bool = False) -> Adds:
    """Return all adds but overloads, which were not sent. by_key: each key is a set of its own."""
    every = among(history, "op", ["add"])
    sent = every & ~among(history, "error", ["overload"])
    named = sent & present(history, "value")
    group, labels = _sides(history, every)
    row = np.flatnonzero(named)
    value = integers(history, "value", 0)[row]
    key, names = key_codes(history)
    sets: tuple[str, ...] = ("",)
    set_of_key, nameless_is_other = np.zeros(len(names), dtype=np.int64), False
    if by_key:
        nameless_is_other = bool((among(history, "op", _OTHERS) & (key == len(names) - 1)).any())
        sets, set_of_key = _sets(history, key, names, row, nameless_is_other)
    number = set_of_key[key[row]]
    order = np.argsort(value, kind="stable") if len(sets) == 1 else line_order(number, value)
    row = row[order]
    return Adds(
        row=row,
        set=number[order],
        value=value[order],
        invoke_ns=integers(history, "invoke_ns", 0)[row],
        return_ns=integers(history, "return_ns", NEVER)[row],
        ok=among(history, "outcome", ["ok"])[row],
        failed=among(history, "outcome", ["fail"])[row],
        group=group[named[every]][order],
        labels=labels,
        nameless=int(sent.sum() - named.sum()),
        sets=sets,
        set_of_key=set_of_key,
        nameless_is_other=nameless_is_other,
    )


def _sets(
    history: Table, key: Integers, names: Sequence[str], row: Integers, nameless_is_other: bool
) -> tuple[tuple[str, ...], Integers]:
    """Return the names of the sets, and which set each key is.

    If rows of scans have elements without a key, and nothing else has no key, they may be of any set: all are one then.
    """
    set_of_key, nameless = np.full(len(names), -1), len(names) - 1
    of_adds = np.flatnonzero(np.bincount(key[row], minlength=len(names)))
    set_of_key[of_adds] = np.arange(len(of_adds))
    elements = among(history, "op", ["scan"]) & present(history, "value") & (key == nameless)
    if set_of_key[nameless] < 0 and elements.any() and not nameless_is_other:
        set_of_key[[*of_adds.tolist(), nameless]] = 0
        of_adds = of_adds[:1]
    return tuple(names[place] for place in of_adds.tolist()), set_of_key


def _sides(history: Table, adds: Mask) -> tuple[Integers, tuple[tuple[str, str], ...]]:
    """Return each add's (vantage, route), as an index into the list of those, sorted by name."""
    group, labels = groups(history, adds)
    there = np.flatnonzero(np.bincount(group, minlength=len(labels))).tolist()
    by_name = sorted(there, key=lambda label: (labels[label][0], labels[label][2]))
    rank = np.zeros(len(labels), dtype=np.int64)
    rank[by_name] = np.arange(len(by_name))
    return rank[group], tuple((labels[label][0], labels[label][2]) for label in by_name)


def problem_of(adds: Adds) -> str:
    """Return why the fate of adds cannot be determined, or ''."""
    if adds.nameless:
        return f"{adds.nameless} adds do not say which value they added."
    twice = adds.value[1:][(adds.value[1:] == adds.value[:-1]) & (adds.set[1:] == adds.set[:-1])]
    if len(twice):
        return f"The value {twice[0]} was added more than once, so its fate is unknown. Hint: make values unique."
    return ""


@dataclass(frozen=True, slots=True)
class Scan:
    """The elements of a scan, sorted, and their rows in the history."""

    element: Integers
    row: Integers

    def copies(self, value: int) -> list[int]:
        """Return the rows of one element."""
        return between(self.element, self.row, value)


def scan_of(history: Table, server: str | None, begun_ns: int | None = None) -> Scan:
    """Return the last successful scan of sets: of one member if named, and the one begun at `begun_ns` if given."""
    rows = np.flatnonzero(final_scan_rows(history, server, of_sets(history), begun_ns) & present(history, "value"))
    elements = integers(history, "value", 0)[rows]
    order = np.argsort(elements, kind="stable")
    return Scan(elements[order], rows[order])


def within(values: Integers, others: Integers) -> Mask:
    """Return which of the values are among others; both are sorted, which makes it much faster than numpy's isin."""
    if not len(others):
        return np.zeros(len(values), dtype=np.bool_)
    place = np.minimum(np.searchsorted(others, values), len(others) - 1)
    return np.asarray(others[place] == values, dtype=np.bool_)


def between(values: Integers, rows: Integers, value: int) -> list[int]:
    """Return the rows that go with one of the sorted values."""
    first, end = np.searchsorted(values, value), np.searchsorted(values, value, side="right")
    return [int(row) for row in rows[first:end]]
