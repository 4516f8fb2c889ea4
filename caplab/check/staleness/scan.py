"""What the final scan of registers shows, and which acked writes it proves lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, Mask
from caplab.check.keyed_scans import KeyedScan
from caplab.check.versions import UNBOUNDED, Acks, Versions, key_codes
from caplab.model.history import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedVersions:
    """The version of each key that the final scan shows, and its row.

    returned_version is UNBOUNDED if lost writes cannot be determined: the scan shows an info write, which may have
    taken effect over newer ones, or a value that was never written, or it does not cover the key. row is that of the
    key in the history; -1 if the scan has none.
    """

    returned_version: Integers
    row: Integers
    unexpected: Integers  # rows
    rows: Integers
    begin_ns: Integers  # by code of the key

    def lost(self, acks: Acks) -> int:
        """Count the acked writes that are newer than what the scan shows."""
        version = np.arange(1, len(acks.key) + 1)
        return int(((version > self.returned_version[acks.key]) & (acks.return_ns < self.begin_ns[acks.key])).sum())

    def are_lost(self, key: Integers, first: Integers, last: Integers, acks: Acks) -> Mask:
        """Return whether all versions from first to last of a key are lost."""
        # Versions are acked in their order: the first is the likeliest to be there, the last to come after the scan.
        lost: Mask = (first > self.returned_version[key]) & (acks.return_ns[last - 1] < self.begin_ns[key])
        return lost


def shown_at_the_end(history: Table, versions: Versions, scan: KeyedScan) -> ScannedVersions:
    """Return the newest version that the scan shows of each key; a key that it does not show does not exist."""
    keys = key_codes(history)[0]
    rows = scan.rows[versions.ordered[keys[scan.rows]]]
    write = versions.returned(history, rows)
    returned_version, row = versions.nothing.copy(), np.full(len(versions.nothing), -1)
    returned_version[~scan.covered] = UNBOUNDED
    some = write >= 0
    np.maximum.at(returned_version, keys[rows[some]], versions.writes.returned_version[write[some]])
    unexpected = rows[write == -2]
    returned_version[keys[unexpected]] = UNBOUNDED
    row[keys[rows]] = rows
    newest = some.copy()
    newest[some] = versions.writes.returned_version[write[some]] == returned_version[keys[rows[some]]]
    row[keys[rows[newest]]] = rows[newest]
    return ScannedVersions(
        returned_version=returned_version, row=row, unexpected=unexpected, rows=scan.rows, begin_ns=scan.begin_ns
    )
