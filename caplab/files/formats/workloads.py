"""What the operations of Jepsen's tests are in a history: registers, sets, counters, queues, ids, transactions.

`read` is the read of a register, the scan of a set or the read of a counter: the other operations of the file tell. A
test of independent keys has tuples [key value] for values: its reads are invoked with [key nil].
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn

from .columns import Columns
from .events import Operations
from .names import Keys, Values
from .texts import Texts
from .transactions import Transactions, are_micro_ops

_OK, _FAIL, _INFO = range(3)
_NAMES = {
    "read": "read", "r": "read", "scan": "read", "write": "write", "w": "write", "cas": "cas", "compare-and-set": "cas",
    "compare-and-swap": "cas", "add": "add", "incr": "incr", "inc": "incr", "increment": "incr", "decr": "decr",
    "dec": "decr", "decrement": "decr", "enqueue": "enqueue", "dequeue": "dequeue", "drain": "drain",
    "generate": "generate", "acquire": "acquire", "release": "release", "txn": "txn",
}  # fmt: skip
_REGISTER, _COUNTER = ("write", "cas"), ("incr", "decr")
_ASKING = ("read", "generate", "dequeue", "drain", "acquire", "release")
_GIVING = ("write", "add", "enqueue", "incr", "decr")
_SAME = (*_GIVING, "cas")  # what they change is known when they are invoked
_OTHERS = {"transfer": "a bank", "poll": "a log of Kafka's kind", "send": "a log of Kafka's kind"}
SUPPORTED = "read write cas add incr decr enqueue dequeue drain generate acquire release txn"


class _Reads(Enum):
    """What a read reads."""

    REGISTER = "a register"
    SET = "a set"
    COUNTER = "a counter"


def columns_of(ops: Operations, texts: Texts) -> Columns:
    """Return the operations as columns. FormatError with the line for what no checker knows."""
    return _Mapping(ops, texts).columns()


class _Mapping:
    """Maps operations one by one, once it is known what reads are and whether keys are independent."""

    def __init__(self, ops: Operations, texts: Texts) -> None:
        self._ops = ops
        self._values, self._keys = Values(texts), Keys()
        self._transactions = Transactions(self._values, self._keys, ops)
        self._to = Columns(ops, self._keys, texts)
        self._f = _names(ops)
        self._reads = _what_reads_read(ops, self._f)
        self._keyed = _has_independent_keys(ops, self._f)

    def columns(self) -> Columns:
        """Map all of them."""
        take: dict[str, Callable[[int], None]] = {
            "read": {_Reads.REGISTER: self._read, _Reads.COUNTER: self._read, _Reads.SET: self._scan}[self._reads],
            "write": self._write, "cas": self._cas, "incr": self._incr, "decr": self._decr,
            "add": self._incr if self._reads is _Reads.COUNTER else self._add,
            "enqueue": self._enqueue, "dequeue": self._dequeue, "drain": self._drain, "generate": self._generate,
            "acquire": self._acquire, "release": self._release, "txn": self._txn,
        }  # fmt: skip
        for at, f in enumerate(self._f):
            take[f](at)
        self._to.transactions = self._transactions if self._transactions.has_any else None
        return self._to

    def _split(self, at: int) -> tuple[int, Any]:
        """Return the key's place and the value of an operation: what was found if it is ok, else what was asked."""
        ops = self._ops
        asked = ops.asked[at]
        value = ops.found[at] if ops.outcome[at] == _OK and ops.found[at] is not None else asked
        if asked is not None and value != asked and self._f[at] in _SAME:
            self._refuse(
                at, "it has completed with another value than it was invoked with", "write the same in both events"
            )
        if not self._keyed:
            return -1, value
        if not _is_pair(value):
            self._refuse(at, "its value is no [key value], which others have", "give every operation its key, or none")
        if _is_pair(asked) and value[0] != asked[0]:
            self._refuse(at, "it has completed with another key than it was invoked with", "write the same in both")
        return self._keys.place(value[0]), value[1]

    def _number(self, at: int, value: Any) -> int | None:
        return None if value is None else self._values.number(value)

    def _read(self, at: int) -> None:
        key, value = self._split(at)
        read = value if self._ops.outcome[at] == _OK else None
        if read is not None and self._reads is _Reads.COUNTER and type(read) is not int:
            self._refuse(at, "a counter was read, and what it returned is no whole number", "write a number")
        self._to.row("read", key, self._number(at, read))

    def _scan(self, at: int) -> None:
        key, value = self._split(at)
        if self._ops.outcome[at] == _OK and value is None:
            self._ops.outcome[at] = _INFO  # what it found is not known
        found = value if self._ops.outcome[at] == _OK else []
        if not isinstance(found, list):
            self._refuse(at, "a set was read, and what it returned is no collection", "write all its elements")
        number = self._values.number
        self._to.rows("scan", key, [number(element) for element in found if element is not None])

    def _write(self, at: int) -> None:
        key, value = self._split(at)
        self._to.row("write", key, self._number(at, value))

    def _cas(self, at: int) -> None:
        key, value = self._split(at)
        if not _is_pair(value):
            self._refuse(at, "the value of a cas is no [old new]", "write both")
        old, new = (self._number(at, each) for each in value)
        self._to.cas(key, old, new)

    def _add(self, at: int) -> None:
        key, value = self._split(at)
        if value is None:
            self._refuse(at, "it adds nothing", "write the element that it adds")
        self._to.row("add", key, self._values.number(value))

    def _incr(self, at: int, sign: int = 1) -> None:
        key, value = self._split(at)
        if value is not None and type(value) is not int:
            self._refuse(at, "it adds what is no whole number to a counter", "write the amount")
        amount = sign * (1 if value is None else value)
        if not -(1 << 63) <= amount < 1 << 63:
            self._refuse(at, "it adds more than 64 bits hold", "write a smaller amount")
        self._to.row("incr", key, amount)

    def _decr(self, at: int) -> None:
        self._incr(at, -1)

    def _enqueue(self, at: int) -> None:
        key, value = self._split(at)
        if value is None:
            self._refuse(at, "it enqueues nothing", "write the element that it enqueues")
        self._to.row("enqueue", key, self._values.number(value))

    def _dequeue(self, at: int) -> None:
        key, value = self._split(at)
        self._to.row("dequeue", key, self._number(at, value if self._ops.outcome[at] == _OK else None))

    def _drain(self, at: int) -> None:
        key, value = self._split(at)
        if self._ops.outcome[at] == _INFO:
            self._refuse(
                at, "a drain did not end, and what it took is not known", "let every drain end, or leave it out"
            )
        found = value if self._ops.outcome[at] == _OK else []
        if not isinstance(found, list):
            self._refuse(at, "what a drain took is no list", "write all that it took")
        number = self._values.number
        self._to.drained(key, [number(element) for element in found if element is not None])

    def _generate(self, at: int) -> None:
        key, value = self._split(at)
        self._to.name_of_id(key, value if self._ops.outcome[at] == _OK else None)

    def _acquire(self, at: int) -> None:
        self._to.cas(self._lock(at), None, 1)

    def _release(self, at: int) -> None:
        self._to.cas(self._lock(at), 1, None)

    def _lock(self, at: int) -> int:
        """Return the key of a lock. What its completion says of it, such as a token, is of no matter."""
        asked = self._ops.asked[at]
        if self._keyed:
            return self._split(at)[0]
        if asked is not None and self._ops.has_invocations:
            self._refuse(at, "its value does not say which lock it is", "write [lock nil], or nothing if there is one")
        return -1

    def _txn(self, at: int) -> None:
        self._transactions.take(at)
        self._to.row("txn", -1, None)

    def _refuse(self, at: int, what: str, hint: str) -> NoReturn:
        self._ops.refuse(at, f"{what} (:f {self._ops.f[at]})", hint)


