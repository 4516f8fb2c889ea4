"""Transactions that surely committed: acked, or of unknown outcome and read from by one that was acked."""

from __future__ import annotations

import numpy as np

from caplab.check.columns import Mask

from .lists import longest_reads
from .transactions import READS, Transactions, Writers


def happened(t: Transactions) -> Mask:
    """Return the transactions that surely committed. All that such a one wrote took effect, whether read or not."""
    unsure = t.possible & ~t.committed
    writes = np.flatnonzero(unsure[t.of] & (t.op != READS))
    if not len(writes):
        return t.committed
    writers = Writers(writes, t.key[writes], t.value[writes])
    reads = np.flatnonzero((t.op == READS) & t.committed[t.of])
    single = reads[~t.is_list[t.key[reads]] & t.has_value[reads]]
    # Every other read of a list is the beginning of its longest, or the list is in no order at all.
    longest = longest_reads(t, reads[t.is_list[t.key[reads]]])
    longest = longest[longest >= 0]
    counts = t.end[longest] - t.begin[longest]
    at = np.arange(int(counts.sum())) + np.repeat(t.begin[longest] - (np.cumsum(counts) - counts), counts)
    read = np.concatenate(
        (
            writers.find(t.key[single], t.value[single]),
            writers.find(np.repeat(t.key[longest], counts), t.elements[at]),
        )
    )
    sure = t.committed.copy()
    sure[t.of[read[read >= 0]]] = True
    return sure
