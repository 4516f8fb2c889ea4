"""The exact search for an order of one key's operations that explains each result.

Two searches take turns, and the first to end decides: one of all states at once (breadth), which is the faster where no
order exists, and one of one order after the other (depth), which is the faster where many do.
"""

from __future__ import annotations

from collections.abc import Sequence

from caplab.check.finding import SEARCH_STATES

from . import breadth, depth
from .events import Events, OutOfBudgetError
from .steps import Step

__all__ = ["OutOfBudgetError", "violation_ns"]


def violation_ns(steps: Sequence[Step], budget: int = SEARCH_STATES) -> int | None:
    """Return when no order was left: the return of the operation that none explains. None: linearizable.

    steps are those of one key, by invocation. budget: states of each search. Raises OutOfBudgetError.
    """
    events = Events(steps)
    running = [depth.search(events, budget), breadth.search(events, budget)]
    while running:
        for search in tuple(running):
            try:
                next(search)
            except StopIteration as ended:
                at_ns: int | None = ended.value
                return at_ns
            except OutOfBudgetError:
                running.remove(search)
    raise OutOfBudgetError
