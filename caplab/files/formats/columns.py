"""The columns of a history that is built operation by operation; a scan or a drain has a row for each element."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
from numpy.typing import NDArray

from ...check.columns import Integers, Mask
from ...model.bounds import Bounds
from ...model.history import SCHEMA, VANTAGE, Table
from .events import MISMATCH, NEVER, OURS, OUTCOMES, PREFIX, Operations
from .names import Keys, text_of
from .texts import Texts, fits_session, is_whole

if TYPE_CHECKING:
    from .transactions import Transactions

_FAIL = OUTCOMES.index("fail")
ID_SIGN = "#"  # before a number that is the name of an id, no number to compare


class Columns:
    """What each operation is; rows in the order of operations."""

    def __init__(self, ops: Operations, keys: Keys, texts: Texts) -> None:
        self._ops, self._keys, self._texts = ops, keys, texts
        self._words: dict[str, int] = {}
        self._op = array("i")
        self._key = array("i")
        self._value = array("q")
        self._has_value = bytearray()
        self._cas: list[tuple[int, int | None, int | None]] = []
        self._several: dict[int, list[int]] = {}  # the values of what has not exactly one row
        self._drained: set[int] = set()
        self.transactions: Transactions | None = None

    def row(self, op: str, key: int, value: int | None) -> None:
        """Add an operation of one row."""
        self._op.append(self._words.setdefault(op, len(self._words)))
        self._key.append(key)
        self._has_value.append(value is not None)
        self._value.append(value or 0)

    def empty_rows(self, op: str, count: int) -> None:
        """Add so many operations of one row, without key and value."""
        self._op.extend(array("i", [self._words.setdefault(op, len(self._words))]) * count)
        self._key.extend(array("i", [-1]) * count)
        self._has_value.extend(bytes(count))
        self._value.extend(array("q", [0]) * count)

    def cas(self, key: int, old: int | None, new: int | None) -> None:
        """Add a cas; if it is ok, it found what it expected.

        Of one that failed Jepsen does not say why, and so it says nothing of the register: with an error it is no
        refusal for what the register held.
        """
        at = len(self._op)
        self._cas.append((at, old, old))
        if self._ops.outcome[at] == _FAIL and not self._ops.more.get(at, {}).get(MISMATCH):
            self._ops.errors.setdefault(at, "refused")
        self.row("cas", key, new)

    def rows(self, op: str, key: int, values: list[int]) -> None:
        """Add an operation with a row for each value; without values it has one, of no value."""
        if len(values) != 1:
            self._several[len(self._op)] = values
        self.row(op, key, values[0] if values else None)

    def drained(self, key: int, values: list[int]) -> None:
        """Add a drain: each element is dequeued on its own, at any time within it."""
        self._drained.add(len(self._op))
        self.rows("dequeue", key, values)

    def name_of_id(self, key: int, value: Any) -> None:
        """Add an id. Jepsen's ids must be unique, in no order: the name of each is a text, numbered as it was met."""
        if value is None:
            self.row("id", key, None)
            return
        self.row("id", key, self._texts.value(f"{ID_SIGN}{value}" if is_whole(value) else text_of(value)))

    def table(self, bounds: Bounds) -> tuple[Table, Integers]:
        """Return the history, and the place of each row's operation. TooMuch if it has too many rows."""
        counts = np.ones(len(self._op), dtype=np.int64)
        for at, values in self._several.items():
            counts[at] = max(len(values), 1)
        bounds.refuse_rows(int(counts.sum()))
        of = np.repeat(np.arange(len(counts)), counts)
        starts = np.concatenate(([0], np.cumsum(counts)))[:-1]
        value, has_value = self._values(of, starts)
        ops = self._ops
        outcome = np.frombuffer(bytes(ops.outcome), dtype=np.uint8)
        ours = self._ours(of)
        columns = {
            "session": pa.array(self._sessions(of, starts, counts), pa.int32()),
            "op": _words(np.array(self._op, dtype=np.int32)[of], list(self._words)),
            "key": _words(np.array(self._key, dtype=np.int32)[of], self._keys.names),
            "value": pa.array(value, mask=~has_value),
            "invoke_ns": pa.array(np.array(ops.invoke_ns, dtype=np.int64)[of]),
            "return_ns": _returns(np.array(ops.return_ns, dtype=np.int64)[of]),
            "outcome": _words(outcome.astype(np.int32)[of], list(OUTCOMES)),
        }
        columns |= self._expected(len(of), starts) | self._errors(of) | ours
        if self.transactions is not None:
            columns["txn"] = self.transactions.column(len(of), starts)
        return pa.table({name: columns[name] for name in SCHEMA.names if name in columns}), of

    def _values(self, of: Integers, starts: Integers) -> tuple[Integers, Mask]:
        value = np.array(self._value, dtype=np.int64)[of]
        has_value = np.frombuffer(bytes(self._has_value), dtype=np.uint8).astype(np.bool_)[of]
        for at, values in self._several.items():
            if values:
                value[starts[at] : starts[at] + len(values)] = values
        return value, has_value

    def _sessions(self, of: Integers, starts: Integers, counts: Integers) -> Integers:
        """Return each row's session; what a drain took has sessions of its own, as each may have taken all the time."""
        session = np.array(self._ops.session, dtype=np.int64)[of]
        for at in self._drained:
            name = self._texts.text_of_session(int(session[starts[at]])) or str(session[starts[at]])
            for row in range(int(starts[at]) + 1, int(starts[at] + counts[at])):
                session[row] = self._texts.new_session(name)
        return session

    def _expected(self, rows: int, starts: Integers) -> dict[str, Any]:
        if not self._cas:
            return {}
        columns = {}
        for name, part in (("expected", 1), ("observed", 2)):
            numbers, has = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.bool_)
            for each in self._cas:
                at, number = each[0], each[part]
                if number is not None and (part == 1 or self._ops.outcome[at] == 0):
                    numbers[starts[at]], has[starts[at]] = number, True
            columns[name] = pa.array(numbers, mask=~has)
        return columns

    def _errors(self, of: Integers) -> dict[str, Any]:
        return {"error": _sparse(self._ops.errors, len(self._op), of)} if self._ops.errors else {}

    def _ours(self, of: Integers) -> dict[str, Any]:
        """Return the columns that a converted history has beside what Jepsen knows."""
        columns: dict[str, Any] = {}
        for name in OURS:
            cells = {at: more[name] for at, more in self._ops.more.items() if more.get(name) is not None}
            if not cells:
                continue
            if name == "session":
                self._take_sessions(cells)
            elif name == "scheduled_ns":
                columns[name] = self._scheduled(cells, of)
            else:
                words = {at: str(cell) for at, cell in cells.items()}
                if name == "vantage":
                    words = dict.fromkeys(range(len(self._op)), VANTAGE) | words
                columns[name] = _sparse(words, len(self._op), of)
        return columns

    def _take_sessions(self, cells: dict[int, Any]) -> None:
        for at, cell in cells.items():
            self._ops.session[at] = cell if fits_session(cell) else self._texts.session(str(cell))

    def _scheduled(self, cells: dict[int, Any], of: Integers) -> Any:
        scheduled = np.array(self._ops.invoke_ns, dtype=np.int64)
        for at, cell in cells.items():
            if not is_whole(cell):
                self._ops.refuse(at, f"field :{PREFIX}scheduled_ns is no time", "write nanoseconds")
            scheduled[at] = cell
        return pa.array(scheduled[of])


def _words(codes: NDArray[np.int32], words: list[str]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(words, pa.string()))


def _returns(returns: Integers) -> Any:
    return pa.array(returns, mask=returns == NEVER)


def _sparse(cells: dict[int, str], count: int, of: Integers) -> Any:
    words: dict[str, int] = {}
    codes = np.full(count, -1, dtype=np.int32)
    for at, cell in cells.items():
        codes[at] = words.setdefault(cell, len(words))
    return _words(codes[of], list(words))
