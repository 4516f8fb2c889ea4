"""The operations on queues as arrays: what was enqueued, what was dequeued, and what scans showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, among, codes, integers, present
from caplab.check.full_scans import FullScans, full_scans
from caplab.check.lines import dense, packed
from caplab.check.scans import of_queues
from caplab.check.versions import key_codes
from caplab.model.history import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Operations with an element each, by row. An element is a value of one queue, by its number."""

    row: Integers
    element: Integers
    invoke_ns: Integers
    return_ns: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueues(Moved):
    """The enqueues that took effect or may have."""

    ok: Mask
    producer: Integers  # its session, by number


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Dequeues without a known element, by row: those that found nothing, or those of unknown outcome."""

    row: Integers
    key: Integers
    invoke_ns: Integers
    return_ns: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Everything about the queues of a history; shown: the rows of scans with an element, and the scan of each."""

    key: Integers  # of each element
    value: Integers  # of each element
    queues: int
    enqueues: Enqueues
    dequeues: Moved
    empty: Asked
    takers: Asked
    scans: FullScans
    shown: Moved
    shown_in: Integers
    refused: Integers  # rows of enqueues that surely failed
    nameless: int  # enqueues that may have taken effect, without their element

    @property
    def elements(self) -> int:
        """How many distinct elements there are."""
        return len(self.key)

    def per_element(self, moved: Moved) -> Integers:
        """Count operations for each element."""
        return np.bincount(moved.element, minlength=self.elements)


def operations_of(history: Table) -> Operations:
    """Return the operations on queues; overloads were not sent, and are left out with all that surely failed."""
    key = key_codes(history)[0]
    enqueue, dequeue = (among(history, "op", [op]) for op in ("enqueue", "dequeue"))
    ok, fail = (among(history, "outcome", [word]) for word in ("ok", "fail"))
    has_value = present(history, "value")
    scans = full_scans(history, of_queues(history))
    rows = {
        "enqueued": np.flatnonzero(enqueue & ~fail & has_value),
        "dequeued": np.flatnonzero(dequeue & ok & has_value),
        "shown": scans.row[has_value[scans.row]],
    }
    element, of_key, value = _elements(history, key, list(rows.values()))
    times = integers(history, "invoke_ns", 0), integers(history, "return_ns", NEVER)
    enqueued, dequeued, shown = (_moved(rows[name], part, times) for name, part in zip(rows, element, strict=True))
    return Operations(
        key=of_key,
        value=value,
        queues=len(np.unique(key[enqueue | dequeue])),
        enqueues=Enqueues(
            row=enqueued.row,
            element=enqueued.element,
            invoke_ns=enqueued.invoke_ns,
            return_ns=enqueued.return_ns,
            ok=ok[enqueued.row],
            producer=_producers(history, enqueued.row),
        ),
        dequeues=dequeued,
        empty=_asked(np.flatnonzero(dequeue & ok & ~has_value), key, times),
        takers=_asked(np.flatnonzero(dequeue & ~ok & ~fail), key, times),
        scans=scans,
        shown=shown,
        shown_in=scans.scan[has_value[scans.row]],
        refused=np.flatnonzero(enqueue & fail & has_value),
        nameless=int((enqueue & ~fail & ~has_value).sum()),
    )


def _elements(history: Table, key: Integers, parts: list[Integers]) -> tuple[list[Integers], Integers, Integers]:
    """Return the number of each row's element, part by part, and each element's key and value."""
    row = np.concatenate(parts)
    value = integers(history, "value", 0)[row]
    (code,) = packed((key[row], value))
    _, first, number = np.unique(code, return_index=True, return_inverse=True)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return list(np.split(number, ends)), key[row[first]], value[first]


def _moved(row: Integers, element: Integers, times: tuple[Integers, Integers]) -> Moved:
    return Moved(row=row, element=element, invoke_ns=times[0][row], return_ns=times[1][row])


def _asked(row: Integers, key: Integers, times: tuple[Integers, Integers]) -> Asked:
    return Asked(row=row, key=key[row], invoke_ns=times[0][row], return_ns=times[1][row])


def _producers(history: Table, row: Integers) -> Integers:
    session = integers(history, "session", 0)[row]
    least = int(session.min(initial=0))
    span = int(session.max(initial=0)) - least + 1
    return dense(codes(history, "vantage")[0][row] * span + session - least)[0]
