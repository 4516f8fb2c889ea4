"""Waiting for a condition of the cluster, with a time limit and a sentence for when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from chaoslib.exceptions import ActivityFailed

_LOOK_SECONDS = 0.2


class NotInTime(Exception):
    """A condition was not met in time; the message names it, and says what the state was."""


def wait_until(what: str, look: Callable[[], str], within_seconds: float) -> float:
    """Call `look` until it returns '', which means that the condition `what` is met. Returns the seconds this took.

    Otherwise `look` returns a description of the state. Raises NotInTime with the last one.
    """
    started = time.monotonic()
    while problem := look():
        if time.monotonic() - started > within_seconds:
            raise NotInTime(f"Gave up after {within_seconds:g} s waiting until {what}: {problem.rstrip('.')}.")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - started


def require(what: str, look: Callable[[], str], within_seconds: float) -> None:
    """Wait as `wait_until` does, for a step of an experiment. Raises ActivityFailed when the time is over."""
    try:
        wait_until(what, look, within_seconds)
    except NotInTime as late:
        raise ActivityFailed(str(late)) from late
