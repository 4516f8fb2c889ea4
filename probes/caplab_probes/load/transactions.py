"""Transactions of the workload txn: a few reads and writes of a few keys, as Elle's generators draw them (pure).

Kingsbury & Alvaro, Elle: Inferring Isolation Anomalies from Experimental Observations, VLDB 2020. Few keys are active
at a time, so that transactions meet. A key is given up for a new one when it has had its share of writes, so that
lists stay short. Every value is unique, and so every version of a key can be told from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from caplab.contract.bounds import TXN_OPERATIONS
from caplab.contract.objects import LIST_APPEND, TransactionSettings
from caplab.model.transactions import APPEND, READ, TXN, WRITE

from .mixing import mix

__all__ = ["READ", "TXN", "VALUES_EACH", "MicroOp", "in_history", "transaction"]

VALUES_EACH = TXN_OPERATIONS  # values that are set aside for one transaction


@dataclass(frozen=True, slots=True)
class MicroOp:
    """One step of a transaction; of_list: the key has a list, and not a register.

    value: what it writes or appends, or what a register or a list was read as. A read has none before it is carried
    out, nor if it found no value in a register.
    """

    op: str
    key: str
    of_list: bool
    value: int | tuple[int, ...] | None = None

    @property
    def is_read(self) -> bool:
        """Whether it reads."""
        return self.op == READ

    @property
    def written(self) -> int:
        """What it writes or appends. Raises TypeError if it reads."""
        if not isinstance(self.value, int):
            raise TypeError(f"a micro-operation {self.op} writes nothing")
        return self.value


def transaction(
    settings: TransactionSettings,
    seed: int,
    turn: int,
    vantages: int,
    key: Callable[[int], str],
    value: Callable[[int], int],
) -> tuple[MicroOp, ...]:
    """Return a transaction, a function of the seed; key and value give a key by its number and a value by its place.

    turn: the transactions of this writer and route before it, which say which keys are active. vantages: how many
    write alike. The keys that a transaction writes are in one order, as applications keep them to avoid deadlocks.
    """
    steps = _steps(settings, _Draws(seed))
    of_list = settings.model == LIST_APPEND
    write = APPEND if of_list else WRITE
    written = iter(sorted(slot for reads, slot in steps if not reads))
    micro_ops = []
    for place, (reads, slot) in enumerate(steps):
        number = key_number(settings, slot if reads else next(written), turn, vantages)
        written_value = None if reads else value(place)
        micro_ops.append(MicroOp(READ if reads else write, key(number), of_list, written_value))
    return tuple(micro_ops)


def _steps(settings: TransactionSettings, draws: _Draws) -> list[tuple[bool, int]]:
    """Draw what a transaction does: whether it reads, and at which place for active keys."""
    if settings.skew_share and draws.below(100) < settings.skew_share:
        slots = draws.some_of(settings.active_keys, min(settings.keys, settings.operations - 1))
        return [*((True, slot) for slot in slots), (False, slots[draws.below(len(slots))])]
    slots = draws.some_of(settings.active_keys, 1 + draws.below(settings.keys))
    count = 1 + draws.below(settings.operations)
    return [(draws.below(100) < settings.read_share, slots[draws.below(len(slots))]) for _ in range(count)]


def in_history(micro_ops: Iterable[MicroOp]) -> list[dict[str, Any]]:
    """Return micro-operations as a row of the history has them."""
    return [
        {
            "op": micro.op,
            "key": micro.key,
            "value": micro.value if isinstance(micro.value, int) else None,
            "elements": micro.value if isinstance(micro.value, tuple) else None,
        }
        for micro in micro_ops
    ]


def key_number(settings: TransactionSettings, slot: int, turn: int, vantages: int) -> int:
    """Return the key at one of the places for active keys: the places get new keys one after the other."""
    each = turns_each(settings, vantages)
    if each is None:
        return slot
    return slot + settings.active_keys * ((turn + slot * each // settings.active_keys) // each)


def turns_each(settings: TransactionSettings, vantages: int) -> int | None:
    """Return after how many transactions of each writer a key has had its share of writes; None: never."""
    share = 100 - settings.read_share
    # Written by all vantages in one of their transactions: so many micro-operations on average, a share of them writes.
    per_turn_by_200 = vantages * (1 + settings.operations) * share
    if not per_turn_by_200:
        return None
    return max(1, round(200 * settings.writes_per_key * settings.active_keys / per_turn_by_200))


class _Draws:
    """Numbers drawn from a seed, one after the other."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def below(self, bound: int) -> int:
        self._count += 1
        return mix(self._seed, self._count) % bound

    def some_of(self, many: int, count: int) -> list[int]:
        """Draw different numbers below a bound, as many as asked for or as there are."""
        drawn: list[int] = []
        while len(drawn) < min(many, count):
            number = self.below(many)
            if number not in drawn:
                drawn.append(number)
        return drawn
