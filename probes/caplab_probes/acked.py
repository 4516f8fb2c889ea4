"""A prober's own acknowledged writes, and which of them a read missed.

Only keys with one writer are judged: their values are versions, which grow. A read is stale if it returns a version
that was acknowledged before another one was even sent, and that other one was acknowledged before the read began. If
the version read is not known as acknowledged, its write may take effect late, and nothing is reported. Writes from
other vantages are not known here either. So this is a live lower bound. The staleness checker judges over all
vantages after the run.
"""

from __future__ import annotations

from collections import deque

from caplab.contract.objects import CACHE

# The workloads in which each key has one writer.
SINGLE_WRITER = frozenset({"register", CACHE})
# How many writes of a key are remembered: the last 16 s at 1,000 operations a second, minutes at usual rates.
WRITES_PER_KEY = 256
# How many are remembered of all keys together: a cache may have thousands of keys, and a write takes 190 bytes.
WRITES_IN_ALL = 32_768

# A version, and when it was sent and acknowledged, in nanoseconds. It is a plain tuple: one is made for each write.
_Write = tuple[int, int, int]


class AckedWrites:
    """Acknowledged writes by key. Memory is bounded by KEPT writes a key, and KEPT_IN_ALL in all plus one a key.

    Not safe between threads.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._writes: dict[str, deque[_Write]] = {}
        self._free_slots = WRITES_IN_ALL
        self._truncated: set[str] = set()  # keys of which fewer are remembered, since there was no room

    def note(self, key: str, version: int, invoke_ns: int, ack_ns: int) -> None:
        """Remember that a version of a key was acknowledged."""
        newest = self._newest.get(key)
        if newest is None:
            self._writes[key] = deque(maxlen=WRITES_PER_KEY)
        if newest is None or version > newest:
            self._newest[key] = version
        writes = self._writes[key]
        if len(writes) < WRITES_PER_KEY:
            self._take_slot(key, writes)
        writes.append((version, invoke_ns, ack_ns))

    def _take_slot(self, key: str, writes: deque[_Write]) -> None:
        """Make room for another write of a key; if there is none, drop that key's oldest."""
        if self._free_slots > 0:
            self._free_slots -= 1
        elif writes:
            writes.popleft()
            self._truncated.add(key)

    def missed_since(self, key: str, version: int | None, invoke_ns: int) -> int | None:
        """Return when the oldest write that a read surely missed was acknowledged; None if none is known here.

        version: what the read returned, None for nothing. invoke_ns: when the read began.
        """
        newest = self._newest.get(key)
        if newest is None or (version is not None and version >= newest):
            return None
        writes = self._writes[key]
        after_ns = _acked_ns(writes, version, len(writes) == WRITES_PER_KEY or key in self._truncated)
        if after_ns is None:
            return None
        returned_version = -1 if version is None else version
        missed = (
            ack for other, sent, ack in writes if other > returned_version and sent > after_ns and ack < invoke_ns
        )
        return min(missed, default=None)


def _acked_ns(writes: deque[_Write], version: int | None, are_some_forgotten: bool) -> int | None:
    """Return when the version that a read returned was acknowledged; None if unknown. What was sent later is newer."""
    # The read returned nothing, or something older than all that is remembered.
    if version is None or (are_some_forgotten and version < writes[0][0]):
        return -1
    return next((ack for other, _, ack in writes if other == version), None)
