"""What reads of lists prove: the order of the appends of each key, who read which, and reads that nothing explains.

Kingsbury & Alvaro, "Elle: inferring isolation anomalies from experimental observations", VLDB 2020: a read of a list
shows the appends before it in their order; so the longest read of a key is the order of its versions, of which every
other read shows a beginning. What no read found comes after what reads found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, Mask

from .edges import RW, WR, WW, EdgeList
from .transactions import APPENDS, MANY, NONE, READS, Places, Touches, Transactions, Writers, overwritten

_AT_ONCE = 1 << 22  # elements compared at a time
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Reads, as micro-operations, that prove something by themselves, and what else does.

    aborted: of what a failed transaction wrote. intermediate: of what its writer changed again. unwritten: of what
    nobody wrote. duplicated: of a list with one append twice. incompatible: two reads of one key that do not begin
    alike. reordered: a read with an append of another transaction, without one before it that this had made earlier.
    future: of what the reader itself wrote only later. unread: appends whose place among the last of their key is not
    known.
    dirty: a committed append on top of a failed one, both as micro-operations. lost: reads of one version (a group
    each), after which several transactions wrote it. repeated: writes whose value another one of the key has too.
    unordered_writes: committed writes whose place in the order of versions is not known.
    """

    aborted: Places
    intermediate: Places
    unwritten: Places
    duplicated: Places
    incompatible: tuple[tuple[int, int], ...]
    reordered: tuple[tuple[int, int, int], ...]
    future: Places
    unread: Places
    dirty: tuple[tuple[int, int], ...]
    lost: tuple[tuple[int, ...], ...]
    repeated: int
    unordered_writes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Versions:
    """The longest committed read of each key, one after another: the append of each version, NONE or MANY.

    start: of each key's, with the end of the last. place: those in the order of writers that may have committed.
    before: how many of these are before each version, with all of them at last.
    """

    read: Integers
    start: Integers
    append: Integers
    place: Integers
    before: Integers


def infer(t: Transactions, touches: Touches, edges: EdgeList, happened: Mask) -> Suspects:
    """Add the dependencies that lists prove to the edges, and return the suspect reads."""
    appends = np.flatnonzero(t.op == APPENDS)
    writers = Writers(appends, t.key[appends], t.value[appends])
    reads = np.flatnonzero((t.op == READS) & t.is_list[t.key] & t.committed[t.of])
    longest = longest_reads(t, reads)
    odd = ~_begin_alike(t, reads, longest)
    broken = np.zeros(len(t.keys), dtype=np.bool_)
    broken[t.key[reads[odd]]] = True
    versions = _versions(t, longest, writers, broken)
    plain = ~broken[t.key[appends]]
    if writers.repeated:  # some read may have found these
        plain &= writers.find(t.key[appends], t.value[appends]) != MANY
    unread = _add_edges(t, edges, reads[~broken[t.key[reads]]], versions, appends[plain & happened[t.of[appends]]])
    _add_last_reads(t, edges, reads[broken[t.key[reads]]], writers)
    clean = reads[~odd]
    lengths = t.end[clean] - t.begin[clean]
    last = versions.append[(versions.start[t.key[clean]] + lengths - 1)[lengths > 0]]
    odd_last = reads[odd & (t.end[reads] > t.begin[reads])]
    readers = np.concatenate((clean[lengths > 0], odd_last))
    read_append = np.concatenate((last, writers.find(t.key[odd_last], t.elements[t.end[odd_last] - 1])))
    aborted, unwritten, duplicated = _bad_reads(t, clean, lengths, versions)
    odd_aborted, odd_unwritten, odd_duplicated, odd_future = _bad_odd_reads(t, reads[odd], writers)
    place = _places(t, versions)
    return Suspects(
        aborted=np.concatenate((aborted, odd_aborted)),
        intermediate=intermediate(t, touches, readers, read_append),
        unwritten=np.concatenate((unwritten, odd_unwritten)),
        duplicated=np.concatenate((duplicated, odd_duplicated)),
        incompatible=_incompatible(t, reads[odd], longest),
        reordered=_reordered(t, clean[~broken[t.key[clean]]], versions, place, _own_appends(t, touches, writers)),
        future=np.concatenate((_future(t, touches, clean, versions, place), odd_future)),
        unread=unread,
        dirty=_dirty(t, versions),
        lost=_lost(t, touches),
        repeated=writers.repeated,
        unordered_writes=0,
    )


