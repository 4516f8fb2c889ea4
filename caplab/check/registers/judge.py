"""Which keys are not linearizable, by their zones."""

from __future__ import annotations

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask

from .chains import chains_of
from .clusters import Clusters
from .operations import Operations
from .sources import NOBODY
from .zones import Line, conflicts

NONE = -1


def unfounded(operations: Operations, clusters: Clusters) -> Integers:
    """Return, for each key, the row of the first operation that observed a value which nobody wrote, or NONE."""
    cas = operations.writers.where(operations.cas)
    certain = cas.return_ns != NEVER
    rows = np.full(len(operations.keys), NEVER)
    for part, which in ((operations.readers, clusters.source == NOBODY), (cas, certain & (clusters.expects == NOBODY))):
        np.minimum.at(rows, part.key[which], part.row[which])
    return np.where(rows == NEVER, NONE, rows)


def disordered(operations: Operations, clusters: Clusters) -> Mask:
    """Return, for each key, whether no order explains its operations: exact if no value was written twice.

    O(n log n), over all keys at once.
    """
    keys, key = len(operations.keys), clusters.key
    violated = np.zeros(keys, dtype=np.bool_)
    readers = operations.readers
    # A key with a value that nobody wrote is a violation already: any source will do.
    violated[readers.key[readers.return_ns < clusters.invoke_ns[clusters.source]]] = True
    first, last = clusters.edges(readers)
    line = Line.over(keys, first, last)
    if len(operations.cas):
        chains = chains_of(operations, clusters)
        violated[key[chains.broken]] = True
        violated[key[chains.disordered(first, last)]] = True
        heads, first, last = chains.edges(first, last)
        key = key[heads]
    return violated | conflicts(line, key, first, last, keys)
