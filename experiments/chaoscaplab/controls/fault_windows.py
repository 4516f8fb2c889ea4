"""The fault windows of a run's record: pure."""

from __future__ import annotations

from caplab.model.runs import FaultWindow, WallAnchor
from caplab.run_context import Event, RunState

from ..faults.windows import window_of_node, windows_of

_SECOND_NS = 10**9


def windows_in(state: RunState, boot_id: str, anchor: WallAnchor) -> tuple[FaultWindow, ...]:
    """Return the windows of all faults, lost nodes and events, by injection, on the clock of the histories."""
    windows = [window for fault in state.faults.values() for window in windows_of(fault)]
    lost = (window_of_node(loss, boot_id, anchor) for loss in state.lost_nodes.values())
    windows += [window for window in lost if window]
    windows += [window_of_event(event, anchor) for event in state.events]
    return tuple(sorted(windows, key=lambda window: window.injected_ns))


def window_of_event(event: Event, anchor: WallAnchor) -> FaultWindow:
    """Return the window of an event that the cluster's own means made: from its request to its end."""
    return FaultWindow(
        kind=event.kind,
        target=event.target,
        injected_ns=monotonic(event.began_unix_ns, anchor),
        healed_ns=monotonic_or_none(event.ended_unix_ns, anchor),
        evidence=event.evidence,
        proven=event.proven,
    )


def lasted_seconds(state: RunState) -> float | None:
    """Return the longest requested duration of a fault, or duration of an event, in seconds; None if there was none."""
    lasted: list[float] = [fault.spec.duration_seconds or 0 for fault in state.faults.values()]
    lasted += [lost["seconds"] for lost in state.lost_nodes.values()]
    lasted += [
        (event.ended_unix_ns - event.began_unix_ns) / _SECOND_NS
        for event in state.events
        if event.ended_unix_ns is not None
    ]
    return max(lasted, default=None)


def monotonic(unix_ns: int, anchor: WallAnchor) -> int:
    """Convert a wall-clock moment to the clock of the histories."""
    return unix_ns - anchor.unix_ns + anchor.monotonic_ns


def monotonic_or_none(unix_ns: int | None, anchor: WallAnchor) -> int | None:
    """Convert a moment as `monotonic` does; None if it is not known."""
    return None if unix_ns is None else monotonic(unix_ns, anchor)
