"""What theory and the vendors promise: a row for each engine, mode and fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Promise(Enum):
    """What a row promises of a property."""

    FORBIDDEN = "forbidden"  # one case is a violation
    BOUNDED = "bounded"  # up to a budget
    POSSIBLE = "possible"  # measured, any value is allowed
    # The anomaly that defines the row: without it, or with less of it than the budget, the run proves nothing.
    MUST_SHOW = "must-show"


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyExpectation:
    """A row's promise for one property; budget over settings: the most (BOUNDED), the least (MUST_SHOW).

    side: of the clients on that side of a cut only (RunRecord.sides). route: by that one only; None: the worst of all.
    """

    property: str  # by name, of caplab.check.PROPERTIES
    promise: Promise
    budget: str | None = None
    side: str | None = None
    route: str | None = None

    def name(self) -> str:
        """Such as 'lost', or 'lost (minority, direct)'."""
        where = ", ".join(part for part in (self.side, self.route) if part)
        return f"{self.property} ({where})" if where else self.property


@dataclass(frozen=True, slots=True, kw_only=True)
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
