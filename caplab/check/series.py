"""A history's load, part by part: the operations of one vantage, op and route by their schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from caplab.model.history import Table

from .columns import NEVER, Integers, Mask, among, codes, integers

UNNAMED = "unnamed"  # the route of operations that name none


@dataclass(frozen=True, slots=True)
class Series:
    """The operations of one vantage, op and route, sorted by scheduled_ns; return_ns is NEVER where null."""

    vantage: str
    op: str
    route: str
    scheduled_ns: Integers
    invoke_ns: Integers
    return_ns: Integers
    acked: Mask

    @property
    def end_ns(self) -> int:
        """The last moment it tells of: a schedule or a return."""
        returned = self.return_ns[self.return_ns != NEVER]
        return max(int(self.scheduled_ns[-1]), int(returned.max(initial=0)))

    def since(self, from_ns: int) -> Series | None:
        """What was scheduled from then on; None where nothing was."""
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
    """Every (vantage, op, route) there is, sorted by these. Scans are no load, and left out."""
    load = ~among(history, "op", ["scan"])
    group, labels = groups(history, load)
    scheduled_ns = integers(history, "scheduled_ns", 0)[load]
    order = np.lexsort((scheduled_ns, group))
    columns = (
        scheduled_ns[order],
        integers(history, "invoke_ns", 0)[load][order],
        integers(history, "return_ns", NEVER)[load][order],
    )
    acked = among(history, "outcome", ["ok"])[load][order]
    present, begins = np.unique(group[order], return_index=True)
    found = zip(present, begins, np.append(begins, len(order))[1:], strict=True)
    # By name: their numbers follow the order in which rows happen to come.
    for which, begin, end in sorted(found, key=lambda one: labels[one[0]]):
        vantage, op, route = labels[which]
        scheduled, invoked, returned = (column[begin:end] for column in columns)
        yield Series(vantage, op, route, scheduled, invoked, returned, acked[begin:end])


def groups(history: Table, rows: Mask) -> tuple[Integers, list[tuple[str, str, str]]]:
    """Of the rows asked for, each one's (vantage, op, route), as an index into the labels returned with it."""
    (vantage, vantages), (op, ops), (route, routes) = (codes(history, name) for name in ("vantage", "op", "route"))
    routes = (*routes, UNNAMED)
    route = route % len(routes)  # null is -1: the last
    group = ((vantage * len(ops) + op) * len(routes) + route)[rows]
    return group, [(v, o, r) for v in vantages for o in ops for r in routes]
