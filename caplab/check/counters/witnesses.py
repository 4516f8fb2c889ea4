"""Reads of counters with their bounds, and the operations that prove a read to be out of its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask, among, integers
from caplab.check.finding import Context
from caplab.check.witness import shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table

MAX_OPERATIONS = 50  # of one witness: enough to read


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterReads:
    """Values of counters with their bounds: the least and the most that they may be.

    row is the read's row in the history; a counter that the final scan lacks has another row of the scan, or -1. start
    is what every counter begins with.
    """

    row: Integers
    key: Integers
    value: Integers
    invoke_ns: Integers
    return_ns: Integers
    scanned: Mask
    least: Integers
    most: Integers
    start: int

    @property
    def below(self) -> Mask:
        """Which of them miss acked increments."""
        return self.value < self.least

    @property
    def above(self) -> Mask:
        """Which of them show more than was added."""
        return self.value > self.most

    def to_json(self) -> dict[str, Json]:
        """Count those out of their bounds, and how far the worst is."""
        return {
            "below": int(self.below.sum()),
            "missing_max": int((self.least - self.value).max(initial=0)),
            "above": int(self.above.sum()),
            "excess_max": int((self.value - self.most).max(initial=0)),
        }


def witnesses(history: Table, reads: CounterReads, key: Integers, names: Sequence[str], context: Context) -> list[Json]:
    """Show the first reads below and above their bounds, by invocation.

    A read below its bound comes with as few acked increments, the largest first, as add up to more than it returned,
    and with all decrements that it may have counted. A read above its bound comes with all increments that it may have
    counted, failed ones too, since these may be what it counted, and with as few acked decrements as are needed. Of
    more than MAX_OPERATIONS the latest are shown, with the number of the others.
    """
    places = [_in_order(reads, mask) for mask in (reads.below, reads.above)]
    many = shares([len(place) for place in places])
    chosen = [place[:shown] for place, shown in zip(places, many, strict=True)]
    builder = _WitnessBuilder(
        history=history,
        reads=reads,
        increments=_increments(history, key, reads.key[np.concatenate(chosen)]),
        names=names,
        context=context,
    )
    return [*map(builder.below, chosen[0].tolist()), *map(builder.above, chosen[1].tolist())]


def _in_order(reads: CounterReads, mask: Mask) -> Integers:
    places = np.flatnonzero(mask)
    return places[np.argsort(reads.invoke_ns[places], kind="stable")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Increments:
    """Increments and decrements of some keys, by invocation, failed ones too."""

    row: Integers
    key: Integers
    amount: Integers
    invoke_ns: Integers
    acked_ns: Integers  # NEVER: not acked
    failed: Mask

    def largest(self, which: Mask, enough: int) -> Integers:
        """Return the rows of the fewest of these amounts, the largest first, whose sum reaches `enough`."""
        places = np.flatnonzero(which)
        places = places[np.argsort(-np.abs(self.amount[places]), kind="stable")]
        sums = np.cumsum(np.abs(self.amount[places]))
        return self.row[places[: int(np.searchsorted(sums, enough)) + 1]] if enough > 0 else self.row[:0]


def _increments(history: Table, key: Integers, wanted: Integers) -> _Increments:
    there = np.zeros(int(key.max(initial=0)) + 1, dtype=np.bool_)
    there[wanted] = True
    row = np.flatnonzero(among(history, "op", ["incr"]) & there[key])
    returned_ns, ok = integers(history, "return_ns", NEVER)[row], among(history, "outcome", ["ok"])[row]
    amount, invoke_ns = integers(history, "value", 1)[row], integers(history, "invoke_ns", 0)[row]
    return _Increments(
        row=row,
        key=key[row],
        amount=amount,
        invoke_ns=invoke_ns,
        acked_ns=np.where(ok, returned_ns, NEVER),
        failed=among(history, "outcome", ["fail"])[row],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _WitnessBuilder:
    history: Table
    reads: CounterReads
    increments: _Increments
    names: Sequence[str]
    context: Context

    def below(self, place: int) -> Json:
        """Show a read that misses increments."""
        of, read = self.increments, int(self.reads.value[place])
        sure, possible = self._sure(place), self._possible(place)
        taken = possible & (of.amount < 0)
        lowest = int(of.amount[taken & ~of.failed].sum())
        needed = of.largest(sure & (of.amount > 0), read - self.reads.start - lowest + 1)
        what = f"{self._saw(place)}, though {self.reads.least[place]} had been added and acked before"
        if taken.any():
            what = f"{self._saw(place)}, though it cannot have been below {self.reads.least[place]}"
        return self._witness(what, place, np.union1d(needed, of.row[taken]))

    def above(self, place: int) -> Json:
        """Show a read that returned too much."""
        of, read = self.increments, int(self.reads.value[place])
        sure, possible = self._sure(place), self._possible(place)
        added = possible & (of.amount > 0)
        highest = int(of.amount[added & ~of.failed].sum())
        taken = of.largest(sure & (of.amount < 0), self.reads.start + highest - read + 1)
        rows = np.union1d(of.row[added], taken)
        what = f"{self._saw(place)}, though no more than {self.reads.most[place]} can have been added by then"
        if (sure & (of.amount < 0)).any():
            what = f"{self._saw(place)}, though it cannot have been above {self.reads.most[place]}"
        return self._witness(what, place, rows)

    def _sure(self, place: int) -> Mask:
        """Return which of them a read surely counts."""
        of = self.increments
        sure: Mask = (of.key == self.reads.key[place]) & (of.acked_ns < self.reads.invoke_ns[place])
        return sure

    def _possible(self, place: int) -> Mask:
        """Return which of them it may count, failed ones too."""
        of = self.increments
        possible: Mask = (of.key == self.reads.key[place]) & (of.invoke_ns <= self.reads.return_ns[place])
        return possible

    def _saw(self, place: int) -> str:
        name = self.names[int(self.reads.key[place])]
        subject = "The final scan" if self.reads.scanned[place] else "A read"
        of = f"'{name}'" if name else "the counter"
        return f"{subject} of {of} returned {self.reads.value[place]}"

    def _witness(self, what: str, place: int, rows: Integers) -> Json:
        if not len(rows):
            rows = self.increments.row[self.increments.key == self.reads.key[place]][:1]  # to show that it is a counter
        left_out = max(0, len(rows) - MAX_OPERATIONS)
        more = f" (the latest {MAX_OPERATIONS} of {len(rows):,} increments are shown)" if left_out else ""
        shown = (*rows[left_out:].tolist(), int(self.reads.row[place]))
        return witness(self.history, f"{what}{more}.", shown, self.context)
