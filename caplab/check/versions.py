"""Registers with ordered values: which version each read returned, and which it had to return at least.

A key is ordered when its writes, failed ones left out, strictly grow in the order of their invocation and no two acked
ones overlap (two that meet at one moment are in order within a session only). So acked versions have one order for all
observers. A write of unknown outcome (info) may take effect at any later time: it is surely newer than what was acked
before it was invoked, and surely older than nothing.

Versions are whole numbers that count the acked writes of all ordered keys, key after key. Each operation has two: its
`returned_version`, how new what it returned may be at most, and its `required_version`, how new what is read after it
has to be at least. They are equal except for info writes, whose returned version is UNBOUNDED. A read of nothing is at
its key's `nothing`. What was read is older than what another operation wrote or returned if its returned version is
below the other's required version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted

from .columns import NEVER, Integers, Mask, among, codes, integers, present
from .lines import line_order, packed

UNBOUNDED = NEVER  # the returned version of a write that may have taken effect at any time
_OTHERS = (
    "add",
    "incr",
    "cas",
    "id",
    "enqueue",
    "dequeue",
)  # a key with any of these has no versions; a load changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """The writes of ordered keys that took effect or may have, by key and value."""

    row: Integers
    key: Integers
    value: Integers
    invoke_ns: Integers
    ok: Mask
    returned_version: Integers
    required_version: Integers
    newest: Integers  # the version of the last acked write up to this one, itself included


@dataclass(frozen=True, slots=True)
class Acks:
    """The acked writes, by version: version v is at v - 1."""

    row: Integers
    key: Integers
    return_ns: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """The ok reads of ordered keys whose value may have been written by then, by key and invocation."""

    row: Integers
    key: Integers
    write: Integers  # the write it returned, as a place in Writes; -1 if it found nothing
    invoke_ns: Integers
    return_ns: Integers
    returned_version: Integers
    required_version: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Ordered keys and the operations on them.

    keys is how many have writes, skipped how many with writes are not ordered. initial is what each holds at first
    (None: nothing), and stands for nothing in what is read. unexpected are the rows of reads whose value was not
    written by then, or whose write surely failed; everything else here leaves them out.
    """

    keys: int
    skipped: int
    ordered: Mask  # by code of the key
    nothing: Integers  # by code of the key: the version of nothing at all
    writes: Writes
    acks: Acks
    reads: Reads
    unexpected: Integers
    initial: int | None = None

    @property
    def problem(self) -> str:
        """Why there is nothing to check, or ''."""
        if self.keys:
            return ""
        if self.skipped:
            return f"None of {self.skipped:,} keys has ordered values."
        return "No key was written."

    def returned(self, history: Table, rows: Integers) -> Integers:
        """Return the places in writes of what reads or scans returned; -1 for nothing, -2 for unexpected."""
        return _returned(history, rows, key_codes(history)[0][rows], self.writes, self.initial)


def key_codes(history: Table) -> tuple[Integers, tuple[str, ...]]:
    """Return each row's key as an index into the names returned with it; the last, '', is for rows without a key."""
    code, words = codes(history, "key")
    return np.where(code < 0, len(words), code), (*words, "")


def applies(history: Table) -> str:
    """Return why a history has no versions to check, or ''."""
    for op in ("write", "read"):
        if not among(history, "op", [op]).any():
            return f"no operation is a {op}"
    return "" if _keys_of(history).count else "no key has ordered values"


def too_few_reads(reads: Json, enough: int, keys_skipped: Json) -> str:
    """Return the reason why nothing is said of so few reads."""
    few = f"Only {counted(reads, 'read')} of keys with ordered values"
    return f"{few}; {enough:,} {are(enough)} needed{keys_left_out(keys_skipped)}."


def keys_left_out(skipped: Json) -> str:
    """Return the end of a reason, which says how many keys were not judged; '' if all were."""
    return f"; {counted(skipped, 'key')} without ordered values {are(skipped)} left out" if skipped else ""


