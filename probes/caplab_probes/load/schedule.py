"""The open-loop schedule: operations are due at fixed times, whatever their outcomes.

Latency counts from the scheduled start, so that a slow server cannot hide behind the operations
it kept from starting (coordinated omission; Schroeder et al., Open Versus Closed, NSDI 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

from .mixing import mix

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """Operation i is due at anchor_ns + i / rate; rate is operations a second."""

    anchor_ns: int
    rate: float
    count: int | None = None  # operations in all; None: without end

    def due_ns(self, index: int) -> int:
        """Return when operation index is due, in monotonic nanoseconds."""
        return self.anchor_ns + round(index * SECOND_NS / self.rate)

    def index_at(self, due_ns: int) -> int | None:
        """Return the operation that is due at exactly this time; None if there is none."""
        about = round((due_ns - self.anchor_ns) * self.rate / SECOND_NS)
        near = (index for index in range(max(0, about - 1), about + 2) if self.due_ns(index) == due_ns)
        return next((index for index in near if not self.over(index)), None)

    def over(self, index: int) -> bool:
        """Return whether the schedule has no operation index any more."""
        return self.count is not None and index >= self.count


def of_seconds(anchor_ns: int, rate: float, seconds: float | None) -> Schedule:
    """Make a schedule that ends before anchor + seconds; None: without end."""
    return Schedule(anchor_ns, rate, None if seconds is None else max(1, round(seconds * rate)))


def phase_ns(seed: int, vantage: int, rate: float) -> int:
    """Return a vantage's own shift within one interval, so that vantages that start together do not send together."""
    return mix(seed, vantage) % max(1, round(SECOND_NS / rate))


@dataclass(frozen=True, slots=True)
class DueOperation:
    """An operation whose time has come; overload: it is too late to start it."""

    index: int
    scheduled_ns: int
    overload: bool


def due(schedule: Schedule, first: int, now_ns: int, start_ns: int) -> list[DueOperation]:
    """Return the operations due from index first on, in order; those more than start_ns late are overloads.

    None is left out: after a stall (a frozen prober) every missed operation comes back as an overload.
    """
    ready: list[DueOperation] = []
    index = first
    while not schedule.over(index) and (scheduled := schedule.due_ns(index)) <= now_ns:
        ready.append(DueOperation(index, scheduled, now_ns - scheduled > start_ns))
        index += 1
    return ready
