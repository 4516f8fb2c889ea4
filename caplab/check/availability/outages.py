"""Outages of one series of operations: when fewer than 95 % of what was scheduled was acked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask
from caplab.check.series import Series

WINDOW_NS = 100_000_000
SILENCE_NS = (
    1_000_000_000  # a client that schedules nothing for so long, and for SILENCE_TIMES its usual pause, was away
)
SILENCE_TIMES = 10


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage, from the scheduled start of its first unacked operation to the first ack after its last one.

    end_ns None: the history ends within it. seen_ns: until when it was seen to last. This is end_ns, unless the history
    ended, or the client was away (SILENCE_NS) before that ack: then it is the last moment of which the client knows.
    """

    start_ns: int
    end_ns: int | None
    seen_ns: int

    @property
    def open(self) -> bool:
        """Whether it is not known how long it lasted, only for how long at least."""
        return self.seen_ns != self.end_ns


def find(series: Series, origin_ns: int, injected_ns: int | None) -> list[Outage]:
    """Return the series' outages in order, by windows of WINDOW_NS counted from origin_ns.

    A window is bad when fewer than 95 % of the operations scheduled in it were acked; a window in
    which none was scheduled says nothing, and neither ends nor begins an outage. Bad windows in a
    row are one outage, whose edges are then refined to operations; outages that touch are one. An ack
    that came after the injection ends an outage only if it was invoked after the injection.
    """
    first_row, end_row = _bad_rows(series, origin_ns)
    unacked = np.flatnonzero(~series.acked)
    first = unacked[np.searchsorted(unacked, first_row)]
    last = unacked[np.searchsorted(unacked, end_row) - 1]
    starts = series.scheduled_ns[first]
    ends = _first_ack_from(series, injected_ns)[last + 1]
    seen = np.where(_was_away_after(series, last), series.scheduled_ns[last], np.minimum(ends, series.end_ns))
    return _joined(starts.tolist(), ends.tolist(), seen.tolist())


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


def _was_away_after(series: Series, rows: Integers) -> Mask:
    """Return for each of these rows whether the client was away between it and the next one."""
    pauses_ns = np.diff(series.scheduled_ns)
    if not len(pauses_ns):
        return np.zeros(len(rows), dtype=bool)
    limit_ns = max(SILENCE_NS, SILENCE_TIMES * int(np.median(pauses_ns)))
    away = np.append(pauses_ns > limit_ns, False)  # after its last row a client is not away but done
    return away[rows]


def _joined(starts: list[int], ends: list[int], seen: list[int]) -> list[Outage]:
    joined: list[tuple[int, int, int]] = []
    for start, end, known in zip(starts, ends, seen, strict=True):
        if joined and start <= joined[-1][1]:
            first, before, known_before = joined[-1]
            joined[-1] = (first, end, known) if end >= before else (first, before, known_before)
        else:
            joined.append((start, end, known))
    return [Outage(start, None if end == NEVER else end, known) for start, end, known in joined]
