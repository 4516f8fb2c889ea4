"""The exact search for an order of one key's operations that explains each result.

Wing & Gong, "Testing and verifying concurrent objects" (1993), in the form of Lowe, "Testing for linearizability"
(2017): go through calls and returns in time and keep every state that may be (the value, and which of the operations
under way took effect already), each once. An operation must have taken effect when it returns, and is made to no
earlier. Where nothing is under way, all that is kept is the values that may be: so the search is split at quiescent
points by itself. With many writes at once the states are exponentially many: they are counted against a budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from .steps import Step

BUDGET = 300_000  # states searched for a key: about a second

_State: TypeAlias = tuple[int, int]  # the value's number; a bit for each pending operation that took effect


class OutOfBudgetError(Exception):
    """There are more states than the budget allows: whether the key is linearizable is not known."""


def violation_ns(steps: Sequence[Step], budget: int = BUDGET) -> int | None:
    """Return when no order was left: the return of the operation that none explains. None: linearizable.

    steps are those of one key, by invocation. Raises OutOfBudgetError.
    """
    observed = {step.observed for step in steps if step.observes}
    search = _Search(observed, budget)
    # An operation of unknown effect that nobody observed can be left out.
    binding = [step for step in steps if step.certain or step.written in observed]
    for ns, is_return, place in _events(binding):
        if not is_return:
            search.call(place, binding[place])
        elif not search.end(place):
            return ns
    return None


def _events(steps: Sequence[Step]) -> list[tuple[int, bool, int]]:
    """Return calls and returns in time; at one moment calls come first, because then operations are concurrent."""
    calls = [(step.invoke_ns, False, place) for place, step in enumerate(steps)]
    return sorted(calls + [(step.return_ns, True, place) for place, step in enumerate(steps) if step.certain])


class _Search:
    """All possible states at one moment. All values that no read observes count as one."""

    def __init__(self, observed: set[int | None], budget: int) -> None:
        self._number = {value: number for number, value in enumerate(observed - {None}, 1)} | {None: 0}
        self._budget = budget
        self._states: set[_State] = {(0, 0)}
        self._bits: dict[int, int] = {}  # by place
        self._free: list[int] = []
        self._reads: dict[int, int] = {}  # the bits of pending reads, by the number they need
        self._writes: dict[int, tuple[int | None, int, int]] = {}  # by bit: the number needed, written, and the twin
        self._twins: dict[tuple[int | None, int], int] = {}
        self._uncertain = 0

    def call(self, place: int, step: Step) -> None:
        """Record the invocation of an operation."""
        bit = self._free.pop() if self._free else 1 << len(self._bits)
        self._bits[place] = bit
        needs = self._number[step.observed] if step.observes else None
        if not step.writes and needs is not None:
            self._reads[needs] = self._reads.get(needs, 0) | bit
            self._states = {(value, done | bit if value == needs else done) for value, done in self._states}
            return
        kind = (needs, self._number.get(step.written, -1))
        self._writes[bit] = (*kind, 0 if step.certain else self._twins.get(kind, 0))
        if not step.certain:
            self._twins[kind] = bit
            self._uncertain |= bit

    def end(self, place: int) -> bool:
        """Record a return: the operation took effect in all states left. Return False if none is left."""
        bit = self._bits.pop(place)
        self._states = _least(self._made(bit), self._uncertain)
        self._writes.pop(bit, None)
        for needs in self._reads:
            self._reads[needs] &= ~bit
        self._free.append(bit)
        return bool(self._states)

    def _made(self, bit: int) -> set[_State]:
        """Return the states in which an operation took effect, after others under way if need be; without its bit."""
        made = {(value, done ^ bit) for value, done in self._states if done & bit}
        looked_at = {state for state in self._states if not state[1] & bit}
        todo = list(looked_at)
        while todo:
            for after in self._steps_from(*todo.pop()):
                if after[1] & bit:
                    made.add((after[0], after[1] ^ bit))
                elif after not in looked_at:
                    looked_at.add(after)
                    todo.append(after)
            if len(made) + len(looked_at) > self._budget:
                raise OutOfBudgetError
        self._budget -= len(made) + len(looked_at)
        return made

    def _steps_from(self, value: int, done: int) -> Iterator[_State]:
        """Yield the states that one more write leads to; every read that finds its value then takes effect at once."""
        for bit, (needs, written, twin) in self._writes.items():
            # Equal uncertain operations take effect in one order: that avoids their permutations.
            if not done & bit and needs in (None, value) and not twin & ~done:
                yield written, done | bit | self._reads.get(written, 0)


def _least(states: set[_State], uncertain: int) -> set[_State]:
    """Drop states that used up more uncertain operations than another state, which can do all that they can."""
    if not uncertain or len(states) < 2:
        return states
    alike: dict[_State, list[int]] = {}
    for value, done in states:
        alike.setdefault((value, done & ~uncertain), []).append(done & uncertain)
    return {
        (value, done | used)
        for (value, done), every in alike.items()
        for used in every
        if not any(other & ~used == 0 and other != used for other in every)
    }
