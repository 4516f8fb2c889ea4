"""Histories of transactions with one anomaly planted in each, and what is to be found in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from caplab.model.history import Table

from .transactions import Transaction, concurrent, in_turn, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A history, the figure that counts its anomaly, the rows (from 0) that prove it, and the strongest model left."""

    history: Callable[[], Table]
    figure: str
    rows: tuple[int, ...]
    model: str


def _planted(
    figure: str, rows: tuple[int, ...], model: str, make: Callable[..., Table], *micro: str, **more: object
) -> Planted:
    return Planted(history=lambda: make(*micro, **more), figure=figure, rows=rows, model=model)


def _with_failure(*micro: str) -> Table:
    """Return a history of concurrent transactions of which the first failed."""
    outcomes = ["fail", *["ok"] * (len(micro) - 1)]
    return table_of(Transaction(micro=each, outcome=outcome) for each, outcome in zip(micro, outcomes, strict=True))


def _with_unknown(*micro: str) -> Table:
    """Return the same with the first of unknown outcome."""
    outcomes = ["info", *["ok"] * (len(micro) - 1)]
    return table_of(
        Transaction(micro=each, outcome=outcome, end=None if outcome == "info" else 1_000_000)
        for each, outcome in zip(micro, outcomes, strict=True)
    )


_NONE = "none"
_UNCOMMITTED, _COMMITTED = "strong read uncommitted", "strong read committed"
_CURSOR, _PARALLEL = "strong cursor stability", "strong parallel snapshot isolation"
_SNAPSHOT, _SESSION = "strong snapshot isolation", "strong session serializable"

