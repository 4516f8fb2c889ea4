"""The operations that prove a stale, a dirty or an unexpected read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, Mask, among, integers, present
from caplab.check.finding import Context
from caplab.check.standalone import has_clock
from caplab.check.versions import Versions, key_codes
from caplab.check.witness import shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table

from .scan import ScannedVersions


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The anomalies: the stale and dirty reads of Versions.reads, and the rows of unexpected reads."""

    stale: Mask
    dirty: Mask | None
    unexpected: Integers


def witnesses(
    history: Table, versions: Versions, wrong: Anomalies, shown: ScannedVersions | None, context: Context
) -> list[Json]:
    """Show the first anomalies of each kind, by invocation; each stands for itself.

    A stale read comes with the write of its value and the first ack that it missed; a dirty one with that write, and
    what the final scan shows instead; an unexpected one with the write that failed or came later, if there is one.
    """
    stale, dirty = (_in_order(versions, mask) for mask in (wrong.stale, wrong.dirty))
    at_the_end = np.zeros(0, dtype=np.int64) if shown is None else shown.unexpected
    many = shares([len(stale), len(dirty), len(wrong.unexpected), len(at_the_end)])
    read, scanned = np.sort(wrong.unexpected)[: many[2]], at_the_end[: many[3]]
    builder = _WitnessBuilder(
        history=history,
        versions=versions,
        writes=_writes_of(history, np.concatenate((read, scanned))),
        context=context,
        clock=has_clock(history),
    )
    listed = [builder.stale(place) for place in stale[: many[0]].tolist()]
    if shown is not None:
        listed += [builder.dirty(place, shown) for place in dirty[: many[1]].tolist()]
    listed += [builder.unexpected(row, "A read") for row in read.tolist()]
    return listed + [builder.unexpected(row, "The final scan") for row in scanned.tolist()]


def _writes_of(history: Table, rows: Integers) -> dict[int, int]:
    """Return, for each of these reads, the first write of its key and value, failed ones too; both as rows."""
    if not len(rows):
        return {}
    value, key = integers(history, "value", 0), key_codes(history)[0]
    same = among(history, "op", ["write"]) & present(history, "value") & np.isin(value, value[rows])
    writes = np.flatnonzero(same)[::-1].tolist()  # the first one stays
    written = {(int(key[write]), int(value[write])): write for write in writes}
    pairs = {row: (int(key[row]), int(value[row])) for row in rows.tolist()}
    return {row: written[pair] for row, pair in pairs.items() if pair in written}


def _in_order(versions: Versions, mask: Mask | None) -> Integers:
    if mask is None:
        return np.zeros(0, dtype=np.int64)
    places = np.flatnonzero(mask)
    return places[np.argsort(versions.reads.row[places])]


@dataclass(frozen=True, slots=True, kw_only=True)
class _WitnessBuilder:
    history: Table
    versions: Versions
    writes: Mapping[int, int]  # of unexpected reads
    context: Context
    clock: bool

    def stale(self, read: int) -> Json:
        """Show a stale read, by its place in Versions.reads, and the first ack that it missed."""
        reads, acks = self.versions.reads, self.versions.acks
        row, missed = int(reads.row[read]), int(reads.returned_version[read])
        behind = f" {(reads.invoke_ns[read] - acks.return_ns[missed]) / 1e6:.3f} ms" if self.clock else ""
        newer = self._cell("value", int(acks.row[missed]))
        what = f"{self._returned(row, 'A read')}, though {newer} had been acked{behind} before."
        return witness(self.history, what, (self._origin(read), int(acks.row[missed]), row), self.context)

    def dirty(self, read: int, shown: ScannedVersions) -> Json:
        """Show a read of a value that was rolled back by the final scan."""
        row, key = int(self.versions.reads.row[read]), int(self.versions.reads.key[read])
        returned_version, scan_row = int(shown.returned_version[key]), int(shown.row[key])
        older = (
            int(self.versions.acks.row[returned_version - 1]) if returned_version > self.versions.nothing[key] else -1
        )
        left = f"only {self._cell('value', older)}" if older >= 0 else "nothing"
        if scan_row < 0 and len(shown.rows):
            scan_row = int(shown.rows[0])  # of another key, to show that there was a scan
        what = f"{self._returned(row, 'A read')}, but the final scan found {left}: it was rolled back."
        return witness(self.history, what, (self._origin(read), older, row, scan_row), self.context)

    def unexpected(self, row: int, subject: str) -> Json:
        """Show a read of a value that was not written, or not by then, or by a write that failed."""
        write = self.writes.get(row, -1)
        failed = write >= 0 and self._cell("outcome", write) == "fail"
        why = "its write surely failed" if failed else "it had not been written by then"
        return witness(self.history, f"{self._returned(row, subject)}, though {why}.", (write, row), self.context)

    def _origin(self, read: int) -> int:
        """Return the row of the write that a read returned; -1 if it found nothing."""
        write = int(self.versions.reads.write[read])
        return int(self.versions.writes.row[write]) if write >= 0 else -1

    def _returned(self, row: int, subject: str) -> str:
        value = self._cell("value", row)
        key = self._cell("key", row)
        of = "the register" if key is None else f"'{key}'"
        return f"{subject} of {of} returned {'nothing' if value is None else value}"

    def _cell(self, name: str, row: int) -> Json:
        value: Json = self.history.column(name)[row].as_py()
        return value
