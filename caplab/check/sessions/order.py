"""The operations on ordered keys by session, in their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, codes, integers
from caplab.check.lines import dense, line_order
from caplab.check.versions import Versions
from caplab.model.history import Table

_NULL = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The session (from 0 to count) of each of Versions.reads and Versions.writes, and its turn there.

    An operation came before another of its session if its turn is smaller. Turns are equal if the order is unknown:
    both took no time, at one moment.
    """

    count: int
    of_read: Integers
    of_write: Integers
    read_turn: Integers
    write_turn: Integers
    reads: Integers  # by turn
    writes: Integers


def sessions_of(history: Table, versions: Versions) -> Sessions:
    """Order the operations; a session of a validated history does one thing at a time."""
    reads, writes = versions.reads.row, versions.writes.row
    rows = np.concatenate((reads, writes))
    session, distinct = dense(_codes(history)[rows])
    # An operation that never returned conflicts with none that follows, and comes first of its moment.
    turn, order = _turns(session, integers(history, "invoke_ns", 0)[rows], integers(history, "return_ns", _NULL)[rows])
    many = len(reads)
    return Sessions(
        count=len(distinct),
        of_read=session[:many],
        of_write=session[many:],
        read_turn=turn[:many],
        write_turn=turn[many:],
        reads=order[order < many],
        writes=order[order >= many] - many,
    )


def _codes(history: Table) -> Integers:
    vantage, vantages = codes(history, "vantage")
    session = integers(history, "session", 0)
    code: Integers = (session - session.min(initial=0)) * len(vantages) + vantage
    return code


def _turns(session: Integers, invoke_ns: Integers, return_ns: Integers) -> tuple[Integers, Integers]:
    """Return each operation's turn, and all of them in order."""
    order = line_order(session, invoke_ns, return_ns)
    invoked, returned, line = invoke_ns[order], return_ns[order], session[order]
    again = (line[1:] == line[:-1]) & (invoked[1:] == invoked[:-1]) & (returned[1:] == returned[:-1])
    first = np.arange(len(order))
    first[1:][again] = 0
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.maximum.accumulate(first)
    return turn, order
