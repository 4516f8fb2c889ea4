"""Outages of one series of operations: when fewer than 95 % of what was scheduled was acked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers
from caplab.check.series import Series

WINDOW_NS = 100_000_000
ABSENCE_NS = 1_000_000_000  # clients that do nothing for so long, and for ABSENCE_TIMES their usual pause, were away
ABSENCE_TIMES = 10
RECONNECT_NS = 2_000_000_000  # for clients that are back to connect


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage, from the scheduled start of its first unacked operation to the first ack after its last one.

    end_ns None: the history ends within it. seen_ns: until when it was seen to last. This is end_ns, unless the history
    ended, or the clients were away and found it over when they were back, or within RECONNECT_NS: then it is the last
    operation before their absence that was not acked.
    """

    start_ns: int
    end_ns: int | None
    seen_ns: int

    @property
    def open(self) -> bool:
        """Whether it is not known how long it lasted, only for how long at least."""
        return self.seen_ns != self.end_ns


@dataclass(frozen=True, slots=True)
class Absence:
    """A time in which the clients of a vantage did nothing: they had died, say."""

    start_ns: int
    end_ns: int


def absences(every: Sequence[Series]) -> list[Absence]:
    """Return when the clients of these series, which are one vantage's, were away between two operations.

    Who waits for an answer is there: the time from the latest return to the next operation counts.
    """
    first_ns = min(int(series.scheduled_ns[0]) for series in every)
    last_ns = max(int(series.scheduled_ns[-1]) for series in every)
    if any(_is_there_throughout(series, first_ns, last_ns) for series in every):
        return []  # quick, since sorting all of them is not
    scheduled_ns = np.concatenate([series.scheduled_ns for series in every])
    returned_ns = np.concatenate([series.return_ns for series in every])
    order = np.argsort(scheduled_ns, kind="stable")
    if len(order) < 2:
        return []
    scheduled_ns, returned_ns = scheduled_ns[order], returned_ns[order]
    done_ns = np.where(returned_ns == NEVER, scheduled_ns, np.maximum(scheduled_ns, returned_ns))
    there_ns = np.maximum.accumulate(done_ns)
    limit_ns = max(ABSENCE_NS, ABSENCE_TIMES * int(np.median(np.diff(scheduled_ns))))
    rows = np.flatnonzero(scheduled_ns[1:] - there_ns[:-1] > limit_ns)
    return [Absence(int(there_ns[row]), int(scheduled_ns[row + 1])) for row in rows]


def _is_there_throughout(series: Series, first_ns: int, last_ns: int) -> bool:
    """Return whether this series alone has an operation at least every ABSENCE_NS."""
    due_ns = series.scheduled_ns
    edges = int(due_ns[0]) - first_ns <= ABSENCE_NS and last_ns - int(due_ns[-1]) <= ABSENCE_NS
    return edges and not bool((np.diff(due_ns) > ABSENCE_NS).any())


def find(series: Series, origin_ns: int, injected_ns: int | None, away: Sequence[Absence] = ()) -> list[Outage]:
    """Return the series' outages in order, by windows of WINDOW_NS counted from origin_ns.

    A window is bad when fewer than 95 % of the operations scheduled in it were acked; a window in
    which none was scheduled says nothing, and neither ends nor begins an outage. Bad windows in a
    row are one outage, whose edges are then refined to operations; outages that touch are one. An ack
    that came after the injection ends an outage only if it was invoked after the injection. away: of the vantage.
    """
    first_row, end_row = _bad_rows(series, origin_ns)
    unacked = np.flatnonzero(~series.acked)
    first = unacked[np.searchsorted(unacked, first_row)]
    last = unacked[np.searchsorted(unacked, end_row) - 1]
    starts = series.scheduled_ns[first]
    ends = _first_ack_from(series, injected_ns)[last + 1]
    return [_as_seen(series, start, end, away) for start, end in _joined(starts.tolist(), ends.tolist())]


def first_ack_ns(series: Series, outages: Sequence[Outage], injected_ns: int) -> int | None:
    """Return when the first operation invoked after the outages past the injection had begun was acked.

    The outages have begun with the first operation that was scheduled in them, no earlier than the injection, and not
    acked: an operation invoked before it may have been acked by what served before. None: no such operation, or no ack.
    """
    if not outages:
        return None
    begin_ns = max(injected_ns, outages[0].start_ns)
    last_ns = outages[-1].end_ns
    within = (series.scheduled_ns >= begin_ns) & (series.scheduled_ns <= (NEVER if last_ns is None else last_ns))
    unacked = np.flatnonzero(within & ~series.acked)
    if not len(unacked):
        return None
    since_ns = max(int(series.invoke_ns[unacked[0]]), injected_ns)
    returns = series.return_ns[series.acked & (series.invoke_ns > since_ns)]
    return int(returns.min()) if len(returns) else None


def _bad_rows(series: Series, origin_ns: int) -> tuple[Integers, Integers]:
    """Return the first row, and the row after the last, of each unbroken row of bad windows."""
    window = (series.scheduled_ns - origin_ns) // WINDOW_NS
    begins = np.flatnonzero(np.concatenate(([True], window[1:] != window[:-1])))
    ends = np.append(begins[1:], len(window))
    acked = np.add.reduceat(series.acked.astype(np.int64), begins)
    bad = 20 * acked < 19 * (ends - begins)  # 95 %, in whole numbers
    turns = np.diff(np.concatenate(([0], bad.astype(np.int8), [0])))
    return begins[np.flatnonzero(turns == 1)], ends[np.flatnonzero(turns == -1) - 1]


def _first_ack_from(series: Series, injected_ns: int | None) -> Integers:
    """Return, for each row and one past the last, the earliest return of an ack scheduled there or later."""
    counts = series.acked
    if injected_ns is not None:
        counts = counts & ((series.invoke_ns >= injected_ns) | (series.return_ns < injected_ns))
    returns = np.append(np.where(counts, series.return_ns, NEVER), NEVER)
    return np.minimum.accumulate(returns[::-1])[::-1]


def _joined(starts: list[int], ends: list[int]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in zip(starts, ends, strict=True):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _as_seen(series: Series, start_ns: int, end_ns: int, away: Sequence[Absence]) -> Outage:
    """Return an outage with the time until which its clients saw it last."""
    seen_ns = min(end_ns, series.end_ns)
    for absence in away:
        if start_ns <= absence.start_ns and absence.end_ns <= end_ns < absence.end_ns + RECONNECT_NS:
            unacked = ~series.acked & (series.scheduled_ns <= absence.start_ns)
            seen_ns = int(series.scheduled_ns[unacked][-1])
    return Outage(start_ns, None if end_ns == NEVER else end_ns, seen_ns)
