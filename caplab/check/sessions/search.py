"""The search for reads that broke a session guarantee.

A read is older than something only where an operation on its key that had returned before it was invoked wrote or
returned a newer version. That leaves few candidates, found in one pass over all keys; only these are held against
what their own session, and the sessions whose writes it had read, knew. What a session knows of a key only grows, so
that each question is one binary search: when did it first know of something newer (Climbs)?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from caplab.check.columns import Integers, Mask
from caplab.check.lines import Climbs, by_line, line_order, packed
from caplab.check.versions import Versions

from .order import Sessions

GUARANTEES = ("read_your_writes", "monotonic_reads", "monotonic_writes", "writes_follow_reads")


@dataclass(frozen=True, slots=True)
class Broken:
    """The reads that violate one guarantee, by their places in Versions.reads, each with its proof.

    newer is the row of the operation that knew of a newer version; through is the place of the read that returned the
    value of a later write of its session, None if that is the reader's own session.
    """

    read: Integers
    newer: Integers
    through: Integers | None


Violations: TypeAlias = Mapping[str, Broken]


def search(versions: Versions, sessions: Sessions) -> Violations:
    """Find all violations of each of GUARANTEES."""
    suspects, since_ns = _suspects(versions)
    # By session, key and time: searches near each other are many times faster.
    order = by_line(sessions.of_read[suspects])  # they are by key and time
    suspects, since_ns = suspects[order], since_ns[order]
    known_versions = (_written(versions, sessions), _read(versions, sessions))
    own = [_own(suspects, each, versions, sessions) for each in known_versions]
    suspects = suspects[_had_read_since(suspects, since_ns, versions, sessions)]
    observed_writes = _ObservedWrites.of(versions, sessions)
    others = [_through_others(suspects, each, observed_writes, versions, sessions) for each in known_versions]
    return dict(zip(GUARANTEES, (*own, *others), strict=True))


def _suspects(versions: Versions) -> tuple[Integers, Integers]:
    """Return reads older than a completed operation on their key, and when the first such operation completed.

    Nothing else can break a guarantee: a session learnt all that it knew from an operation.
    """
    reads, acks = versions.reads, versions.acks
    key = np.concatenate((reads.key, acks.key))
    return_ns = np.concatenate((reads.return_ns, acks.return_ns))
    required_version = np.concatenate((reads.required_version, np.arange(1, len(acks.key) + 1)))
    order = line_order(key, return_ns)
    key, return_ns = key[order], return_ns[order]
    most = len(acks.key) + 1  # no required version is higher
    required_versions, returned_versions = packed(
        (key, required_version[order]), (reads.key, np.minimum(reads.returned_version, most))
    )
    newest = np.maximum.accumulate(required_versions)
    returned, invoked = packed((key, return_ns), (reads.key, reads.invoke_ns))
    before = np.searchsorted(returned, invoked, side="right")
    suspects = np.flatnonzero(np.append(newest, -1)[before - 1] > returned_versions)  # at -1: nothing had returned
    first = np.searchsorted(newest, returned_versions[suspects], side="right")
    return suspects, return_ns[first]


@dataclass(frozen=True, slots=True)
class _KnownVersions:
    """When sessions first knew of newer versions of keys, by writing or by reading them."""

    keys: int
    climbs: Climbs  # of the required versions of each session and key, by turn
    row: Integers  # of the operation of each

    @classmethod
    def of(
        cls, session: Integers, key: Integers, turn: Integers, required_version: Integers, row: Integers, keys: int
    ) -> _KnownVersions:
        climbs, order = Climbs.of(session * keys + key, turn, required_version)
        return cls(keys, climbs, row[order])

    def first_newer(self, session: Integers, key: Integers, returned_version: Integers) -> Integers:
        """Return where each session first knew of a newer version of the key than the returned one."""
        return self.climbs.first_above(session * self.keys + key, returned_version)

    def sessions_by_key(self) -> tuple[Integers, Integers]:
        """Return the sessions that knew anything of a key, by key; and where those of each key begin, and the end."""
        session, key = np.divmod(self.climbs.codes, self.keys)
        order = np.argsort(key, kind="stable")
        return session[order], np.searchsorted(key[order], np.arange(self.keys + 1))


def _written(versions: Versions, sessions: Sessions) -> _KnownVersions:
    writes = versions.writes
    ok = sessions.writes[writes.ok[sessions.writes]]
    session, turn = sessions.of_write[ok], sessions.write_turn[ok]
    return _KnownVersions.of(
        session, writes.key[ok], turn, writes.required_version[ok], writes.row[ok], len(versions.nothing)
    )


def _read(versions: Versions, sessions: Sessions) -> _KnownVersions:
    reads, turns = versions.reads, sessions.reads
    session, turn = sessions.of_read[turns], sessions.read_turn[turns]
    return _KnownVersions.of(
        session, reads.key[turns], turn, reads.required_version[turns], reads.row[turns], len(versions.nothing)
    )


def _own(suspects: Integers, known_versions: _KnownVersions, versions: Versions, sessions: Sessions) -> Broken:
    """Return the reads older than what their own session knew."""
    reads = versions.reads
    at = known_versions.first_newer(sessions.of_read[suspects], reads.key[suspects], reads.returned_version[suspects])
    broken = known_versions.climbs.place[at] < sessions.read_turn[suspects]
    return Broken(suspects[broken], known_versions.row[at[broken]], None)


def _had_read_since(suspects: Integers, since_ns: Integers, versions: Versions, sessions: Sessions) -> Mask:
    """Return whether each read's session had read a write invoked since then: no other can have informed it."""
    some = sessions.reads[versions.reads.write[sessions.reads] >= 0]
    by_time = np.argsort(versions.writes.row)  # rows are in the order of invocation
    age = np.empty(len(by_time), dtype=np.int64)
    age[by_time] = np.arange(len(by_time))
    climbs, _ = Climbs.of(sessions.of_read[some], sessions.read_turn[some], age[versions.reads.write[some]])
    older = np.searchsorted(versions.writes.invoke_ns[by_time], since_ns)
    had: Mask = climbs.place[climbs.first_above(sessions.of_read[suspects], older - 1)] < sessions.read_turn[suspects]
    return had


