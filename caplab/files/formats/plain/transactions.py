"""Histories of transactions alone, read many events at a time as columns: a million transactions in seconds.

This is for files that are as Jepsen and Elle write them. As soon as a file has anything else, or anything that has to
be refused, there is no result, and the file is read event by event: `events` and `transactions` say what it means.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any, TypeAlias

import numpy as np

from ....check.columns import Integers, Mask
from ....model.bounds import Bounds
from ....model.history import FARTHEST_NS
from ....model.transactions import TXN
from ..columns import Columns
from ..events import NEVER, Operations
from ..names import Keys, Values
from ..texts import Texts, are_sessions
from ..transactions import Transactions
from .events import INFO, INVOKE, OK, VALUED, PlainEvents, plain_events
from .micro_ops import MicroOps, joined, spread

Part: TypeAlias = tuple[Sequence[int], list[Any] | PlainEvents]  # the lines of events, and what is on them
_NEMESIS = "nemesis"


def plain_columns(parts: Iterable[Part], texts: Texts, bounds: Bounds) -> tuple[Operations, Columns] | None:
    """Return the operations of a file whose events are given in parts, with their lines; None if they are not plain."""
    events = _Events()
    for lines, part in parts:
        if not events.take(lines, part) or events.clients > 2 * bounds.rows:
            return None
    paired = events.paired()
    if paired is None or len(paired[0]) > bounds.rows:
        return None
    operations, micro = paired
    columns = Columns(operations, events.keys, texts)
    columns.empty_rows(TXN, len(operations))
    columns.transactions = Transactions(Values(texts), events.keys, operations)
    columns.transactions.extend(micro)
    return operations, columns


class _Events:
    """The events of clients so far."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.clients = 0  # their number
        self._count = 0  # of all events
        self._parts: list[PlainEvents] = []
        self._places: list[Integers] = []
        self._lines: list[Integers] = []
        self._errors: dict[int, str] = {}
        self._skipped = 0
        self._index = 0

    def take(self, lines: Sequence[int], part: list[Any] | PlainEvents) -> bool:
        """Take a part of the events; False if it is not plain."""
        places: Sequence[int] = range(self._count, self._count + len(part))
        self._count += len(part)
        if isinstance(part, PlainEvents):
            return self._add(part, places, lines)
        if set(map(type, part)) != {dict}:
            return False
        process = [event.get("process") for event in part]
        is_client = [type(each) is int for each in process]
        if any(each != _NEMESIS for each in process if type(each) is not int):
            return False
        self._skipped += len(part) - sum(is_client)
        clients, places, lines = (list(compress(each, is_client)) for each in (part, places, lines))
        events = plain_events(clients) if clients else None
        return not clients or (events is not None and self._add(events, places, lines))

    def _add(self, events: PlainEvents, places: Sequence[int], lines: Sequence[int]) -> bool:
        """Add a part that has clients' events alone; False if it is not plain."""
        if not events.micro.is_plain() or not self._is_alike(events) or not self._goes_on(events.index):
            return False
        keys = np.array([self.keys.place(name) for name in events.names], dtype=np.int32)
        self._errors |= {self.clients + at: error for at, error in events.errors.items()}
        self._parts.append(replace(events, micro=replace(events.micro, key=keys[events.micro.key])))
        self._places.append(_numbers(places))
        self._lines.append(_numbers(lines))
        self.clients += len(events)
        return True

    def _is_alike(self, events: PlainEvents) -> bool:
        """Return whether events have times and indices if those before them have."""
        before = self._parts[-1] if self._parts else events
        return (before.time is None, before.index is None) == (events.time is None, events.index is None)

    def _goes_on(self, index: Integers | None) -> bool:
        """Return whether indices are in order, after those of the events before."""
        if index is None:
            return True
        is_in_order = bool(index[0] >= self._index and (index[1:] >= index[:-1]).all())
        self._index = int(index[-1])
        return is_in_order

    def paired(self) -> tuple[Operations, MicroOps] | None:
        """Return the operations and their micro-operations; None if events do not pair, or must be refused."""
        if not self._parts:
            return None
        kind, process = (np.concatenate([getattr(part, name) for part in self._parts]) for name in ("kind", "process"))
        place, line = np.concatenate(self._places), np.concatenate(self._lines)
        times = [part.time for part in self._parts if part.time is not None]
        time = np.concatenate(times) if times else place
        end = _ends(kind == INVOKE, process)
        if end is None or not are_sessions(process) or (time <= -FARTHEST_NS).any() or (time >= FARTHEST_NS).any():
            return None
        time, back_ns = in_order(time, kind == INVOKE) if times else (time, 0)
        invoked, has_end = np.flatnonzero(kind == INVOKE), end >= 0
        outcome = np.where(has_end, kind[end], INFO).astype(np.uint8)
        micro = self._micro_of(kind, invoked, end, outcome == OK)
        if micro is None:
            return None
        operation = np.full(len(kind), -1, dtype=np.int64)
        operation[end[has_end]] = np.flatnonzero(has_end)
        operations = Operations(
            f=[TXN] * len(invoked),
            session=_array(process[invoked]),
            invoke_ns=_array(time[invoked]),
            return_ns=_array(np.where(has_end, time[end], NEVER)),
            outcome=bytearray(outcome.tobytes()),
            event=_array(place[invoked]),
            line=_array(line[invoked]),
            errors={int(operation[at]): error for at, error in self._errors.items()},
            skipped={_NEMESIS: self._skipped} if self._skipped else {},
            has_times=bool(times),
            back_ns=back_ns,
        )
        return operations, micro

    def _micro_of(self, kind: Any, invoked: Integers, end: Integers, ok: Mask) -> MicroOps | None:
        """Return what the transaction of each operation did: as it ended if it is ok, else as it was invoked."""
        micro = joined([part.micro for part in self._parts])
        self._parts.clear()
        begins = np.cumsum(micro.counts) - micro.counts
        number = np.cumsum(np.isin(kind, VALUED)) - 1
        asked, found = number[invoked], np.where(ok, number[end], number[invoked])
        counts = micro.counts[found]
        if (micro.counts[asked] != counts).any():
            return None
        at = spread(begins[found], counts)
        return micro.picked(at, counts, ok) if micro.same(spread(begins[asked], counts), at) else None


