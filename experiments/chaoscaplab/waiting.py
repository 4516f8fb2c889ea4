"""Waiting for a condition of the cluster, with a bound and a sentence for when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable

from chaoslib.exceptions import ActivityFailed

_LOOK_SECONDS = 0.2


class NotInTime(Exception):
    """What was waited for did not come; the message says what, and how things stood."""


def wait_until(what: str, look: Callable[[], str], within_seconds: float) -> float:
    """Look again and again until `look` returns ''; the seconds it took.

    What look returns otherwise says how things stand. Raises NotInTime with the last of that.
    """
    started = time.monotonic()
    while problem := look():
        if time.monotonic() - started > within_seconds:
            raise NotInTime(f"Not within {within_seconds:g} s: {what}; {problem}.")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - started


def require(what: str, look: Callable[[], str], within_seconds: float) -> None:
    """`wait_until` for a step of an experiment: ActivityFailed where it does not come."""
    try:
        wait_until(what, look, within_seconds)
    except NotInTime as late:
        raise ActivityFailed(str(late)) from late
