"""Schedule: whether the load was started on time, which all other checkers assume.

An instrument that is late measures itself. Only the steady state counts: once a server hangs, an operation
waits for its place, and that is the fault's doing.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from caplab.check.checker import Checker
from caplab.check.columns import Integers, among, integers
from caplab.check.finding import Context, Finding, State
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted

NAME = "schedule"
LATE_NS = 5_000_000
_ON_TIME = 0.99  # of all operations


def check(history: Table, context: Context) -> Finding:
    """Measure the lateness (scheduled to real start) of operations in the steady state before the injection.

    Figures: operations, on_time_ratio (started within 5 ms), late_p50_seconds, late_p99_seconds, late_max_seconds.
    Unknown, never violated: a late instrument proves nothing about the database, but makes the other figures doubtful.
    Unknown also with fewer than context.enough operations.
    """
    late_ns = _lateness(history, context)
    if len(late_ns) < context.enough:
        few = counted(len(late_ns), "operation")
        reason = f"Only {few} in the steady state; {context.enough:,} {are(context.enough)} needed."
        return Finding(property=NAME, state=State.UNKNOWN, reason=reason)
    p50, p99, worst = (float(value) / 1e9 for value in np.quantile(late_ns, [0.5, 0.99, 1], method="inverted_cdf"))
    on_time = float((late_ns <= LATE_NS).mean())
    figures: dict[str, Json] = {
        "operations": len(late_ns),
        "on_time_ratio": on_time,
        "late_p50_seconds": p50,
        "late_p99_seconds": p99,
        "late_max_seconds": worst,
    }
    text = f"{on_time:.2%} of {counted(len(late_ns), 'operation')} started within 5 ms of their schedule."
    return Finding(
        property=NAME, state=State.HOLDS if on_time >= _ON_TIME else State.UNKNOWN, reason=text, figures=figures
    )


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if (~among(history, "op", ["scan"])).any() else "all operations are scans"


def _lateness(history: Table, context: Context) -> Integers:
    scheduled_ns = integers(history, "scheduled_ns", 0)
    rows = ~among(history, "op", ["scan"]) & (scheduled_ns >= (context.steady_ns or 0))
    if context.injected_ns is not None:
        rows &= scheduled_ns < context.injected_ns
    return (integers(history, "invoke_ns", 0) - scheduled_ns)[rows]


def _applies_to_file(columns: Collection[str]) -> str:
    return "it belongs to a run, whose load is known"


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    applies_to_file=_applies_to_file,
)
