"""Transactions and their micro-operations as columns, and which of them touch one key in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from caplab.check.columns import NEVER, Integers, Mask, among, codes, integers
from caplab.model.history import Table
from caplab.model.transactions import APPEND, MICRO_OPS, READ, TXN, WRITE

Places: TypeAlias = NDArray[np.integer]

APPENDS, WRITES, READS = (MICRO_OPS.index(op) for op in (APPEND, WRITE, READ))
NONE, MANY = -1, -2  # nobody wrote it, several did


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """The transactions of a history, in its order, and all their micro-operations in order.

    row: of the history. session: a number for each vantage and session. possible: committed, or of unknown outcome.
    of: the transaction of each micro-operation. begin, end: what a read of a list found, within elements. is_list: for
    each key.
    """

    row: Integers
    session: Integers
    invoke_ns: Integers
    return_ns: Integers
    committed: Mask
    possible: Mask
    of: Places
    op: Places
    key: Places
    value: Integers
    has_value: Mask
    begin: Integers
    end: Integers
    elements: Integers
    keys: tuple[str, ...]
    is_list: Mask

    def __len__(self) -> int:
        return len(self.row)


def transactions_of(history: Table) -> Transactions:
    """Return the transactions of a validated history."""
    rows = np.flatnonzero(among(history, "op", [TXN]))
    column = history.column(TXN).combine_chunks().take(rows)
    lengths = np.asarray(column.value_lengths(), dtype=np.int64)
    op, key, value, elements = column.flatten().flatten()
    offsets = np.asarray(elements.offsets, dtype=np.int64)
    begin, end = offsets[:-1], offsets[1:]
    has_elements = np.asarray(elements.is_valid(), dtype=np.bool_)
    begin, end = np.where(has_elements, begin, 0), np.where(has_elements, end, 0)
    words = tuple(key.dictionary.to_pylist())
    op_codes, key_codes = np.asarray(op.indices, dtype=np.int8), np.asarray(key.indices, dtype=np.int32)
    is_list = np.zeros(len(words), dtype=np.bool_)
    is_list[key_codes[(op_codes == APPENDS) | has_elements]] = True
    vantage, _ = codes(history, "vantage")
    _, session = np.unique(np.stack((vantage, integers(history, "session", 0)))[:, rows], axis=1, return_inverse=True)
    committed = among(history, "outcome", ["ok"])[rows]
    return Transactions(
        row=rows,
        session=session.reshape(-1),
        invoke_ns=integers(history, "invoke_ns", 0)[rows],
        return_ns=integers(history, "return_ns", NEVER)[rows],
        committed=committed,
        possible=committed | among(history, "outcome", ["info"])[rows],
        of=np.repeat(np.arange(len(rows), dtype=np.int32), lengths),
        op=op_codes,
        key=key_codes,
        value=np.asarray(value.fill_null(0), dtype=np.int64),
        has_value=np.asarray(value.is_valid(), dtype=np.bool_),
        begin=begin,
        end=end,
        elements=np.asarray(elements.values, dtype=np.int64),
        keys=words,
        is_list=is_list,
    )


class Writers:
    """The micro-operations that wrote a number to a key, found by both."""

    def __init__(self, micro: Places, key: Places, number: Integers) -> None:
        """Index these micro-operations, with the key and the number of each."""
        self._low = int(number.min()) if len(number) else 0
        self._span = (int(number.max()) if len(number) else 0) - self._low + 1
        keys = int(key.max()) + 1 if len(key) else 0
        # As one number for each pair where that fits, else with the places of the numbers among the distinct ones.
        self._distinct = np.unique(number) if keys * self._span >= 1 << 62 else None
        pairs = self._pairs(key, number)
        order = np.argsort(pairs, kind="stable")
        ordered = pairs[order]
        first = np.ones(len(ordered), dtype=np.bool_)
        first[1:] = ordered[1:] != ordered[:-1]
        self._sorted = ordered[first]
        starts = np.flatnonzero(first)
        self._micro = micro[order][starts].astype(np.int64) if len(micro) else np.zeros(0, dtype=np.int64)
        self._many = np.diff(np.append(starts, len(ordered))) > 1
        self.repeated = int(self._many.sum())

    def _pairs(self, key: Places, number: Integers) -> Integers:
        if self._distinct is None:
            return key.astype(np.int64) * self._span + (number - self._low)
        return key.astype(np.int64) * len(self._distinct) + np.searchsorted(self._distinct, number)

    def find(self, key: Places, number: Integers) -> Integers:
        """Return the micro-operation that wrote each number to each key; NONE or MANY where it is not one."""
        if not len(self._sorted):
            return np.full(len(key), NONE, dtype=np.int64)
        among_numbers = (number >= self._low) & (number - self._low < self._span)
        pairs = self._pairs(key, np.where(among_numbers, number, self._low))
        places = np.minimum(np.searchsorted(self._sorted, pairs), len(self._sorted) - 1)
        hit = (self._sorted[places] == pairs) & among_numbers
        if self._distinct is not None:
            at = np.minimum(np.searchsorted(self._distinct, number), len(self._distinct) - 1)
            hit &= self._distinct[at] == number
        return np.where(hit, np.where(self._many[places], MANY, self._micro[places]), NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touches:
    """What each transaction did to each key: its micro-operations, by transaction, key and place.

    micro: all of them in that order. first: whether it is the first of its transaction on its key. last_write: for each
    micro-operation of the history, whether it is its transaction's last append or write of its key.
    """

    micro: Places
    first: Mask
    last_write: Mask


def touches_of(t: Transactions) -> Touches:
    """Sort the micro-operations by transaction and key."""
    both = t.of.astype(np.int64) * max(1, len(t.keys)) + t.key
    micro = np.argsort(both, kind="stable")
    both = both[micro]
    first = np.ones(len(micro), dtype=np.bool_)
    first[1:] = both[1:] != both[:-1]
    last_write = np.zeros(len(micro), dtype=np.bool_)
    writes = np.flatnonzero(t.op[micro] != READS)
    last = np.ones(len(writes), dtype=np.bool_)
    last[:-1] = both[writes[1:]] != both[writes[:-1]]
    last_write[micro[writes[last]]] = True
    return Touches(micro=micro, first=first, last_write=last_write)


def overwritten(t: Transactions, touches: Touches) -> Places:
    """Return the last reads before the same committed transaction first wrote the key."""
    writes = np.flatnonzero(t.op[touches.micro] != READS)
    of, key = t.of[touches.micro[writes]], t.key[touches.micro[writes]]
    first = np.ones(len(writes), dtype=np.bool_)
    first[1:] = (of[1:] != of[:-1]) | (key[1:] != key[:-1])
    writes = writes[first]
    writes = writes[~touches.first[writes]]
    reads = touches.micro[writes - 1]
    return reads[t.committed[t.of[reads]]]
