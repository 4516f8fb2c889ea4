"""Checkers: what the folder of one declares, and how one is run."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass

from caplab.model.history import Table

from .finding import Context, Finding, State

SHARE = "share"
RATIO = "times"


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property that a row of expectations may name: its words in reports, and the checker's figure that measures it.

    unit: '' for a count, s, SHARE for a part of 1, or RATIO. of: the same checker's figure for the total of a count, ''
    if there is none. by_side: the checker has the figure for each side of a cut, and for its routes. by_route: it has
    the figure for each route of all clients. without_primary: the words where the engine has none, '' if they are the
    same.
    """

    name: str
    words: str
    _: KW_ONLY
    figure: str
    unit: str = ""
    of: str = ""
    by_side: bool = True
    by_route: bool = True
    without_primary: str = ""

    @classmethod
    def overall(cls, name: str, words: str, *, figure: str, unit: str = "", of: str = "") -> Property:
        """Return a property that no side of a cut and no route has a figure of its own for."""
        return cls(name=name, words=words, figure=figure, unit=unit, of=of, by_side=False, by_route=False)


def _every_file(columns: Collection[str]) -> str:
    """Return '': the checker needs nothing that a file may lack."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """A checker, as its folder declares it in CHECKER.

    check is pure: it takes a validated history and its context, and returns a finding. applies returns why there is
    nothing to check in a validated history, or ''. applies_to_file returns the same for the columns of a history that
    comes without a run's record. of_time: it judges by when clients were answered, and so a prober that stalls looks to
    it like a database that does.
    """

    name: str
    check: Callable[[Table, Context], Finding]
    applies: Callable[[Table], str]
    properties: tuple[Property, ...] = ()
    of_time: bool = False
    applies_to_file: Callable[[Collection[str]], str] = _every_file


def run_checker(checker: Checker, history: Table, context: Context) -> Finding:
    """Run a checker and return its finding; a checker that raises gives unknown, with the error kept."""
    try:
        return checker.check(history, context)
    except Exception as error:
        reason = f"The checker '{checker.name}' failed: {type(error).__name__}: {error}"
        return Finding(property=checker.name, state=State.UNKNOWN, reason=reason, error=traceback.format_exc())
