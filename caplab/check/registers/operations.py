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

_NONE, _READ, _WRITE, _CAS, _INFO_WRITE, _INFO_CAS, _REFUSED_CAS, _OTHER = range(8)
_ROLES = {
    ("read", "ok"): _READ,
    ("write", "ok"): _WRITE,
    ("cas", "ok"): _CAS,
    ("write", "info"): _INFO_WRITE,
    ("cas", "info"): _INFO_CAS,
    ("cas", "fail"): _REFUSED_CAS,  # if there is no error: it was answered, and did not find what it expected
}
_OTHER_OPS = ("add", "incr", "id", "load", "enqueue", "dequeue")  # a key that has one of these is not a register


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


@dataclass(frozen=True, slots=True)
class Naming:
    """What absent and a number stand for, if registers do not begin absent: what they begin with is absent then."""

    initial: int | None = None  # what absent stands for; None: itself
    nothing: int = 0  # the number that stands for what is really absent

    def of(self, value: int | None) -> int | None:
        """Return the value that one of an operation stands for."""
        if self.initial is None:
            return value
        return self.initial if value is None else None if value == self.nothing else value


_NO_PLACES: Integers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Writers (writes and cas that took effect, or may have), and readers (reads, and cas that found another value).

    refusals are cas that found anything but their value. What else surely failed, and reads that did not end well,
    constrain nothing and are not here.
    """

    writers: Part
    readers: Part
    refusals: Part
    cas: Integers  # which of the writers are cas
    expected: Integers  # of these
    expected_null: Mask
    keys: tuple[str, ...]
    other_keys: int  # left out: they hold sets, counters or ids
    naming: Naming

    def __len__(self) -> int:
        """Return their number."""
        return len(self.writers) + len(self.readers) + len(self.refusals)

    def only(self, writers: Mask, readers: Mask, cas: Mask) -> Operations:
        """Select some of them, and no refusals. A writer that is kept without its cas counts as a write."""
        kept_cas = np.flatnonzero(cas & writers[self.cas])
        return self._picked(np.flatnonzero(writers), np.flatnonzero(readers), _NO_PLACES, kept_cas)

    def of_keys(self, wanted: Mask) -> Operations:
        """Select those of some keys, which keep their places."""
        writers, readers, refusals, cas = (
            np.flatnonzero(wanted[key])
            for key in (self.writers.key, self.readers.key, self.refusals.key, self.writers.key[self.cas])
        )
        return self._picked(writers, readers, refusals, cas)

    def at_rows(self, rows: Sequence[int]) -> Operations:
        """Select those in some rows of the history."""
        writers, readers = (_places(part.row, rows) for part in (self.writers, self.readers))
        return self._picked(writers, readers, _places(self.refusals.row, rows), _places(self.cas, writers))

    def each_key(self, wanted: Mask) -> Iterator[tuple[int, Operations]]:
        """Yield the place and the operations of each wanted key. One sort serves all of them."""
        keys = np.flatnonzero(wanted)
        if not len(keys):
            return
        some = self.of_keys(wanted)
        columns = some.writers.key, some.readers.key, some.refusals.key, some.writers.key[some.cas]
        for key, *places in zip(keys.tolist(), *(_grouped(column, keys) for column in columns), strict=True):
            yield key, some._picked(*places)

    def _picked(self, writers: Integers, readers: Integers, refusals: Integers, cas: Integers) -> Operations:
        return replace(
            self,
            writers=self.writers.where(writers),
            readers=self.readers.where(readers),
            refusals=self.refusals.where(refusals),
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


def operations_of(history: Table, initial: int | None = None) -> Operations:
    """Extract the operations of a validated history. A null key is a key of its own, named ''.

    initial: what every register holds at first; None: nothing.
    """
    role = _roles(history)
    key, words = codes(history, "key")
    key = np.where(key < 0, len(words), key)  # null is the last
    others = np.zeros(len(words) + 1, dtype=np.bool_)
    others[key[role == _OTHER]] = True
    if others.any():
        role[others[key]] = _NONE
    columns = _Columns(
        key=key,
        value=(integers(history, "value", 0), ~present(history, "value")),
        expected=_expected(history, role),
        invoke_ns=integers(history, "invoke_ns", 0),
        return_ns=integers(history, "return_ns", NEVER),
    )
    role, columns = _with_refused(history, columns, role)
    naming = Naming()
    if initial is not None:
        naming = Naming(initial, _unused(columns))
        columns = replace(columns, value=_renamed(columns.value, naming), expected=_renamed(columns.expected, naming))
    writer_rows = np.flatnonzero((role >= _WRITE) & (role <= _INFO_CAS))
    writers, role_of_writer = columns.part(writer_rows, columns.value), role[writer_rows]
    writers.return_ns[role_of_writer >= _INFO_WRITE] = NEVER
    cas = np.flatnonzero((role_of_writer == _CAS) | (role_of_writer == _INFO_CAS))
    expected, expected_null = columns.expected
    return Operations(
        writers=writers,
        readers=columns.part(np.flatnonzero(role == _READ), columns.value),
        refusals=columns.part(np.flatnonzero(role == _REFUSED_CAS), columns.expected),
        cas=cas,
        expected=expected[writer_rows[cas]],
        expected_null=expected_null[writer_rows[cas]],
        keys=(*words, ""),
        other_keys=int(others.sum()),
        naming=naming,
    )


_Values: TypeAlias = tuple[Integers, Mask]  # and where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of a history."""

    key: Integers
    value: _Values  # written or found
    expected: _Values
    invoke_ns: Integers
    return_ns: Integers

    def part(self, rows: Integers, values: _Values) -> Part:
        """Select some rows, with these values."""
        value, null = values
        return Part(
            row=rows,
            key=self.key.take(rows),
            value=value.take(rows),
            null=null.take(rows),
            invoke_ns=self.invoke_ns.take(rows),
            return_ns=self.return_ns.take(rows),
        )


