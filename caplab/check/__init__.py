"""Checkers: a history in, findings out; never a cluster, never a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from caplab.model.history import Table, is_validated, validate

from . import availability, durability, epochs, schedule
from .finding import Checker, Context, Finding, State, merge, run_checker

__all__ = ["CHECKERS", "Checker", "Context", "Finding", "State", "check_history", "merge", "run_checker"]

CHECKERS: Mapping[str, Checker] = {
    durability.NAME: durability.check,
    availability.NAME: availability.check,
    epochs.NAME: epochs.check,
    schedule.NAME: schedule.check,
}


def check_history(history: Table, context: Context, names: Iterable[str] = tuple(CHECKERS)) -> tuple[Finding, ...]:
    """One finding a checker, in the order of names.

    Raises ValueError where the table is no history (see caplab.model.history.validate) or a name is none
    of CHECKERS.
    """
    names = tuple(names)
    for name in names:
        if name not in CHECKERS:
            raise ValueError(f"There is no checker '{name}'. Mend: use one of {', '.join(CHECKERS)}.")
    table = history if is_validated(history) else validate(history)
    return tuple(run_checker(name, CHECKERS[name], table, context) for name in names)