def intermediate(t: Transactions, touches: Touches, readers: Places, written: Integers) -> Places:
    """Return the reads of what another transaction wrote and wrote again."""
    one = written >= 0
    readers, written = readers[one], written[one]
    changed: Places = readers[~touches.last_write[written] & (t.of[written] != t.of[readers])]
    return changed


def longest_reads(t: Transactions, reads: Places) -> Integers:
    """Return the longest read of each key, NONE without any."""
    longest = np.full(len(t.keys), NONE, dtype=np.int64)
    by_length = reads[np.argsort(t.end[reads] - t.begin[reads], kind="stable")]
    longest[t.key[by_length]] = by_length  # the last one stays
    return longest


def _begin_alike(t: Transactions, reads: Places, longest: Integers) -> Mask:
    """Return for each read whether the longest read of its key begins with it."""
    alike = np.ones(len(reads), dtype=np.bool_)
    lengths = t.end[reads] - t.begin[reads]
    ends = np.cumsum(lengths)
    cut = 0
    while cut < len(reads):
        done = int(ends[cut - 1]) if cut else 0
        until = max(cut + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        part, counts = reads[cut:until], lengths[cut:until]
        steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        mine = t.elements[np.repeat(t.begin[part], counts) + steps]
        same = mine == t.elements[np.repeat(t.begin[longest[t.key[part]]], counts) + steps]
        if not same.all():
            alike[cut + np.repeat(np.arange(len(part)), counts)[~same]] = False
        cut = until
    return alike


def _versions(t: Transactions, longest: Integers, writers: Writers, broken: Mask) -> _Versions:
    there = longest != NONE
    lengths = np.where(there, t.end[longest] - t.begin[longest], 0) if len(t.of) else np.zeros(0, dtype=np.int64)
    start = np.concatenate(([0], np.cumsum(lengths)))
    key = np.repeat(np.arange(len(t.keys)), lengths)
    begin = np.where(there, t.begin[longest], 0) if len(t.of) else np.zeros(0, dtype=np.int64)
    at = np.arange(int(start[-1])) + np.repeat(begin - start[:-1], lengths)
    append = writers.find(key, t.elements[at])
    fine = (append >= 0) & ~_again(append) & ~broken[key]
    fine[fine] = t.possible[t.of[append[fine]]]
    before = np.concatenate(([0], np.cumsum(fine)))
    return _Versions(read=longest, start=start, append=append, place=np.flatnonzero(fine), before=before)


def _again(append: Integers) -> Mask:
    """Return where one append occurs again."""
    again = np.zeros(len(append), dtype=np.bool_)
    known = np.flatnonzero(append >= 0)
    order = known[np.argsort(append[known], kind="stable")]
    again[order[1:][append[order[1:]] == append[order[:-1]]]] = True
    return again


def _add_edges(t: Transactions, edges: EdgeList, reads: Places, versions: _Versions, appends: Places) -> Places:
    """Add the edges of the keys whose order is known, and return those of the appends that nobody read.

    appends: those that surely took effect.
    """
    if not len(t.of):
        return appends
    chain = versions.append[versions.place]
    key, writer = t.key[chain], t.of[chain]
    joined = key[1:] == key[:-1]
    edges.add(writer[:-1][joined], writer[1:][joined], WW, key[1:][joined])
    # For each key the part of the chain that is its own.
    first, end = versions.before[versions.start[:-1]], versions.before[versions.start[1:]]
    found = np.zeros(len(t.of), dtype=np.bool_)
    found[versions.append[versions.append >= 0]] = True
    unread = appends[~found[appends]]
    after = unread[end[t.key[unread]] > first[t.key[unread]]]
    edges.add(writer[end[t.key[after]] - 1], t.of[after], WW, t.key[after])
    read_key, reader = t.key[reads], t.of[reads]
    following = versions.before[versions.start[read_key] + t.end[reads] - t.begin[reads]]
    has_last, has_next = following > first[read_key], following < end[read_key]
    last = np.full(len(reads), NONE, dtype=np.int64)
    last[has_last] = writer[following[has_last] - 1]
    edges.add(last[has_last], reader[has_last], WR, read_key[has_last])
    edges.add(reader[has_next], writer[following[has_next]], RW, read_key[has_next])
    full = ~has_next & (last != reader)
    edges.add_pairs(reader[full], read_key[full], t.of[unread], t.key[unread], np.arange(len(t.keys)))
    return unread


def _add_last_reads(t: Transactions, edges: EdgeList, reads: Places, writers: Writers) -> None:
    """Add who read whom on keys whose order is not known."""
    reads = reads[t.end[reads] > t.begin[reads]]
    append = writers.find(t.key[reads], t.elements[t.end[reads] - 1])
    reads, append = reads[append >= 0], append[append >= 0]
    may = t.possible[t.of[append]]
    edges.add(t.of[append[may]], t.of[reads[may]], WR, t.key[reads[may]])


def _bad_reads(t: Transactions, reads: Places, lengths: Integers, versions: _Versions) -> tuple[Places, Places, Places]:
    """Return those of the reads that have an aborted append, one that nobody made, and one twice."""
    key = np.repeat(np.arange(len(t.keys)), np.diff(versions.start))
    failed = versions.append >= 0
    failed[failed] = ~t.possible[t.of[versions.append[failed]]]
    bad_reads = []
    for bad in (failed, versions.append == NONE, _again(versions.append)):
        first = np.full(len(t.keys), _FAR)
        places = np.flatnonzero(bad)[::-1]
        first[key[places]] = places - versions.start[key[places]]  # the first one stays
        bad_reads.append(reads[lengths > first[t.key[reads]]])
    return bad_reads[0], bad_reads[1], bad_reads[2]


def _bad_odd_reads(t: Transactions, reads: Places, writers: Writers) -> tuple[Places, Places, Places, Places]:
    """Return the same of reads that are not the beginning of the longest, and those of what they appended later."""
    counts = t.end[reads] - t.begin[reads]
    of = np.repeat(np.arange(len(reads)), counts)
    steps = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    append = writers.find(t.key[reads[of]], t.elements[t.begin[reads[of]] + steps])
    failed = append >= 0
    failed[failed] = ~t.possible[t.of[append[failed]]]
    pairs = of * max(1, len(t.of)) + append
    order = np.argsort(pairs, kind="stable")
    order = order[append[order] >= 0]
    twice = order[1:][pairs[order[1:]] == pairs[order[:-1]]]
    own = append >= 0
    own[own] = t.of[append[own]] == t.of[reads[of[own]]]
    bad = (failed, append == NONE, twice, own & (append > reads[of]))
    aborted, unwritten, duplicated, future = (reads[np.unique(of[places])] for places in bad)
    return aborted, unwritten, duplicated, future


def _places(t: Transactions, versions: _Versions) -> Integers:
    """Return the place of each append among all versions, _FAR where it is in none."""
    place = np.full(len(t.of), _FAR)
    known = np.flatnonzero(versions.append >= 0)[::-1]
    place[versions.append[known]] = known  # the first one stays
    return place


def _future(t: Transactions, touches: Touches, reads: Places, versions: _Versions, place: Integers) -> Places:
    """Return the reads with an append that the same transaction made only later."""
    micro, none = touches.micro, len(versions.append) + 1
    group = np.cumsum(touches.first)[::-1]
    # The first place among the appends of the transaction to the key from here on.
    here = np.minimum(place[micro], none)[::-1] + group * (none + 1)
    later = (np.minimum.accumulate(here) - group * (none + 1))[::-1]
    wanted = np.zeros(len(t.of), dtype=np.bool_)
    wanted[reads] = True
    at = np.flatnonzero(wanted[micro])
    read = micro[at]
    future: Places = read[later[at] < versions.start[t.key[read]] + t.end[read] - t.begin[read]]
    return future


def _incompatible(t: Transactions, odd: Places, longest: Integers) -> tuple[tuple[int, int], ...]:
    keys, first = np.unique(t.key[odd], return_index=True)
    return tuple((int(odd[place]), int(longest[key])) for key, place in zip(keys, first, strict=True))


def _reordered(
    t: Transactions, reads: Places, versions: _Versions, place: Integers, own: tuple[Places, Places]
) -> tuple[tuple[int, int, int], ...]:
    """Return for each key a read, an append in it, and one made earlier by the same transaction that is not before it.

    Of appends of the reader itself no read counts here: those are inconsistencies of one transaction.
    """
    earlier, later = own
    wrong = np.flatnonzero(place[earlier] > place[later])
    if not len(wrong):
        return ()
    wrong = wrong[np.argsort(place[later[wrong]], kind="stable")]
    found: dict[int, tuple[int, int, int]] = {}
    left = wrong
    for _ in range(2):  # the first of each key, then the first of another transaction, for reads by the first one's own
        keys, first = np.unique(t.key[later[left]], return_index=True)
        at = np.full(len(t.keys), NONE, dtype=np.int64)
        at[keys] = left[first]
        here = reads[at[t.key[reads]] != NONE]
        pair = at[t.key[here]]
        ends = versions.start[t.key[here]] + t.end[here] - t.begin[here]
        hit = (ends > place[later[pair]]) & (t.of[here] != t.of[later[pair]])
        for read, of in zip(here[hit][::-1].tolist(), pair[hit][::-1].tolist(), strict=True):
            found.setdefault(int(t.key[read]), (read, int(later[of]), int(earlier[of])))
        left = left[t.of[later[left]] != t.of[later[at[t.key[later[left]]]]]]
    return tuple(found.values())


def _own_appends(t: Transactions, touches: Touches, writers: Writers) -> tuple[Places, Places]:
    """Return each append with the next one of its transaction to its key, of those that may have committed."""
    micro = touches.micro[t.op[touches.micro] == APPENDS]
    earlier, later = micro[:-1], micro[1:]
    same = (t.of[earlier] == t.of[later]) & (t.key[earlier] == t.key[later]) & t.possible[t.of[earlier]]
    earlier, later = earlier[same], later[same]
    if writers.repeated:  # which of these a read found is not known
        once = writers.find(t.key[earlier], t.value[earlier]) != MANY
        earlier, later = earlier[once], later[once]
    return earlier, later


def _dirty(t: Transactions, versions: _Versions) -> tuple[tuple[int, int], ...]:
    """Return the committed appends whose last version before of known outcome is of a failed transaction."""
    known = np.flatnonzero(versions.append >= 0)
    append = versions.append[known]
    decided = t.committed[t.of[append]] | ~t.possible[t.of[append]]
    append = append[decided]
    below, above = append[:-1], append[1:]
    dirty = (t.key[below] == t.key[above]) & ~t.possible[t.of[below]] & t.committed[t.of[above]]
    return tuple(zip(below[dirty].tolist(), above[dirty].tolist(), strict=True))


def _lost(t: Transactions, touches: Touches) -> tuple[tuple[int, ...], ...]:
    reads = overwritten(t, touches)
    reads = reads[t.is_list[t.key[reads]]]
    order = reads[np.lexsort((t.end[reads] - t.begin[reads], t.key[reads]))]
    length = t.end[order] - t.begin[order]
    same = (t.key[order[1:]] == t.key[order[:-1]]) & (length[1:] == length[:-1])
    return tuple(group for group in runs(order, same) if _all_alike(t, group))


def runs(places: Places, same: Mask) -> list[tuple[int, ...]]:
    """Return the runs of two or more places of which each is the same as the one before."""
    begins = np.flatnonzero(np.concatenate(([True], ~same, [True]))) if len(places) else np.zeros(1, dtype=np.int64)
    pairs = zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True)
    return [tuple(places[begin:end].tolist()) for begin, end in pairs if end - begin > 1]


def _all_alike(t: Transactions, group: tuple[int, ...]) -> bool:
    first, *others = (t.elements[t.begin[read] : t.end[read]] for read in group)
    return all(np.array_equal(first, other) for other in others)
