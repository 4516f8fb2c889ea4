"""The smallest witness of a key without cas whose values are unique: 2 to 6 operations, over many keys at once.

Two clusters conflict by one operation each that returned early and one each that was invoked late; beside these a
witness has the writers of what they read, for without them they would prove nothing. So what a cluster brings in costs
1 (its writer; or a read of absent, which has no writer), 2 (writer and a read) or 3 (writer and two reads), and the
smallest witness is the pair of least cost that conflicts. Clusters without a conflict are sorted out first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask

from .clusters import BEGINNING, Clusters, clusters_of
from .operations import Operations
from .zones import Line

_NONE = -1
_PAIRS = ((1, 2), (2, 2), (1, 3), (2, 3), (3, 3))  # by what they cost together


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """Parts of clusters, all of one cost, and their constraints: the first return and the last invocation."""

    key: Integers
    cluster: Integers
    first: Integers
    last: Integers
    rows: tuple[Integers, ...]  # of the history; _NONE where there is none

    def without(self, keys: Mask) -> _Choice:
        """Return the choice without these keys."""
        kept = ~keys[self.key]
        rows = tuple(row[kept] for row in self.rows)
        return _Choice(
            key=self.key[kept], cluster=self.cluster[kept], first=self.first[kept], last=self.last[kept], rows=rows
        )

    def rows_of(self, place: int) -> set[int]:
        """Return the rows of one cluster's part."""
        return {int(row[place]) for row in self.rows} - {_NONE}


def of_two(operations: Operations, clusters: Clusters) -> dict[int, list[int]]:
    """Return, by key, the rows of two operations: a read, and its later writer or, for absent, an acked write."""
    readers, writers, source = operations.readers, operations.writers, clusters.source
    early = np.flatnonzero(readers.return_ns < clusters.invoke_ns[source])
    acked = np.full(len(operations.keys), NEVER)
    np.minimum.at(acked, writers.key, writers.return_ns)
    absent = np.flatnonzero((source >= len(writers)) & (acked[readers.key] < readers.invoke_ns))
    smallest = {}
    if len(absent):
        which = np.flatnonzero(writers.return_ns == acked[writers.key])
        first = dict(zip(writers.key[which].tolist(), writers.row[which].tolist(), strict=True))
        smallest = {key: [first[key], int(readers.row[place])] for key, place in _first_of_each(readers.key, absent)}
    return smallest | {
        key: [int(readers.row[place]), int(writers.row[source[place]])]
        for key, place in _first_of_each(readers.key, early)
    }


def _first_of_each(key: Integers, places: Integers) -> list[tuple[int, int]]:
    """Return each key that is in one of the places, in order, with the first of these places."""
    keys, first = np.unique(key[places], return_index=True)
    return list(zip(keys.tolist(), places[first].tolist(), strict=True))


def of_more(operations: Operations) -> dict[int, list[int]]:
    """Return, by key, the rows of a smallest witness, in the order of invocation.

    It is for keys that are not linearizable, and have no witness of two, no cas, no value that was written twice, and
    no read of a value without a writer.
    """
    clusters = clusters_of(operations)
    readers = operations.readers
    first, last = clusters.edges(readers)
    returned = np.concatenate([first, clusters.return_ns, readers.return_ns])
    line = Line.over(len(operations.keys), returned, np.concatenate([last, clusters.invoke_ns, readers.invoke_ns]))
    every = _Choice(key=clusters.key, cluster=np.arange(len(first)), first=first, last=last, rows=())
    conflicting = _partners(line, every, every) != _NONE
    choices = _choices(operations, clusters, conflicting)
    smallest: dict[int, list[int]] = {}
    for pair in _PAIRS:
        done = np.zeros(len(operations.keys), dtype=np.bool_)
        done[list(smallest)] = True
        smallest |= _conflicts(line, *(choices[cost].without(done) for cost in pair))
    return smallest


