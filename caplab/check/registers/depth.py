"""The search of one order after the other, with a memory of the states that led nowhere.

Wing & Gong, "Testing and verifying concurrent objects" (1993), with Lowe's memory (2017), as in Porcupine. It takes
what looks best first, and so finds an order soon where there are many: with crashed writes of few values the states
are exponentially many, and nearly all of them are on the way to some order.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from .events import NOTHING, Events, OutOfBudgetError
from .steps import Step

_SLICE = 4096  # states between two pauses

# The value's number; a bit for each pending operation that took effect; how many crashed writes of each kind did.
_Full: TypeAlias = tuple[int, int, int]


def search(events: Events, budget: int) -> Generator[None, None, int | None]:
    """Return when no order was left: the return of the operation that none explains. None: linearizable.

    Pauses now and then, so that another search can have its turn. Raises OutOfBudgetError.
    """
    line, memory = _Line(events), _Memory(_Crashed.of(events))
    state: _Full = (NOTHING, 0, 0)
    open_returns: list[_Open] = []
    furthest = visited = 0
    while True:
        state = line.advanced(state)
        if line.at == len(events.in_time):
            return None
        furthest = max(furthest, line.at)
        open_returns.append(_Open(line.at, state))
        chosen = _next(open_returns, line, memory)
        if chosen is None:
            return events.in_time[furthest][0]
        state = chosen
        visited += 1
        if visited > budget:
            raise OutOfBudgetError
        if visited % _SLICE == 0:
            yield


class _Open:
    """The return of an operation that did not take effect yet, in a state, and what is left to be tried there."""

    __slots__ = ("at", "choices", "state", "tried")

    def __init__(self, at: int, state: _Full) -> None:
        self.at = at
        self.state = state
        self.choices: list[_Full] = []
        self.tried = 0  # 1: the operation itself, 2: all others too


def _next(open_returns: list[_Open], line: _Line, memory: _Memory) -> _Full | None:
    """Take the best choice at the latest return that was not reached before, and go there; None if none is left."""
    while open_returns:
        last = open_returns[-1]
        line.go_to(last.at)
        while last.choices or last.tried < 2:
            if not last.choices:
                # Mostly the first is right, and the others need not be made.
                last.choices = line.itself(last.state) if not last.tried else line.others(last.state, memory.crashed)
                last.tried += 1
            elif memory.is_new(last.at, state := last.choices.pop()):
                return state
        open_returns.pop()
    return None


@dataclass(frozen=True, slots=True)
class _Kind:
    """Crashed writes that are alike: what they need (None: nothing) and write, and where their number is kept."""

    needs: int | None
    written: int
    shift: int
    mask: int


class _Crashed:
    """Writes that never returned, by kind: which of a kind took effect makes no difference, only how many."""

    def __init__(self) -> None:
        self.kinds: list[_Kind] = []
        self.of_place: dict[int, int] = {}  # the kind of each, by place
        self.guards = 0  # a bit above each kind's number

    @classmethod
    def of(cls, events: Events) -> _Crashed:
        """Collect them."""
        alike: dict[tuple[int | None, int], list[int]] = {}
        for place, step in enumerate(events.steps):
            if not step.certain:
                alike.setdefault(_needs_and_writes(events, step), []).append(place)
        crashed, shift = cls(), 0
        for number, ((needs, written), places) in enumerate(alike.items()):
            width = len(places).bit_length()
            crashed.kinds.append(_Kind(needs, written, shift, (1 << width) - 1))
            crashed.guards |= 1 << (shift + width)
            crashed.of_place |= dict.fromkeys(places, number)
            shift += width + 1
        return crashed


def _needs_and_writes(events: Events, step: Step) -> tuple[int | None, int]:
    return (events.number(step.observed) if step.observes else None, events.number(step.written))


class _Memory:
    """The states that were reached. One that used up more crashed writes than another can do nothing that it cannot."""

    def __init__(self, crashed: _Crashed) -> None:
        self.crashed = crashed
        self._seen: dict[tuple[int, int, int], list[int]] = {}

    def is_new(self, at: int, state: _Full) -> bool:
        """Remember a state; return False if it, or one that can do as much, was reached before."""
        value, done, used = state
        guards = self.crashed.guards
        others = self._seen.setdefault((at, value, done), [])
        # All numbers at once: a guard bit stays where that of `used` is not below the other's.
        if any(((used | guards) - other) & guards == guards for other in others):
            return False
        others.append(used)
        return True


class _Line:
    """A place among the events, with what is under way there; it moves both ways."""

    def __init__(self, events: Events) -> None:
        self.at = 0
        self._events = events.in_time
        self._steps = events.steps
        self._kind = [_needs_and_writes(events, step) for step in events.steps]
        self._bits = self._all_bits()
        self._crashed = _Crashed.of(events).of_place
        self._called: dict[int, int] = {}  # how many crashed writes of each kind were invoked
        self._writes: dict[int, int] = {}  # places of pending writes, by bit
        self._reads: dict[int, int] = {}  # the bits of pending reads, by the number they need
        self._refusals: dict[int, int] = {}  # the bits of pending refusals, by the number that they did not find
        self._all_refusals = 0

    def _all_bits(self) -> list[int]:
        """Return each operation's bit; those that are never under way together may share one."""
        bits, free, most = [0] * len(self._steps), list[int](), 0
        for _, is_return, place in self._events:
            if is_return:
                free.append(bits[place])
            elif self._steps[place].certain:
                bits[place] = free.pop() if free else 1 << most
                most = max(most, bits[place].bit_length())
        return bits

    def advanced(self, state: _Full) -> _Full:
        """Go on to the next return of an operation that did not take effect in this state, or to the end."""
        value, done, used = state
        while self.at < len(self._events):
            _, is_return, place = self._events[self.at]
            bit = self._bits[place]
            if is_return:
                if not done & bit:
                    break
                done ^= bit
            elif not self._steps[place].writes:
                step = self._steps[place]
                if (self._kind[place][0] == value) != step.refused:
                    done |= bit
            self._pass(place, entered=not is_return)
            self.at += 1
        return value, done, used

    def go_to(self, at: int) -> None:
        """Go back to an event."""
        while self.at > at:
            self.at -= 1
            _, is_return, place = self._events[self.at]
            self._pass(place, entered=is_return)

    def _pass(self, place: int, entered: bool) -> None:
        """Note that an operation is under way from here on, or no more."""
        step, bit, (number, _) = self._steps[place], self._bits[place], self._kind[place]
        if not step.certain:
            kind = self._crashed[place]
            self._called[kind] = self._called.get(kind, 0) + (1 if entered else -1)
        elif step.writes:
            if entered:
                self._writes[bit] = place
            else:
                del self._writes[bit]
        elif number is not None:
            waiting = self._refusals if step.refused else self._reads
            waiting[number] = waiting.get(number, 0) ^ bit
            self._all_refusals ^= bit if step.refused else 0

    def itself(self, state: _Full) -> list[_Full]:
        """Return the state that the returning operation leads to, if it writes and can."""
        value, done, used = state
        place = self._events[self.at][2]
        needs, written = self._kind[place]
        if not self._steps[place].writes or needs not in (None, value):
            return []
        return [(written, done | self._bits[place] | self._observers(written), used)]

    def others(self, state: _Full, crashed: _Crashed) -> list[_Full]:
        """Return the states that one more write leads to, the best last.

        Best is one that the returning operation waits for; before a crashed write, one that will return.
        """
        value, done, used = state
        returning = self._events[self.at][2]
        ranked: list[tuple[int, int, _Full]] = []
        for bit, place in self._writes.items():
            needs, written = self._kind[place]
            if place != returning and not done & bit and needs in (None, value):
                after = (written, done | bit | self._observers(written), used)
                ranked.append((self._rank(returning, written), self._steps[place].return_ns, after))
        for number, kind in enumerate(crashed.kinds):
            if kind.needs in (None, value) and (used >> kind.shift) & kind.mask < self._called.get(number, 0):
                after = (kind.written, done | self._observers(kind.written), used + (1 << kind.shift))
                ranked.append((self._rank(returning, kind.written) + 1, number, after))
        return [after for _, _, after in sorted(ranked, key=lambda choice: choice[:2], reverse=True)]

    def _rank(self, returning: int, written: int) -> int:
        """Return 1 for a write that the returning operation waits for, else 3."""
        step, (number, _) = self._steps[returning], self._kind[returning]
        return 1 if step.observes and (written == number) != step.refused else 3

    def _observers(self, value: int) -> int:
        """Return the bits of the pending operations that this value explains."""
        return self._reads.get(value, 0) | (self._all_refusals & ~self._refusals.get(value, 0))
