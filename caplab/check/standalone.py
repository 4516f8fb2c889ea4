"""A history without a run record: what its rows show of its own final scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import Table
from caplab.model.runs import FinalScan

from .columns import NEVER, Integers, Mask, among, codes, integers, present
from .finding import Context
from .scans import of_queues, of_sets

ENOUGH = 1  # such a history may be short: it has no promised load
_CLOCK_NS = 1000  # operations that begin closer to each other than that, on average, have no clock
_CHANGES = ("write", "incr", "cas")


def context_of(history: Table, enough: int = ENOUGH) -> Context:
    """Return the context of a validated history without a record: its own last scan, no fault."""
    return Context(final_scan=final_scan(history), enough=enough, standalone=True)


def in_session_order(history: Table) -> Table:
    """Return a validated history in which a session's operation returns before its next one begins.

    Where both are of one nanosecond, checkers of time take them for concurrent. The first one is let return a
    nanosecond earlier, if nothing else begins then: so nothing else is ordered by it. Scans and overloads belong to no
    session.
    """
    invoke_ns, return_ns = integers(history, "invoke_ns", 0), integers(history, "return_ns", NEVER)
    moment, begins = np.unique(invoke_ns, return_index=True)
    owner = _sessions(history)
    last = np.append(begins[1:], len(invoke_ns)) - 1
    of_one = np.minimum.reduceat(owner, begins) == np.maximum.reduceat(owner, begins)  # all that begins then is of it
    then = np.minimum(np.searchsorted(moment, return_ns), len(moment) - 1)
    meets = (moment[then] == return_ns) & of_one[then] & (owner[last[then]] == owner) & (owner >= 0)
    earlier = meets & (return_ns > invoke_ns)
    if not earlier.any():
        return history
    place = history.column_names.index("return_ns")
    shifted = pa.array(return_ns - earlier, mask=~present(history, "return_ns"))
    return history.set_column(place, history.schema.field(place), shifted)


def _sessions(history: Table) -> Integers:
    """Return a number for the session of each row; -1 for what belongs to none."""
    session, (vantage, vantages) = integers(history, "session", 0), codes(history, "vantage")
    owner = (session - session.min()) * len(vantages) + vantage
    of_none = among(history, "op", ["scan"]) | among(history, "error", ["overload"])
    return np.where(of_none, -1, owner)


def has_clock(history: Table) -> bool:
    """Return whether the times of a validated history are those of a clock, and not only an order.

    A recorder without a clock counts events: its numbers are hardly farther apart than the events themselves.
    """
    invoke_ns = integers(history, "invoke_ns", 0)
    moments = 1 + int((invoke_ns[1:] != invoke_ns[:-1]).sum())
    last_ns = max(int(invoke_ns[-1]), int(integers(history, "return_ns", int(invoke_ns[-1])).max()))
    return last_ns - int(invoke_ns[0]) >= _CLOCK_NS * moments


def final_scan(history: Table) -> FinalScan | None:
    """Return the last scan of the history that can be judged by; None without one. Its rows share their invoke_ns.

    Of the scans that began after all acked operations had returned, that of all members together (server 'all')
    decides, else those through the Service, else all of them: the one that began last. It has failed if one of its rows
    is not ok, and has not converged if the last scan of another server found something else. If no scan began after all
    acks, the last one is judged, and has not converged. In a history with adds it is a scan of their sets, else of
    everything.
    """
    scans = _scans(history)
    if not len(scans.row):
        return None
    end_ns, of_load = _last_ack_ns(history)
    late = scans.where(scans.invoke_ns >= end_ns)
    if len(late.row):
        return _decided(late.preferred(history))
    deciding = scans.of(scans.last_server())
    count = int((integers(history, "return_ns", NEVER)[of_load] > deciding.began_ns()).sum())
    return deciding.judged(f"{count:,} acked operations had not returned when it began")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scans:
    """Rows of scans, a row for each element; server -1: no server is named."""

    row: Integers
    invoke_ns: Integers
    server: Integers
    words: tuple[str, ...]  # of servers
    key: Integers
    value: Integers
    has_element: Mask  # an element, not the record that there was none
    ok: Mask

    def where(self, rows: Mask) -> _Scans:
        """Return only some of the rows."""
        return _Scans(
            row=self.row[rows],
            invoke_ns=self.invoke_ns[rows],
            server=self.server[rows],
            words=self.words,
            key=self.key[rows],
            value=self.value[rows],
            has_element=self.has_element[rows],
            ok=self.ok[rows],
        )

    def preferred(self, history: Table) -> _Scans:
        """Return the best kind of scans that exists: of all members together, through the Service, any."""
        for name, word in (("server", "all"), ("route", "service")):
            chosen = among(history, name, [word])[self.row]
            if chosen.any():
                return self.where(chosen)
        return self

    def last_server(self) -> str | None:
        """Return the server of the scan that began last."""
        server = int(self.server[np.argmax(self.invoke_ns)])
        return None if server < 0 else self.words[server]

    def of(self, server: str | None) -> _Scans:
        """Return the last scan of a server."""
        mine = self.where(self.server == (-1 if server is None else self.words.index(server)))
        return mine.where(mine.invoke_ns == mine.invoke_ns.max())

    def began_ns(self) -> int:
        """Return when the last of them began."""
        return int(self.invoke_ns.max())

    def judged(self, problem: str = "") -> FinalScan:
        """Return the record of one scan; problem: why it was made too early, or differs from another."""
        return FinalScan(
            converged=not problem,
            elements=len(self.elements()),
            server=self.last_server(),
            problem=problem,
            invoke_ns=self.began_ns(),
        )

    def elements(self) -> Integers:
        """Return the elements as sorted rows of key and value."""
        both = np.stack((self.key[self.has_element], self.value[self.has_element]), axis=1)
        return both[np.lexsort((both[:, 1], both[:, 0]))]

    def servers(self) -> list[str | None]:
        """Return every server; None stands for no name."""
        return [None if code < 0 else self.words[code] for code in np.unique(self.server).tolist()]


def _decided(scans: _Scans) -> FinalScan:
    server = scans.last_server()
    deciding = scans.of(server)
    if not deciding.ok.all():
        return FinalScan(
            converged=True, elements=None, server=server, problem=f"{int((~deciding.ok).sum()):,} rows of it are not ok"
        )
    elements = deciding.elements()
    for other in scans.servers():
        scan = scans.of(other)
        if other != server and scan.ok.all() and not np.array_equal(scan.elements(), elements):
            names = " and ".join(f"'{name}'" for name in (server, other))
            return deciding.judged(
                f"the last scans of {names} differ ({len(elements):,} and {len(scan.elements()):,} elements)"
            )
    return deciding.judged()


def _scans(history: Table) -> _Scans:
    scan = among(history, "op", ["scan"]) & ~of_queues(history)
    key = codes(history, "key")[0]
    if among(history, "op", ["add"]).any():
        scan &= of_sets(history)
    row = np.flatnonzero(scan)
    server, words = codes(history, "server")
    return _Scans(
        row=row,
        invoke_ns=integers(history, "invoke_ns", 0)[row],
        server=server[row],
        words=words,
        key=key[row],
        value=integers(history, "value", 0)[row],
        has_element=present(history, "value")[row],
        ok=among(history, "outcome", ["ok"])[row],
    )


def _last_ack_ns(history: Table) -> tuple[int, Mask]:
    """Return when the last operation that a scan should show was acked, and which operations these are."""
    adds = among(history, "op", ["add"])
    acked = among(history, "outcome", ["ok"]) & (adds if adds.any() else among(history, "op", _CHANGES))
    return int(integers(history, "return_ns", NEVER)[acked].max(initial=np.iinfo(np.int64).min)), acked
