"""Checkers: a history in, findings out; they need no cluster and read no file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from caplab.model.history import Table, is_validated, validate

from . import availability, cache, counters, durability, epochs, ids, load, registers, schedule, sessions, staleness
from .finding import Checker, Context, Finding, State, merge, run_checker

__all__ = ["APPLIES", "CHECKERS", "Checker", "Context", "Finding", "State", "check_history", "merge", "run_checker"]


class _Module(Protocol):
    """What a checker's module provides."""

    NAME: str

    def check(self, history: Table, context: Context, /) -> Finding: ...

    def applies(self, history: Table, /) -> str: ...


_MODULES: tuple[_Module, ...] = (
    durability,
    staleness,
    sessions,
    registers,
    counters,
    ids,
    load,
    cache,
    epochs,
    availability,
    schedule,
)

CHECKERS: Mapping[str, Checker] = {module.NAME: module.check for module in _MODULES}

# For each checker: why it has nothing to check in a validated history, or ''.
APPLIES: Mapping[str, Callable[[Table], str]] = {module.NAME: module.applies for module in _MODULES}


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
    return tuple(run_checker(name, CHECKERS[name], table, context) for name in names)
