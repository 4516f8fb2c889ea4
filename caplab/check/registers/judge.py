"""Which keys are not linearizable, by their zones, and which of the others they cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask
from caplab.check.lines import line_order, packed

from .chains import chains_of
from .clusters import Clusters
from .operations import Operations, Part
from .sources import NOBODY, sources
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


def without_repeated(operations: Operations, clusters: Clusters) -> Operations:
    """Leave out what observed values that were written more than once; the same operations if none did.

    Every writer stays, a cas that expected such a value as a plain write. What is not linearizable then was not before.
    """
    if not clusters.repeated.any():
        return operations
    every = np.ones(len(operations.writers), dtype=np.bool_)
    once = ~clusters.shared
    return replace(operations.only(every, once[clusters.source], once[clusters.expects]), refusals=operations.refusals)


def unexplained(operations: Operations, clusters: Clusters) -> Mask:
    """Return which keys have a cas that was refused, and not for a reason that holds in every order.

    It is explained if what it expected was written by nobody, only later, or surely overwritten before.
    """
    keys, refusals = np.zeros(len(operations.keys), dtype=np.bool_), operations.refusals
    if not len(refusals):
        return keys
    (source,), shared = sources(operations.writers, [refusals], len(operations.keys))
    later = clusters.invoke_ns[source] >= refusals.invoke_ns
    overwritten = _overwritten(operations.writers, refusals, clusters.return_ns[source])
    keys[refusals.key[shared[source] | ((source != NOBODY) & ~later & ~overwritten)]] = True
    return keys


def _overwritten(writers: Part, refusals: Part, written_ns: Integers) -> Mask:
    """Return whether, before each was invoked, a writer returned that was invoked after what it expected was there."""
    certain = writers.where(np.flatnonzero(writers.return_ns != NEVER))
    if not len(certain):
        return np.zeros(len(refusals), dtype=np.bool_)
    order = line_order(certain.key, certain.return_ns)
    key = certain.key[order]
    returned, asked = packed((key, certain.return_ns[order]), (refusals.key, refusals.invoke_ns))
    invoked, written = packed((key, certain.invoke_ns[order]), (refusals.key, written_ns))
    place = np.searchsorted(returned, asked, side="left") - 1
    # Keys follow each other, so the latest invocation so far is one of the same key, if there is one.
    latest = np.maximum.accumulate(invoked)[place]
    overwritten: Mask = (place >= 0) & (key[place] == refusals.key) & (latest > written)
    return overwritten


def disordered(operations: Operations, clusters: Clusters) -> Mask:
    """Return, for each key, whether no order explains its operations: exact if no value was written twice.

    No observed value may have been (without_repeated sees to that). Cas that were refused are left out.

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
