"""Cache: what readers and the database behind a cache went through, and whether it ended by itself.

A failure that lasts when its trigger is gone is metastable: the load itself sustains it (Bronson et al., "Metastable
Failures in Distributed Systems", HotOS 2021). Behind a cache that load is of the reads that miss: what they ask of the
database comes too late to be kept, and so the next ones miss too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table

from .columns import NEVER, Integers, Mask, among, integers
from .finding import Context, Finding, State

NAME = "cache"
WINDOW_NS = 500_000_000  # of calm and of none
CALM_WINDOWS = 6  # in a row, and it is calm
PEAK_NS = 1_000_000_000  # of the loads' peak
HELD_NS = 5_000_000_000  # so long after heal without calm, up to the end: it does not end by itself
_SLOW_NS = 25_000_000  # what a read may take in the calm, at least
_GIVEN_UP_NS = 3_600_000_000_000  # stands for how long a read took that was never answered


def check(history: Table, context: Context) -> Finding:
    """Set reads and loads before, during and after the fault beside each other; without one all is before.

    Figures: reads, loads and wasted (loads whose answer nobody waited for any more); phases: of each, its seconds,
    loads_per_second, wasted, acked_share of reads, their p50_seconds and p99_seconds from their schedule.
    read_p99_ratio: that of the fault by that before. peak_to_mean: of loads after the fault, by seconds.
    calm_seconds: from the injection until 3 s begin in which 95 % of reads of each 500 ms were acked, within twice the
    p99 before (or 25 ms); among lower_bounds where that never was, or did not last to the end. What expires in its own
    time later on, as it did before the fault, is none of its doing.
    metastable: 1 where the last 5 s after heal, or more, had no calm; sustaining_loads_per_second: what the
    database was asked for in that time, and sustaining_wasted_share: of that, what came too late.

    Violated where it is metastable. Unknown with fewer than context.enough reads or with no load.
    """
    rows = _Rows.of(history, context.steady_ns)
    if len(rows.scheduled_ns) < context.enough:
        return Finding(NAME, State.UNKNOWN, f"Only {len(rows.scheduled_ns)} reads; {context.enough} are needed.")
    figures = _figures(rows, context)
    return Finding(NAME, *_judge(figures), figures)


def applies(history: Table) -> str:
    """Why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["load"]).any() else "no operation is a load"


@dataclass(frozen=True, slots=True)
class _Rows:
    """Reads by their schedule, with how long they took from there; loads by when they were sent."""

    scheduled_ns: Integers
    took_ns: Integers
    acked: Mask
    sent_ns: Integers
    wasted: Mask
    end_ns: int

    @classmethod
    def of(cls, history: Table, steady_ns: int | None) -> _Rows:
        """Of what was scheduled once the load ran undisturbed."""
        scheduled = integers(history, "scheduled_ns", 0)
        steady = scheduled >= (0 if steady_ns is None else steady_ns)
        reads, loads = (among(history, "op", [op]) & steady for op in ("read", "load"))
        returned = integers(history, "return_ns", NEVER)[reads]
        due = scheduled[reads]
        acked = among(history, "outcome", ["ok"])[reads]
        took = np.where(acked, returned - due, _GIVEN_UP_NS)
        wasted = (among(history, "error", ["timeout"]) & loads)[loads]
        both = scheduled[reads | loads]
        return cls(due, took, acked, scheduled[loads], wasted, int(both.max(initial=0)))


@dataclass(frozen=True, slots=True)
class _Span:
    """From one moment to another, this one left out."""

    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return max(0, self.end_ns - self.begin_ns) / 1e9

    def of(self, times_ns: Integers) -> Mask:
        """Which of the times are in it."""
        found: Mask = (times_ns >= self.begin_ns) & (times_ns < self.end_ns)
        return found


def _spans(rows: _Rows, context: Context) -> dict[str, _Span]:
    begin = int(min(rows.scheduled_ns.min(), rows.sent_ns.min(initial=NEVER)))
    end = rows.end_ns + 1
    if context.injected_ns is None:
        return {"before": _Span(begin, end)}
    healed = end if context.healed_ns is None else min(context.healed_ns, end)
    return {
        "before": _Span(begin, context.injected_ns),
        "during": _Span(context.injected_ns, healed),
        "after": _Span(healed, end),
    }


def _figures(rows: _Rows, context: Context) -> dict[str, Json]:
    spans = _spans(rows, context)
    phases = {name: _phase(rows, span) for name, span in spans.items()}
    figures: dict[str, Json] = {
        "reads": len(rows.scheduled_ns),
        "loads": len(rows.sent_ns),
        "wasted": int(rows.wasted.sum()),
        "phases": [{"phase": name, **phase} for name, phase in phases.items()],
    }
    if context.injected_ns is not None:
        quiet, fault = (phases[name]["p99_seconds"] for name in ("before", "during"))
        comparable = isinstance(quiet, float) and isinstance(fault, float) and quiet > 0
        figures["read_p99_ratio"] = fault / quiet if comparable else None  # type: ignore[operator]
        figures["peak_to_mean"] = _peak_to_mean(rows.sent_ns, spans["after"])
        limit_ns = max(_SLOW_NS, round(2e9 * quiet)) if isinstance(quiet, float) else _SLOW_NS
        figures |= _calm(rows, context, spans, limit_ns)
    return figures