def _ends(invokes: Mask, process: Integers) -> Integers | None:
    """Return the event that ends each operation, -1 where there is none; None if events do not take turns."""
    low = int(process.min())
    numbers = process - low
    order = np.argsort(numbers.astype(np.uint16) if int(numbers.max()) < 1 << 16 else numbers, kind="stable")
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = numbers[order[1:]] != numbers[order[:-1]]
    at = np.arange(len(order))
    turn = at - np.maximum.accumulate(np.where(first, at, 0))
    is_end = turn % 2 == 1
    if (invokes[order] == is_end).any():
        return None
    operation = np.cumsum(invokes) - 1
    ends = np.full(int(invokes.sum()), -1, dtype=np.int64)
    places = np.flatnonzero(is_end)
    ends[operation[order[places - 1]]] = order[places]
    return ends


def in_order(time: Integers, invokes: Mask) -> tuple[Integers, int]:
    """Return times in the order of the file, and how far they go back at most, as `events` has it."""
    same = time[1:] == time[:-1]
    if (time[1:] >= time[:-1]).all() and not (same & invokes[1:] & ~invokes[:-1]).any():
        return time, 0
    now, ended, back_ns = -FARTHEST_NS, False, 0
    times = []
    for each, invoke in zip(time.tolist(), invokes.tolist(), strict=True):
        if each > now:
            now, ended = each, not invoke
        else:
            back_ns = max(back_ns, now - each)
            now, ended = (now + 1, False) if invoke and ended else (now, ended or not invoke)
        times.append(now)
    return np.array(times, dtype=np.int64), back_ns


def _numbers(places: Sequence[int]) -> Integers:
    return np.arange(places.start, places.stop) if isinstance(places, range) else np.array(places, dtype=np.int64)


def _array(numbers: Integers) -> array[int]:
    return array("q", numbers.astype(np.int64).tobytes())
