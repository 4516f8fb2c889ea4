"""Transactions of Elle's tests: lists of micro-operations such as [:append x 1], [:r y [1 2]], [:w z 3]."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from ...model.transactions import APPEND, MICRO_OPS, TRANSACTIONS
from .edn import Elements
from .events import Operations
from .names import Keys, Values
from .plain.micro_ops import CODES, LIST, NUMBER, READS, UNKNOWN, WORDS, MicroOps

_APPEND = MICRO_OPS.index(APPEND)
_OK = 0
_HINT = "write it like [[:append x 1] [:r y [1 2]] [:w z 3] [:r z nil]]"


def are_micro_ops(value: Any) -> bool:
    """Return whether a value looks like the micro-operations of a transaction."""
    if not (isinstance(value, list) and value):
        return False
    first = value[0]
    return isinstance(first, list) and bool(first) and isinstance(first[0], str) and first[0] in WORDS


def _is_micro_op(value: Any) -> bool:
    return isinstance(value, list) and 2 <= len(value) <= 3 and isinstance(value[0], str) and value[0] in CODES


def _are_same(asked: Any, found: Any) -> bool:
    """Return whether two micro-operations differ by no more than what one has read."""
    if asked == found:
        return True
    if not (_is_micro_op(asked) and _is_micro_op(found)) or asked[1] != found[1]:
        return False
    return CODES[asked[0]] == CODES[found[0]] == READS


class Transactions:
    """The micro-operations of many transactions, flat; has_any: whether there is one."""

    def __init__(self, values: Values, keys: Keys, ops: Operations) -> None:
        self._values, self._keys, self._ops = values, keys, ops
        self.has_any = False
        self._op = bytearray()
        self._key = array("i")
        self._value = array("q")
        self._has_value = bytearray()
        self._sizes = array("q")  # of elements; -1: none
        self._elements = array("q")
        self._of: list[int] = []  # the operation of each transaction
        self._counts = array("q")
        self._lists: set[int] = set()  # keys that are appended to
        self._unknown = bytearray()  # reads in what is not ok

    def extend(self, micro: MicroOps) -> None:
        """Take the transactions of all operations at once."""
        self._of.extend(range(len(micro.counts)))
        self._counts.frombytes(micro.counts.tobytes())
        self._op += micro.op.tobytes()
        self._key.frombytes(micro.key.tobytes())
        has_value = micro.kind == NUMBER
        self._has_value += has_value.tobytes()
        self._value.frombytes(np.where(has_value, micro.number, 0).tobytes())
        self._sizes.frombytes(np.where(micro.kind == LIST, micro.size, -1).tobytes())
        self._elements.frombytes(micro.elements.tobytes())
        self._lists.update(np.unique(micro.key[micro.op == _APPEND]).tolist())
        self._unknown += (micro.kind == UNKNOWN).tobytes()
        self.has_any = True

    def take(self, at: int) -> None:
        """Take the transaction of an operation."""
        ops = self._ops
        ok = ops.outcome[at] == _OK
        asked, found = ops.asked[at], ops.found[at] if ok else None
        micro = asked if found is None else found
        if not isinstance(micro, list):
            ops.refuse(at, "the value of a transaction is no list of micro-operations", _HINT)
        if ok and asked is not found and asked is not None:
            self._refuse_others(at, asked, found)
        for each in micro:
            if not _is_micro_op(each):
                ops.refuse(at, "a transaction has what is no micro-operation", _HINT)
            self._micro(at, CODES[each[0]], each, ok)
        self.has_any = True
        self._of.append(at)
        self._counts.append(len(micro))

    def _refuse_others(self, at: int, asked: Any, found: Any) -> None:
        """Refuse an ok transaction that does not say what it read, or is not the one that was invoked."""
        if found is None:
            if any(_is_micro_op(each) and CODES[each[0]] == READS for each in asked):
                self._ops.refuse(
                    at,
                    "the transaction is ok, and its completion does not say what it read",
                    "write the :value of the completion, or :info if it is not known",
                )
        elif not isinstance(asked, list) or len(asked) != len(found) or not all(map(_are_same, asked, found)):
            self._ops.refuse(
                at,
                "the transaction has completed with other micro-operations than it was invoked with",
                "write the same in both events, or leave the :value of the invocation out",
            )

    def _micro(self, at: int, op: int, each: list[Any], ok: bool) -> None:
        key, value = self._keys.place(each[1]), each[2] if len(each) == 3 else None
        if key < 0:
            self._ops.refuse(at, "a micro-operation has no key", _HINT)
        known = ok or op != READS
        if op != READS and value is None:
            self._ops.refuse(at, "a micro-operation writes nothing", _HINT)
        found = value if op == READS and known and isinstance(value, list) else None
        if found is not None:
            if type(found) is Elements:
                self._ops.refuse(at, "a micro-operation has read a set, and a list has an order", _HINT)
            number = self._values.number
            self._elements.extend([number(element) for element in found])
        if op == _APPEND:
            self._lists.add(key)
        self._op.append(op)
        self._key.append(key)
        has_value = known and found is None and value is not None
        self._has_value.append(has_value)
        self._value.append(self._values.number(value) if has_value else 0)
        self._sizes.append(-1 if found is None else len(found))
        self._unknown.append(not known)

    def column(self, rows: int, row_of: Any) -> Any:
        """Return the column of so many rows; row_of: the row of each operation."""
        sizes = np.frombuffer(self._sizes, dtype=np.int64).copy() if len(self._sizes) else np.zeros(0, np.int64)
        key = np.array(self._key, dtype=np.int32)
        op = np.frombuffer(bytes(self._op), dtype=np.uint8)
        has_value = np.frombuffer(bytes(self._has_value), dtype=np.uint8).astype(np.bool_)
        unknown = np.frombuffer(bytes(self._unknown), dtype=np.uint8).astype(np.bool_)
        lists = np.zeros(len(self._keys.names), dtype=np.bool_)
        lists[list(self._lists)] = True
        # A list that nothing was found of is empty: it is read as nil.
        sizes[(op == READS) & lists[key] & ~has_value & (sizes < 0) & ~unknown] = 0
        offsets = np.concatenate(([0], np.cumsum(np.maximum(sizes, 0)))).astype(np.int32)
        elements = pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(np.array(self._elements, dtype=np.int64)), mask=pa.array(sizes < 0)
        )
        value = pa.array(np.array(self._value, dtype=np.int64), mask=~has_value)
        words = pa.DictionaryArray.from_arrays(pa.array(op.astype(np.int32)), pa.array(MICRO_OPS))
        names = pa.DictionaryArray.from_arrays(pa.array(key), pa.array(self._keys.names, pa.string()))
        micro = pa.StructArray.from_arrays(
            [words.cast(pa.string()), names.cast(pa.string()), value, elements], fields=list(TRANSACTIONS.value_type)
        )
        counts = np.zeros(rows, dtype=np.int64)
        there = np.zeros(rows, dtype=np.bool_)
        of_row = row_of[np.array(self._of, dtype=np.int64)]
        counts[of_row], there[of_row] = np.array(self._counts, dtype=np.int64), True
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(starts), micro, type=TRANSACTIONS, mask=pa.array(~there))