def _choices(operations: Operations, clusters: Clusters, conflicting: Mask) -> dict[int, _Choice]:
    """Return, by cost, the parts that conflicting clusters can contribute."""
    writers, count = operations.writers, len(operations.writers)
    written = np.flatnonzero(conflicting[:count])
    of_conflict = conflicting[clusters.source]
    readers, source = operations.readers.where(of_conflict), clusters.source[of_conflict]
    from_start = source >= count  # they read absent
    absent, absent_source = readers.where(from_start), source[from_start]
    of_values, source = readers.where(~from_start), source[~from_start]
    first = np.minimum(of_values.return_ns, writers.return_ns[source])
    last = np.maximum(of_values.invoke_ns, writers.invoke_ns[source])
    of_writers = _Choice(
        key=np.concatenate([writers.key[written], absent.key]),
        cluster=np.concatenate([written, absent_source]),
        first=np.concatenate([writers.return_ns[written], np.full(len(absent), BEGINNING)]),
        last=np.concatenate([writers.invoke_ns[written], absent.invoke_ns]),
        rows=(np.concatenate([writers.row[written], absent.row]),),
    )
    with_read = _Choice(
        key=of_values.key, cluster=source, first=first, last=last, rows=(writers.row[source], of_values.row)
    )
    return {1: of_writers, 2: with_read, 3: _joined(with_read)}


def _joined(with_read: _Choice) -> _Choice:
    """Join, for each cluster, the read that returned first with the one that was invoked last."""
    by_first = np.lexsort((with_read.first, with_read.cluster))
    by_last = np.lexsort((-with_read.last, with_read.cluster))
    cluster, begin = np.unique(with_read.cluster[by_first], return_index=True)
    early, late = by_first[begin], by_last[begin]
    writer, read = with_read.rows
    rows = (writer[early], read[early], read[late])
    return _Choice(
        key=with_read.key[early], cluster=cluster, first=with_read.first[early], last=with_read.last[late], rows=rows
    )


def _conflicts(line: Line, some: _Choice, others: _Choice) -> dict[int, list[int]]:
    """Return, by key, the rows of the first conflict of a part of `some` with one of `others`."""
    partner = _partners(line, some, others)
    which = np.flatnonzero(partner != _NONE)
    keys, first = np.unique(others.key[which], return_index=True)
    return {
        int(key): sorted(others.rows_of(place) | some.rows_of(int(partner[place])))
        for key, place in zip(keys, which[first].tolist(), strict=True)
    }


def _partners(line: Line, some: _Choice, others: _Choice) -> Integers:
    """Return, for each of `others`, a part of `some` of another cluster that conflicts with it, or _NONE.

    Of those that must come before it, the one with the last invocation is the most likely: if it belongs to the same
    cluster, then the next one of another cluster.
    """
    if not len(some.key):
        return np.full(len(others.key), _NONE)
    begin = line.at(some.key, some.first)
    order = np.argsort(begin, kind="stable")
    end, cluster = line.at(some.key, some.last)[order], some.cluster[order]
    best = _places_of_greatest(end)
    changed = np.append(False, cluster[best][1:] != cluster[best][:-1])
    before = np.append(0, best[:-1])
    # Candidates for second: all outside the best one's cluster, and the former best after a change.
    place = np.where(changed, before, np.arange(len(end)))
    second_end = np.where(changed | (cluster != cluster[best]), end[place], _NONE)
    second = place[_places_of_greatest(second_end)]
    at = np.searchsorted(begin[order], line.at(others.key, others.last)) - 1
    chosen = np.where(cluster[best[at]] == others.cluster, second[at], best[at])
    conflict = (at >= 0) & (cluster[chosen] != others.cluster) & (end[chosen] > line.at(others.key, others.first))
    return np.where(conflict, order[chosen], _NONE)


def _places_of_greatest(values: Integers) -> Integers:
    """Return, for each place, the place of the greatest value up to it."""
    places = np.where(values == np.maximum.accumulate(values), np.arange(len(values)), 0)
    return np.maximum.accumulate(places)
