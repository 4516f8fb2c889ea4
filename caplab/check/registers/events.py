"""The calls and returns of one key's operations in time, which both searches go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from .steps import Step

NOTHING = 0  # the number of absent
_OTHER = -1  # that of every value that no operation observed

State: TypeAlias = tuple[int, int]  # the value's number; a bit for each pending operation that took effect


class OutOfBudgetError(Exception):
    """There are more states than the budget allows: whether the key is linearizable is not known."""


class Events:
    """The operations that bear on an order, and their calls and returns in time."""

    def __init__(self, steps: Sequence[Step]) -> None:
        observed = {step.observed for step in steps if step.observes}
        any_write_counts = any(step.refused for step in steps)
        # An operation of unknown effect that nobody observed can be left out.
        self.steps = [step for step in steps if any_write_counts or step.certain or step.written in observed]
        calls = [(step.invoke_ns, False, place) for place, step in enumerate(self.steps)]
        returns = [(step.return_ns, True, place) for place, step in enumerate(self.steps) if step.certain]
        # At one moment calls come first, because then operations are concurrent.
        self.in_time = sorted(calls + returns)
        self._numbers = {value: number for number, value in enumerate(observed - {None}, NOTHING + 1)} | {None: NOTHING}

    def number(self, value: int | None) -> int:
        """Return a value's number."""
        return self._numbers.get(value, _OTHER)
