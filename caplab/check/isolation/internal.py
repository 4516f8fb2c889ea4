"""Reads that contradict their own transaction: what it had read or written on the key before."""

from __future__ import annotations

import numpy as np

from caplab.check.columns import Mask

from .transactions import READS, Places, Touches, Transactions


def inconsistent(t: Transactions, touches: Touches) -> Places:
    """Return reads of committed transactions that are not what the transaction itself had left, as it knew it."""
    after = np.flatnonzero(~touches.first)
    before, micro = touches.micro[after - 1], touches.micro[after]
    known = t.committed[t.of[micro]]
    before, micro = before[known], micro[known]
    read, is_list = t.op[micro] == READS, t.is_list[t.key[micro]]
    bad = [_registers(t, before[read & ~is_list], micro[read & ~is_list])]
    lists = np.flatnonzero(t.is_list[t.key[touches.micro]] & t.committed[t.of[touches.micro]])
    bad.append(_lists(t, touches, lists))
    inconsistent_reads: Places = np.unique(np.concatenate(bad))
    return inconsistent_reads


def _registers(t: Transactions, before: Places, read: Places) -> Places:
    same = (t.has_value[before] == t.has_value[read]) & (t.value[before] == t.value[read])
    unlike: Places = read[~same]
    return unlike


def _lists(t: Transactions, touches: Touches, at: Places) -> Places:
    """Compare each read with the last read of its transaction and key before it, and what was appended since."""
    if not len(at):
        return np.zeros(0, dtype=np.int64)
    micro, place = touches.micro[at], np.arange(len(at))
    group = np.maximum.accumulate(np.where(touches.first[at], place, 0))
    is_read = t.op[micro] == READS
    # The last read at or before each place, if it is in the group.
    last = np.maximum.accumulate(np.where(is_read, place, -1))
    previous = np.concatenate(([-1], last[:-1]))
    has_previous = previous >= group
    following = np.flatnonzero(is_read & (group < place))
    length = t.end[micro] - t.begin[micro]
    since = np.where(has_previous, place - previous - 1, place - group)
    base = np.where(has_previous, length[previous], length - since)
    bad = np.zeros(len(at), dtype=np.bool_)
    bad[following] = (length[following] != base[following] + since[following]) | (base[following] < 0)
    bad |= _unlike(t, micro, previous, is_read & has_previous & ~bad)
    # Each append since then is at its place in the next read of the group.
    next_read = np.minimum.accumulate(np.where(is_read, place, len(at))[::-1])[::-1]
    appends = np.flatnonzero(~is_read & (next_read < len(at)))
    appends = appends[group[next_read[appends]] == group[appends]]
    appends = appends[~bad[next_read[appends]]]
    reader = next_read[appends]
    found = t.elements[t.end[micro[reader]] - (reader - appends)]
    bad[reader[found != t.value[micro[appends]]]] = True
    return micro[bad]


def _unlike(t: Transactions, micro: Places, previous: Places, compared: Mask) -> Mask:
    """Return where a read does not begin with the previous one."""
    bad = np.zeros(len(micro), dtype=np.bool_)
    at = np.flatnonzero(compared)
    earlier, later = micro[previous[at]], micro[at]
    counts = t.end[earlier] - t.begin[earlier]
    of = np.repeat(np.arange(len(at)), counts)
    steps = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    unlike = t.elements[t.begin[earlier[of]] + steps] != t.elements[t.begin[later[of]] + steps]
    bad[at[of[unlike]]] = True
    return bad