def _is_pair(value: Any) -> bool:
    return type(value) is list and len(value) == 2  # no set: it has no first


def _names(ops: Operations) -> list[str]:
    """Return each operation's name; a name as it is in the file need not be one of ours."""
    known: dict[str, str] = {}
    names = []
    for at, f in enumerate(ops.f):
        value = ops.found[at] if ops.asked[at] is None else ops.asked[at]
        name = known.get(f)
        if name is None:
            name = known[f] = _NAMES.get(f.lower(), "txn" if are_micro_ops(value) else "")
        if not name:
            _refuse_name(ops, at)
        if name in ("read", "write") and are_micro_ops(value):
            name = "txn"
        names.append(name)
    _refuse_mixture(ops, names)
    return names


def _refuse_name(ops: Operations, at: int) -> NoReturn:
    f = ops.f[at][:60]
    what = (
        f"field :f says '{f}', which no checker knows" if f else "the event has no :f, and its value is no transaction"
    )
    if f in _OTHERS:
        what = f"field :f says '{f}': this is the history of {_OTHERS[f]}, for which there is no checker"
    ops.refuse(at, what, f"check histories of {SUPPORTED}")


def _refuse_mixture(ops: Operations, names: list[str]) -> None:
    """Refuse a file in which it is not clear what a read reads."""
    there = set(names)
    kinds = [kind for kind in (_REGISTER, ("add",), _COUNTER) if there & set(kind)]
    if len(kinds) > 1:
        first, second = (next(name for name in kind if name in there) for kind in kinds[:2])
        at = names.index(second)
        ops.refuse(
            at, f"field :f says '{second}' where others say '{first}'", "write each workload in a file of its own"
        )


def _what_reads_read(ops: Operations, names: list[str]) -> _Reads:
    there = set(names)
    if there & set(_COUNTER):
        return _Reads.COUNTER
    found = next((at for at, name in enumerate(names) if name == "read" and _found(ops, at) is not None), None)
    if "add" in there:
        return _Reads.SET if found is None or isinstance(_found(ops, found), list) else _Reads.COUNTER
    if found is not None and not there & set(_REGISTER) and isinstance(_found(ops, found), list | dict):
        ops.refuse(found, "a read returned a collection, and nothing says of what", "check a history with its writes")
    return _Reads.REGISTER


def _found(ops: Operations, at: int) -> Any:
    """Return what a read returned, without its key; None if it is not ok, or returned nothing."""
    asked, found = ops.asked[at], ops.found[at]
    keyed = _is_pair(found) and _is_pair(asked) and asked[1] is None
    return None if ops.outcome[at] != _OK else found[1] if keyed else found


def _has_independent_keys(ops: Operations, names: list[str]) -> bool:
    """Return whether values are tuples [key value]; reads tell by what they were invoked with, else all others do."""
    pairs = 0
    for at, name in enumerate(names):
        asked = ops.asked[at]
        if name == "cas":
            return _is_pair(asked) and _is_pair(asked[1])
        if name in _ASKING and (asked is None or (_is_pair(asked) and asked[1] is None)):
            return asked is not None
        if name in _ASKING or name in _GIVING:
            if not _is_pair(asked):
                return False
            pairs += 1
    return pairs > 0
