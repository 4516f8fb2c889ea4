"""What reads of registers prove: who read whose value, who overwrote it, and reads that nothing explains.

A register shows one version at a time. A version follows another for sure if its transaction had read that one, unless
not even read committed holds (it would have read what it wrote before); and every version follows the initial one,
that nothing is there. Nothing else about their order is assumed.
"""

from __future__ import annotations

import numpy as np

from caplab.check.columns import Integers, Mask

from .edges import WR, EdgeList
from .lists import Suspects, intermediate, runs
from .transactions import NONE, READS, WRITES, Places, Touches, Transactions, Writers, overwritten


def infer(t: Transactions, touches: Touches, edges: EdgeList, happened: Mask) -> Suspects:
    """Add the dependencies that registers prove to the edges, and return the suspect reads."""
    writes = np.flatnonzero(t.op == WRITES)
    writers = Writers(writes, t.key[writes], t.value[writes])
    reads = np.flatnonzero((t.op == READS) & ~t.is_list[t.key] & t.committed[t.of])
    written = np.full(len(t.of), NONE, dtype=np.int64)
    valued = reads[t.has_value[reads]]
    written[valued] = writers.find(t.key[valued], t.value[valued])
    known = valued[written[valued] >= 0]
    failed = ~t.possible[t.of[written[known]]]
    sound = known[~failed]
    edges.add(t.of[written[sound]], t.of[sound], WR, t.key[sound])
    overwriting = overwritten(t, touches)
    overwriting = overwriting[~t.is_list[t.key[overwriting]]]
    _add_overwritten(t, edges, sound, overwriting, written)
    _add_initial(t, edges, reads[~t.has_value[reads]], writes)
    return Suspects(
        aborted=known[failed],
        intermediate=intermediate(t, touches, known, written[known]),
        unwritten=valued[written[valued] == NONE],
        duplicated=np.zeros(0, dtype=np.int64),
        incompatible=(),
        reordered=(),
        future=sound[(t.of[written[sound]] == t.of[sound]) & (written[sound] > sound)],
        unread=np.zeros(0, dtype=np.int64),
        dirty=(),
        lost=_lost(t, overwriting, written),
        repeated=writers.repeated,
        unordered_writes=_unordered_writes(t, touches, overwriting, happened),
    )


def _add_overwritten(t: Transactions, edges: EdgeList, reads: Places, overwriting: Places, written: Integers) -> None:
    """Add an edge from who read a version to who read it too and then wrote the key."""
    over = overwriting[(written[overwriting] >= 0)]
    over = over[t.possible[t.of[written[over]]]]
    foreign = reads[t.of[written[reads]] != t.of[reads]]
    edges.add_pairs(t.of[foreign], written[foreign], t.of[over], written[over], t.key)


def _add_initial(t: Transactions, edges: EdgeList, reads: Places, writes: Places) -> None:
    """Add an edge from who found nothing to everyone who writes the key."""
    writes = writes[t.possible[t.of[writes]]]
    edges.add_pairs(t.of[reads], t.key[reads], t.of[writes], t.key[writes], np.arange(len(t.keys)))


def _lost(t: Transactions, overwriting: Places, written: Integers) -> tuple[tuple[int, ...], ...]:
    reads = overwriting[~t.has_value[overwriting] | (written[overwriting] >= 0)]
    reads = reads[np.lexsort((written[reads], t.key[reads]))]
    same = (t.key[reads[1:]] == t.key[reads[:-1]]) & (written[reads[1:]] == written[reads[:-1]])
    return tuple(runs(reads, same))


def _unordered_writes(t: Transactions, touches: Touches, overwriting: Places, happened: Mask) -> int:
    """Count the last writes that took effect without their transaction having read the key, if there are others."""
    last = np.flatnonzero(touches.last_write & (t.op == WRITES) & t.possible[t.of])
    per_key = np.bincount(t.key[last], minlength=len(t.keys))
    read = np.zeros(len(t.keys), dtype=np.int64)
    np.add.at(read, t.key[overwriting], 1)
    committed = np.bincount(t.key[last[happened[t.of[last]]]], minlength=len(t.keys))
    return int(np.where(per_key > 1, committed - read, 0).sum())
