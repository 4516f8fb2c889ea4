"""The search of all states at once, moment by moment, in the form of Lowe, "Testing for linearizability" (2017).

It goes through calls and returns in time and keeps every state that may be (the value, and which of the operations
under way took effect already), each once. An operation must have taken effect when it returns, and is made to no
earlier. Where nothing is under way, all that is kept is the values that may be: so the search is split at quiescent
points by itself. With many writes at once the states are exponentially many: they are counted against a budget.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from .events import NOTHING, Events, OutOfBudgetError, State
from .steps import Step

_SLICE = 4096  # states between two pauses


def search(events: Events, budget: int) -> Generator[None, None, int | None]:
    """Return when no order was left: the return of the operation that none explains. None: linearizable.

    Pauses now and then, so that another search can have its turn. Raises OutOfBudgetError.
    """
    states = _States(events, budget)
    for ns, is_return, place in events.in_time:
        if not is_return:
            states.call(place, events.steps[place])
        elif not (yield from states.end(place)):
            return ns
    return None


class _States:
    """All possible states at one moment. All values that no operation observes count as one."""

    def __init__(self, events: Events, budget: int) -> None:
        self._number = events.number
        self._budget = budget
        self._until_pause = _SLICE
        self._states: set[State] = {(NOTHING, 0)}
        self._bits: dict[int, int] = {}  # by place
        self._free: list[int] = []
        self._reads: dict[int, int] = {}  # the bits of pending reads, by the number they need
        self._refusals: dict[int, int] = {}  # the bits of pending refusals, by the number that they did not find
        self._all_refusals = 0
        self._writes: dict[int, tuple[int | None, int, int]] = {}  # by bit: the number needed, written, and the twin
        self._twins: dict[tuple[int | None, int], int] = {}
        self._uncertain = 0

    def call(self, place: int, step: Step) -> None:
        """Record the invocation of an operation."""
        bit = self._free.pop() if self._free else 1 << len(self._bits)
        self._bits[place] = bit
        needs = self._number(step.observed) if step.observes else None
        if not step.writes and needs is not None:
            self._observe(bit, needs, step.refused)
            return
        kind = (needs, self._number(step.written))
        self._writes[bit] = (*kind, 0 if step.certain else self._twins.get(kind, 0))
        if not step.certain:
            self._twins[kind] = bit
            self._uncertain |= bit

    def _observe(self, bit: int, number: int, refused: bool) -> None:
        if refused:
            self._refusals[number] = self._refusals.get(number, 0) | bit
            self._all_refusals |= bit
        else:
            self._reads[number] = self._reads.get(number, 0) | bit
        self._states = {(value, done | bit if (value == number) != refused else done) for value, done in self._states}

    def end(self, place: int) -> Generator[None, None, bool]:
        """Record a return: the operation took effect in all states left. Return False if none is left."""
        bit = self._bits.pop(place)
        made = yield from self._made(bit)
        self._states = _least(made, self._uncertain)
        self._writes.pop(bit, None)
        self._all_refusals &= ~bit
        for waiting in (self._reads, self._refusals):
            for number in waiting:
                waiting[number] &= ~bit
        self._free.append(bit)
        return bool(self._states)

    def _made(self, bit: int) -> Generator[None, None, set[State]]:
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
            self._until_pause -= 1
            if self._until_pause < 0:
                self._until_pause = _SLICE
                yield
        self._budget -= len(made) + len(looked_at)
        return made

    def _steps_from(self, value: int, done: int) -> Iterator[State]:
        """Yield the states that one more write leads to; all that then observe what they did take effect at once."""
        for bit, (needs, written, twin) in self._writes.items():
            # Equal uncertain operations take effect in one order: that avoids their permutations.
            if not done & bit and needs in (None, value) and not twin & ~done:
                refused = self._all_refusals & ~self._refusals.get(written, 0)
                yield written, done | bit | self._reads.get(written, 0) | refused


def _least(states: set[State], uncertain: int) -> set[State]:
    """Drop states that used up more uncertain operations than another state, which can do all that they can."""
    if not uncertain or len(states) < 2:
        return states
    alike: dict[State, list[int]] = {}
    for value, done in states:
        alike.setdefault((value, done & ~uncertain), []).append(done & uncertain)
    return {
        (value, done | used)
        for (value, done), every in alike.items()
        for used in every
        if not any(other & ~used == 0 and other != used for other in every)
    }