def _roles(history: Table) -> _Roles:
    (op, ops), (outcome, outcomes) = (codes(history, name) for name in ("op", "outcome"))
    roles = [
        _OTHER if op_name in _OTHER_OPS else _ROLES.get((op_name, end), _NONE) for op_name in ops for end in outcomes
    ]
    by_row: _Roles = np.array(roles, dtype=np.uint8)[op * len(outcomes) + outcome]
    return by_row


def _expected(history: Table, role: _Roles) -> _Values:
    """Return what each cas expected; without any nothing is read."""
    if not ((role == _CAS) | (role >= _INFO_CAS) & (role <= _REFUSED_CAS)).any():
        return np.zeros(len(role), dtype=np.int64), np.zeros(len(role), dtype=np.bool_)
    return integers(history, "expected", 0), ~present(history, "expected")


def _with_refused(history: Table, columns: _Columns, role: _Roles) -> tuple[_Roles, _Columns]:
    """Turn cas that found another value than expected into reads of it.

    One that failed without an error was refused too; what it found is known if it is in observed.
    """
    failed = role == _REFUSED_CAS
    if not failed.any() and not (role == _CAS).any():
        return role, columns
    observed, observed_null = integers(history, "observed", 0), ~present(history, "observed")
    refused = (role == _CAS) & ~found_expected(history)
    role = np.where(failed & present(history, "error"), np.uint8(_NONE), role)
    refused |= (role == _REFUSED_CAS) & ~observed_null & ~found_expected(history)
    value, null = columns.value
    found = (np.where(refused, observed, value), np.where(refused, observed_null, null))
    return np.where(refused, np.uint8(_READ), role), replace(columns, value=found)


def _unused(columns: _Columns) -> int:
    """Return a number that is no value."""
    used = np.unique(np.concatenate([columns.value[0], columns.expected[0]]))
    if not len(used):
        return 0
    gaps = np.flatnonzero(used[:-1] + 1 < used[1:])
    return int(used[gaps[0]]) + 1 if len(gaps) else int(used[-1]) + 1 if int(used[-1]) < NEVER else int(used[0]) - 1


def _renamed(values: _Values, naming: Naming) -> _Values:
    value, null = values
    renamed: Integers = value.copy()
    renamed[null] = naming.nothing
    return renamed, ~null & (value == naming.initial)
