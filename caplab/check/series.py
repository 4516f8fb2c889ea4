"""A history's load, part by part: the operations of one vantage, op and route by their schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caplab.model.history import Table

from .columns import NEVER, Integers, Mask, among, codes, integers
from .lines import by_line

UNNAMED = "unnamed"  # the route of operations without one


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The operations of one vantage, op and route, sorted by scheduled_ns; return_ns is NEVER where null.

    acked: a transaction that another one was in the way of counts too. The database answered, and asks for another try.
    """

    vantage: str
    op: str
    route: str
    scheduled_ns: Integers
    invoke_ns: Integers
    return_ns: Integers
    acked: Mask

    @property
    def end_ns(self) -> int:
        """The last moment it covers: a schedule or a return."""
        returned = self.return_ns[self.return_ns != NEVER]
        return max(int(self.scheduled_ns[-1]), int(returned.max(initial=0)))

    def since(self, from_ns: int) -> Series | None:
        """Return the part scheduled from then on; None if nothing was."""
        first = int(np.searchsorted(self.scheduled_ns, from_ns))
        if first == len(self.scheduled_ns):
            return None
        return replace(
            self,
            scheduled_ns=self.scheduled_ns[first:],
            invoke_ns=self.invoke_ns[first:],
            return_ns=self.return_ns[first:],
            acked=self.acked[first:],
        )


def split(history: Table) -> Iterator[Series]:
    """Yield every (vantage, op, route), sorted. Scans are left out, and so are loads, which belong to no client."""
    load = ~among(history, "op", ["scan", "load"])
    group, labels = groups(history, load)
    columns = (
        integers(history, "scheduled_ns", 0)[load],
        integers(history, "invoke_ns", 0)[load],
        integers(history, "return_ns", NEVER)[load],
    )
    served = among(history, "outcome", ["ok"]) | among(history, "error", ["conflict"])
    acked = served[load]
    order, counts = by_line(group), np.bincount(group, minlength=len(labels))
    ends = np.cumsum(counts)
    # By name, because their numbers follow the accidental order of the rows.
    for which in sorted(np.flatnonzero(counts).tolist(), key=labels.__getitem__):
        rows = order[ends[which] - counts[which] : ends[which]]
        due = columns[0][rows]
        if (due[1:] < due[:-1]).any():
            rows = rows[np.argsort(due, kind="stable")]
        vantage, op, route = labels[which]
        scheduled_ns, invoke_ns, return_ns = (column[rows] for column in columns)
        yield Series(
            vantage=vantage, op=op, route=route, scheduled_ns=scheduled_ns, invoke_ns=invoke_ns, return_ns=return_ns,
            acked=acked[rows],
        )  # fmt: skip


def groups(history: Table, rows: Mask) -> tuple[Integers, list[tuple[str, str, str]]]:
    """Return each wanted row's (vantage, op, route), as an index into the labels returned with it."""
    (vantage, vantages), (op, ops), (route, routes) = (codes(history, name) for name in ("vantage", "op", "route"))
    routes = (*routes, UNNAMED)
    route = route % len(routes)  # null is -1: the last
    group = ((vantage * len(ops) + op) * len(routes) + route)[rows]
    return group, [(v, o, r) for v in vantages for o in ops for r in routes]


def labelled(history: Table, name: str, rows: Integers) -> tuple[Integers, Sequence[str]]:
    """Return a text column of these rows as indices into its words sorted by name; null is UNNAMED."""
    code, words = codes(history, name)
    words = (*words, UNNAMED)
    order = sorted(range(len(words)), key=words.__getitem__)
    place = np.empty(len(words), dtype=np.int64)
    place[order] = np.arange(len(words))
    return place[code[rows]], [words[number] for number in order]
