"""Every colour of every dashboard: one colour means one thing everywhere, and nothing else is used (linter.py)."""

from __future__ import annotations

from dataclasses import dataclass

# Outcomes of operations, and whether something is as it should be.
OK = "#2f9e5a"
FAILED = "#d64541"
PARTLY = "#f0803c"  # some acknowledged, some not
UNKNOWN = "#e6b012"  # unknown whether it took effect; a verdict that is unknown
STALE = "#8e5bd0"  # reads that missed an acknowledged write

# Roles.
PRIMARY = "#2f6fd0"
REPLICA = "#9cc3f5"

FAULT = "#e84a9c"
BOUND = "#6b7a8a"  # what is predicted or allowed
NONE = "#a8adb3"  # no data, or a figure without judgement

VANTAGES = {"a": "#139a9a", "b": "#a0673a", "c": "#93a01c"}
MEMBERS = ("#4b59b8", "#58b4d1", "#bfa27a", "#6c8f5a", "#a8869e")  # by their number

ALL = frozenset(
    {OK, FAILED, PARTLY, UNKNOWN, STALE, PRIMARY, REPLICA, FAULT, BOUND, NONE, *VANTAGES.values(), *MEMBERS}
)


@dataclass(frozen=True, slots=True)
class State:
    """A value of a state timeline, a stat or a table's cell, as its reader sees it."""

    value: int
    text: str
    color: str


# The worst has the lowest value, so that the minimum of several seconds is the one to show.
NO_ACK, SOME_STALE, SOME_FAILED, SOME_UNKNOWN, ALL_ACKED = range(5)
OUTCOMES = (
    State(NO_ACK, "none acked", FAILED),
    State(SOME_STALE, "stale reads", STALE),
    State(SOME_FAILED, "some failed", PARTLY),
    State(SOME_UNKNOWN, "some unknown", UNKNOWN),
    State(ALL_ACKED, "all acked", OK),
)
DOWN, UP, PRIMARY_DOWN, PRIMARY_UP = range(4)  # up, and twice being primary
ROLES = (
    State(DOWN, "down", FAILED),
    State(UP, "up", REPLICA),
    State(PRIMARY_DOWN, "primary, not up", UNKNOWN),
    State(PRIMARY_UP, "primary", PRIMARY),
)
INVALID, UNDECIDED, VALID = range(3)
VERDICTS = (
    State(INVALID, "invalid", FAILED),
    State(UNDECIDED, "unknown", UNKNOWN),
    State(VALID, "valid", OK),
)
READINESS = (State(0, "not ready", FAILED), State(1, "ready", OK))
SCRAPES = (State(0, "silent", FAILED), State(1, "answers", OK))
FAULTS = (State(0, "none", NONE), State(1, "live", FAULT))
ALERTS = (State(1, "firing", FAILED),)
LINKS = (State(0, "cut", FAILED), State(1, "up", OK))
