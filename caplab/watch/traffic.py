"""What clients got, second by second, from a prober's counters: seconds without a reading are unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .values import Column, Count, Load, Route, RouteLine, State

LOOK_BACK_SECONDS = 130  # seconds that are remembered
RECENT_SECONDS = 3  # the time of the figures beside the columns
_MAX_GAP_SECONDS = 2.5  # between two readings: a longer gap is unknown
_QUANTILE = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Operations of one route that ended between two readings.

    ratio: acknowledged of all that ended, None where none did. p99_seconds: None where none was acknowledged.
    """

    ended: float
    acked: float
    buckets: Mapping[float, float]
    ratio: float | None
    p99_seconds: float | None

    @classmethod
    def of(cls, ended: float, acked: float, buckets: Mapping[float, float]) -> Delta:
        """Compute the derived values once, as each delta is read a hundred times."""
        return cls(
            ended=ended,
            acked=acked,
            buckets=buckets,
            ratio=acked / ended if ended > 0 else None,
            p99_seconds=quantile(buckets, _QUANTILE),
        )


Slot = Mapping[Route, Delta]


class Traffic:
    """One prober's traffic, a slot for each second; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._first: int | None = None
        self._base: tuple[float, Mapping[Load, Count]] | None = None  # the start of the next second
        self._last: tuple[float, Mapping[Load, Count]] | None = None

    def add(self, at: float, counts: Mapping[Load, Count]) -> None:
        """Add a reading at a moment.

        A second belongs to the two readings around its middle. A gap longer than _MAX_GAP_SECONDS stays unknown: an
        average over it would hide an outage.
        """
        self._last = (at, counts)
        if self._base is None:
            self._first, self._base = _slot_after(at), self._last
            return
        before, earlier = self._base
        numbers = range(_slot_after(before), _slot_after(at))
        if not numbers:  # its operations belong to the second that is under way
            return
        if at - before <= _MAX_GAP_SECONDS:
            self._slots.update(dict.fromkeys(numbers, difference(earlier, counts)))
        self._base = self._last
        for old in [number for number in self._slots if number < at - LOOK_BACK_SECONDS]:
            del self._slots[old]

    def lines(self, now: float, columns: int, column_seconds: int) -> list[RouteLine]:
        """Return a line for each route that was used within the columns' time, by name."""
        end = math.floor(now / column_seconds) + 1  # the number of the first column that has not begun
        numbers = range(end - columns, end)
        slots = {number: slot for number, slot in self._slots.items() if number >= numbers[0] * column_seconds}
        routes = {route for slot in slots.values() for route in slot}
        return [self._line(route, now, numbers, column_seconds) for route in sorted(routes)]

    def _line(self, route: Route, now: float, numbers: range, column_seconds: int) -> RouteLine:
        columns = tuple(
            self._column(route, now, range(number * column_seconds, (number + 1) * column_seconds))
            for number in numbers
        )
        if self._last is None or self._is_silent(now):
            return RouteLine(route=route, columns=columns, is_known=False)
        at, counts = self._last
        newest = max(self._slots)
        recent = [self._slots.get(number, {}).get(route) for number in range(newest - RECENT_SECONDS + 1, newest + 1)]
        whole = total([delta for delta in recent if delta])
        ages = [count.since_ack_seconds for load, count in counts.items() if load.route == route]
        since = min((age for age in ages if age is not None), default=None)
        return RouteLine(
            route=route,
            columns=columns,
            is_known=True,
            ratio=whole.ratio,
            p99_seconds=whole.p99_seconds,
            since_ack_seconds=None if since is None else since + now - at,
        )

    def _is_silent(self, now: float) -> bool:
        return self._last is None or now - self._last[0] > _MAX_GAP_SECONDS

    @property
    def _settled(self) -> int:
        """The first second that may still change."""
        return 0 if self._base is None else _slot_after(self._base[0])

    def _column(self, route: Route, now: float, seconds: range) -> Column:
        """Return the worst of these seconds; one unknown second outweighs all others."""
        if self._first is None or seconds[-1] < self._first:
            return Column(State.BEFORE)
        due = [second for second in seconds if self._first <= second]
        missing = [second for second in due if second not in self._slots]
        if any(second < self._settled or self._is_silent(now) for second in missing):
            return Column(State.UNKNOWN)
        if len(missing) == len(due):
            return Column(State.BEFORE)
        return worst([delta for second in due if (delta := self._slots.get(second, {}).get(route))])


def difference(before: Mapping[Load, Count], after: Mapping[Load, Count]) -> Slot:
    """Return what ended between two readings, by route: of all loads together.

    A count that went down has begun anew, since its prober or its load did: it counts from 0. A missing one is ignored:
    its load has ended, while others may go on.
    """
    deltas: dict[Route, list[Delta]] = {}
    for load, count in after.items():
        deltas.setdefault(load.route, []).append(_delta(before.get(load, Count()), count))
    return {route: total(several) if len(several) > 1 else several[0] for route, several in deltas.items()}


def worst(deltas: Sequence[Delta]) -> Column:
    """Return the lowest ratio and the highest latency among seconds."""
    ratios = [delta.ratio for delta in deltas if delta.ratio is not None]
    slowest = [delta.p99_seconds for delta in deltas if delta.p99_seconds is not None]
    if not ratios and not slowest:
        return Column(State.IDLE)
    return Column(State.MEASURED, min(ratios, default=None), max(slowest, default=None))


def total(deltas: Iterable[Delta]) -> Delta:
    """Add up several seconds."""
    ended, acked = 0.0, 0.0
    buckets: dict[float, float] = {}
    for delta in deltas:
        ended, acked = ended + delta.ended, acked + delta.acked
        for bound, count in delta.buckets.items():
            buckets[bound] = buckets.get(bound, 0.0) + count
    return Delta.of(ended, acked, buckets)


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return the latency below which such a share stays, in seconds, as Prometheus' histogram_quantile does.

    None if nothing was counted; the highest finite bound if it is beyond that.
    """
    ordered = sorted(buckets.items())
    if not ordered or ordered[-1][1] <= 0:
        return None
    wanted = share * ordered[-1][1]
    low, below = 0.0, 0.0
    for bound, count in ordered:
        if count >= wanted:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (wanted - below) / (count - below) if count > below else bound
        low, below = bound, count
    return low


def _delta(before: Count, after: Count) -> Delta:
    if after.ended < before.ended:
        before = Count()
    buckets = {bound: max(0.0, count - before.buckets.get(bound, 0.0)) for bound, count in after.buckets.items()}
    return Delta.of(after.ended - before.ended, max(0.0, after.acked - before.acked), buckets)


def _slot_after(at: float) -> int:
    """Return the first second whose middle is at a moment or later."""
    return math.ceil(at - 0.5)
