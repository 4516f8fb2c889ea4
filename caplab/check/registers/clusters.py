"""Clusters: the writer of a value and all operations that observed it.

Gibbons & Korach, "Testing shared memories", SIAM J. Comput. 1997.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask

from .operations import Operations, Part
from .sources import NOBODY, sources

BEGINNING = -NEVER  # when absent was written: before all


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """A cluster for each writer, in their order, then one for the beginning of each key, in which it is absent."""

    key: Integers
    invoke_ns: Integers  # of the writer
    return_ns: Integers
    source: Integers  # for each reader, the cluster whose value it observed, or NOBODY
    expects: Integers  # for each cas among the writers, likewise
    shared: Mask  # for each cluster, and one more for NOBODY, whether its value was written more than once
    repeated: Mask  # for each key, whether such a value was observed

    def edges(self, readers: Part) -> tuple[Integers, Integers]:
        """Return the first return and the last invocation of each cluster's operations."""
        first, last = self.return_ns.copy(), self.invoke_ns.copy()
        source, invoke_ns, return_ns = self.source, readers.invoke_ns, readers.return_ns
        if (nobodys := source == NOBODY).any():
            source, invoke_ns, return_ns = source[~nobodys], invoke_ns[~nobodys], return_ns[~nobodys]
        np.minimum.at(first, source, return_ns)
        np.maximum.at(last, source, invoke_ns)
        return first, last


def clusters_of(operations: Operations) -> Clusters:
    """Find which operation observed which writer's value."""
    writers, readers, keys = operations.writers, operations.readers, len(operations.keys)
    beginnings = np.full(keys, BEGINNING)
    cas = operations.writers.where(operations.cas)
    expected = Part(
        row=cas.row,
        key=cas.key,
        value=operations.expected,
        null=operations.expected_null,
        invoke_ns=cas.invoke_ns,
        return_ns=cas.return_ns,
    )
    (source, expects), shared = sources(writers, [readers, expected], keys)
    repeated = np.zeros(keys, dtype=np.bool_)
    for key, writer_places in ((readers.key, source), (expected.key, expects)):
        repeated[key[shared[writer_places]]] = True
    return Clusters(
        key=np.concatenate([writers.key, np.arange(keys)]),
        invoke_ns=np.concatenate([writers.invoke_ns, beginnings]),
        return_ns=np.concatenate([writers.return_ns, beginnings]),
        source=source,
        expects=expects,
        shared=shared,
        repeated=repeated,
    )
