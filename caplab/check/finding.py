"""Findings: what a checker concludes from a history, in three values, and what it may know beside the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from caplab.model.fields import Fields, Json
from caplab.model.runs import FaultWindow, FinalScan, RunRecord

# To claim that a property holds needs so many operations; a violation needs one.
# With 20, one failure is the 5 % of the availability checker.
ENOUGH = 20

# The states of one key that each search for an order may go through: about a second.
SEARCH_STATES = 300_000


class State(Enum):
    """The states holds, violated and unknown; the values are their names in JSON."""

    HOLDS = "valid"
    VIOLATED = "invalid"
    UNKNOWN = "unknown"


def state_of(fields: Fields, name: str) -> State:
    """Parse a state, or a verdict."""
    return State(fields.one_of(name, [state.value for state in State]))


def merge(states: Iterable[State]) -> State:
    """Merge states: violated beats unknown beats holds; without any state the result is unknown."""
    distinct = set(states)
    for state in (State.VIOLATED, State.UNKNOWN, State.HOLDS):
        if state in distinct:
            return state
    return State.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A checker's finding: the property by name, its state, one sentence, and the figures behind it.

    figures are plain JSON. Those listed in figures['lower_bounds'] are lower bounds: the history ended too early. error
    is a traceback if the checker itself failed.
    """

    property: str
    state: State
    reason: str
    figures: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return a plain dict, as findings.json keeps it."""
        plain: dict[str, Json] = {
            "property": self.property,
            "state": self.state.value,
            "reason": self.reason,
            "figures": dict(self.figures),
        }
        return plain | ({"error": self.error} if self.error else {})

    @classmethod
    def from_fields(cls, fields: Fields) -> Finding:
        """Read what `to_json` gives; FieldError names a field that is missing or wrong."""
        reason, error = (str(fields.values.get(name) or "") for name in ("reason", "error"))
        figures = fields.object("figures").values
        return cls(
            property=fields.text("property"),
            state=state_of(fields, "state"),
            reason=reason,
            figures=figures,
            error=error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a checker knows beside the history; the defaults fit a history without a run record.

    steady_ns: since when the load ran undisturbed before the fault. settled_ns: when all was well again after it.
    has_primary: writes go to one member; without it to any. sides: the vantages of each side of a cut, by its name.
    enough: how many operations a claim that a property holds needs behind it. initial: what every register and counter
    holds at first; None: registers nothing, counters 0. budget: the states of one key that a search may go through.
    standalone: there is no run's record; scans are those that the rows show. level: the isolation that transactions
    are to have whose own level is not in the history; '': the strongest.
    """

    fault_windows: tuple[FaultWindow, ...] = ()
    final_scan: FinalScan | None = None
    settled_ns: int | None = None
    steady_ns: int | None = None
    has_primary: bool = True
    sides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    enough: int = ENOUGH
    initial: int | None = None
    budget: int = SEARCH_STATES
    standalone: bool = False
    level: str = ""

    @classmethod
    def of(cls, run: RunRecord) -> Context:
        """Build the context from a run's record."""
        return cls(
            fault_windows=run.fault_windows,
            final_scan=run.final_scan,
            settled_ns=run.settled_ns,
            steady_ns=run.steady_ns,
            has_primary=run.has_primary,
            sides=run.sides,
        )

    @property
    def injected_ns(self) -> int | None:
        """When the first target was hit; None without a fault."""
        return min((window.injected_ns for window in self.fault_windows), default=None)

    @property
    def healed_ns(self) -> int | None:
        """When the last target was healed; None without a fault, or while a heal is not known."""
        ends = [window.healed_ns for window in self.fault_windows]
        return None if not ends or None in ends else max(end for end in ends if end is not None)