PLANTED = {
    "two lists appended in opposite orders": _planted(
        "g0", (0, 1), _NONE, concurrent,
        '[["append","x",1],["append","y",1]]', '[["append","x",2],["append","y",2]]',
        '[["r","x",[1,2]],["r","y",[2,1]]]',
    ),
    "three lists appended in a circle": _planted(
        "g0", (0, 1, 2), _NONE, concurrent,
        '[["append","x",1],["append","z",2]]', '[["append","x",2],["append","y",1]]',
        '[["append","y",2],["append","z",1]]', '[["r","x",[1,2]],["r","y",[1,2]],["r","z",[1,2]]]',
    ),
    "an append between two of one transaction": _planted(
        "g0", (0, 1), _NONE, concurrent,
        '[["append","x",1],["append","x",3]]', '[["append","x",2]]', '[["r","x",[1,2,3]]]',
    ),
    "a list with an element twice": _planted(
        "doubled", (1,), _NONE, concurrent, '[["append","x",1]]', '[["r","x",[1,1]]]'
    ),
    "an aborted append was read": _planted(
        "g1a", (0, 1), _UNCOMMITTED, _with_failure, '[["append","x",1]]', '[["r","x",[1]]]'
    ),
    "an aborted append in the middle of a list": _planted(
        "g1a", (0, 2), _UNCOMMITTED, _with_failure,
        '[["append","x",1]]', '[["append","x",2]]', '[["r","x",[1,2]]]',
    ),
    "an aborted write was read": _planted(
        "g1a", (0, 1), _UNCOMMITTED, _with_failure, '[["w","x",1]]', '[["r","x",1]]'
    ),
    "a committed append on top of an aborted one": _planted(
        "dirty_updates", (0, 1), _UNCOMMITTED, _with_failure,
        '[["append","x",1]]', '[["append","x",2]]', '[["r","x",[1,2]]]',
    ),
    "an intermediate list was read": _planted(
        "g1b", (0, 1), _UNCOMMITTED, concurrent, '[["append","x",1],["append","x",2]]', '[["r","x",[1]]]'
    ),
    "an intermediate value was read": _planted(
        "g1b", (0, 1), _UNCOMMITTED, concurrent, '[["w","x",1],["w","x",2]]', '[["r","x",1]]'
    ),
    "each read the other's append": _planted(
        "g1c", (0, 1), _UNCOMMITTED, concurrent,
        '[["append","x",1],["r","y",[1]]]', '[["append","y",1],["r","x",[1]]]',
    ),
    "each read the other's write": _planted(
        "g1c", (0, 1), _UNCOMMITTED, concurrent, '[["w","x",1],["r","y",1]]', '[["w","y",1],["r","x",1]]'
    ),
    "a read of what it came before in another list": _planted(
        "g1c", (0, 1), _UNCOMMITTED, concurrent,
        '[["append","x",1],["r","y",[1]]]', '[["append","x",2],["append","y",1]]', '[["r","x",[1,2]]]'
    ),
    "a circle of three reads with one of unknown outcome": _planted(
        "g1c", (1, 2), _UNCOMMITTED, _with_unknown,
        '[["append","z",1]]', '[["w","x",1],["r","y",1]]', '[["w","y",1],["r","x",1],["r","z",[1]]]',
    ),
    "a value that nobody wrote": _planted("unwritten", (0,), _UNCOMMITTED, concurrent, '[["r","x",7]]', "[]"),
    "an element that nobody appended": _planted(
        "unwritten", (1,), _UNCOMMITTED, concurrent, '[["append","x",1]]', '[["r","x",[1,7]]]'
    ),
    "two reads of which neither begins the other": _planted(
        "incompatible_orders", (2, 4), _UNCOMMITTED, concurrent,
        '[["append","x",1]]', '[["append","x",2]]', '[["r","x",[2]]]', "[]", '[["r","x",[1,2]]]',
    ),
    "the second of two appends of a transaction without the first": _planted(
        "incompatible_orders", (0, 1), _UNCOMMITTED, concurrent,
        '[["append","x",1],["append","x",2]]', '[["r","x",[2]]]',
    ),
    "two appends of a transaction the other way round": _planted(
        "incompatible_orders", (0, 1), _UNCOMMITTED, concurrent,
        '[["append","x",1],["append","x",2],["r","x",[2,1]]]', '[["r","x",[2,1]]]',
    ),
    "two appends to what both had read": _planted(
        "lost_updates", (0, 1), _COMMITTED, concurrent,
        '[["r","x",[]],["append","x",1]]', '[["r","x",[]],["append","x",2]]', '[["r","x",[1,2]]]',
    ),
    "two appends to what both had read, unread": _planted(
        "lost_updates", (0, 1), _COMMITTED, concurrent,
        '[["r","x",[]],["append","x",1]]', '[["r","x",[]],["append","x",2]]',
    ),
    "two writes over one value": _planted(
        "lost_updates", (1, 2), _COMMITTED, concurrent,
        '[["w","x",1]]', '[["r","x",1],["w","x",2]]', '[["r","x",1],["w","x",3]]',
    ),
    "three writes over nothing": _planted(
        "lost_updates", (0, 1, 2), _COMMITTED, concurrent,
        '[["r","x",null],["w","x",1]]', '[["r","x",null],["w","x",2]]', '[["r","x",null],["w","x",3]]',
    ),
    "its own append was not there": _planted(
        "internal", (0,), _CURSOR, concurrent, '[["append","x",1],["r","x",[]]]', '[["r","x",[1]]]'
    ),
    "a read that was not repeated": _planted(
        "internal", (1,), _CURSOR, concurrent, '[["w","x",1]]', '[["r","x",null],["r","x",1]]'
    ),
    "its own write was not there": _planted(
        "internal", (0,), _CURSOR, concurrent, '[["w","x",1],["r","x",2]]', '[["w","x",2],["w","z",1]]'
    ),
    "an append read before it was made": _planted(
        "g1c", (0,), _UNCOMMITTED, concurrent, '[["r","x",[1]],["append","x",1]]', "[]"
    ),
    "an append read long before it was made": _planted(
        "g1c", (0,), _UNCOMMITTED, concurrent,
        '[["r","x",[3,2]],["append","x",1],["append","x",2]]', '[["append","x",3]]',
    ),
    "an append read before it was made, in an order that no other read has": _planted(
        "g1c", (0,), _UNCOMMITTED, concurrent,
        '[["r","x",[1]],["append","x",1]]', '[["append","x",2]]', '[["append","x",3]]', '[["r","x",[2,3]]]',
    ),
    "a write read before it was made": _planted(
        "g1c", (0,), _UNCOMMITTED, concurrent, '[["r","x",1],["w","x",1]]', "[]"
    ),
    "half of a transaction that never returned was seen": _planted(
        "g_single", (0, 1), _CURSOR, _with_unknown,
        '[["append","x",1],["append","y",1]]', '[["r","x",[1]],["r","y",[]]]',
    ),
    "half of a transaction was seen": _planted(
        "g_single", (0, 1), _CURSOR, concurrent, '[["append","x",1],["append","y",1]]', '[["r","x",[1]],["r","y",[]]]'
    ),
    "half of a transaction was seen in registers": _planted(
        "g_single", (1, 2), _CURSOR, concurrent,
        '[["w","x",1]]', '[["r","x",1],["w","x",2],["w","y",2]]', '[["r","y",2],["r","x",1]]',
    ),
    "two appends were seen in opposite orders": _planted(
        "long_fork", (0, 1, 2, 3), _PARALLEL, concurrent,
        '[["append","x",1]]', '[["append","y",1]]', '[["r","x",[1]],["r","y",[]]]', '[["r","x",[]],["r","y",[1]]]',
    ),
    "two writes were seen in opposite orders": _planted(
        "long_fork", (0, 1, 2, 3), _PARALLEL, concurrent,
        '[["w","x",1]]', '[["w","y",1]]', '[["r","x",1],["r","y",null]]', '[["r","x",null],["r","y",1]]',
    ),
    "two orders of appends and reads that do not fit": _planted(
        "g_nonadjacent", (0, 1, 2, 3), _PARALLEL, concurrent,
        '[["append","x",1]]', '[["append","y",1]]',
        '[["append","x",2],["r","y",[]]]', '[["append","y",2],["r","x",[]]]',
        '[["r","x",[1,2]],["r","y",[1,2]]]',
    ),
    "each read what the other appended to": _planted(
        "g2_item", (0, 1), _SNAPSHOT, concurrent, '[["r","x",[]],["append","y",1]]', '[["r","y",[]],["append","x",1]]'
    ),
    "each read what the other wrote": _planted(
        "g2_item", (0, 1), _SNAPSHOT, concurrent, '[["r","x",null],["w","y",1]]', '[["r","y",null],["w","x",1]]'
    ),
    "a write skew of three": _planted(
        "g2_item", (0, 1, 2), _SNAPSHOT, concurrent,
        '[["r","x",[]],["append","y",1]]', '[["r","y",[]],["append","z",1]]', '[["r","z",[]],["append","x",1]]',
    ),
    "a stale read": _planted(
        "g_single_realtime", (0, 1), _SESSION, in_turn, '[["append","x",1]]', '[["r","x",[]]]', '[["r","x",[1]]]'
    ),
    "a session that did not read what it wrote": _planted(
        "g_single_session", (0, 1), "serializable", in_turn, '[["append","x",1]]', '[["r","x",[]]]', '[["r","x",[1]]]',
        session=(1, 1, 2),
    ),
    "a session that went back in time": _planted(
        "g_single_session", (0, 1, 2), "serializable", in_turn,
        '[["append","x",1]]', '[["r","x",[1]]]', '[["r","x",[]]]', session=(1, 2, 2),
    ),
    "an append before one that had long returned": _planted(
        "g0_realtime", (0, 1), _SESSION, in_turn, '[["append","x",2]]', '[["append","x",1]]', '[["r","x",[1,2]]]'
    ),
    "a read of the future": _planted(
        "g1c_realtime", (0, 1), _SESSION, in_turn, '[["r","x",[1]]]', '[["append","x",1]]'
    ),
    "a write skew of two that did not run at once": _planted(
        "g_single_realtime", (0, 1), _SESSION, in_turn, '[["r","x",[]],["append","y",1]]', '[["r","y",[]]]',
        '[["r","y",[1]]]',
    ),
}  # fmt: skip