def versions_of(history: Table, initial: int | None = None) -> Versions:
    """Find the ordered keys, and the versions that were written and read there. initial: what each holds at first."""
    keys = _keys_of(history)
    nothing, writes, acks = _number(history, keys.key, keys.writes, len(keys.ordered))
    reads, unexpected = _reads(history, keys, nothing, writes, initial)
    return Versions(
        keys=keys.count,
        skipped=keys.skipped,
        ordered=keys.ordered,
        nothing=nothing,
        writes=writes,
        acks=acks,
        reads=reads,
        unexpected=unexpected,
        initial=initial,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """Each row's key, which keys are ordered, how many written keys are and are not; and the rows of their writes."""

    key: Integers
    ordered: Mask
    count: int
    skipped: int
    writes: Integers  # by key and invocation; without failed ones


def _keys_of(history: Table) -> _Keys:
    key, names = key_codes(history)
    written = among(history, "op", ["write"])
    effective = written & ~among(history, "outcome", ["fail"])
    ordered = np.ones(len(names), dtype=np.bool_)
    ordered[key[_no_versions(history, effective)]] = False
    rows = np.flatnonzero(effective & ordered[key])
    invoke_ns, value = (integers(history, name, 0)[rows] for name in ("invoke_ns", "value"))
    rows = rows[line_order(key[rows], invoke_ns, value)]
    ordered[_disordered(history, key, rows)] = False
    has_writes, has_effects = (np.bincount(key[of], minlength=len(names)) > 0 for of in (written, effective))
    count, skipped = int((ordered & has_writes).sum()), int((has_effects & ~ordered).sum())
    return _Keys(key=key, ordered=ordered, count=count, skipped=skipped, writes=rows[ordered[key[rows]]])


def _no_versions(history: Table, effective: Mask) -> Mask:
    return among(history, "op", _OTHERS) | (effective & ~present(history, "value"))


def _disordered(history: Table, key: Integers, rows: Integers) -> Integers:
    """Return the keys of these sorted writes whose values do not grow, or whose acked writes overlap."""
    line, value = key[rows], integers(history, "value", 0)[rows]
    again = line[1:][(line[1:] == line[:-1]) & (value[1:] <= value[:-1])]
    acked = rows[among(history, "outcome", ["ok"])[rows]]
    line, ends = key[acked], integers(history, "return_ns", NEVER)[acked]
    begins = integers(history, "invoke_ns", 0)[acked]
    overlap = (ends[:-1] > begins[1:]) | ((ends[:-1] == begins[1:]) & ~_one_session(history, acked))
    return np.concatenate((again, line[1:][(line[1:] == line[:-1]) & overlap]))


def _one_session(history: Table, rows: Integers) -> Mask:
    """Return, for each row but the first, whether it is of the same session as the one before."""
    session, vantage = integers(history, "session", 0)[rows], codes(history, "vantage")[0][rows]
    same: Mask = (session[1:] == session[:-1]) & (vantage[1:] == vantage[:-1])
    return same


def _number(history: Table, key: Integers, rows: Integers, keys: int) -> tuple[Integers, Writes, Acks]:
    """Assign versions to the writes of ordered keys, in the order of key and value."""
    ok = among(history, "outcome", ["ok"])[rows]
    line, invoke_ns = key[rows], integers(history, "invoke_ns", 0)[rows]
    acks = Acks(rows[ok], line[ok], integers(history, "return_ns", NEVER)[rows[ok]])
    nothing = np.searchsorted(acks.key, np.arange(keys))
    newest = np.cumsum(ok, dtype=np.int64)
    required_version = newest.copy()
    required_version[~ok] = acked_before(acks, line[~ok], invoke_ns[~ok]) + 1
    returned_version = np.where(ok, newest, UNBOUNDED)
    value = integers(history, "value", 0)[rows]
    return (
        nothing,
        Writes(
            row=rows,
            key=line,
            value=value,
            invoke_ns=invoke_ns,
            ok=ok,
            returned_version=returned_version,
            required_version=required_version,
            newest=newest,
        ),
        acks,
    )


def acked_before(acks: Acks, key: Integers, moment_ns: Integers) -> Integers:
    """Return the newest version of each key acked before a moment; the version of nothing if there was none."""
    acked, asked = packed((acks.key, acks.return_ns), (key, moment_ns))
    return np.searchsorted(acked, asked, side="left")


def _reads(
    history: Table, keys: _Keys, nothing: Integers, writes: Writes, initial: int | None
) -> tuple[Reads, Integers]:
    key, ordered = keys.key, keys.ordered
    rows = np.flatnonzero(among(history, "op", ["read"]) & among(history, "outcome", ["ok"]) & ordered[key])
    invoke_ns = integers(history, "invoke_ns", 0)
    rows = rows[line_order(key[rows], invoke_ns[rows])]
    write = _returned(history, rows, key[rows], writes, initial)
    unexpected, explained, write = rows[write == -2], rows[write != -2], write[write != -2]
    line = key[explained]
    returned_version, required_version = nothing[line], nothing[line]
    some = write >= 0
    returned_version[some], required_version[some] = (
        writes.returned_version[write[some]],
        writes.required_version[write[some]],
    )
    if initial is not None:
        # Whether it was there from the first, or was written again, is not known: what is sure of both is kept.
        as_at_first = some & (integers(history, "value", 0)[explained] == initial)
        required_version[as_at_first], write[as_at_first] = nothing[line[as_at_first]], -1
    return_ns = integers(history, "return_ns", NEVER)[explained]
    return Reads(
        row=explained,
        key=line,
        write=write,
        invoke_ns=invoke_ns[explained],
        return_ns=return_ns,
        returned_version=returned_version,
        required_version=required_version,
    ), unexpected


def _returned(history: Table, rows: Integers, key: Integers, writes: Writes, initial: int | None) -> Integers:
    value = integers(history, "value", 0)[rows]
    written, asked = packed((writes.key, writes.value), (key, value))
    place = np.searchsorted(written, asked)
    if len(written):
        at = np.minimum(place, len(written) - 1)
        in_time = writes.invoke_ns[at] <= integers(history, "return_ns", NEVER)[rows]
        place = np.where((written[at] == asked) & in_time, at, -2)
    else:
        place = np.full(len(rows), -2, dtype=np.int64)
    if initial is not None:
        place = np.where((place == -2) & (value == initial), -1, place)
    return np.where(present(history, "value")[rows], place, -1)