def _phase(rows: _Rows, span: _Span) -> dict[str, Json]:
    reads, loads = span.of(rows.scheduled_ns), span.of(rows.sent_ns)
    took, p50, p99 = rows.took_ns[reads], None, None
    if len(took):
        p50, p99 = (float(one) / 1e9 for one in np.quantile(took, [0.5, 0.99], method="inverted_cdf"))
    return {
        "seconds": span.seconds,
        "reads": len(took),
        "acked_share": float(rows.acked[reads].mean()) if len(took) else None,
        "p50_seconds": p50,
        "p99_seconds": p99,
        "loads": int(loads.sum()),
        "loads_per_second": float(loads.sum() / span.seconds) if span.seconds else None,
        "wasted": int(rows.wasted[loads].sum()),
    }


def _peak_to_mean(sent_ns: Integers, span: _Span) -> float | None:
    """Of the loads in whole seconds of a span; None where there are none."""
    whole = int(span.seconds)
    windows = (sent_ns[span.of(sent_ns)] - span.begin_ns) // PEAK_NS
    counts = np.bincount(windows[windows < whole], minlength=whole)
    return float(counts.max() / counts.mean()) if counts.sum() else None


def _calm(rows: _Rows, context: Context, spans: dict[str, _Span], limit_ns: int) -> dict[str, Json]:
    injected_ns, after = context.injected_ns or 0, spans["after"]
    restless = _restless(rows, injected_ns, limit_ns)
    # The window in which the load ends may be cut short: it is left out.
    windows = (rows.end_ns - injected_ns) // WINDOW_NS
    held = _Span(_held_from_ns(restless, windows, injected_ns, after), after.end_ns)
    metastable = held.end_ns - held.begin_ns >= HELD_NS
    calm = None if metastable else _first_calm(restless, windows)
    figures: dict[str, Json] = {
        "calm_seconds": (windows if calm is None else calm) * WINDOW_NS / 1e9,
        "metastable": int(metastable),
    }
    if calm is None:
        figures["lower_bounds"] = ["calm_seconds"]
    if metastable:
        loads = held.of(rows.sent_ns)
        figures["sustaining_loads_per_second"] = float(loads.sum() / held.seconds)
        figures["sustaining_wasted_share"] = float(rows.wasted[loads].mean()) if loads.any() else None
    return figures


def _first_calm(restless: Integers, windows: int) -> int | None:
    """The window with which the first calm begins; None where there is none before so many windows are over."""
    edges = np.concatenate(([-1], restless[restless < windows], [windows]))
    calm = np.flatnonzero(np.diff(edges) > CALM_WINDOWS)
    return int(edges[calm[0]]) + 1 if len(calm) else None


def _held_from_ns(restless: Integers, windows: int, injected_ns: int, after: _Span) -> int:
    """Since when, after heal, there was no calm up to the end; the end where there was."""
    if not len(restless) or int(restless[-1]) + 1 < windows:
        return after.end_ns
    return max(after.begin_ns, injected_ns + _unbroken(restless) * WINDOW_NS)


def _restless(rows: _Rows, injected_ns: int, limit_ns: int) -> Integers:
    """The windows from the injection on, by number, in which more than 5 % of the reads were slow or not acked."""
    since = rows.scheduled_ns >= injected_ns
    windows = (rows.scheduled_ns[since] - injected_ns) // WINDOW_NS
    slow = rows.took_ns[since] > limit_ns
    every, bad = np.bincount(windows), np.bincount(windows, weights=slow)
    return np.flatnonzero(20 * bad > every).astype(np.int64)


def _unbroken(restless: Integers) -> int:
    """The first of the unbroken row of windows that ends with the last."""
    breaks = np.flatnonzero(np.diff(restless) > 1)
    return int(restless[breaks[-1] + 1 if len(breaks) else 0])


def _judge(figures: dict[str, Json]) -> tuple[State, str]:
    if figures.get("metastable"):
        share = figures["sustaining_wasted_share"]
        late = f", {100 * share:.0f} % of which came too late" if isinstance(share, float) else ""
        return State.VIOLATED, (
            f"It does not end by itself: {figures['sustaining_loads_per_second']:.0f} loads a second{late}, sustain it."
        )
    if not figures["loads"]:
        return State.UNKNOWN, "The database was not asked once."
    calm = figures.get("calm_seconds")
    told = "" if calm is None else f"; calm {calm:.1f} s after the injection"
    return State.HOLDS, f"{figures['loads']} loads for {figures['reads']} reads{told}."
