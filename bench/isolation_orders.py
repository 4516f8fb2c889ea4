"""Every order of a few transactions by force: whether a model of isolation explains what they read.

An obvious and slow truth beside the checker isolation. A history allows a model if some order of its transactions,
those of unknown outcome with or without, explains every read; with each model's own idea of what a read may see:

- serializable: the state that all transactions before it left
- snapshot isolation: the state after some number of these, which is its snapshot, if nobody after that and before it
  wrote what it writes
- read committed: for each read by itself, the state after some number of these; what the transaction has written is
  locked, so a read of that is of the state after all of them

all with what the transaction itself wrote before. A strong session model puts the transactions of a session, and a
strong model those of which one returned before the other began, in that order; a snapshot then has all of those before.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from caplab.check.isolation.models import BASE, BY_SESSION, BY_TIME, READ_COMMITTED, SERIALIZABLE, SNAPSHOT

MODELS = (READ_COMMITTED, SNAPSHOT, SERIALIZABLE)
ORDERS = (BASE, BY_SESSION, BY_TIME)
_State = dict[str, tuple[int, ...]]  # of a register: the one value, or none


@dataclass(frozen=True, slots=True, kw_only=True)
class _One:
    """A transaction: what it did, and whether it surely committed."""

    micro: list[tuple[str, str, object]]
    is_known: bool
    begin: int
    end: int
    session: int
    writes: frozenset[str]

    def precedes(self, other: _One, order: str) -> bool:
        if not self.is_known or self.end >= other.begin:
            return False
        return order == BY_TIME or (order == BY_SESSION and other.is_known and self.session == other.session)


def allowed(rows: Sequence[Mapping[str, object]]) -> set[tuple[str, str]]:
    """Return the models (name, order) that explain the history, trying every order for each."""
    everyone = [_one(row) for row in rows if row["outcome"] != "fail"]
    found: set[tuple[str, str]] = set()
    for model, order in itertools.product(MODELS, ORDERS):
        if any(_explains(some, model, order) for some in _choices(everyone)):
            found.add((model, order))
    return found


def _one(row: Mapping[str, object]) -> _One:
    micro = [tuple(each) for each in json.loads(str(row["micro"]))]
    return _One(
        micro=micro,
        is_known=row["outcome"] == "ok",
        begin=int(str(row["begin"])),
        end=int(str(row["end"])),
        session=int(str(row["session"])),
        writes=frozenset(key for op, key, _ in micro if op != "r"),
    )


def _choices(everyone: list[_One]) -> Iterator[list[_One]]:
    """Yield those that surely committed with some of the others."""
    sure, unsure = ([each for each in everyone if each.is_known is known] for known in (True, False))
    for count in range(len(unsure) + 1):
        for some in itertools.combinations(unsure, count):
            yield [*sure, *some]


def _explains(some: list[_One], model: str, order: str) -> bool:
    """Return whether there is an order of all of these that the model explains."""
    return _can_go_on([], [{}], some, model, order)


def _can_go_on(placed: list[_One], states: list[_State], left: list[_One], model: str, order: str) -> bool:
    if not left:
        return True
    for one in left:
        others = [each for each in left if each is not one]
        if any(each.precedes(one, order) for each in others) or not _fits(one, placed, states, model, order):
            continue
        if _can_go_on([*placed, one], [*states, _after(one, states[-1])], others, model, order):
            return True
    return False


def _fits(one: _One, placed: list[_One], states: list[_State], model: str, order: str) -> bool:
    """Return whether the model explains its reads if it is the next one."""
    if model == READ_COMMITTED:
        return _reads(one, [states])
    if model == SERIALIZABLE:
        return _reads(one, [states[-1:]])
    # Its snapshot is the state after so many of the others.
    seen = (at + 1 for at, each in enumerate(placed) if each.precedes(one, order) or each.writes & one.writes)
    least = max(seen, default=0)
    return _reads(one, [[state] for state in states[least:]])


def _reads(one: _One, choices: Sequence[Sequence[_State]]) -> bool:
    """Return whether one of the choices has a state for each of its reads."""
    if not one.is_known:
        return True
    return any(
        all(any(_sees(one, at, state) for state in _visible(one, at, states)) for at in range(len(one.micro)))
        for states in choices
    )


def _visible(one: _One, at: int, states: Sequence[_State]) -> Sequence[_State]:
    has_written = any(op != "r" and key == one.micro[at][1] for op, key, _ in one.micro[:at])
    return states[-1:] if has_written else states


def _sees(one: _One, at: int, state: _State) -> bool:
    op, key, value = one.micro[at]
    if op != "r":
        return True
    now = state.get(key, ())
    for before, other, wrote in one.micro[:at]:
        if other == key and before != "r":
            now = (*now, int(str(wrote))) if before == "append" else (int(str(wrote)),)
    found = () if value is None else tuple(value) if isinstance(value, list) else (value,)
    return now == found


def _after(one: _One, state: _State) -> _State:
    state = dict(state)
    for op, key, value in one.micro:
        if op == "append":
            state[key] = (*state.get(key, ()), int(str(value)))
        elif op == "w":
            state[key] = (int(str(value)),)
    return state
