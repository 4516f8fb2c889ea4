"""When a cache's readers are in the steady state again after a fault, and whether that never happens by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers

from .phases import Rows, Span

WINDOW_NS = 500_000_000  # each of them steady, or not
STEADY_WINDOWS = 6  # in a row: the steady state
HELD_NS = 5_000_000_000  # without a steady state for so long after heal, up to the end, it does not end by itself


@dataclass(frozen=True, slots=True)
class Recovery:
    """seconds: from the injection to the steady state; at_least: it is only a lower bound.

    held: the time after heal, up to the end, without a steady state, if it is long enough to show that the failure does
    not end by itself; else None.
    """

    seconds: float
    at_least: bool
    held: Span | None


def recovery_after(rows: Rows, injected_ns: int, after: Span, limit_ns: int) -> Recovery:
    """Find when 95 % of the reads of every window are acked within the limit again."""
    unsteady = _unsteady(rows, injected_ns, limit_ns)
    # The window in which the load ends may be cut short: it is left out.
    windows = (rows.end_ns - injected_ns) // WINDOW_NS
    held = Span(_held_from_ns(unsteady, windows, injected_ns, after), after.end_ns)
    lasts = held.end_ns - held.begin_ns >= HELD_NS
    first = None if lasts else _first_steady(unsteady, windows)
    return Recovery((windows if first is None else first) * WINDOW_NS / 1e9, first is None, held if lasts else None)


def _first_steady(unsteady: Integers, windows: int) -> int | None:
    """Return the window with which the first steady state begins; None if it does not fit into so many windows."""
    edges = np.concatenate(([-1], unsteady[unsteady < windows], [windows]))
    steady = np.flatnonzero(np.diff(edges) > STEADY_WINDOWS)
    return int(edges[steady[0]]) + 1 if len(steady) else None


def _held_from_ns(unsteady: Integers, windows: int, injected_ns: int, after: Span) -> int:
    """Return since when, after heal, there was no steady state up to the end; the end if there was one."""
    if not len(unsteady) or int(unsteady[-1]) + 1 < windows:
        return after.end_ns
    return max(after.begin_ns, injected_ns + _unbroken(unsteady) * WINDOW_NS)


def _unsteady(rows: Rows, injected_ns: int, limit_ns: int) -> Integers:
    """Return the numbers of the windows from the injection on with more than 5 % slow or unacked reads."""
    since = rows.scheduled_ns >= injected_ns
    windows = (rows.scheduled_ns[since] - injected_ns) // WINDOW_NS
    slow = (rows.took_ns[since] > limit_ns) | ~rows.acked[since]
    every, bad = np.bincount(windows), np.bincount(windows, weights=slow)
    return np.flatnonzero(20 * bad > every).astype(np.int64)


def _unbroken(unsteady: Integers) -> int:
    """Return the first window of the unbroken row that ends with the last one."""
    breaks = np.flatnonzero(np.diff(unsteady) > 1)
    return int(unsteady[breaks[-1] + 1 if len(breaks) else 0])
