"""When a cache's readers are calm again after a fault, and whether that never comes by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cache_phases import Rows, Span
from .columns import Integers

WINDOW_NS = 500_000_000  # of calm and of none
CALM_WINDOWS = 6  # in a row, and it is calm
HELD_NS = 5_000_000_000  # so long after heal without calm, up to the end: it does not end by itself


@dataclass(frozen=True, slots=True)
class Calm:
    """seconds: from the injection until it begins, or at_least so long.

    held: the time after heal, up to the end, that had no calm where it is long enough to say that it does not end by
    itself; None where it is not.
    """

    seconds: float
    at_least: bool
    held: Span | None


def calm_after(rows: Rows, injected_ns: int, after: Span, limit_ns: int) -> Calm:
    """When 95 % of the reads of every window are acked within the limit again."""
    restless = _restless(rows, injected_ns, limit_ns)
    # The window in which the load ends may be cut short: it is left out.
    windows = (rows.end_ns - injected_ns) // WINDOW_NS
    held = Span(_held_from_ns(restless, windows, injected_ns, after), after.end_ns)
    lasts = held.end_ns - held.begin_ns >= HELD_NS
    first = None if lasts else _first_calm(restless, windows)
    return Calm((windows if first is None else first) * WINDOW_NS / 1e9, first is None, held if lasts else None)


def _first_calm(restless: Integers, windows: int) -> int | None:
    """The window with which the first calm begins; None where there is none before so many windows are over."""
    edges = np.concatenate(([-1], restless[restless < windows], [windows]))
    calm = np.flatnonzero(np.diff(edges) > CALM_WINDOWS)
    return int(edges[calm[0]]) + 1 if len(calm) else None


def _held_from_ns(restless: Integers, windows: int, injected_ns: int, after: Span) -> int:
    """Since when, after heal, there was no calm up to the end; the end where there was."""
    if not len(restless) or int(restless[-1]) + 1 < windows:
        return after.end_ns
    return max(after.begin_ns, injected_ns + _unbroken(restless) * WINDOW_NS)


def _restless(rows: Rows, injected_ns: int, limit_ns: int) -> Integers:
    """The windows from the injection on, by number, in which more than 5 % of the reads were slow or not acked."""
    since = rows.scheduled_ns >= injected_ns
    windows = (rows.scheduled_ns[since] - injected_ns) // WINDOW_NS
    slow = (rows.took_ns[since] > limit_ns) | ~rows.acked[since]
    every, bad = np.bincount(windows), np.bincount(windows, weights=slow)
    return np.flatnonzero(20 * bad > every).astype(np.int64)


def _unbroken(restless: Integers) -> int:
    """The first of the unbroken row of windows that ends with the last."""
    breaks = np.flatnonzero(np.diff(restless) > 1)
    return int(restless[breaks[-1] + 1 if len(breaks) else 0])
