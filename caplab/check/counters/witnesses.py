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

MOST_OPERATIONS = 50  # of one witness: enough to read


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterReads:
    """Values of counters with their bounds: the least and the most that they may be.

    row is the read's row in the history; a counter that the final scan lacks has another row of the scan, or -1.
    """

    row: Integers
    key: Integers
    value: Integers
    invoke_ns: Integers
    return_ns: Integers
    scanned: Mask
    least: Integers
    most: Integers

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

    A read below its bound comes with as few acked increments, the largest first, as add up to more than it returned. A
    read above its bound comes with all increments that it may have counted, failed ones too, since these may be what it
    counted. Of more than MOST_OPERATIONS the latest are shown, with the number of the others.
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
    """Increments of some keys, by invocation, failed ones too."""

    row: Integers
    key: Integers
    amount: Integers
    invoke_ns: Integers
    acked_ns: Integers  # NEVER: not acked


def _increments(history: Table, key: Integers, wanted: Integers) -> _Increments:
    there = np.zeros(int(key.max(initial=0)) + 1, dtype=np.bool_)
    there[wanted] = True
    row = np.flatnonzero(among(history, "op", ["incr"]) & there[key])
    returned_ns, ok = integers(history, "return_ns", NEVER)[row], among(history, "outcome", ["ok"])[row]
    amount, invoke_ns = integers(history, "value", 1)[row], integers(history, "invoke_ns", 0)[row]
    return _Increments(
        row=row, key=key[row], amount=amount, invoke_ns=invoke_ns, acked_ns=np.where(ok, returned_ns, NEVER)
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
        of = self.increments
        acked = np.flatnonzero((of.key == self.reads.key[place]) & (of.acked_ns < self.reads.invoke_ns[place]))
        acked = acked[np.argsort(-of.amount[acked], kind="stable")]
        sums = np.cumsum(of.amount[acked])
        needed = int(np.searchsorted(sums, self.reads.value[place], side="right")) + 1
        what = f"{self._saw(place)}, though {self.reads.least[place]} had been added and acked before"
        return self._witness(what, place, np.sort(of.row[acked[:needed]]))

    def above(self, place: int) -> Json:
        """Show a read that returned too much."""
        of = self.increments
        mine = of.key == self.reads.key[place]
        rows = of.row[mine & (of.invoke_ns <= self.reads.return_ns[place])]
        if not len(rows):
            rows = of.row[mine][:1]  # a later one, which shows that this is a counter
        what = f"{self._saw(place)}, though no more than {self.reads.most[place]} can have been added by then"
        return self._witness(what, place, rows)

    def _saw(self, place: int) -> str:
        name = self.names[int(self.reads.key[place])]
        subject = "The final scan" if self.reads.scanned[place] else "A read"
        of = f"'{name}'" if name else "the counter"
        return f"{subject} of {of} returned {self.reads.value[place]}"

    def _witness(self, what: str, place: int, rows: Integers) -> Json:
        left_out = max(0, len(rows) - MOST_OPERATIONS)
        more = f" (the latest {MOST_OPERATIONS} of {len(rows)} increments are shown)" if left_out else ""
        shown = (*rows[left_out:].tolist(), int(self.reads.row[place]))
        return witness(self.history, f"{what}{more}.", shown, self.context)
