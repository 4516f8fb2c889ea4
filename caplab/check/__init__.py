"""Checkers: a history in, findings out; they need no cluster and read no file.

Each folder here is a checker, and declares itself as CHECKER; the modules beside the folders are what several share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from caplab.model.history import Table, is_validated, validate

from . import (
    availability,
    cache,
    counters,
    durability,
    epochs,
    ids,
    isolation,
    load,
    queue,
    registers,
    schedule,
    sessions,
    set_reads,
    staleness,
)
from .checker import Checker, Property, run_checker
from .finding import Context, Finding, State, merge

__all__ = [
    "CHECKERS",
    "MEASURED_BY",
    "PROPERTIES",
    "Checker",
    "Context",
    "Finding",
    "Property",
    "State",
    "check_history",
    "merge",
    "run_checker",
]

_CHECKERS = (
    durability.CHECKER,
    staleness.CHECKER,
    sessions.CHECKER,
    registers.CHECKER,
    counters.CHECKER,
    ids.CHECKER,
    queue.CHECKER,
    set_reads.CHECKER,
    isolation.CHECKER,
    load.CHECKER,
    cache.CHECKER,
    epochs.CHECKER,
    availability.CHECKER,
    schedule.CHECKER,
)


def by_name(checkers: Iterable[Checker]) -> Mapping[str, Checker]:
    """Return the checkers by their names. Raises ValueError if two have one name."""
    named: dict[str, Checker] = {}
    for checker in checkers:
        if checker.name in named:
            other, folder = (each.check.__module__ for each in (named[checker.name], checker))
            raise ValueError(f"{other} and {folder} both declare the checker '{checker.name}'. Hint: rename one.")
        named[checker.name] = checker
    return named


def by_property(checkers: Iterable[Checker]) -> Mapping[str, Checker]:
    """Return the checker that measures each property, by the property's name.

    Raises ValueError if two checkers declare the same property.
    """
    measured_by: dict[str, Checker] = {}
    for checker in checkers:
        for declared in checker.properties:
            if declared.name in measured_by:
                other = measured_by[declared.name].name
                raise ValueError(
                    f"The checkers '{other}' and '{checker.name}' both declare the property '{declared.name}'."
                    " Hint: rename one."
                )
            measured_by[declared.name] = checker
    return measured_by


CHECKERS = by_name(_CHECKERS)
MEASURED_BY = by_property(_CHECKERS)

# The properties that a row of expectations may name.
PROPERTIES: Mapping[str, Property] = {
    declared.name: declared for checker in _CHECKERS for declared in checker.properties
}


def check_history(history: Table, context: Context, names: Iterable[str] = tuple(CHECKERS)) -> tuple[Finding, ...]:
    """Run the named checkers on a history and return a finding of each, in the order of names.

    Raises ValueError if the table is not a history (see caplab.model.history.validate) or a name is not one of
    CHECKERS.
    """
    names = tuple(names)
    for name in names:
        if name not in CHECKERS:
            raise ValueError(f"There is no checker '{name}'. Hint: use one of {', '.join(CHECKERS)}.")
    table = history if is_validated(history) else validate(history)
    return tuple(run_checker(CHECKERS[name], table, context) for name in names)
