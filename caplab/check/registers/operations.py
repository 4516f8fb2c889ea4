"""The operations of a history that concern registers, as arrays: writers of values, and their observers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from caplab.check.columns import NEVER, Integers, Mask, codes, found_expected, integers, present
from caplab.model.history import Table

_Roles: TypeAlias = NDArray[np.uint8]

_NONE, _READ, _WRITE, _CAS, _INFO_WRITE, _INFO_CAS, _OTHER = range(7)
_ROLES = {
    ("read", "ok"): _READ,
    ("write", "ok"): _WRITE,
    ("cas", "ok"): _CAS,
    ("write", "info"): _INFO_WRITE,
    ("cas", "info"): _INFO_CAS,
}
_OTHER_OPS = ("add", "incr", "id", "load")  # a key that has one of these is not a register


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some operations, in the order of invocation. return_ns is NEVER if an operation may take effect at any time."""

    row: Integers  # in the history
    key: Integers  # place in Operations.keys
    value: Integers
    null: Mask  # where value is none: absent
    invoke_ns: Integers
    return_ns: Integers

    def where(self, which: Mask | Integers) -> Part:
        """Select some of them."""
        return Part(**{name: getattr(self, name)[which] for name in self.__slots__})

    def __len__(self) -> int:
        """Return their number."""
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Writers (writes and cas that took effect, or may have), and readers (reads, and cas that found another value).

    What surely failed, and reads that did not end well, constrain nothing and are not here.
    """

    writers: Part
    readers: Part
    cas: Integers  # which of the writers are cas
    expected: Integers  # of these
    expected_null: Mask
    keys: tuple[str, ...]
    other_keys: int  # left out: they hold sets, counters or ids

    def only(self, writers: Mask, readers: Mask, cas: Mask) -> Operations:
        """Select some of them. A writer that is kept without its cas counts as a write."""
        kept_cas = np.flatnonzero(cas & writers[self.cas])
        return self._picked(np.flatnonzero(writers), np.flatnonzero(readers), kept_cas)

    def of_keys(self, wanted: Mask) -> Operations:
        """Select those of some keys, which keep their places."""
        return self.only(wanted[self.writers.key], wanted[self.readers.key], np.ones(len(self.cas), dtype=np.bool_))

    def at_rows(self, rows: Sequence[int]) -> Operations:
        """Select those in some rows of the history."""
        writers, readers = (_places(part.row, rows) for part in (self.writers, self.readers))
        return self._picked(writers, readers, _places(self.cas, writers))

    def each_key(self, wanted: Mask) -> Iterator[tuple[int, Operations]]:
        """Yield the place and the operations of each wanted key. One sort serves all of them."""
        keys = np.flatnonzero(wanted)
        if not len(keys):
            return
        some = self.of_keys(wanted)
        columns = some.writers.key, some.readers.key, some.writers.key[some.cas]
        for key, *places in zip(keys.tolist(), *(_grouped(column, keys) for column in columns), strict=True):
            yield key, some._picked(*places)

    def _picked(self, writers: Integers, readers: Integers, cas: Integers) -> Operations:
        return replace(
            self,
            writers=self.writers.where(writers),
            readers=self.readers.where(readers),
            cas=np.searchsorted(writers, self.cas[cas]),
            expected=self.expected[cas],
            expected_null=self.expected_null[cas],
        )


def _places(ordered: Integers, wanted: Sequence[int] | Integers) -> Integers:
    """Return the places of the wanted numbers that exist."""
    sought = np.asarray(wanted, dtype=np.int64)
    places: Integers = np.searchsorted(ordered, sought).astype(np.int64)
    within = places < len(ordered)
    places, sought = places[within], sought[within]
    matching: Integers = places[ordered[places] == sought]
    return matching


def _grouped(key: Integers, keys: Integers) -> list[Integers]:
    """Return each key's places, in order."""
    order = np.argsort(key, kind="stable")
    begin, end = (np.searchsorted(key[order], keys, side=side) for side in ("left", "right"))
    return [order[first:last] for first, last in zip(begin, end, strict=True)]


def operations_of(history: Table) -> Operations:
    """Extract the operations of a validated history. A null key is a key of its own, named ''."""
    role = _roles(history)
    key, words = codes(history, "key")
    key = np.where(key < 0, len(words), key)  # null is the last
    others = np.zeros(len(words) + 1, dtype=np.bool_)
    others[key[role == _OTHER]] = True
    if others.any():
        role[others[key]] = _NONE
    columns = Part(
        row=np.arange(len(role)),
        key=key,
        value=integers(history, "value", 0),
        null=~present(history, "value"),
        invoke_ns=integers(history, "invoke_ns", 0),
        return_ns=integers(history, "return_ns", NEVER),
    )
    writers, readers, cas, expected, expected_null = _split(history, columns, role)
    return Operations(
        writers=writers,
        readers=readers,
        cas=cas,
        expected=expected,
        expected_null=expected_null,
        keys=(*words, ""),
        other_keys=int(others.sum()),
    )


def _roles(history: Table) -> _Roles:
    (op, ops), (outcome, outcomes) = (codes(history, name) for name in ("op", "outcome"))
    roles = [
        _OTHER if op_name in _OTHER_OPS else _ROLES.get((op_name, end), _NONE) for op_name in ops for end in outcomes
    ]
    by_row: _Roles = np.array(roles, dtype=np.uint8)[op * len(outcomes) + outcome]
    return by_row


def _split(history: Table, columns: Part, role: _Roles) -> tuple[Part, Part, Integers, Integers, Mask]:
    """Return writers, readers, and which writers are cas, with what they expected."""
    is_cas = (role == _CAS) | (role == _INFO_CAS)
    if is_cas.any():
        role, columns, expected, expected_null = _cas(history, columns, role)
    else:
        expected, expected_null = columns.value, columns.null
    is_writer = (role >= _WRITE) & (role < _OTHER)
    writers, readers = columns.where(np.flatnonzero(is_writer)), columns.where(np.flatnonzero(role == _READ))
    writers.return_ns[role[writers.row] >= _INFO_WRITE] = NEVER
    cas = np.flatnonzero(is_cas[writers.row])
    return writers, readers, cas, expected[writers.row[cas]], expected_null[writers.row[cas]]


def _cas(history: Table, columns: Part, role: _Roles) -> tuple[_Roles, Part, Integers, Mask]:
    """Turn cas that found another value than expected into reads of it; also return what each cas expected."""
    expected, observed = (integers(history, name, 0) for name in ("expected", "observed"))
    expected_null, observed_null = (~present(history, name) for name in ("expected", "observed"))
    refused = (role == _CAS) & ~found_expected(history)
    value, null = np.where(refused, observed, columns.value), np.where(refused, observed_null, columns.null)
    observed_part = Part(
        row=columns.row,
        key=columns.key,
        value=value,
        null=null,
        invoke_ns=columns.invoke_ns,
        return_ns=columns.return_ns,
    )
    return np.where(refused, np.uint8(_READ), role), observed_part, expected, expected_null