@dataclass(frozen=True, slots=True)
class _ObservedWrites:
    """When sessions first read later writes of others."""

    sessions: int
    climbs: Climbs  # of the turns of the writes that each session read of each, by its own turn
    read: Integers  # the place in Versions.reads of each

    @classmethod
    def of(cls, versions: Versions, sessions: Sessions) -> _ObservedWrites:
        some = sessions.reads[versions.reads.write[sessions.reads] >= 0]
        write = versions.reads.write[some]
        code = sessions.of_read[some] * sessions.count + sessions.of_write[write]
        climbs, order = Climbs.of(code, sessions.read_turn[some], sessions.write_turn[write])
        return cls(sessions.count, climbs, some[order])

    def first_later(self, reader: Integers, writer: Integers, turn: Integers) -> Integers:
        """Return where each reader first read a write that came after a turn of the writer."""
        return self.climbs.first_above(reader * self.sessions + writer, turn)


def _through_others(
    suspects: Integers,
    known_versions: _KnownVersions,
    observed_writes: _ObservedWrites,
    versions: Versions,
    sessions: Sessions,
) -> Broken:
    """Return the reads older than what a session knew before a write that the reader's session had read."""
    reads = versions.reads
    writers, begins = known_versions.sessions_by_key()
    parts = [np.zeros((3, 0), dtype=np.int64)]
    left, nth = suspects, 0
    # Each round checks all remaining reads against the next session that knows their key.
    while len(left := left[begins[reads.key[left]] + nth < begins[reads.key[left] + 1]]):
        key = reads.key[left]
        writer = writers[begins[key] + nth]
        newer = known_versions.first_newer(writer, key, reads.returned_version[left])
        through = observed_writes.first_later(sessions.of_read[left], writer, known_versions.climbs.place[newer])
        broken = observed_writes.climbs.place[through] < sessions.read_turn[left]
        parts.append(np.stack((left[broken], known_versions.row[newer[broken]], observed_writes.read[through[broken]])))
        left, nth = left[~broken], nth + 1
    return Broken(*np.concatenate(parts, axis=1))
