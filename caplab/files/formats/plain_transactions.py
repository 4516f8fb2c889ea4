"""Histories of transactions alone, read many events at a time as columns: a million transactions in seconds.

This is for files that are as Jepsen and Elle write them. As soon as a file has anything else, or anything that has to
be refused, there is no result, and the file is read event by event: `events` and `transactions` say what it means.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

import numpy as np

from ...check.columns import Integers, Mask
from ...model.bounds import Bounds
from ...model.history import FARTHEST_NS
from ...model.transactions import TXN
from .columns import Columns
from .events import ERROR_WORDS, NEVER, OUTCOMES, PREFIX, Operations
from .micro_ops import MicroOps, joined, micro_ops, spread
from .names import Keys, Values
from .texts import Texts, are_sessions
from .transactions import Transactions

_NEEDED = frozenset(("type", "process", "f", "value"))
_NEMESIS = "nemesis"
_INVOKE = len(OUTCOMES)
_KINDS = {word: code for code, word in enumerate((*OUTCOMES, "invoke"))}
_OK, _INFO = OUTCOMES.index("ok"), OUTCOMES.index("info")


def plain_columns(
    parts: Iterable[tuple[Sequence[int], list[Any]]], texts: Texts, bounds: Bounds
) -> tuple[Operations, Columns] | None:
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
    """The events of clients so far, as columns; values only of those whose values count."""

    def __init__(self) -> None:
        self.keys = Keys()
        self._count = 0  # of all events
        self._kind = bytearray()
        self._process, self._time, self._place, self._line = (array("q") for _ in range(4))
        self._errors: dict[int, str] = {}
        self._micro: list[MicroOps] = []
        self._skipped = 0
        self._index = -1
        self._layout: tuple[bool, bool] | None = None  # whether events have times, and indices

    @property
    def clients(self) -> int:
        """Return the number of clients' events."""
        return len(self._kind)

    def take(self, lines: Sequence[int], events: list[Any]) -> bool:
        """Take a part of the events; False if it is not plain."""
        if set(map(type, events)) != {dict}:
            return False
        places = range(self._count, self._count + len(events))
        self._count += len(events)
        process = [event.get("process") for event in events]
        if set(map(type, process)) != {int}:
            is_client = [type(each) is int for each in process]
            if any(each != _NEMESIS for each in process if type(each) is not int):
                return False
            self._skipped += len(events) - sum(is_client)
            events, process, lines, places = (  # type: ignore[assignment]
                list(compress(each, is_client)) for each in (events, process, lines, places)
            )
        return not events or (
            self._are_plain(events)
            and self._take_numbers(self._process, process)
            and self._take_clients(events, places)
            and self._take_numbers(self._place, places)
            and self._take_numbers(self._line, lines)
        )

    def _are_plain(self, events: list[Any]) -> bool:
        """Return whether all events have the same of what matters, and none has what only converted files have."""
        layouts = set(map(tuple, events))
        names = set().union(*layouts)
        kinds = {("time" in layout, "index" in layout) for layout in layouts}
        self._layout = self._layout or next(iter(kinds))
        return (
            kinds == {self._layout}
            and all(_NEEDED.issubset(layout) for layout in layouts)
            and not any(name.startswith(PREFIX) for name in names)
            and {event["f"] if type(event["f"]) is str else None for event in events} == {TXN}
        )

    def _take_clients(self, events: list[Any], places: Sequence[int]) -> bool:
        kinds = [_KINDS.get(kind) if type(kind) is str else None for kind in map(itemgetter("type"), events)]
        if None in kinds:
            return False
        codes = np.array(kinds, dtype=np.uint8)
        valued = (codes == _OK) | (codes == _INVOKE)
        if valued.any():
            values = compress(map(itemgetter("value"), events), valued.tobytes())
            micro = micro_ops(list(values), self.keys)
            if micro is None:
                return False
            self._micro.append(micro)
        self._take_errors(events, kinds)
        self._kind += codes.tobytes()
        has_times, has_indices = self._layout or (False, False)
        times = list(map(itemgetter("time"), events)) if has_times else places
        return self._take_numbers(self._time, times) and (not has_indices or self._are_in_order(events))

    def _take_errors(self, events: list[Any], kinds: list[int | None]) -> None:
        for at, event in enumerate(events, len(self._kind)):
            if "error" in event:
                error = event["error"]
                if kinds[at - len(self._kind)] != _INVOKE and type(error) is str and error in ERROR_WORDS:
                    self._errors[at] = ERROR_WORDS[error]

    def _are_in_order(self, events: list[Any]) -> bool:
        indices = list(map(itemgetter("index"), events))
        if set(map(type, indices)) != {int} or indices[0] < max(self._index, 0) or sorted(indices) != indices:
            return False
        self._index = indices[-1]
        return True

    @staticmethod
    def _take_numbers(column: array[int], numbers: Iterable[Any]) -> bool:
        """Add numbers to a column; False if one is none of 64 bits."""
        numbers = list(numbers)
        if set(map(type, numbers)) != {int}:
            return False
        try:
            column.extend(numbers)
        except OverflowError:
            return False
        return True

    def paired(self) -> tuple[Operations, MicroOps] | None:
        """Return the operations and their micro-operations; None if events do not pair, or must be refused."""
        kind = np.frombuffer(bytes(self._kind), dtype=np.uint8)
        process, time, place, line = (
            np.array(column, dtype=np.int64) for column in (self._process, self._time, self._place, self._line)
        )
        end = _ends(kind == _INVOKE, process) if len(kind) else None
        if end is None or not are_sessions(process) or (time <= -FARTHEST_NS).any() or (time >= FARTHEST_NS).any():
            return None
        has_times = self._layout in ((True, True), (True, False))
        time, back_ns = in_order(time, kind == _INVOKE) if has_times else (time, 0)
        invoked, has_end = np.flatnonzero(kind == _INVOKE), end >= 0
        outcome = np.where(has_end, kind[end], _INFO).astype(np.uint8)
        micro = self._micro_of(kind, invoked, end, outcome == _OK)
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
            has_times=has_times,
            back_ns=back_ns,
        )
        return operations, micro

    def _micro_of(self, kind: Any, invoked: Integers, end: Integers, ok: Mask) -> MicroOps | None:
        """Return what the transaction of each operation did: as it ended if it is ok, else as it was invoked."""
        micro = joined(self._micro)
        self._micro.clear()
        begins = np.cumsum(micro.counts) - micro.counts
        number = np.cumsum((kind == _OK) | (kind == _INVOKE)) - 1
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


def _array(numbers: Integers) -> array[int]:
    return array("q", numbers.astype(np.int64).tobytes())
