"""What theory and the vendors promise: a row for each engine, mode and fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Promise(Enum):
    """What a row promises of a property."""

    FORBIDDEN = "forbidden"  # one case is a violation
    BOUNDED = "bounded"  # up to a budget
    POSSIBLE = "possible"  # measured, any value is allowed
    # The anomaly that defines the row: without it, or with less of it than the budget, the run proves nothing.
    MUST_SHOW = "must-show"


@dataclass(frozen=True, slots=True)
class Property:
    """Where a property is measured: a checker's figure and its unit ('' for a count, SHARE for a part of 1, RATIO).

    of is the same checker's figure for the total of a count, '' if there is none. by_side: the checker has figures of
    each side of a cut, and of its routes. by_route: it has figures of each route of all clients.
    """

    checker: str
    figure: str
    unit: str = ""
    of: str = ""
    by_side: bool = True
    by_route: bool = True


SHARE = "share"
RATIO = "times"

# The properties that a row may name.
PROPERTIES: Mapping[str, Property] = {
    "lost": Property("durability", "lost", of="acked", by_route=False),
    "lostWindow": Property("durability", "lost_window_seconds", "s", by_route=False),
    "unackedFound": Property("durability", "unacked_found", by_route=False),
    "unexpected": Property("durability", "unexpected", of="acked", by_side=False, by_route=False),
    "duplicated": Property("durability", "duplicated", of="acked", by_side=False, by_route=False),
    "failoverTime": Property("availability", "failover_seconds", "s"),
    "writeOutage": Property("availability", "write_outage_seconds", "s"),
    "readOutage": Property("availability", "read_outage_seconds", "s"),
    "outages": Property("availability", "outages"),
    "laterOutages": Property("availability", "later_outages"),
    "writesServed": Property("availability", "writes_served_seconds", "s"),
    "readsServed": Property("availability", "reads_served_seconds", "s"),
    "unackedShare": Property("availability", "unacked_share", SHARE),
    "stale": Property("staleness", "stale", of="reads"),
    "staleBehind": Property("staleness", "max_behind_seconds", "s"),
    "missingLost": Property("staleness", "missing_lost", of="reads"),
    "dirty": Property("staleness", "dirty", of="reads"),
    "readYourWrites": Property("sessions", "read_your_writes", of="reads"),
    "monotonicReads": Property("sessions", "monotonic_reads", of="reads"),
    "monotonicWrites": Property("sessions", "monotonic_writes", of="reads"),
    "writesFollowReads": Property("sessions", "writes_follow_reads", of="reads"),
    "notLinearizable": Property("registers", "violating_keys", of="keys", by_side=False, by_route=False),
    "stampedeMean": Property("load", "factor_mean", RATIO, by_side=False, by_route=False),
    "stampedeMax": Property("load", "factor_max", RATIO, by_side=False, by_route=False),
    "loadPeak": Property("cache", "peak_to_mean", RATIO, by_side=False, by_route=False),
    "readP99Ratio": Property("cache", "read_p99_ratio", RATIO, by_side=False, by_route=False),
    "timeToRecover": Property("cache", "calm_seconds", "s", by_side=False, by_route=False),
    "metastable": Property("cache", "metastable", by_side=False, by_route=False),
    "twoPrimaries": Property("epochs", "overlaps", of="acked", by_side=False, by_route=False),
    "failovers": Property("epochs", "changes", by_side=False, by_route=False),
}


@dataclass(frozen=True, slots=True)
class PropertyExpectation:
    """A row's promise for one property; budget over settings: the most (BOUNDED), the least (MUST_SHOW).

    side: of the clients on that side of a cut only (RunRecord.sides). route: by that one only; None: the worst of all.
    """

    property: str  # of PROPERTIES
    promise: Promise
    budget: str | None = None
    side: str | None = None
    route: str | None = None

    def name(self) -> str:
        """Such as 'lost', or 'lost (minority, direct)'."""
        where = ", ".join(part for part in (self.side, self.route) if part)
        return f"{self.property} ({where})" if where else self.property


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row. Only the properties that it names count."""

    engine: str
    mode: str
    fault: str  # CONTROL for the mode's control run
    properties: tuple[PropertyExpectation, ...]
    why: str
    source: str

    @property
    def name(self) -> str:
        """Such as 'postgres quorum kill-primary'."""
        return f"{self.engine} {self.mode} {self.fault}"


@dataclass(frozen=True, slots=True)
class Expectations:
    """The whole table; no two rows have one name."""

    rows: tuple[Expectation, ...]

    def find(self, engine: str, mode: str, fault: str) -> Expectation:
        """Return the row; LookupError lists the existing ones."""
        for row in self.rows:
            if (row.engine, row.mode, row.fault) == (engine, mode, fault):
                return row
        names = ", ".join(f"'{row.name}'" for row in self.rows)
        raise LookupError(
            f"No expectation row '{engine} {mode} {fault}'."
            f" Hint: add it to experiments/expectations.yaml, beside {names}."
        )
