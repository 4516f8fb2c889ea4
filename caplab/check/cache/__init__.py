"""Cache: what readers and the database behind a cache experienced, and whether it ended by itself.

A failure that lasts when its trigger is gone is metastable: the load itself sustains it (Bronson et al., "Metastable
Failures in Distributed Systems", HotOS 2021). Behind a cache that load is of the reads that miss: what they ask of the
database comes too late to be kept, and so the next ones miss too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from caplab.check.checker import RATIO, Checker, Property
from caplab.check.columns import Integers, among
from caplab.check.finding import Context, Finding, State
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted

from .phases import Phase, Rows, Span, phase_of, spans_of
from .recovery import recovery_after

NAME = "cache"
PEAK_NS = 1_000_000_000  # of the loads' peak
_SLOW_NS = 25_000_000  # the least latency limit of a read in the steady state


def check(history: Table, context: Context) -> Finding:
    """Compare reads and loads before, during and after the fault; without a fault everything is before.

    Figures: reads, loads and wasted (loads that timed out: no reader waited any more); phases: the seconds of each,
    loads_per_second, wasted, acked_share of reads, their p50_seconds and p99_seconds from their schedule. A read that
    was not acked is slower than any that was: if a quantile is that of such a read, it is among the phase's
    lower_bounds, and is the time without an answer, up to the end.

    read_p99_ratio: the p99 in the fault divided by that before; among lower_bounds as the fault's is, None if that
    before is. peak_to_mean: of loads after the fault, by seconds.

    calm_seconds: from the injection to the beginning of 3 s in which 95 % of the reads of each 500 ms were acked,
    within twice the p99 before (or 25 ms); among lower_bounds if there were no such 3 s, or the history ended first.
    Keys that expire in their own time later on, as they did before the fault, do not count.

    metastable: 1 if the last 5 s after heal, or more, had no steady state; sustaining_loads_per_second: the loads in
    that time, and sustaining_wasted_share: the share of them that came too late.

    Violated if it is metastable. Unknown with fewer than context.enough reads or without a load.
    """
    rows = Rows.of(history, context.steady_ns)
    if len(rows.scheduled_ns) < context.enough:
        return Finding(
            property=NAME,
            state=State.UNKNOWN,
            reason=f"Only {counted(len(rows.scheduled_ns), 'read')}; {context.enough:,} {are(context.enough)} needed.",
        )
    figures = _figures(rows, context)
    state, reason = _judge(figures)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["load"]).any() else "no operation is a load"


def _figures(rows: Rows, context: Context) -> dict[str, Json]:
    spans = spans_of(rows, context)
    phases = {name: phase_of(name, rows, span) for name, span in spans.items()}
    figures: dict[str, Json] = {
        "reads": len(rows.scheduled_ns),
        "loads": len(rows.sent_ns),
        "wasted": int(rows.wasted.sum()),
        "phases": [phase.to_json() for phase in phases.values()],
    }
    return figures if context.injected_ns is None else figures | _of_fault(rows, context.injected_ns, spans, phases)


def _of_fault(rows: Rows, injected_ns: int, spans: Mapping[str, Span], phases: Mapping[str, Phase]) -> dict[str, Json]:
    before, during = phases["before"].p99, phases["during"].p99
    quiet = 0.0 if before is None or before.at_least else before.seconds
    recovery = recovery_after(rows, injected_ns, spans["after"], max(_SLOW_NS, round(2e9 * quiet)))
    bounds = {"calm_seconds": recovery.at_least, "read_p99_ratio": during is not None and during.at_least}
    figures: dict[str, Json] = {
        "read_p99_ratio": during.seconds / quiet if during and quiet else None,
        "peak_to_mean": _peak_to_mean(rows.sent_ns, spans["after"]),
        "calm_seconds": recovery.seconds,
        "metastable": int(recovery.held is not None),
        "lower_bounds": [name for name, at_least in bounds.items() if at_least],
    }
    if recovery.held is not None:
        loads = recovery.held.of(rows.sent_ns)
        figures["sustaining_loads_per_second"] = float(loads.sum() / recovery.held.seconds)
        figures["sustaining_wasted_share"] = float(rows.wasted[loads].mean()) if loads.any() else None
    return figures


def _peak_to_mean(sent_ns: Integers, span: Span) -> float | None:
    """Return the peak-to-mean ratio of the loads in whole seconds of a span; None if there are none."""
    whole = int(span.seconds)
    windows = (sent_ns[span.of(sent_ns)] - span.begin_ns) // PEAK_NS
    counts = np.bincount(windows[windows < whole], minlength=whole)
    return float(counts.max() / counts.mean()) if counts.sum() else None


def _judge(figures: dict[str, Json]) -> tuple[State, str]:
    if figures.get("metastable"):
        share = figures["sustaining_wasted_share"]
        late = f", {100 * share:.0f} % of which came too late" if isinstance(share, float) else ""
        return State.VIOLATED, (
            f"It does not end by itself: {figures['sustaining_loads_per_second']:,.0f} loads a second{late}, sustain"
            " it."
        )
    if not figures["loads"]:
        return State.UNKNOWN, "No load reached the database."
    recovery = figures.get("calm_seconds")
    recovered = "" if recovery is None else f"; recovered {recovery:.1f} s after the injection"
    return State.HOLDS, f"{counted(figures['loads'], 'load')} for {counted(figures['reads'], 'read')}{recovered}."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(
            name="loadPeak",
            words="peak of loads over their mean",
            figure="peak_to_mean",
            unit=RATIO,
            by_side=False,
            by_route=False,
        ),
        Property(
            name="readP99Ratio",
            words="p99 of reads over the normal p99",
            figure="read_p99_ratio",
            unit=RATIO,
            by_side=False,
            by_route=False,
        ),
        Property(
            name="timeToRecover",
            words="time to recover",
            figure="calm_seconds",
            unit="s",
            by_side=False,
            by_route=False,
        ),
        Property(name="metastable", words="does not end by itself", figure="metastable", by_side=False, by_route=False),
    ),
    of_time=True,
)
