"""What theory and the vendors promise: one row for an engine, mode, fault and route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Promise(Enum):
    """What a row says of a property."""

    FORBIDDEN = "forbidden"  # one case is a violation
    BOUNDED = "bounded"  # up to a budget
    POSSIBLE = "possible"  # measured, any value will do
    # The anomaly that defines the row: without it, or with less of it than the budget, the run proves nothing.
    MUST_SHOW = "must-show"


@dataclass(frozen=True, slots=True)
class Property:
    """Where a property is measured: a checker's figure and its unit ('' for a count)."""

    checker: str
    figure: str
    unit: str = ""


# What a row may name.
PROPERTIES: Mapping[str, Property] = {
    "lost": Property("durability", "lost"),
    "lostWindow": Property("durability", "lost_window_seconds", "s"),
    "unackedFound": Property("durability", "unacked_found"),
    "unexpected": Property("durability", "unexpected"),
    "duplicated": Property("durability", "duplicated"),
    "failoverTime": Property("availability", "failover_seconds", "s"),
    "writeOutage": Property("availability", "write_outage_seconds", "s"),
    "readOutage": Property("availability", "read_outage_seconds", "s"),
    "outages": Property("availability", "outages"),
    "laterOutages": Property("availability", "later_outages"),
    "twoPrimaries": Property("epochs", "overlaps"),
    "failovers": Property("epochs", "changes"),
}


@dataclass(frozen=True, slots=True)
class Demand:
    """A row's word on one property; budget over settings: the most (BOUNDED), the least (MUST_SHOW)."""

    property: str  # of PROPERTIES
    promise: Promise
    budget: str | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row. route None: the worst of all routes counts. Only what demands name counts."""

    engine: str
    mode: str
    fault: str  # CONTROL for the mode's control run
    route: str | None
    demands: tuple[Demand, ...]
    why: str
    source: str

    @property
    def name(self) -> str:
        """Such as 'postgres quorum kill-primary'; the route follows where one is named."""
        return " ".join(part for part in (self.engine, self.mode, self.fault, self.route) if part)


@dataclass(frozen=True, slots=True)
class Expectations:
    """The whole table; no two rows have one name."""

    rows: tuple[Expectation, ...]

    def find(self, engine: str, mode: str, fault: str, route: str | None = None) -> Expectation:
        """The row; without a route that of all routes, else the only one there is. LookupError names the rows."""
        wanted = " ".join(part for part in (engine, mode, fault, route) if part)
        fitting = [row for row in self.rows if (row.engine, row.mode, row.fault) == (engine, mode, fault)]
        for row in fitting:
            if row.route == route:
                return row
        if route is None and len(fitting) == 1:
            return fitting[0]
        known = ", ".join(f"'{row.name}'" for row in self.rows)
        raise LookupError(
            f"No expectation row '{wanted}'. Mend: add it to experiments/expectations.yaml, beside {known}."
        )
