"""What a cache's readers and the database behind it experienced before, during and after a fault."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, among, integers
from caplab.check.finding import Context
from caplab.model.fields import Json
from caplab.model.history import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Reads by their schedule, with their latency from there; loads by the time at which they were sent.

    The latency of a read that was not acked lasts at least to the end.
    """

    scheduled_ns: Integers
    took_ns: Integers
    acked: Mask
    sent_ns: Integers
    wasted: Mask
    end_ns: int

    @classmethod
    def of(cls, history: Table, steady_ns: int | None) -> Rows:
        """Select what was scheduled once the load ran undisturbed."""
        scheduled = integers(history, "scheduled_ns", 0)
        steady = scheduled >= (0 if steady_ns is None else steady_ns)
        reads, loads = (among(history, "op", [op]) & steady for op in ("read", "load"))
        end_ns = int(scheduled[reads | loads].max(initial=0))
        acked = among(history, "outcome", ["ok"])[reads]
        took = np.where(acked, integers(history, "return_ns", NEVER)[reads], end_ns) - scheduled[reads]
        wasted = (among(history, "error", ["timeout"]) & loads)[loads]
        return cls(
            scheduled_ns=scheduled[reads],
            took_ns=took,
            acked=acked,
            sent_ns=scheduled[loads],
            wasted=wasted,
            end_ns=end_ns,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time, its end excluded."""

    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return max(0, self.end_ns - self.begin_ns) / 1e9

    def of(self, times_ns: Integers) -> Mask:
        """Select the times that are in it."""
        inside: Mask = (times_ns >= self.begin_ns) & (times_ns < self.end_ns)
        return inside


@dataclass(frozen=True, slots=True)
class Wait:
    """A quantile of the reads' latency. at_least: it belongs to a read that was never acked, so it is a lower bound."""

    seconds: float
    at_least: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A span's reads and loads; wasted: loads that came too late. The waits are None without reads."""

    name: str
    seconds: float
    reads: int
    acked: int
    p50: Wait | None
    p99: Wait | None
    loads: int
    wasted: int

    def to_json(self) -> dict[str, Json]:
        """Return a plain dict."""
        waits = {"p50_seconds": self.p50, "p99_seconds": self.p99}
        return {
            "phase": self.name,
            "seconds": self.seconds,
            "reads": self.reads,
            "acked_share": self.acked / self.reads if self.reads else None,
            **{name: wait.seconds if wait else None for name, wait in waits.items()},
            "loads": self.loads,
            "loads_per_second": self.loads / self.seconds if self.seconds else None,
            "wasted": self.wasted,
            "lower_bounds": [name for name, wait in waits.items() if wait and wait.at_least],
        }


def spans_of(rows: Rows, context: Context) -> dict[str, Span]:
    """Return the spans before, during and after the fault; without a fault everything is before."""
    begin = int(min(rows.scheduled_ns.min(), rows.sent_ns.min(initial=NEVER)))
    end = rows.end_ns + 1
    if context.injected_ns is None:
        return {"before": Span(begin, end)}
    healed = end if context.healed_ns is None else min(context.healed_ns, end)
    return {
        "before": Span(begin, context.injected_ns),
        "during": Span(context.injected_ns, healed),
        "after": Span(healed, end),
    }


def phase_of(name: str, rows: Rows, span: Span) -> Phase:
    """Describe what happened in a span."""
    reads, loads = span.of(rows.scheduled_ns), span.of(rows.sent_ns)
    p50, p99 = _waits(rows.took_ns[reads], rows.acked[reads]) if reads.any() else (None, None)
    acked, wasted = int(rows.acked[reads].sum()), int(rows.wasted[loads].sum())
    return Phase(
        name=name,
        seconds=span.seconds,
        reads=int(reads.sum()),
        acked=acked,
        p50=p50,
        p99=p99,
        loads=int(loads.sum()),
        wasted=wasted,
    )


def _waits(took_ns: Integers, acked: Mask) -> list[Wait]:
    """Return the p50 and p99 of the reads' latency; a read that was not acked is slower than any that was."""
    answered = np.sort(took_ns[acked])
    ranks = np.quantile(np.arange(len(took_ns)), [0.5, 0.99], method="inverted_cdf").astype(np.int64)
    return [
        Wait(float(answered[rank]) / 1e9, at_least=False)
        if rank < len(answered)
        else Wait(float(took_ns.max()) / 1e9, at_least=True)
        for rank in ranks
    ]
